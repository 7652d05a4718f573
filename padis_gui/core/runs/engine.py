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
batch and at every product with the operator whether the run may go on, and between any two operations of torch whether
it is to stop. A run is active until its :class:`Outcome` has been taken: nobody who asks a newer run can be told of an
older one's end.
"""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from padis_gui.core import torch
from padis_gui.core.images.image import Image, OfImage, Pixels
from padis_gui.core.physics.problem import Problem
from padis_gui.core.prior.prior import DenoiserCall, PatchPrior
from padis_gui.core.prior.seams import measure_along_z
from padis_gui.core.prior.slices import StackSettings
from padis_gui.core.prior.stack import StackPrior
from padis_gui.core.prior.tiling import (
    BranchingTiling,
    LiveTiling,
    Tiling,
    TilingSettings,
    tiling_for,
)
from padis_gui.core.runs.control import Control, RunState, Steering
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import (
    Opened,
    Prepared,
    adapting_stream,
    measure,
    prepare,
    preparing_share,
    streams,
)
from padis_gui.core.runs.recipe import Change, Recipe, sealed
from padis_gui.core.settings.errors import Interrupted, PadisError
from padis_gui.core.settings.machine import told_of_memory, torch_threads
from padis_gui.core.settings.watch import Watch, asked_between_operations
from padis_gui.core.solvers.adaptation import AdaptationSettings, AdaptationStep, Adapted, adapt
from padis_gui.core.solvers.along_z import smoothed_volume
from padis_gui.core.solvers.iterate import Iterate
from padis_gui.core.solvers.registry import find_solver

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Result(OfImage):
    """An estimate and all that belongs to it.

    ``image`` is the estimate (C, rows, columns) with its unit, window and spacing; ``deviation`` (C, rows, columns)
    the standard deviation of its samples in that unit, where several were drawn, ``interval`` the ends of an interval of
    each pixel, where the result is a set of samples. ``seconds`` are those of the steps. It was the estimate of ``step``
    of ``total`` steps, at noise level ``sigma``: 0 and NaN where that is not known, as of a mean of samples. ``sha256``
    is the hash of the estimate as it was, where the file that it was read from may hold whole numbers only. ``adapted`` is
    the prior that it was made with where that was adapted in this run; it is in no file.
    """

    recipe: Recipe
    image: Image
    deviation: Pixels | None = None
    interval: tuple[Pixels, Pixels] | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    evaluations: int = 0
    step: int = 0
    total: int = 0
    sigma: float = math.nan
    sha256: str = ""
    adapted: Adapted | None = None

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
    """What a run is, as the beginning of a file's name; its page counts from 1."""
    data = f"{Path(recipe.data.file).stem or 'array'}_p{recipe.data.page + 1}" if recipe.data else "generated"
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
    :attr:`prepared` once the first step is asked for, and ``on_prepared`` is told; ``on_progress`` is told how much of
    all that comes before the first step is done, from 0 to 1, and its stage in words. ``observe`` is told of every denoiser
    call, ``on_adapting`` of every step of the adaptation that may come before the first iterate: it is steered as the rest
    of the run, and there is no estimate to keep before it has ended. A run of a pair does not end the ``control`` that it
    shares.
    """

    def __init__(
        self,
        recipe: Recipe,
        opened: Opened,
        control: Control | None = None,
        *,
        prepared: Prepared | None = None,
        on_prepared: Callable[[Prepared], None] = lambda prepared: None,
        on_progress: Callable[[float, str], None] = lambda done, stage: None,
        on_adapting: Callable[[AdaptationStep], None] = lambda step: None,
        observe: Callable[[DenoiserCall], None] | None = None,
        of_pair: bool = False,
    ) -> None:
        self.recipe, self.opened = recipe, opened
        self.control = control or Control()
        self.prepared = prepared
        self._on_prepared, self._observe, self._of_pair = on_prepared, observe, of_pair
        self._on_adapting = on_adapting
        self._adapted: Adapted | None = None
        self._watch = Watch(self.control.check_preparing, on_progress)
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
            with self._working():
                iterates = self._begin()
            sent: Steering | None = None
            while True:
                with self._working():
                    self.control.check()
                    before = self.control.paused_seconds  # pauses between two steps are in no step
                    try:
                        iterate = iterates.send(sent)
                    except StopIteration:
                        break
                stood = self.control.paused_seconds - before
                if stood > 0:
                    iterate = replace(iterate, seconds=max(0.0, iterate.seconds - stood))
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
        except Exception as caught:  # bad input, a defect, no memory: whoever drives must survive it
            state, error = RunState.FAILED, told_of_memory(caught)
        finally:
            if iterates is not None:
                iterates.close()
            try:
                self.outcome = self._ended(state, error)
            except Exception as caught:  # such as no memory left to measure the estimate
                self.outcome = self._failed(caught)
            if not self._of_pair:
                self.control.end(self.outcome.state)

    @contextmanager
    def _working(self) -> Iterator[None]:
        """With the recipe's threads, and stopped between two operations where that is asked for."""
        stopped = asked_between_operations(self.control.raise_if_stopped, self.opened.prior.device)
        with torch_threads(self.recipe.threads), stopped:
            yield

    def _begin(self) -> Generator[Iterate, Steering | None, None]:
        self.recipe = recipe = sealed(self.recipe)
        method, seed = recipe.method, recipe.measured_with
        norm = getattr(recipe.solver_settings, "unit_norm", True)
        share = 0.0
        self._watch.tell(0.0, "preparing")
        if self.prepared is None or not self.prepared.serves(self.opened, method, seed):
            share = preparing_share(self.opened, method, norm=norm)
            self.prepared = prepare(self.opened, method, seed, watch=self._watch.part(0, share))
        self._on_prepared(self.prepared)
        self.prepared.problem.operator.get_ready(self._watch.part(share, 1, "norm"), norm=norm)
        self._watch.tell(1.0, "ready")
        problem = self.prepared.problem
        asking = replace(problem, operator=problem.operator.interrupted_by(self.control.check))
        prior = self.opened.prior_for(method).interrupted_by(self.control.check)
        if method.adapts and method.adaptation is not None:
            prior = self._adapt(asking, replace(prior, positions=method.positions), method.adaptation)
        calls = find_solver(recipe.solver).calls_of_step(recipe.solver_settings)
        prior = prior.interrupted_by(self.control.check, lambda batches: self.control.count(calls * batches))
        if self._observe is not None:
            prior = prior.observed_by(self._observe)
        return solve(recipe, asking, prior)

    def _adapt(self, problem: Problem, prior: PatchPrior, settings: AdaptationSettings) -> PatchPrior:
        """The prior adapted to the problem; every step is told, and counts as a step for whoever goes step by step."""
        steps = adapt(problem, prior, settings, adapting_stream(self.recipe.seed))
        try:
            while True:
                self.control.check()
                step = next(steps)
                self.control.passed()
                self._on_adapting(step)
                self._watch.tell(step.step / step.total, step.in_words)
        except StopIteration as end:
            self._adapted = end.value
            return self._adapted.prior
        finally:
            steps.close()

    def _note(self, step: int, sent: Steering | None) -> None:
        """Keep the live changes for the recipe; those that it brought are replayed by the solver itself."""
        if sent is not None:
            values = None if sent.settings is None else sent.settings.model_dump(mode="json")
            self._changes.append(Change(step=step, settings=values, tiling=sent.tiling))
        else:
            self._changes += [change for change in self.recipe.changes if change.step == step][-1:]

    def _failed(self, error: Exception, result: Result | None = None) -> Outcome:
        """With what was good before the error, if there was something."""
        error = told_of_memory(error)
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
        smoothing = 0.0 if recipe.stack is None else recipe.stack.settings.z_smoothing
        if smoothing:
            last = replace(last, estimate=smoothed_volume(prepared.problem, last.estimate, smoothing))
        spread = last.deviation
        return Result(
            recipe=recipe, image=replace(prepared.image, pixels=prepared.image.from_unit(last.estimate)),
            deviation=None if spread is None else prepared.image.spread_from_unit(spread),
            metrics=measure(prepared.problem, last.estimate) | self._along_z(last) | prepared.baseline_metrics,
            seconds=self._seconds, evaluations=last.evaluations, step=last.step, total=last.total, sigma=last.sigma,
            adapted=self._adapted,
        )  # fmt: skip

    def _along_z(self, last: Iterate) -> dict[str, float]:
        """What is measured of a volume's slices beside each other."""
        assert self.prepared is not None, "there was a step"
        if not self.opened.is_volume:
            return {}
        seams = getattr(last.partition, "seams_along_z", None)
        return measure_along_z(last.estimate, self.prepared.problem.truth, seams)


def finish(run: Run, watch: Callable[[Iterate], None] = lambda iterate: None) -> Result:
    """Drive a run to its end; ``watch`` sees every iterate. Raises what went wrong."""
    for iterate in run.steps():
        watch(iterate)
    outcome = run.take()
    assert outcome is not None, "its steps have ended"
    return outcome.required()


def solve(recipe: Recipe, problem: Problem, prior: PatchPrior) -> Generator[Iterate, Steering | None, None]:
    """The iterates of this recipe's solver, with its live changes; see :func:`iterates_of`."""
    return iterates_of(
        recipe.method, problem, prior, streams(recipe.seed)[1], paired=recipe.paired, changes=recipe.changes,
        stop_after=recipe.stop_after,
    )  # fmt: skip


def iterates_of(
    method: Method,
    problem: Problem,
    prior: PatchPrior,
    rng: torch.Generator,
    *,
    paired: bool = False,
    changes: Sequence[Change] = (),
    stop_after: int | None = None,
) -> Generator[Iterate, Steering | None, None]:
    """The iterates of a method; ``send`` a :class:`Steering` to change live settings or the tiling.

    For whoever has a problem of their own; threads, preparation and the end are a :class:`Run`'s. ``changes`` are made
    after their steps; for ``paired`` see ``branching`` of :class:`~padis_gui.core.prior.prior.PatchPrior`.
    """
    prior = replace(prior, positions=method.positions, branching=paired)
    shape, levels = problem.operator.image_shape, find_solver(method.solver).levels(method.settings).tolist()

    def tiling_of(chosen: TilingSettings) -> Tiling:
        made = tiling_for(chosen, (shape[1], shape[2]), prior, levels)
        if isinstance(prior, StackPrior):
            made = prior.tiling(made, shape[0], method.stack or StackSettings())
        return BranchingTiling(made) if paired else made

    tiling = LiveTiling(tiling_of(method.tiling))
    iterates = find_solver(method.solver).iterates(problem, prior, tiling, method.settings, rng)
    recorded = {change.step: change for change in changes}
    sent: Any = None
    try:
        while True:
            try:
                iterate = iterates.send(sent)
            except StopIteration:
                return
            steering = yield iterate
            if steering is None and (change := recorded.get(iterate.step)) is not None:
                steering = Steering(change.settings_of(method.solver), change.tiling)
            sent = None if steering is None else steering.settings
            if steering is not None and steering.tiling is not None:
                tiling.current = tiling_of(steering.tiling)
            if iterate.step == stop_after:
                return
    finally:
        iterates.close()
