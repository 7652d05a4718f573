"""The slim bar above the panes: add one, choose a tool, compare."""

from PySide6.QtCore import QSize
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFrame, QHBoxLayout, QToolButton, QWidget

from padis_gui.gui.kit._j_actions__gui_viewers_view_actions import PaneActions
from padis_gui.gui.kit._j_widgets__gui_layouts import action_button, row


class PaneBar(QWidget):
    """Buttons of the view actions; widgets of others can join at its right end."""

    def __init__(self, act: PaneActions) -> None:
        super().__init__()
        self._row: QHBoxLayout = row(self, spacing=1)
        for index, group in enumerate(([act.add], act.tools.actions(), act.modes.actions())):
            if index:
                self._row.addWidget(_divider())
            for action in group:
                self._row.addWidget(_button(action))
        self._row.addStretch(1)

    def add(self, widget: QWidget) -> None:
        """Put a widget at the right end."""
        self._row.addWidget(widget)


def _button(action: QAction) -> QToolButton:
    button = action_button(action)
    button.setIconSize(QSize(16, 16))
    return button


def _divider() -> QFrame:
    line = QFrame()
    line.setFrameShape(QFrame.Shape.VLine)
    line.setFrameShadow(QFrame.Shadow.Sunken)
    line.setContentsMargins(3, 3, 3, 3)
    return line
