"""What is exported of a run, and in which form; the file is asked for afterwards."""

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QLabel, QWidget

from padis_gui.core.exports._j_settings__core_data_export_settings import ExportSettings
from padis_gui.core.exports.animation import encoder
from padis_gui.core.settings._j_declarations__core_settings import make, specs
from padis_gui.core.settings.errors import PadisError
from padis_gui.gui.kit._j_forms__gui_forms import SettingsForm
from padis_gui.gui.kit._j_widgets__gui_layouts import button_row, column, muted, push_button

_ALL = tuple(spec.name for spec in specs(ExportSettings))


class ExportDialog(QDialog):
    """A form of :class:`ExportSettings`; ``chosen`` is called with them once they are.

    ``kept`` says how many iterates there are to be written.
    """

    def __init__(
        self, parent: QWidget, settings: ExportSettings, kept: str, chosen: Callable[[ExportSettings], object]
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Export")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.settings, self._kept, self._chosen = settings, kept, chosen
        self.form = SettingsForm(ExportSettings, basic=_ALL)
        self.form.edited.connect(self._set)
        self.note = muted(wordWrap=True)
        self.trouble = QLabel(wordWrap=True)
        self.export = push_button("&Export…", "Choose where to write it (Enter)", self._take)
        self.export.setDefault(True)
        cancel = push_button("&Cancel", "Close without writing anything (Esc)", self.reject)
        layout = column(self, spacing=8, margins=(12, 12, 12, 12))
        for widget in (self.form, self.note, self.trouble):
            layout.addWidget(widget)
        layout.addStretch(1)
        layout.addLayout(button_row(self.export, cancel))
        self._show()
        self.resize(440, 330)

    def _set(self, name: str, value: object) -> None:
        try:
            self.settings = make(ExportSettings, self.settings.model_dump() | {name: value})
            self.trouble.clear()
        except PadisError as error:
            self.trouble.setText(str(error))
        self._show()

    def _show(self) -> None:
        self.form.show_settings(self.settings)
        self.note.setText(self._words())

    def _words(self) -> str:
        """What will be written, in a sentence."""
        chosen = self.settings
        if chosen.what == "animation" and chosen.animation == "MP4" and encoder() is None:
            return "There is no ffmpeg on this machine, so MP4 cannot be made here; GIF always can."
        if chosen.what in ("iterates", "animation"):
            return self._kept
        if chosen.what == "result":
            exact = "Exactly the result, neither clipped nor rescaled."
            return (
                exact
                if chosen.values == "float32"
                else "The mapping, and what it clips, are stated in the file."
            )
        if chosen.what == "curves":
            return "A line for each step, with its units in the heads."
        return "One page for any browser, with pictures, curves, settings and the recipe; print it for a PDF."

    def _take(self) -> None:
        self.accept()
        self._chosen(self.settings)
