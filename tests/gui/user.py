"""What a user of the window does and sees, for tests of its panels."""

from pathlib import Path
from typing import Any, TypeVar

from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QAction, QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from tests.qt import until

W = TypeVar("W", bound=QWidget)


def click(widget: QWidget) -> None:
    """A real mouse click on what is seen and enabled."""
    assert widget.isVisible(), f"{widget} is not seen"
    assert widget.isEnabled(), f"{widget} is disabled"
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton)


def press(owner: QWidget, name: str) -> None:
    """A real mouse click on the button of that name in a window or a panel."""
    button = owner.findChild(QWidget, f"{name}_button")
    assert button is not None, f"{name} is not there"
    assert button.isEnabled(), f"{name} is disabled"
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def dialog(window: QWidget, kind: type[W]) -> W | None:
    """The dialog of that kind that is open, if one is."""
    return next((each for each in window.findChildren(kind) if each.isVisible()), None)


def drop(target: QWidget, *paths: Path) -> None:
    """Drag files over a widget and let go of them; both are accepted."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    for event_type in (QDragEnterEvent, QDropEvent):
        place = QPoint(5, 5) if event_type is QDragEnterEvent else QPointF(5, 5)
        event = event_type(
            place, Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        )
        QApplication.sendEvent(target, event)
        assert event.isAccepted()


async def turn_to(window: Any, name: str) -> None:
    """Bring a page of the window by its keys."""
    window.activateWindow()
    await until(window.isActiveWindow)
    action = window.findChild(QAction, f"page_{name}")
    QTest.keySequence(window, action.shortcut())
    await until(action.isChecked)


def pane(window: Any, source: str) -> Any:
    """The pane that shows a source, of a window or a grid of panes."""
    grid = getattr(window, "panes", window)
    return next(each for each in getattr(grid, "panes", grid) if each.source == source)


async def leave(window: Any) -> None:
    """Close a main window, whatever is under way in it, and wait until its threads have ended."""
    window.laboratory.ab.cancel()
    window.trainer.stop()
    window.studies.stop()
    await until(lambda: not (window.trainer.active or window.studies.active))
    for _ in range(2):  # it asks where something is under way; who closes it again means it
        window.close()
    await window.closed.wait()
