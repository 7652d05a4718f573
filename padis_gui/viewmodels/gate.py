"""Where the compute thread asks whether it may go on: pause, step, stop, and errands on the way.

Pause = don't let the next patch batch begin; step = let so many iterates through; stop = raise at the next batch.
"""

import threading
from collections.abc import Callable

from padis_gui.core.errors import Interrupted
from padis_gui.viewmodels.errands import Requests
from padis_gui.viewmodels.run import RunState


class Gate:
    """Steered in the UI thread, asked in the compute thread. ``changed`` is called, in either, on every new state."""

    def __init__(self, errands: Requests, changed: Callable[[], None]) -> None:
        self._errands, self._changed = errands, changed
        self._condition = threading.Condition()
        self._state = RunState.IDLE
        self._paused = False
        self._allowed = 0
        self._stop: RunState | None = None
        errands.wakes(self._wake)

    @property
    def state(self) -> RunState:
        """Where the work stands."""
        return self._state

    @property
    def stop(self) -> RunState | None:
        """The state in which the work was asked to end."""
        return self._stop

    # What the UI thread says ----------------------------------------------------------------------

    def begin(self, *, paused: bool, steps: int = 0) -> bool:
        """Make ready for new work; False while there is some. ``steps`` iterates may pass before a pause."""
        with self._condition:
            if self._state.active:
                return False
            self._state = RunState.PREPARING
            self._paused, self._allowed, self._stop = paused, steps, None
        self._changed()
        return True

    def steer(self, *, paused: bool | None = None, steps: int = 0, stop: RunState | None = None) -> None:
        """Pause or go on, let some iterates through, or end; ignored where there is nothing to steer."""
        with self._condition:
            if not self._state.active or self._state is RunState.STOPPING:
                return
            if paused is not None:
                self._paused, self._allowed = paused, steps
            if stop is not None:
                self._stop, self._state = stop, RunState.STOPPING
            self._condition.notify_all()
        self._changed()

    def _wake(self) -> None:
        with self._condition:
            self._condition.notify_all()

    # What the compute thread asks -----------------------------------------------------------------

    def check(self) -> None:
        """Do the errands that wait; wait while paused; raise :class:`Interrupted` when asked to stop."""
        while True:
            self._errands.do_waiting(self.raise_if_stopped)
            with self._condition:
                self.raise_if_stopped()
                if not self._paused or self._allowed:
                    self._enter(RunState.RUNNING)
                    return
                self._enter(RunState.PAUSED)
                if not self._errands.waiting:
                    self._condition.wait()

    def raise_if_stopped(self) -> None:
        """Raise :class:`Interrupted` when asked to stop."""
        if self._stop is not None:
            raise Interrupted

    def passed(self) -> None:
        """An iterate is done."""
        with self._condition:
            self._allowed = max(0, self._allowed - 1)

    def end(self, state: RunState) -> None:
        """The work is over; the caller says so to the window."""
        with self._condition:
            self._state = state

    def _enter(self, state: RunState) -> None:
        if self._state is not state:
            self._state = state
            self._changed()
