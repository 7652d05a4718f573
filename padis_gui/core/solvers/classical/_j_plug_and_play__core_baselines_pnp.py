"""Plug-and-play ADMM (Venkatakrishnan et al. 2013; Chan et al., arXiv 1605.01710): a denoiser in the place of the
prior's proximal step.

    x = argmin ||A x - y||^2 + rho ||x - (z - u)||^2,    z = D(x + u, s),    u <- u + x - z

with rho = lambda s_y^2 / s^2. The noise level s falls geometrically, as in DPIR (arXiv 2008.13751); the scaled
dual u is rescaled with each new rho.
"""

import torch

from padis_gui.core.solvers._j_iterate__core_solvers_iterate import Setup, Step, Steps
from padis_gui.core.solvers.classical._j_plug_and_play__core_baselines_denoisers import PlugAndPlaySettings


class PnPSettings(PlugAndPlaySettings):
    """Settings of :func:`pnp_admm`."""


def pnp_admm(setup: Setup, settings: PnPSettings) -> Steps[PnPSettings]:
    """One iterate for each denoiser call, from the baseline picture; the estimate is the data step's x."""
    A, y = setup.A, setup.y
    z = A.pinv(y).clamp(0, 1)
    u = torch.zeros_like(z)
    for sigma, following in setup.descent:
        x = A.prox(y, z - u, setup.rho(settings, sigma), settings.cg_steps)
        noisy = x + u
        z, partition = setup.denoise(noisy, sigma)
        u = (noisy - z) * (following / sigma) ** 2
        settings = yield Step(noisy, z.clone(), x, sigma, partition)
