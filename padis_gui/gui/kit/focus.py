"""Where the keyboard is, and where it goes: a ring around what has it, the order of Tab, and regions for F6.

Here are also the keys that a button and the menus have before the shortcuts of the window.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import cast

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, QTimer
from PySide6.QtGui import QAction, QKeyEvent, QPainter, QPaintEvent, QPalette, QRegion
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QGraphicsView,
    QLayout,
    QMenuBar,
    QScrollArea,
    QSplitter,
    QStackedWidget,
    QToolTip,
    QWidget,
)
from shiboken6 import isValid

_WIDE, _INNER = 2, 1  # px: the ring, and inside of it a line that sets it off from what is as dark as it
_SPARED_TIP = "Enter presses this button; Space pauses a run, and lets it go on"
# These have controls of their own inside, which the keyboard does not stop at
_WHOLE = (QAbstractItemView, QAbstractSpinBox, QComboBox, QGraphicsView)


class FocusRing(QWidget):
    """Lies on the widget that has the keyboard, inside its edges, and lets the mouse through.

    Styles draw so little on a flat button, and nothing on a picture, that nobody would know where the keyboard is.
    There is one for all windows of the application.
    """

    def __init__(self, app: QApplication) -> None:
        super().__init__()
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.hide()
        app.focusChanged.connect(self._follow)

    def _follow(self, _old: QWidget | None, new: QWidget | None) -> None:
        before = self.parentWidget()
        if before is not None and isValid(before):
            before.removeEventFilter(self)
        popup = new is not None and new.window().windowType() is Qt.WindowType.Popup
        if new is None or new.isWindow() or popup:
            self.hide()
            self.setParent(None)  # it must not go with a widget that is thrown away
            return
        self.setParent(new)
        new.installEventFilter(self)
        self._fit()
        self.show()
        self.raise_()
        _bring_into_view(new)

    def _fit(self) -> None:
        """Cover the edges only, so that what is painted inside never paints this anew."""
        widget = self.parentWidget()
        if widget is not None:
            self.setGeometry(widget.rect())
            edge = _WIDE + _INNER
            self.setMask(QRegion(self.rect()) - QRegion(self.rect().adjusted(edge, edge, -edge, -edge)))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() is QEvent.Type.Resize and watched is self.parentWidget():
            self._fit()
        return False

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            for inset, width, role in (
                (0, _WIDE, QPalette.ColorRole.Highlight),
                (_WIDE, _INNER, QPalette.ColorRole.HighlightedText),
            ):
                outer = self.rect().adjusted(inset, inset, -inset, -inset)
                inner = outer.adjusted(width, width, -width, -width)
                painter.setClipRegion(QRegion(outer) - QRegion(inner))
                painter.fillRect(outer, self.palette().color(role))


def _bring_into_view(widget: QWidget) -> None:
    """Scroll what is around a widget until all of it is seen. Qt does so for Tab within one scroll area only.

    Not under a pressed mouse button: the click would miss what moves away.
    """
    if QApplication.mouseButtons() is not Qt.MouseButton.NoButton:
        return
    around = widget.parentWidget()
    while around is not None:
        if isinstance(around, QScrollArea):
            around.ensureWidgetVisible(widget, 0, _WIDE + _INNER)
        around = around.parentWidget()


class FocusKeys(QObject):
    """Gives the button that has the keyboard the Enter key, and the menu bar whatever is typed into it.

    Space pauses a run wherever the keyboard is, and so no button could be pressed then. The menu bar moves to the next
    menu with the arrow keys, which would step through the iterates instead: their actions are in a menu, too.
    """

    _SPARED = "spared_by_space"  # a property of buttons

    @classmethod
    def spare(cls, button: QAbstractButton) -> None:
        """Space never presses this button: who would pause a run that has just ended does not want another one."""
        button.setProperty(cls._SPARED, True)

    def __init__(self, app: QApplication) -> None:
        super().__init__()
        self._watched: QWidget | None = None
        app.focusChanged.connect(self._follow)

    def _follow(self, _old: QWidget | None, new: QWidget | None) -> None:
        if self._watched is not None and isValid(self._watched):
            self._watched.removeEventFilter(self)
        self._watched = new if isinstance(new, QAbstractButton | QMenuBar) else None
        if self._watched is not None:
            self._watched.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if not isinstance(event, QKeyEvent):
            return False
        plain = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier is Qt.KeyboardModifier.NoModifier
        if isinstance(watched, QMenuBar) and event.type() is QEvent.Type.ShortcutOverride and plain:
            event.accept()
            return True
        if not (isinstance(watched, QAbstractButton) and event.type() is QEvent.Type.KeyPress and plain):
            return False
        if event.key() == Qt.Key.Key_Space and watched.property(self._SPARED):
            QToolTip.showText(watched.mapToGlobal(QPoint(0, watched.height())), _SPARED_TIP, watched)
            return True
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            for kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):  # which opens a button's menu, too
                # straight to the button: Qt would look for a shortcut first
                watched.event(QKeyEvent(kind, Qt.Key.Key_Space, Qt.KeyboardModifier.NoModifier))
            return True
        return False


class AskedByKey(QObject):
    """Calls ``do`` when an action was asked for by its keys, after all that the action does itself.

    Who uses a key goes on with the keyboard, and wants it where that goes on; who clicks goes on with the mouse.
    """

    def __init__(self, action: QAction, do: Callable[[], object]) -> None:
        super().__init__(action)
        self._do = do
        action.installEventFilter(self)

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        if event.type() is QEvent.Type.Shortcut:
            QTimer.singleShot(0, self, self._do)
        return False


class LeftByEscape(QObject):
    """Esc leaves a widget while the keyboard is in it, by calling ``leave``; a run under way goes on."""

    def __init__(self, widget: QWidget, leave: Callable[[], object]) -> None:
        super().__init__(widget)
        self._leave = leave
        widget.installEventFilter(self)

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        if not isinstance(event, QKeyEvent) or event.key() != Qt.Key.Key_Escape:
            return False
        if event.type() is QEvent.Type.ShortcutOverride:
            event.accept()  # else it would be the window's key: Cancel
        elif event.type() is QEvent.Type.KeyPress:
            self._leave()
        return True


def takes_tab(widget: QWidget) -> bool:
    """Whether Tab stops here, if it can be seen."""
    return bool(Qt.FocusPolicy.TabFocus.value & widget.focusPolicy().value)


def reading_order(root: QWidget) -> Iterator[QWidget]:
    """What Tab stops at in a widget, in the order in which it lies there."""
    if takes_tab(root):
        yield root
    layout = root.layout()
    if isinstance(root, _WHOLE):
        return
    if isinstance(root, QScrollArea):
        if (inner := root.widget()) is not None:
            yield from reading_order(inner)
    elif isinstance(root, QSplitter | QStackedWidget):
        for number in range(root.count()):
            if (part := root.widget(number)) is not None:
                yield from reading_order(part)
    elif layout is not None:
        yield from _in_layout(layout)


def _in_layout(layout: QLayout) -> Iterator[QWidget]:
    for number in range(layout.count()):
        item = layout.itemAt(number)
        if item is None:
            continue
        inner, widget = item.layout(), item.widget()
        if widget is not None:
            yield from reading_order(widget)
        elif inner is not None:
            yield from _in_layout(inner)


def order_tabs(*roots: QWidget) -> None:
    """Tab goes through these one after the other, each in the order in which its controls lie there."""
    for one, following in pairwise([widget for root in roots for widget in reading_order(root)]):
        QWidget.setTabOrder(one, following)


def _place_in(region: QWidget, left: QWidget) -> QWidget | None:
    """Where the keyboard goes in a region of which ``left`` can't have it any more: to the next control that can, else to
    the one before; None where there is none."""
    said = getattr(region, "first_focus", None)
    if said is not None and said is not left and _can_take(said):
        return cast(QWidget, said)
    order = list(reading_order(region))
    at = order.index(left) if left in order else 0
    choices = order[at:] + order[:at][::-1]
    return next((w for w in choices if w is not left and _can_take(w)), None)


def keep_keyboard(regions: Sequence[QWidget], left: QWidget) -> None:
    """Put the keyboard where it was left, or where that can't be, near to it in the same region."""
    if not isValid(left):
        return
    region = next((r for r in regions if r is left or r.isAncestorOf(left)), None)
    place = left if _can_take(left) else None if region is None else _place_in(region, left)
    if place is not None:
        place.setFocus(Qt.FocusReason.OtherFocusReason)


class FocusKeeper(QObject):
    """Keeps the keyboard in its region where the control that has it is hidden or disabled.

    Qt would give it to what Tab comes to next, which after the last control of the left column is a panel on the other
    side of the window. ``regions`` are those of the page in front.
    """

    def __init__(self, window: QWidget, app: QApplication, regions: Callable[[], Sequence[QWidget]]) -> None:
        super().__init__(window)
        self._window, self._regions = window, regions
        self._has: QWidget | None = None
        self._lost: tuple[QWidget, QWidget] | None = None  # the region and the control
        app.focusChanged.connect(self._moved)  # of this object, so that it ends with the window

    def _moved(self, _old: QWidget | None, new: QWidget | None) -> None:
        self._follow(new)

    def _follow(self, new: QWidget | None) -> None:
        if new is None or self._lost is not None or not self._window.isAncestorOf(new):
            return  # in another window, or about to come back
        if self._has is not None and isValid(self._has):
            self._has.removeEventFilter(self)
        self._has = new
        new.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        gone = event.type() in (QEvent.Type.Hide, QEvent.Type.EnabledChange)
        if (
            not isValid(self._window) or not self._window.isVisible()
        ):  # it goes, and its pages are gone already
            return False
        if gone and self._lost is None and watched is self._has and not _can_take(self._has):
            region = next((r for r in self._regions() if r.isAncestorOf(self._has)), None)
            if region is not None:
                self._lost = region, self._has
                QTimer.singleShot(0, self, self._keep)  # once all that goes with it is hidden or disabled
        return False

    def _keep(self) -> None:
        lost, self._lost = self._lost, None
        if lost is not None and isValid(lost[0]) and lost[0].isVisible():  # not a panel that was closed
            keep_keyboard([lost[0]], lost[1])
        self._follow(self._window.focusWidget())


def _can_take(widget: QWidget) -> bool:
    return isValid(widget) and widget.isVisible() and widget.isEnabled()


def focus_region(window: QWidget, regions: Sequence[QWidget], by: int) -> None:
    """Put the keyboard into the next region of a window that can take it, or with ``by`` −1 into the one before."""
    focused = window.focusWidget()
    inside = [n for n, region in enumerate(regions) if focused is not None and region.isAncestorOf(focused)]
    start = inside[0] if inside else (-1 if by > 0 else len(regions))
    for distance in range(1, len(regions) + 1):
        region = regions[(start + by * distance) % len(regions)]
        if give_keyboard(region):
            return


def give_keyboard(region: QWidget) -> bool:
    """Put the keyboard into a region; False where nothing can take it.

    A region may say with ``first_focus`` what does; else it is what Tab comes to first.
    """
    said = getattr(region, "first_focus", None)
    choices = [said] if said is not None else reading_order(region)
    first = next((w for w in choices if _can_take(w)), None)
    if first is not None:
        _bring_into_view(region)  # all of it where there is room, not only its first line
        first.setFocus(Qt.FocusReason.ShortcutFocusReason)
    return first is not None
