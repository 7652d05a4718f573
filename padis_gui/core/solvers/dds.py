"""DDS: decomposed diffusion sampling (arXiv 2303.05754, algorithm 1), with the patch prior as denoiser.

Deviation: the paper's eta is 0.85; with the patch prior full stochasticity (1) is the better default.
"""

import torch
from torch import Tensor

from padis_gui.core.prior import PatchPrior
from padis_gui.core.problem import Problem
from padis_gui.core.settings import setting
from padis_gui.core.solvers import shared_settings as shared
from padis_gui.core.solvers.iterate import (
    Iterates,
    Recorder,
    SolverSettings,
    denoise,
    descent,
    normal,
    unit_norm,
)
from padis_gui.core.tiling import Tiling


class DDSSettings(SolverSettings):
    """Settings of :func:`dds`."""

    cg_steps: int = shared.cg_steps(10)
    eta: float = setting(
        1.0, ge=0, le=1, label="Stochasticity", symbol="η", live=True,
        help="Share of fresh noise at each step: 0 is deterministic, 1 forgets the old noise",
    )  # fmt: skip


def dds(
    problem: Problem,
    prior: PatchPrior,
    tiling: Tiling,
    levels: Tensor,
    settings: DDSSettings,
    *,
    rng: torch.Generator,
) -> Iterates[DDSSettings]:
    """x_hat = M steps of CG on A^T A x = A^T y from D; x <- x_hat + s' (sqrt(1-eta^2) (x-D)/s + eta eps)."""
    A, y, _ = unit_norm(problem)
    x = float(levels[0]) * normal(A.T(y), rng)
    recorder = Recorder(A, y, len(levels) - 1)
    for sigma, following in descent(levels):
        denoised, partition = denoise(prior, x, sigma, tiling, rng)
        estimate = A.least_squares(y, denoised, settings.cg_steps)
        kept = (1 - settings.eta**2) ** 0.5 * (x - denoised) / sigma
        x = estimate + following * (kept + settings.eta * normal(x, rng))
        changed = yield recorder.iterate(sigma, x, denoised, estimate, partition)
        settings = recorder.resume(settings, changed)
