"""How a run is steered from any thread: paused, stepped, changed, finished or cancelled at a patch batch."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.settings.declarations import Settings
from padis_gui.core.settings.errors import Interrupted


class RunState(Enum):
    """Where a run stands; the value is what the window says."""

    IDLE = "Ready"
    PREPARING = "Preparing"
    RUNNING = "Running"
    PAUSED = "Paused"
    STOPPING = "Stopping"
    DONE = "Done"
    FINISHED = "Finished early"
    CANCELLED = "Cancelled"
    FAILED = "Failed"

    @property
    def active(self) -> bool:
        """Whether a thread is at work on it, or waits in it."""
        return self in (RunState.PREPARING, RunState.RUNNING, RunState.PAUSED, RunState.STOPPING)


@dataclass(frozen=True, slots=True)
class Steering:
    """What is sent into a running solver between two iterates: live settings, another tiling."""

    settings: Settings | None = None
    tiling: TilingSettings | None = None


class SideWork(Protocol):
    """Small work for the thread that has the run, done between two patch batches and while the run is paused."""

    @property
    def waiting(self) -> bool:
        """Whether there is something to do."""

    def do_waiting(self, check: Callable[[], None]) -> None:
        """Do it; ``check`` raises :class:`~padis_gui.core.settings.errors.Interrupted` where the run must stop."""


class Checked:
    """Side work that is a question only: ``check`` is asked at every patch batch, and raises what ends the run."""

    waiting = False

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check

    def do_waiting(self, check: Callable[[], None]) -> None:
        self._check()


class Control:
    """Steers a run, or a pair of them: thread-safe, for one run only.

    ``changed`` is called, in whatever thread, on every new state. ``paused`` begins with a pause, after ``steps``
    iterates.
    """

    def __init__(
        self,
        changed: Callable[[], None] = lambda: None,
        side_work: SideWork | None = None,
        *,
        paused: bool = False,
        steps: int = 0,
    ) -> None:
        self._changed, self._side_work = changed, side_work
        self._condition = threading.Condition()
        self._state = RunState.PREPARING
        self._paused, self._allowed = paused, steps
        self._stop: RunState | None = None
        self._waiting = Steering()
        # patch batches of the step in hand: begun, and expected; one value, as other threads read it
        self._batches = 0, 0
        self._batches_before = 0  # of the step before
        self._step_began = time.perf_counter()
        self._paused_for = 0.0  # seconds of the step in hand

    @property
    def state(self) -> RunState:
        """Where the run stands."""
        return self._state

    @property
    def stop(self) -> RunState | None:
        """The state in which the run was asked to end, if it was."""
        return self._stop

    @property
    def paused(self) -> bool:
        """Whether a pause was asked for: the next iterate may be the last for a while."""
        return self._paused

    @property
    def within_step(self) -> float:
        """The share of the step in hand that is done, 0 to 1, by its patch batches; 0 where it takes none.

        A step is expected to take as many as the one before it.
        """
        begun, expected = self._batches
        return min(1.0, max(0, begun - 1) / expected) if expected else 0.0

    @property
    def step_seconds(self) -> float:
        """For how long the step in hand has been under way, pauses included."""
        return time.perf_counter() - self._step_began

    @property
    def paused_seconds(self) -> float:
        """For how long the step in hand has stood still in pauses that are over."""
        return self._paused_for

    # Said by whoever steers --------------------------------------------------------------------------

    def pause(self) -> None:
        """Stop after the patch batch in hand; the run stays where it is."""
        self._steer(paused=True)

    def resume(self) -> None:
        """Go on after a pause."""
        self._steer(paused=False)

    def step(self, count: int = 1) -> None:
        """Go on to the end of so many iterates (one of each run of a pair), then pause."""
        self._steer(paused=True, steps=count)

    def finish(self) -> None:
        """Stop after the patch batch in hand and keep the present estimate."""
        self._steer(stop=RunState.FINISHED)

    def cancel(self) -> None:
        """Stop after the patch batch in hand and keep nothing."""
        self._steer(stop=RunState.CANCELLED)

    def change(self, settings: Settings | None = None, tiling: TilingSettings | None = None) -> None:
        """Live settings of the solver, or another tiling, from the next iterate on."""
        with self._condition:
            waiting = self._waiting
            self._waiting = Steering(settings or waiting.settings, tiling or waiting.tiling)

    def wake(self) -> None:
        """There is side work to do, also while the run is paused."""
        with self._condition:
            self._condition.notify_all()

    def _steer(self, *, paused: bool | None = None, steps: int = 0, stop: RunState | None = None) -> None:
        with self._condition:
            if not self._state.active or self._state is RunState.STOPPING:
                return
            if paused is not None:
                self._paused, self._allowed = paused, steps
            if stop is not None:
                self._stop, self._state = stop, RunState.STOPPING
            self._condition.notify_all()
        self._changed()

    # Asked by the run --------------------------------------------------------------------------------

    def check(self) -> None:
        """Called at every patch batch: does side work, waits while paused, raises when asked to stop."""
        began: float | None = None  # of a pause
        while True:
            if self._side_work is not None:
                self._side_work.do_waiting(self.raise_if_stopped)
            with self._condition:
                self.raise_if_stopped()
                if not self._paused or self._allowed:
                    if began is not None:
                        self._paused_for += time.perf_counter() - began
                    self._enter(RunState.RUNNING)
                    return
                began = time.perf_counter() if began is None else began
                self._enter(RunState.PAUSED)
                if self._side_work is None or not self._side_work.waiting:
                    self._condition.wait()

    def check_preparing(self) -> None:
        """Called while a run is prepared: does side work, raises when asked to stop; a pause waits for the first step."""
        if self._side_work is not None:
            self._side_work.do_waiting(self.raise_if_stopped)
        self.raise_if_stopped()

    def raise_if_stopped(self) -> None:
        """Raise :class:`~padis_gui.core.settings.errors.Interrupted` when asked to stop."""
        if self._stop is not None:
            raise Interrupted

    def count(self, expected: int) -> None:
        """A patch batch of the step in hand begins; ``expected`` is how many a step has, if it is the first one."""
        self._batches = self._batches[0] + 1, self._batches_before or expected

    def passed(self) -> None:
        """An iterate is done."""
        with self._condition:
            self._allowed = max(0, self._allowed - 1)
        self._batches_before, self._batches = self._batches[0], (0, self._batches[0])
        self._step_began, self._paused_for = time.perf_counter(), 0.0

    def changes(self) -> Steering | None:
        """What waits to be sent into the solver."""
        with self._condition:
            waiting, self._waiting = self._waiting, Steering()
        return None if waiting == Steering() else waiting

    def end(self, state: RunState) -> None:
        """The run, or the last one of a pair, has ended so."""
        with self._condition:
            self._state = state
        self._changed()

    def _enter(self, state: RunState) -> None:
        if self._state is not state:
            if self._state is RunState.PREPARING:
                self._step_began = time.perf_counter()
            self._state = state
            self._changed()
