"""Exporting from the window: what, in which form, and where to; the session's I/O thread writes it."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QDialog, QLabel, QWidget

from padis_gui.core.exports.registry import ExportSettings
from padis_gui.core.settings.declarations import make, specs
from padis_gui.core.settings.errors import PadisError
from padis_gui.gui.kit.files import choose_folder, choose_to_write
from padis_gui.gui.kit.forms import SettingsForm
from padis_gui.gui.kit.widgets import button_row, column, muted, push_button
from padis_gui.viewmodels.runs.runs import RunRecord
from padis_gui.viewmodels.session.exporting import Exported, proposed_name, run_of, shown_run
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.state.preferences import Preferences

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
        self.note.setText(self.settings.kind.note(self.settings, self._kept))

    def _take(self) -> None:
        self.accept()
        self._chosen(self.settings)


class Exporting(QObject):
    """Asks what is wanted, then where it goes; both are remembered."""

    def __init__(self, window: QWidget, session: Session, preferences: Preferences) -> None:
        super().__init__(window)
        self._window, self._session, self._preferences = window, session, preferences

    def choose_shown(self) -> None:
        """Export what is shown."""
        run = shown_run(self._session)
        if run is not None:
            self._ask([run], ())

    def choose_runs(self, records: tuple[RunRecord, ...]) -> None:
        """Export runs of the list: one into a file, several into a folder under their names."""
        if records:
            self._ask([run_of(self._session, record) for record in records], records)

    def _ask(self, runs: list[Exported], records: tuple[RunRecord, ...]) -> None:
        kept = [len(run.history.steps) for run in runs]
        words = (
            f"{kept[0]} iterates of {runs[0].history.total} steps"
            if len(kept) == 1
            else f"{sum(kept)} iterates"
        )
        ExportDialog(
            self._window, self._preferences.export, f"{words} are kept in memory, and will be written.",
            lambda settings: self._where(runs, records, settings),
        ).open()  # fmt: skip

    def _where(self, runs: list[Exported], records: tuple[RunRecord, ...], settings: ExportSettings) -> None:
        self._preferences.set_export(settings)
        start = self._preferences.folder_of("export")
        kind = settings.file_type
        if len(runs) > 1:
            choose_folder(
                self._window, f"Export {len(runs)} runs into a folder",
                lambda folder: self._write_runs(folder_names(list(records), folder, kind.suffixes[0]), settings),
                start,
            )  # fmt: skip
            return

        def write(path: Path) -> None:
            if records:
                self._write_runs([(records[0], path)], settings)
            else:
                self._preferences.went_to("export", path)
                self._session.spawn(self._session.export(path, settings))

        name = proposed_name(runs[0], settings)
        files = f"{kind.name} ({' '.join('*' + suffix for suffix in kind.suffixes)})"
        choose_to_write(self._window, "Export", files, name, write, start)

    def _write_runs(self, named: list[tuple[RunRecord, Path]], settings: ExportSettings) -> None:
        if named:
            self._preferences.went_to("export", named[0][1])
            self._session.spawn(self._session.export_runs(named, settings))


def folder_names(
    records: list[RunRecord], folder: Path, suffix: str = ".tif"
) -> list[tuple[RunRecord, Path]]:
    """A file name for each record in a folder, none twice and none that exists."""
    taken: set[Path] = set()
    named = []
    for record in records:
        stem = "".join(c if c.isalnum() or c in "-_. " else "_" for c in record.name).strip(". ") or "run"
        path, number = folder / f"{stem}{suffix}", 2
        while path in taken or path.exists():
            path, number = folder / f"{stem} {number}{suffix}", number + 1
        taken.add(path)
        named.append((record, path))
    return named
