"""Sets of samples as entries of the list: mean, deviation, interval, and how well they foretell the error.

Results of the list are sources of pictures, each under its name; read when somebody looks at one.
"""

import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial

from PySide6.QtCore import QObject

from padis_gui.core.images.image import Pixels
from padis_gui.core.images.metrics import LEVEL
from padis_gui.core.runs.opened import Prepared
from padis_gui.core.runs.repeat import of_samples
from padis_gui.viewmodels.pictures.frames import History, for_display, grey
from padis_gui.viewmodels.pictures.pictures import LazyPicture, PictureSet
from padis_gui.viewmodels.pictures.planes import Place, Plane, take
from padis_gui.viewmodels.pictures.sources import Origin, PaneSource, Scale
from padis_gui.viewmodels.pictures.volumes import grid_of
from padis_gui.viewmodels.runs.runs import RunRecord, Runs, shape_of, thumbnail


def gather(group: str, members: Sequence[RunRecord], prepared: Prepared | None) -> RunRecord:
    """The record of a set of samples, with ``group`` as its id. ``prepared`` is what they were drawn for.

    Raises :class:`~padis_gui.core.settings.errors.SettingError` for fewer than two.
    """
    results = [result for member in members if (result := member.result) is not None]
    found, calibration = of_samples(results, prepared)
    first = results[0].recipe
    alike = all(r.recipe.model_copy(update={"seed": first.seed}) == first for r in results)
    note = f"mean, deviation, {LEVEL:.0%} interval"
    if not alike:  # the recipe of a set has one list of live changes
        note += "; some were steered while they ran, so that the set repeats as its first sample went"
    return RunRecord(
        id=group, name=f"{len(results)} samples", recipe=found.recipe, metrics=found.metrics, seconds=found.seconds,
        evaluations=found.evaluations, when=datetime.now(UTC), state="Samples", thumbnail=thumbnail(found.image),
        history=History(0), shape=shape_of(found), unit=found.unit, note=note, calibration=calibration, _result=found,
    )  # fmt: skip


def new_group() -> str:
    """An id for a set of samples."""
    return uuid.uuid4().hex[:12]


def interval_pictures(record: RunRecord | None) -> dict[str, LazyPicture | None]:
    """The interval of a set of samples as pictures by source, each made when somebody looks; None for other runs."""
    keys = ("interval_low", "interval_high", "interval_width")
    if record is None or not record.recipe.sample_seeds:
        return dict.fromkeys(keys)

    def end(which: int) -> Pixels | None:
        result = record.result
        return None if result is None or result.interval is None else for_display(result.interval[which])

    def width() -> Pixels | None:
        low, high = end(0), end(1)
        return None if low is None or high is None else grey(high - low)

    return dict(zip(keys, (partial(end, 0), partial(end, 1), width), strict=True))


_PREFIX = "run:"


def run_key(identity: str) -> str:
    """The source of the run with that id."""
    return _PREFIX + identity


def run_id(key: str) -> str:
    """The id of the run behind a source."""
    return key.removeprefix(_PREFIX)


class RunSources(QObject):
    """Keeps the sources of runs as the list has them. ``shown`` says which sources are looked at now, ``place`` where the
    crosshair is in volumes, of which the axial plane is seen.
    """

    def __init__(
        self,
        runs: Runs,
        picture_set: PictureSet,
        shown: Callable[[], Iterable[str]],
        place: Callable[[], Place] = lambda: Place(0, 0, 0),
    ) -> None:
        super().__init__(picture_set)
        self._runs, self._picture_set, self._shown, self._place = runs, picture_set, shown, place
        self._names: dict[str, str] = {}
        runs.changed.connect(self._follow)
        self._follow()

    def _follow(self) -> None:
        records = {run_key(record.id): record for record in self._runs.records}
        for key in [key for key in self._names if key not in records]:
            del self._names[key]
            self._picture_set.unregister(key)
        others = {key: record for key, record in records.items() if self._names.get(key) != record.name}
        if others:
            new = {key: self._picture_of(record) for key, record in others.items() if key not in self._names}
            self._names |= {key: record.name for key, record in others.items()}
            self._picture_set.offer_all(_source(key, record) for key, record in others.items())
            self._picture_set.set_pictures(new)

    def _picture_of(self, record: RunRecord) -> Callable[[], Pixels | None]:
        return partial(_picture, record, self._place)

    def move(self) -> None:
        """The crosshair is elsewhere: the planes of volumes are others."""
        volumes = {run_key(r.id): r for r in self._runs.records if r.recipe.stack is not None}
        made = {key: self._picture_of(r) for key, r in volumes.items() if self._picture_set.is_made(key)}
        if made:
            self._picture_set.set_pictures(made)

    def release(self) -> None:
        """Let go of the pictures that nobody looks at any more."""
        looked_at = set(self._shown())
        records = {run_key(record.id): record for record in self._runs.records}
        self._picture_set.set_pictures(
            {
                key: self._picture_of(record)
                for key, record in records.items()
                if key not in looked_at and self._picture_set.is_made(key)
            }
        )


def _source(key: str, record: RunRecord) -> PaneSource:
    return PaneSource(
        key=key, label=record.name, short=record.name, origin=Origin.RUNS, scale=Scale.IMAGE,
        help=f"The result of {record.name}: {record.solver_label}, seed {record.recipe.seed}",
    )  # fmt: skip


def _picture(record: RunRecord, place: Callable[[], Place]) -> Pixels | None:
    result = record.result
    if result is None:
        return None
    if result.image.is_volume:
        return take(result.pixels, Plane.AXIAL, grid_of(result.image).inside(place()).slice)
    return for_display(result.pixels)
