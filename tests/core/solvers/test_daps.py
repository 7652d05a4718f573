"""DAPS draws from the posterior: where that is known, mean and deviation agree with the closed form."""

from typing import Any

import pytest
import torch
from torch import Tensor

from padis_gui.core.physics.problem import Problem
from padis_gui.core.solvers.iterate import Iterate
from padis_gui.core.solvers.registry import find_solver
from tests.gaussian import GaussianPrior, Matrix, any_tiling

SIDE = 24
PRIOR = GaussianPrior(mean=0.4, deviation=0.2)
NOISE = 0.1


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def run(problem: Problem, seed: int = 0, prior: GaussianPrior = PRIOR, **changes: Any) -> list[Iterate]:
    solver = find_solver("daps")
    settings = solver.settings_type(**{"steps": 8, "cg_steps": 60, **changes})
    rows, columns = problem.operator.image_shape[1:]
    tiling = any_tiling(rows, columns)
    return list(solver.iterates(problem, prior, tiling, settings, rng(seed)))  # type: ignore[arg-type]


def matrix_of(kind: str) -> Tensor:
    n = SIDE * SIDE
    if kind == "some pixels":
        return torch.eye(n)[torch.rand(n, generator=rng(1)) < 0.5]
    axis = torch.arange(SIDE, dtype=torch.float32)
    blur = torch.exp(-((axis[:, None] - axis) ** 2) / 2)
    blur = blur / blur.sum(1, keepdim=True)
    return torch.kron(blur, blur)


@pytest.fixture(params=["some pixels", "blur"])
def problem(request: pytest.FixtureRequest) -> Problem:
    A = Matrix(matrix_of(request.param), SIDE, SIDE)
    truth = PRIOR.mean + PRIOR.deviation * torch.randn(A.image_shape, generator=rng(2))
    clean = A(truth)
    y = clean + NOISE * torch.randn(clean.shape, generator=rng(3))
    return Problem(operator=A, measurement=y, noise=NOISE, truth=truth)


def posterior(problem: Problem) -> tuple[Tensor, Tensor]:
    """Mean and variance of each pixel, in closed form."""
    assert isinstance(problem.operator, Matrix)
    M = problem.operator.matrix.double()
    precision = torch.eye(M.shape[1]).double() / PRIOR.deviation**2 + M.T @ M / NOISE**2
    covariance = torch.linalg.inv(precision)
    right = M.T @ problem.measurement.double() / NOISE**2 + PRIOR.mean / PRIOR.deviation**2
    return (covariance @ right).reshape(1, SIDE, SIDE), covariance.diagonal().reshape(1, SIDE, SIDE)


def test_mean_and_deviation_are_those_of_the_posterior(problem: Problem) -> None:
    samples = 24
    last = run(problem, samples=samples)[-1]
    mean, variance = posterior(problem)
    assert last.deviation is not None
    # the mean of S samples strays by variance / S, here averaged over 576 pixels
    strays = ((last.estimate - mean) ** 2 / (variance / samples)).mean()
    assert float(strays) == pytest.approx(1, abs=0.2)
    for ratio in in_halves(last.deviation, variance):
        assert ratio == pytest.approx(1, abs=0.1)


def in_halves(deviation: Tensor, variance: Tensor) -> list[float]:
    """deviation^2 / variance, averaged over the pixels that the data determine well, and over the others."""
    sure = variance < variance.mean()
    return [float((deviation**2 / variance)[half].mean()) for half in (sure, ~sure)]


def test_a_wrong_spread_is_seen_in_the_deviation(problem: Problem) -> None:
    """The law above can fail: half or twice the spread misses it by far."""
    _, variance = posterior(problem)
    for spread in (0.5, 2.0):
        deviation = run(problem, samples=6, spread=spread)[-1].deviation
        assert deviation is not None
        assert abs(in_halves(deviation, variance)[1] - 1) > 0.3


def test_without_data_samples_are_those_of_the_prior() -> None:
    from padis_gui.core.physics.pixelwise import Nothing

    A = Nothing((1, SIDE, SIDE))
    last = run(Problem(operator=A, measurement=torch.zeros(0)), samples=12)[-1]
    assert last.deviation is not None
    assert float(last.estimate.mean()) == pytest.approx(PRIOR.mean, abs=0.02)
    assert float((last.deviation**2).mean()) == pytest.approx(PRIOR.deviation**2, rel=0.05)
    assert last.residual == 0


def test_estimate_is_the_mean_and_deviation_that_of_the_finished_samples(problem: Problem) -> None:
    steps, samples = 5, 3
    found = run(problem, steps=steps, samples=samples)
    assert [i.step for i in found] == list(range(1, steps * samples + 1))
    assert found[0].total == len(found)
    ends = [i.x for i in found[steps - 1 :: steps]]
    for count in range(1, samples + 1):
        end = found[count * steps - 1]
        torch.testing.assert_close(end.estimate, torch.stack(ends[:count]).mean(0))
    assert all(i.deviation is None for i in found[: 2 * steps - 1])
    for i in found[2 * steps - 1 : 3 * steps - 1]:
        torch.testing.assert_close(i.deviation, torch.stack(ends[:2]).std(0))
    torch.testing.assert_close(found[-1].deviation, torch.stack(ends).std(0))
    # the first sample shows itself, a later one joins the mean bit by bit
    between = found[steps]
    assert 0 < float((between.estimate - ends[0]).norm()) < 0.2 * float((between.x - ends[0]).norm())


def test_evaluations_count_the_probes_of_the_first_sample_and_every_flow_step(problem: Problem) -> None:
    calls = [i.evaluations for i in run(problem, steps=3, samples=2, ode_steps=4)]
    assert calls == [5, 10, 12, 16, 20, 21]  # the flow of the lowest level is one step


def test_flow_steps_follow_the_probability_flow(problem: Problem) -> None:
    """Of a Gaussian prior the flow is known; many Euler steps come near it, one is the posterior mean."""
    x = 3.0 * torch.randn(problem.operator.image_shape, generator=rng(0))  # as the run starts
    one, many = (
        run(problem, steps=1, samples=1, ode_steps=n, sigma_max=3.0, sigma_min=0.002)[0].denoised
        for n in (1, 100)
    )
    torch.testing.assert_close(one, PRIOR.denoise(x, 3.0, None, None))  # type: ignore[arg-type]
    exact = PRIOR.flow(x, 3.0)
    assert float((many - exact).norm() / (exact - PRIOR.mean).norm()) < 0.05
    assert float((one - exact).norm() / (exact - PRIOR.mean).norm()) > 0.5
