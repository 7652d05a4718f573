"""VE-DDNM: the null-space diffusion of DDNM (arXiv 2212.00490) in variance-exploding form, as in PaDIS.

The range-space part of each denoised image is replaced by the data's: x_hat = D + A^+ (y - A D). The
pseudo-inverse A^+ is conjugate gradients on the normal equations by default, or filtered back projection.

PaDIS (arXiv 2406.02462, appendix, "VE-DDNM") walks by annealed Langevin dynamics with the score (x_hat - x)/s^2, several
steps at each level, and with A^+ by FBP: the sampler "langevin". The sampler "renoise" is DDIM's, one step a level. With
few views FBP is no pseudo-inverse (A^+ A has eigenvalues far from 0 and 1), and many Langevin steps with it diverge, which
is said; with conjugate gradients they do not.
"""

from typing import Literal

from padis_gui.core import torch
from padis_gui.core.settings.declarations import setting
from padis_gui.core.solvers import shared_settings as shared
from padis_gui.core.solvers.diffusion.langevin import langevin_step
from padis_gui.core.solvers.iterate import Setup, SolverSettings, Step, Steps


class DDNMSettings(SolverSettings):
    """Settings of :func:`ddnm`."""

    inverse: Literal["cg", "baseline"] = setting(
        "cg", label="Pseudo-inverse", symbol="A†",
        help="Conjugate gradients, or the baseline reconstruction (FBP for CT), which is cheaper and less exact",
    )  # fmt: skip
    cg_steps: int = shared.cg_steps(20)
    sampler: Literal["renoise", "langevin"] = setting(
        "renoise", label="Sampler", before="renoise",
        help="Renoise goes to the next level in one step, as in DDNM; Langevin takes several steps at each level, as "
        "PaDIS does",
    )  # fmt: skip
    eta: float = shared.stochasticity(0.85, when={"sampler": "renoise"})
    inner: int = shared.inner_steps(10, before=10, when={"sampler": "langevin"})
    epsilon: float = shared.langevin_length(1.0, before=1.0, when={"sampler": "langevin"})
    exact_noise: bool = shared.exact_noise(True, when={"sampler": "langevin"})

    @property
    def iterates(self) -> int:
        """One of each level, or of each inner step of each level."""
        return self.steps * (self.inner if self.sampler == "langevin" else 1)


def ddnm(setup: Setup, settings: DDNMSettings) -> Steps[DDNMSettings]:
    """x_hat = D + A^+ (y - A D); x <- x_hat + s' (sqrt(1-eta^2) (x - x_hat)/s + eta eps), or a Langevin step."""
    A, y = setup.A, setup.y
    x = setup.pure_noise()
    by_langevin = settings.sampler == "langevin"
    for sigma, following in setup.descent:
        for _ in range(settings.inner if by_langevin else 1):
            denoised, partition = setup.denoise(x, sigma)
            missing = y - A(denoised)
            if settings.inverse == "cg":
                correction = A.least_squares(missing, torch.zeros_like(x), settings.cg_steps)
            else:
                correction = A.pinv(missing)
            estimate = denoised + correction
            if by_langevin:
                x = langevin_step(
                    setup,
                    x,
                    estimate,
                    sigma,
                    settings.epsilon,
                    noisy=following > 0,
                    exact=settings.exact_noise,
                )
            else:
                kept = (1 - settings.eta**2) ** 0.5 * (x - estimate) / sigma
                x = estimate + following * (kept + settings.eta * setup.normal(x))
            settings = yield Step(x, denoised, estimate, sigma, partition)
