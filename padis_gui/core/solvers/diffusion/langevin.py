"""Annealed Langevin dynamics with a data step: PaDIS' other solvers (arXiv 2406.02462, appendix).

"Langevin" takes a gradient step on the data before each Langevin step, x <- x + zeta/||r|| A^T r with r = y - A x, and then
the Langevin step from there; the published code has zeta min(40, 200 s), which is "fading from" 0.2. "Langevin + CG"
replaces it by the exact proximal step of the data at the denoised image, solved by conjugate gradients: nothing is
differentiated through the network, and more steps only make it better.

Deviations of "Langevin + CG": a plain Langevin step with alpha = epsilon sigma^2 leaves noise of variance
sigma^2 / (1 - epsilon/4) where the denoiser expects sigma^2, so its fresh noise is scaled to keep sigma^2 exactly
(at epsilon = 2 the step replaces all noise); a level's last step goes on to the noise of the next level; and a
temperature below 1 draws nearer to the posterior's mean, as in DiffPIR. Many levels beat many steps a level at
equal cost (20 views, two validation slices, 200 calls: 200 x 1 36.7 dB, 50 x 4 with epsilon 1 36.3).
"""

import math

from padis_gui.core import Tensor
from padis_gui.core.settings.declarations import setting
from padis_gui.core.solvers import shared_settings as shared
from padis_gui.core.solvers.iterate import AnnealedSettings, Setup, Step, Steps


class LangevinSettings(AnnealedSettings):
    epsilon: float = setting(
        0.5, gt=0, le=2, label="Langevin step", symbol="ε", live=True, help="α = εσ² of each Langevin step"
    )
    sigma_max: float = shared.highest_noise(1.0)
    sigma_min: float = shared.lowest_noise(0.005)
    zeta: float = setting(
        16.0, ge=0, le=1000, label="Step size", symbol="ζ", live=True,
        help="Length of the step towards the data, on the scale where ‖A‖ = 1: all pixels together",
    )  # fmt: skip
    fade: float = shared.fade(0.2)
    exact_noise: bool = shared.exact_noise(True)


class LangevinCGSettings(AnnealedSettings):
    """Settings of :func:`langevin_cg`."""

    steps: int = shared.noise_level_count(200)
    sigma_max: float = shared.highest_noise(3.0)
    sigma_min: float = shared.lowest_noise(0.002)
    inner: int = shared.inner_steps(1)
    epsilon: float = setting(
        2.0, gt=0, le=2, label="Step size", symbol="ε", live=True,
        help="α = εσ² of each Langevin step; 2 replaces all noise",
    )  # fmt: skip
    cg_steps: int = shared.cg_steps(12)
    prior_weight: float = shared.prior_weight(1.0)
    temperature: float = shared.temperature(0.5)
    noise_floor: float = shared.noise_floor(2e-4)


def langevin_step(
    setup: Setup,
    x: Tensor,
    towards: Tensor,
    sigma: float,
    epsilon: float,
    *,
    noisy: bool,
    exact: bool = False,
    temperature: float = 1.0,
) -> Tensor:
    """x + (alpha/2) score + sqrt(alpha) z with score = (towards - x)/sigma^2 and alpha = epsilon sigma^2.

    That leaves noise of variance sigma^2 / (1 - epsilon/4) where the score is that of sigma^2; ``exact`` takes
    sqrt(epsilon - epsilon^2/4) sigma z instead, which leaves sigma^2. The fresh noise is scaled by ``temperature``.
    """
    moved = x + (epsilon / 2) * (towards - x)
    if not noisy:
        return moved
    fresh = math.sqrt(epsilon - epsilon**2 / 4) if exact else epsilon**0.5
    return moved + temperature * fresh * sigma * setup.normal(x)


def langevin(setup: Setup, settings: LangevinSettings) -> Steps[LangevinSettings]:
    """The step zeta/||r|| A^T r towards the data, then a Langevin step towards D; the estimate is D."""
    A, y = setup.A, setup.y
    x = setup.pure_noise()
    for sigma, following in setup.descent:
        for _ in range(settings.inner):
            r = y - A(x)
            x = x + shared.faded(settings.zeta, sigma, settings.fade) / setup.lengths(r).clamp(
                min=1e-12
            ) * A.T(r)
            denoised, partition = setup.denoise(x, sigma)
            x = langevin_step(
                setup, x, denoised, sigma, settings.epsilon, noisy=following > 0, exact=settings.exact_noise
            )
            settings = yield Step(x, denoised, denoised, sigma, partition)


def langevin_cg(setup: Setup, settings: LangevinCGSettings) -> Steps[LangevinCGSettings]:
    """x_hat = prox of the data at D with rho = lambda s_y^2/s^2; x <- k x + (1-k) x_hat + tau sqrt(1-k^2) s z.

    k = 1 - epsilon/2; s is the next level's noise in a level's last step.
    """
    A, y = setup.A, setup.y
    x = setup.pure_noise()
    for sigma, following in setup.descent:
        rho = setup.rho(settings, sigma)
        for inner in range(settings.inner):
            denoised, partition = setup.denoise(x, sigma)
            estimate = A.prox(y, denoised, rho, settings.cg_steps)
            level = following if inner == settings.inner - 1 else sigma
            kept = (1 - settings.epsilon / 2) * level / sigma
            fresh = settings.temperature * (1 - (1 - settings.epsilon / 2) ** 2) ** 0.5 * level
            x = estimate + kept * (x - estimate) + fresh * setup.normal(x)
            settings = yield Step(x, denoised, estimate, sigma, partition)
