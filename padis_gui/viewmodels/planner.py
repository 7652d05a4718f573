"""What the present choices will take, before Run: kept up to date, from what this machine has been measured to do."""

import logging
from dataclasses import replace

from PySide6.QtCore import QObject, QTimer, Signal

from padis_gui.core.device import free_memory_mb
from padis_gui.core.errors import Interrupted, PadisError
from padis_gui.core.estimate import Estimate, Pace, estimate, product_seconds, tile_pace
from padis_gui.core.recipe import prepared_shape
from padis_gui.core.tiling import strategy_and_patch
from padis_gui.viewmodels.errands import Check
from padis_gui.viewmodels.frames import Job, Prepared, Result
from padis_gui.viewmodels.paces import Paces, machine_and_prior
from padis_gui.viewmodels.run import RunState
from padis_gui.viewmodels.session import Session

log = logging.getLogger(__name__)

_SETTLE_MS = 120
# A kept iterate: estimate, denoised, state and difference, in float32
_PICTURES_KEPT = 4


class Planner(QObject):
    """``changed`` is emitted when :attr:`plan` is another one.

    ``plan`` is None while there is nothing to run, or where the choices contradict each other.
    """

    changed = Signal()

    def __init__(self, session: Session, paces: Paces | None = None) -> None:
        super().__init__(session)
        self._session, self._paces = session, paces or Paces()
        self.plan: Estimate | None = None
        self.free_mb = 0.0
        self._products: tuple[Prepared, float] | None = None
        self._started: tuple[str, float] | None = None
        self._measuring: set[str] = set()
        self._soon = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._soon.timeout.connect(self.refresh)
        for signal in (
            session.method.changed, session.data.changed, session.prior.changed, session.prior.device_changed,
            session.occupied_changed,
        ):  # fmt: skip
            signal.connect(self._soon.start)
        session.preparation.changed.connect(self._measure_products)
        session.run.changed.connect(self._follow_run)
        session.run.ended.connect(self._learn)

    def refresh(self) -> None:
        """Estimate again."""
        job = self._session.job()
        self.plan = None
        if job is not None:
            try:
                self.plan = self._estimate(job)
            except PadisError as error:  # Run says why
                log.debug("No estimate: %s", error)
            self.free_mb = free_memory_mb(self._session.prior.device)
        self.changed.emit()

    @property
    def on_cpu(self) -> bool:
        """Whether the machine's own memory is the device's."""
        return self._session.prior.device.type == "cpu"

    @property
    def history_mb(self) -> float:
        """What the kept iterates of the run will take of the machine's memory, at most."""
        job = self._session.job()
        if job is None:
            return 0.0
        channels, rows, columns = prepared_shape(job.image, job.prior, job.problem)
        steps = int(getattr(job.settings, "steps", 1)) * int(getattr(job.settings, "inner", 1))
        kept = 4 * _PICTURES_KEPT * channels * rows * columns * steps / 2**20
        return min(kept, self._session.runs.history_budget / 2**20)

    def _estimate(self, job: Job) -> Estimate:
        shape = prepared_shape(job.image, job.prior, job.problem)
        pace = self._pace(job, shape)
        found = estimate(
            solver=job.solver, settings=job.settings, tiling=job.tiling, prior=job.prior, image_shape=shape,
            views=int(getattr(job.problem, "views", 0)), pace=pace,
        )  # fmt: skip
        if found.seconds is None:
            return found
        return replace(found, seconds=found.seconds * self._paces.factor(self._what(job)))

    def _what(self, job: Job) -> str:
        return f"{job.solver}|{job.physics}|{self._key(job)}"

    def _key(self, job: Job) -> str:
        record = self._session.prior.record
        assert record is not None, "a job has a prior, and a prior a record"
        _, rows, columns = prepared_shape(job.image, job.prior, job.problem)
        patch = strategy_and_patch(job.tiling, (rows, columns), job.prior)[1]
        return machine_and_prior(job.prior, record, patch)

    def _pace(self, job: Job, shape: tuple[int, int, int]) -> Pace | None:
        """The measured pace; where there is none yet, it is measured and the estimate made again."""
        key = self._key(job)
        pace = self._paces.tile(key)
        if pace is None:
            self._measure_tile(key, job, strategy_and_patch(job.tiling, shape[1:], job.prior)[1])
            return None
        known = self._products is not None and self._products[0].job.same_problem(job)
        return replace(pace, product_seconds=self._products[1] if known and self._products else 0.0)

    # Measuring ------------------------------------------------------------------------------------

    def _measure_tile(self, key: str, job: Job, patch: int) -> None:
        if key in self._measuring or self._session.run.active:
            return
        self._measuring.add(key)

        def work(check: Check) -> Pace:
            check()
            seconds, memory = tile_pace(job.prior.interrupted_by(check), patch)
            return Pace(patch=patch, tile_seconds=seconds, batch_mb=memory)

        def done(pace: object) -> None:
            self._measuring.discard(key)
            if isinstance(pace, Pace):
                self._paces.keep_tile(key, pace)
                self._soon.start()

        self._session.compute_requests.ask(f"pace {key}", work, done)

    def _measure_products(self) -> None:
        """Time the operator of what has been prepared; a run that uses it waits for some milliseconds at most."""
        prepared = self._session.preparation.prepared
        if prepared is None or self._session.run.active:
            return

        def work(check: Check) -> float | None:
            try:
                check()
                return product_seconds(prepared.problem)
            except Interrupted:
                return None

        def done(seconds: object) -> None:
            if isinstance(seconds, float):
                self._products = (prepared, seconds)
                self._soon.start()

        self._session.compute_requests.ask("pace of products", work, done)

    # Learning -------------------------------------------------------------------------------------

    def _follow_run(self) -> None:
        """Keep what was estimated for the run that begins, without what earlier runs have taught."""
        if self._session.run.snapshot().state is not RunState.PREPARING:
            return
        job = self._session.job()
        self._started = None
        if job is not None and self.plan is not None and self.plan.seconds:
            what = self._what(job)
            self._started = what, self.plan.seconds / self._paces.factor(what)

    def _learn(self, result: Result | None, failure: object) -> None:
        started, self._started = self._started, None
        if result is None or failure is not None or started is None:
            return
        recipe = result.recipe
        if recipe.stop_after is None and not recipe.changes and result.seconds > 0:
            what, seconds = started
            self._paces.learn(what, result.seconds / seconds)
            self._soon.start()
