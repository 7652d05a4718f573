"""Fast and Quality: plug-and-play ADMM around the patch prior, down a ladder of noise levels (arXiv 1605.01710).

ADMM splits the data from the prior: the denoiser stands for the prior's proximal step, and the dual u remembers what
data and denoiser have not agreed on, so that the next data step leans against it. The noise level falls
geometrically, as in DPIR (arXiv 2008.13751), whose scheme is the same without the dual:

    z = D(x, s),    u = zeta (s'/s)^2 (x - z),    x_hat = argmin ||A x - y||^2 + rho ||x - (z - u)||^2,
    x <- alpha x_hat + (1 - alpha) z + u

with rho = lambda s_y^2 / s'^2, s' the next level and in the last step s itself (with the present level's rho a noisy
blur ends 4 dB lower: the data step then trusts the data more than the noise that is left). It starts at the baseline
picture with noise of the first level on it, which hides the baseline's streaks. Nothing else is random but the
tilings: the result is one picture near the posterior's mean, not a sample of it.

Over-relaxation (alpha above 1; Eckstein and Bertsekas, Math. Program. 55 (1992) 293) goes on beyond the data step's
picture, away from the denoiser's: as many steps then come further. Measured on CT of 20 views, 14 steps: 32.8 dB at 1,
33.2 at 1.2, 33.5 at 1.5 (two validation slices); a blur or missing pixels gain nothing from it.

Deviations: zeta is 1 in ADMM and 0 in DPIR; lambda is 0.3, near DPIR's 0.23; s_y is floored, as clean data have
s_y = 0.
"""

from padis_gui.core.settings.declarations import setting
from padis_gui.core.solvers import shared_settings as shared
from padis_gui.core.solvers.iterate import Setup, SolverSettings, Step, Steps


class QualitySettings(SolverSettings):
    """Settings of :func:`admm` with many levels."""

    steps: int = shared.steps(36)
    sigma_max: float = setting(
        0.5, gt=0, le=200, label="Highest noise", symbol="σ₀", advanced=True,
        help="Noise level of the first step, relative to an image in [0, 1]: 0.3 to 0.5 suit 20 views or more over half a "
        "turn, 2 fewer views or a limited angle",
    )  # fmt: skip
    sigma_min: float = shared.lowest_noise(0.01)
    cg_steps: int = shared.cg_steps(10)
    prior_weight: float = shared.prior_weight(0.3)
    zeta: float = setting(
        1.0, ge=0, le=1.5, label="Step size", symbol="ζ", live=True,
        help="Length of the dual's step: 1 is ADMM, 0 forgets what data and prior disagreed on, more pays where data are "
        "exact",
    )  # fmt: skip
    relaxation: float = setting(
        1.8, ge=1, le=1.9, label="Over-relaxation", symbol="α", advanced=True, before=1.0,
        help="How far each step goes beyond what the data step found: 1 is plain ADMM, more needs fewer steps",
    )  # fmt: skip
    noise_floor: float = shared.noise_floor(3e-4)


class FastSettings(QualitySettings):
    """Settings of :func:`admm` with few levels."""

    steps: int = shared.steps(14)


def admm(setup: Setup, settings: QualitySettings) -> Steps[QualitySettings]:
    """One denoiser call, dual step and data step a level; without noise left, the last x is the estimate."""
    A, y = setup.A, setup.y
    x = setup.baseline_with_noise()
    for sigma, following in setup.descent:
        denoised, partition = setup.denoise(x, sigma)
        dual = settings.zeta * (following / sigma) ** 2 * (x - denoised)
        rho = setup.rho(settings, following or sigma)
        estimate = A.prox(y, denoised - dual, rho, settings.cg_steps)
        reach = (
            settings.relaxation if following else 1.0
        )  # there is no step after the last one to reach ahead for
        x = reach * estimate + (1 - reach) * denoised + dual
        settings = yield Step(x, denoised, estimate, sigma, partition)
