"""Annealed Langevin dynamics with a proximal data step at the noisy image: a variant of PaDIS' Langevin solver.

PaDIS (arXiv 2406.02462, appendix) steps down the gradient of the data before each Langevin step. A step of first order is
slow: what a scan says of fine structure comes a hundred times as slowly as what it says of the mean. Here it is solved
for, by conjugate gradients, as the data step of score-based samplers for medical images is (arXiv 2111.08005, section
3.2):

    x <- argmin ||A x' - (y + s A z)||^2 + rho ||x' - x||^2,    rho = lambda s_y^2/s^2,
    x <- x + (epsilon/2) (D(x, s) - x) + tau sqrt(epsilon - epsilon^2/4) s z.

The state is noisy, so that the measurement which it is pulled to is made as noisy, y + s A z: its range space keeps the
noise that the denoiser is told of. "Langevin + CG" beside it solves at the denoised image instead.

Deviations from the paper, besides the data step: exact noise (see :func:`langevin_step`); a temperature tau below 1,
which comes nearer to the posterior's mean; a start at the baseline picture under noise of the first level; the estimate
is the data step at D.
"""

from padis_gui.core.solvers import shared_settings as shared
from padis_gui.core.solvers.diffusion.langevin import langevin_step
from padis_gui.core.solvers.iterate import AnnealedSettings, Cost, Setup, Step, Steps


class LangevinProximalSettings(AnnealedSettings):
    """Settings of :func:`langevin_proximal`."""

    sigma_max: float = shared.first_noise(0.5)
    sigma_min: float = shared.lowest_noise(0.01)
    inner: int = shared.inner_steps(1)
    epsilon: float = shared.langevin_length(1.5)
    temperature: float = shared.temperature(0.5)
    cg_steps: int = shared.cg_steps(8)
    prior_weight: float = shared.prior_weight(1.0)
    noise_floor: float = shared.noise_floor(3e-4)

    @property
    def cost(self) -> Cost:
        """A denoiser call and two data steps in each iterate, one at the noisy and one at the denoised image."""
        return Cost(calls=self.iterates, products=self.data_steps(2 * self.iterates))


def langevin_proximal(setup: Setup, settings: LangevinProximalSettings) -> Steps[LangevinProximalSettings]:
    """A data step at x, then a Langevin step towards D; the estimate is the data step at D."""
    A, y = setup.A, setup.y
    x = setup.baseline_with_noise()
    for sigma, following in setup.descent:
        for _ in range(settings.inner):
            rho = setup.rho(settings, sigma)
            x = A.prox(y + sigma * A(setup.normal(x)), x, rho, settings.cg_steps)
            denoised, partition = setup.denoise(x, sigma)
            estimate = A.prox(y, denoised, rho, settings.cg_steps)
            x = langevin_step(
                setup, x, denoised, sigma, settings.epsilon,
                noisy=following > 0, exact=True, temperature=settings.temperature,
            )  # fmt: skip
            settings = yield Step(x, denoised, estimate, sigma, partition)
