"""One run: a generator driven in the compute thread, steered from the UI thread at patch-batch boundaries.

Pause = don't ask for the next item; step = ask once; finish = keep the last estimate; cancel = stop asking
and close. Frames go through a mailbox where the latest wins, so a slow window never queues up memory.
"""

import logging
import threading
import time
import traceback
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from enum import Enum

from PySide6.QtCore import QObject, Signal
from torch import Tensor

from padis_gui.core.device import torch_threads
from padis_gui.core.errors import DivergenceError, Interrupted, PadisError
from padis_gui.core.prior import DenoiserCall
from padis_gui.core.recipe import Change, Recipe, Steering, measure, solve
from padis_gui.core.settings import Settings
from padis_gui.core.solvers.iterate import Iterate
from padis_gui.core.tiling import TilingSettings
from padis_gui.viewmodels.errands import Requests
from padis_gui.viewmodels.frames import Frame, Job, Point, Prepared, Result, frame_of, prepare
from padis_gui.viewmodels.history import DEFAULT_BUDGET, History
from padis_gui.viewmodels.measuring import Meter
from padis_gui.viewmodels.reopen import recipe_of

log = logging.getLogger(__name__)


class RunState(Enum):
    """Where a run stands."""

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
        """Whether the compute thread is at work on it (or waits in it)."""
        return self in (RunState.PREPARING, RunState.RUNNING, RunState.PAUSED, RunState.STOPPING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The run as the status bar shows it. ``eta`` is in seconds, None until two steps are timed."""

    state: RunState = RunState.IDLE
    step: int = 0
    total: int = 0
    sigma: float = 0.0
    seconds_per_step: float | None = None
    eta: float | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A sentence for the user, and the details for a report where the fault is the program's."""

    sentence: str
    details: str = ""


class Run(QObject):
    """Drives one job at a time on ``executor``. Signals come on the thread of this object."""

    changed = Signal()
    dirty = Signal()
    prepared_ready = Signal(object)
    ended = Signal(object, object)

    def __init__(self, executor: Executor, errands: Requests, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._executor, self._errands = executor, errands
        self._gate = threading.Condition()
        errands.wakes(self._wake)
        self._state = RunState.IDLE
        self._paused = False
        self._steps_allowed = 0
        self._stop: RunState | None = None
        self._live = Steering()
        self._frame: Frame | None = None
        self._pictured = 0
        self.history = History()
        self._future: Future[None] | None = None
        self.recipe: Recipe | None = None  # of the run under way, or of the last one
        self._call: DenoiserCall | None = None  # the latest
        # of the latest iterate: its last denoiser call, and the disagreement where it was measured
        self._seen: tuple[DenoiserCall | None, Tensor | None] = None, None
        self.disagreement_every = 0  # steps between measurements, each two denoiser calls; 0: never
        self.frames_wanted = True  # off: the run makes no pictures at all, only points for the curves
        self.frame_every = 1  # steps from one picture to the next; 0 makes that of the last step only
        self.frame_seconds = 0.0  # what making pictures has taken from the compute thread, in all runs

    # What the UI thread asks and says -------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Whether a run is under way."""
        return self._state.active

    def snapshot(self) -> Progress:
        """State and progress now; the ETA leaves out the first step, which warms up."""
        with self._gate:
            history, state = self.history, self._state
        points, total = history.points, history.total
        last = points[-1] if points else None
        timed = [p.seconds for p in points[1:]]
        mean = sum(timed) / len(timed) if len(timed) >= 2 else None
        step = last.step if last else 0
        return Progress(
            state=state,
            step=step,
            total=total,
            sigma=last.sigma if last else 0.0,
            seconds_per_step=mean,
            eta=mean * (total - step) if mean is not None and state.active else None,
        )

    def take_frame(self) -> Frame | None:
        """The latest frame, once; None when it has been taken."""
        with self._gate:
            frame, self._frame = self._frame, None
        return frame

    def points(self) -> list[Point]:
        """A copy of the curves so far."""
        return list(self.history.points)

    def start(
        self,
        job: Job,
        seed: int,
        prepared: Prepared | None,
        *,
        paused: bool = False,
        history_budget: int = DEFAULT_BUDGET,
    ) -> None:
        """Begin a run; ``prepared`` is used where it belongs to this job. Ignored while one is active.

        Its iterates are kept in a new :attr:`history` of at most ``history_budget`` bytes.
        """
        with self._gate:
            if self._state.active:
                return
            self._state = RunState.PREPARING
            self._paused, self._steps_allowed = paused, 1 if paused else 0
            self._stop = self._frame = None
            self._live = Steering()
            self._pictured = 0
            self.history = History(history_budget)
        self.changed.emit()
        self._future = self._executor.submit(self._work, job, seed, prepared)

    def pause(self) -> None:
        """Stop after the patch batch in hand; the run stays where it is."""
        self._steer(paused=True)

    def resume(self) -> None:
        """Go on after a pause."""
        self._steer(paused=False)

    def step(self) -> None:
        """Go on to the end of one iterate, then pause."""
        self._steer(paused=True, steps=1)

    def finish(self) -> None:
        """Stop now and keep the current estimate."""
        self._steer(stop=RunState.FINISHED)

    def cancel(self) -> None:
        """Stop now and keep nothing."""
        self._steer(stop=RunState.CANCELLED)

    def change(self, settings: Settings) -> None:
        """Give a running solver new settings; it takes the live ones after the current iterate."""
        with self._gate:
            self._live = replace(self._live, settings=settings)

    def change_tiling(self, tiling: TilingSettings) -> None:
        """Tile otherwise from the next iterate on."""
        with self._gate:
            self._live = replace(self._live, tiling=tiling)

    def wait(self, timeout: float | None = None) -> None:
        """Block until the compute thread has left the run; for shutting down."""
        if self._future is not None:
            self._future.result(timeout)

    def _wake(self) -> None:
        with self._gate:
            self._gate.notify_all()

    def _steer(self, *, paused: bool | None = None, steps: int = 0, stop: RunState | None = None) -> None:
        with self._gate:
            if not self._state.active or self._state is RunState.STOPPING:
                return
            if paused is not None:
                self._paused = paused
                self._steps_allowed = steps
            if stop is not None:
                self._stop = stop
                self._state = RunState.STOPPING
            self._gate.notify_all()
        self.changed.emit()

    # What the compute thread does -----------------------------------------------------------------

    def _check(self) -> None:
        """Called at every patch batch: does errands, waits while paused, raises when asked to stop."""
        while True:
            self._errands.do_waiting(self._raise_if_stopped)
            with self._gate:
                self._raise_if_stopped()
                if not self._paused or self._steps_allowed:
                    self._enter(RunState.RUNNING)
                    return
                self._enter(RunState.PAUSED)
                if not self._errands.waiting:
                    self._gate.wait()

    def _raise_if_stopped(self) -> None:
        if self._stop is not None:
            raise Interrupted

    def _enter(self, state: RunState) -> None:
        if self._state is not state:
            self._state = state
            self.changed.emit()

    def _observe(self, call: DenoiserCall) -> None:
        self._call = call

    def _work(self, job: Job, seed: int, prepared: Prepared | None) -> None:
        result: Result | None = None
        failure: Failure | None = None
        state = RunState.FAILED
        try:
            measured_with = seed if job.measurement_seed is None else job.measurement_seed
            fits = prepared is not None and prepared.job.same_problem(job)
            if prepared is None or not fits or (job.problem.is_noisy and prepared.seed != measured_with):
                prepared = prepare(job, measured_with)
            self.prepared_ready.emit(prepared)
            with torch_threads(job.threads):
                state, result, failure = self._drive(job, seed, prepared)
        except PadisError as error:
            failure = Failure(str(error))
        except Exception as error:  # a defect or the machine's limits: the window must survive it
            log.exception("The run failed")
            failure = Failure(
                f"The run stopped with an unexpected {type(error).__name__} ({str(error)[:200]}); try again, or "
                "copy the report and send it to us.",
                traceback.format_exc(),
            )
        finally:
            with self._gate:
                self._state = state
            self.ended.emit(result, failure)
            self.changed.emit()

    def _drive(
        self, job: Job, seed: int, prepared: Prepared
    ) -> tuple[RunState, Result | None, Failure | None]:
        prior = job.prior.interrupted_by(self._check)
        self._call = self.recipe = None
        self.recipe = recipe = recipe_of(job, seed)
        iterates = solve(recipe, prepared.problem, prior.observed_by(self._observe))
        meter = Meter(prepared.problem, prior)
        recorded = {change.step: change for change in job.changes}
        changes: list[Change] = []
        last: Iterate | None = None
        failure: Failure | None = None
        state = RunState.DONE
        sent: Steering | None = None
        try:
            while True:
                self._check()
                try:
                    iterate = iterates.send(sent)
                except StopIteration:
                    if self._stop is RunState.CANCELLED:
                        state = RunState.CANCELLED
                    break
                last = iterate
                sent = self._publish(iterate, prepared, meter)
                if sent is not None:
                    values = None if sent.settings is None else sent.settings.model_dump(mode="json")
                    changes.append(Change(step=iterate.step, settings=values, tiling=sent.tiling))
                elif iterate.step in recorded:  # which the solver replays by itself
                    changes.append(recorded[iterate.step])
        except Interrupted:
            state = self._stop or RunState.CANCELLED
        except DivergenceError as error:  # keep what was good until then
            state, failure = RunState.FAILED, Failure(str(error))
        finally:
            iterates.close()
        if last is not None:
            self._picture(last, prepared)
        if last is None and state is RunState.FINISHED:
            state = RunState.CANCELLED
            failure = Failure(
                "There was no estimate to keep yet, so the run was cancelled; let it make a step first."
            )
        if last is None or state is RunState.CANCELLED:
            return state, None, failure
        complete = last.step == last.total
        result = result_of(
            job,
            recipe.model_copy(
                update={"changes": tuple(changes), "stop_after": None if complete else last.step}
            ),
            prepared,
            last,
            sum(point.seconds for point in self.points()),
        )
        return state, result, failure

    def _publish(self, iterate: Iterate, prepared: Prepared, meter: Meter) -> Steering | None:
        """Leave the iterate in mailbox and history; returns the changes that wait to be sent."""
        call, every = self._call, self.disagreement_every
        due = call is not None and every > 0 and iterate.step % every == 0
        disagreement = meter.disagreement(call, iterate.step) if call is not None and due else None
        self._seen = call, disagreement
        self.history.append(None, meter.point(iterate, disagreement), iterate.total)
        if due or (self.frame_every and iterate.step % self.frame_every == 0) or self._paused:
            self._picture(iterate, prepared)
        with self._gate:
            self._steps_allowed = max(0, self._steps_allowed - 1)
            live, self._live = self._live, Steering()
        self.dirty.emit()
        return None if live == Steering() else live

    def _picture(self, iterate: Iterate, prepared: Prepared) -> None:
        """Leave the iterate's picture in mailbox and history, unless it was the last one that went there."""
        if not self.frames_wanted or iterate.step == self._pictured:
            return
        began = time.perf_counter()
        frame = frame_of(iterate, prepared, *self._seen)
        self.history.keep(frame)
        with self._gate:
            self._frame = frame
            self._pictured = iterate.step
            self.frame_seconds += time.perf_counter() - began


def result_of(job: Job, recipe: Recipe, prepared: Prepared, last: Iterate, seconds: float) -> Result:
    """The result of a run that ended with this iterate, measured."""
    metrics = measure(prepared.problem, last.estimate)
    baseline = measure(prepared.problem, prepared.baseline_estimate)
    metrics |= {f"{name}_baseline": value for name, value in baseline.items()}
    return Result(
        job=job,
        recipe=recipe,
        image=replace(prepared.image, pixels=prepared.image.from_unit(last.estimate)),
        deviation=None if last.deviation is None else prepared.image.spread_from_unit(last.deviation),
        metrics=metrics,
        seconds=seconds,
        evaluations=last.evaluations,
    )
