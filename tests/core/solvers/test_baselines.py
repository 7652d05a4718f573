"""The classical reconstructions do what their names say, for every physics."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle
from torch import Tensor

from padis_gui.core.images.image import Image
from padis_gui.core.images.metrics import psnr
from padis_gui.core.physics.blur import Blur, uniform_kernel
from padis_gui.core.physics.pixelwise import Denoising, Inpainting
from padis_gui.core.physics.problem import Problem
from padis_gui.core.physics.registry import PHYSICS, Physics
from padis_gui.core.physics.scanner import ParallelBeamCT, ParallelBeamSettings
from padis_gui.core.physics.superresolution import SuperResolution
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.runs.opened import build_problem
from padis_gui.core.settings.errors import Interrupted, SettingError
from padis_gui.core.settings.watch import asked_between_operations
from padis_gui.core.solvers.classical.plug_and_play import make_denoiser
from padis_gui.core.solvers.classical.sirt import has_signed_entries
from padis_gui.core.solvers.classical.tv import differences, differences_transposed
from padis_gui.core.solvers.iterate import ClassicalSetup, Iterate, drain
from padis_gui.core.solvers.registry import SOLVERS, Solver, find_solver
from tests.gaussian import GaussianPrior, Matrix, any_tiling
from tests.tiny import phantom

BASELINES = tuple(solver for solver in SOLVERS if not solver.diffusion)
GAUSSIAN = GaussianPrior(mean=0.0, deviation=0.3)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def iterates(name: str, problem: Problem, prior: Any = GAUSSIAN, **settings: Any) -> Iterator[Iterate]:
    solver = find_solver(name)
    chosen = solver.settings_type(**settings)
    tiling = any_tiling(*problem.operator.image_shape[1:])
    return solver.iterates(problem, prior, tiling, chosen, rng())


def result(name: str, problem: Problem, prior: Any = GAUSSIAN, **settings: Any) -> Tensor:
    return drain(iterates(name, problem, prior, **settings)).estimate


def matrix_problem(entries: int = 30, noise: float = 0.0, signed: bool = True) -> Problem:
    """A small dense problem in double precision; more pixels (48) than entries, or fewer."""
    matrix = torch.rand((entries, 48), generator=rng(1), dtype=torch.float64)
    A = Matrix(matrix - 0.5 if signed else matrix, 6, 8)
    truth = torch.rand(A.image_shape, generator=rng(2), dtype=torch.float64)
    clean = A(truth)
    y = clean + noise * torch.randn(clean.shape, generator=rng(3), dtype=torch.float64)
    return Problem(operator=A, measurement=y, noise=noise, truth=truth)


def picture_problem(A: Any, noise: float = 0.0) -> Problem:
    truth = phantom(A.image_shape[1]).expand(A.image_shape)
    clean = A(truth)
    y = clean + noise * torch.randn(clean.shape, generator=rng())
    return Problem(operator=A, measurement=y, noise=noise, truth=truth)


# -- every baseline on every physics --------------------------------------------------------------------------


@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("physics", PHYSICS, ids=lambda p: p.name)
@pytest.mark.parametrize("solver", BASELINES, ids=lambda s: s.name)
def test_every_baseline_takes_every_physics(
    solver: Solver, physics: Physics, colours: int, prior: PatchPrior
) -> None:
    from padis_gui.core.prior.tiling import make_tiling

    pixels = phantom(56)[:44].expand(colours, 44, 56).contiguous().numpy()
    pixels[-1] *= 0.8  # a picture with three equal channels would be taken for a grey one
    image = None if physics.imageless else Image(pixels=pixels, window=(0.0, 1.0), name="phantom", unit="")
    known = physics.settings_type.model_fields
    small = {"views": 5, "bins": 80, "rows": 44, "columns": 56, "box_side": 8, "noise": 0.02}
    problem_settings = physics.settings_type(**{k: v for k, v in small.items() if k in known})
    problem = build_problem(image, prior, physics.name, problem_settings, 0)
    shape = problem.operator.image_shape
    assert physics.imageless or not problem_settings.keeps_colours or shape[0] == colours
    settings = solver.settings_type(**{"steps": 3} if "steps" in solver.settings_type.model_fields else {})
    tiling = make_tiling("random", (shape[1], shape[2]), 32, prior.conventions.frame)
    found = list(solver.iterates(problem, prior, tiling, settings, rng()))
    assert found
    assert found[-1].estimate.shape == shape
    if physics.imageless:
        assert found[-1].residual == 0


# -- the operator's own picture, least squares ----------------------------------------------------------------


def test_baseline_is_the_pseudo_inverse_and_can_be_clipped() -> None:
    problem = matrix_problem(noise=0.3)
    own = problem.operator.pinv(problem.measurement)
    assert torch.equal(result("baseline", problem), own)
    assert not torch.equal(own, own.clamp(0, 1))
    assert torch.equal(result("baseline", problem, clip=True), own.clamp(0, 1))


@pytest.mark.parametrize("entries", [30, 70])
def test_cg_ends_at_the_least_squares_image_of_smallest_norm(entries: int) -> None:
    problem = matrix_problem(entries, noise=0.1)
    found = result("least-squares", problem, steps=80, stop_at_noise=False)
    torch.testing.assert_close(found, problem.operator.pinv(problem.measurement))


def test_every_step_is_that_of_cg_on_the_normal_equations() -> None:
    problem = matrix_problem(70, noise=0.1)
    A, y = problem.operator, problem.measurement
    for step, iterate in enumerate(iterates("least-squares", problem, steps=6, stop_at_noise=False), 1):
        torch.testing.assert_close(
            iterate.estimate, A.least_squares(y, torch.zeros_like(problem.truth), step)
        )


def test_non_negative_least_squares_is_optimal() -> None:
    """The conditions of Karush, Kuhn and Tucker, on a problem whose free solution has negative pixels."""
    problem = matrix_problem(70, noise=1.0)
    A, y = problem.operator, problem.measurement
    assert float(A.pinv(y).min()) < -0.1
    x = result("least-squares", problem, steps=2000, non_negative=True, stop_at_noise=False)
    gradient = A.T(A(x) - y)
    assert float(x.min()) == 0
    assert float(gradient.min()) > -1e-8
    assert float((x * gradient).abs().max()) < 1e-8


@pytest.mark.parametrize("non_negative", [False, True])
def test_stops_where_the_residual_meets_the_noise(non_negative: bool) -> None:
    problem = picture_problem(Blur((1, 32, 32), uniform_kernel(5)), noise=0.05)
    settings = {"steps": 100, "non_negative": non_negative}
    found = list(iterates("least-squares", problem, **settings))
    assert 1 < len(found) < 50
    allowed = 0.05 * 32 / float(problem.measurement.norm())
    assert found[-1].residual < allowed <= found[-2].residual
    free = list(iterates("least-squares", problem, stop_at_noise=False, **settings))
    assert len(free) == found[0].total == 100
    assert problem.truth is not None
    assert psnr(found[-1].estimate, problem.truth) > psnr(free[-1].estimate, problem.truth)


def test_noise_counts_only_where_something_is_measured() -> None:
    known = torch.zeros(16, 16, dtype=torch.bool)
    known[:, :4] = True
    A = Inpainting((1, 16, 16), known)
    assert ClassicalSetup(A=A, y=torch.zeros(1, 16, 16), noise=0.5).noise_norm() == pytest.approx(0.5 * 8)
    y = torch.zeros(1, 16, 16)
    y[0, 0, 15] = 3.0  # no image explains this
    assert ClassicalSetup(A=A, y=y, noise=0.5).noise_norm() == pytest.approx(5.0)
    assert ClassicalSetup(A=A, y=y).noise_norm() == 0


# -- SIRT -----------------------------------------------------------------------------------------------------


def test_sirt_step_is_the_weighted_one_of_the_book() -> None:
    problem = matrix_problem(30, signed=False)
    assert isinstance(problem.operator, Matrix)
    M, y = problem.operator.matrix, problem.measurement
    first, second = iterates("sirt", problem, steps=2, relaxation=0.7, clip=False)
    x = torch.zeros(48, dtype=torch.float64)
    for found in (first, second):
        x = x + 0.7 * (M.T @ ((y - M @ x) / M.sum(1))) / M.sum(0)
        torch.testing.assert_close(found.estimate.flatten(), x, rtol=1e-5, atol=1e-8)


def test_sirt_converges_to_its_weighted_least_squares() -> None:
    problem = matrix_problem(70, noise=0.1, signed=False)
    assert isinstance(problem.operator, Matrix)
    M, y = problem.operator.matrix, problem.measurement
    weights = 1 / M.sum(1)
    exact = torch.linalg.solve((M.T * weights) @ M, (M.T * weights) @ y)
    found = result("sirt", problem, steps=8000, clip=False).flatten()
    torch.testing.assert_close(found, exact, rtol=1e-3, atol=1e-3)


def test_sirt_of_signed_entries_is_landwebers() -> None:
    problem = matrix_problem(30)
    A, y = problem.operator, problem.measurement
    found = next(iterates("sirt", problem, relaxation=0.5, clip=False)).estimate
    torch.testing.assert_close(found, 0.9 * 0.5 * A.T(y) / A.norm**2, rtol=1e-5, atol=1e-8)
    residuals = [i.residual for i in iterates("sirt", problem, clip=False)]
    assert residuals == sorted(residuals, reverse=True)


def test_signed_entries_are_noticed() -> None:
    shape, cpu = (1, 32, 32), torch.device("cpu")
    ct = ParallelBeamCT.of(shape, ParallelBeamSettings(views=5, bins=48), cpu)
    holes = torch.rand((32, 32), generator=rng()) > 0.5
    for A in (
        ct,
        Blur(shape, uniform_kernel(3)),
        SuperResolution(shape, 2, "average"),
        Inpainting(shape, holes),
    ):
        assert not has_signed_entries(A)
    assert has_signed_entries(SuperResolution(shape, 2, "bicubic"))


def test_sirt_stays_in_range_and_survives_empty_rows_and_columns() -> None:
    matrix = torch.rand((30, 48), generator=rng(1), dtype=torch.float64)
    matrix[3], matrix[:, 5] = 0, 0
    A = Matrix(matrix, 6, 8)
    y = A(torch.rand(A.image_shape, generator=rng(), dtype=torch.float64)) + 1
    x = result("sirt", Problem(operator=A, measurement=y), steps=50)
    assert bool(torch.isfinite(x).all())
    assert float(x.flatten()[5]) == 0
    assert 0 <= float(x.min()) <= float(x.max()) <= 1


# -- total variation ------------------------------------------------------------------------------------------


def total_variation(x: Tensor) -> float:
    return float(torch.linalg.vector_norm(math.sqrt(8) * differences(x), dim=(0, 1)).sum())


def test_differences_have_their_exact_adjoint_and_norm() -> None:
    x = torch.randn((3, 9, 12), generator=rng(), dtype=torch.float64)
    p = torch.randn((2, 3, 9, 12), generator=rng(1), dtype=torch.float64)
    left, right = (differences(x) * p).sum(), (x * differences_transposed(p)).sum()
    assert float(left) == pytest.approx(float(right), rel=1e-12)
    down = math.sqrt(8) * differences(x)[0]
    torch.testing.assert_close(down[:, :-1], x.diff(dim=1))
    for _ in range(200):
        x = differences_transposed(differences(x / x.norm()))
    assert 0.9 < float(x.norm()) <= 1


def test_weighted_tv_is_as_good_as_scikit_images() -> None:
    from skimage.restoration import denoise_tv_chambolle

    problem = picture_problem(Denoising((1, 24, 24)), noise=0.1)
    y, weight = problem.measurement, 0.15

    def objective(x: Tensor) -> float:
        return 0.5 * float((x - y).square().sum()) + weight * total_variation(x)

    theirs = denoise_tv_chambolle(y[0].double().numpy(), weight=weight, eps=1e-9, max_num_iter=1000)
    ours = result("tv", problem, weight=weight, clip=False, steps=600)
    assert objective(ours) == pytest.approx(objective(torch.from_numpy(theirs)[None].float()), rel=1e-3)


def test_automatic_tv_leaves_exactly_the_noise() -> None:
    for A in (Denoising((1, 48, 48)), Blur((1, 48, 48), uniform_kernel(3))):
        problem = picture_problem(A, noise=0.05)
        for tau in (0.8, 1.0):
            last = drain(iterates("tv", problem, discrepancy=tau, steps=400))
            allowed = tau * 0.05 * 48 / float(problem.measurement.norm())
            assert last.residual == pytest.approx(allowed, rel=0.05)


def test_clean_tv_recovers_a_piecewise_constant_image_from_few_views(ct_problem: Problem) -> None:
    """The theorem of compressed sensing, where FBP and least squares fail."""
    assert ct_problem.truth is not None
    last = drain(iterates("tv", ct_problem, steps=500))
    assert last.residual < 1e-3
    assert psnr(last.estimate, ct_problem.truth) > 38
    assert psnr(result("least-squares", ct_problem), ct_problem.truth) < 28


def test_tv_weighs_all_colours_together() -> None:
    """Edges at one place cost less than the same edges at different places."""
    together = torch.zeros(3, 16, 16)
    together[:, :, 8:] = 1
    apart = together.clone()
    for channel, column in enumerate((4, 8, 12)):
        apart[channel] = (torch.arange(16) >= column).float()
    assert total_variation(together) == pytest.approx(16 * math.sqrt(3))
    assert total_variation(apart) == pytest.approx(16 * 3)


def test_tv_leaves_an_image_alone_that_needs_nothing() -> None:
    A = Denoising((1, 32, 32))
    problem = Problem(operator=A, measurement=phantom(32)[None])
    torch.testing.assert_close(result("tv", problem), problem.measurement, atol=1e-3, rtol=0)


# -- around a denoiser ----------------------------------------------------------------------------------------

CONSTANT_LEVEL = {"sigma_max": 0.2, "sigma_min": 0.199999, "noise_floor": 0.05, "steps": 400, "cg_steps": 100}


def scaled(problem: Problem) -> Problem:
    """The same problem with ||A|| = 1, the scale of the noise floor."""
    assert isinstance(problem.operator, Matrix)
    norm = float(torch.linalg.matrix_norm(problem.operator.matrix, 2))
    A = Matrix(problem.operator.matrix / norm, 6, 8)
    return replace(problem, operator=A, measurement=problem.measurement / norm)


def test_pnp_with_the_denoiser_of_a_gaussian_ends_at_its_posterior_mean() -> None:
    """That denoiser is the proximal step of ||x||^2 / (2 s^2), so ADMM has a closed form to end at."""
    problem = scaled(matrix_problem(30, noise=0.1))
    A, y = problem.operator, problem.measurement
    for weight in (1.0, 4.0):
        found = result("pnp-admm", replace(problem, noise=0.0), prior_weight=weight, **CONSTANT_LEVEL)
        rho = weight * 0.05**2 / GAUSSIAN.deviation**2
        exact = A.prox(y, torch.zeros_like(problem.truth), rho, 200)
        torch.testing.assert_close(found, exact, rtol=1e-3, atol=1e-4)


def test_red_with_the_denoiser_of_a_gaussian_ends_at_its_fixed_point() -> None:
    """There A^T (A x - y) + rho (x - D(x)) = 0 with D(x) = x s^2 / (s^2 + sigma^2)."""
    problem = scaled(matrix_problem(30))
    A, y = problem.operator, problem.measurement
    found = result("red", problem, **CONSTANT_LEVEL)
    rho = 0.05**2 / (GAUSSIAN.deviation**2 + 0.2**2)
    exact = A.prox(y, torch.zeros_like(problem.truth), rho, 200)
    torch.testing.assert_close(found, exact, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("name", ["tv", "nlm"])
def test_classical_denoisers_denoise_at_the_level_they_are_told(name: Any, colours: int) -> None:
    clean = phantom(48).expand(colours, 48, 48).contiguous()
    denoiser = make_denoiser(name, GAUSSIAN, any_tiling(48, 48))  # type: ignore[arg-type]
    for sigma in (0.05, 0.2):
        noisy = clean + sigma * torch.randn(clean.shape, generator=rng())
        found, partition = denoiser(noisy, sigma, rng())
        assert partition is None
        assert found.shape == clean.shape
        assert found.dtype == clean.dtype
        assert float((found - clean).square().mean().sqrt()) < 0.6 * sigma
        gentle, _ = denoiser(noisy, sigma / 10, rng())  # told of less noise, it takes less away
        assert float((gentle - noisy).norm()) < 0.3 * float((found - noisy).norm())


@pytest.mark.parametrize("shape", [(1, 70, 50), (1, 200, 31), (3, 150, 20), (2, 12, 130), (1, 64, 64)])
@pytest.mark.parametrize("name", ["tv", "nlm"])
def test_a_classical_denoiser_may_be_stopped_on_the_way_and_has_the_bits_of_its_library(
    name: Any, shape: Any
) -> None:
    image = torch.rand(shape, generator=rng())
    asked = 0

    def check() -> None:
        nonlocal asked
        asked += 1

    denoiser = make_denoiser(name, GAUSSIAN, any_tiling(48, 48))  # type: ignore[arg-type]
    with asked_between_operations(check, torch.device("cpu")):
        found, _ = denoiser(image, 0.1, rng())
    assert asked >= (10 if name == "tv" else -(-shape[1] // 64))  # iterations, or strips of rows
    if name == "tv":
        whole = denoise_tv_chambolle(image.numpy(), weight=0.8 * 0.1, eps=2e-5, channel_axis=0)
    elif shape[0] == 1:
        whole = denoise_nl_means(image[0].numpy(), patch_size=5, patch_distance=6, h=0.7 * 0.1, sigma=0.1)
    else:
        whole = denoise_nl_means(
            image.numpy(), patch_size=5, patch_distance=6, h=0.7 * 0.1, sigma=0.1, channel_axis=0
        )
    assert torch.equal(found, torch.from_numpy(whole).reshape(shape))

    def stop() -> None:
        check()
        if asked == 3:
            raise Interrupted("stopped")

    asked = 0
    if name == "tv" or shape[1] > 3 * 64:
        with asked_between_operations(stop, torch.device("cpu")), pytest.raises(Interrupted):
            denoiser(image, 0.1, rng())


@pytest.mark.parametrize("name", ["pnp-admm", "red"])
@pytest.mark.parametrize("denoiser", ["tv", "nlm"])
def test_a_denoiser_beats_least_squares_on_noisy_blur(name: str, denoiser: str) -> None:
    problem = picture_problem(Blur((1, 48, 48), uniform_kernel(5)), noise=0.03)
    assert problem.truth is not None
    plain = psnr(result("least-squares", problem), problem.truth)
    last = drain(iterates(name, problem, denoiser=denoiser, steps=15))
    assert psnr(last.estimate, problem.truth) > plain + 1
    assert last.partition is None
    assert last.evaluations == 15


@pytest.mark.parametrize("name", ["pnp-admm", "red"])
def test_levels_that_rise_are_refused(name: str) -> None:
    with pytest.raises(SettingError, match="sigma_min < sigma_max"):
        result(name, matrix_problem(), sigma_max=0.1, sigma_min=0.5)
