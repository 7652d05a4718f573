"""VE-DDNM: the null-space diffusion of DDNM (arXiv 2212.00490) in variance-exploding form, as in PaDIS.

The range-space part of each denoised image is replaced by the data's: x_hat = D + A^+ (y - A D). The
pseudo-inverse A^+ is conjugate gradients on the normal equations by default, or filtered back projection.
"""

from typing import Literal

import torch

from padis_gui.core.settings.declarations import setting
from padis_gui.core.solvers import shared_settings as shared
from padis_gui.core.solvers.iterate import Setup, SolverSettings, Step, Steps


class DDNMSettings(SolverSettings):
    """Settings of :func:`ddnm`."""

    inverse: Literal["cg", "baseline"] = setting(
        "cg", label="Pseudo-inverse", symbol="A†",
        help="Conjugate gradients, or the baseline reconstruction (FBP for CT), which is cheaper and less exact",
    )  # fmt: skip
    cg_steps: int = shared.cg_steps(20)
    eta: float = shared.stochasticity(0.85)


def ddnm(setup: Setup, settings: DDNMSettings) -> Steps[DDNMSettings]:
    """x_hat = D + A^+ (y - A D); x <- x_hat + s' (sqrt(1-eta^2) (x - x_hat)/s + eta eps)."""
    A, y = setup.A, setup.y
    x = setup.pure_noise()
    for sigma, following in setup.descent:
        denoised, partition = setup.denoise(x, sigma)
        missing = y - A(denoised)
        if settings.inverse == "cg":
            correction = A.least_squares(missing, torch.zeros_like(x), settings.cg_steps)
        else:
            correction = A.pinv(missing)
        estimate = denoised + correction
        kept = (1 - settings.eta**2) ** 0.5 * (x - estimate) / sigma
        x = estimate + following * (kept + settings.eta * setup.normal(x))
        settings = yield Step(x, denoised, estimate, sigma, partition)
