"""Exporting from the window: what, in which form, and where to; the session's I/O thread writes it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QDialog, QLabel, QWidget

from padis_gui.core.exports.registry import ExportSettings
from padis_gui.core.settings.declarations import make, specs
from padis_gui.core.settings.errors import PadisError
from padis_gui.gui.dialogs.export_names import ExportNames
from padis_gui.gui.kit.files import ANY_FILE, choose_to_open, choose_to_write
from padis_gui.gui.kit.forms import SettingsForm
from padis_gui.gui.kit.widgets import button_row, column, muted, push_button
from padis_gui.viewmodels.runs.runs import RunRecord
from padis_gui.viewmodels.session.exporting import Exported, proposed_name, run_of, shown_run
from padis_gui.viewmodels.session.sending import Viewer, found, not_found, outbox, start, write_for
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.state.preferences import Preferences

_ALL = tuple(spec.name for spec in specs(ExportSettings))


class ExportDialog(QDialog):
    """A form of :class:`ExportSettings`; ``chosen`` is called with them once they are.

    ``kept`` says how many iterates there are to be written, ``names`` what several files will be called;
    ``what`` names the run.
    """

    def __init__(
        self,
        parent: QWidget,
        settings: ExportSettings,
        kept: str,
        chosen: Callable[[ExportSettings], object],
        names: ExportNames | None = None,
        *,
        what: str = "",
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Export {what}".strip())
        self._wrong = ""
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.settings, self._kept, self._chosen, self.names = settings, kept, chosen, names
        self.form = SettingsForm(ExportSettings, basic=_ALL)
        self.form.edited.connect(self._set)
        self.note = muted(wordWrap=True)
        self.trouble = QLabel(wordWrap=True)
        asks = names is None
        self.export = push_button(
            "&Export…" if asks else "&Export", "Choose where to write it (Enter)" if asks else "Write them (Enter)",
            self._take,
        )  # fmt: skip
        self.export.setDefault(True)
        cancel = push_button("&Cancel", "Close without writing anything (Esc)", self.reject)
        layout = column(self, spacing=8, margins=(12, 12, 12, 12))
        for widget in (self.form, self.note):
            layout.addWidget(widget)
        if names is not None:
            names.changed.connect(self._show_trouble)
            layout.addWidget(names, 1)
        layout.addWidget(self.trouble)
        if asks:
            layout.addStretch(1)
        layout.addLayout(button_row(self.export, cancel))
        self._show()
        self.resize(440, 330 if asks else 460)

    def _set(self, name: str, value: object) -> None:
        try:
            self.settings = make(ExportSettings, self.settings.model_dump() | {name: value})
            self._wrong = ""
        except PadisError as error:
            self._wrong = str(error)
        self._show()

    def _show(self) -> None:
        self.form.show_settings(self.settings)
        self.note.setText(self.settings.kind.note(self.settings, self._kept))
        if self.names is not None:
            self.names.set_suffix(self.settings.file_type.suffixes[0])
        self._show_trouble()

    def _show_trouble(self) -> None:
        """A setting that was refused is at its old value; names that cannot be are not written."""
        wrong = self.names.trouble if self.names is not None else ""
        self.trouble.setText(self._wrong or wrong)
        self.export.setEnabled(not wrong)

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
        """Export runs of the list: one into a file, several into a folder under names by a pattern."""
        if records:
            self._ask([run_of(self._session, record) for record in records], records)

    def send_shown(self, viewer: Viewer) -> None:
        """Open what is shown in another program; where that is not found, say so and let it be chosen."""
        run = shown_run(self._session)
        if run is None:
            return
        program = found(viewer, self._preferences.window(f"program {viewer.name}"))
        if program:
            self._session.spawn(self._send(viewer, program, run))
            return
        self._session.message.emit("warning", not_found(viewer), "")
        choose_to_open(
            self._window, f"Choose {viewer.name}", ANY_FILE, partial(self._choose_viewer, viewer, run)
        )

    def _choose_viewer(self, viewer: Viewer, run: Exported, path: Path) -> None:
        if found(viewer, str(path)) != str(path):
            self._session.message.emit(
                "error", f"A program was wanted, but {path.name} is none that can be run; choose another.", ""
            )
            return
        self._preferences.keep_window(**{f"program {viewer.name}": str(path)})
        self._session.spawn(self._send(viewer, str(path), run))

    async def _send(self, viewer: Viewer, program: str, run: Exported) -> None:
        try:
            files = await self._session.io(write_for, viewer, run, outbox())
            self._session.message.emit("info", start(viewer, program, files), "")
        except PadisError as error:
            self._session.message.emit("error", str(error), "")

    def _ask(self, runs: list[Exported], records: tuple[RunRecord, ...]) -> None:
        kept = [len(run.history.steps) for run in runs]
        words = (
            f"{kept[0]} iterates of {runs[0].history.total} steps"
            if len(kept) == 1
            else f"{sum(kept)} iterates"
        )
        names = ExportNames(self._session, self._preferences, records) if len(records) > 1 else None

        def write(settings: ExportSettings) -> None:
            self._preferences.set_export(settings)
            if names is None:
                self._where(runs[0], records, settings)
            else:
                names.remember()
                self._write_runs(list(zip(records, names.paths, strict=True)), settings)

        what = self._name(runs[0]) if len(runs) == 1 else f"{len(runs)} runs"
        ExportDialog(
            self._window, self._preferences.export, f"{words} are kept in memory, and will be written.", write, names,
            what=what,
        ).open()  # fmt: skip

    def _name(self, run: Exported) -> str:
        """What the list calls a run, also the one that has just ended."""
        listed = self._session.runs.records
        return next((record.name for record in listed if record.recipe == run.recipe), run.name)

    def _where(self, run: Exported, records: tuple[RunRecord, ...], settings: ExportSettings) -> None:
        def write(path: Path) -> None:
            self._preferences.went_to("export", path)
            if records:
                self._write_runs([(records[0], path)], settings)
            else:
                self._session.spawn(self._session.export(path, settings))

        kind, start = settings.file_type, self._preferences.folder_of("export")
        files = f"{kind.name} ({' '.join('*' + suffix for suffix in kind.suffixes)})"
        choose_to_write(self._window, "Export", files, proposed_name(run, settings), write, start)

    def _write_runs(self, named: list[tuple[RunRecord, Path]], settings: ExportSettings) -> None:
        self._session.spawn(self._session.export_runs(named, settings))
