"""What can be done with the panes, with keys: one table."""

from dataclasses import dataclass

from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QWidget

from padis_gui.gui.viewers.icons import icon


@dataclass(frozen=True, slots=True)
class _Record:
    name: str
    text: str
    keys: str
    tip: str
    group: str = ""
    checkable: bool = False


_TABLE = (
    _Record("add", "Add pane", "Ctrl+T", "One more pane, with a source that is not shown yet"),
    _Record("close", "Close pane", "Ctrl+W", "Close the framed pane"),
    _Record("maximise", "Maximise pane", "M", "Show the framed pane alone, and all of them again"),
    _Record("link", "Link pane", "K", "Link the framed pane's view and levels with the others', or unlink them"),
    _Record("move", "Pan", "V", "Drag to pan, turn the wheel to zoom", "tool", True),
    _Record("profile", "Line profile", "L", "Drag a line: its values in every pane", "tool", True),
    _Record("rectangle", "Rectangle", "R", "Drag a rectangle: its statistics in every pane", "tool", True),
    _Record("ellipse", "Ellipse", "E", "Drag an ellipse: its statistics in every pane", "tool", True),
    _Record("mask", "Paint mask", "P", "Paint what is missing on the image, for inpainting", "tool", True),
    _Record("side", "Side by side", "S", "Compare two pictures side by side; again to leave", "compare", True),
    _Record("wipe", "Wipe", "W", "Compare two pictures with a divider that can be dragged; again to leave",
            "compare", True),
    _Record("blink", "Blink", "B", "Compare two pictures in turn at one place; again to leave", "compare", True),
    _Record("subtract", "Subtract", "D", "The signed difference of two pictures; again to leave", "compare", True),
)  # fmt: skip


class PaneActions:
    """One attribute for each action; ``tools`` and ``modes`` are those that exclude each other."""

    add: QAction
    close: QAction
    maximise: QAction
    link: QAction
    move: QAction
    profile: QAction
    rectangle: QAction
    ellipse: QAction
    mask: QAction
    side: QAction
    wipe: QAction
    blink: QAction
    subtract: QAction

    def __init__(self, owner: QWidget) -> None:
        self.tools, self.modes = QActionGroup(owner), QActionGroup(owner)
        self.modes.setExclusionPolicy(QActionGroup.ExclusionPolicy.ExclusiveOptional)
        self.panes: list[QAction] = []
        for record in _TABLE:
            action = QAction(record.text, owner, checkable=record.checkable)
            if record.name != "link":
                action.setIcon(icon(record.name))
            action.setObjectName(f"view_{record.name}")
            action.setData(record.name)
            action.setShortcut(QKeySequence(record.keys))
            action.setToolTip(f"{record.tip} ({action.shortcut().toString()})")
            owner.addAction(action)
            if record.group:
                (self.tools if record.group == "tool" else self.modes).addAction(action)
            else:
                self.panes.append(action)
            setattr(self, record.name, action)
        self.move.setChecked(True)
