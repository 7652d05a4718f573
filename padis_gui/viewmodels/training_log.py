"""What a training says of itself, event by event, as the curves of a window: plain numbers, without Qt.

The events are those of :mod:`padis_gui.core.training.events`. A log may go back to an earlier step, where a training
was resumed from its last checkpoint: the later events hold.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from padis_gui.core.training.log import read_log

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LookPoint:
    """What a look measured at a step: PSNR in dB of the quick reconstruction and of its baseline."""

    step: int
    psnr: float
    ssim: float
    baseline_psnr: float
    baseline_name: str
    file: str


class TrainingHistory:
    """The curves of one training. ``losses`` and ``levels`` have a value (or NaN) for each of ``steps``."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.seconds: list[float] = []  # since the training began, pauses between resumes left out
        self.average: list[float] = []
        self.losses: dict[int, list[float]] = {}  # by patch size
        self.levels: list[list[float]] = []  # by noise-level bin, lowest first
        self.validation: list[tuple[int, float]] = []
        self.looks: list[LookPoint] = []
        self.warnings: list[str] = []
        self.data: dict[str, Any] = {}
        self.total = 0
        self.left = math.nan  # seconds to the end
        self.patches_per_second = math.nan
        self.memory = 0
        self.saved_step = 0
        self.finished = False
        self.reason = ""  # why it ended before the last step
        self.unreadable = 0

    @property
    def step(self) -> int:
        """The last step that was reported."""
        return self.steps[-1] if self.steps else self.saved_step

    @property
    def started(self) -> bool:
        """Whether any step has been reported."""
        return bool(self.steps)

    def minutes_at(self, steps: Iterable[int]) -> list[float]:
        """Minutes of training at these steps, between the reported ones in proportion."""
        import numpy as np

        if not self.steps:
            return [math.nan for _ in steps]
        return [float(m) for m in np.interp(list(steps), self.steps, self.seconds) / 60]

    def take(self, event: Event) -> str:
        """Take one event; returns its name, "" for a malformed one, which is counted and left out."""
        try:
            return self.add(event)
        except (ValueError, TypeError, LookupError, OverflowError):
            self.unreadable += 1
            return ""

    def add(self, event: Event) -> str:
        """Take one event; returns its name. Raises ValueError, TypeError or LookupError for a malformed one."""
        name = str(event["event"])
        match name:
            case "data":
                step, self.total = _whole(event["step"]), _whole(event["total"])
                self._forget_from(step + 1)
                self.data = dict(event)
            case "step":
                self._add_step(event)
            case "validation":
                step, loss = _whole(event["step"]), _number(event["loss"])
                self.validation = [*(point for point in self.validation if point[0] < step), (step, loss)]
            case "look":
                self._add_look(event)
            case "saved":
                self.saved_step = _whole(event["step"])
            case "warning":
                self.warnings.append(str(event["message"]))
            case "done":
                self.finished = True
                self.reason = str(event.get("stopped") or "")
        return name

    def _add_step(self, event: Event) -> None:
        step, total = _whole(event["step"]), _whole(event["total"])
        losses = {int(patch): _number(loss) for patch, loss in dict(event.get("losses") or {}).items()}
        levels = [_number(level) for level in event.get("levels") or ()]
        average, seconds = _number(event["average"]), _number(event["seconds"])
        self._forget_from(step)
        known = len(self.steps)
        self.steps.append(step)
        self.seconds.append(seconds)
        self.average.append(average)
        for patch in losses.keys() | self.losses.keys():
            self.losses.setdefault(patch, [math.nan] * known).append(losses.get(patch, math.nan))
        while len(self.levels) < len(levels):
            self.levels.append([math.nan] * known)
        for index, series in enumerate(self.levels):
            series.append(levels[index] if index < len(levels) else math.nan)
        self.total, self.finished, self.reason = total, False, ""
        self.left = _number(event.get("left"))
        self.patches_per_second = _number(event.get("patches_per_second"))
        self.memory = _whole(event.get("memory", 0))

    def _add_look(self, event: Event) -> None:
        point = LookPoint(
            step=_whole(event["step"]),
            psnr=_number(event.get("psnr")),
            ssim=_number(event.get("ssim")),
            baseline_psnr=_number(event.get("baseline_psnr")),
            baseline_name=str(event.get("baseline_name") or ""),
            file=str(event["file"]),
        )
        self.looks = [*(look for look in self.looks if look.step < point.step), point]

    def _forget_from(self, step: int) -> None:
        """Drop what lies at or after this step: a resumed training goes through it again."""
        if not self.steps or self.steps[-1] < step:
            return
        kept = bisect_left(self.steps, step)
        del self.steps[kept:]
        for series in (self.seconds, self.average, *self.losses.values(), *self.levels):
            del series[kept:]
        # what was measured at this very step may have been reported before it
        self.looks = [look for look in self.looks if look.step <= step]
        self.validation = [point for point in self.validation if point[0] <= step]


def read_history(folder: Path) -> TrainingHistory:
    """The history of the training in a folder; an empty one where there is no log or it cannot be read."""
    history = TrainingHistory()
    for event in read_log(Path(folder)):
        history.take(event)
    return history


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("a number was wanted")
    return int(value)


def _number(value: Any) -> float:
    """A finite number, or NaN for null and what JSON cannot say."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("a number was wanted")
    return float(value) if math.isfinite(value) else math.nan
