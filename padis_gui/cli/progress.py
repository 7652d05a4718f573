"""What long verbs share: one progress bar, events as lines of JSON, and how a process is told to pause, go on and stop.

It is told by signals and by words on standard input, which are looked at between two steps: only there is the state
whole.
"""

import json
import math
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from padis_gui.cli.terminal import printable
from padis_gui.core.settings.errors import Interrupted

if TYPE_CHECKING:
    from rich.progress import Progress

    from padis_gui.core.training.optimise import World


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar on standard error; call what it yields with (done, total, note).

    It appears with the first call: what is refused before has only its sentence. Where that is no terminal, only its
    last state is written.
    """
    began, bar = time.monotonic(), None

    def update(done: int, total: int, note: str) -> None:
        nonlocal bar
        if bar is None:
            bar = _bar(title, began)
            bar.start()
        bar.update(bar.task_ids[0], completed=done, total=total, note=printable(note))

    try:
        yield update
    finally:
        if bar is not None:
            bar.stop()


def _bar(title: str, began: float) -> "Progress":
    from rich import progress as rich  # what is refused needs no bar, and has not to wait for what draws it
    from rich.console import Console

    columns = (
        rich.TextColumn("{task.description}"), rich.BarColumn(), rich.MofNCompleteColumn(),
        rich.TextColumn("{task.fields[note]}", markup=False), rich.TimeElapsedColumn(),
        rich.TextColumn("left"), rich.TimeRemainingColumn(),
    )  # fmt: skip
    bar = rich.Progress(*columns, console=Console(stderr=True), transient=False)
    bar.add_task(title, total=None, note="")
    bar.tasks[0].start_time = began
    return bar


def preparing(update: Callable[[int, int, str], None]) -> Callable[[float, str], None]:
    """What shows on such a bar how far a preparation is, in percent, once it has taken a second: what is refused is
    refused before."""
    began = time.monotonic()

    def show(done: float, stage: str) -> None:
        if time.monotonic() - began > 1:
            update(round(100 * done), 100, f"% {stage}")

    return show


class Lines:
    """Standard output, a line at a time; ``open`` until nobody reads it any more."""

    def __init__(self) -> None:
        self.open = True

    def write(self, line: str) -> bool:
        """Write a line at once; says whether somebody may still read."""
        if self.open:
            try:
                print(line, flush=True)  # noqa: T201 - JSON, which is plain
            except OSError:  # the reader is gone; what is still in the buffer must not fail again at exit
                self.open = False
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, sys.stdout.fileno())
                os.close(null)
        return self.open

    def tell(self, event: str, **values: Any) -> bool:
        """An event of that name as a line of JSON."""
        return self.write(json.dumps({"event": event, **values}))


class Pacer:
    """Lets one of a kind through now and then: when so many seconds have gone by since the last."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._last = seconds, -math.inf

    def __call__(self, *, always: bool = False) -> bool:
        """Whether it is time, or this one counts ``always``; the time runs anew then."""
        now = time.monotonic()
        if not always and now - self._last < self._seconds:
            return False
        self._last = now
        return True


class _Noting(Protocol):
    def note(self, name: str, step: int) -> None: ...


class Control:
    """What was asked for so far. ``stop`` by word, signal, or the end of a pipe; ``interrupted`` by signal only."""

    def __init__(self, *, words: bool) -> None:
        """With ``words``, standard input is read: pause, resume, stop, one a line."""
        self.stop = self.interrupted = False
        self._paused = False
        self._changed = threading.Event()
        self._words = words
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._before = {
            number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)
        }
        descriptor = _input() if self._words else None
        if descriptor is not None:
            # a thread, as pipes cannot be polled on Windows; it may wait for a word for ever
            threading.Thread(target=self._listen, args=(descriptor,), daemon=True, name="words").start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raises :class:`Interrupted` once the training is to stop."""
        if self.stop:
            raise Interrupted

    def wait_while_paused(self, world: "World", step: int, shown: _Noting) -> None:
        """Return at once, or when the pause is over; all processes of ``world`` wait together."""
        told = False
        while world.any(self._paused) and not world.any(self.stop):
            if not told:
                shown.note("paused", step)
                told = True
            self._changed.wait(0.2)
            self._changed.clear()
        if told and not self.stop:
            shown.note("resumed", step)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.interrupted:  # a second one does not wait for the step in hand, nor does it save
            raise KeyboardInterrupt
        self.interrupted = True
        self._end()

    def _listen(self, descriptor: int) -> None:
        # read without sys.stdin, whose lock a waiting thread would hold when the interpreter ends
        rest = b""
        while chunk := _read(descriptor):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._obey(line.strip().lower())
            rest = rest[-100:]
        if _is_pipe(descriptor):  # the program at its other end is gone
            self._end()

    def _obey(self, word: bytes) -> None:
        if word == b"stop":
            self._end()
        elif word in (b"pause", b"resume"):
            self._paused = word == b"pause"
            self._changed.set()

    def _end(self) -> None:
        self.stop = True
        self._changed.set()


def _input() -> int | None:
    """The descriptor of standard input, where there is one."""
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):  # no console, closed, or replaced by something without one
        return None


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""


def _is_pipe(descriptor: int) -> bool:
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return True
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
