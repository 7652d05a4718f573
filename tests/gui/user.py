"""What a user of the window does and sees, for tests of its panels."""

from typing import Any, TypeVar

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget

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
