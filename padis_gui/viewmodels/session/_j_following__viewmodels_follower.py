"""Follows the shown iterate: at once when another is chosen, and now and then while a run goes on."""

from PySide6.QtCore import QObject, QTimer, Signal

from padis_gui.core.runs.engine import RunState
from padis_gui.viewmodels.session._j_session__viewmodels_session import Session


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
            session.shown.changed, session.run.dirty, session.run.changed, session.preparation.changed,
            session.prior.changed, session.method.changed, session.shown.result_changed,
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
