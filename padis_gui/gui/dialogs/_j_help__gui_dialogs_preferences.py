"""The window's own options; they act at once and are remembered."""

from PySide6.QtWidgets import QDialog, QLabel, QWidget

from padis_gui.core.settings.errors import PadisError
from padis_gui.gui.kit._j_forms__gui_forms import SettingsForm
from padis_gui.gui.kit._j_widgets__gui_layouts import button_row, column, muted, push_button
from padis_gui.viewmodels.state._j_preferences__viewmodels_preferences import Options, Preferences


class PreferencesDialog(QDialog):
    """A form of :class:`Options`."""

    def __init__(self, parent: QWidget, preferences: Preferences) -> None:
        super().__init__(parent)
        self.setWindowTitle("Preferences")
        self.setModal(False)
        self._preferences = preferences
        self.form = SettingsForm(Options)
        self.form.edited.connect(self._set)
        self.trouble = QLabel(wordWrap=True)
        where = "only until the window closes" if preferences.path is None else str(preferences.path)
        kept = muted(f"Kept in {where}" if preferences.path else f"Kept {where}", wordWrap=True)
        close = push_button("C&lose", "Close; everything here has already taken effect (Esc)", self.close)
        layout = column(self, spacing=8, margins=(12, 12, 12, 12))
        for widget in (self.form, self.trouble, kept):
            layout.addWidget(widget)
        layout.addStretch(1)
        layout.addLayout(button_row(close))
        preferences.changed.connect(self._show)
        self._show()
        self.resize(440, 260)

    def _show(self) -> None:
        self.form.show_settings(self._preferences.options)

    def _set(self, name: str, value: object) -> None:
        try:
            self._preferences.set_option(name, value)
            self.trouble.clear()
        except PadisError as error:
            self.trouble.setText(str(error))
            self._show()
