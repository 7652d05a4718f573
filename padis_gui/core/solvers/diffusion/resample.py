"""ReSample in pixel space: hard data consistency and stochastic resampling (arXiv 2307.08123, algorithm 1).

Unconditional steps go down the noise levels; at every ``every``-th one the denoised image is replaced by one that
explains the data, x_hat = argmin ||A u - y||^2 from u = D, and is brought back to the noise level by equation 12: the
product of two Gaussians, around x_hat with variance g^2 and around the unconditional step x' with variance s'^2,

    x <- (g^2 x_hat + s'^2 x') / (g^2 + s'^2) + sqrt(g^2 s'^2 / (g^2 + s'^2)) eps,    g^2 = gamma s'^2 (1 - s'^2/s^2),

with gamma = 40 in its published code, whose g this is in the variance-exploding scale. The unconditional steps are
DDIM's.

Deviations: the paper works in the latent space of an autoencoder, of which there is none here; x_hat is solved for by some
steps of conjugate gradients, as a proximal step with rho = lambda s_y^2/s^2 and s_y floored, so that it stops at the noise
(the paper's optimiser stops at a threshold); neither the gradient steps of DPS between the data steps nor the few further
unconditional steps before each, which the published code has besides; the last step is one with data. The published code
has a data step at every tenth step, where it costs hundreds of gradient steps; here it costs little, and each step has one
by default (20 views, one slice: 34.7 dB, with one at every fifth step 31.9).
"""

from padis_gui.core.settings.declarations import setting
from padis_gui.core.solvers import shared_settings as shared
from padis_gui.core.solvers.iterate import Setup, SolverSettings, Step, Steps


class ReSampleSettings(SolverSettings):
    """Settings of :func:`resample`."""

    steps: int = shared.steps(100)
    sigma_max: float = shared.highest_noise(3.0)
    sigma_min: float = shared.lowest_noise(0.01)
    every: int = setting(
        1,
        ge=1,
        le=1000,
        label="Data step every",
        symbol="k",
        help="Steps from one hard data step to the next",
    )
    gamma: float = setting(
        40.0, gt=0, le=1e6, label="Resampling", symbol="γ", live=True,
        help="How much a resampled image is of the data step rather than of the unconditional step",
    )  # fmt: skip
    eta: float = shared.stochasticity(0.0)
    cg_steps: int = shared.cg_steps(20)
    prior_weight: float = shared.prior_weight(1.0)
    noise_floor: float = shared.noise_floor(3e-4)


def resample(setup: Setup, settings: ReSampleSettings) -> Steps[ReSampleSettings]:
    """DDIM steps, and every so often a data step and a resampling; the estimate is the data step at D."""
    A, y = setup.A, setup.y
    x = setup.pure_noise()
    left = len(setup.descent)
    for sigma, following in setup.descent:
        left -= 1
        denoised, partition = setup.denoise(x, sigma)
        estimate = A.prox(y, denoised, setup.rho(settings, sigma), settings.cg_steps)
        kept = (1 - settings.eta**2) ** 0.5 * (x - denoised) / sigma
        x = denoised + following * (kept + settings.eta * setup.normal(x))
        if left % settings.every == 0:
            weight = settings.gamma * (1 - (following / sigma) ** 2)  # g^2 / s'^2
            share = weight / (1 + weight) if following > 0 else 1.0
            x = x + share * (estimate - x) + share**0.5 * following * setup.normal(x)
        settings = yield Step(x, denoised, estimate, sigma, partition)
