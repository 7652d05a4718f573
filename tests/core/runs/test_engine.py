"""Laws of a run: the same bits whoever drives it, steered at patch batches, and one outcome that says how it ended."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from padis_gui.core.files.read import read_image
from padis_gui.core.physics.scanner import ParallelBeamSettings
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.runs import engine
from padis_gui.core.runs.control import Checked, Control, RunState
from padis_gui.core.runs.engine import Result, Run, finish
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import Opened, Prepared, prepare
from padis_gui.core.runs.recipe import Recipe, draft_recipe, sealed
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import DivergenceError, InputError, Interrupted
from padis_gui.core.settings.machine import torch_threads
from padis_gui.core.solvers.registry import SOLVERS, find_solver
from tests.core.solvers.test_solvers import TINY


@pytest.fixture
def opened(phantom_path: Path, prior: PatchPrior, prior_path: Path) -> Opened:
    return Opened(image=read_image(phantom_path), data_path=phantom_path, prior=prior, prior_path=prior_path)


def method(solver: str = "dds", steps: int = 4) -> Method:
    settings = make(find_solver(solver).settings_type, TINY[solver] | ({"steps": steps} if steps else {}))
    return Method(
        physics="ct-parallel", problem=ParallelBeamSettings(views=8, bins=96, noise=0.01),
        tiling=TilingSettings(strategy="random"), solver=solver, settings=settings,
    )  # fmt: skip


def drive(run: Run) -> list[int]:
    return [iterate.step for iterate in run.steps()]


# -- bits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", [s.name for s in SOLVERS])
def test_a_recipe_gives_its_bits_whatever_thread_drives_it(solver: str, opened: Opened) -> None:
    """Threads of torch are the recipe's, not the caller's, and the caller's are as they were after every step."""
    recipe = draft_recipe(opened, method(solver, 2 if solver != "baseline" else 0), 3, threads=1)
    found: dict[int, Result] = {}

    def driven(threads: int) -> None:
        with torch_threads(threads):
            run = Run(recipe, opened)
            for _ in run.steps():
                assert torch.get_num_threads() == threads
            outcome = run.take()
            assert outcome is not None
            found[threads] = outcome.required()

    for threads in (1, 2):
        worker = threading.Thread(target=driven, args=(threads,))
        worker.start()
        worker.join()
    assert np.array_equal(found[1].pixels, found[2].pixels)
    assert found[1].metrics == found[2].metrics
    assert found[1].recipe == found[2].recipe
    assert found[1].recipe.threads == 1


def test_what_was_prepared_serves_and_changes_nothing(opened: Opened) -> None:
    recipe = draft_recipe(opened, method(), 3)
    first = Run(recipe, opened)
    finish(first)
    told: list[Prepared] = []
    again = Run(recipe, opened, prepared=first.prepared, on_prepared=told.append)
    alone = finish(Run(recipe, opened))
    assert np.array_equal(finish(again).pixels, alone.pixels)
    assert told == [first.prepared]
    other = Run(recipe.model_copy(update={"seed": 4}), opened, prepared=first.prepared)
    finish(other)
    assert other.prepared is not first.prepared  # its noise is another one


def test_a_draft_lacks_nothing_but_hashes(opened: Opened) -> None:
    draft = draft_recipe(opened, method(), 3)
    assert draft.data is not None
    assert (draft.data.sha256, draft.prior.sha256) == ("", "")
    whole = sealed(draft)
    assert whole.data is not None
    assert whole.data.sha256
    assert whole.prior.sha256
    assert sealed(whole) == whole
    assert draft.method == method().changed(None, draft.tiling)
    gone = replace(opened, data_path=Path("/gone/away.tif"))
    run = Run(draft_recipe(gone, method(), 3), gone)
    assert drive(run) == []
    assert run.outcome is not None
    assert isinstance(run.outcome.error, InputError)


@pytest.mark.parametrize("threads", [0, -1, 10**6, 2**40])
def test_a_strangers_number_of_threads_is_refused(threads: int, opened: Opened) -> None:
    values = draft_recipe(opened, method(), 3).model_dump(mode="json") | {"threads": threads}
    with pytest.raises(ValueError, match="threads"):
        Recipe.model_validate(values)


# -- how it ends ------------------------------------------------------------------------------------------


def test_a_run_is_active_until_its_outcome_is_taken(opened: Opened) -> None:
    run = Run(draft_recipe(opened, method(), 3), opened)
    assert run.take() is None
    assert drive(run) == [1, 2, 3, 4]
    assert run.active
    outcome = run.take()
    assert outcome is run.outcome
    assert not run.active
    assert outcome is not None
    assert outcome.state is RunState.DONE is run.control.state
    assert outcome.recipe.stop_after is None
    with pytest.raises(AttributeError):
        outcome.state = RunState.FAILED  # type: ignore[misc]


def test_finish_keeps_the_estimate_and_the_recipe_repeats_it(opened: Opened) -> None:
    run = Run(draft_recipe(opened, method(steps=6), 3), opened)
    for iterate in run.steps():
        if iterate.step == 3:
            run.control.finish()
    outcome = run.take()
    assert outcome is not None
    assert (outcome.state, outcome.recipe.stop_after) == (RunState.FINISHED, 3)
    again = finish(Run(outcome.recipe, opened))
    assert np.array_equal(again.pixels, outcome.required().pixels)


def test_live_changes_are_in_the_recipe_and_repeat(opened: Opened) -> None:
    run = Run(draft_recipe(opened, method("langevin-cg", 4), 3), opened)
    for iterate in run.steps():
        if iterate.step == 2:
            settings = run.recipe.solver_settings.model_copy(update={"epsilon": 0.3})
            run.control.change(settings, TilingSettings(strategy="fixed"))
    outcome = run.take()
    assert outcome is not None
    result = outcome.required()
    assert [change.step for change in result.recipe.changes] == [2]
    assert [change.tiling.strategy for change in result.recipe.changes if change.tiling] == ["fixed"]
    again = finish(Run(result.recipe, opened))
    assert np.array_equal(again.pixels, result.pixels)
    assert again.recipe.changes == result.recipe.changes
    assert not np.array_equal(finish(Run(run.recipe, opened)).pixels, result.pixels)


@pytest.mark.parametrize("when", ["before the first step", "after a step"])
def test_cancel_keeps_nothing(when: str, opened: Opened) -> None:
    run = Run(draft_recipe(opened, method(), 3), opened)
    if when == "before the first step":
        run.control.cancel()
    for _ in run.steps():
        run.control.cancel()
    outcome = run.take()
    assert outcome is not None
    assert (outcome.state, outcome.result, outcome.error) == (RunState.CANCELLED, None, None)
    with pytest.raises(Interrupted):
        outcome.required()


@pytest.mark.parametrize("solver", [solver.name for solver in SOLVERS])
def test_a_run_is_stopped_before_any_product_of_its_data_steps(solver: str, opened: Opened) -> None:
    """Data steps of large problems take long: the control is asked before each product with A and its adjoint."""
    prepared = prepare(opened, method(solver, 0), 3)
    products: list[int] = []
    stopped_at = 5

    class Counting(type(prepared.problem.operator)):  # type: ignore[misc]
        def _forward(self, x: Tensor) -> Tensor:
            products.append(1)
            return super()._forward(x)

        def _adjoint(self, y: Tensor) -> Tensor:
            products.append(1)
            return super()._adjoint(y)

    run = Run(draft_recipe(opened, method(solver, 0), 3), opened, prepared=prepared)
    prepared.problem.operator.norm  # noqa: B018  # measured before the first step, with products of its own
    prepared.problem.operator.__class__ = Counting
    check = run.control.check

    def stops() -> None:
        if len(products) >= stopped_at:
            run.control.cancel()
        check()

    run.control.check = stops  # type: ignore[method-assign]
    drive(run)
    assert run.outcome is not None
    assert run.outcome.state is RunState.CANCELLED or len(products) < stopped_at
    assert len(products) <= stopped_at


def test_finish_without_an_estimate_says_so(opened: Opened) -> None:
    run = Run(draft_recipe(opened, method(), 3), opened)
    run.control.finish()
    assert drive(run) == []
    assert run.outcome is not None
    assert run.outcome.state is RunState.CANCELLED
    assert "no estimate" in run.outcome.sentence


def test_whoever_gives_up_leaves_a_cancelled_run(opened: Opened) -> None:
    run = Run(draft_recipe(opened, method(), 3), opened)
    steps = run.steps()
    next(steps)
    steps.close()
    assert run.outcome is not None
    assert run.outcome.state is RunState.CANCELLED


@pytest.mark.parametrize("error", [DivergenceError("it diverged"), ZeroDivisionError("a defect")])
def test_an_error_ends_the_run_and_never_the_caller(
    error: Exception, opened: Opened, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = engine.solve

    def breaks(*arguments):
        for iterate in real(*arguments):
            yield iterate
            if iterate.step == 2:
                raise error

    monkeypatch.setattr(engine, "solve", breaks)
    run = Run(draft_recipe(opened, method(), 3), opened)
    with caplog.at_level("CRITICAL"):
        assert drive(run) == [1, 2]
    outcome = run.take()
    assert outcome is not None
    assert (outcome.state, outcome.error) == (RunState.FAILED, error)
    good = isinstance(error, DivergenceError)
    assert (outcome.result is not None) == good == (not outcome.details)
    if outcome.result is not None:
        assert outcome.result.recipe.stop_after == 2
    with pytest.raises(type(error)):
        outcome.required()


def test_an_estimate_that_cannot_be_measured_still_ends_the_run(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_memory(*_arguments: object) -> None:
        raise MemoryError("none left")

    run = Run(draft_recipe(opened, method(), 3), opened)
    steps = run.steps()
    next(steps)
    monkeypatch.setattr(engine, "measure", no_memory)
    with caplog.at_level("CRITICAL"):
        list(steps)
    assert run.outcome is not None
    assert run.outcome.state is RunState.FAILED is run.control.state
    assert "More memory was wanted" in run.outcome.sentence


# -- steering ---------------------------------------------------------------------------------------------


def test_pause_step_and_resume_from_another_thread(opened: Opened) -> None:
    paused, states = threading.Event(), []

    def changed() -> None:
        states.append(control.state)
        if control.state is RunState.PAUSED and threading.current_thread() is worker:
            paused.set()

    control = Control(changed, paused=True, steps=1)
    run = Run(draft_recipe(opened, method(), 3), opened, control)
    steps: list[int] = []
    worker = threading.Thread(target=lambda: steps.extend(drive(run)))
    worker.start()
    for _ in range(2):
        assert paused.wait(60)
        paused.clear()
        control.step()
    assert paused.wait(60)
    assert run.outcome is None
    control.resume()
    worker.join(60)
    assert steps == [1, 2, 3, 4]
    assert states[-1] is RunState.DONE
    control.pause()  # too late: it means nothing
    assert control.state is RunState.DONE


class Pausing:
    """Side work that pauses its run in the midst of a step, and lets it go on after so many seconds."""

    waiting = True

    def __init__(self, seconds: float) -> None:
        self.seconds, self.calls, self.began = seconds, 0, 0.0
        self.control = Control(side_work=self)

    def do_waiting(self, check: Callable[[], None]) -> None:
        self.calls += 1
        if self.control.state is RunState.RUNNING and not self.began:
            self.began = time.perf_counter()
            self.control.pause()
        elif self.began and time.perf_counter() > self.began + self.seconds:
            self.control.resume()


def test_a_pause_is_no_part_of_what_a_step_takes(opened: Opened) -> None:
    pausing = Pausing(0.5)
    began = time.perf_counter()
    run = Run(draft_recipe(opened, method(), 3), opened, pausing.control)
    seconds = [iterate.seconds for iterate in run.steps()]
    took = time.perf_counter() - began
    assert pausing.began
    assert sum(seconds) <= took - pausing.seconds
    assert run.outcome is not None
    assert run.outcome.required().seconds == pytest.approx(sum(seconds))


def test_side_work_is_done_at_patch_batches_and_may_end_the_run(opened: Opened) -> None:
    asked = 0

    def check() -> None:
        nonlocal asked
        asked += 1
        if asked > 3:
            raise Interrupted

    run = Run(draft_recipe(opened, method(steps=20), 3), opened, Control(side_work=Checked(check)))
    assert len(drive(run)) < 4
    assert run.outcome is not None
    assert run.outcome.state is RunState.CANCELLED


# -- how far a step is ------------------------------------------------------------------------------------


class Watched(Control):
    """Remembers which share of its step was done as each patch batch began."""

    def __init__(self) -> None:
        super().__init__()
        self.shares: list[list[float]] = [[]]

    def count(self, expected: int) -> None:
        super().count(expected)
        self.shares[-1].append(self.within_step)

    def passed(self) -> None:
        super().passed()
        self.shares.append([self.within_step])


@pytest.mark.parametrize("solver", [s.name for s in SOLVERS])
def test_a_step_says_how_far_it_is_and_changes_nothing(solver: str, opened: Opened) -> None:
    """From 0 in even parts, never back and never beyond 1; in the first step by what the solver says it costs."""
    small = replace(opened, prior=replace(opened.prior, patch_batch=2))
    recipe = draft_recipe(small, method(solver, 4 if solver != "baseline" else 0), 3)
    control = Watched()
    result = finish(Run(recipe, small, control))
    for shares in control.shares:
        assert shares == sorted(shares)
        assert all(0 <= share < 1 for share in shares)
    if find_solver(solver).cost(recipe.solver_settings).calls:
        first, *_ = control.shares
        assert first[0] == 0
        assert 0.5 < first[-1] + first[1] <= 1
    else:
        assert not any(map(any, control.shares))
    prior = replace(small.prior, counted=None)
    assert np.array_equal(finish(Run(recipe, replace(small, prior=prior))).pixels, result.pixels)


def test_a_step_that_has_as_many_patch_batches_as_the_last_ends_at_the_last_of_them(opened: Opened) -> None:
    small = replace(opened, prior=replace(opened.prior, patch_batch=2))
    control = Watched()
    finish(Run(draft_recipe(small, method("dds", 3), 3), small, control))
    before, second = control.shares[1], control.shares[2]
    assert before == [0.0, *(k / (len(before) - 1) for k in range(len(before) - 1))]
    assert before == second
