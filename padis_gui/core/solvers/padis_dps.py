"""PaDIS-DPS: the paper's own solver (arXiv 2406.02462, algorithm 1): annealed Langevin dynamics with the
DPS step (arXiv 2209.14687) taken through the network.

For every noise level, ``inner`` times: D = D(x, s) through a new random partition; x <- x - zeta * gradient
of ||y - A D(x)||; x <- x + (alpha/2) (D - x)/s^2 + sqrt(alpha) z with alpha = epsilon s^2; no z at the last
level.

Deviations: it starts from noise as the paper says (its published code starts from a clamped FBP); by default
||A|| = 1, so that zeta means the same for every geometry ("physical" keeps the operator's own scale).
"""

from typing import Literal

import torch
from torch import Tensor

from padis_gui.core.operators.base import LinearOperator
from padis_gui.core.partition import Partition
from padis_gui.core.prior import PatchPrior
from padis_gui.core.problem import Problem
from padis_gui.core.settings import setting
from padis_gui.core.solvers import shared_settings as shared
from padis_gui.core.solvers.iterate import (
    Cost,
    Iterates,
    Recorder,
    SolverSettings,
    descent,
    langevin_step,
    normal,
    unit_norm,
)
from padis_gui.core.tiling import Tiling


class PaDISDPSSettings(SolverSettings):
    """Settings of :func:`padis_dps`."""

    steps: int = shared.noise_level_count(100)
    sigma_min: float = shared.lowest_noise(0.002)
    inner: int = shared.inner_steps(10)
    zeta: float = setting(
        4.0, ge=0, le=100, label="Step size", symbol="ζ", live=True,
        help="Step towards the data through the network; it collapses just past its best value",
    )  # fmt: skip
    epsilon: float = setting(
        1.0,
        gt=0,
        le=2,
        label="Langevin step",
        symbol="ε",
        live=True,
        help="α = εσ²: 1 in the paper, ½ in its code",
    )
    scale: Literal["unit norm", "physical"] = setting(
        "unit norm", label="Operator scale", advanced=True,
        help="Unit norm makes ζ comparable between geometries; physical is the paper's own scale",
    )  # fmt: skip

    @property
    def cost(self) -> Cost:
        """A denoiser call and its gradient in each inner step."""
        count = self.steps * self.inner
        return Cost(calls=count, products=self.data_steps(count), gradient=True)


def _guided(
    prior: PatchPrior,
    A: LinearOperator,
    y: Tensor,
    x: Tensor,
    sigma: float,
    partition: Partition,
    rng: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """D(x, sigma) and the gradient of ||y - A D(x)||_2 by x; nothing keeps the graph."""
    with torch.enable_grad():
        leaf = x.detach().requires_grad_(True)
        denoised = prior.denoise(leaf, sigma, partition, rng)
        distance = torch.linalg.vector_norm(y - A(denoised))
        (gradient,) = torch.autograd.grad(distance, leaf)
    return denoised.detach(), gradient


def padis_dps(
    problem: Problem,
    prior: PatchPrior,
    tiling: Tiling,
    levels: Tensor,
    settings: PaDISDPSSettings,
    *,
    rng: torch.Generator,
) -> Iterates[PaDISDPSSettings]:
    """One iterate for each inner step; its estimate is D(x, sigma)."""
    if settings.scale == "unit norm":
        A, y, _ = unit_norm(problem)
    else:
        A, y = problem.operator, problem.measurement
    x = float(levels[0]) * normal(A.T(y), rng)
    recorder = Recorder(A, y, (len(levels) - 1) * settings.inner)
    for sigma, following in descent(levels):
        for _ in range(settings.inner):
            partition = tiling.draw(rng, sigma)
            denoised, gradient = _guided(prior, A, y, x, sigma, partition, rng)
            x = langevin_step(x, denoised, sigma, settings.epsilon, rng, noisy=following > 0)
            x = x - settings.zeta * gradient  # score and gradient both belong to the x that was denoised
            changed = yield recorder.iterate(sigma, x, denoised, denoised, partition)
            settings = recorder.resume(settings, changed)
