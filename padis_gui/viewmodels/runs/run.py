"""The run under way, as the window sees it: driven in the compute thread, steered and followed from the UI thread.

Pictures go through a mailbox where the latest wins, so a slow window never queues up memory. A run is active until its
end has been taken in the UI thread; what is told of that end carries all that belongs to it.
"""

import asyncio
import logging
import time
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import closing, suppress
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal
from torch import Tensor

from padis_gui.core.prior.prior import DenoiserCall, PatchPrior
from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.runs.control import Control, RunState
from padis_gui.core.runs.engine import Outcome, Run
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import Opened, Prepared
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.settings.declarations import Settings
from padis_gui.core.settings.errors import Interrupted
from padis_gui.core.settings.watch import Standing
from padis_gui.core.solvers.adaptation import AdaptationStep
from padis_gui.core.solvers.iterate import Iterate
from padis_gui.viewmodels.pictures.frames import (
    DEFAULT_BUDGET,
    AdaptationPoint,
    CurvePoint,
    History,
    IteratePictures,
    Meter,
    ProblemPictures,
)
from padis_gui.viewmodels.pictures.volumes import VolumeProblem, frame_of_iterate, pictures_of_prepared
from padis_gui.viewmodels.state.background import Requests

log = logging.getLogger(__name__)

_SLOW_STEP = 1.0  # seconds; shorter ones need no progress of their own


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The run as the status bar shows it. ``eta`` is in seconds, None until two steps are timed.

    ``within`` is the share of the step in hand that is done, 0 to 1, where steps take long; else None. ``preparing`` is
    how much of what comes before the first step is done, 0 to 1, and its stage, while that is at work. ``pausing``: a pause
    was asked for meanwhile, and comes after that.
    """

    state: RunState = RunState.IDLE
    step: int = 0
    total: int = 0
    sigma: float = 0.0
    seconds_per_step: float | None = None
    eta: float | None = None
    within: float | None = None
    preparing: tuple[float, str] | None = None
    pausing: bool = False


@dataclass(frozen=True, kw_only=True)
class Task:
    """A run that is asked for, with all that it needs in memory.

    ``recipe`` may be a draft; ``method`` is what was chosen for it, as the forms show it.
    """

    recipe: Recipe
    opened: Opened
    method: Method


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The end of a run: what was asked for, what came of it, and what was kept of its iterates.

    ``item`` is the id of its place in the queue, None where it never waited there.
    """

    task: Task
    outcome: Outcome
    history: History
    item: str | None = None

    @property
    def last_method(self) -> Method:
        """The method as live changes have left it: what the forms show when the run has ended."""
        method, recipe = self.task.method, self.outcome.recipe
        for change in recipe.changes:
            method = method.changed(change.settings_of(recipe.solver), change.tiling)
        return method


class Steered(QObject):
    """What the compute thread drives under a :class:`Control`, steered from the UI thread.

    ``changed`` is emitted on every new state.
    """

    changed = Signal()

    def __init__(self, requests: Requests, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._requests = requests
        self._control: Control | None = None
        self._active = False
        self._state = RunState.IDLE  # how the last one ended
        self._future: Future[None] | None = None
        requests.wakes(lambda: self._steer(Control.wake))

    @property
    def active(self) -> bool:
        """Whether something is under way, or its end still to be taken."""
        return self._active

    @property
    def state(self) -> RunState:
        """Where it stands; what has ended, but not in this thread yet, is still stopping."""
        if not self._active or self._control is None:
            return self._state
        return self._control.state if self._control.state.active else RunState.STOPPING

    def pause(self) -> None:
        """Stop after the patch batch in hand; it stays where it is."""
        self._steer(Control.pause)

    def resume(self) -> None:
        """Go on after a pause."""
        self._steer(Control.resume)

    def step(self) -> None:
        """Go on to the end of one iterate, then pause."""
        self._steer(Control.step)

    def finish(self) -> None:
        """Stop now and keep the current estimate."""
        self._steer(Control.finish)

    def cancel(self) -> None:
        """Stop now and keep nothing."""
        self._steer(Control.cancel)

    def change(self, settings: Settings | None = None, tiling: TilingSettings | None = None) -> None:
        """Live settings of the running solver, or another tiling, after the current iterate."""
        self._steer(lambda control: control.change(settings, tiling))

    async def finished(self) -> None:
        """Finish, and wait until its end has been taken, with all that is made of it."""
        over = asyncio.Event()

        def look() -> None:
            if not self._active:
                over.set()

        self.changed.connect(look)
        try:
            self.finish()
            look()
            await over.wait()
        finally:
            self.changed.disconnect(look)

    def wait(self, timeout: float | None = None) -> None:
        """Block until the compute thread has left it; for shutting down."""
        if self._future is not None:
            self._future.result(timeout)

    def _steer(self, how: Callable[[Control], None]) -> None:
        if self._active and self._control is not None:
            how(self._control)

    def _begin(self, *, paused: bool, steps: int = 1) -> Control:
        """Something begins; ``paused`` pauses after so many steps."""
        self._active = True
        self._control = Control(
            self.changed.emit, self._requests, paused=paused, steps=steps if paused else 0
        )
        return self._control

    def _end(self, state: RunState) -> None:
        """It is over, also for the UI thread; call it there."""
        self._active, self._state = False, state


class LiveRun(Steered):
    """Drives one task at a time on ``executor``. Signals come on the thread of this object.

    ``dirty`` is emitted with every iterate, ``prepared_ready`` with the history and the :class:`ProblemPictures` of a
    run that begins, and ``ended`` with :class:`Ended`, once a run is no longer active.
    """

    dirty = Signal()
    prepared_ready = Signal(object, object)
    ended = Signal(object)
    _came = Signal(object)

    def __init__(self, executor: Executor, requests: Requests, parent: QObject | None = None) -> None:
        super().__init__(requests, parent)
        self._executor = executor
        self._run: Run | None = None
        self._recipe: Recipe | None = None
        self._expected = 0  # steps, while none is known yet
        self._preparing = Standing()  # of what comes before the first step
        self._recording = Recording(History())
        self.disagreement_every = 0  # steps between measurements, each two denoiser calls; 0: never
        self.frames_wanted = True  # off: the run makes no pictures at all, only points for the curves
        self.frame_every = 1  # steps from one picture to the next; 0 makes that of the last step only
        self.frame_seconds = 0.0  # what making pictures has taken from the compute thread, in all runs
        self._came.connect(self._take)

    @property
    def history(self) -> History:
        """What is kept of the iterates of this run, or of the last one."""
        return self._recording.history

    @property
    def recipe(self) -> Recipe | None:
        """Of the run under way, or of the last one; a draft until it has begun."""
        return self._recipe if self._run is None else self._run.recipe

    def snapshot(self) -> Progress:
        """State and progress now; the ETA leaves out the first step, which warms up."""
        history, state = self.history, self.state
        points = history.points
        last = points[-1] if points else None
        timed = [p.seconds for p in points[1:]]
        mean = sum(timed) / len(timed) if len(timed) >= 2 else None
        step, within = last.step if last else 0, self._within_step(mean, state)
        total = history.total or (0 if within is None else self._expected)
        return Progress(
            state=state,
            step=step,
            total=total,
            sigma=last.sigma if last else 0.0,
            seconds_per_step=mean,
            eta=mean * (total - step - (within or 0.0)) if mean is not None and state.active else None,
            within=within,
            preparing=self._before_first_step(state),
            pausing=state is RunState.PREPARING and self._control is not None and self._control.paused,
        )

    def _before_first_step(self, state: RunState) -> tuple[float, str] | None:
        """How far what comes before the first step is: the preparation, and the adaptation, which can be paused."""
        adapts = state.active and bool(self.history.adaptation) and not self.history.points
        standing = self._preparing.now
        return standing if standing[1] and (adapts or state is RunState.PREPARING) else None

    def _within_step(self, mean: float | None, state: RunState) -> float | None:
        """How far the step in hand is, where steps take ``mean`` seconds or this one is the first and slow."""
        control = self._control
        if control is None or not state.active or state is RunState.PREPARING:
            return None
        slow = (control.step_seconds if mean is None else mean) > _SLOW_STEP
        return control.within_step if slow else None

    @property
    def pictures(self) -> ProblemPictures | None:
        """What the run measures, once that is prepared."""
        return self._recording.pictures

    def take_frame(self) -> IteratePictures | None:
        """The latest frame, once; None when it has been taken."""
        return self._recording.take_frame()

    def points(self) -> list[CurvePoint]:
        """A copy of the curves so far."""
        return list(self.history.points)

    def start(
        self,
        task: Task,
        made: Callable[[Opened, Method], ProblemPictures | None] = lambda opened, method: None,
        *,
        item: str | None = None,
        paused: bool = False,
        history_budget: int = DEFAULT_BUDGET,
    ) -> None:
        """Begin a run. Ignored while one is active.

        ``made`` is asked in the compute thread for what is prepared of its problem already. Its iterates are kept in a
        new :attr:`history` of at most ``history_budget`` bytes. ``item`` is told at its end.
        """
        if self._active:
            return
        control = self._begin(paused=paused)
        recording = Recording(History(history_budget))
        self._preparing = standing = Standing()
        found: list[ProblemPictures] = []

        def show(prepared: Prepared) -> None:
            shown = next((p for p in found if p.prepared is prepared), None) or pictures_of_prepared(prepared)
            recording.begin(shown, task.opened.prior.interrupted_by(control.check))
            self.prepared_ready.emit(recording.history, shown)

        def tell(done: float, stage: str) -> None:
            if standing.tell(done, stage):
                self.dirty.emit()

        def adapting(step: AdaptationStep) -> None:
            recording.history.adapted(AdaptationPoint.of(step))
            self.dirty.emit()

        run = Run(
            task.recipe, task.opened, control, on_prepared=show, on_progress=tell, on_adapting=adapting,
            observe=recording.observe,
        )  # fmt: skip

        def work() -> None:
            pictures = made(task.opened, task.method)
            if pictures is not None:
                found.append(pictures)
                run.prepared = pictures.prepared
            self._work(task, item, run, recording)

        self._recording, self._run = recording, run
        self._expected = int(getattr(task.method.settings, "iterates", 0))
        self.changed.emit()
        self._future = self._executor.submit(work)

    def _take(self, ended: Ended) -> None:
        self._end(ended.outcome.state)
        self._run, self._recipe = None, ended.outcome.recipe  # what it has on the device goes
        self.ended.emit(ended)
        self.changed.emit()

    # What the compute thread does -----------------------------------------------------------------

    def _work(self, task: Task, item: str | None, run: Run, recording: "Recording") -> None:
        try:
            last = None
            with closing(run.steps()) as steps:
                for last in steps:
                    self._publish(last, run.control, recording)
            if last is not None:
                self._picture(last, recording)
            outcome = outcome_of(run)
        except Exception as error:  # of what is made for the window: it must survive it
            log.exception("The run could not be shown")
            outcome = failed(run.recipe, error)
        self._came.emit(Ended(task=task, outcome=outcome, history=recording.history, item=item))

    def _publish(self, iterate: Iterate, control: Control, recording: "Recording") -> None:
        """Leave the iterate in mailbox and history."""
        every = self.disagreement_every
        due = every > 0 and iterate.step % every == 0
        measured = recording.append(iterate, disagreement=due)
        if measured or (self.frame_every and iterate.step % self.frame_every == 0) or control.paused:
            self._picture(iterate, recording)
        self.dirty.emit()

    def _picture(self, iterate: Iterate, recording: "Recording") -> None:
        if self.frames_wanted:
            began = time.perf_counter()
            recording.picture(iterate)
            self.frame_seconds += time.perf_counter() - began


def outcome_of(run: Run) -> Outcome:
    """How a run has ended whose steps have been asked for to the last; it is over then."""
    outcome = run.take()
    assert outcome is not None, "its steps have ended"
    return outcome


def failed(recipe: Recipe, error: Exception) -> Outcome:
    """The outcome of a run that came to grief outside the engine."""
    return Outcome(
        state=RunState.FAILED, recipe=recipe, error=error,
        sentence=f"The run stopped with an unexpected {type(error).__name__} ({str(error)[:200]}); try again, or copy "
        "the report and send it to us.",
        details="".join(traceback.format_exception(error)),
    )  # fmt: skip


class Recording:
    """What is kept of one run for panes and curves: a point of every iterate, pictures of some.

    Written in the compute thread; the latest picture is taken from the UI thread. ``every_seam`` measures seam ratios
    at every step.
    """

    def __init__(self, history: History, *, every_seam: bool = False) -> None:
        self.history = history
        self.pictures: ProblemPictures | None = None
        self._every_seam = every_seam
        self._meter: Meter | None = None
        self._call: DenoiserCall | None = None  # the latest
        # of the latest iterate: its last denoiser call, and the disagreement where it was measured
        self._seen: tuple[DenoiserCall | None, Tensor | None] = None, None
        self._pictured = 0
        self._mailbox: deque[IteratePictures] = deque(maxlen=1)

    def begin(self, pictures: ProblemPictures, prior: PatchPrior) -> None:
        """The run is of this problem, with that prior."""
        self.pictures = pictures
        self._meter = Meter(pictures.prepared.problem, prior, every_seam=self._every_seam)

    def observe(self, call: DenoiserCall) -> None:
        """Told of every denoiser call of the run."""
        self._call = call

    def append(self, iterate: Iterate, *, disagreement: bool = False) -> bool:
        """Keep the iterate's point, with the disagreement of offsets where it is wanted and the prior was called;
        returns whether that was measured."""
        meter, call = self._meter, self._call
        assert meter is not None, "a run is prepared before its first iterate"
        found = None
        if disagreement and call is not None and not isinstance(self.pictures, VolumeProblem):
            with suppress(Interrupted):  # the run is told at its own next patch batch
                found = meter.disagreement(call, iterate.step)
        self._seen = call, found
        self.history.append(None, meter.point(iterate, found), iterate.total)
        return found is not None

    def picture(self, iterate: Iterate) -> None:
        """Keep the iterate's pictures, unless they were the last that were kept."""
        if iterate.step != self._pictured and self.pictures is not None:
            frame = frame_of_iterate(iterate, self.pictures, *self._seen)
            self.history.keep(frame)
            self._mailbox.append(frame)
            self._pictured = iterate.step

    def take_frame(self) -> IteratePictures | None:
        """The latest pictures, once; None when they have been taken."""
        try:
            return self._mailbox.pop()
        except IndexError:
            return None
