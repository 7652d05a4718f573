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
from padis_gui.core.settings import setting, with_live
from padis_gui.core.solvers.iterate import (
    Clock,
    Iterate,
    Iterates,
    SolverSettings,
    normal,
    relative_residual,
    unit_norm,
)
from padis_gui.core.tiling import Tiling


class PaDISDPSSettings(SolverSettings):
    """Settings of :func:`padis_dps`."""

    steps: int = setting(
        100,
        ge=1,
        le=10_000,
        label="Noise levels",
        symbol="T",
        help="Noise levels from the highest to the lowest",
    )
    sigma_min: float = setting(
        0.002,
        gt=0,
        le=1,
        label="Lowest noise",
        symbol="σ_min",
        advanced=True,
        help="Noise level of the last step",
    )
    inner: int = setting(
        10, ge=1, le=1000, label="Inner steps", symbol="K", help="Langevin steps at each noise level"
    )
    zeta: float = setting(
        1.0, ge=0, le=100, label="Step size", symbol="ζ", live=True,
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


def _guided(
    prior: PatchPrior,
    A: LinearOperator,
    y: Tensor,
    x: Tensor,
    sigma: float,
    partition: Partition,
    rng: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """D(x, sigma), the gradient of ||y - A D(x)||_2 by x, and that norm; nothing keeps the graph."""
    with torch.enable_grad():
        leaf = x.detach().requires_grad_(True)
        denoised = prior.denoise(leaf, sigma, partition, rng)
        distance = torch.linalg.vector_norm(y - A(denoised))
        (gradient,) = torch.autograd.grad(distance, leaf)
    return denoised.detach(), gradient, distance.detach()


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
    sigmas = levels[:-1].tolist()
    total, step = len(sigmas) * settings.inner, 0
    clock = Clock()
    for level, sigma in enumerate(sigmas):
        for _ in range(total // len(sigmas)):
            step += 1
            partition = tiling.draw(rng, sigma)
            denoised, gradient, _ = _guided(prior, A, y, x, sigma, partition, rng)
            alpha = settings.epsilon * sigma**2
            x = x - settings.zeta * gradient + (alpha / 2) * (denoised - x) / sigma**2
            if level < len(sigmas) - 1:
                x = x + alpha**0.5 * normal(x, rng)
            changed = yield Iterate(
                step=step, total=total, sigma=sigma, x=x, denoised=denoised, estimate=denoised,
                partition=partition, residual=relative_residual(A, denoised, y),
                evaluations=step, seconds=clock.lap(),
            )  # fmt: skip
            settings = with_live(settings, changed)
            clock.restart()
