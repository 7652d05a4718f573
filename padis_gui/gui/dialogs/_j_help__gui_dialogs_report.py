"""What went wrong, in full: to read, copy or save. Nothing is sent anywhere."""

from pathlib import Path

from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import QDialog, QLabel, QPlainTextEdit, QWidget

from padis_gui.gui.kit._j_files__gui_files import TEXTS, choose_to_write
from padis_gui.gui.kit._j_widgets__gui_layouts import button_row, column, muted, push_button


class ReportDialog(QDialog):
    """Shows a report; closing it forgets it."""

    def __init__(self, parent: QWidget, sentence: str, text: str) -> None:
        super().__init__(parent)
        self.setWindowTitle("Report")
        self.setModal(False)
        self.heading = QLabel(sentence or "The state of the program", wordWrap=True)
        self.heading.setProperty("heading", True)
        note = muted(
            "Nothing is sent by itself. The text names files of yours; read it before you pass it on."
        )
        self.text = QPlainTextEdit(text, readOnly=True)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setTabChangesFocus(True)
        self.text.setAccessibleName("Report")
        self.text.setToolTip("What happened, versions, settings, and the end of the log")
        self.copy = push_button("&Copy", "Put the whole report on the clipboard", self._copy)
        self.save = push_button(
            "&Save…", "Write the report as a text file",
            lambda: choose_to_write(self, "Save report", TEXTS, "padis_gui-report.txt", self._save),
        )  # fmt: skip
        close = push_button("C&lose", "Close this report (Esc)", self.close)
        self.outcome = QLabel()
        layout = column(self, spacing=8, margins=(12, 12, 12, 12))
        for widget in (self.heading, note):
            layout.addWidget(widget)
        layout.addWidget(self.text, 1)
        layout.addLayout(button_row(self.copy, self.save, close, before=self.outcome))
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
