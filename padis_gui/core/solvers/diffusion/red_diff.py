"""RED-diff: a variational sampler, regularisation by denoising over the noise levels (arXiv 2305.04391, algorithm 1).

The posterior is taken for a Gaussian around mu, which Adam moves down the gradient of

    ||y - A mu||^2 / 2 + lambda s <eps_hat - eps, mu>,    eps_hat = (x - D(x, s))/s,    x = mu + s eps,

a denoiser call a step, and none of them differentiated; the weight s is the paper's 1/SNR(t). In the variance-exploding
scale lambda s (eps_hat - eps) is lambda (mu - D(mu + s eps, s)), the gradient of regularisation by denoising (arXiv
1611.02862) with noise put on first, and the noise levels fall once from the highest to the lowest.

Deviations: the norm is a sum with ||A|| = 1 (the paper's code has means over pixels and over measurements), so that lambda
is another number here; the step of Adam may fade with the noise level (by default it does not).
"""

from padis_gui.core import torch
from padis_gui.core.settings.declarations import setting
from padis_gui.core.solvers import shared_settings as shared
from padis_gui.core.solvers.iterate import Cost, Setup, SolverSettings, Step, Steps


class REDDiffSettings(SolverSettings):
    """Settings of :func:`red_diff`."""

    steps: int = shared.steps(100)
    sigma_max: float = shared.highest_noise(1.0)
    sigma_min: float = shared.lowest_noise(0.01)
    rate: float = setting(
        0.03, gt=0, le=1, label="Step size", symbol="γ", live=True,
        help="Learning rate of Adam: about how far a pixel moves in a step",
    )  # fmt: skip
    fade: float = shared.fade(0.0)
    prior_weight: float = shared.prior_weight(0.03)

    @property
    def cost(self) -> Cost:
        """A denoiser call, a product with A and with its transpose, and a residual in each iterate."""
        return Cost(calls=self.iterates, products=3 * self.iterates)


_BETAS = (0.9, 0.99)  # of the paper's code


def red_diff(setup: Setup, settings: REDDiffSettings) -> Steps[REDDiffSettings]:
    """mu <- mu - Adam of A^T (A mu - y) + lambda (mu - D); the estimate is mu."""
    A, y = setup.A, setup.y
    mu = A.pinv(y).clamp(0, 1)
    first, second = torch.zeros_like(mu), torch.zeros_like(mu)
    for step, (sigma, _) in enumerate(setup.descent, 1):
        denoised, partition = setup.denoise(mu + sigma * setup.normal(mu), sigma)
        gradient = A.T(A(mu) - y) + settings.prior_weight * (mu - denoised)
        first = _BETAS[0] * first + (1 - _BETAS[0]) * gradient
        second = _BETAS[1] * second + (1 - _BETAS[1]) * gradient.square()
        mean, power = first / (1 - _BETAS[0] ** step), second / (1 - _BETAS[1] ** step)
        mu = mu - shared.faded(settings.rate, sigma, settings.fade) * mean / (power.sqrt() + 1e-8)
        settings = yield Step(mu, denoised, mu.clone(), sigma, partition)
