"""A user's hand on the real window: mouse and key events only, sent where a user would send them."""

import asyncio
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QPoint, QPointF, Qt, QTimer
from PySide6.QtGui import QAction, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QFileDialog,
    QLineEdit,
    QMenu,
    QScrollArea,
    QWidget,
)

from tests.qt import settled, until

_LEFT, _NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


async def _do(function: Callable[..., object], *arguments: object) -> None:
    """Call it from Qt's event loop, not from a task: some of QTest's functions let other events pass meanwhile."""
    done = asyncio.get_running_loop().create_future()

    def work() -> None:
        try:
            function(*arguments)
            done.set_result(None)
        except BaseException as error:
            done.set_exception(error)

    QTimer.singleShot(0, work)
    await done


class Hand:
    """Works on one window. Every method leaves the event loop a moment, as a hand would."""

    def __init__(self, window: Any) -> None:
        self.window = window

    async def key(self, key: Qt.Key, modifier: Qt.KeyboardModifier = _NONE) -> None:
        """A key, pressed in whatever has the keyboard."""
        self.window.activateWindow()
        await until(self.window.isActiveWindow)
        await _do(QTest.keyClick, QApplication.focusWidget() or self.window, key, modifier)
        await settled()

    async def ctrl(self, key: Qt.Key) -> None:
        """The same with Ctrl."""
        await self.key(key, Qt.KeyboardModifier.ControlModifier)

    async def click(self, widget: QWidget, place: QPoint | None = None) -> None:
        """A click on a widget, which must be seen and enabled; what scrolls is scrolled there first."""
        parent = widget.parentWidget()
        while parent is not None and not isinstance(parent, QScrollArea):
            parent = parent.parentWidget()
        if isinstance(parent, QScrollArea):
            parent.ensureWidgetVisible(widget)
            await settled()
        assert widget.isVisible(), f"{widget} is not seen"
        assert widget.isEnabled(), f"{widget} is disabled"
        await _do(QTest.mouseClick, widget, _LEFT, _NONE, place or widget.rect().center())
        await settled()

    async def choose(self, combo: QComboBox, text: str) -> None:
        """Open a combo box by a click, go to the item with the arrow keys, and take it."""
        await self.click(combo)
        view = combo.view()
        await until(view.isVisible)
        wanted = combo.findText(text)
        assert wanted >= 0, f"{text} is not offered, but {[combo.itemText(i) for i in range(combo.count())]}"
        for _ in range(combo.count()):
            here = view.currentIndex().row()
            if here == wanted:
                break
            await _do(QTest.keyClick, view, Qt.Key.Key_Down if here < wanted else Qt.Key.Key_Up)
        assert view.currentIndex().row() == wanted, f"{text} is not reached by the arrow keys"
        await _do(QTest.keyClick, view, Qt.Key.Key_Return)
        await until(lambda: not view.isVisible())

    async def type(self, box: QAbstractSpinBox, number: int) -> None:
        """Type a number into its field and confirm it."""
        await self.click(box)
        line = box.findChild(QLineEdit)
        assert line is not None
        line.selectAll()
        await _do(QTest.keyClicks, line, str(number))
        await _do(QTest.keyClick, line, Qt.Key.Key_Return)
        await settled()

    async def drag(self, widget: QWidget, start: QPoint, end: QPoint) -> None:
        """Press, move, let go."""
        await _do(QTest.mousePress, widget, _LEFT, _NONE, start)
        for share in (0.3, 0.6, 1.0):
            await _do(QTest.mouseMove, widget, start + (end - start) * share)
            await settled()
        await _do(QTest.mouseRelease, widget, _LEFT, _NONE, end)
        await settled()

    async def wheel(self, widget: QWidget, place: QPoint, steps: int) -> None:
        """Turn the wheel over a place; up is positive."""
        event = QWheelEvent(
            QPointF(place), widget.mapToGlobal(QPointF(place)), QPoint(), QPoint(0, 120 * steps),
            Qt.MouseButton.NoButton, _NONE, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        await _do(QApplication.sendEvent, widget, event)
        await settled()

    async def point(self, widget: QWidget, place: QPoint) -> None:
        """Rest the mouse there."""
        await _do(QTest.mouseMove, widget, place)
        await settled()

    async def answer_file_dialog(self, name: str) -> None:
        """Type a path into the dialog that is open, and confirm it."""
        await until(lambda: self._dialog() is not None)
        dialog = self._dialog()
        assert dialog is not None
        line = dialog.findChild(QLineEdit)
        assert line is not None
        line.setFocus()
        line.selectAll()
        await _do(QTest.keyClicks, line, name)
        await _do(QTest.keyClick, line, Qt.Key.Key_Return)
        await until(lambda: self._dialog() is None)

    def _dialog(self) -> QFileDialog | None:
        return next((d for d in self.window.findChildren(QFileDialog) if d.isVisible()), None)

    async def menu(self, *titles: str) -> None:
        """Go through the menu bar by keyboard: Alt and the menu's letter, arrows to the entries, Return."""
        bar = self.window.menuBar()
        top = next(a for a in bar.actions() if a.text().replace("&", "") == titles[0])
        letter = top.text().split("&")[1][0].upper()
        await self.key(Qt.Key[f"Key_{letter}"], Qt.KeyboardModifier.AltModifier)
        menu = top.menu()
        assert isinstance(menu, QMenu)
        if not menu.isVisible():  # a platform without menus that take the keyboard
            bar.setActiveAction(top)
        for title in titles[1:]:
            await until(menu.isVisible)
            wanted = self._entry(menu, title)
            for _ in range(len(menu.actions())):
                if menu.activeAction() is wanted:
                    break
                await _do(QTest.keyClick, menu, Qt.Key.Key_Down)
            assert menu.activeAction() is wanted, f"{title} is not reached by the arrow keys"
            await _do(QTest.keyClick, menu, Qt.Key.Key_Return)
            below = wanted.menu()
            if isinstance(below, QMenu):
                menu = below
        await settled()

    @staticmethod
    def _entry(menu: QMenu, title: str) -> QAction:
        entries = {a.text().replace("&", ""): a for a in menu.actions()}
        assert title in entries, f"{title} is not among {list(entries)}"
        assert entries[title].isEnabled(), f"{title} is disabled"
        return entries[title]
