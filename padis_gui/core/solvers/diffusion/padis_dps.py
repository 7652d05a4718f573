"""PaDIS-DPS: the paper's own solver (arXiv 2406.02462, algorithm 1): annealed Langevin dynamics with the
DPS step (arXiv 2209.14687) taken through the network.

For every noise level, ``inner`` times: D = D(x, s) through a new random partition; x <- x - zeta * gradient
of ||y - A D(x)||; x <- x + (alpha/2) (D - x)/s^2 + sqrt(alpha) z with alpha = epsilon s^2; no z at the last
level.

Deviations: it starts from noise as the paper says (its published code starts from a clamped FBP); by default
||A|| = 1, so that zeta means the same for every geometry ("physical" keeps the operator's own scale).
"""

from typing import Literal

from torch import Tensor

from padis_gui.core.settings.declarations import setting
from padis_gui.core.solvers import shared_settings as shared
from padis_gui.core.solvers.diffusion.langevin import langevin_step
from padis_gui.core.solvers.iterate import AnnealedSettings, Cost, Setup, Step, Steps


class PaDISDPSSettings(AnnealedSettings):
    """Settings of :func:`padis_dps`."""

    sigma_min: float = shared.lowest_noise(0.002)
    inner: int = shared.inner_steps(10)
    zeta: float = setting(
        4.0, ge=0, le=100, label="Step size", symbol="ζ", live=True,
        help="Step towards the data through the network; it collapses just past its best value",
    )  # fmt: skip
    epsilon: float = setting(
        1.0,
        gt=0,
        le=2,
        label="Langevin step",
        symbol="ε",
        live=True,
        help="α = εσ²: 1 in the paper, ½ in its code",
    )
    scale: Literal["unit norm", "physical"] = setting(
        "unit norm", label="Operator scale", advanced=True,
        help="Unit norm makes ζ comparable between geometries; physical is the paper's own scale",
    )  # fmt: skip

    @property
    def cost(self) -> Cost:
        """A denoiser call and its gradient in each inner step."""
        return Cost(calls=self.iterates, products=self.data_steps(self.iterates), gradient=True)

    @property
    def unit_norm(self) -> bool:
        """As the scale says."""
        return self.scale == "unit norm"


def padis_dps(setup: Setup, settings: PaDISDPSSettings) -> Steps[PaDISDPSSettings]:
    """One iterate for each inner step; its estimate is D(x, sigma)."""
    A, y = setup.A, setup.y

    def distance(denoised: Tensor) -> Tensor:
        return setup.lengths(y - A(denoised)).sum()

    x = setup.pure_noise()
    for sigma, following in setup.descent:
        for _ in range(settings.inner):
            denoised, gradient, partition = setup.denoise_with_gradient(x, sigma, distance)
            x = langevin_step(setup, x, denoised, sigma, settings.epsilon, noisy=following > 0)
            x = x - settings.zeta * gradient  # score and gradient both belong to the x that was denoised
            settings = yield Step(x, denoised, denoised, sigma, partition)
