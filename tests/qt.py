"""What tests of view models and of the window share: Qt's loop under asyncio, and waiting without blocking it."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import qasync
from PySide6.QtCore import QObject, QTimer

from padis_gui.viewmodels.session.session import Session
from tests.waiting import TIMEOUT

_TURNS = 5  # of Qt's loop: a signal, a timer of 0 ms, a layout, a repaint, and one for what they ask for
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


async def until(
    condition: Callable[[], Any],
    timeout: float = TIMEOUT / 2,
    trouble: Callable[[], str] = lambda: "waited in vain",
) -> None:
    """Let the event loop run until the condition holds; ``trouble`` says what stands in the way where it never does."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, trouble()
        await asyncio.sleep(0.005)  # sleep: between two looks, while Qt's events pass


async def settled(*owners: QObject) -> None:
    """Let Qt work through the events, signals and timers of no length that wait, and through what follows from them.

    What ``owners`` do a moment after the last change (their single-shot timers) is waited for as well.
    """
    await until(lambda: not any(timer.isActive() for owner in owners for timer in _single_shots(owner)))
    for _ in range(_TURNS):
        await asyncio.sleep(0)  # sleep: of no length, a turn of Qt's loop: posted events, then timers


def _single_shots(owner: QObject) -> list[QTimer]:
    return [timer for timer in owner.findChildren(QTimer) if timer.isSingleShot()]


async def delivered(owner: Any) -> None:
    """Wait until all that a session's threads (or a window's session's) have said so far has arrived.

    What a thread is asked last it answers last. Not for a run that is paused: it keeps the compute thread.
    """
    session = _session_of(owner)
    await session.compute(int)
    await session.io(int)
    await settled()


async def ended(owner: Any, timeout: float = TIMEOUT / 2) -> None:
    """Wait until the run of a session, or of a window's, has ended and its end has arrived."""
    run = _session_of(owner).run
    await until(lambda: not run.active, timeout, lambda: f"still at it: {run.snapshot()}")
    await delivered(owner)


async def ran(owner: Any) -> None:
    """Run the present choices of a session, or of a window's, to the end."""
    _session_of(owner).start()
    await ended(owner)


async def compared(owner: Any) -> None:
    """Wait until an A/B comparison, or a window's, has ended and its end has arrived."""
    ab = owner.laboratory.ab if hasattr(owner, "laboratory") else owner
    await until(lambda: not ab.state.active)
    await delivered(ab.parent())


async def idle(owner: Any) -> None:
    """Wait until a session, or a window's, has ended all runs that were wanted, with what is made of them."""
    session = _session_of(owner)
    await until(
        lambda: not session.queue.waiting and session.queue.running is None and not session.run.active
    )
    await until(lambda: not session.runner._gathering)
    await delivered(session)


async def prepared(owner: Any) -> None:
    """Wait until the measurement and the baseline are those of the present choices."""
    session = _session_of(owner)
    await until(lambda: session.preparation.prepared)


def _session_of(owner: Any) -> Session:
    return owner if isinstance(owner, Session) else owner.session


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
