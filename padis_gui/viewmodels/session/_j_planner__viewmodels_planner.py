"""What the present choices will take, before Run: kept up to date, from what this machine has been measured to do."""

import logging
from dataclasses import replace

from PySide6.QtCore import QObject, QTimer, Signal

from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.tiling import strategy_and_patch
from padis_gui.core.runs.engine import RunState
from padis_gui.core.runs.estimate import Estimate, Pace, estimate, product_seconds, tile_pace
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import Opened, Prepared, prepared_shape
from padis_gui.core.settings._j_machine__core_device import free_memory_mb
from padis_gui.core.settings.errors import Interrupted, PadisError
from padis_gui.viewmodels.runs.run import Ended
from padis_gui.viewmodels.session._j_planner__viewmodels_paces import Paces, machine_and_prior
from padis_gui.viewmodels.session._j_session__viewmodels_session import Session
from padis_gui.viewmodels.state._j_background__viewmodels_errands import Check

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
        opened = self._session.opened()
        self.plan = None
        if opened is not None:
            try:
                self.plan = self._estimate(opened, self._session.method.now)
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
        opened, method = self._session.opened(), self._session.method.now
        if opened is None:
            return 0.0
        channels, rows, columns = _shape(opened, method)
        steps = int(getattr(method.settings, "steps", 1)) * int(getattr(method.settings, "inner", 1))
        kept = 4 * _PICTURES_KEPT * channels * rows * columns * steps / 2**20
        return min(kept, self._session.runs.history_budget / 2**20)

    def _estimate(self, opened: Opened, method: Method) -> Estimate:
        pace = self._pace(opened, method)
        found = estimate(
            solver=method.solver, settings=method.settings, tiling=method.tiling, prior=opened.prior,
            image_shape=_shape(opened, method), views=int(getattr(method.problem, "views", 0)), pace=pace,
        )  # fmt: skip
        if found.seconds is None:
            return found
        return replace(found, seconds=found.seconds * self._paces.factor(self._what(opened, method)))

    def _what(self, opened: Opened, method: Method) -> str:
        return f"{method.solver}|{method.physics}|{self._key(opened, method)}"

    def _key(self, opened: Opened, method: Method) -> str:
        record = self._session.prior.record
        assert record is not None, "an open prior has a record"
        return machine_and_prior(opened.prior, record, _patch(opened, method))

    def _pace(self, opened: Opened, method: Method) -> Pace | None:
        """The measured pace; where there is none yet, it is measured and the estimate made again."""
        key = self._key(opened, method)
        pace = self._paces.tile(key)
        if pace is None:
            self._measure_tile(key, opened.prior, _patch(opened, method))
            return None
        products, preparation = self._products, self._session.preparation
        if (
            products is None
            or products[0] is not preparation.prepared
            or not preparation.is_of(opened, method)
        ):
            return pace
        return replace(pace, product_seconds=products[1])

    # Measuring ------------------------------------------------------------------------------------

    def _measure_tile(self, key: str, prior: PatchPrior, patch: int) -> None:
        if key in self._measuring or self._session.run.active:
            return
        self._measuring.add(key)

        def work(check: Check) -> Pace:
            check()
            seconds, memory = tile_pace(prior.interrupted_by(check), patch)
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
        opened, method = self._session.opened(), self._session.method.now
        self._started = None
        if opened is not None and self.plan is not None and self.plan.seconds:
            what = self._what(opened, method)
            self._started = what, self.plan.seconds / self._paces.factor(what)

    def _learn(self, ended: Ended) -> None:
        started, self._started = self._started, None
        result = ended.outcome.result
        if result is None or ended.outcome.error is not None or started is None:
            return
        recipe = result.recipe
        if recipe.stop_after is None and not recipe.changes and result.seconds > 0:
            what, seconds = started
            self._paces.learn(what, result.seconds / seconds)
            self._soon.start()


def _shape(opened: Opened, method: Method) -> tuple[int, int, int]:
    """(C, rows, columns) of what the solver works on."""
    return prepared_shape(opened.image, opened.prior, method.problem)


def _patch(opened: Opened, method: Method) -> int:
    """The patch size in pixels that is used."""
    return strategy_and_patch(method.tiling, _shape(opened, method)[1:], opened.prior)[1]
