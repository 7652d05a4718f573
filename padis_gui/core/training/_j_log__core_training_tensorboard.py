"""A training's events as a TensorBoard event file, written at once and in the thread that has them.

tensorboardX's own ``SummaryWriter`` hands its events to a thread, which a full disk ends unseen and which then blocks
the training; only its file format is used here.
"""

import io
import math
import os
import time
from collections.abc import Iterator
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.training._j_log__core_training_events import Looked, Stepped, TrainEvent, Validated
from padis_gui.core.training._j_looks__core_training_sheet import contact_sheet
from padis_gui.core.training._j_looks__core_training_sight import Look
from padis_gui.core.training._j_train__core_training_train import NOISE_BINS

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
