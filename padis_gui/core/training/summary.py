"""What became of a training, in one row of a table: read from its log, or from its prior where there is none."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from padis_gui.core.checkpoint import summarise_prior
from padis_gui.core.errors import CheckpointError, InputError
from padis_gui.core.training.log import LOG_FILE, read_log
from padis_gui.core.training.request import REQUEST_FILE
from padis_gui.core.training.state import PRIOR_FILE, STATE_FILE

_FILES = (LOG_FILE, PRIOR_FILE, STATE_FILE, REQUEST_FILE)


@dataclass
class TrainingSummary:
    """How far a training came and how good it is; what nobody measured is NaN or 0.

    ``loss`` is the running average at the end, ``validation`` the least so far, ``psnr`` that of the last quick
    reconstruction in dB, against ``baseline_psnr``. ``state`` is "done", "stopped early" or "unfinished".
    """

    folder: Path
    name: str = ""
    step: int = 0
    total: int = 0
    patches_seen: int = 0
    seconds: float = 0.0
    loss: float = math.nan
    psnr: float = math.nan
    baseline_psnr: float = math.nan
    parameters: int = 0
    state: str = "unfinished"
    validations: dict[int, float] = field(default_factory=dict)

    @property
    def validation(self) -> float:
        """The least of the validation losses; NaN before the first one."""
        return min(self.validations.values(), default=math.nan)

    def add(self, event: dict[str, Any]) -> None:
        """Take the next event of the log; values that are no numbers count as unknown."""
        match event["event"]:
            case "data":
                self.name = str(event.get("name", ""))
                self.step, self.total = _whole(event, "step"), _whole(event, "total")
                self.parameters = _whole(event, "parameters")
                self.state = "unfinished"
                # resumed: what came after the checkpoint is made again
                self.validations = {s: loss for s, loss in self.validations.items() if s <= self.step}
            case "step":
                self.step, self.total = _whole(event, "step"), _whole(event, "total")
                self.patches_seen = _whole(event, "patches_seen")
                self.seconds, self.loss = _number(event, "seconds"), _number(event, "average")
            case "validation" if math.isfinite(loss := _number(event, "loss")):
                self.validations[_whole(event, "step")] = loss
            case "look":
                self.psnr, self.baseline_psnr = _number(event, "psnr"), _number(event, "baseline_psnr")
            case "done":
                self.step = _whole(event, "step")
                self.state = "stopped early" if event.get("stopped") else "done"


def trainings_in(folders: Iterable[Path]) -> list[Path]:
    """The folders of trainings among ``folders``, and one level below those that are none themselves.

    Raises :class:`InputError` for a folder without any.
    """
    found: list[Path] = []
    for folder in folders:
        if _holds_one(folder):
            found.append(folder)
            continue
        try:
            inside = sorted(path for path in folder.iterdir() if path.is_dir() and _holds_one(path))
        except OSError as error:
            raise InputError(
                f"A folder of trainings was wanted, but {folder} cannot be read ({error.strerror}); check its name."
            ) from None
        if not inside:
            raise InputError(
                f"A folder of trainings was wanted, but there is none in {folder}; name what was --out in one."
            )
        found += inside
    return list(dict.fromkeys(found))


def summarise_training(folder: Path) -> TrainingSummary:
    """What the log in a training's folder comes to, or, where there is none, what its prior says of the training.

    Where neither is there, all is unknown: nothing is raised.
    """
    summary = TrainingSummary(folder=folder)
    events = 0
    for event in read_log(folder):
        summary.add(event)
        events += 1
    if not events and (folder / PRIOR_FILE).is_file():
        _from_prior(summary)
    summary.name = summary.name or folder.resolve().name
    return summary


def _from_prior(summary: TrainingSummary) -> None:
    """What the prior says of its training, for those without a log."""
    try:
        record, summary.parameters = summarise_prior(summary.folder / PRIOR_FILE)
    except CheckpointError:
        return
    training, settings = record.training, record.training.get("settings")
    summary.name = record.name
    summary.step, summary.patches_seen = _whole(training, "steps"), _whole(training, "patches_seen")
    summary.total = _whole(settings, "steps") if isinstance(settings, dict) else 0
    summary.seconds, summary.loss = _number(training, "seconds"), _number(training, "loss")
    if summary.total and summary.step >= summary.total:
        summary.state = "done"


def _holds_one(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _FILES)


def _number(values: dict[str, Any], name: str) -> float:
    value = values.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _whole(values: dict[str, Any], name: str) -> int:
    value = _number(values, name)
    return int(value) if math.isfinite(value) else 0
