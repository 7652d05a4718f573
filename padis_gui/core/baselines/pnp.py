"""Plug-and-play ADMM (Venkatakrishnan et al. 2013; Chan et al., arXiv 1605.01710): a denoiser in the place of the
prior's proximal step.

    x = argmin ||A x - y||^2 + rho ||x - (z - u)||^2,    z = D(x + u, s),    u <- u + x - z

with rho = lambda s_y^2 / s^2. The noise level s falls geometrically, as in DPIR (arXiv 2008.13751); the scaled
dual u is rescaled with each new rho.
"""

import torch
from torch import Tensor

from padis_gui.core.baselines.denoisers import PlugAndPlaySettings, make_denoiser
from padis_gui.core.prior import PatchPrior
from padis_gui.core.problem import Problem
from padis_gui.core.solvers.iterate import Iterates, Recorder, unit_norm
from padis_gui.core.tiling import Tiling


class PnPSettings(PlugAndPlaySettings):
    """Settings of :func:`pnp_admm`."""


def pnp_admm(
    problem: Problem,
    prior: PatchPrior,
    tiling: Tiling,
    levels: Tensor,
    settings: PnPSettings,
    *,
    rng: torch.Generator,
) -> Iterates[PnPSettings]:
    """One iterate for each denoiser call, from the baseline picture; the estimate is the data step's x."""
    A, y, noise = unit_norm(problem)
    D = make_denoiser(settings.denoiser, prior, tiling, rng)
    z = A.pinv(y).clamp(0, 1)
    u = torch.zeros_like(z)
    recorder = Recorder(A, y, settings.steps)
    for sigma, following in settings.descent():
        x = A.prox(y, z - u, settings.rho(sigma, noise), settings.cg_steps)
        noisy = x + u
        z, partition = D(noisy, sigma)
        u = (noisy - z) * (following / sigma) ** 2
        changed = yield recorder.iterate(sigma, noisy, z.clone(), x, partition)
        settings = recorder.resume(settings, changed)
