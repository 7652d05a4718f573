"""The engine: one run of a recipe, steered from any thread, which ends in one outcome.

::

                      pause, step            finish, cancel
    PREPARING ──▶ RUNNING ◀──────▶ PAUSED ─────────────────┐
        │            │    resume      │                     ▼
        │            │                └────────────────▶ STOPPING ──▶ FINISHED (the estimate is kept)
        │            │                                      │
        │            ├─────────────────────────────────▶ DONE         CANCELLED (nothing is kept)
        └────────────┴─────────────────────────────────▶ FAILED (what was good before a divergence is kept)

A run is driven by whoever iterates over :meth:`Run.steps`, in that thread; a :class:`Control` is asked at every patch
batch whether the run may go on. A run is active until its :class:`Outcome` has been taken: nobody who asks a newer run
can be told of an older one's end.
"""

import logging
import math
import threading
import traceback
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from padis_gui.core.images.image import Image, Pixels
from padis_gui.core.physics.problem import Problem
from padis_gui.core.prior.prior import DenoiserCall, PatchPrior
from padis_gui.core.prior.tiling import (
    BranchingTiling,
    LiveTiling,
    Tiling,
    TilingSettings,
    make_tiling,
    strategy_and_patch,
)
from padis_gui.core.runs.opened import Opened, Prepared, measure, prepare, streams
from padis_gui.core.runs.recipe import Change, Recipe, sealed
from padis_gui.core.settings.declarations import Settings
from padis_gui.core.settings.errors import Interrupted, PadisError
from padis_gui.core.settings.machine import torch_threads
from padis_gui.core.solvers.iterate import Iterate
from padis_gui.core.solvers.registry import find_solver

log = logging.getLogger(__name__)


class RunState(Enum):
    """Where a run stands; the value is what the window says."""

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
        """Whether a thread is at work on it, or waits in it."""
        return self in (RunState.PREPARING, RunState.RUNNING, RunState.PAUSED, RunState.STOPPING)


@dataclass(frozen=True, slots=True)
class Steering:
    """What is sent into a running solver between two iterates: live settings, another tiling."""

    settings: Settings | None = None
    tiling: TilingSettings | None = None


class SideWork(Protocol):
    """Small work for the thread that has the run, done between two patch batches and while the run is paused."""

    @property
    def waiting(self) -> bool:
        """Whether there is something to do."""

    def do_waiting(self, check: Callable[[], None]) -> None:
        """Do it; ``check`` raises :class:`~padis_gui.core.settings.errors.Interrupted` where the run must stop."""


class Checked:
    """Side work that is a question only: ``check`` is asked at every patch batch, and raises what ends the run."""

    waiting = False

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check

    def do_waiting(self, check: Callable[[], None]) -> None:
        """Ask."""
        self._check()


class Control:
    """Steers a run, or a pair of them: thread-safe, for one run only.

    ``changed`` is called, in whatever thread, on every new state. ``paused`` begins with a pause, after ``steps``
    iterates.
    """

    def __init__(
        self,
        changed: Callable[[], None] = lambda: None,
        side_work: SideWork | None = None,
        *,
        paused: bool = False,
        steps: int = 0,
    ) -> None:
        self._changed, self._side_work = changed, side_work
        self._condition = threading.Condition()
        self._state = RunState.PREPARING
        self._paused, self._allowed = paused, steps
        self._stop: RunState | None = None
        self._waiting = Steering()

    @property
    def state(self) -> RunState:
        """Where the run stands."""
        return self._state

    @property
    def stop(self) -> RunState | None:
        """The state in which the run was asked to end, if it was."""
        return self._stop

    @property
    def paused(self) -> bool:
        """Whether a pause was asked for: the next iterate may be the last for a while."""
        return self._paused

    # Said by whoever steers --------------------------------------------------------------------------

    def pause(self) -> None:
        """Stop after the patch batch in hand; the run stays where it is."""
        self._steer(paused=True)

    def resume(self) -> None:
        """Go on after a pause."""
        self._steer(paused=False)

    def step(self, count: int = 1) -> None:
        """Go on to the end of so many iterates (one of each run of a pair), then pause."""
        self._steer(paused=True, steps=count)

    def finish(self) -> None:
        """Stop after the patch batch in hand and keep the present estimate."""
        self._steer(stop=RunState.FINISHED)

    def cancel(self) -> None:
        """Stop after the patch batch in hand and keep nothing."""
        self._steer(stop=RunState.CANCELLED)

    def change(self, settings: Settings | None = None, tiling: TilingSettings | None = None) -> None:
        """Live settings of the solver, or another tiling, from the next iterate on."""
        with self._condition:
            waiting = self._waiting
            self._waiting = Steering(settings or waiting.settings, tiling or waiting.tiling)

    def wake(self) -> None:
        """There is side work to do, also while the run is paused."""
        with self._condition:
            self._condition.notify_all()

    def _steer(self, *, paused: bool | None = None, steps: int = 0, stop: RunState | None = None) -> None:
        with self._condition:
            if not self._state.active or self._state is RunState.STOPPING:
                return
            if paused is not None:
                self._paused, self._allowed = paused, steps
            if stop is not None:
                self._stop, self._state = stop, RunState.STOPPING
            self._condition.notify_all()
        self._changed()

    # Asked by the run --------------------------------------------------------------------------------

    def check(self) -> None:
        """Called at every patch batch: does side work, waits while paused, raises when asked to stop."""
        while True:
            if self._side_work is not None:
                self._side_work.do_waiting(self.raise_if_stopped)
            with self._condition:
                self.raise_if_stopped()
                if not self._paused or self._allowed:
                    self._enter(RunState.RUNNING)
                    return
                self._enter(RunState.PAUSED)
                if self._side_work is None or not self._side_work.waiting:
                    self._condition.wait()

    def raise_if_stopped(self) -> None:
        """Raise :class:`~padis_gui.core.settings.errors.Interrupted` when asked to stop."""
        if self._stop is not None:
            raise Interrupted

    def passed(self) -> None:
        """An iterate is done."""
        with self._condition:
            self._allowed = max(0, self._allowed - 1)

    def changes(self) -> Steering | None:
        """What waits to be sent into the solver."""
        with self._condition:
            waiting, self._waiting = self._waiting, Steering()
        return None if waiting == Steering() else waiting

    def end(self, state: RunState) -> None:
        """The run, or the last one of a pair, has ended so."""
        with self._condition:
            self._state = state
        self._changed()

    def _enter(self, state: RunState) -> None:
        if self._state is not state:
            self._state = state
            self._changed()


@dataclass(frozen=True, kw_only=True)
class Result:
    """An estimate and all that belongs to it.

    ``image`` is the estimate (C, rows, columns) with its unit, window and spacing; ``deviation`` (C, rows, columns)
    the standard deviation of its samples in that unit, where several were drawn, ``interval`` the ends of an interval of
    each pixel, where the result is a set of samples. ``seconds`` are those of the steps. ``sha256`` is the hash of the
    estimate as it was, where the file that it was read from may hold whole numbers only.
    """

    recipe: Recipe
    image: Image
    deviation: Pixels | None = None
    interval: tuple[Pixels, Pixels] | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    evaluations: int = 0
    sha256: str = ""

    @property
    def pixels(self) -> Pixels:
        """The estimate (C, rows, columns) in the image's unit."""
        return self.image.pixels

    @property
    def unit(self) -> str:
        """The unit of the pixels, such as "HU"; empty where they have none."""
        return self.image.unit

    @property
    def window(self) -> tuple[float, float]:
        """(low, high) in that unit, which are 0 and 1 to the prior."""
        return self.image.window

    @property
    def spacing(self) -> tuple[float, float] | None:
        """Pixel pitch (rows, columns) in mm."""
        return self.image.spacing

    @property
    def psnr(self) -> float:
        """Against the truth, in dB; NaN where none is known."""
        return self.metrics.get("psnr", math.nan)

    @property
    def ssim(self) -> float:
        """Against the truth, 1 for the same image; NaN where none is known."""
        return self.metrics.get("ssim", math.nan)

    @property
    def pages(self) -> list[Pixels]:
        """The estimate, and what is known of its samples."""
        return [self.pixels, *(() if self.deviation is None else (self.deviation,)), *(self.interval or ())]

    @property
    def nbytes(self) -> int:
        """Memory that its pictures take."""
        return sum(page.nbytes for page in self.pages)

    @property
    def proposed_name(self) -> str:
        """A file name that says what this is."""
        return f"{stem_of(self.recipe)}.tif"


def stem_of(recipe: Recipe) -> str:
    """What a run is, as the beginning of a file's name."""
    data = f"{Path(recipe.data.file).stem or 'array'}_p{recipe.data.page}" if recipe.data else "generated"
    views = f"_{recipe.problem['views']}views" if "views" in recipe.problem else ""
    return f"{data}_{recipe.physics}{views}_{recipe.solver}"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended, once and for all.

    ``recipe`` is the run as it really was: with its live changes and the step after which it was ended early.
    ``result`` is None where there is no estimate to keep. ``error`` is why it ended, if not by itself or on request;
    ``sentence`` says so to the user, ``details`` is for a report where the fault is the program's.
    """

    state: RunState
    recipe: Recipe
    result: Result | None = None
    error: Exception | None = None
    sentence: str = ""
    details: str = ""

    def required(self) -> Result:
        """The result of a run that went well; raises its error otherwise."""
        if self.error is not None:
            raise self.error
        if self.result is None:
            raise Interrupted
        return self.result


class Run:
    """One run of a recipe on what is opened.

    The recipe's own number of torch threads is used for all of it, whichever thread drives it, so that the same
    recipe gives the same bits everywhere. ``prepared`` is used where it is of this problem; what was prepared is in
    :attr:`prepared` once the first step is asked for, and ``on_prepared`` is told. ``observe`` is told of every denoiser
    call. A run of a pair does not end the ``control`` that it shares.
    """

    def __init__(
        self,
        recipe: Recipe,
        opened: Opened,
        control: Control | None = None,
        *,
        prepared: Prepared | None = None,
        on_prepared: Callable[[Prepared], None] = lambda prepared: None,
        observe: Callable[[DenoiserCall], None] | None = None,
        of_pair: bool = False,
    ) -> None:
        self.recipe, self.opened = recipe, opened
        self.control = control or Control()
        self.prepared = prepared
        self._on_prepared, self._observe, self._of_pair = on_prepared, observe, of_pair
        self._changes: list[Change] = []
        self._last: Iterate | None = None
        self._seconds = 0.0
        self.outcome: Outcome | None = None
        self._taken = False

    @property
    def active(self) -> bool:
        """Whether its outcome is still to come, or to be taken."""
        return not self._taken

    def take(self) -> Outcome | None:
        """The outcome, once it is there; the run is over for whoever has taken it."""
        self._taken = self._taken or self.outcome is not None
        return self.outcome

    def steps(self) -> Generator[Iterate, None, None]:
        """The iterates, computed as they are asked for. Never raises what went wrong: :attr:`outcome` says it.

        Whoever gives up early closes it; that is a cancelled run.
        """
        iterates: Generator[Iterate, Steering | None, None] | None = None
        state, error = RunState.CANCELLED, None  # as whoever closes this early leaves it
        try:
            with torch_threads(self.recipe.threads):
                iterates = self._begin()
            sent: Steering | None = None
            while True:
                with torch_threads(self.recipe.threads):
                    self.control.check()
                    try:
                        iterate = iterates.send(sent)
                    except StopIteration:
                        break
                self._last = iterate
                self._seconds += iterate.seconds
                self.control.passed()  # now: the other run of a pair may be asked before this one is again
                yield iterate
                sent = self.control.changes()
                self._note(iterate.step, sent)
            # cancelled after its last step is cancelled all the same
            state = RunState.CANCELLED if self.control.stop is RunState.CANCELLED else RunState.DONE
        except Interrupted:
            state = self.control.stop or RunState.CANCELLED
        except (
            Exception
        ) as caught:  # bad input, a defect, the machine's limits: whoever drives must survive it
            state, error = RunState.FAILED, caught
        finally:
            if iterates is not None:
                iterates.close()
            try:
                self.outcome = self._ended(state, error)
            except Exception as caught:  # such as no memory left to measure the estimate
                self.outcome = self._failed(caught)
            if not self._of_pair:
                self.control.end(self.outcome.state)

    def _begin(self) -> Generator[Iterate, Steering | None, None]:
        self.recipe = recipe = sealed(self.recipe)
        method, seed = recipe.method, recipe.measured_with
        if self.prepared is None or not self.prepared.serves(self.opened, method, seed):
            self.prepared = prepare(self.opened, method, seed)
        self._on_prepared(self.prepared)
        prior = self.opened.prior.interrupted_by(self.control.check)
        if self._observe is not None:
            prior = prior.observed_by(self._observe)
        return solve(recipe, self.prepared.problem, prior)

    def _note(self, step: int, sent: Steering | None) -> None:
        """Keep the live changes for the recipe; those that it brought are replayed by the solver itself."""
        if sent is not None:
            values = None if sent.settings is None else sent.settings.model_dump(mode="json")
            self._changes.append(Change(step=step, settings=values, tiling=sent.tiling))
        else:
            self._changes += [change for change in self.recipe.changes if change.step == step][-1:]

    def _failed(self, error: Exception, result: Result | None = None) -> Outcome:
        """With what was good before the error, if there was something."""
        recipe = self.recipe if result is None else result.recipe
        sentence, details = str(error), ""
        if not isinstance(error, PadisError):
            log.error("The run failed", exc_info=error)
            sentence = (
                f"The run stopped with an unexpected {type(error).__name__} ({str(error)[:200]}); try again, or copy "
                "the report and send it to us."
            )
            details = "".join(traceback.format_exception(error))
        return Outcome(
            state=RunState.FAILED,
            recipe=recipe,
            result=result,
            error=error,
            sentence=sentence,
            details=details,
        )

    def _ended(self, state: RunState, error: Exception | None) -> Outcome:
        last, sentence = self._last, ""
        if last is None and state is RunState.FINISHED:
            state = RunState.CANCELLED
            sentence = (
                "There was no estimate to keep yet, so the run was cancelled; let it make a step first."
            )
        recipe, result = self.recipe, None
        keeps = error is None or isinstance(error, PadisError)
        if last is not None and keeps and state is not RunState.CANCELLED:
            complete = last.step == last.total
            recipe = recipe.model_copy(
                update={"changes": tuple(self._changes), "stop_after": None if complete else last.step}
            )
            with torch_threads(recipe.threads):
                result = self._result(recipe, last)
        if error is not None:
            return self._failed(error, result)
        return Outcome(state=state, recipe=recipe, result=result, sentence=sentence)

    def _result(self, recipe: Recipe, last: Iterate) -> Result:
        prepared = self.prepared
        assert prepared is not None, "there was a step"
        spread = last.deviation
        return Result(
            recipe=recipe, image=replace(prepared.image, pixels=prepared.image.from_unit(last.estimate)),
            deviation=None if spread is None else prepared.image.spread_from_unit(spread),
            metrics=measure(prepared.problem, last.estimate) | prepared.baseline_metrics,
            seconds=self._seconds, evaluations=last.evaluations,
        )  # fmt: skip


def finish(run: Run, watch: Callable[[Iterate], None] = lambda iterate: None) -> Result:
    """Drive a run to its end; ``watch`` sees every iterate. Raises what went wrong."""
    for iterate in run.steps():
        watch(iterate)
    outcome = run.take()
    assert outcome is not None, "its steps have ended"
    return outcome.required()


def solve(recipe: Recipe, problem: Problem, prior: PatchPrior) -> Generator[Iterate, Steering | None, None]:
    """The iterates of this recipe's solver; ``send`` a :class:`Steering` to change live settings or the tiling.

    For whoever has a problem of their own; threads, preparation and the end are a :class:`Run`'s.
    """
    solver, settings = find_solver(recipe.solver), recipe.solver_settings
    prior = replace(prior, positions=recipe.prior.positions, branching=recipe.paired)
    shape = problem.operator.image_shape

    def tiling_of(chosen: TilingSettings) -> Tiling:
        strategy, patch = strategy_and_patch(chosen, (shape[1], shape[2]), prior)
        made = make_tiling(strategy, (shape[1], shape[2]), patch, prior.conventions.frame, chosen)
        return BranchingTiling(made) if recipe.paired else made

    tiling = LiveTiling(tiling_of(recipe.tiling))
    iterates = solver.iterates(problem, prior, tiling, settings, streams(recipe.seed)[1])
    recorded = {change.step: change for change in recipe.changes}
    sent: Any = None
    try:
        while True:
            try:
                iterate = iterates.send(sent)
            except StopIteration:
                return
            steering = yield iterate
            if steering is None and (change := recorded.get(iterate.step)) is not None:
                steering = Steering(change.settings_of(recipe.solver), change.tiling)
            sent = None if steering is None else steering.settings
            if steering is not None and steering.tiling is not None:
                tiling.current = tiling_of(steering.tiling)
            if iterate.step == recipe.stop_after:
                return
    finally:
        iterates.close()
