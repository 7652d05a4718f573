"""The threads: one that computes, those that read, and small requests to them.

Small requests to a thread that has other work: beside a run, between its iterates, or while it is paused.

Of each kind only the latest waits (dragging a tile asks for many and wants the last). A run that has the compute
thread calls :meth:`Requests.do_waiting` at its patch-batch boundaries; otherwise they are done at once.

Three threads behind the window: one computes, one reads and writes, one reads the planes of large stacks; and coroutines
that wait for them.
"""

import asyncio
import logging
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from PySide6.QtCore import QObject, Signal

from padis_gui.core.runs.inputs import check_run_outputs
from padis_gui.core.settings.errors import Interrupted, PadisError, TrainingSizeError
from padis_gui.core.settings.files import failures_said, write_atomically
from padis_gui.core.settings.machine import give_way, told_of_memory, use_all_threads
from padis_gui.core.settings.watch import unasked

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


T = TypeVar("T")


async def ended(thread: ThreadPoolExecutor) -> None:
    """Until a thread has done what it is at; what waits there is dropped."""
    thread.shutdown(wait=False, cancel_futures=True)
    with ThreadPoolExecutor(1) as waits:  # the loop's own would leave ten threads of Qt behind
        await asyncio.get_running_loop().run_in_executor(waits, thread.shutdown)


def _begin_to_compute() -> None:
    give_way()  # first: torch's own threads take after this one
    use_all_threads()


class Background(QObject):
    """Does work off the UI thread; what goes wrong there becomes a message.

    ``compute_requests`` go to the compute thread, beside runs and within; ``io_requests``, which need no device, to
    the I/O thread; ``plane_requests``, which may read all of a large stack, to a thread of their own: no file waits for
    them to be opened. ``occupied_by`` says what has the compute thread for long, as the beginning of a sentence; "" where
    it is free.
    """

    message = Signal(str, str, str)  # level ("info", "warning", "error"), sentence, details
    remedy_wanted = Signal(str)  # what would help with the error that was said last: a Remedy
    written = Signal(object)  # where the file is of which the last message tells
    # A file or folder that could not be written, as the last message tells, and what writes the same to another one
    elsewhere_wanted = Signal(object, object)
    occupied_changed = Signal()
    training_size_wanted = Signal(object, int)  # a published snapshot's path, the side of its padded images

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._io = ThreadPoolExecutor(1, thread_name_prefix="io", initializer=give_way)
        self._compute = ThreadPoolExecutor(1, thread_name_prefix="compute", initializer=_begin_to_compute)
        self._closed = False
        self.occupied_by = ""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._asked: dict[str, asyncio.Future[Any]] = {}  # the latest of each kind, see :meth:`beside`
        self.compute_requests = Requests(self._compute, self)
        self.io_requests = Requests(self._io, self, clock=time.thread_time)
        self._planes = ThreadPoolExecutor(1, thread_name_prefix="planes", initializer=give_way)
        self.plane_requests = Requests(self._planes, self, clock=time.thread_time)

    def submit(self, work: Callable[..., None], *arguments: Any) -> Future[None]:
        """Do something in the compute thread, after what it is doing."""
        return self._compute.submit(work, *arguments)

    def submit_io(self, work: Callable[..., None], *arguments: Any) -> Future[None]:
        """Do something in the I/O thread, after what it is doing; it is done even where the session ends."""
        return self._io.submit(work, *arguments)

    def submit_planes(self, work: Callable[..., None], *arguments: Any) -> Future[None]:
        """Do something in the thread that reads planes, after what it is doing; it is done even where the session ends."""
        return self._planes.submit(work, *arguments)

    def occupy(self, by: str) -> None:
        """Something has the compute thread from now on, until this is called with ""."""
        self.occupied_by = by
        self.occupied_changed.emit()

    def free_for(self, sentence: str) -> bool:
        """Whether nothing has the compute thread; where something has, ``sentence`` is said."""
        if self.occupied_by:
            self.message.emit("warning", sentence, "")
        return not self.occupied_by

    async def write_file(self, path: Path, make_data: Callable[[], bytes], what: str) -> bool:
        """Write what ``make_data`` makes, both in the I/O thread; ``what`` names it in the message that follows."""

        def write(to: Path) -> str:
            check_run_outputs(self.inputs(), [to])
            with failures_said(what, to):
                write_atomically(to, make_data())
            return f"{what} written to {to.name}."

        return await self.write(path, write)

    async def write(self, path: Path, write: Callable[[Path], str]) -> bool:
        """Call ``write`` with the path in the I/O thread; the sentence that it returns is said.

        Where that path cannot be written, another one is offered: what was to be written is still there.
        """
        refused = False

        def work() -> str:
            nonlocal refused
            try:
                return write(path)
            except PadisError as error:
                refused = error.remedy == "elsewhere"
                raise

        said = await self.read(work)
        if said:
            self.say_written(said, path)
        elif refused:
            self.elsewhere_wanted.emit(path, lambda other: self.spawn(self.write(other, write)))
        return bool(said)

    def inputs(self) -> list[Path]:
        """The files that runs are made of now: nothing is written over them."""
        return []

    def say_written(self, sentence: str, path: Path) -> None:
        """Tell of a file that the user asked for; ``path`` is the first one of several."""
        self.message.emit("info", sentence, "")
        self.written.emit(path)

    async def compute(self, function: Callable[..., T], *arguments: Any) -> T | None:
        """Call a function in the compute thread, after what runs there; None, and a message, where it fails."""
        return await self.attempt(self._compute, function, *arguments)

    async def beside(self, kind: str, function: Callable[..., T], *arguments: Any) -> T | None:
        """Call a function in the compute thread, between the patch batches of a run if one goes on there.

        The latest of a ``kind`` wins: an earlier one gives None at once, whether it waits or is being done.
        """
        if self._closed:
            return None
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        earlier = self._asked.pop(kind, None)
        if earlier is not None and not earlier.done():
            earlier.set_result(None)
        self._asked[kind] = future

        def work(check: Check) -> tuple[T | None, Exception | None]:
            try:
                # it is wanted also where the run between whose operations it is done is cancelled
                with unasked():
                    return function(*arguments), None
            except Interrupted:
                raise
            except Exception as error:  # said by whoever waits for it
                return None, error

        def done(result: tuple[T | None, Exception | None] | Failure | None) -> None:
            if future.done():
                return
            value, error = result if isinstance(result, tuple) else (None, None)
            future.set_result(value) if error is None else future.set_exception(error)

        self.compute_requests.ask(kind, work, done)
        return await self._said(future, arguments)

    async def read(self, function: Callable[..., T], *arguments: Any) -> T | None:
        """Call a function in the I/O thread; None, and a message, where it fails."""
        return await self.attempt(self._io, function, *arguments)

    async def io(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function in the I/O thread; raises what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._io, function, *arguments)

    @property
    def closed(self) -> bool:
        """Whether the session is being left."""
        return self._closed

    async def attempt(
        self, executor: ThreadPoolExecutor, function: Callable[..., T], *arguments: Any
    ) -> T | None:
        """Run in a thread; a failure becomes a message and None; None, too, where the session or the thread has ended."""
        if self._closed:
            return None
        try:
            begun = asyncio.get_running_loop().run_in_executor(executor, function, *arguments)
        except RuntimeError:  # all that an executor says once it has been shut down
            return None
        return await self._said(begun, arguments)

    async def _said(self, waited_for: Awaitable[T | None], arguments: tuple[Any, ...]) -> T | None:
        """What comes of it; a failure becomes a message and None."""
        try:
            return await waited_for
        except TrainingSizeError as error:
            self.message.emit("error", str(error), "")
            self.training_size_wanted.emit(arguments[0], error.padded)
        except Exception as caught:
            found = told_of_memory(caught)
            if isinstance(found, PadisError):
                self.message.emit("error", str(found), "")
                if found.remedy:
                    self.remedy_wanted.emit(found.remedy)
                return None
            if self._closed:  # the window went while this waited for its thread
                return None
            log.exception("A background task failed")
            self.message.emit(
                "error", f"Something unexpected went wrong ({type(found).__name__}: {str(found)[:200]}).",
                traceback.format_exc(),
            )  # fmt: skip
        return None

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a coroutine from a click and keep hold of it until it ends."""
        # not the running loop: qasync works through Qt's events, timers among them, once more after it has stopped
        task = asyncio.get_event_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:  # a defect: the loop's handler shows it now, not when the task is collected
            context = {"message": "A task failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)

    async def end_threads(self) -> None:
        """Cancel what waits, and let what is being done come to its end."""
        for future in self._asked.values():
            if not future.done():
                future.set_result(None)
        for task in list(self._tasks):
            if task is not asyncio.current_task():
                task.cancel()
        self._compute.shutdown(wait=False, cancel_futures=True)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._io, self._compute.shutdown)
        await loop.run_in_executor(self._io, self._planes.shutdown)
        self._io.shutdown(cancel_futures=True)
