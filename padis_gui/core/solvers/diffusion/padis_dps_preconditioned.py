"""PaDIS-DPS with a preconditioned data step: a variant of the paper's solver with the guidance of PiGDM.

PaDIS-DPS (arXiv 2406.02462, algorithm 1) goes down grad_x ||y - A D(x)||, a step of first order in A: fine structure,
which a scan measures a hundred times as weakly as the mean, takes a hundred times as many steps. PiGDM (Song et al., ICLR
2023, equation 7) has A^T (A A^T + rho)^-1 in place of A^T, with rho = s_y^2/r^2: the correction that explains the data at
once. With J = dD/dx, and in the annealed Langevin dynamics of PaDIS:

    c = argmin ||A (D + c) - y||^2 + rho ||c||^2 = A^T (A A^T + rho)^-1 (y - A D),    rho = lambda s_y^2/s^2,
    x <- x + (epsilon/2) (D - x) + zeta J^T c + tau sqrt(epsilon - epsilon^2/4) s z.

Deviations: c comes of some steps of conjugate gradients; exact noise (see :func:`langevin_step`); a temperature tau below
1, which comes nearer to the posterior's mean; a start at the baseline picture under noise of the first level; the
estimate is D + c, which explains the data.
"""

from padis_gui.core.settings.declarations import setting
from padis_gui.core.solvers import shared_settings as shared
from padis_gui.core.solvers.diffusion.langevin import langevin_step
from padis_gui.core.solvers.iterate import AnnealedSettings, Cost, Setup, Step, Steps


class PreconditionedDPSSettings(AnnealedSettings):
    """Settings of :func:`padis_dps_preconditioned`."""

    sigma_max: float = shared.first_noise(0.5)
    sigma_min: float = shared.lowest_noise(0.01)
    inner: int = shared.inner_steps(1)
    zeta: float = setting(
        1.0, ge=0, le=2, label="Step size", symbol="ζ", live=True,
        help="Share of the correction that explains the data which each step makes through the network",
    )  # fmt: skip
    epsilon: float = shared.langevin_length(0.7)
    temperature: float = shared.temperature(0.5)
    cg_steps: int = shared.cg_steps(8)
    prior_weight: float = shared.prior_weight(1.0)
    noise_floor: float = shared.noise_floor(3e-4)

    @property
    def cost(self) -> Cost:
        """A denoiser call with its gradient and a data step in each iterate."""
        return Cost(calls=self.iterates, products=self.data_steps(self.iterates), gradient=True)


def padis_dps_preconditioned(
    setup: Setup, settings: PreconditionedDPSSettings
) -> Steps[PreconditionedDPSSettings]:
    """x <- x + (epsilon/2) (D - x) + zeta J^T c + noise; the estimate is D + c."""
    x = setup.baseline_with_noise()
    for sigma, following in setup.descent:
        for _ in range(settings.inner):
            rho = setup.rho(settings, sigma)
            denoised, c, through, partition = setup.denoise_and_correct(x, sigma, rho, settings.cg_steps)
            x = langevin_step(
                setup, x, denoised, sigma, settings.epsilon,
                noisy=following > 0, exact=True, temperature=settings.temperature,
            )  # fmt: skip
            x = x + settings.zeta * through
            settings = yield Step(x, denoised, denoised + c, sigma, partition)
