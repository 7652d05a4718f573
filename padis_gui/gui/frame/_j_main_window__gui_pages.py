"""The pages of the window: one in front of the others, each with an action that shows it."""

from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMainWindow, QStackedWidget, QWidget


class PageStack(QStackedWidget):
    """``group`` has an action for each page, by Ctrl+1, Ctrl+2 and so on in their order."""

    def __init__(self, window: QMainWindow) -> None:
        super().__init__()
        self._window = window
        self.group = QActionGroup(window)

    def add(self, title: str, page: QWidget, tip: str) -> QAction:
        """A page beside the others; the action shows it."""
        index = self.addWidget(page)
        action = QAction(title, self._window, checkable=True, checked=index == 0)
        action.setObjectName(f"page_{title.lower()}")
        action.setShortcut(f"Ctrl+{index + 1}")
        action.setToolTip(f"{tip} ({action.shortcut().toString()})")
        action.triggered.connect(lambda _checked=False: self.setCurrentWidget(page))
        self.group.addAction(action)
        for each in self.group.actions():  # a single page needs no choosing
            each.setVisible(index > 0)
        return action
