"""One run of the list as a JSON file beside its TIFF."""

import base64
import math
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from padis_gui.core.exports._j_about__core_data_stored import read_result
from padis_gui.core.images._j_image__core_data_image import Image
from padis_gui.core.images._j_metrics__core_uncertainty import Calibration
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.runs.engine import Result
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.solvers.registry import find_solver
from padis_gui.viewmodels.pictures._j_frames__viewmodels_frames import CurvePoint
from padis_gui.viewmodels.pictures._j_frames__viewmodels_history import History
from padis_gui.viewmodels.runs.runs import THUMBNAIL_SIDE, RunRecord

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
    unit: str = ""
    window: tuple[float, float] = (0.0, 1.0)
    spacing: tuple[float, float] | None = None
    image_name: str = ""
    page: int = 0
    total: int = 0
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
            unit=result.image.unit, window=result.image.window, spacing=result.image.spacing,
            image_name=result.image.name, page=result.image.page, total=record.history.total,
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
    return RunRecord(
        id=saved.id, name=saved.name, recipe=saved.recipe, metrics=metrics, seconds=saved.seconds,
        evaluations=saved.evaluations, when=saved.when, state=saved.state, thumbnail=saved.picture(),
        history=history, pinned=saved.pinned, group=saved.group, note=saved.note,
        calibration=saved.calibration, load=partial(_read, saved, path),
    )  # fmt: skip


def _read(saved: SavedRun, path: Path) -> Result:
    stored = read_result(path)
    image = Image(
        pixels=stored.estimate, unit=saved.unit, window=saved.window, spacing=saved.spacing,
        name=saved.image_name, page=saved.page,
    )  # fmt: skip
    return Result(
        recipe=saved.recipe, image=image, deviation=stored.deviation,
        metrics={name: math.nan if v is None else v for name, v in saved.metrics.items()},
        seconds=saved.seconds, evaluations=saved.evaluations, interval=stored.interval, sha256=stored.about.sha256,
    )  # fmt: skip


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
