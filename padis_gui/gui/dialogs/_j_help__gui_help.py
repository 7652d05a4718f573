"""The window's own dialogs: keys, preferences, reports, about. One of each kind at a time; none blocks."""

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QDialog, QMainWindow, QMessageBox

from padis_gui import __version__
from padis_gui.gui.dialogs._j_help__gui_dialogs_preferences import PreferencesDialog
from padis_gui.gui.dialogs._j_help__gui_dialogs_report import ReportDialog
from padis_gui.gui.dialogs._j_help__gui_dialogs_shortcuts import ShortcutSheet
from padis_gui.viewmodels.session._j_report__viewmodels_logbook import Logbook
from padis_gui.viewmodels.session._j_report__viewmodels_report import report_text
from padis_gui.viewmodels.session._j_session__viewmodels_session import Session
from padis_gui.viewmodels.state._j_preferences__viewmodels_preferences import Preferences


class Help(QObject):
    """Opens the dialogs of a window; ``logbook`` is where reports find the log."""

    def __init__(self, window: QMainWindow, session: Session, preferences: Preferences) -> None:
        super().__init__(window)
        self._window, self._session, self._preferences = window, session, preferences
        self._open: dict[str, QDialog] = {}
        self.logbook: Logbook | None = None

    def preferences(self) -> None:
        """The preferences."""
        self._show("preferences", PreferencesDialog(self._window, self._preferences))

    def shortcuts(self) -> None:
        """The keys."""
        self._show("shortcuts", ShortcutSheet(self._window))

    def report(self, sentence: str = "", details: str = "") -> None:
        """A report of what the sentence says, or of how things stand."""
        tail = self.logbook.tail() if self.logbook is not None else ""
        text = report_text(self._session, sentence, details, tail)
        self._show("report", ReportDialog(self._window, sentence, text))

    def about(self) -> None:
        """Version, licence, places."""
        box = QMessageBox(self._window)
        box.setWindowTitle("About padis_gui")
        where = self._preferences.folder
        box.setText(
            f"<b>padis_gui {__version__}</b><p>Reconstruction with patch-diffusion priors: PaDIS, "
            "<a href='https://arxiv.org/abs/2406.02462'>arXiv 2406.02462</a>.<p>GPL-3.0-or-later."
            + (f"<p>Preferences, log and last session are in {where}" if where else "")
        )
        box.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self._show("about", box)

    def _show(self, kind: str, dialog: QDialog) -> None:
        old = self._open.pop(kind, None)
        if old is not None:
            old.close()
        self._open[kind] = dialog
        dialog.setModal(False)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.destroyed.connect(lambda: self._forget(kind, dialog))
        dialog.show()

    def _forget(self, kind: str, dialog: QDialog) -> None:
        if self._open.get(kind) is dialog:
            del self._open[kind]

    def close(self) -> None:
        """Close whatever is open."""
        for dialog in list(self._open.values()):
            dialog.close()
