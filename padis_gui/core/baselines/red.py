"""RED, regularisation by denoising (Romano, Elad and Milanfar, arXiv 1611.02862), by its fixed point iteration:

    x <- argmin ||A x - y||^2 / s_y^2 + ||x - D(x, s)||^2 (lambda / s^2)

which is its proximal gradient method with a step of 1 (Reehorst and Schniter, arXiv 1806.02296). lambda / s^2 is
the weight at which RED's gradient x - D(x, s) is the score of Tweedie's formula; s falls geometrically.
"""

import torch
from torch import Tensor

from padis_gui.core.baselines.denoisers import PlugAndPlaySettings, make_denoiser
from padis_gui.core.prior import PatchPrior
from padis_gui.core.problem import Problem
from padis_gui.core.solvers.iterate import Iterates, Recorder, unit_norm
from padis_gui.core.tiling import Tiling


class REDSettings(PlugAndPlaySettings):
    """Settings of :func:`red`."""


def red(
    problem: Problem,
    prior: PatchPrior,
    tiling: Tiling,
    levels: Tensor,
    settings: REDSettings,
    *,
    rng: torch.Generator,
) -> Iterates[REDSettings]:
    """One iterate for each denoiser call, from the baseline picture."""
    A, y, noise = unit_norm(problem)
    D = make_denoiser(settings.denoiser, prior, tiling, rng)
    x = A.pinv(y).clamp(0, 1)
    recorder = Recorder(A, y, settings.steps)
    for sigma, _ in settings.descent():
        denoised, partition = D(x, sigma)
        x = A.prox(y, denoised, settings.rho(sigma, noise), settings.cg_steps)
        changed = yield recorder.iterate(sigma, x, denoised.clone(), x.clone(), partition)
        settings = recorder.resume(settings, changed)
