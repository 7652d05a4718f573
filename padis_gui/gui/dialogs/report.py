"""What went wrong, in full: to read, copy or save. Nothing is sent anywhere."""

from pathlib import Path

from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import QDialog, QLabel, QPlainTextEdit, QPushButton, QWidget

from padis_gui.gui.files import TEXTS, choose_to_write
from padis_gui.gui.layouts import column, row


class ReportDialog(QDialog):
    """Shows a report; closing it forgets it."""

    def __init__(self, parent: QWidget, sentence: str, text: str) -> None:
        super().__init__(parent)
        self.setWindowTitle("Report")
        self.setModal(False)
        self.heading = QLabel(sentence or "The state of the program", wordWrap=True)
        self.heading.setProperty("heading", True)
        note = QLabel(
            "Nothing is sent by itself. The text names files of yours; read it before you pass it on."
        )
        note.setProperty("muted", True)
        self.text = QPlainTextEdit(text, readOnly=True)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setTabChangesFocus(True)
        self.text.setAccessibleName("Report")
        self.text.setToolTip("What happened, versions, settings, and the end of the log")
        self.copy = QPushButton("&Copy")
        self.copy.setToolTip("Put the whole report on the clipboard")
        self.copy.clicked.connect(self._copy)
        self.save = QPushButton("&Save…")
        self.save.setToolTip("Write the report as a text file")
        self.save.clicked.connect(
            lambda: choose_to_write(self, "Save report", TEXTS, "padis_gui-report.txt", self._save)
        )
        close = QPushButton("C&lose")
        close.setToolTip("Close this report (Esc)")
        close.clicked.connect(self.close)
        self.outcome = QLabel()
        layout = column(self, spacing=8, margins=(12, 12, 12, 12))
        for widget in (self.heading, note):
            layout.addWidget(widget)
        layout.addWidget(self.text, 1)
        buttons = row(spacing=6)
        buttons.addWidget(self.outcome, 1)
        for button in (self.copy, self.save, close):
            buttons.addWidget(button)
        layout.addLayout(buttons)
        self.resize(760, 520)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.text.toPlainText())
        self.outcome.setText("Copied.")

    def _save(self, path: Path) -> None:
        try:
            path.write_text(self.text.toPlainText(), encoding="utf-8")
        except OSError as error:
            self.outcome.setText(f"{path.name} cannot be written: {error.strerror}.")
        else:
            self.outcome.setText(f"Saved as {path.name}.")
