"""How long work is followed and stopped: it asks whether it may go on, and says how far it has come."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any

from padis_gui.core import torch


def _go_on() -> None:
    pass


def _say_nothing(done: float, stage: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Watch:
    """What is handed down to work that may take long; by default nobody follows it.

    ``check`` is asked at least every 300 ms of work and raises
    :class:`~padis_gui.core.settings.errors.Interrupted` where it must stop. ``progress`` is told how much of the work
    is done, from 0 to 1 and never less than before, and which stage it is in, in a word or two ("system matrix").
    """

    check: Callable[[], None] = _go_on
    progress: Callable[[float, str], None] = _say_nothing

    def tell(self, done: float, stage: str = "") -> None:
        """``done`` of the work is done, from 0 to 1; asks whether it may go on."""
        self.check()
        self.progress(min(max(done, 0.0), 1.0), stage)

    def part(self, start: float, end: float, stage: str = "") -> Watch:
        """For a part of the work that takes from ``start`` to ``end`` of it, and is called ``stage`` where it gives
        itself no name."""

        def progress(done: float, own: str) -> None:
            self.progress(start + done * (end - start), own or stage)

        return Watch(self.check, progress)


_others = threading.local()


@contextlib.contextmanager
def unasked() -> Iterator[None]:
    """Within it no operation of torch in this thread asks whether what it interrupts may go on.

    For work of others that is done in between: where that is stopped, this is still wanted, and a library that calls torch
    in the middle of something takes the interruption for a fault of its own.
    """
    before, _others.work = getattr(_others, "work", False), True
    try:
        yield
    finally:
        _others.work = before


@cache
def _asking() -> Any:  # made for the first who is asked, as its base is torch's
    from torch.utils._python_dispatch import TorchDispatchMode

    class Asking(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __init__(self, check: Callable[[], None]) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self._check = check

        @classmethod
        def _should_skip_dynamo(cls) -> bool:
            return False  # torch would import its compiler, for seconds, to keep it away from here

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if not getattr(_others, "work", False):
                self._check()
            return func(*args, **(kwargs or {}))

    return Asking


def asked_between_operations(check: Callable[[], None], device: torch.device) -> AbstractContextManager[Any]:
    """While this is entered, ``check`` is called before every operation of torch in this thread, those of a backward
    pass too; it only asks, and computes nothing itself.

    So whatever is computed may be stopped within the time of its longest operation, without a question in its code. The
    results are the same bits; it costs some 6 µs an operation, a hundredth of a denoiser call. On a GPU it does nothing:
    there an operation only waits in the queue, and a patch batch is over soon.
    """
    return _asking()(check) if device.type == "cpu" else contextlib.nullcontext()


@dataclass(slots=True)
class Standing:
    """How far work is, as somebody sees it: told in its thread, read from any."""

    now: tuple[float, str] = 0.0, ""

    def tell(self, done: float, stage: str) -> bool:
        """``done`` of it is done, in this ``stage``; returns whether that is another stage or percent than before."""
        before, self.now = self.now, (done, stage)
        return (round(before[0], 2), before[1]) != (round(done, 2), stage)


SILENT = Watch()
