"""One step of the papers' solvers against the formulas, written out by hand in float64 with dense matrices.

The reference shares nothing with the solvers but the network itself and the order in which noise is drawn.
"""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from padis_gui.core.physics.problem import Problem
from padis_gui.core.physics.scanner import ParallelBeamCT, ParallelBeamSettings
from padis_gui.core.prior.prior import Conventions, PatchPrior
from padis_gui.core.prior.tiling import make_tiling
from padis_gui.core.solvers.iterate import Iterate
from padis_gui.core.solvers.registry import find_solver
from tests.tiny import TINY_NETWORK, phantom, tiny_network

Array = NDArray[np.float64]
N, P, PAD = 32, 16, 16  # K = floor(32/16) + 1 = 3 tiles an axis, M = 3*16 - 32 = 16
SIGMA_D = 0.3
LEVELS = (0.8, 0.4, 0.0)
SEED = 7


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    return tiny_network().double().requires_grad_(False).eval()


@pytest.fixture(scope="module")
def prior(network: torch.nn.Module) -> PatchPrior:
    conventions = Conventions(image_size=N, pad=PAD, patch_sizes=(P,), sigma_data=SIGMA_D)
    return PatchPrior(
        network=network, conventions=conventions, channels=1, downsampling=TINY_NETWORK.downsampling,
        device=torch.device("cpu"), precision="float32",
    )  # fmt: skip


@pytest.fixture(scope="module")
def problem() -> Problem:
    settings = ParallelBeamSettings(views=7, bins=48)
    operator = ParallelBeamCT.of((1, N, N), settings, torch.device("cpu"), dtype=torch.float64)
    truth = phantom(N)[None].double()
    return Problem(operator=operator, measurement=operator(truth), noise=0.02, truth=truth)


@pytest.fixture(scope="module")
def system(problem: Problem) -> tuple[Array, Array, float]:
    """A / ||A|| and y / ||A|| as dense arrays, and the noise on that scale."""
    basis = torch.eye(N * N, dtype=torch.float64).reshape(-1, 1, N, N)
    dense = torch.stack([problem.operator(image).flatten() for image in basis], 1).numpy()
    norm = problem.operator.norm
    return dense / norm, problem.measurement.flatten().numpy() / norm, problem.noise / norm


class ByHand:
    """The whole-image denoiser of PaDIS under the centred fixed grid, tile by tile, and the noise in its order."""

    def __init__(self, network: torch.nn.Module, baseline: Tensor) -> None:
        self._network = network
        self.baseline: Array = baseline.clamp(0, 1).flatten().numpy()
        self._rng = torch.Generator().manual_seed(SEED)

    def noise(self) -> Array:
        return torch.randn(1, N, N, generator=self._rng).double().numpy().ravel()

    def denoise(self, x: Array, sigma: float) -> Array:
        return self._denoise(torch.from_numpy(x), sigma).numpy()

    def denoise_and_gradient(self, x: Array, sigma: float, A: Array, y: Array) -> tuple[Array, Array]:
        """D(x) and the gradient of ||y - A D(x)|| by x."""
        leaf = torch.from_numpy(x).requires_grad_(True)
        D = self._denoise(leaf, sigma)
        torch.linalg.vector_norm(torch.from_numpy(y) - torch.from_numpy(A) @ D).backward()
        return D.detach().numpy(), leaf.grad.numpy()

    def denoise_and_pull(self, x: Array, sigma: float, pull: Callable[[Array], Array]) -> tuple[Array, Array]:
        """D(x), and J^T pull(D) with its Jacobian J."""
        leaf = torch.from_numpy(x).requires_grad_(True)
        D = self._denoise(leaf, sigma)
        (D @ torch.from_numpy(pull(D.detach().numpy()))).backward()
        return D.detach().numpy(), leaf.grad.numpy()

    def _denoise(self, x: Tensor, sigma: float) -> Tensor:
        R = N + 2 * PAD
        z = sigma * torch.randn(1, R, R, generator=self._rng).double()[0]
        mask = torch.zeros(R, R, dtype=torch.bool)
        mask[PAD : PAD + N, PAD : PAD + N] = True
        z = z.masked_scatter(mask, x)
        D = torch.zeros(R, R, dtype=torch.float64)
        c_skip = SIGMA_D**2 / (sigma**2 + SIGMA_D**2)
        c_out = sigma * SIGMA_D / np.sqrt(sigma**2 + SIGMA_D**2)
        c_in = 1 / np.sqrt(sigma**2 + SIGMA_D**2)
        for p in range(3):
            for q in range(3):
                top, left = PAD // 2 + p * P, PAD // 2 + q * P
                tile = z[top : top + P, left : left + P]
                columns = (2 * torch.arange(left, left + P) / (R - 1) - 1).expand(P, P)
                rows = (2 * torch.arange(top, top + P) / (R - 1) - 1)[:, None].expand(P, P)
                entering = torch.stack([c_in * tile, columns, rows])[None]
                F = self._network(entering, torch.tensor([np.log(sigma) / 4]))[0, 0]
                D[top : top + P, left : left + P] = c_skip * tile + c_out * F
        return D[PAD : PAD + N, PAD : PAD + N].flatten()


def prox(A: Array, y: Array, v: Array, rho: float) -> Array:
    return np.linalg.solve(A.T @ A + rho * np.eye(N * N), A.T @ y + rho * v)


def conjugate_gradients(A: Array, y: Array, u: Array, steps: int) -> Array:
    """Hestenes and Stiefel's method on A^T A u = A^T y."""
    residual = A.T @ (y - A @ u)
    direction = residual.copy()
    for _ in range(steps):
        image = A @ direction
        length = residual @ residual / (image @ image)
        u = u + length * direction
        new = residual - length * (A.T @ image)
        direction = new + (new @ new) / (residual @ residual) * direction
        residual = new
    return u


def padis_dps(h: ByHand, A: Array, y: Array, noise: float) -> list[Array]:
    x, found = LEVELS[0] * h.noise(), []
    for sigma, following in itertools.pairwise(LEVELS):
        D, gradient = h.denoise_and_gradient(x, sigma, A, y)
        alpha = 1.0 * sigma**2
        score = (D - x) / sigma**2
        x = x - 0.7 * gradient + alpha / 2 * score
        if following > 0:
            x = x + np.sqrt(alpha) * h.noise()
        found += [x]
    return found


def langevin(h: ByHand, A: Array, y: Array, noise: float) -> list[Array]:
    x, found = LEVELS[0] * h.noise(), []
    for sigma, following in itertools.pairwise(LEVELS):
        r = y - A @ x
        x = x + 0.7 / np.linalg.norm(r) * A.T @ r
        D = h.denoise(x, sigma)
        alpha = 0.5 * sigma**2
        x = x + alpha / 2 * (D - x) / sigma**2
        if following > 0:
            x = x + np.sqrt(alpha) * h.noise()
        found += [x]
    return found


def predictor_corrector(h: ByHand, A: Array, y: Array, noise: float) -> list[Array]:
    x, found = LEVELS[0] * h.noise(), []
    for sigma, following in itertools.pairwise(LEVELS):
        step = sigma**2 - following**2
        x = x + step * (h.denoise(x, sigma) - x) / sigma**2
        if following > 0:
            rho = noise**2 / following**2
            x = x + np.sqrt(step) * h.noise()
            x = prox(A, y + following * A @ h.noise(), x, rho)
            score, z = (h.denoise(x, following) - x) / following**2, h.noise()
            epsilon = 2 * (0.16 * np.linalg.norm(z) / np.linalg.norm(score)) ** 2
            x = x + epsilon * score + np.sqrt(2 * epsilon) * z
            x = prox(A, y + following * A @ h.noise(), x, rho)
        found += [x]
    return found


def padis_dps_plain_exact(h: ByHand, A: Array, y: Array, noise: float) -> list[Array]:
    """From the baseline, down the gradient of half the square, with noise that stays what it was, and fading."""
    x, found = h.baseline, []
    for sigma, following in itertools.pairwise(LEVELS):
        D, through = h.denoise_and_pull(x, sigma, lambda D: A.T @ (y - A @ D))
        x = x + 0.7 * min(1, sigma / 0.6) * through + 0.25 * (D - x)
        if following > 0:
            x = x + np.sqrt(0.5 - 0.25 / 4) * sigma * h.noise()
        found += [x]
    return found


def padis_dps_preconditioned(h: ByHand, A: Array, y: Array, noise: float) -> list[Array]:
    x, found = h.baseline + LEVELS[0] * h.noise(), []
    for sigma, following in itertools.pairwise(LEVELS):
        rho = 2.0 * noise**2 / sigma**2
        system = A @ A.T + rho * np.eye(len(y))
        D, through = h.denoise_and_pull(x, sigma, lambda D, M=system: A.T @ np.linalg.solve(M, y - A @ D))
        x = x + 0.25 * (D - x) + 0.7 * through
        if following > 0:
            x = x + 0.8 * np.sqrt(0.5 - 0.25 / 4) * sigma * h.noise()
        found += [x]
    return found


def pigdm(h: ByHand, A: Array, y: Array, noise: float) -> list[Array]:
    x, found = h.baseline + LEVELS[0] * h.noise(), []
    for sigma, following in itertools.pairwise(LEVELS):
        r2 = sigma**2 * 0.5**2 / (sigma**2 + 0.5**2)
        system = A @ A.T + noise**2 / r2 * np.eye(len(y))
        D, g = h.denoise_and_pull(x, sigma, lambda D, M=system: A.T @ np.linalg.solve(M, y - A @ D))
        c1 = 0.6 * following * np.sqrt(1 - following**2 / sigma**2)
        c2 = np.sqrt(following**2 - c1**2)
        x = D + c1 * h.noise() + c2 * (x - D) / sigma + g
        found += [x]
    return found


def langevin_proximal(h: ByHand, A: Array, y: Array, noise: float) -> list[Array]:
    x, found = h.baseline + LEVELS[0] * h.noise(), []
    for sigma, following in itertools.pairwise(LEVELS):
        x = prox(A, y + sigma * A @ h.noise(), x, 2.0 * noise**2 / sigma**2)
        x = x + 0.25 * (h.denoise(x, sigma) - x)
        if following > 0:
            x = x + 0.8 * np.sqrt(0.5 - 0.25 / 4) * sigma * h.noise()
        found += [x]
    return found


def red_diff(h: ByHand, A: Array, y: Array, noise: float) -> list[Array]:
    """With torch's own Adam."""
    mu = torch.from_numpy(h.baseline).requires_grad_(True)
    adam, found = torch.optim.Adam([mu], lr=0.1, betas=(0.9, 0.99)), []
    for sigma, _ in itertools.pairwise(LEVELS):
        eps = h.noise()
        x = mu.detach().numpy() + sigma * eps
        eps_hat = (x - h.denoise(x, sigma)) / sigma
        adam.zero_grad()
        misfit = (torch.from_numpy(y) - torch.from_numpy(A) @ mu).square().sum() / 2
        (misfit + 0.3 * sigma * (torch.from_numpy(eps_hat - eps) @ mu)).backward()
        adam.step()
        found += [mu.detach().numpy().copy()]
    return found


def resample(h: ByHand, A: Array, y: Array, noise: float) -> list[Array]:
    x, found = LEVELS[0] * h.noise(), []
    for sigma, following in itertools.pairwise(LEVELS):
        D = h.denoise(x, sigma)
        x = D + following * (np.sqrt(1 - 0.6**2) * (x - D) / sigma + 0.6 * h.noise())
        explained, eps = prox(A, y, D, noise**2 / sigma**2), h.noise()
        if following > 0:
            g2, s2 = 5.0 * following**2 * (1 - following**2 / sigma**2), following**2
            x = (g2 * explained + s2 * x) / (g2 + s2) + np.sqrt(g2 * s2 / (g2 + s2)) * eps
        else:
            x = explained
        found += [x]
    return found


def predictor_corrector_gradient(h: ByHand, A: Array, y: Array, noise: float) -> list[Array]:
    """PaDIS' own: a gradient step after each half."""

    def data_step(x: Array, sigma: float) -> Array:
        r = y - A @ x
        return x + 0.7 * min(1, sigma / 0.5) / np.linalg.norm(r) * A.T @ r

    x, found = LEVELS[0] * h.noise(), []
    for sigma, following in itertools.pairwise(LEVELS):
        step = sigma**2 - following**2
        x = x + step * (h.denoise(x, sigma) - x) / sigma**2
        if following > 0:
            x = data_step(x + np.sqrt(step) * h.noise(), following)
            score, z = (h.denoise(x, following) - x) / following**2, h.noise()
            epsilon = 2 * (0.16 * np.linalg.norm(z) / np.linalg.norm(score)) ** 2
            x = data_step(x + epsilon * score + np.sqrt(2 * epsilon) * z, following)
        found += [x]
    return found


def ve_ddnm_langevin(h: ByHand, A: Array, y: Array, noise: float) -> list[Array]:
    """PaDIS' own: the score points to the data-consistent image."""
    x, found = LEVELS[0] * h.noise(), []
    for sigma, following in itertools.pairwise(LEVELS):
        D = h.denoise(x, sigma)
        estimate = D + conjugate_gradients(A, y - A @ D, np.zeros(N * N), 5)
        alpha = 0.5 * sigma**2
        x = x + alpha / 2 * (estimate - x) / sigma**2
        if following > 0:
            x = x + np.sqrt(alpha) * h.noise()
        found += [x]
    return found


def ve_ddnm(h: ByHand, A: Array, y: Array, noise: float) -> list[Array]:
    x, found = LEVELS[0] * h.noise(), []
    for sigma, following in itertools.pairwise(LEVELS):
        D = h.denoise(x, sigma)
        estimate = D + conjugate_gradients(A, y - A @ D, np.zeros(N * N), 5)
        x = estimate + following * (np.sqrt(1 - 0.85**2) * (x - estimate) / sigma + 0.85 * h.noise())
        found += [x]
    return found


def dds(h: ByHand, A: Array, y: Array, noise: float) -> list[Array]:
    x, found = LEVELS[0] * h.noise(), []
    for sigma, following in itertools.pairwise(LEVELS):
        D = h.denoise(x, sigma)
        estimate = conjugate_gradients(A, y, D, 5)
        x = estimate + following * (np.sqrt(1 - 0.6**2) * (x - D) / sigma + 0.6 * h.noise())
        found += [x]
    return found


def diffpir(h: ByHand, A: Array, y: Array, noise: float) -> list[Array]:
    x, found = LEVELS[0] * h.noise(), []
    for sigma, following in itertools.pairwise(LEVELS):
        estimate = prox(A, y, h.denoise(x, sigma), 2.0 * noise**2 / sigma**2)
        fresh = 0.5 * np.sqrt(0.7) * h.noise()
        x = estimate + following * (np.sqrt(1 - 0.7) * (x - estimate) / sigma + fresh)
        found += [x]
    return found


def admm(h: ByHand, A: Array, y: Array, noise: float) -> list[Array]:
    x, found = h.baseline + LEVELS[0] * h.noise(), []
    for sigma, following in itertools.pairwise(LEVELS):
        D = h.denoise(x, sigma)
        dual = 0.7 * (following / sigma) ** 2 * (x - D)
        estimate = prox(A, y, D - dual, 5.0 * noise**2 / (following or sigma) ** 2)
        x = 1.6 * estimate - 0.6 * D + dual if following else estimate
        found += [x]
    return found


_WEIGHED: dict[str, Any] = {"prior_weight": 2.0, "cg_steps": 200}
_STEPPED: dict[str, Any] = {"inner": 1, "epsilon": 0.5, "temperature": 0.8}
REFERENCES: dict[str, tuple[Callable[..., list[Array]], dict[str, Any]]] = {
    "padis-dps": (
        padis_dps,
        {
            "inner": 1,
            "zeta": 0.7,
            "step": "normalised",
            "fade": 0.0,
            "epsilon": 1.0,
            "exact_noise": False,
            "start": "noise",
        },
    ),
    "padis-dps plain, exact": (
        padis_dps_plain_exact,
        {
            "inner": 1,
            "zeta": 0.7,
            "step": "plain",
            "fade": 0.6,
            "epsilon": 0.5,
            "exact_noise": True,
            "start": "baseline",
        },
    ),
    "padis-dps-preconditioned": (padis_dps_preconditioned, _STEPPED | _WEIGHED | {"zeta": 0.7}),
    "pigdm": (pigdm, {"eta": 0.6, "temperature": 1.0, "cg_steps": 200}),
    "langevin-proximal": (langevin_proximal, _STEPPED | _WEIGHED),
    "red-diff": (red_diff, {"rate": 0.1, "fade": 0.0, "prior_weight": 0.3}),
    "resample": (resample, {"every": 1, "gamma": 5.0, "eta": 0.6, "cg_steps": 200}),
    "predictor-corrector as in PaDIS": (
        predictor_corrector_gradient,
        {"snr": 0.16, "data_step": "gradient", "zeta": 0.7, "fade": 0.5},
    ),
    "ve-ddnm as in PaDIS": (
        ve_ddnm_langevin,
        {"sampler": "langevin", "inner": 1, "epsilon": 0.5, "exact_noise": False, "cg_steps": 5},
    ),
    "langevin": (langevin, {"inner": 1, "zeta": 0.7, "fade": 0.0, "epsilon": 0.5, "exact_noise": False}),
    "predictor-corrector": (predictor_corrector, {"snr": 0.16, "cg_steps": 200}),
    "ve-ddnm": (ve_ddnm, {"eta": 0.85, "cg_steps": 5}),
    "dds": (dds, {"eta": 0.6, "cg_steps": 5}),
    "fast": (admm, {"zeta": 0.7, "prior_weight": 5.0, "cg_steps": 200, "relaxation": 1.6}),
    "diffpir": (diffpir, {"zeta": 0.7, "temperature": 0.5, "prior_weight": 2.0, "cg_steps": 200}),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_solver_follows_its_formula(
    name: str,
    problem: Problem,
    prior: PatchPrior,
    network: torch.nn.Module,
    system: tuple[Array, Array, float],
) -> None:
    reference, changes = REFERENCES[name]
    name = name.split()[0]
    expected = reference(ByHand(network, problem.operator.pinv(problem.measurement)), *system)
    solver = find_solver(name)
    settings = solver.settings_type(steps=2, sigma_max=LEVELS[0], sigma_min=LEVELS[1], **changes)
    assert tuple(solver.levels(settings).tolist()) == LEVELS
    tiling = make_tiling("fixed", (N, N), P, prior.conventions.frame)
    rng = torch.Generator().manual_seed(SEED)
    iterates: list[Iterate] = list(solver.iterates(problem, prior, tiling, settings, rng))
    assert len(iterates) == len(expected)
    for iterate, x in zip(iterates, expected, strict=True):
        np.testing.assert_allclose(iterate.x.numpy().ravel(), x, atol=2e-4 * np.abs(x).max(), rtol=0)
