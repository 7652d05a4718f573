"""The measurement of what is open and chosen, simulated or read, made a moment after either has changed."""

from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer, Signal

from padis_gui.viewmodels.background import Background
from padis_gui.viewmodels.frames import Job, Prepared, prepare

_DELAY_MS = 250
# Above this many matrix rows times pixels a problem is prepared by Run only, not after every change.
_CHEAP = 256 * 256 * 128


class Preparation(QObject):
    """``changed`` is emitted when :attr:`prepared` is another one: that of the choices, or that of a run which begins.

    ``job`` gives the choices as they stand, ``seed`` theirs.
    """

    changed = Signal()

    def __init__(
        self, background: Background, job: Callable[[], Job | None], seed: Callable[[], int | None]
    ) -> None:
        super().__init__(background)
        self._background, self._job, self._seed = background, job, seed
        self.prepared: Prepared | None = None
        self._waits = False  # something was changed while the compute thread was occupied
        self._timer = QTimer(self, singleShot=True, interval=_DELAY_MS)
        self._timer.timeout.connect(self._prepare)
        background.occupied_changed.connect(self._follow_thread)

    def soon(self) -> None:
        """Prepare what is chosen, once it has not been changed for a moment."""
        self._timer.start(_DELAY_MS)

    def now(self) -> None:
        """Prepare what is chosen as soon as the compute thread is free."""
        self._timer.start(0)

    def stop(self) -> None:
        """Prepare nothing any more, until something changes."""
        self._timer.stop()

    def keep(self, prepared: Prepared) -> None:
        """This is what is measured now."""
        if prepared is not self.prepared:
            self.prepared = prepared
            self.changed.emit()

    def _follow_thread(self) -> None:
        if self._waits and not self._background.occupied_by:
            self._waits = False
            self.soon()

    def _prepare(self) -> None:
        background, job = self._background, self._job()
        if background.closed or job is None:
            return
        if background.occupied_by:
            self._waits = True
            return
        if self.prepared is not None and self.prepared.job.same_problem(job):
            return
        if job.preparing_multiplies and job.matrix_size > _CHEAP:
            return
        background.spawn(self._work(job))

    async def _work(self, job: Job) -> None:
        prepared = await self._background.compute(prepare, job, self._seed() or 0)
        current = self._job()
        if prepared is not None and current is not None and current.same_problem(job):
            self.keep(prepared)
