"""Laws of A/B: both sides meet the same noise, go in step, and what is chosen to differ is all that does."""

from collections.abc import Generator, Iterable
from pathlib import Path

import pytest
import torch

from padis_gui.core.physics.problem import Problem
from padis_gui.core.physics.scanner import ParallelBeamSettings
from padis_gui.core.prior.prior import DenoiserCall, PatchPrior
from padis_gui.core.prior.tiling import TilingSettings, make_tiling
from padis_gui.core.runs.control import RunState
from padis_gui.core.runs.engine import Outcome, solve
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.pair import WHAT_IFS, Turn, in_step
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import DivergenceError
from padis_gui.core.solvers.diffusion.diffpir import DiffPIRSettings
from padis_gui.core.solvers.iterate import Iterate, drain
from padis_gui.core.solvers.registry import find_solver
from tests.core.solvers.test_solvers import TINY


def recipe(
    prior_path: Path, *, paired: bool = True, solver: str = "diffpir", steps: int = 4, **tiling: object
) -> Recipe:
    settings = make(find_solver(solver).settings_type, TINY[solver] | {"steps": steps})
    return Recipe.model_validate(
        {
            "data": None, "problem": {}, "prior": {"file": str(prior_path)}, "tiling": {"strategy": "random"} | tiling,
            "solver": solver, "settings": settings.model_dump(mode="json"), "seed": 5, "device": "cpu",
            "precision": "float32", "threads": 1, "versions": {}, "paired": paired,
        }
    )  # fmt: skip


def iterates(run: Iterable[Iterate]) -> list[Iterate]:
    return list(run)


# -- the same noise ---------------------------------------------------------------------------------------


class Pointwise(torch.nn.Module):
    """F that makes D = x / (1 + sigma^2) in every tile, wherever it lies: nothing then depends on the tiling."""

    def __init__(self, sigma_data: float) -> None:
        super().__init__()
        self.sigma_data = sigma_data

    def forward(self, x: torch.Tensor, c_noise: torch.Tensor) -> torch.Tensor:
        sigma = (4 * c_noise).exp().view(-1, 1, 1, 1)
        total = (sigma**2 + self.sigma_data**2).sqrt()
        noisy = x[:, :1] * total
        return (
            noisy * (1 / (1 + sigma**2) - self.sigma_data**2 / total**2) / (sigma * self.sigma_data / total)
        )


def pointwise(prior: PatchPrior) -> PatchPrior:
    return PatchPrior(
        Pointwise(prior.conventions.sigma_data),
        prior.conventions,
        1,
        prior.downsampling,
        prior.device,
        "float32",
    )


@pytest.mark.parametrize(
    ("solver", "tiling"),
    [
        ("diffpir", {"strategy": "fixed"}), ("diffpir", {"strategy": "whole"}), ("langevin-cg", {"patch": 16}),
        ("dds", {"strategy": "window"}), ("padis-dps", {"strategy": "window"}), ("daps", {"strategy": "average"}),
        ("predictor-corrector", {"strategy": "inside"}),
    ],
)  # fmt: skip
def test_paired_runs_differ_by_what_their_tiles_do_and_by_nothing_else(
    solver: str, tiling: dict[str, object], prior: PatchPrior, prior_path: Path, ct_problem: Problem
) -> None:
    """Under a denoiser that does not see its tile, paired runs are equal whatever their tilings draw."""
    same = pointwise(prior)

    def estimate(*, paired: bool, **chosen: object) -> torch.Tensor:
        return drain(
            solve(recipe(prior_path, paired=paired, solver=solver, **chosen), ct_problem, same)
        ).estimate

    torch.testing.assert_close(estimate(paired=True), estimate(paired=True, **tiling), rtol=1e-3, atol=1e-4)
    if solver in ("diffpir", "langevin-cg"):
        plain = (estimate(paired=False), estimate(paired=False, **tiling))
        assert float((plain[0] - plain[1]).abs().max()) > 1e-2  # or the law above would say nothing


def test_paired_tilings_still_move_and_repeat(
    prior: PatchPrior, prior_path: Path, ct_problem: Problem
) -> None:
    runs = [iterates(solve(recipe(prior_path, patch=16), ct_problem, prior)) for _ in range(2)]
    assert torch.equal(runs[0][-1].estimate, runs[1][-1].estimate)
    offsets = [i.partition.offset for i in runs[0] if i.partition is not None]
    assert len(set(offsets)) > 1
    assert Recipe.model_validate_json(recipe(prior_path).model_dump_json()).paired


def test_padding_of_paired_runs_has_fresh_noise_at_every_call(
    prior: PatchPrior, prior_path: Path, ct_problem: Problem
) -> None:
    calls: list[DenoiserCall] = []
    list(solve(recipe(prior_path), ct_problem, prior.observed_by(calls.append)))
    states = {call.generator.numpy().tobytes() for call in calls}
    assert len(states) == len(calls) > 2


# -- in step ----------------------------------------------------------------------------------------------


class Fake:
    """A run of so many steps that computes nothing."""

    def __init__(self, total: int, log: list[str], name: str, diverges_at: int | None = None) -> None:
        self.total, self.log, self.name, self.diverges_at = total, log, name, diverges_at
        self.outcome: Outcome | None = None

    def steps(self) -> Generator[Iterate, None, None]:
        zero, error = torch.zeros(1, 2, 2), None
        try:
            for step in range(1, self.total + 1):
                if step == self.diverges_at:
                    error = DivergenceError("it diverged; lower it")
                    return
                yield Iterate(
                    step=step, total=self.total, sigma=1.0, x=zero, denoised=zero, estimate=zero, partition=None,
                    residual=0.1, evaluations=step, seconds=0.0,
                )  # fmt: skip
        finally:
            self.log.append(self.name)
            state = RunState.DONE if error is None else RunState.FAILED
            self.outcome = Outcome(state=state, recipe=None, error=error, sentence=str(error or ""))


def order(turns: list[Turn]) -> str:
    return "".join("ab"[turn.side] for turn in turns)


def test_equal_runs_take_turns() -> None:
    log: list[str] = []
    turns = list(in_step([Fake(4, log, "a"), Fake(4, log, "b")]))
    assert order(turns) == "abababab"
    assert [t.iterate.step for t in turns if t.iterate] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert log == ["a", "b"]


def test_unequal_runs_go_the_same_part_of_their_way() -> None:
    turns = list(in_step([Fake(3, [], "a"), Fake(12, [], "b")]))
    done = [0.0, 0.0]
    for turn in turns:
        assert turn.iterate is not None
        done[turn.side] = turn.iterate.step / turn.iterate.total
        assert abs(done[0] - done[1]) <= 1 / 3 + 1e-9
    assert done == [1.0, 1.0]
    assert order(turns).count("b") == 12


def test_one_that_diverges_leaves_the_other_going() -> None:
    turns = list(in_step([Fake(5, [], "a", diverges_at=3), Fake(5, [], "b")]))
    assert order(turns) == "ababab" + "bb"
    (failed,) = [turn for turn in turns if turn.failure]
    assert (failed.side, failed.iterate) == (0, None)
    assert "lower it" in failed.failure


def test_closing_closes_both() -> None:
    log: list[str] = []
    turns = in_step([Fake(5, log, "a"), Fake(5, log, "b")])
    next(turns), next(turns)
    turns.close()
    assert sorted(log) == ["a", "b"]


# -- the faults -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", WHAT_IFS, ids=lambda w: w.name)
def test_a_fault_changes_what_it_says_and_keeps_the_rest(fault) -> None:  # type: ignore[no-untyped-def]
    side = Method(
        physics="ct-parallel", problem=ParallelBeamSettings(), tiling=TilingSettings(patch=16, overlap=3),
        solver="diffpir", settings=DiffPIRSettings(steps=7),
    )  # fmt: skip
    other = fault.of(side)
    assert other != side
    assert (other.solver, other.settings) == (side.solver, side.settings)
    assert (other.tiling.patch, other.tiling.overlap) == (16, 3)
    assert fault.label
    assert fault.summary
    assert fault.of(other) == other


def test_without_padding_every_tile_lies_in_the_image_and_none_moves(prior: PatchPrior) -> None:
    """K = ceil(N/P), M = 0; the last tile of an axis is pushed back, unless K P = N."""
    frame = prior.conventions.frame
    for shape, starts in (
        ((64, 50), ([0, 16, 32, 48], [0, 16, 32, 34])),
        ((48, 70), ([0, 16, 32], [0, 16, 32, 48, 54])),
    ):
        tiling = make_tiling("inside", shape, 16, frame)
        part = tiling.draw(torch.Generator())
        assert part == tiling.draw(torch.Generator().manual_seed(1))
        assert part.pad == (0, 0)
        assert part.padded_shape == shape
        assert sorted({box.row for box in part.boxes}) == starts[0]
        assert sorted({box.column for box in part.boxes}) == starts[1]
        x = torch.rand(2, *shape)
        assert torch.equal(part.assemble(part.extract(x)), x)
