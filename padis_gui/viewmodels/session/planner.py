"""What Run will take, time and memory, kept up to date from what this machine has been measured to do.

Its pace is measured once for each prior and patch size, corrected by every run, and kept in a file.
"""

import hashlib
import logging
import math
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from PySide6.QtCore import QObject, QTimer, Signal

from padis_gui.core.physics.registry import find_physics
from padis_gui.core.prior.checkpoint import PriorRecord
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.tiling import strategy_and_patch
from padis_gui.core.runs.control import RunState
from padis_gui.core.runs.estimate import Estimate, Pace, estimate, product_seconds, tile_pace
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import Opened, Prepared, expected_product_seconds, prepared_shape
from padis_gui.core.settings.errors import Interrupted, PadisError
from padis_gui.core.settings.files import remove_leftovers, write_atomically
from padis_gui.core.settings.machine import describe_device, free_memory_mb
from padis_gui.core.settings.untrusted import read_json
from padis_gui.core.settings.watch import Watch
from padis_gui.viewmodels.runs.run import Ended
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.state.background import Check

log = logging.getLogger(__name__)

_KEPT = 200
# A run moves what is believed half of the way to what it took
_LEARNING = 0.5
_LEAST, _MOST = 0.2, 5.0


class _Measured(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)
    patch: int = Field(ge=1)
    tile_seconds: float = Field(gt=0)
    batch_mb: float = Field(ge=0)


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)
    tiles: dict[str, _Measured] = {}
    factors: dict[str, float] = {}


def machine_and_prior(prior: PatchPrior, record: PriorRecord, patch: int) -> str:
    """What a measured pace belongs to: device, precision, network, patch size."""
    network = hashlib.sha256(record.network.model_dump_json().encode()).hexdigest()[:12]
    return f"{describe_device(prior.device)}|{prior.precision}|{network}|{patch}"


class Paces:
    """``folder`` is where they are kept; None keeps them for this object's life only."""

    def __init__(self, folder: Path | None = None) -> None:
        self._path = None if folder is None else folder / "paces.json"
        self._kept = self._read()

    def tile(self, key: str) -> Pace | None:
        """The pace that was measured for :func:`machine_and_prior`, if one was."""
        found = self._kept.tiles.get(key)
        if found is None:
            return None
        return Pace(patch=found.patch, tile_seconds=found.tile_seconds, batch_mb=found.batch_mb)

    def keep_tile(self, key: str, pace: Pace) -> None:
        """Remember a measured pace."""
        self._kept.tiles[key] = _Measured(
            patch=pace.patch, tile_seconds=max(pace.tile_seconds, 1e-9), batch_mb=pace.batch_mb
        )
        self._write()

    def factor(self, what: str) -> float:
        """How much longer than estimated runs of ``what`` take; 1 until one has ended."""
        return min(max(self._kept.factors.get(what, 1.0), _LEAST), _MOST)

    def learn(self, what: str, ratio: float) -> None:
        """A run of ``what`` has taken ``ratio`` times the uncorrected estimate."""
        believed = self._kept.factors.get(what)
        moved = ratio if believed is None else believed + _LEARNING * (ratio - believed)
        self._kept.factors[what] = min(max(moved, _LEAST), _MOST)
        self._write()

    def _read(self) -> _File:
        if self._path is not None:
            remove_leftovers(self._path)
        if self._path is None or not self._path.exists():
            return _File()
        try:
            return _File.model_validate(read_json(self._path))
        except (OSError, ValueError) as error:
            log.warning("The measured times in %s cannot be used: %s", self._path, error)
        return _File()

    def _write(self) -> None:
        for table in (self._kept.tiles, self._kept.factors):
            while len(table) > _KEPT:
                del table[next(iter(table))]
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, self._kept.model_dump_json().encode())
        except OSError as error:
            log.warning("The measured times cannot be written to %s: %s", self._path, error)


_SETTLE_MS = 120
# A kept iterate: estimate, denoised, state and difference, in float32
_PICTURES_KEPT = 4
_LIVE_VOLUMES = 3  # estimate, denoised and state of the latest one
_USABLE = 0.8  # of the free memory


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
        self._pages = range(0)
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
        session.volume.changed.connect(self._follow_volume)
        session.preparation.changed.connect(self._measure_products)
        session.run.changed.connect(self._follow_run)
        session.run.ended.connect(self._learn)

    def _follow_volume(self) -> None:
        """Another volume, or none, takes otherwise; where its crosshair is does not matter."""
        pages = self._session.volume.pages
        if pages != self._pages:
            self._pages = pages
            self._soon.start()

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
    def measures(self) -> bool:
        """Whether this machine can be measured now: a run that goes on would falsify it."""
        return not self._session.run.active

    @property
    def short(self) -> bool:
        """Whether what the plan takes of the device's memory is more than is free."""
        return self.plan is not None and bool(self.free_mb) and self.plan.memory_mb > self.free_mb

    @property
    def matrix_free(self) -> bool:
        """Whether the planned run multiplies with A without a matrix: that would be too large, or the setting says so."""
        opened, method = self._session.opened(), self._session.method.now
        if self.plan is None or opened is None or method.imageless:
            return False
        return bool(method.problem.entries(_shape(opened, method)[1:])) and not _stored_entries(
            opened, method
        )

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
        steps = int(getattr(method.settings, "steps", 1)) * int(getattr(method.settings, "inner", 1))
        each = _megabytes(opened, method) * (1 if opened.is_volume else _PICTURES_KEPT)
        return min(each * steps, max(self._session.runs.history_budget / 2**20, each))

    @property
    def kept_whole(self) -> int | None:
        """How many iterates of a volume the history holds, each whole; None for images."""
        opened = self._session.opened()
        if opened is None or not opened.is_volume:
            return None
        each = _megabytes(opened, self._session.method.now)
        return max(1, int(self._session.runs.history_budget / 2**20 / each))

    @property
    def fitting_slices(self) -> int | None:
        """How many slices of the volume a run has memory for, where it has none for all; None where that is not so."""
        plan, pages = self.plan, self._session.volume.pages
        if not self.short or plan is None or len(pages) < 2:
            return None
        fixed = plan.scan_mb + plan.batch_mb
        each = (plan.memory_mb - fixed) / len(pages)
        fitting = int((_USABLE * self.free_mb - fixed) / each)
        return fitting if 1 <= fitting < len(pages) else None

    def _estimate(self, opened: Opened, method: Method) -> Estimate:
        opened.prior_for(method)  # says what does not go together
        pace = self._pace(opened, method)
        found = estimate(
            solver=method.solver, settings=method.settings, tiling=method.tiling, prior=opened.prior,
            image_shape=_shape(opened, method), stored_entries=_stored_entries(opened, method), pace=pace,
            adaptation=method.adaptation if method.adapts else None, volume=opened.is_volume,
        )  # fmt: skip
        if opened.is_volume:  # the iterate that is seen is held while the next one is made
            found = replace(found, memory_mb=found.memory_mb + _LIVE_VOLUMES * _megabytes(opened, method))
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
            or preparation.made(opened, method) is None
        ):
            if find_physics(method.physics).of_volumes:  # which is long, and prepared when a run wants it
                with suppress(PadisError):
                    return replace(pace, product_seconds=expected_product_seconds(opened, method))
            return pace
        return replace(pace, product_seconds=products[1])

    # Measuring ------------------------------------------------------------------------------------

    def _measure_tile(self, key: str, prior: PatchPrior, patch: int) -> None:
        if key in self._measuring or not self.measures:
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
        """Time the operator of what has been prepared. A run does not wait for that: it is timed when it has ended."""
        run, preparation = self._session.run, self._session.preparation
        prepared = preparation.prepared
        if prepared is None or not self.measures or run.active:
            return
        if self._products is not None and self._products[0] is prepared:
            return

        def work(check: Check) -> float:
            def give_way() -> None:
                check()
                if run.active or preparation.prepared is not prepared:
                    raise Interrupted

            return product_seconds(prepared.problem, Watch(give_way))

        def done(seconds: object) -> None:
            if isinstance(seconds, float):
                self._products = (prepared, seconds)
                self._soon.start()

        self._session.compute_requests.ask("pace of products", work, done)

    # Learning -------------------------------------------------------------------------------------

    def _follow_run(self) -> None:
        """Keep what was estimated for the run that begins, without what earlier runs have taught."""
        self._measure_products()
        if self._session.run.snapshot().state is not RunState.PREPARING:
            return
        opened, method, task = self._session.opened(), self._session.method.now, self._session.running
        self._started = None
        if task is None or opened is None or task.method != method or not task.opened.same_as(opened):
            return  # one from the queue: what was estimated is something else
        if self.plan is not None and self.plan.seconds:
            what = self._what(opened, method)
            self._started = what, self.plan.seconds / self._paces.factor(what)

    def _learn(self, ended: Ended) -> None:
        started, self._started = self._started, None
        result = ended.outcome.result
        if result is None or ended.outcome.error is not None or started is None:
            return
        recipe = result.recipe
        # the adaptation ends when it will, and is not in the seconds of the steps
        if (
            recipe.stop_after is None
            and not recipe.changes
            and recipe.adaptation is None
            and result.seconds > 0
        ):
            what, seconds = started
            self._paces.learn(what, result.seconds / seconds)
            self._soon.start()


def _megabytes(opened: Opened, method: Method) -> float:
    """An image, or a volume, of what the solver works on, in single precision."""
    return 4 * math.prod(_shape(opened, method)) / 2**20


def _shape(opened: Opened, method: Method) -> tuple[int, int, int]:
    """(C, rows, columns) of what the solver works on."""
    return prepared_shape(opened.image, opened.prior, method.problem)


def _stored_entries(opened: Opened, method: Method) -> int:
    """Of the system matrix; 0 where there is none, or products are matrix-free."""
    return method.problem.stored_entries(_shape(opened, method)[1:])


def _patch(opened: Opened, method: Method) -> int:
    """The patch size in pixels that is used."""
    return strategy_and_patch(method.tiling, _shape(opened, method)[1:], opened.prior)[1]
