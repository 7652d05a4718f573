"""What a training says on its way: one frozen record an event, as a line of JSON in its log, and as TensorBoard files.

TensorBoard files are written at once and in the thread that has the events: tensorboardX's own ``SummaryWriter`` hands
them to a thread, which a full disk ends unseen and which then blocks the training; only its file format is used here.

A log is a convenience: where it cannot be written, as on a full disk, the training is told once and goes on; as soon
as it can be written again, it is.
"""

import contextlib
import errno
import io
import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import count, pairwise
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.settings.untrusted import parse_json
from padis_gui.core.training.looks import Look, contact_sheet
from padis_gui.core.training.sources import Skipped
from padis_gui.core.training.train import NOISE_BINS, TrainStep


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
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


_numbers = count()
# numbered, as TensorBoard sorts by name
_BETWEEN = [f"{n}_{low:g}_to_{high:g}" for n, (low, high) in enumerate(pairwise(NOISE_BINS), 1)]
_LEVELS = (
    f"0_below_{NOISE_BINS[0]:g}", *_BETWEEN, f"{len(NOISE_BINS)}_above_{NOISE_BINS[-1]:g}",
)  # fmt: skip


class EventFile:
    """One new file in ``folder``. Raises OSError where it cannot be written, ImportError without tensorboardX."""

    def __init__(self, folder: Path, first_step: int) -> None:
        """What earlier files say of steps after ``first_step`` no longer holds."""
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        folder.mkdir(exist_ok=True)
        self._folder, self._suffix = folder, f".{os.getpid()}.{next(_numbers)}"
        self._empty = True
        self._file = EventsWriter(str(folder / "events"), self._suffix)
        start = SessionLog(status=SessionLog.START)
        self._file.write_event(Event(wall_time=time.time(), step=first_step + 1, session_log=start))

    def write(self, event: TrainEvent) -> None:
        """Add what TensorBoard can show of an event."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in _scalars(event)]
        if isinstance(event, Looked):
            values += [
                Summary.Value(tag=tag, image=Summary.Image(**_png(sheet)))
                for tag, sheet in _sheets(event.look)
            ]
        if values:
            summary = Summary(value=values)
            self._file.write_event(Event(wall_time=time.time(), step=event.step, summary=summary))
            self._file.flush()
            self._empty = False

    def close(self) -> None:
        """Close the file; one that nothing could be written to is removed."""
        try:
            self._file.close()
        finally:
            if self._empty:
                for path in self._folder.glob(f"*{self._suffix}"):
                    path.unlink()


def _scalars(event: TrainEvent) -> Iterator[tuple[str, float]]:
    """Tags and values; of what is not finite TensorBoard makes its own mark."""
    match event:
        case Stepped(made=made):
            yield "loss/average", made.average
            yield "learning_rate", made.learning_rate
            yield "throughput/patches_per_second", event.patches_per_second
            yield "throughput/memory_MiB", made.memory / 2**20
            for patch, loss in made.losses.items():
                yield f"loss_by_patch/{patch}_px", loss
            for name, loss in zip(_LEVELS, made.levels, strict=True):
                if math.isfinite(loss):  # no such level has been drawn yet
                    yield f"loss_by_noise_level/{name}", loss
        case Validated(loss=loss):
            yield "loss/validation", loss
        case Looked(look=look) if look.reconstruction is not None:
            yield "look/psnr_dB", look.psnr
            yield "look/psnr_of_baseline_dB", look.baseline_psnr
            yield "look/ssim", look.ssim


def _sheets(look: Look) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Tags and pictures: noisy above denoised, from little noise to much; the sample; baseline, estimate and truth."""
    levels = len(look.levels)
    yield "denoised", contact_sheet([*look.noisy, *look.denoised], levels)
    if look.sample is not None:
        yield "sample", contact_sheet([look.sample], 1)
    row = [x for x in (look.baseline, look.reconstruction, look.truth) if x is not None]
    if row:
        yield "baseline_reconstruction_truth", contact_sheet(row, len(row))


def _png(pixels: NDArray[np.uint8]) -> dict[str, Any]:
    from PIL import Image as Pillow

    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "PNG")
    colours = 1 if pixels.ndim == 2 else 3
    return {
        "height": pixels.shape[0], "width": pixels.shape[1], "colorspace": colours,
        "encoded_image_string": buffer.getvalue(),
    }  # fmt: skip


log = logging.getLogger(__name__)

LOG_FILE, TENSORBOARD = "log.jsonl", "tensorboard"
_LONGEST_LINE = 2**22


class _Writer(Protocol):
    def write(self, event: TrainEvent) -> None: ...

    def close(self) -> None: ...


class TrainingLog:
    """Writes every logged event to ``log.jsonl`` in a training's folder and, where asked, for TensorBoard."""

    def __init__(self, folder: Path, *, tensorboard: bool, first_step: int) -> None:
        """``first_step`` is the step after which the training starts, or is resumed."""
        self._open: dict[str, _Writer] = {}
        self._makers: dict[str, Callable[[], _Writer]] = {"log": lambda: _JsonLines(folder / LOG_FILE)}
        if tensorboard:
            self._makers["TensorBoard files"] = lambda: _tensorboard(folder / TENSORBOARD, first_step)
        self._complained: set[str] = set()

    def write(self, event: TrainEvent) -> None:
        """Keep an event. Where a kind of file cannot be written, a warning says so once."""
        if not event.logged:
            return
        for name, make in list(self._makers.items()):
            try:
                if name not in self._open:
                    self._open[name] = make()
                self._open[name].write(event)
            except (OSError, ImportError) as error:
                if isinstance(error, ImportError):
                    del self._makers[name]
                self._drop(name)  # opened anew for the next event: what is half written stays apart
                if name not in self._complained:
                    self._complained.add(name)
                    reason = getattr(error, "strerror", None) or error
                    log.warning("The %s cannot be written (%s); the training goes on without.", name, reason)

    def close(self) -> None:
        """Close the files; what cannot be written any more is lost."""
        for name in list(self._open):
            self._drop(name)

    def _drop(self, name: str) -> None:
        writer = self._open.pop(name, None)
        if writer is not None:
            with contextlib.suppress(OSError):
                writer.close()


class _JsonLines:
    """Appends to a file, one line an event, each written at once."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        # after a kill in the middle of a line, or a full disk
        self._before = b"\n" if _ends_within_a_line(path) else b""

    def write(self, event: TrainEvent) -> None:
        line = event.line(time=int(time.time()))
        data = self._before + line.encode() + b"\n"
        if (self._file.write(data) or 0) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._before = b""

    def close(self) -> None:
        self._file.close()


def _ends_within_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _tensorboard(folder: Path, first_step: int) -> _Writer:

    return EventFile(folder, first_step)


def read_log(folder: Path) -> Iterator[dict[str, Any]]:
    """The events in a training's log, oldest first; lines that are damaged are left out, as is all without a log.

    A resumed training repeats the steps after its last checkpoint: of one step, what comes later holds.
    """
    path = folder / LOG_FILE
    if not path.is_file():
        return
    try:
        with path.open("rb") as file:
            while line := file.readline(_LONGEST_LINE):
                with contextlib.suppress(ValueError):
                    event = parse_json(line)
                    if isinstance(event, dict) and isinstance(event.get("event"), str):
                        yield event
    except OSError:
        return
