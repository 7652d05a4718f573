"""What can be done with the panes, with keys: one table."""

from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QWidget

from padis_gui.gui.kit._j_actions__gui_actions import ActionRecord
from padis_gui.gui.kit._j_theme__gui_viewers_icons import icon

_OF_PANES = (
    ActionRecord("add", "Add pane", "Ctrl+T", "One more pane, with a source that is not shown yet"),
    ActionRecord("close", "Close pane", "Ctrl+W", "Close the framed pane"),
    ActionRecord("maximise", "Maximise pane", "M", "Show the framed pane alone, and all of them again"),
    ActionRecord("link", "Link pane", "K", "Link the framed pane's view and levels with the others', or unlink them"),
    ActionRecord("move", "Pan", "V", "Drag to pan, turn the wheel to zoom", group="tool"),
    ActionRecord("profile", "Line profile", "L", "Drag a line: its values in every pane", group="tool"),
    ActionRecord("rectangle", "Rectangle", "R", "Drag a rectangle: its statistics in every pane", group="tool"),
    ActionRecord("ellipse", "Ellipse", "E", "Drag an ellipse: its statistics in every pane", group="tool"),
    ActionRecord("mask", "Paint mask", "P", "Paint what is missing on the image, for inpainting", group="tool"),
    ActionRecord("side", "Side by side", "S", "Compare two pictures side by side; again to leave", group="compare"),
    ActionRecord("wipe", "Wipe", "W", "Compare two pictures with a divider that can be dragged; again to leave",
                 group="compare"),
    ActionRecord("blink", "Blink", "B", "Compare two pictures in turn at one place; again to leave", group="compare"),
    ActionRecord("subtract", "Subtract", "D", "The signed difference of two pictures; again to leave", group="compare"),
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
        for record in _OF_PANES:
            action = record.make(owner, "view_")
            if record.name != "link":  # its icon is on the panes, and says whether they are linked
                action.setIcon(icon(record.name))
            action.setData(record.name)
            if record.group:
                (self.tools if record.group == "tool" else self.modes).addAction(action)
            else:
                self.panes.append(action)
            setattr(self, record.name, action)
        self.move.setChecked(True)
