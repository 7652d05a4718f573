"""What remains of a training beside its weights: a log of JSON lines, and TensorBoard event files.

A log is a convenience: where it cannot be written, as on a full disk, the training is told once and goes on; as soon
as it can be written again, it is.
"""

import contextlib
import errno
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from padis_gui.core.training._j_log__core_training_events import TrainEvent

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
    from padis_gui.core.training._j_log__core_training_tensorboard import EventFile

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
                with contextlib.suppress(ValueError, RecursionError):
                    event = json.loads(line)
                    if isinstance(event, dict) and isinstance(event.get("event"), str):
                        yield event
    except OSError:
        return
