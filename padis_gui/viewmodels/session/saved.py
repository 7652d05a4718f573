"""What is chosen, and the runs of the list, as plain values that a session keeps; a run is JSON beside its TIFF."""

import base64
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from padis_gui.core.exports.about import read_export, read_pages, read_result
from padis_gui.core.images.image import Image, Pixels, ReadingSettings
from padis_gui.core.images.metrics import Calibration
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.physics.settings import PhysicsSettings
from padis_gui.core.prior.slices import StackSettings
from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.runs.engine import Result
from padis_gui.core.runs.queue import QueuedRun
from padis_gui.core.runs.recipe import Recipe, check_seed
from padis_gui.core.settings.declarations import Settings, make
from padis_gui.core.settings.errors import InputError, PadisError
from padis_gui.core.solvers.adaptation import AdaptationSettings
from padis_gui.core.solvers.registry import find_solver
from padis_gui.viewmodels.pictures.frames import CurvePoint, History
from padis_gui.viewmodels.runs.runs import THUMBNAIL_SIDE, RunRecord, shape_of


class SavedChoices(BaseModel):
    """What is open and chosen, as a session keeps it. Unknown names in a file of another version are passed over."""

    model_config = ConfigDict(frozen=True)

    data: str | None = None
    page: int = 0
    slices: tuple[int, int] | None = None  # first and last page of a volume
    reading: dict[str, Any] = Field(default_factory=dict)
    prior: str | None = None
    across: str | None = None  # a prior across slices beside it
    stack: dict[str, Any] = Field(default_factory=dict)
    training_image_size: int | None = None
    physics: str
    problems: dict[str, dict[str, Any]] = Field(default_factory=dict)
    tiling: dict[str, Any] = Field(default_factory=dict)
    solver: str
    solvers: dict[str, dict[str, Any]] = Field(default_factory=dict)
    seed: int | None = None
    seed_of: str = ""  # the run that it came back with; the user's own one is then the next
    own_seed: int | None = None
    preset: str | None = None
    adapts: bool = False
    adaptation: dict[str, Any] = Field(default_factory=dict)


class SavedItem(QueuedRun):
    """A run that waits in the queue, as a session keeps it; its recipe need not be sealed."""

    group: str | None = None
    repeats: str | None = None


def changes(settings: Settings, default: Settings) -> dict[str, Any]:
    """The values that are not the defaults."""
    before = default.model_dump(mode="json")
    return {name: value for name, value in settings.model_dump(mode="json").items() if value != before[name]}


def choices_from(recipe: Recipe, name: str, own_seed: int | None) -> SavedChoices:
    """What a recipe was made of, at its start: live changes came later.

    Its seed is that of the run called ``name``, in the place of ``own_seed`` of the user.
    """
    is_snapshot = Path(recipe.prior.file).suffix == ".pkl"
    return SavedChoices(
        data=None if recipe.data is None else recipe.data.file,
        page=0 if recipe.data is None else recipe.data.page,
        slices=_ends(recipe),
        reading={} if recipe.data is None else changes(recipe.data.reading, ReadingSettings()),
        prior=recipe.prior.file,
        across=None if recipe.stack is None or recipe.stack.across is None else recipe.stack.across.file,
        stack={} if recipe.stack is None else changes(recipe.stack.settings, StackSettings()),
        training_image_size=recipe.prior.image_size if is_snapshot else None,
        physics=recipe.physics, problems={recipe.physics: recipe.problem},
        tiling=recipe.tiling.model_dump(mode="json"), solver=recipe.solver,
        solvers={recipe.solver: recipe.settings}, seed=recipe.seed, seed_of=name, own_seed=own_seed,
        adapts=recipe.adaptation is not None,
        adaptation={} if recipe.adaptation is None else changes(recipe.adaptation, AdaptationSettings()),
    )  # fmt: skip


def _ends(recipe: Recipe) -> tuple[int, int] | None:
    """The first and the last page of a recipe's volume, where all between them are in it."""
    if recipe.stack is None:
        return None
    first, last = recipe.stack.pages[0], recipe.stack.pages[-1]
    return (first, last) if recipe.stack.pages == tuple(range(first, last + 1)) else None


@dataclass
class Usable:
    """The settings of choices that this version knows and allows; ``complaints`` are about the rest, a sentence each."""

    reading: ReadingSettings = field(default_factory=ReadingSettings)
    problems: dict[str, PhysicsSettings] = field(default_factory=dict)
    tiling: TilingSettings = field(default_factory=TilingSettings)
    solvers: dict[str, Settings] = field(default_factory=dict)
    seed: int | None = None
    own_seed: int | None = None
    adaptation: AdaptationSettings = field(default_factory=AdaptationSettings)
    stack: StackSettings = field(default_factory=StackSettings)
    complaints: list[str] = field(default_factory=list)


def usable(choices: SavedChoices) -> Usable:
    """Check all settings; a bad one costs its own group only."""
    found = Usable()
    for name, values in choices.problems.items():
        with _complaining(found):
            found.problems[name] = make(find_physics(name).settings_type, values)
    for name, values in choices.solvers.items():
        with _complaining(found):
            found.solvers[name] = make(find_solver(name).settings_type, values)
    with _complaining(found):
        found.reading = make(ReadingSettings, choices.reading)
    with _complaining(found):
        found.tiling = make(TilingSettings, choices.tiling)
    with _complaining(found):
        found.stack = make(StackSettings, choices.stack)
    with _complaining(found):
        found.adaptation = make(AdaptationSettings, choices.adaptation)
    with _complaining(found):
        found.seed = None if choices.seed is None else check_seed(choices.seed)
        found.own_seed = None if choices.own_seed is None else check_seed(choices.own_seed)
    return found


@contextmanager
def _complaining(found: Usable) -> Iterator[None]:
    try:
        yield
    except PadisError as error:
        found.complaints.append(str(error))


_CURVES = ("sigma", "residual", "psnr", "seconds", "ssim", "seam_ratio")
_Side = Annotated[int, Field(ge=1, le=4 * THUMBNAIL_SIDE)]


class _Curves(BaseModel):
    """Points by column; null stands for what is not known or not finite."""

    model_config = ConfigDict(frozen=True)

    step: list[int] = []
    values: dict[str, list[float | None]] = {}

    def points(self) -> list[CurvePoint]:
        """The points; a column that is missing or short is unknown."""
        found = []
        for at, step in enumerate(self.step):
            columns = (self.values.get(name, []) for name in _CURVES)
            values = [column[at] if at < len(column) else None for column in columns]
            sigma, residual, psnr, seconds, ssim, seam_ratio = (math.nan if v is None else v for v in values)
            found.append(
                CurvePoint(
                    step=step, sigma=sigma, residual=residual, psnr=psnr, seconds=seconds, ssim=ssim,
                    seam_ratio=seam_ratio,
                )
            )  # fmt: skip
        return found


class SavedRun(BaseModel):
    """All of a record but its pictures and its iterates."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    format: Literal["padis-gui run"] = "padis-gui run"
    version: Literal[1] = 1
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    name: Annotated[str, Field(max_length=300)]
    pinned: bool = False
    group: str | None = None
    note: str = ""
    state: str = ""
    when: datetime
    seconds: float
    evaluations: int
    recipe: Recipe
    metrics: dict[str, float | None]
    shape: tuple[int, int, int] | None = None
    unit: str = ""
    window: tuple[float, float] = (0.0, 1.0)
    spacing: tuple[float, float] | None = None
    image_name: str = ""
    page: int = 0
    step: int | None = None  # what an earlier version did not write is in the curves
    total: int = 0
    sigma: float | None = None
    seam_ratio: float | None = None
    curves: _Curves = _Curves()
    thumbnail: str
    thumbnail_shape: tuple[_Side, _Side] | tuple[_Side, _Side, Literal[3]]
    calibration: Calibration | None = None

    @classmethod
    def of(cls, record: RunRecord) -> "SavedRun":
        """A record as it is now; its result must still be there."""
        result = record.result
        if result is None:
            raise ValueError(f"the result of {record.name} is gone")
        points = record.history.points
        return cls(
            id=record.id, name=record.name, pinned=record.pinned, group=record.group, note=record.note,
            state=record.state, when=record.when, seconds=record.seconds, evaluations=record.evaluations,
            recipe=record.recipe, metrics={name: _finite(value) for name, value in record.metrics.items()},
            shape=shape_of(result), unit=result.image.unit, window=result.image.window, spacing=result.image.spacing,
            image_name=result.image.name, page=result.image.page,
            step=record.step, total=record.total, sigma=_finite(record.sigma), seam_ratio=_finite(record.seam_ratio),
            curves=_Curves(
                step=[point.step for point in points],
                values={name: [_finite(getattr(point, name)) for point in points] for name in _CURVES},
            ),
            thumbnail=base64.b64encode(record.thumbnail.tobytes()).decode(),
            thumbnail_shape=record.thumbnail.shape,
            calibration=record.calibration,
        )  # fmt: skip

    def picture(self) -> NDArray[np.uint8]:
        """The thumbnail; raises :class:`ValueError` where it has not the size that it says."""
        data = np.frombuffer(base64.b64decode(self.thumbnail, validate=True), dtype=np.uint8)
        return data.reshape(self.thumbnail_shape).copy()


def saved_from(saved: SavedRun, path: Path) -> RunRecord:
    """The record of a saved run, whose result is read from ``path`` when it is wanted.

    Raises :class:`ValueError` or :class:`~padis_gui.core.settings.errors.SettingError` where it is of no use here.
    """
    find_solver(saved.recipe.solver)
    find_physics(saved.recipe.physics)
    history = History()
    for point in saved.curves.points():
        history.append(None, point, saved.total)
    metrics = {name: math.nan if value is None else value for name, value in saved.metrics.items()}
    step, sigma, ratio = _ending(saved, history)
    return RunRecord(
        id=saved.id, name=saved.name, recipe=saved.recipe, metrics=metrics, seconds=saved.seconds,
        evaluations=saved.evaluations, when=saved.when, state=saved.state, thumbnail=saved.picture(),
        history=history, step=step, total=saved.total, sigma=sigma, seam_ratio=ratio, shape=saved.shape, unit=saved.unit,
        pinned=saved.pinned, group=saved.group, note=saved.note,
        calibration=saved.calibration, load=partial(_read, saved, path),
    )  # fmt: skip


def _ending(saved: SavedRun, history: History) -> tuple[int, float, float]:
    """Step, noise level and seam ratio of the result."""
    if saved.step is None:
        last = history.points[-1] if history.points else None
        return (
            (0 if last is None else last.step),
            (math.nan if last is None else last.sigma),
            history.seam_ratio,
        )
    sigma, ratio = (math.nan if value is None else value for value in (saved.sigma, saved.seam_ratio))
    return saved.step, sigma, ratio


def volume_of(recipe: Recipe, pages: Sequence[Pixels], **known: Any) -> Image:
    """The estimate of a run on a volume, whose slices are ``pages``, each (1, rows, columns).

    Raises :class:`InputError` where these are not as many as the recipe says.
    """
    stack = recipe.stack
    assert stack is not None, "of a volume"
    if len(pages) != len(stack.pages):
        raise InputError(
            f"A volume of {len(stack.pages)} slices was wanted, but there are {len(pages)}; run its recipe again."
        )
    return Image(
        pixels=np.concatenate(pages), slices=stack.pages, slice_spacing=stack.settings.slice_spacing, **known
    )


def _read(saved: SavedRun, path: Path) -> Result:
    if saved.recipe.stack is not None:
        export = read_export(path)
        image = volume_of(
            saved.recipe, read_pages(export)[0], unit=saved.unit, window=saved.window, spacing=saved.spacing,
            name=saved.image_name, page=saved.page,
        )  # fmt: skip
        return Result(
            recipe=saved.recipe, image=image,
            metrics={name: math.nan if v is None else v for name, v in saved.metrics.items()},
            seconds=saved.seconds, evaluations=saved.evaluations, step=saved.step or 0, total=saved.total,
            sigma=math.nan if saved.sigma is None else saved.sigma, sha256=export.about.sha256,
        )  # fmt: skip
    stored = read_result(path)
    image = Image(
        pixels=stored.estimate, unit=saved.unit, window=saved.window, spacing=saved.spacing,
        name=saved.image_name, page=saved.page,
    )  # fmt: skip
    return Result(
        recipe=saved.recipe, image=image, deviation=stored.deviation,
        metrics={name: math.nan if v is None else v for name, v in saved.metrics.items()},
        seconds=saved.seconds, evaluations=saved.evaluations, step=saved.step or 0, total=saved.total,
        sigma=math.nan if saved.sigma is None else saved.sigma, interval=stored.interval, sha256=stored.about.sha256,
    )  # fmt: skip


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
