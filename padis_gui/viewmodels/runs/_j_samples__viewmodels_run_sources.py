"""The results of the list of runs as sources, each under its name; read when somebody looks at one."""

from collections.abc import Callable, Iterable
from functools import partial

from PySide6.QtCore import QObject

from padis_gui.viewmodels.pictures._j_frames__viewmodels_frames import Pixels, for_display
from padis_gui.viewmodels.pictures.pictures import Gallery
from padis_gui.viewmodels.pictures.sources import Origin, PaneSource, Scale
from padis_gui.viewmodels.runs.runs import RunRecord, Runs

_PREFIX = "run:"


def run_key(identity: str) -> str:
    """The source of the run with that id."""
    return _PREFIX + identity


def run_id(key: str) -> str:
    """The id of the run behind a source."""
    return key.removeprefix(_PREFIX)


class RunSources(QObject):
    """Keeps the gallery's sources of runs as the list has them. ``shown`` says which sources are looked at now."""

    def __init__(self, runs: Runs, gallery: Gallery, shown: Callable[[], Iterable[str]]) -> None:
        super().__init__(gallery)
        self._runs, self._gallery, self._shown = runs, gallery, shown
        self._names: dict[str, str] = {}
        runs.changed.connect(self._follow)
        self._follow()

    def _follow(self) -> None:
        records = {run_key(record.id): record for record in self._runs.records}
        for key in [key for key in self._names if key not in records]:
            del self._names[key]
            self._gallery.unregister(key)
        for key, record in records.items():
            if self._names.get(key) != record.name:
                new = key not in self._names
                self._names[key] = record.name
                self._gallery.register(_source(key, record))
                if new:
                    self._gallery.set_pictures({key: partial(_picture, record)})

    def release(self) -> None:
        """Let go of the pictures that nobody looks at any more."""
        looked_at = set(self._shown())
        records = {run_key(record.id): record for record in self._runs.records}
        self._gallery.set_pictures(
            {
                key: partial(_picture, record)
                for key, record in records.items()
                if key not in looked_at and self._gallery.is_made(key)
            }
        )


def _source(key: str, record: RunRecord) -> PaneSource:
    return PaneSource(
        key=key, label=record.name, short=record.name, origin=Origin.RUNS, scale=Scale.IMAGE,
        help=f"The result of {record.name}: {record.solver_label}, seed {record.recipe.seed}",
    )  # fmt: skip


def _picture(record: RunRecord) -> Pixels | None:
    result = record.result
    return None if result is None else for_display(result.pixels)
