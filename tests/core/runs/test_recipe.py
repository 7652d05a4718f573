"""A recipe describes a run completely: repeating it gives the same bits."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from padis_gui.core.files.read import read_image
from padis_gui.core.images.image import Image
from padis_gui.core.images.metrics import psnr, residual, ssim
from padis_gui.core.physics.problem import Problem, simulate
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.physics.scanner import ParallelBeamSettings
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.runs.engine import solve
from padis_gui.core.runs.opened import build_problem, measure, prepare_image
from padis_gui.core.runs.presets import DEFAULT_PRESET, PRESETS, find_preset
from padis_gui.core.runs.recipe import MAX_SEED, Recipe, check_seed, new_seed
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.settings.files import file_sha256
from padis_gui.core.solvers.diffusion.dds import DDSSettings
from padis_gui.core.solvers.iterate import drain
from padis_gui.core.solvers.registry import find_solver
from tests.recipes import make_recipe


@pytest.fixture
def image(phantom_path: Path) -> Image:
    return read_image(phantom_path)


def described(image: Image, prior: PatchPrior, phantom_path: Path, prior_path: Path, **changes) -> Recipe:
    fields = {
        "physics": "ct-parallel", "problem": ParallelBeamSettings(views=10, bins=96, noise=0.02),
        "tiling": TilingSettings(), "solver": "dds",
        "settings": DDSSettings(steps=3, cg_steps=2), "seed": 5,
    } | changes  # fmt: skip
    return make_recipe(image=image, data_path=phantom_path, prior=prior, prior_path=prior_path, **fields)


def test_recipe_is_resolved(image: Image, prior: PatchPrior, phantom_path: Path, prior_path: Path) -> None:
    recipe = described(image, prior, phantom_path, prior_path)
    assert recipe.tiling.patch == 32  # not "automatic"
    assert recipe.data.window == prior.conventions.window
    assert recipe.data.sha256 == file_sha256(phantom_path)
    assert recipe.prior.sha256 == file_sha256(prior_path)
    assert Path(recipe.data.file).is_absolute()
    assert set(recipe.settings) == set(DDSSettings.model_fields)
    assert recipe.solver_settings == DDSSettings(steps=3, cg_steps=2)
    assert recipe.versions["torch"] == torch.__version__
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


def test_repeating_a_recipe_gives_the_same_bits(
    image: Image, prior: PatchPrior, phantom_path: Path, prior_path: Path
) -> None:
    recipe = described(image, prior, phantom_path, prior_path)
    again = Recipe.model_validate_json(recipe.model_dump_json())
    results = []
    for r in (recipe, again, recipe.model_copy(update={"seed": 6})):
        problem = build_problem(image, prior, r.physics, r.problem_settings, r.seed)
        results.append((problem.measurement, drain(solve(r, problem, prior)).estimate))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    assert not torch.equal(results[0][0], results[2][0])
    assert not torch.equal(results[0][1], results[2][1])


def test_whole_image_diffusion_is_recorded_and_repeated_with_any_prior(
    image: Image, prior: PatchPrior, phantom_path: Path, prior_path: Path
) -> None:
    chosen = TilingSettings(strategy="whole", patch=16)
    recipe = described(image, prior, phantom_path, prior_path, tiling=chosen)
    assert (recipe.tiling.strategy, recipe.tiling.patch) == ("whole", 68)
    again = Recipe.model_validate_json(recipe.model_dump_json())
    problem = build_problem(image, prior, again.physics, again.problem_settings, again.seed)
    last = drain(solve(again, problem, prior))
    assert last.partition is not None
    assert [box.size for box in last.partition.boxes] == [68]


def test_contradictions_are_found_before_the_run(
    image: Image, prior: PatchPrior, phantom_path: Path, prior_path: Path
) -> None:
    for changes in (
        {"seed": -1}, {"seed": MAX_SEED + 1}, {"solver": "magic"}, {"tiling": TilingSettings(patch=40)},
        {"settings": DDSSettings(sigma_max=0.01, sigma_min=0.5)},
    ):  # fmt: skip
        with pytest.raises(SettingError):
            described(image, prior, phantom_path, prior_path, **changes)


def test_windows(image: Image, prior: PatchPrior) -> None:
    """HU images take the prior's window; images without a unit keep their own."""
    narrow = image.with_window((-160.0, 240.0))
    assert prepare_image(narrow, prior, ParallelBeamSettings()).window == (-1000.0, 1000.0)
    plain = Image(pixels=np.zeros((1, 64, 64), np.float32), window=(0.0, 255.0))
    assert prepare_image(plain, prior, ParallelBeamSettings()).window == (0.0, 255.0)
    colour = Image(pixels=np.zeros((3, 64, 64), np.float32), window=(0.0, 255.0))
    assert prepare_image(colour, prior, ParallelBeamSettings()).channels == 1


def test_seeds() -> None:
    assert check_seed(0) == 0
    assert check_seed(MAX_SEED) == MAX_SEED
    seeds = {new_seed() for _ in range(20)}
    assert len(seeds) > 15
    assert all(check_seed(s) < 10**9 for s in seeds)


def test_presets_are_valid() -> None:
    assert find_preset(DEFAULT_PRESET) in PRESETS
    for preset in PRESETS:
        make(find_physics(preset.physics).settings_type, dict(preset.problem))
        for name in (preset.solver, *preset.others):
            make(find_solver(name).settings_type, dict(preset.settings_for(name)))
    with pytest.raises(SettingError, match=r"ct-60, ct-20, ct-8, .*but 'mri'"):
        find_preset("mri")


# -- the measurement and the metrics ----------------------------------------------------------------------


def test_noise_has_the_stated_level(ct_problem: Problem) -> None:
    assert ct_problem.truth is not None
    noisy = simulate(
        ct_problem.operator,
        ct_problem.truth,
        ParallelBeamSettings(noise=0.05),
        torch.Generator().manual_seed(1),
    )
    clean = ct_problem.measurement
    error = noisy.measurement - clean
    assert noisy.noise == pytest.approx(0.05 * float(clean.square().mean().sqrt()), rel=1e-5)
    assert float(error.std()) == pytest.approx(noisy.noise, rel=0.1)
    assert ct_problem.noise == 0.0
    torch.testing.assert_close(clean, ct_problem.operator(ct_problem.truth))


def test_metrics_agree_with_skimage_and_their_definitions(ct_problem: Problem) -> None:
    from skimage.metrics import peak_signal_noise_ratio

    truth = ct_problem.truth
    assert truth is not None
    x = (truth + 0.1 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    expected = peak_signal_noise_ratio(truth.numpy(), x.numpy(), data_range=1.0)
    assert psnr(x, truth) == pytest.approx(float(expected), rel=1e-5)
    assert psnr(truth + 0.0, truth) == float("inf")
    assert math.isnan(psnr(torch.where(x == x.max(), torch.nan, x), truth))  # not infinitely good
    assert psnr(x + 10 * (x == 1), truth) == pytest.approx(psnr(x, truth))  # clipped to [0, 1]
    assert ssim(truth, truth) == pytest.approx(1.0)
    assert 0 < ssim(x, truth) < 0.9
    assert residual(ct_problem.operator, truth, ct_problem.measurement) < 1e-6
    assert residual(ct_problem.operator, 0 * truth, ct_problem.measurement) == pytest.approx(1.0)
    assert set(measure(ct_problem, x)) == {"psnr", "ssim", "residual"}
    blind = Problem(operator=ct_problem.operator, measurement=ct_problem.measurement)
    assert set(measure(blind, x)) == {"residual"}
