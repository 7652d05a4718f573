"""Two threads behind the window: one computes, one reads and writes; and coroutines that wait for them."""

import asyncio
import logging
import time
import traceback
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from PySide6.QtCore import QObject, Signal

from padis_gui.core.settings._j_files__core_atomic import failures_said, write_atomically
from padis_gui.core.settings._j_machine__core_device import use_all_threads
from padis_gui.core.settings.errors import PadisError, TrainingSizeError
from padis_gui.viewmodels.state._j_background__viewmodels_errands import Requests

log = logging.getLogger(__name__)
T = TypeVar("T")


class Background(QObject):
    """Does work off the UI thread; what goes wrong there becomes a message.

    ``compute_requests`` go to the compute thread, beside runs and within; ``io_requests``, which need no device, to
    the I/O thread. ``occupied_by`` says what has the compute thread for long, as the beginning of a sentence; "" where
    it is free.
    """

    message = Signal(str, str, str)  # level ("info", "warning", "error"), sentence, details
    occupied_changed = Signal()
    training_size_wanted = Signal(object, int)  # a published snapshot's path, the side of its padded images

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._io = ThreadPoolExecutor(1, thread_name_prefix="io")
        self._compute = ThreadPoolExecutor(1, thread_name_prefix="compute", initializer=use_all_threads)
        self._closed = False
        self.occupied_by = ""
        self._tasks: set[asyncio.Task[Any]] = set()
        self.compute_requests = Requests(self._compute, self)
        self.io_requests = Requests(self._io, self, clock=time.thread_time)

    def submit(self, work: Callable[..., None], *arguments: Any) -> Future[None]:
        """Do something in the compute thread, after what it is doing."""
        return self._compute.submit(work, *arguments)

    def submit_io(self, work: Callable[..., None], *arguments: Any) -> Future[None]:
        """Do something in the I/O thread, after what it is doing; it is done even where the session ends."""
        return self._io.submit(work, *arguments)

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

        def write() -> bool:
            with failures_said(what, path):
                write_atomically(path, make_data())
            return True

        done = await self.read(write)
        if done:
            self.message.emit("info", f"{what} written to {path.name}.", "")
        return bool(done)

    async def compute(self, function: Callable[..., T], *arguments: Any) -> T | None:
        """Call a function in the compute thread, after what runs there; None, and a message, where it fails."""
        return await self.attempt(self._compute, function, *arguments)

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
        """Run in a thread; a failure becomes a message and None, and so does a session that has closed."""
        if self._closed:
            return None
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, function, *arguments)
        except TrainingSizeError as error:
            self.message.emit("error", str(error), "")
            self.training_size_wanted.emit(arguments[0], error.padded)
        except PadisError as error:
            self.message.emit("error", str(error), "")
        except Exception as error:
            if self._closed:  # the window went while this waited for its thread
                return None
            log.exception("A background task failed")
            self.message.emit(
                "error", f"Something unexpected went wrong ({type(error).__name__}: {str(error)[:200]}).",
                traceback.format_exc(),
            )  # fmt: skip
        return None

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a coroutine from a click and keep hold of it until it ends."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:  # a defect: the loop's handler shows it now, not when the task is collected
            context = {"message": "A task failed", "exception": error, "task": task}
            asyncio.get_running_loop().call_exception_handler(context)

    async def end_threads(self) -> None:
        """Cancel what waits, and let what is being done come to its end."""
        for task in list(self._tasks):
            if task is not asyncio.current_task():
                task.cancel()
        self._compute.shutdown(wait=False, cancel_futures=True)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._io, self._compute.shutdown)
        self._io.shutdown(cancel_futures=True)
