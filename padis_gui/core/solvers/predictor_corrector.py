"""Predictor-corrector sampling of score SDEs (arXiv 2011.13456, algorithm 2), with a data step after each half.

The predictor is the reverse diffusion of the variance-exploding SDE, the corrector a Langevin step whose
length keeps the signal-to-noise ratio r: epsilon = 2 (r ||z||/||score||)^2.
"""

import torch
from torch import Tensor

from padis_gui.core.prior import PatchPrior
from padis_gui.core.problem import Problem
from padis_gui.core.settings import setting
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


class PredictorCorrectorSettings(SolverSettings):
    """Settings of :func:`predictor_corrector`."""

    steps: int = setting(
        100, ge=1, le=10_000, label="Steps", symbol="n", help="Noise levels from the highest to the lowest"
    )
    snr: float = setting(
        0.16, gt=0, le=1, label="Step size", symbol="r", live=True,
        help="Signal-to-noise ratio of the corrector, which sets its step",
    )  # fmt: skip
    data_weight: float = setting(
        1.0, gt=0, le=1000, label="Data weight", symbol="κ", live=True,
        help="The data step is argmin ‖Ax−y‖² + ‖x−v‖²/κ, on the scale where ‖A‖ = 1",
    )  # fmt: skip
    cg_steps: int = setting(
        5, ge=1, le=200, label="CG steps", symbol="M", help="Conjugate-gradient steps in each data step"
    )


def predictor_corrector(
    problem: Problem,
    prior: PatchPrior,
    tiling: Tiling,
    levels: Tensor,
    settings: PredictorCorrectorSettings,
    *,
    rng: torch.Generator,
) -> Iterates[PredictorCorrectorSettings]:
    """Two denoiser calls a level; the estimate is the data step at the last denoised image."""
    A, y, _ = unit_norm(problem)
    x = float(levels[0]) * normal(A.T(y), rng)
    recorder = Recorder(A, y, len(levels) - 1)
    for sigma, following in descent(levels):
        rho, cg_steps = 1 / settings.data_weight, settings.cg_steps
        denoised, partition = denoise(prior, x, sigma, tiling, rng)
        variance = sigma**2 - following**2
        x = x + variance * (denoised - x) / sigma**2
        calls = 1
        if following > 0:
            x = A.prox(y, x + variance**0.5 * normal(x, rng), rho, cg_steps)
            denoised, partition = denoise(prior, x, following, tiling, rng)
            calls = 2
            score, z = (denoised - x) / following**2, normal(x, rng)
            length = 2 * (settings.snr * z.norm() / score.norm().clamp(min=1e-12)) ** 2
            x = A.prox(y, x + length * score + (2 * length) ** 0.5 * z, rho, cg_steps)
        estimate = A.prox(y, denoised, rho, cg_steps)
        changed = yield recorder.iterate(sigma, x, denoised, estimate, partition, evaluations=calls)
        settings = recorder.resume(settings, changed)
