"""What the window takes of a run's time, and how long it has to wait for that to stay a small share."""

import time

from padis_gui.core.runs.engine import RunState
from padis_gui.viewmodels.session._j_session__viewmodels_session import Session


class DisplayCost:
    """Adds up, lap by lap, the work of the thread that uses it (the UI thread), the making of pictures in the compute
    thread, and what else is computed for somebody who looks: maps of seams, the inspected tile.

    Only the time in which the solver works counts: what the user does with a paused run keeps nobody waiting.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._before = self._total()
        self._counts = False
        self._taken = self._usual = 0.0

    def begin(self) -> None:
        """A run begins; what was usual in the last one is expected again."""
        self._taken, self._before, self._counts = 0.0, self._total(), False

    def lap(self) -> float:
        """The seconds that were taken since the last lap; what is usual where the solver did not work all the time."""
        now = self._total()
        taken, self._before = now - self._before, now
        counts, self._counts = self._counts, self._session.run.snapshot().state is RunState.RUNNING
        if counts:
            self._taken += taken
            if self._counts:
                self._usual = taken
        return self._usual

    @property
    def share(self) -> float | None:
        """Of the time of the run under way, or of the last one; None before its first step."""
        seconds = sum(point.seconds for point in self._session.run.points())
        return self._taken / (seconds + self._taken) if seconds else None

    def _total(self) -> float:
        session = self._session
        aside = session.compute_requests.seconds + session.io_requests.seconds + session.run.frame_seconds
        return time.thread_time() + aside
