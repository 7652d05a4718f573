"""Small requests to a thread that has other work: beside a run, between its iterates, or while it is paused.

Of each kind only the latest waits (dragging a tile asks for many and wants the last). A run that has the compute
thread calls :meth:`Requests.do_waiting` at its patch-batch boundaries; otherwise they are done at once.
"""

import logging
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, Signal

from padis_gui.core.settings.errors import Interrupted, PadisError

log = logging.getLogger(__name__)

Check = Callable[[], None]
# What a request does; it calls what it is given now and then, which raises Interrupted when it must stop.
Work = Callable[[Check], Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run or a request came to nothing: a sentence for the user, and details where the fault is the program's."""

    sentence: str
    details: str = ""


class Requests(QObject):
    """Requests to ``executor``, a pool of one thread. Results come back on the thread of this object."""

    _came = Signal(object, object)

    def __init__(
        self,
        executor: Executor,
        parent: QObject | None = None,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """``clock`` reads in the executor's thread what a request takes, for :attr:`seconds`."""
        super().__init__(parent)
        self._clock = clock
        self.seconds = 0.0  # that all requests have taken so far
        self._executor = executor
        self._lock = threading.Lock()
        self._waiting: dict[str, tuple[Work, Callable[[Any], None]]] = {}
        self._stopped = threading.Event()
        self._busy = False
        self._wakers: list[Callable[[], None]] = []
        self._came.connect(self._deliver)

    def wakes(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` whenever a request comes: it rouses a run that waits in the thread."""
        self._wakers.append(wake)

    def ask(self, kind: str, work: Work, done: Callable[[Any], None]) -> None:
        """Do ``work`` soon; ``done`` gets its result, a :class:`Failure`, or None where it was interrupted.

        Replaces what of this kind still waits.
        """
        with self._lock:
            if self._stopped.is_set():
                return
            self._waiting[kind] = (work, done)
        self._executor.submit(self.do_waiting)
        for wake in self._wakers:
            wake()

    def forget(self, kind: str) -> None:
        """What of this kind still waits is no longer wanted."""
        with self._lock:
            self._waiting.pop(kind, None)

    @property
    def waiting(self) -> bool:
        """Whether there is something to do."""
        with self._lock:
            return bool(self._waiting)

    def stop(self) -> None:
        """Drop what waits, interrupt what is being done, and take nothing on any more; for shutting down."""
        self._stopped.set()
        with self._lock:
            self._waiting.clear()

    def do_waiting(self, check: Check | None = None) -> None:
        """Do what waits, in the calling thread. ``check`` raises :class:`Interrupted` when the caller must stop."""
        if self._busy:  # a request's own patch batches come by here too
            return
        self._busy, began = True, self._clock()
        try:
            while (next_one := self._take()) is not None:
                work, done = next_one
                self._came.emit(done, self._attempt(work, check))
        finally:
            self._busy = False
            self.seconds += self._clock() - began

    def _take(self) -> tuple[Work, Callable[[Any], None]] | None:
        with self._lock:
            kind = next(iter(self._waiting), None)
            return None if kind is None else self._waiting.pop(kind)

    def _attempt(self, work: Work, check: Check | None) -> Any:
        def go_on() -> None:
            if self._stopped.is_set():
                raise Interrupted
            if check is not None:
                check()

        try:
            return work(go_on)
        except Interrupted:
            return None
        except PadisError as error:
            return Failure(str(error))
        except Exception as error:  # whoever's thread this is must survive it
            log.exception("A request failed")
            return Failure(
                f"Something unexpected went wrong ({type(error).__name__}: {str(error)[:200]}).",
                traceback.format_exc(),
            )

    def _deliver(self, done: Callable[[Any], None], result: Any) -> None:
        if not self._stopped.is_set():
            done(result)
