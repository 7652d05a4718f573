"""What follows the shown iterate, at once when another is chosen and now and then while a run goes on; and what the window
takes of a run's time, which is to stay a small share."""

import time

from PySide6.QtCore import QObject, QTimer, Signal

from padis_gui.core.runs.control import RunState
from padis_gui.viewmodels.session.session import Session


class ShownUpdates(QObject):
    """``due`` is emitted when the shown iterate, or what it is shown with, may be another one.

    While a run goes on at most every ``pace_ms`` milliseconds, and no faster than the window paints, as whoever listens
    takes time from the solver. Nothing is emitted while nobody is :attr:`wanted`; then once, where something was missed.
    """

    due = Signal()

    def __init__(self, session: Session, pace_ms: int) -> None:
        super().__init__(session)
        self._session, self._pace = session, pace_ms
        self._wanted, self._missed = False, True
        self._timer = QTimer(self, singleShot=True)
        self._timer.timeout.connect(self._tell)
        for signal in (
            session.run.dirty, session.run.changed, session.screen.changed,
        ):  # fmt: skip
            signal.connect(self._came)

    @property
    def wanted(self) -> bool:
        """Whether somebody listens."""
        return self._wanted

    @wanted.setter
    def wanted(self, wanted: bool) -> None:
        self._wanted = wanted
        if wanted and self._missed:
            self._came()

    def _came(self) -> None:
        self._missed = True
        if not self._wanted:
            return
        state = self._session.run.snapshot().state
        running = state.active and state is not RunState.PAUSED and self._session.shown.step is None
        if not self._timer.isActive() or not running:
            self._timer.start(max(self._pace, self._session.pace_ms) if running else 0)

    def _tell(self) -> None:
        if self._wanted:
            self._missed = False
            self.due.emit()


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
