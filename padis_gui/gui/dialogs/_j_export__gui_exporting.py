"""Exporting from the window: what, in which form, and where to; the session's I/O thread writes it."""

from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from padis_gui.core.exports._j_settings__core_data_export_settings import ExportSettings
from padis_gui.gui.dialogs._j_export__gui_dialogs_export import ExportDialog
from padis_gui.gui.kit._j_files__gui_files import CSVS, TIFFS, choose_folder, choose_to_write
from padis_gui.viewmodels.runs.runs import RunRecord
from padis_gui.viewmodels.session._j_session__viewmodels_session import Session
from padis_gui.viewmodels.session.exporting import Exported, proposed_name, run_of, shown_run
from padis_gui.viewmodels.state._j_preferences__viewmodels_preferences import Preferences

_KINDS = {
    ".tif": TIFFS, ".gif": "GIF (*.gif)", ".mp4": "MP4 (*.mp4)", ".csv": CSVS, ".html": "HTML (*.html)",
}  # fmt: skip


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
        if len(runs) > 1:
            choose_folder(
                self._window, f"Export {len(runs)} runs into a folder",
                lambda folder: self._write_runs(folder_names(list(records), folder, settings.suffix), settings),
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
        choose_to_write(self._window, "Export", _KINDS[settings.suffix], name, write, start)

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
