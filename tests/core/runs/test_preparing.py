"""Laws of a preparation: stopped at any moment it leaves nothing behind, and it says how far it is, from 0 to 1."""

import contextlib
import io
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from padis_gui.core.images.image import Image, Measured
from padis_gui.core.physics import pixelwise, projector, scanner
from padis_gui.core.physics.registry import PHYSICS, find_physics
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.runs.control import Checked, Control, RunState
from padis_gui.core.runs.engine import Run, finish
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import Opened, Prepared, preparation_cost, prepare
from padis_gui.core.runs.recipe import draft_recipe
from padis_gui.core.settings.errors import Interrupted
from padis_gui.core.settings.watch import Watch
from padis_gui.core.solvers.adaptation import AdaptationSettings
from padis_gui.core.solvers.registry import SOLVERS
from tests.core.runs.test_engine import method as method_of_run
from tests.core.runs.test_engine import opened as opened  # the fixture
from tests.core.solvers.test_solvers import TINY
from tests.tiny import phantom

SIZES = ((40, 36), (33, 90))
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((physics.name, {}) for physics in PHYSICS),
    ("ct-parallel", {"views": 5, "bins": 40, "bin_width": 2.5, "noise": 0.01}),
    ("ct-fan", {"views": 31, "photons": 1e4}),
    ("deblur", {"boundary": "zero", "kernel": "gaussian"}),
    ("inpainting", {"mask": "pixels", "missing": 0.9}),
    ("super-resolution", {"factor": 3, "reduction": "average"}),
]
every_physics = pytest.mark.parametrize(("physics", "values"), VARIANTS, ids=lambda v: str(v))


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts in which long work is done, small enough that these small images have many of them."""
    for module, name, size in (
        (projector, "_ENTRIES_AT_ONCE", 4000),
        (projector, "_ENTRIES_SORTED", 4000),
        (scanner, "_PRODUCT_AT_ONCE", 20_000),
        (scanner, "_PIXELS_AT_ONCE", 1000),
        (scanner, "_VIEWS_WEIGHTED", 4),
        (pixelwise, "_NEAREST_AT_ONCE", 1000),
    ):
        monkeypatch.setattr(module, name, size)


def opened_picture(shape: tuple[int, int], prior: PatchPrior, tmp: Any) -> Opened:
    pixels = np.resize(phantom(64).numpy(), (1, *shape)).astype(np.float32)
    return Opened(image=Image(pixels=pixels, name="x"), data_path=None, prior=prior, prior_path=tmp)


def method_of(physics: str, values: dict[str, Any]) -> Method:
    if physics == "nothing":
        values = {"rows": 32, "columns": 48}
    if physics == "inpainting" and not values:
        values = {"boxes": 3, "box_side": 9}
    return Method.of(physics=physics, problem=values, solver="fast", settings={})


@dataclass
class Asked:
    """Counts the questions, and says no to question number ``until``."""

    until: int = -1
    count: int = 0
    told: list[tuple[float, str]] = field(default_factory=list)

    def check(self) -> None:
        self.count += 1
        if self.count == self.until:
            raise Interrupted

    @property
    def watch(self) -> Watch:
        return Watch(self.check, lambda done, stage: self.told.append((done, stage)))


def bits(prepared: Prepared) -> tuple[torch.Tensor, ...]:
    problem = prepared.problem
    truth = torch.zeros(0) if problem.truth is None else problem.truth
    back = problem.operator.T(problem.measurement)
    return problem.measurement, truth, prepared.baseline, back, torch.tensor(problem.operator.norm)


def left_over() -> tuple[set[threading.Thread], list[str]]:
    """Threads, and lines of ASTRA's tables of living objects, which it only prints."""
    import astra

    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        for module in (astra.projector, astra.matrix, astra.data2d, astra.algorithm):
            module.info()
    return set(threading.enumerate()), [line for line in text.getvalue().splitlines() if line[:1].isdigit()]


@every_physics
@pytest.mark.parametrize("shape", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.usefixtures("small_parts")
def test_a_preparation_ends_at_any_moment_and_leaves_nothing(
    physics: str, values: dict[str, Any], shape: tuple[int, int], prior: PatchPrior, tmp_path: Any
) -> None:
    opened, method, asked = opened_picture(shape, prior, tmp_path), method_of(physics, values), Asked()
    undisturbed = bits(prepare(opened, method, 3, watch=asked.watch))
    before = left_over()
    rng = random.Random(f"{physics} {values} {shape}")
    for moment in {1, asked.count, *(rng.randint(1, asked.count) for _ in range(4))}:
        with pytest.raises(Interrupted):
            prepare(opened, method, 3, watch=Asked(moment).watch)
        assert left_over() == before
    again = bits(prepare(opened, method, 3))
    assert all(torch.equal(a, b) for a, b in zip(undisturbed, again, strict=True))


@every_physics
@pytest.mark.usefixtures("small_parts")
def test_progress_goes_from_nothing_to_all(
    physics: str, values: dict[str, Any], prior: PatchPrior, tmp_path: Any
) -> None:
    asked = Asked()
    made = prepare(
        opened_picture((64, 64), prior, tmp_path), method_of(physics, values), 3, watch=asked.watch
    )
    made.problem.operator.get_ready(Watch(), norm=True)
    done = [fraction for fraction, _ in asked.told]
    assert (done[0], done[-1]) == (0, 1)
    assert done == sorted(done)
    stages = {stage for _, stage in asked.told}
    assert find_physics(physics).baseline in stages
    assert all(stages)
    if physics.startswith("ct-") and not find_physics(physics).of_volumes:
        assert {"system matrix", "its transpose"} <= stages


class Worked(TorchDispatchMode):
    """Adds up what torch computes: elements that it writes, and entries of the matrices that it multiplies."""

    def __init__(self) -> None:
        super().__init__()
        self.since = self.most = 0
        self.begun = self.together = 0  # operations since then, and the most of them

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.begun += 1
        self.together = max(self.together, self.begun)
        found = func(*args, **(kwargs or {}))
        if isinstance(found, torch.Tensor) and not func.is_view and found.layout is torch.strided:
            self.add(found.numel())
        if "mv" in str(func) or "mm" in str(func):
            sparse = [a for a in args if isinstance(a, torch.Tensor) and a.layout is torch.sparse_csr]
            self.add(sum(matrix._nnz() for matrix in sparse))
        return found

    def add(self, count: int) -> None:
        self.since += count
        self.most = max(self.most, self.since)

    def check(self) -> None:
        self.since = self.begun = 0


@contextmanager
def counting_entries(worked: Worked, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    one, place = projector._entries, projector._place

    def placed(block: Any, *rest: Any) -> None:
        worked.add(block.nnz)
        place(block, *rest)

    def counted(*arguments: Any) -> Any:
        block = one(*arguments)
        worked.add(len(block.values))
        return block

    with monkeypatch.context() as patch:
        patch.setattr(projector, "_entries", counted)
        patch.setattr(projector, "_place", placed)
        yield


@every_physics
@pytest.mark.usefixtures("small_parts")
def test_little_is_done_between_two_questions(
    physics: str, values: dict[str, Any], prior: PatchPrior, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few passes over the image, a part of the matrix: whatever the number of views, of steps and of entries."""
    shape, worked = (96, 64), Worked()
    method = method_of(physics, values)
    with worked, counting_entries(worked, monkeypatch):
        watch = Watch(worked.check)
        made = prepare(opened_picture(shape, prior, tmp_path), method, 3, watch=watch)
        made.problem.operator.get_ready(watch)
    pixels, measured = int(np.prod(shape)), made.problem.measurement.numel()
    assert worked.most <= 40 * pixels + 12 * measured + 20_000


class Asking(Control):
    """Is asked, and tells; stops at the question of that number, of those between two operations."""

    def __init__(self, asked: Callable[[], None] = lambda: None, until: int = -1) -> None:
        super().__init__()
        self._asked, self._until = asked, until
        self.questions = 0

    def raise_if_stopped(self) -> None:
        self._asked()
        self.questions += 1
        if self.questions == self._until:
            self.cancel()
        super().raise_if_stopped()


VALUES: dict[str, dict[str, Any]] = {"deblur": {"boundary": "zero"}, "ct-parallel": {"views": 8, "bins": 96}}


def small_run(physics: str, solver: str, opened: Opened, control: Control) -> Run:
    """Of two patches at once and few steps; for one solver the prior is adapted first."""
    few = replace(opened, prior=replace(opened.prior, patch_batch=2))
    method = Method.of(physics=physics, problem=VALUES.get(physics, {}), solver=solver, settings=TINY[solver])
    method = replace(
        method, adaptation=AdaptationSettings(steps=1, round_steps=1) if solver == "fast" else None
    )
    return Run(draft_recipe(few, method, 3, threads=1), few, control)


@pytest.mark.parametrize(("physics", "solver"), [
    *(("ct-parallel", solver.name) for solver in SOLVERS),
    ("deblur", "dds"), ("deblur", "padis-dps"), ("super-resolution", "fast"), ("inpainting", "tv"),
])  # fmt: skip
@pytest.mark.usefixtures("small_parts")
def test_a_run_is_asked_before_every_operation(physics: str, solver: str, opened: Opened) -> None:
    """From its preparation to its last step, through gradients and data steps; and no operation is a large one."""
    worked = Worked()
    run = small_run(physics, solver, opened, Asking(worked.check))
    with worked:
        steps = run.steps()
        assert any(iterate.step == iterate.total for iterate in steps)
        steps.close()  # what is told of a result is measured when nothing is left to be stopped
    assert worked.together == 1
    largest = max(2 * 64 * 32 * 32, 12 * 96 * 96, 4 * 8 * 96)
    assert worked.most <= largest


@pytest.mark.parametrize(("physics", "solver"), [
    ("ct-parallel", "fast"), ("ct-parallel", "daps"), ("deblur", "padis-dps"), ("super-resolution", "dds"),
    ("inpainting", "tv"),
])  # fmt: skip
def test_a_run_that_is_stopped_anywhere_leaves_everything_as_it_was(
    physics: str, solver: str, opened: Opened
) -> None:
    asked = Asking()
    undisturbed = finish(small_run(physics, solver, opened, asked))
    rng = random.Random(f"{physics} {solver}")
    for moment in (rng.randint(1, asked.questions) for _ in range(2)):
        run = small_run(physics, solver, opened, Asking(until=moment))
        list(run.steps())
        assert run.outcome is not None
        assert run.outcome.state is RunState.CANCELLED
    assert np.array_equal(finish(small_run(physics, solver, opened, Control())).pixels, undisturbed.pixels)


def test_a_run_is_cancelled_while_it_is_prepared(opened: Opened) -> None:
    told: list[tuple[float, str, RunState]] = []
    control = Control()

    def progress(done: float, stage: str) -> None:
        told.append((done, stage, control.state))
        if stage == "system matrix":
            control.cancel()

    run = Run(draft_recipe(opened, method_of_run(), 3), opened, control, on_progress=progress)
    assert list(run.steps()) == []
    outcome = run.take()
    assert outcome is not None
    assert outcome.state is RunState.CANCELLED
    assert run.prepared is None
    assert told[-1][1:] == ("system matrix", RunState.PREPARING)


@pytest.mark.parametrize("paused", [False, True])
def test_a_run_is_prepared_before_its_first_step(opened: Opened, paused: bool) -> None:
    """Its matrix and norm, too; nobody sees it run or pause meanwhile, and the steps are the same."""
    told: list[tuple[float, str, RunState]] = []
    control = Control(paused=paused, steps=1 if paused else 0)
    run = Run(
        draft_recipe(opened, method_of_run(), 3), opened, control,
        on_progress=lambda done, stage: told.append((done, stage, control.state)),
    )  # fmt: skip
    steps = run.steps()
    first = next(steps)
    done = [fraction for fraction, _, _ in told]
    assert (done[0], done[-1]) == (0, 1)
    assert done == sorted(done)
    assert {state for _, _, state in told} == {RunState.PREPARING}
    assert {"system matrix", "its transpose", "FBP", "norm"} <= {stage for _, stage, _ in told}
    count = len(told)
    control.cancel()
    assert list(steps) == []
    assert len(told) == count
    again = next(Run(draft_recipe(opened, method_of_run(), 3), opened).steps())
    assert torch.equal(first.x, again.x)


def test_side_work_may_end_a_preparation(opened: Opened) -> None:
    calls: list[None] = []

    def check() -> None:
        calls.append(None)
        if len(calls) == 5:
            raise Interrupted

    run = Run(draft_recipe(opened, method_of_run(), 3), opened, Control(side_work=Checked(check)))
    assert list(run.steps()) == []
    assert len(calls) == 5
    assert run.outcome is not None
    assert run.outcome.state is RunState.CANCELLED


# -- what it costs ----------------------------------------------------------------------------------------


def cost(shape: tuple[int, int], physics: str, prior: PatchPrior, tmp: Any, **values: Any) -> Any:
    return preparation_cost(opened_picture(shape, prior, tmp), method_of(physics, values))


def test_small_problems_are_quick_and_large_ones_are_not(prior: PatchPrior, tmp_path: Any) -> None:
    quick: list[tuple[tuple[int, int], str, dict[str, Any]]] = [
        ((256, 256), "ct-parallel", {"views": 20}), ((256, 256), "ct-parallel", {"views": 120}),
        ((256, 256), "ct-fan", {"views": 60}), ((512, 512), "ct-parallel", {"views": 20}),
        ((2048, 2048), "deblur", {}), ((512, 768), "inpainting", {"mask": "boxes"}), ((640, 480), "super-resolution", {}),
    ]  # fmt: skip
    for shape, physics, values in quick:
        assert cost(shape, physics, prior, tmp_path, **values).quick, (shape, physics, values)
    for size in (1024, 2048):
        assert not cost((size, size), "ct-parallel", prior, tmp_path, views=60).quick
        assert not cost((size, size), "ct-fan", prior, tmp_path, views=60).quick
    for physics, values in (("inpainting", {}), ("deblur", {"boundary": "zero"})):
        assert not cost((4096, 4096), physics, prior, tmp_path, **values).quick


def test_the_memory_of_a_preparation_is_that_of_its_matrices(prior: PatchPrior, tmp_path: Any) -> None:
    for physics in ("ct-parallel", "ct-fan"):
        method, opened = method_of(physics, {"views": 30}), opened_picture((128, 128), prior, tmp_path)
        made: Any = prepare(opened, method, 1).problem.operator
        actual = sum(m.values().nbytes + m.col_indices().nbytes for m in made._matrices)
        assert 0.9 * actual < preparation_cost(opened, method).memory < 1.5 * actual


def test_a_real_scan_costs_its_fbp_only(prior: PatchPrior, tmp_path: Any) -> None:
    picture = opened_picture((256, 256), prior, tmp_path)
    assert picture.image is not None
    measured = Measured(values=np.zeros((1, 100, 512), np.float32), physics="ct-fan")
    scan = replace(picture, image=replace(picture.image, measured=measured))
    method = method_of("ct-fan", {"views": 700})
    assert preparation_cost(scan, method).seconds < 2 < preparation_cost(picture, method).seconds
    raised = replace(scan, image=replace(scan.image, window=(-1.0, 1.0)))  # A 1 is needed then
    assert preparation_cost(raised, method) == preparation_cost(picture, method)


def test_settings_that_see_nothing_cost_nothing(prior: PatchPrior, tmp_path: Any) -> None:
    assert cost((64, 64), "ct-fan", prior, tmp_path, source_distance=1.0, lengths="pixels").seconds == 0
