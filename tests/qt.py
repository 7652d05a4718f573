"""What tests of view models and of the window share: Qt's loop under asyncio, and waiting without blocking it."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import qasync

from padis_gui.viewmodels.session import Session

TIMEOUT = 240.0  # only what fails waits so long
LONG = 10_000  # steps of a run that the test itself ends: no machine takes them all while it looks on


@contextmanager
def qt_loop(app: Any) -> Iterator[Callable[..., Any]]:
    """A function that runs a coroutine to its end on Qt's event loop, in so many seconds at most.

    Between two of them the loop still counts as running, as it does in the program all the time: pytest-qt lets Qt
    work through its events after each test, and a timer that is due then may start a coroutine.
    """
    loop = qasync.QEventLoop(app)
    asyncio.set_event_loop(loop)
    errors: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _loop, context: errors.append(context))

    def run(coroutine: Any, timeout: float = TIMEOUT) -> Any:
        asyncio._set_running_loop(None)
        try:
            return loop.run_until_complete(asyncio.wait_for(coroutine, timeout))
        finally:
            asyncio._set_running_loop(loop)

    try:
        yield run
        assert not errors, errors
    finally:
        asyncio._set_running_loop(None)
        loop.close()
        asyncio.set_event_loop(None)


async def until(condition: Callable[[], Any], timeout: float = TIMEOUT / 2) -> None:
    """Let the event loop run until the condition holds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.005)


async def open_both(session: Session, image: Path, prior: Path) -> None:
    """Open an image and a prior and wait for the baseline."""
    assert await session.prior.open(prior)
    assert await session.data.open(image)
    await until(lambda: session.preparation.prepared is not None)


async def painted(display: Any, step: int) -> None:
    """Wait until the window's display has painted this step of the run; before its first picture it has no frame."""
    await until(lambda: display.frame is not None and display.frame.step == step)


def worker_threads() -> list[str]:
    """Names of the session threads that are alive."""
    return [t.name for t in threading.enumerate() if t.name.startswith(("compute", "io"))]
