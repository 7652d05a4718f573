"""Conjugate gradients solve what they say they solve."""

from itertools import pairwise

import pytest
import torch

from padis_gui.core.physics.operator import Scaled, conjugate_gradients, damped_least_squares
from padis_gui.core.physics.scanner import ParallelBeamCT, ParallelBeamSettings


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def spd(n: int) -> torch.Tensor:
    factor = torch.randn(n, n, generator=rng(), dtype=torch.float64)
    return factor @ factor.T + torch.eye(n, dtype=torch.float64)


def operator(dtype: torch.dtype = torch.float64) -> Scaled:
    settings = ParallelBeamSettings(views=9, bins=24)
    A = ParallelBeamCT.of((1, 16, 16), settings, torch.device("cpu"), dtype=dtype)
    return Scaled(A, 1 / A.norm)


def test_solves_a_small_spd_system_in_as_many_steps_as_unknowns() -> None:
    M, b = spd(12), torch.randn(12, generator=rng(1), dtype=torch.float64)
    x = conjugate_gradients(lambda v: M @ v, b, torch.zeros_like(b), 14, tolerance=1e-12)
    torch.testing.assert_close(x, torch.linalg.solve(M, b), rtol=1e-6, atol=1e-8)


def test_each_step_lowers_the_energy_norm_of_the_error() -> None:
    M, b = spd(20), torch.randn(20, generator=rng(1), dtype=torch.float64)
    solution, errors = torch.linalg.solve(M, b), []
    for steps in range(8):
        e = conjugate_gradients(lambda v: M @ v, b, torch.zeros_like(b), steps, tolerance=0.0) - solution
        errors.append(float(e @ M @ e))
    assert all(later < earlier for earlier, later in pairwise(errors))


def test_start_is_kept_when_it_solves_the_system_already() -> None:
    M = spd(6)
    x = torch.randn(6, generator=rng(2), dtype=torch.float64)
    calls = []

    def apply(v: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return M @ v

    found = conjugate_gradients(apply, M @ x, x, 50)
    assert torch.equal(found, x)
    assert len(calls) == 1


def test_zero_right_side_is_not_divided_by() -> None:
    zero = torch.zeros(5, dtype=torch.float64)
    assert torch.equal(conjugate_gradients(lambda v: 2 * v, zero, zero.clone(), 10), zero)


def test_start_is_not_written() -> None:
    M, b = spd(6), torch.ones(6, dtype=torch.float64)
    start = torch.zeros(6, dtype=torch.float64)
    conjugate_gradients(lambda v: M @ v, b, start, 5)
    assert torch.equal(start, torch.zeros(6, dtype=torch.float64))


def rectangular(rows: int, columns: int) -> torch.Tensor:
    return torch.randn(rows, columns, generator=rng(4), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(14, 9), (9, 14)])
@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_damped_least_squares_takes_the_steps_of_cg_on_the_normal_equations(
    shape: tuple[int, int], damping: float
) -> None:
    A = rectangular(*shape)
    y, x = (torch.randn(n, generator=rng(5), dtype=torch.float64) for n in shape)
    calls: list[str] = []

    def forward(u: torch.Tensor) -> torch.Tensor:
        calls.append("A")
        return A @ u

    def adjoint(r: torch.Tensor) -> torch.Tensor:
        calls.append("A.T")
        return A.T @ r

    for steps in (0, 1, 2, 5):
        calls.clear()
        found = damped_least_squares(forward, adjoint, y, x, damping, steps)
        assert (calls.count("A"), calls.count("A.T")) == (steps + 1, steps)
        expected = conjugate_gradients(lambda u: A.T @ (A @ u) + damping * u, A.T @ y + damping * x, x, steps)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", [(14, 9), (9, 14)])
def test_least_squares_comes_to_the_solution_nearest_to_the_start(shape: tuple[int, int]) -> None:
    A = rectangular(*shape)
    y, x = (torch.randn(n, generator=rng(5), dtype=torch.float64) for n in shape)
    before = x.clone(), y.clone()
    found = damped_least_squares(lambda u: A @ u, lambda r: A.T @ r, y, x, 0.0, 40)
    torch.testing.assert_close(found, x + torch.linalg.pinv(A) @ (y - A @ x), rtol=1e-5, atol=1e-6)
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])
    again = damped_least_squares(lambda u: A @ u, lambda r: A.T @ r, A @ x, x, 0.0, 40)
    assert torch.equal(again, x)  # nothing to gain from the start


def test_prox_satisfies_its_optimality_condition() -> None:
    """A^T (A x - y) + rho (x - v) = 0 at the minimiser of ||A x - y||^2 + rho ||x - v||^2."""
    A = operator()
    y = torch.randn(A.measurement_shape, generator=rng(1), dtype=torch.float64)
    v = torch.randn(A.image_shape, generator=rng(2), dtype=torch.float64)
    for rho in (1e-2, 0.3, 10.0):
        x = A.prox(y, v, rho, 200)
        stationary = A.T(A(x) - y) + rho * (x - v)
        assert float(stationary.norm()) < 1e-5 * float((A.T(y) + rho * v).norm())


def test_prox_between_data_and_prior() -> None:
    A = operator()
    truth = torch.rand(A.image_shape, generator=rng(3), dtype=torch.float64)
    y, v = A(truth), torch.zeros(A.image_shape, dtype=torch.float64)
    assert float((A.prox(y, v, 1e6, 100) - v).norm()) < 1e-4
    assert float((A(A.prox(y, v, 1e-8, 500)) - y).norm() / y.norm()) < 1e-3


def test_least_squares_from_consistent_data() -> None:
    A = operator()
    y = A(torch.rand(A.image_shape, generator=rng(3), dtype=torch.float64))
    zero = torch.zeros(A.image_shape, dtype=torch.float64)
    residuals = [float((A(A.least_squares(y, zero, n)) - y).norm() / y.norm()) for n in (1, 5, 40, 400)]
    assert residuals == sorted(residuals, reverse=True)
    assert residuals[-1] < 1e-4
