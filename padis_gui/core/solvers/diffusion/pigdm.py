"""PiGDM: pseudoinverse-guided diffusion (Song, Vahdat, Mardani, Kautz, ICLR 2023), with the patch prior as denoiser.

Algorithm 1 of the paper, in the variance-exploding scale (x here is its x_t / sqrt(alpha_t)), from s to the next level
s':

    c = A^T (A A^T + s_y^2/r^2)^-1 (y - A D),    r^2 = s^2 s_d^2 / (s^2 + s_d^2),
    x <- D + c_2 (x - D)/s + c_1 eps + J^T c,    c_1 = eta s' sqrt(1 - s'^2/s^2),  c_2 = sqrt(s'^2 - c_1^2),

with J = dD/dx: equation 7, its guidance weighted by r^2, which leaves J^T c as it is. r^2 is the variance that the clean
image has given x if images are Gaussian of variance s_d^2, the prior's own.

Deviations: c comes of some steps of conjugate gradients, and s_y is floored, as clean data have s_y = 0, with lambda as a
weight of its square; the fresh noise is scaled by a temperature tau, 1 in the paper; it starts at the baseline picture
under noise of the first level (the paper's own start, at t = T); the estimate is D + c, which explains the data.
"""

import math

from padis_gui.core.solvers import shared_settings as shared
from padis_gui.core.solvers.iterate import Cost, Setup, SolverSettings, Step, Steps


class PiGDMSettings(SolverSettings):
    """Settings of :func:`pigdm`."""

    steps: int = shared.steps(100)
    sigma_max: float = shared.first_noise(0.5)
    sigma_min: float = shared.lowest_noise(0.02)
    eta: float = shared.stochasticity(1.0)
    temperature: float = shared.temperature(0.5)
    cg_steps: int = shared.cg_steps(8)
    prior_weight: float = shared.prior_weight(1.0)
    noise_floor: float = shared.noise_floor(3e-4)

    @property
    def cost(self) -> Cost:
        """A denoiser call with its gradient and a data step in each iterate."""
        return Cost(calls=self.iterates, products=self.data_steps(self.iterates), gradient=True)


_DEVIATION = 0.5  # s_d of images in [0, 1], as of the unit that the paper has for images in [-1, 1]


def pigdm(setup: Setup, settings: PiGDMSettings) -> Steps[PiGDMSettings]:
    """x <- D + c_2 (x - D)/s + c_1 eps + J^T c; the estimate is D + c."""
    x = setup.baseline_with_noise()
    for sigma, following in setup.descent:
        r = sigma * _DEVIATION / math.hypot(sigma, _DEVIATION)
        rho = setup.rho(settings, r)
        denoised, c, through, partition = setup.denoise_and_correct(x, sigma, rho, settings.cg_steps)
        fresh = settings.eta * following * (1 - (following / sigma) ** 2) ** 0.5
        kept = (following**2 - fresh**2) ** 0.5
        noise = fresh * settings.temperature * setup.normal(x)
        x = denoised + kept * (x - denoised) / sigma + noise + through
        settings = yield Step(x, denoised, denoised + c, sigma, partition)
