"""Messages that don't block: a strip above the panes, with what happened and what to do."""

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QLabel, QPushButton, QToolButton

from padis_gui.gui.layouts import row
from padis_gui.gui.theme import LEVEL_COLOURS

_INFO_SECONDS = 6


class MessageBar(QFrame):
    """Shows the latest message; information goes away by itself, the rest stays until closed."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("message_bar")
        layout = row(self, margins=(10, 4, 4, 4))
        self.text = QLabel(wordWrap=True)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.copy = QPushButton("Copy report")
        self.copy.setToolTip("Put the message and its technical details on the clipboard")
        self.copy.clicked.connect(self._copy)
        close = QToolButton(autoRaise=True)
        close.setText("✕")
        close.setToolTip("Close this message")
        close.setAccessibleName("Close message")
        close.clicked.connect(self.hide)
        layout.addWidget(self.text, 1)
        layout.addWidget(self.copy)
        layout.addWidget(close)
        self._details = ""
        self._timer = QTimer(self, singleShot=True, interval=_INFO_SECONDS * 1000)
        self._timer.timeout.connect(self.hide)
        self.level = ""
        self.hide()

    def show_message(self, level: str, sentence: str, details: str = "") -> None:
        """Show one sentence; ``level`` is info, warning or error."""
        self.level, self._details = level, details
        self.text.setText(sentence)
        self.copy.setVisible(bool(details))
        self.setStyleSheet(
            f"#message_bar {{ background: {LEVEL_COLOURS[level]}; border-radius: 4px; }}"
            "#message_bar QLabel, #message_bar QToolButton { color: white; }"
        )
        self._timer.start() if level == "info" else self._timer.stop()
        self.show()

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(f"{self.text.text()}\n\n{self._details}")
