"""The compute thread's part of A/B: two paired runs, advanced in turn until they end or are stopped."""

import logging
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from padis_gui.core.ab import in_step
from padis_gui.core.errors import Interrupted, PadisError
from padis_gui.core.prior import DenoiserCall
from padis_gui.core.recipe import Recipe, Run, make_recipe, solve
from padis_gui.core.solvers.iterate import Iterate
from padis_gui.viewmodels.frames import Job, Prepared, Result, frame_of, prepare
from padis_gui.viewmodels.gate import Gate
from padis_gui.viewmodels.history import History
from padis_gui.viewmodels.measuring import Meter
from padis_gui.viewmodels.run import Failure, RunState, result_of

log = logging.getLogger(__name__)

NAMES = ("A", "B")


@dataclass(slots=True, kw_only=True)
class _Driven:
    """One side."""

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

    def result(self, prepared: Prepared) -> Result | None:
        """What has come of it; None where it made no step."""
        if self.last is None:
            return None
        complete = self.last.step == self.last.total
        recipe = self.recipe.model_copy(update={"stop_after": None if complete else self.last.step})
        return result_of(self.job, recipe, prepared, self.last, self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a comparison ended; ``prepared`` is the problem of both sides, None where it could not be made."""

    results: tuple[Result | None, Result | None] = (None, None)
    failure: Failure | None = None
    prepared: Prepared | None = None


def drive(
    jobs: tuple[Job, Job],
    seed: int,
    prepared: Prepared | None,
    histories: Sequence[History],
    gate: Gate,
    advanced: Callable[[], object],
) -> Outcome:
    """Run both jobs, which measure the same thing, from the same noise; ``advanced`` is called after every iterate.

    Leaves the gate in the state in which it ended. Never raises.
    """
    failure: Failure | None = None
    results: list[Result | None] = [None, None]
    state = RunState.FAILED
    try:
        if prepared is None or (jobs[0].problem.is_noisy and prepared.seed != seed):
            prepared = prepare(jobs[0], seed)
        pairs = zip(jobs, histories, strict=True)
        sides = [_side(job, seed, prepared, history, gate) for job, history in pairs]
        state = _advance(sides, prepared, gate, advanced)
        if state is not RunState.CANCELLED:
            results = [side.result(prepared) for side in sides]
        failures = [
            f"{name}: {side.failure}" for name, side in zip(NAMES, sides, strict=True) if side.failure
        ]
        failure = Failure(" ".join(failures)) if failures else None
    except Interrupted:
        state = gate.stop or RunState.CANCELLED
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
        gate.end(state)
    return Outcome(results=(results[0], results[1]), failure=failure, prepared=prepared)


def _side(job: Job, seed: int, prepared: Prepared, history: History, gate: Gate) -> _Driven:
    prior = job.prior.interrupted_by(gate.check)
    recipe = make_recipe(
        image=job.image, data_path=job.data_path, prior=prior, prior_path=job.prior_path, physics=job.physics,
        problem=job.problem, tiling=job.tiling, solver=job.solver, settings=job.settings, seed=seed, paired=True,
    )  # fmt: skip
    side = _Driven(
        job=job, recipe=recipe, meter=Meter(prepared.problem, prior, every_seam=True), history=history
    )
    side.run = solve(recipe, prepared.problem, prior.observed_by(side.observe))
    return side


def _advance(
    sides: Sequence[_Driven], prepared: Prepared, gate: Gate, advanced: Callable[[], object]
) -> RunState:
    turns = in_step([side.run for side in sides if side.run is not None])
    try:
        while True:
            gate.check()
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
            gate.passed()
            advanced()
    except Interrupted:
        return gate.stop or RunState.CANCELLED
    finally:
        turns.close()
