"""PaDIS-DPS: the paper's own solver (arXiv 2406.02462, algorithm 1): annealed Langevin dynamics with the
DPS step (arXiv 2209.14687) taken through the network.

For every noise level s, ``inner`` times, with D = D(x, s) through a new random partition and r = y - A D(x):

    x <- x - zeta grad_x ||r||,    x <- x + (alpha/2) (D - x)/s^2 + sqrt(alpha) z,    alpha = epsilon s^2,

and no z at the last level. DPS leaves the length of its step open, zeta_i grad ||r||^2: PaDIS and DPS divide it by ||r||
("normalised"), which is the line above; "plain" does not, and is zeta grad ||r||^2 / 2.

What is chosen otherwise is a setting each. Its start is noise as in the paper (the published code starts from the clamped
FBP); ||A|| = 1, so that zeta means the same for every geometry ("physical" keeps the operator's own scale and has a zeta
of its own); "exact noise" keeps the noise of x at s. A normalised step of fixed length can't settle: near the data it is
longer than 2/||A||^2 steps down the gradient may be, and ||r|| stays near zeta/2. "Fading from" shortens it with the
noise.
"""

from typing import Any, Literal

from pydantic import model_validator

from padis_gui.core import Tensor
from padis_gui.core.settings.declarations import setting
from padis_gui.core.solvers import shared_settings as shared
from padis_gui.core.solvers.diffusion.langevin import langevin_step
from padis_gui.core.solvers.iterate import AnnealedSettings, Cost, Setup, Step, Steps


class PaDISDPSSettings(AnnealedSettings):
    """Settings of :func:`padis_dps`."""

    sigma_max: float = shared.highest_noise(1.0)
    sigma_min: float = shared.lowest_noise(0.005)
    inner: int = shared.inner_steps(10)
    zeta: float = setting(
        8.0, ge=0, le=100, label="Step size", symbol="ζ", live=True, when={"scale": "unit norm"},
        help="Step towards the data through the network, where ‖A‖ = 1; it collapses just past its best value",
    )  # fmt: skip
    physical_zeta: float = setting(
        0.7, ge=0, le=100, label="Physical step size", symbol="ζ", live=True, when={"scale": "physical"},
        help="Step towards the data through the network, on the operator's own scale; it is ‖A‖ times as small as where "
        "‖A‖ = 1, and a plain one ‖A‖² times",
    )  # fmt: skip
    step: Literal["normalised", "plain"] = setting(
        "normalised", label="Length of the step", before="normalised",
        help="Normalised is ζ∇‖r‖, as published; plain is ζ∇‖r‖²/2, longer while the data are far and shorter when "
        "they are near, and collapses where ζ‖A‖² comes to 2",
    )  # fmt: skip
    fade: float = shared.fade(0.2)
    epsilon: float = setting(
        0.5,
        gt=0,
        le=2,
        label="Langevin step",
        symbol="ε",
        live=True,
        help="α = εσ²: 1 in the paper, ½ in its code",
    )
    exact_noise: bool = shared.exact_noise(True)
    start: Literal["noise", "baseline"] = setting(
        "noise", label="Start", advanced=True, before="noise",
        help="Noise of the first level, as in the paper, or the baseline picture without noise, as in its code",
    )  # fmt: skip
    scale: Literal["unit norm", "physical"] = setting(
        "unit norm", label="Operator scale", advanced=True,
        help="Unit norm makes ζ comparable between geometries; physical is the paper's own scale",
    )  # fmt: skip

    @model_validator(mode="before")
    @classmethod
    def _zeta_of_its_scale(cls, values: Any) -> Any:
        """A zeta that is given on the physical scale is that of the physical scale: there was one for both once."""
        if isinstance(values, dict) and values.get("scale") == "physical" and "zeta" in values:
            return {"physical_zeta": values["zeta"]} | values
        return values

    @property
    def cost(self) -> Cost:
        """A denoiser call and its gradient in each inner step."""
        return Cost(calls=self.iterates, products=self.data_steps(self.iterates), gradient=True)

    @property
    def unit_norm(self) -> bool:
        """As the scale says."""
        return self.scale == "unit norm"

    def zeta_at(self, sigma: float) -> float:
        """The step at a noise level, on its scale."""
        return shared.faded(self.zeta if self.unit_norm else self.physical_zeta, sigma, self.fade)


def padis_dps(setup: Setup, settings: PaDISDPSSettings) -> Steps[PaDISDPSSettings]:
    """One iterate for each inner step; its estimate is D(x, sigma)."""
    A, y = setup.A, setup.y

    def distance(denoised: Tensor) -> Tensor:
        r = y - A(denoised)
        return setup.lengths(r).sum() if settings.step == "normalised" else setup.squares(r).sum() / 2

    x = setup.pure_noise() if settings.start == "noise" else A.pinv(y).clamp(0, 1)
    for sigma, following in setup.descent:
        for _ in range(settings.inner):
            denoised, gradient, partition = setup.denoise_with_gradient(x, sigma, distance)
            x = langevin_step(
                setup, x, denoised, sigma, settings.epsilon, noisy=following > 0, exact=settings.exact_noise
            )
            x = (
                x - settings.zeta_at(sigma) * gradient
            )  # score and gradient both belong to the x that was denoised
            settings = yield Step(x, denoised, denoised, sigma, partition)
