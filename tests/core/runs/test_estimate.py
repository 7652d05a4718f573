"""What a run is said to take is what it takes: denoiser calls, tiles, products, memory of a scan."""

import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import padis_gui.core.runs.estimate as estimate_module
from padis_gui.core.physics.problem import Problem
from padis_gui.core.physics.scanner import FanBeamCT, FanBeamSettings, ParallelBeamCT, ParallelBeamSettings
from padis_gui.core.prior.partition import Partition
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.tiling import StrategyName, TilingSettings, make_tiling, strategy_and_patch
from padis_gui.core.runs.estimate import Pace, estimate, product_seconds, tile_pace
from padis_gui.core.settings.errors import Interrupted
from padis_gui.core.settings.watch import Watch
from padis_gui.core.solvers.iterate import drain
from padis_gui.core.solvers.registry import SOLVERS, Solver, find_solver
from tests.tiny import PHANTOM_SIZE

SHAPE = (1, PHANTOM_SIZE, PHANTOM_SIZE)
PACE = Pace(patch=32, tile_seconds=0.5, batch_mb=10.0, product_seconds=0.25)


def small(solver: Solver) -> Any:
    """Few steps of each kind, more than one where there may be."""
    names = solver.settings_type.model_fields
    few = {"steps": 3, "inner": 2, "samples": 2, "ode_steps": 2, "cg_steps": 4}
    return solver.settings_type(**{name: value for name, value in few.items() if name in names})


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: s.name)
def test_calls_are_those_of_a_run_and_products_at_least(
    solver: Solver, prior: PatchPrior, ct_problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator, products = ct_problem.operator, [0]
    operator.norm  # noqa: B018 - measured once an operator, not once a run
    product = type(operator)._product
    monkeypatch.setattr(
        type(operator), "_product",
        staticmethod(lambda m, x: products.__setitem__(0, products[0] + 1) or product(m, x)),
    )  # fmt: skip
    settings = small(solver)
    tiling = make_tiling("random", SHAPE[1:], 32, prior.conventions.frame)
    rng = torch.Generator().manual_seed(0)
    last = drain(solver.iterates(ct_problem, prior, tiling, settings, rng))
    cost = solver.cost(settings)
    assert cost.calls == last.evaluations
    assert products[0] <= cost.products + 20  # a start and probes come once a run


@pytest.mark.parametrize("strategy", ["auto", "random", "average", "window", "whole"])
def test_tiles_are_those_that_go_through_the_network(
    strategy: StrategyName, prior: PatchPrior, ct_problem: Problem
) -> None:
    seen: list[int] = []
    solver = next(s for s in SOLVERS if s.name == "diffpir")
    settings = solver.settings_type(steps=8, sigma_min=0.01)
    chosen = TilingSettings(strategy=strategy, window_below=0.1)
    name, patch = strategy_and_patch(chosen, SHAPE[1:], prior)
    tiling = make_tiling(name, SHAPE[1:], patch, prior.conventions.frame, chosen)
    draw = tiling.draw

    class Counting:
        def draw(self, rng: torch.Generator, sigma: float = 1.0) -> Partition:
            partition = draw(rng, sigma)
            seen.append(len(partition.boxes))
            return partition

    rng = torch.Generator().manual_seed(0)
    drain(solver.iterates(ct_problem, prior, Counting(), settings, rng))
    found = estimate(
        solver="diffpir",
        settings=settings,
        tiling=chosen,
        prior=prior,
        image_shape=SHAPE,
        stored_entries=0,
        pace=PACE,
    )
    assert found.tiles == sum(seen)
    assert found.seconds == pytest.approx(found.tiles * 0.5 + found.products * 0.25)


def test_a_gradient_costs_more_and_no_prior_costs_no_tiles(prior: PatchPrior) -> None:
    def of(name: str, pace: Pace | None = PACE) -> Any:
        solver = next(s for s in SOLVERS if s.name == name)
        return estimate(
            solver=name, settings=small(solver), tiling=TilingSettings(), prior=prior, image_shape=SHAPE,
            stored_entries=0, pace=pace,
        )  # fmt: skip

    assert of("padis-dps").seconds > 3 * of("langevin").seconds
    assert of("padis-dps").batch_mb > of("langevin").batch_mb
    assert of("tv").tiles == 0
    assert of("tv").batch_mb == 0
    assert of("diffpir", None).seconds is None


def test_colours_are_images_of_their_own_to_a_grey_prior(prior: PatchPrior) -> None:
    solver = next(s for s in SOLVERS if s.name == "dds")

    def tiles(channels: int) -> int:
        return estimate(
            solver="dds", settings=small(solver), tiling=TilingSettings(strategy="random"), prior=prior,
            image_shape=(channels, 64, 64), stored_entries=0, pace=PACE,
        ).tiles  # fmt: skip

    assert tiles(3) == 3 * tiles(1)


@pytest.mark.parametrize("views", [12, 40])
def test_the_memory_of_a_scan_is_that_of_its_matrices(views: int, prior: PatchPrior) -> None:
    device = torch.device("cpu")
    scans: tuple[tuple[Any, Any], ...] = (
        (ParallelBeamCT, ParallelBeamSettings(views=views)),
        (FanBeamCT, FanBeamSettings(views=views)),
    )
    for scanner, settings in scans:
        found = estimate(
            solver="sirt", settings=find_solver("sirt").settings_type(), tiling=TilingSettings(), prior=prior,
            image_shape=(1, 128, 128), stored_entries=settings.stored_entries((128, 128)), pace=PACE,
        )  # fmt: skip
        matrices = scanner.of((1, 128, 128), settings, device)._matrices
        held = sum(m.values().nbytes + m.col_indices().nbytes + m.crow_indices().nbytes for m in matrices)
        assert 1 < found.scan_mb / (held / 2**20) < 2.5


def test_a_slow_first_call_is_not_the_pace(prior: PatchPrior, monkeypatch: pytest.MonkeyPatch) -> None:
    took = iter([3.0, *[0.1] * 9])
    monkeypatch.setattr(estimate_module, "_denoising_seconds", lambda *_: next(took))
    assert tile_pace(prior, 32)[0] <= 0.1


def test_what_the_first_product_takes_can_be_stopped(ct_problem: Problem) -> None:
    operator = copy.copy(ct_problem.operator)
    vars(operator).pop("_matrices", None)
    asked = []

    def stop() -> None:
        asked.append(1)
        if len(asked) > 1:
            raise Interrupted

    with pytest.raises(Interrupted):
        product_seconds(replace(ct_problem, operator=operator), Watch(stop))
    assert "_matrices" not in vars(operator)


def test_the_pace_is_measured(prior: PatchPrior, ct_problem: Problem, prior_path: Path) -> None:
    seconds, memory = tile_pace(prior, 32)
    assert 0 < seconds < math.inf
    assert memory >= 0
    assert 0 < product_seconds(ct_problem) < math.inf
