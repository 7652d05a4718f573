"""What a training says on its way: one frozen record an event, as Python sees it and as a line of JSON."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from padis_gui.core.training._j_looks__core_training_sight import Look
from padis_gui.core.training._j_sources__core_training_sources import Skipped
from padis_gui.core.training._j_train__core_training_train import TrainStep


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainEvent:
    """Something that happened after ``step`` steps. ``logged`` ones go into the log, too."""

    event: ClassVar[str] = ""

    step: int

    @property
    def logged(self) -> bool:
        """Whether the log keeps it."""
        return True

    def record(self) -> dict[str, Any]:
        """The event as plain values: its name under ``event``, and its fields."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"event": self.event, **values}

    def line(self, **more: float) -> str:
        """The event, and ``more`` about it, as one line of JSON without its end; what is not finite is null."""
        return json.dumps(_plain(self.record() | more), ensure_ascii=False, allow_nan=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRead(TrainEvent):
    """The data were read and the training is about to go on from ``step``.

    ``validation`` counts the images kept aside; ``window`` holds the intensities in ``unit`` that became 0 and 1.
    """

    event: ClassVar[str] = "data"

    total: int
    name: str
    images: int
    subjects: int
    validation: int
    image_size: int
    channels: int
    window: tuple[float, float]
    unit: str
    skipped: tuple[Skipped, ...]
    parameters: int
    device: str
    precision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepped(TrainEvent):
    """One optimiser step was made; see :class:`TrainStep`. ``left`` is the time to the end in seconds."""

    event: ClassVar[str] = "step"

    made: TrainStep
    patches_per_second: float
    left: float
    noted: bool = True

    @property
    def logged(self) -> bool:
        """Only some of the steps are: as many as curves need."""
        return self.noted

    def record(self) -> dict[str, Any]:
        made = {field.name: getattr(self.made, field.name) for field in fields(self.made)}
        kept = {name: value for name, value in made.items() if name not in ("validation", "saved", "stopped")}
        return {
            "event": self.event, **kept, "patches_per_second": self.patches_per_second, "left": self.left,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated(TrainEvent):
    """The weighted denoising loss (as in training, without unit) on the data kept aside."""

    event: ClassVar[str] = "validation"

    loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking(TrainEvent):
    """A look begins, which takes a while."""

    event: ClassVar[str] = "looking"

    @property
    def logged(self) -> bool:
        """False: what is logged is what was seen, :class:`Looked`."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked(TrainEvent):
    """A look at the prior so far. ``file`` is where it lies in the training's folder, empty where it could not be
    written."""

    event: ClassVar[str] = "look"

    look: Look
    file: str

    def record(self) -> dict[str, Any]:
        names = (
            "psnr", "ssim", "baseline_psnr", "baseline_ssim", "problem", "baseline_name", "seconds", "trouble",
        )  # fmt: skip
        seen = {name: getattr(self.look, name) for name in names}
        return {"event": self.event, "step": self.step, "file": self.file, **seen}


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved(TrainEvent):
    """A checkpoint of this step is on the disk."""

    event: ClassVar[str] = "saved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned(TrainEvent):
    """Something went wrong that the training survives."""

    event: ClassVar[str] = "warning"

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(TrainEvent):
    """The training is at its end. ``stopped`` says why where that came early, ``prior`` names the file."""

    event: ClassVar[str] = "done"

    stopped: str
    prior: str
    seconds: float


def _plain(value: Any) -> Any:
    """A value as JSON can hold it; six digits are plenty."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    if isinstance(value, Skipped):
        return {"name": value.name, "reason": value.reason}
    return value
