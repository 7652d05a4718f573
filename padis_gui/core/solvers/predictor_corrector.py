"""Predictor-corrector sampling of score SDEs (arXiv 2011.13456, algorithm 2), with a data step after each half.

The predictor is the reverse diffusion of the variance-exploding SDE, the corrector a Langevin step whose
length keeps the signal-to-noise ratio r: epsilon = 2 (r ||z||/||score||)^2.

The state is noisy, so each data step pulls it to a measurement that is as noisy, y + sigma A z (arXiv 2111.08005,
section 3.2): pulled to y itself, it would lose the noise that the denoiser is told of.
"""

import torch
from torch import Tensor

from padis_gui.core.prior import PatchPrior
from padis_gui.core.problem import Problem
from padis_gui.core.settings import setting
from padis_gui.core.solvers import shared_settings as shared
from padis_gui.core.solvers.iterate import (
    Cost,
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
    sigma_max: float = shared.highest_noise(3.0)
    sigma_min: float = shared.lowest_noise(0.005)
    snr: float = setting(
        0.16, gt=0, le=1, label="Step size", symbol="r", live=True,
        help="Signal-to-noise ratio of the corrector, which sets its step",
    )  # fmt: skip
    cg_steps: int = shared.cg_steps(12)
    prior_weight: float = shared.prior_weight(1.0)
    noise_floor: float = shared.noise_floor(2e-4)

    @property
    def cost(self) -> Cost:
        """Two denoiser calls and three data steps at each level; one of each at the last."""
        return Cost(calls=2 * self.steps - 1, products=self.data_steps(3 * self.steps - 2))


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
    A, y, noise = unit_norm(problem)
    x = float(levels[0]) * normal(A.T(y), rng)
    recorder = Recorder(A, y, len(levels) - 1)

    def data_step(v: Tensor, noisy: float, sigma: float) -> Tensor:
        """The prox of the data, itself ``noisy``, at an image whose error is ``sigma``."""
        measured = y + A(noisy * normal(v, rng)) if noisy else y
        rho = settings.prior_weight * max(noise, settings.noise_floor) ** 2 / sigma**2
        return A.prox(measured, v, rho, settings.cg_steps)

    for sigma, following in descent(levels):
        denoised, partition = denoise(prior, x, sigma, tiling, rng)
        variance = sigma**2 - following**2
        x = x + variance * (denoised - x) / sigma**2
        calls, error = 1, sigma
        if following > 0:
            x = data_step(x + variance**0.5 * normal(x, rng), following, following)
            denoised, partition = denoise(prior, x, following, tiling, rng)
            calls, error = 2, following
            score, z = (denoised - x) / following**2, normal(x, rng)
            length = 2 * (settings.snr * z.norm() / score.norm().clamp(min=1e-12)) ** 2
            x = data_step(x + length * score + (2 * length) ** 0.5 * z, following, following)
        estimate = data_step(denoised, 0.0, error)
        changed = yield recorder.iterate(sigma, x, denoised, estimate, partition, evaluations=calls)
        settings = recorder.resume(settings, changed)
