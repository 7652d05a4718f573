"""What trainings have left on the disk: their curves, how far they came and how good they are, and their folders.

A log is read event by event, those of :mod:`padis_gui.core.training.log`, as are the events of a training under way.
It may go back to an earlier step, where a training was resumed from its last checkpoint: the later events hold.
"""

import math
import time
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from padis_gui.core.prior.checkpoint import summarise_prior
from padis_gui.core.settings.errors import CheckpointError, InputError
from padis_gui.core.training.log import LOG_FILE, read_log
from padis_gui.core.training.plan import REQUEST_FILE, TrainingRequest, load_request
from padis_gui.core.training.state import PRIOR_FILE, STATE_FILE

Event = Mapping[str, Any]

_FILES = (REQUEST_FILE, LOG_FILE, STATE_FILE, PRIOR_FILE)
# Trainings log every few seconds, but a look may take a while
_QUIET_SECONDS = 20.0


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
        self.step = 0  # the last that was reported
        self.total = 0
        self.patches_seen = 0
        self.left = math.nan  # seconds to the end
        self.patches_per_second = math.nan
        self.memory = 0
        self.saved_step = 0
        self.finished = False
        self.reason = ""  # why it ended before the last step
        self.unreadable = 0

    @property
    def started(self) -> bool:
        """Whether any step has been reported."""
        return bool(self.steps)

    @property
    def best_validation(self) -> float:
        """The least loss on the images kept aside; NaN where none was measured."""
        return min((loss for _, loss in self.validation if math.isfinite(loss)), default=math.nan)

    def minutes_at(self, steps: Iterable[int]) -> list[float]:
        """Minutes of training at these steps, between the reported ones in proportion."""
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
                self.step, self.total = _whole(event["step"]), _whole(event["total"])
                self._forget_from(self.step + 1)
                self.data, self.finished, self.reason = dict(event), False, ""
            case "step":
                self._add_step(event)
            case "validation":
                step, loss = _whole(event["step"]), _number(event["loss"])
                self.validation = [*(point for point in self.validation if point[0] < step), (step, loss)]
            case "look":
                self._add_look(event)
            case "saved":
                self.saved_step = _whole(event["step"])
                self.step = max(self.step, self.saved_step)
            case "warning":
                self.warnings.append(str(event["message"]))
            case "done":
                self.step, self.finished = _whole(event["step"]), True
                self.reason = str(event.get("stopped") or "")
        return name

    def _add_step(self, event: Event) -> None:
        step, total = _whole(event["step"]), _whole(event["total"])
        losses = {int(patch): _number(loss) for patch, loss in dict(event.get("losses") or {}).items()}
        levels = [_number(level) for level in event.get("levels") or ()]
        average, seconds = _number(event["average"]), _number(event["seconds"])
        left, speed = _number(event.get("left")), _number(event.get("patches_per_second"))
        patches_seen, memory = (_whole(event.get(name, 0)) for name in ("patches_seen", "memory"))
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
        self.step, self.total, self.finished, self.reason = step, total, False, ""
        self.left, self.patches_per_second = left, speed
        self.patches_seen, self.memory = patches_seen, memory

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


# -- one row of a table -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSummary:
    """How far a training came and how good it is, as one row of a table; what nobody measured is NaN or 0.

    ``loss`` is the running average at the end, ``validation`` the least so far, ``psnr`` that of the last quick
    reconstruction in dB, against ``baseline_psnr``. ``state`` is "done", "stopped early" or "unfinished".
    """

    folder: Path
    name: str
    step: int = 0
    total: int = 0
    patches_seen: int = 0
    seconds: float = 0.0
    loss: float = math.nan
    validation: float = math.nan
    psnr: float = math.nan
    baseline_psnr: float = math.nan
    parameters: int = 0
    state: str = "unfinished"


def summarise_training(folder: Path) -> TrainingSummary:
    """The summary of the training in a folder: from its log, or from its prior where there is none."""
    history, name = read_history(folder), folder.resolve().name
    if not (history.data or history.started or history.unreadable):
        return _summary_of_prior(folder, name)
    look = history.looks[-1] if history.looks else None
    state = "unfinished"
    if history.finished:
        state = "stopped early" if history.reason else "done"
    return TrainingSummary(
        folder=folder, name=str(history.data.get("name") or name), step=history.step, total=history.total,
        patches_seen=history.patches_seen, seconds=history.seconds[-1] if history.started else 0.0,
        loss=history.average[-1] if history.started else math.nan, validation=history.best_validation,
        psnr=math.nan if look is None else look.psnr, baseline_psnr=math.nan if look is None else look.baseline_psnr,
        parameters=_known(history.data, "parameters"), state=state,
    )  # fmt: skip


def _summary_of_prior(folder: Path, name: str) -> TrainingSummary:
    """What the prior says of its training, where there is one."""
    summary = TrainingSummary(folder=folder, name=name)
    try:
        record, parameters = summarise_prior(folder / PRIOR_FILE)
    except (CheckpointError, OSError):
        return summary
    training, settings = record.training, record.training.get("settings")
    step = _known(training, "steps")
    total = _known(settings, "steps") if isinstance(settings, dict) else 0
    with suppress(TypeError):
        summary = replace(
            summary, seconds=_number(training.get("seconds")), loss=_number(training.get("loss"))
        )
    return replace(
        summary, name=record.name, step=step, total=total, parameters=parameters,
        patches_seen=_known(training, "patches_seen"), state="done" if total and step >= total else "unfinished",
    )  # fmt: skip


# -- folders ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFolder:
    """One training at rest. ``total`` is 0 where nobody knows; ``changed`` is a time as in :func:`time.time`."""

    path: Path
    name: str
    history: TrainingHistory
    total: int
    has_prior: bool
    has_request: bool
    changed: float

    @property
    def step(self) -> int:
        """How far it came."""
        return self.history.step

    @property
    def active_elsewhere(self) -> bool:
        """Whether some process seems to be training in it: its log has just grown, and does not end."""
        return not self.history.finished and time.time() - self.changed < _QUIET_SECONDS

    @property
    def resumable(self) -> bool:
        """Whether a training can go on in it: it says what was wanted, and is not at its end."""
        return self.has_request and (not self.history.finished)


class FolderReader:
    """Reads training folders; a log that has not changed since is not read again. For one thread."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, int], TrainingHistory]] = {}

    def read(self, folder: Path) -> TrainingFolder | None:
        """The training in a folder, or None where there is none."""
        folder = Path(folder)
        present = {name: (folder / name).is_file() for name in _FILES}
        if not (present[REQUEST_FILE] or present[STATE_FILE]):
            return None
        request: TrainingRequest | None = None
        if present[REQUEST_FILE]:
            with suppress(InputError):  # damaged, or of another version: it is still listed
                request = load_request(folder)
        history = self._history(folder)
        return TrainingFolder(
            path=folder,
            name=(request.name if request is not None else "") or folder.name,
            history=history,
            total=request.training.steps if request is not None else history.total,
            has_prior=present[PRIOR_FILE],
            has_request=request is not None,
            changed=_changed(folder),
        )

    def read_all(self, root: Path, others: Iterable[Path] = ()) -> list[TrainingFolder]:
        """The trainings in the folders of ``root`` and in ``others``, the latest first."""
        try:
            inside = [path for path in Path(root).iterdir() if path.is_dir()]
        except OSError:
            inside = []
        found = (self.read(path) for path in dict.fromkeys((*inside, *others)))
        return sorted((f for f in found if f is not None), key=lambda f: f.changed, reverse=True)

    def _history(self, folder: Path) -> TrainingHistory:
        try:
            status = (folder / LOG_FILE).stat()
        except OSError:
            return TrainingHistory()
        stamp = (status.st_mtime_ns, status.st_size)
        known = self._known.get(folder)
        if known is None or known[0] != stamp:
            known = self._known[folder] = (stamp, read_history(folder))
        return known[1]


def trainings_in(folders: Iterable[Path]) -> list[Path]:
    """The folders of trainings among ``folders``, and one level below those that are none themselves.

    Raises :class:`InputError` for a folder without any.
    """
    found: list[Path] = []
    for folder in folders:
        if holds_a_training(folder):
            found.append(folder)
            continue
        try:
            inside = sorted(path for path in folder.iterdir() if path.is_dir() and holds_a_training(path))
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


def holds_a_training(folder: Path) -> bool:
    """Whether a training has begun in a folder, or has left something there."""
    return any((Path(folder) / name).exists() for name in _FILES)


def _changed(folder: Path) -> float:
    times = []
    for name in (LOG_FILE, STATE_FILE, REQUEST_FILE):
        with suppress(OSError):
            times.append((folder / name).stat().st_mtime)
    return max(times, default=0.0)


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


def _known(values: Event, name: str) -> int:
    """A whole number of a record; 0 where there is none."""
    with suppress(TypeError, ValueError, OverflowError):
        return _whole(values.get(name))
    return 0
