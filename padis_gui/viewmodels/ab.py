"""A/B: the present settings (A) and the same with something else (B), from the same noise, in step.

Both generators are advanced in the one compute thread, in turn; each side leaves its latest frame in a mailbox, and
its iterates in a history.
"""

import logging
import traceback
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from PySide6.QtCore import QObject, Signal

from padis_gui.core.ab import Side, find_what_if, in_step
from padis_gui.core.errors import Interrupted, PadisError
from padis_gui.core.prior import DenoiserCall, PatchPrior
from padis_gui.core.recipe import Recipe, Run, make_recipe, new_seed, solve
from padis_gui.core.seams import seam_map
from padis_gui.core.solvers import find_solver
from padis_gui.core.solvers.iterate import Iterate
from padis_gui.core.tiling import TILINGS, strategy_and_patch
from padis_gui.viewmodels.errands import Trouble
from padis_gui.viewmodels.frames import (
    Frame,
    Job,
    Pixels,
    Point,
    Prepared,
    Result,
    channels_first,
    frame_of,
    prepare,
)
from padis_gui.viewmodels.gate import Gate
from padis_gui.viewmodels.history import History
from padis_gui.viewmodels.measuring import Meter
from padis_gui.viewmodels.run import Failure, RunState, result_of
from padis_gui.viewmodels.runs import record_of
from padis_gui.viewmodels.session import Session

log = logging.getLogger(__name__)

NAMES = ("A", "B")
SEAM_MAP = "seams"
# What both panes can show of an iterate
PICTURES = {
    "estimate": "Estimate x̂₀",
    "difference": "Difference x̂₀ − truth",
    SEAM_MAP: "Seam map of x̂₀",
    "denoised": "Denoised D(x_t)",
    "state": "Iterate x_t",
}
_OCCUPIED = "An A/B comparison"
_HISTORY_BYTES = 64 * 2**20  # of each side


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """How B differs from A; None is as in A."""

    strategy: str | None = None
    patch: int | None = None
    solver: str | None = None
    positions: bool | None = None


@dataclass(slots=True, kw_only=True)
class _Driven:
    """One side in the compute thread."""

    job: Job
    recipe: Recipe
    meter: Meter
    history: History
    last: Iterate | None = None
    call: DenoiserCall | None = None
    seconds: float = 0.0
    failure: str = ""
    run: Run | None = field(default=None, repr=False)

    def observe(self, call: DenoiserCall) -> None:
        """Told of every denoiser call of this side."""
        self.call = call


class ABRun(QObject):
    """Two runs in step. ``changed`` comes with every new state or choice, ``dirty`` with every iterate, ``mapped``
    with new seam maps."""

    changed = Signal()
    dirty = Signal()
    mapped = Signal()
    _ended = Signal(object, object)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self.gate = Gate(session.errands, self.changed.emit)
        self.choices = Choices(strategy="fixed")
        self.histories = (History(_HISTORY_BYTES), History(_HISTORY_BYTES))
        self.jobs: tuple[Job, Job] | None = None  # of the comparison that is shown
        self.results: tuple[Result | None, Result | None] = (None, None)
        self.prepared: Prepared | None = None
        self.seed = 0
        self.at: float | None = None  # which part of the way is shown; None: the latest
        self._kept: set[int] = set()
        self._maps: dict[int, tuple[Frame, Pixels]] = {}
        self._difference: tuple[Frame, Frame, Pixels] | None = None
        self._future: Future[None] | None = None
        self._ended.connect(self._end)
        session.settings_changed.connect(self.changed)
        session.closing.connect(self.cancel)

    # What is compared -----------------------------------------------------------------------------

    def choose(self, name: str, value: Any) -> None:
        """Let B differ in ``strategy``, ``patch``, ``solver`` or ``positions``; None is as in A."""
        self.choices = replace(self.choices, **{name: value})
        self.changed.emit()

    def sides(self) -> tuple[Side, Side] | None:
        """A and B as they would run now; None while data or prior are missing."""
        job = self._session.job()
        if job is None:
            return None
        a = Side(tiling=job.tiling, solver=job.solver, settings=job.settings, positions=job.prior.positions)
        chosen = self.choices
        changes = {"strategy": chosen.strategy, "patch": chosen.patch}
        tiling = a.tiling.model_copy(update={k: v for k, v in changes.items() if v is not None})
        b = replace(a, tiling=tiling)
        if chosen.solver is not None and chosen.solver != a.solver:
            b = replace(b, solver=chosen.solver, settings=self._session.settings_of(chosen.solver))
        return a, b if chosen.positions is None else replace(b, positions=chosen.positions)

    def describe(self, side: Side) -> str:
        """A side in a line."""
        return describe(side, self._session.prior, self._session.prepared)

    @property
    def differs(self) -> bool:
        """Whether B is something else than A."""
        sides = self.sides()
        return sides is not None and sides[0] != sides[1]

    # Steering -------------------------------------------------------------------------------------

    @property
    def state(self) -> RunState:
        """Where the comparison stands."""
        return self.gate.state

    def what_if(self, name: str) -> None:
        """Compare the present settings with a classic fault."""
        fault, sides = find_what_if(name), self.sides()
        if sides is None or self.state.active:
            self._refuse()
            return
        b = fault.of(sides[0])
        self.choices = Choices(
            strategy=fault.tiling.get("strategy"), positions=None if b.positions == sides[0].positions else b.positions
        )  # fmt: skip
        self.start()

    def start(self, *, paused: bool = False) -> None:
        """Run both; ``paused`` stops after the first iterate of each."""
        session, sides, job = self._session, self.sides(), self._session.job()
        if sides is None or job is None or session.run.active or self.state.active or sides[0] == sides[1]:
            self._refuse()
            return
        jobs = tuple(
            replace(
                job, tiling=side.tiling, solver=side.solver, settings=side.settings,
                prior=replace(job.prior, positions=side.positions),
            )
            for side in sides
        )  # fmt: skip
        if not self.gate.begin(paused=paused, steps=len(jobs) if paused else 0):
            return
        self.jobs = (jobs[0], jobs[1])
        self.histories = (History(_HISTORY_BYTES), History(_HISTORY_BYTES))
        self.results, self.at = (None, None), None
        self._kept.clear()
        self._maps.clear()
        self.seed = new_seed() if session.seed is None else session.seed
        session.occupy(_OCCUPIED)
        prepared = session.prepared if session.prepared and session.prepared.job.same_problem(job) else None
        self._future = session.submit(self._work, self.jobs, job, self.seed, prepared)
        self.changed.emit()

    def _refuse(self) -> None:
        session, sides = self._session, self.sides()
        if session.run.active or self.state.active:
            what = "A run" if session.run.active else _OCCUPIED
            text = f"{what} is under way; finish or cancel it first."
        elif sides is None:
            text = "An image and a prior are wanted before a comparison; open them on the Reconstruct page."
        else:
            text = "A and B are the same; choose another tiling, patch size, method or positions for B."
        session.message.emit("warning", text, "")

    def pause(self) -> None:
        """Stop after the patch batch in hand."""
        self.gate.steer(paused=True)

    def resume(self) -> None:
        """Go on after a pause."""
        self.gate.steer(paused=False)

    def step(self) -> None:
        """One iterate of each side, then pause."""
        if self.state.active:
            self.gate.steer(paused=True, steps=len(NAMES))
        else:
            self.start(paused=True)

    def finish(self) -> None:
        """Stop now and keep both estimates."""
        self.gate.steer(stop=RunState.FINISHED)

    def cancel(self) -> None:
        """Stop now and keep nothing."""
        self.gate.steer(stop=RunState.CANCELLED)

    # What is shown --------------------------------------------------------------------------------

    def go_to(self, part: float | None) -> None:
        """Show the iterates at this part of the way, 0 to 1; None for the latest ones."""
        self.at = part
        self.dirty.emit()

    def frame(self, side: int) -> Frame | None:
        """The shown iterate of a side."""
        history = self.histories[side]
        return history.last if self.at is None else history.frame_at(round(self.at * history.total))

    def point(self, side: int) -> Point | None:
        """The shown iterate's numbers."""
        frame = self.frame(side)
        return None if frame is None else self.histories[side].point_at(frame.step)

    def picture(self, side: int, kind: str) -> Pixels | None:
        """A picture of the shown iterate; a seam map comes a little later, see ``mapped``."""
        frame = self.frame(side)
        if frame is None or kind != SEAM_MAP:
            return None if frame is None else getattr(frame, kind)
        known = self._maps.get(side)
        if known is None or known[0] is not frame:
            frames = {i: f for i in range(len(NAMES)) if (f := self.frame(i)) is not None}
            self._session.chores.ask("ab maps", lambda check: _seam_maps(frames), self._take_maps)
        return None if known is None else known[1]

    def difference(self) -> Pixels | None:
        """The estimate of B minus that of A, (rows, columns[, 3]) in the image's unit."""
        a, b = self.frame(0), self.frame(1)
        if a is None or b is None or a.estimate.shape != b.estimate.shape:
            return None
        known = self._difference
        if known is None or known[0] is not a or known[1] is not b:
            self._difference = known = (a, b, b.estimate - a.estimate)
        return known[2]

    def difference_rms(self) -> float:
        """Root mean square of :meth:`difference`, NaN while there is none."""
        found = self.difference()
        return float("nan") if found is None else float(np.sqrt(np.mean(np.square(found, dtype=np.float64))))

    def _take_maps(self, maps: dict[int, tuple[Frame, Pixels]] | Trouble | None) -> None:
        if isinstance(maps, dict):
            self._maps = maps
            self.mapped.emit()

    # What is kept ---------------------------------------------------------------------------------

    @property
    def keepable(self) -> bool:
        """Whether there is a result that is not among the runs yet."""
        return any(r is not None and i not in self._kept for i, r in enumerate(self.results))

    def keep(self) -> None:
        """Put the results among the runs."""
        runs = self._session.runs
        name = runs.next_name() if self.keepable else ""
        for index, result in enumerate(self.results):
            if result is not None and index not in self._kept:
                self._kept.add(index)
                record = record_of(
                    result,
                    self.histories[index],
                    name=f"{name}, {NAMES[index]} of A/B",
                    state=self.state.value,
                )
                runs.add(record)
        self.changed.emit()

    # The compute thread ---------------------------------------------------------------------------

    def _work(self, jobs: tuple[Job, Job], whole: Job, seed: int, prepared: Prepared | None) -> None:
        results: tuple[Result | None, ...] = (None, None)
        failure: Failure | None = None
        state = RunState.FAILED
        try:
            if prepared is None or (whole.problem.is_noisy and prepared.seed != seed):
                prepared = prepare(whole, seed)
            self.prepared = prepared
            driven = [self._side(job, seed, prepared, index) for index, job in enumerate(jobs)]
            state = self._drive(driven, prepared)
            if state is not RunState.CANCELLED:
                results = tuple(self._result(side, prepared) for side in driven)
            failures = [f"{NAMES[i]}: {side.failure}" for i, side in enumerate(driven) if side.failure]
            failure = Failure(" ".join(failures)) if failures else None
        except Interrupted:
            state = self.gate.stop or RunState.CANCELLED
        except PadisError as error:
            failure = Failure(str(error))
        except Exception as error:  # a defect or the machine's limits: the window must survive it
            log.exception("The comparison failed")
            failure = Failure(
                f"The comparison stopped with an unexpected {type(error).__name__} ({str(error)[:200]}); try again, "
                "or copy the report and send it to us.",
                traceback.format_exc(),
            )
        finally:
            self.gate.end(state)
            self._ended.emit(results, failure)

    def _side(self, job: Job, seed: int, prepared: Prepared, index: int) -> _Driven:
        prior = job.prior.interrupted_by(self.gate.check)
        recipe = make_recipe(
            image=job.image, data_path=job.data_path, prior=prior, prior_path=job.prior_path, physics=job.physics,
            problem=job.problem, tiling=job.tiling, solver=job.solver, settings=job.settings, seed=seed, paired=True,
        )  # fmt: skip
        side = _Driven(
            job=job, recipe=recipe, meter=Meter(prepared.problem, prior), history=self.histories[index]
        )
        side.run = solve(recipe, prepared.problem, prior.observed_by(side.observe))
        return side

    def _drive(self, sides: list[_Driven], prepared: Prepared) -> RunState:
        turns = in_step([side.run for side in sides if side.run is not None])
        try:
            while True:
                self.gate.check()
                turn = next(turns, None)
                if turn is None:
                    return RunState.DONE
                side = sides[turn.side]
                if turn.iterate is None:
                    side.failure = str(turn.failure)
                    continue
                side.last = turn.iterate
                side.seconds += turn.iterate.seconds
                frame = frame_of(turn.iterate, prepared, side.call)
                side.history.append(frame, side.meter.point(turn.iterate), turn.iterate.total)
                self.gate.passed()
                self.dirty.emit()
        except Interrupted:
            return self.gate.stop or RunState.CANCELLED
        finally:
            turns.close()

    def _result(self, side: _Driven, prepared: Prepared) -> Result | None:
        if side.last is None:
            return None
        complete = side.last.step == side.last.total
        recipe = side.recipe.model_copy(update={"stop_after": None if complete else side.last.step})
        return result_of(side.job, recipe, prepared, side.last, side.seconds)

    def _end(self, results: tuple[Result | None, Result | None], failure: Failure | None) -> None:
        self.results = results
        self._session.occupy("")
        if failure is not None:
            self._session.message.emit("error", failure.sentence, failure.details)
        self.dirty.emit()
        self.changed.emit()


def _seam_maps(frames: dict[int, Frame]) -> dict[int, tuple[Frame, Pixels]]:
    """The seam map of each frame's estimate along its own tiling; in the I/O thread."""
    made = {}
    for side, frame in frames.items():
        if frame.partition is not None:
            x = torch.from_numpy(np.ascontiguousarray(channels_first(frame.estimate)))
            made[side] = frame, seam_map(x, frame.partition).numpy()
    return made


def describe(side: Side, prior: PatchPrior | None, prepared: Prepared | None) -> str:
    """A side in a line: method, tiling, patch size, positions where they are off."""
    strategy, patch = side.tiling.strategy, side.tiling.patch
    if prior is not None and prepared is not None:
        strategy, patch = strategy_and_patch(side.tiling, prepared.image.shape, prior)
    tiling = next(t.label for t in TILINGS if t.name == strategy)
    size = "" if patch is None else f", P = {patch} px"
    blind = "" if side.positions else ", no positions"
    return f"{find_solver(side.solver).label}; {tiling}{size}{blind}"
