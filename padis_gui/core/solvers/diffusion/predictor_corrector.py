"""Predictor-corrector sampling of score SDEs (arXiv 2011.13456, algorithm 2), with a data step after each half.

The predictor is the reverse diffusion of the variance-exploding SDE, the corrector a Langevin step whose
length keeps the signal-to-noise ratio r: epsilon = 2 (r ||z||/||score||)^2.

The state is noisy, so each data step pulls it to a measurement that is as noisy, y + sigma A z (arXiv 2111.08005,
section 3.2): pulled to y itself, it would lose the noise that the denoiser is told of.

PaDIS (arXiv 2406.02462, appendix) has a gradient step in its place, x <- x + zeta/||r|| A^T r with r = y - A x, after each
half: the data step "gradient". Its published code has zeta min(40, 200 s) after the corrector: "fading from" 0.2. The
estimate is the denoised image then.
"""

from typing import Literal

from padis_gui.core import Tensor
from padis_gui.core.settings.declarations import setting
from padis_gui.core.solvers import shared_settings as shared
from padis_gui.core.solvers.iterate import Cost, Setup, SolverSettings, Step, Steps


class PredictorCorrectorSettings(SolverSettings):
    steps: int = shared.steps(100)
    sigma_max: float = shared.highest_noise(3.0)
    sigma_min: float = shared.lowest_noise(0.005)
    snr: float = setting(
        0.16, gt=0, le=1, label="Step size", symbol="r", live=True,
        help="Signal-to-noise ratio of the corrector, which sets its step",
    )  # fmt: skip
    data_step: Literal["proximal", "gradient"] = setting(
        "proximal", label="Data step", before="proximal",
        help="Proximal solves for the data by conjugate gradients; gradient is a step of length ζ down the gradient, as "
        "PaDIS has it",
    )  # fmt: skip
    zeta: float = setting(
        10.0, ge=0, le=1000, label="Gradient step", symbol="ζ", live=True, before=10.0, when={"data_step": "gradient"},
        help="Length of the step towards the data, on the scale where ‖A‖ = 1: all pixels together",
    )  # fmt: skip
    fade: float = shared.fade(0.2, before=0.2, when={"data_step": "gradient"})
    cg_steps: int = shared.cg_steps(12)
    prior_weight: float = shared.prior_weight(1.0)
    noise_floor: float = shared.noise_floor(2e-4)

    @property
    def cost(self) -> Cost:
        """Two denoiser calls and three data steps at each level; one of each at the last."""
        return Cost(calls=2 * self.steps - 1, products=self.data_steps(3 * self.steps - 2))


def predictor_corrector(
    setup: Setup, settings: PredictorCorrectorSettings
) -> Steps[PredictorCorrectorSettings]:
    """Two denoiser calls a level; the estimate is the proximal data step at the last denoised image, or that image."""
    A, y = setup.A, setup.y
    x = setup.pure_noise()

    def data_step(v: Tensor, noisy: float, sigma: float) -> Tensor:
        """The prox of the data, themselves ``noisy``, at an image whose error is ``sigma``; or a gradient step."""
        if settings.data_step == "gradient":
            r = y - A(v)
            return v + shared.faded(settings.zeta, sigma, settings.fade) / setup.lengths(r).clamp(
                min=1e-12
            ) * A.T(r)
        measured = y + A(noisy * setup.normal(v)) if noisy else y
        return A.prox(measured, v, setup.rho(settings, sigma), settings.cg_steps)

    for sigma, following in setup.descent:
        denoised, partition = setup.denoise(x, sigma)
        variance = sigma**2 - following**2
        x = x + variance * (denoised - x) / sigma**2
        if following > 0:
            x = data_step(x + variance**0.5 * setup.normal(x), following, following)
            denoised, partition = setup.denoise(x, following)
            score, z = (denoised - x) / following**2, setup.normal(x)
            ratio = setup.lengths(z) / setup.lengths(score).clamp(min=1e-12)
            length = 2 * (settings.snr * ratio) ** 2
            x = data_step(x + length * score + (2 * length) ** 0.5 * z, following, following)
        exact = settings.data_step == "proximal"
        estimate = data_step(denoised, 0.0, following or sigma) if exact else denoised
        settings = yield Step(x, denoised, estimate, sigma, partition)
