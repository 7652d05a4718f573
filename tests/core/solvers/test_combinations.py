"""Every registered physics with every solver and every tiling gives a finite image of the right shape."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

from padis_gui.core.files.read import read_image
from padis_gui.core.physics.registry import PHYSICS, Physics
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.tiling import TILINGS, TilingSettings
from padis_gui.core.runs.engine import solve
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import Opened, build_problem, measure
from padis_gui.core.runs.recipe import Recipe, make_recipe
from padis_gui.core.settings.declarations import make
from padis_gui.core.solvers.iterate import drain
from padis_gui.core.solvers.registry import SOLVERS
from tests.core.solvers.test_solvers import TINY

SMALL: dict[str, dict[str, Any]] = {
    "ct-parallel": {"views": 6, "bins": 96},
    "ct-fan": {"views": 6, "bins": 128},
    "inpainting": {"boxes": 3, "box_side": 8},
}
FEWER: dict[str, dict[str, Any]] = {"baseline": {}}


@pytest.mark.parametrize("physics", PHYSICS, ids=lambda p: p.name)
def test_physics_with_every_solver_and_tiling(
    physics: Physics, prior: PatchPrior, prior_path: Path, phantom_path: Path
) -> None:
    image = None if physics.imageless else read_image(phantom_path)
    measured = make(physics.settings_type, SMALL.get(physics.name, {}))
    path = None if image is None else phantom_path
    opened = Opened(image=image, data_path=path, prior=prior, prior_path=prior_path)
    problem = build_problem(image, prior, physics.name, measured, seed=1)
    known = set() if physics.imageless else {"residual", "psnr", "ssim"}
    for solver, tiling in product(SOLVERS, TILINGS):
        settings = make(solver.settings_type, TINY[solver.name] | FEWER.get(solver.name, {"steps": 2}))
        method = Method(
            physics=physics.name, problem=measured, tiling=TilingSettings(strategy=tiling.name), solver=solver.name,
            settings=settings,
        )  # fmt: skip
        if tiling is not TILINGS[0] and not method.asks_prior:
            continue  # nothing is tiled
        recipe = make_recipe(opened, method, 1)
        last = drain(solve(Recipe.model_validate_json(recipe.model_dump_json()), problem, prior))
        which = (solver.name, tiling.name)
        assert last.estimate.shape == problem.operator.image_shape, which
        assert bool(torch.isfinite(last.estimate).all()), which
        assert set(measure(problem, last.estimate)) == known, which
        if last.measured is not None:
            torch.testing.assert_close(last.measured, problem.operator(last.estimate), rtol=1e-3, atol=1e-3)
