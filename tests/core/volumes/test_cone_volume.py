"""A cone beam's volume is solved as a whole: by every solver, with the same bits again, across slices in data steps."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from padis_gui.core.files.read import read_image, read_volume
from padis_gui.core.physics.cone import ConeBeamCT, ConeBeamSettings
from padis_gui.core.physics.problem import Problem
from padis_gui.core.physics.slicewise import Slicewise
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.slices import StackSettings
from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.runs.engine import Result, Run, finish
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import Opened, preparation_cost, prepare
from padis_gui.core.runs.recipe import make_recipe
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.solvers.along_z import smoothed_volume
from padis_gui.core.solvers.classical.tv import differences, differences_transposed, gradient_norm
from padis_gui.core.solvers.registry import SOLVERS, find_solver
from padis_gui.core.volumes.request import VolumeSettings, make_request
from padis_gui.core.volumes.whole import reconstruct_whole
from tests.volumes import write_stack

CPU = torch.device("cpu")
SLICES, SIZE = 4, 32
# Few steps of each solver; one that is not named has its own few
SETTINGS: dict[str, dict[str, Any]] = {
    "daps": {"steps": 2, "samples": 2},
    "langevin-cg": {"steps": 2, "inner": 2, "cg_steps": 2},
    "padis-dps": {"steps": 2, "inner": 2},
    "langevin": {"steps": 2, "inner": 2},
    "baseline": {},
}


@pytest.fixture
def volume(tmp_path: Path, prior: PatchPrior, prior_path: Path) -> Opened:
    """32 × 32 pixels of 0.5 mm, 4 slices of 2.5 mm: voxels five times as high as wide."""
    path = write_stack(tmp_path / "stack.tif", SLICES, SIZE)
    return Opened(image=read_volume(path, range(SLICES)), data_path=path, prior=prior, prior_path=prior_path)


def method(
    solver: str = "fast",
    values: dict[str, Any] | None = None,
    *,
    stack: StackSettings | None = None,
    **problem: Any,
) -> Method:
    if values is None:
        fields = find_solver(solver).settings_type.model_fields
        values = SETTINGS.get(solver) or {n: 3 for n in ("steps", "cg_steps") if n in fields}
    return Method(
        physics="ct-cone", problem=ConeBeamSettings(**{"views": 8} | problem), tiling=TilingSettings(strategy="random"),
        solver=solver, settings=make(find_solver(solver).settings_type, values), stack=stack or StackSettings(),
    )  # fmt: skip


def run(of: Opened, chosen: Method, seed: int = 3) -> Result:
    return finish(Run(make_recipe(of, chosen, seed), of))


@pytest.mark.parametrize("solver", SOLVERS.names)
def test_every_solver_makes_the_same_volume_again(volume: Opened, solver: str) -> None:
    chosen = method(solver, noise=0.02)
    one, again = (run(volume, chosen) for _ in range(2))
    assert one.pixels.shape == (SLICES, SIZE, SIZE)
    assert np.isfinite(one.pixels).all()
    assert np.array_equal(one.pixels, again.pixels)
    assert not np.array_equal(one.pixels, run(volume, chosen, 4).pixels)
    assert {"psnr", "residual", "z_step", "psnr_baseline"} <= one.metrics.keys()


def test_the_operator_takes_the_whole_volume_at_the_height_of_its_voxels(volume: Opened) -> None:
    prepared = prepare(volume, method(detector_rows=20, bins=40), 1)
    A = prepared.problem.operator
    assert isinstance(A, ConeBeamCT)
    assert (A.image_shape, A.measurement_shape) == ((SLICES, SIZE, SIZE), (20, 8, 40))
    assert (A.slice_step, A.apart) == (pytest.approx(5.0), False)
    assert prepared.baseline.shape == (SLICES, SIZE, SIZE)


def test_data_steps_reach_across_slices(volume: Opened) -> None:
    """Least squares explain what a steep ray says of several slices; of one after the other they could not."""
    steep = {"source_distance": 60.0, "detector_distance": 40.0, "views": 24}
    found = run(volume, method("least-squares", {"steps": 40}, **steep))
    assert found.metrics["residual"] < 0.01
    assert found.psnr > found.metrics["psnr_baseline"] + 5


def test_slices_are_seen_by_the_row_at_their_height(volume: Opened) -> None:
    A = prepare(volume, method(detector_rows=20, bins=40), 1).problem.operator
    one = torch.zeros(A.image_shape)
    for z in range(SLICES):
        one.zero_()[z, 12:20, 12:20] = 1
        rows = A(one).sum((1, 2))
        middle = float((rows * torch.arange(20)).sum() / rows.sum())
        assert A.channel_seeing(z) == pytest.approx(middle, abs=0.75)


def test_a_single_image_is_a_volume_of_one_slice(volume: Opened) -> None:
    assert volume.data_path is not None
    single = replace(volume, image=read_image(volume.data_path, 1))
    found = run(single, replace(method("sirt", {"steps": 5}), stack=None))
    assert found.pixels.shape == (1, SIZE, SIZE)


def test_slice_by_slice_is_refused(volume: Opened, prior: PatchPrior, tmp_path: Path) -> None:
    assert volume.data_path is not None
    image = read_image(volume.data_path, 0)
    recipe = make_recipe(replace(volume, image=image), replace(method(), stack=None), 1)
    with pytest.raises(SettingError, match="measures all of them at once; reconstruct the volume in one run"):
        make_request(recipe, prior, VolumeSettings(), tmp_path / "out.tif", image)


def test_metrics_of_slices_have_no_residual(volume: Opened) -> None:
    whole = reconstruct_whole(volume, method("baseline"), 1)
    assert all(set(one) == {"psnr", "ssim"} for one in whole.slices)
    assert whole.metrics["residual"] == whole.result.metrics["residual"]


def test_the_cost_of_preparing_grows_with_the_volume(volume: Opened) -> None:
    small, large = (preparation_cost(volume, method(views=views)) for views in (8, 80))
    assert large.seconds > 5 * small.seconds
    assert large.memory == small.memory


# Total variation and smoothing along z ----------------------------------------------------------------------------


@pytest.mark.parametrize("step", [None, 0.5, 1.0, 4.0])
def test_differences_have_their_transpose_and_their_norm(step: float | None) -> None:
    rng = torch.Generator().manual_seed(1)
    x = torch.randn(6, 12, 10, generator=rng, dtype=torch.float64)
    p = torch.randn(differences(x, step).shape, generator=rng, dtype=torch.float64)
    left, right = float((differences(x, step) * p).sum()), float((x * differences_transposed(p, step)).sum())
    assert left == pytest.approx(right, rel=1e-10)
    for _ in range(60):
        x = differences_transposed(differences(x / x.norm(), step), step)
    assert 0.85 < float(x.norm()) <= 1.0


def test_total_variation_sees_edges_along_z_as_those_in_the_plane() -> None:
    """The same box along any axis has the same total variation where voxels are cubes."""
    box = torch.zeros(12, 12, 12)
    box[2:9, 3:7, 4:6] = 1
    found = [
        gradient_norm(1.0) * float(differences(box.permute(*order), 1.0).square().sum(0).sqrt().sum())
        for order in ((0, 1, 2), (1, 2, 0), (2, 0, 1))
    ]
    area = 2 * (7 * 4 + 7 * 2 + 4 * 2)
    assert all(each == pytest.approx(area, rel=0.1) for each in found)
    flat = torch.zeros(2, 6, 6)
    flat[1] = 1
    assert gradient_norm(4.0) * float(differences(flat, 4.0)[2].abs().sum()) == pytest.approx(36 / 4)


def test_total_variation_in_three_dimensions_is_better_than_none(volume: Opened) -> None:
    chosen = method("tv", {"steps": 80}, views=12, noise=0.05)
    found = run(volume, chosen)
    assert found.psnr > found.metrics["psnr_baseline"] + 2


def test_smoothing_along_z_is_one_data_step_of_the_whole_volume(volume: Opened) -> None:
    """It minimises the formula of its module, with the one neighbour of an end twice."""
    A = ConeBeamCT.of(
        (3, 8, 8), ConeBeamSettings(views=5, bins=16, detector_rows=5), CPU, dtype=torch.float64
    )
    rng = torch.Generator().manual_seed(2)
    own = torch.rand(A.image_shape, generator=rng, dtype=torch.float64)
    problem, weight = Problem(operator=A, measurement=A(own), noise=0.3 * A.norm), 0.4
    found = smoothed_volume(problem, own, weight)
    rho = 0.3**2 / 0.02**2

    def cost(x: torch.Tensor) -> torch.Tensor:
        beside = sum((x - own[order]).square().sum() for order in ([1, 0, 1], [1, 2, 1]))
        return (A(x - own) / A.norm).square().sum() + rho * ((x - own).square().sum() + weight * beside)

    (slope,) = torch.autograd.grad(cost(leaf := found.clone().requires_grad_(True)), leaf)
    (at_own,) = torch.autograd.grad(cost(leaf := own.clone().requires_grad_(True)), leaf)
    assert float(slope.norm()) < 1e-4 * float(at_own.norm())
    assert not isinstance(A, Slicewise)
    assert math.isfinite(float(found.sum()))


def test_the_interface_takes_a_file_of_slices(volume: Opened, prior_path: Path) -> None:
    import padis_gui as pg

    problem = pg.cone(volume.data_path, views=6, bins=40, detector_rows=16)
    found = pg.reconstruct(problem, prior_path, "sirt", seed=1, steps=3)
    assert found.pixels.shape == (SLICES, SIZE, SIZE)
    assert found.recipe.stack is not None
    with pytest.raises(pg.PadisError, match="The file of a volume was wanted"):
        pg.cone(np.zeros((4, 8, 8)))
