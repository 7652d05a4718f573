"""DAPS: decoupled annealing posterior sampling (arXiv 2407.01521, algorithm 1), several samples one after another.

At each noise level s the clean image is first estimated from x alone, then drawn given the data, then renoised to
the next level, so that a level does not inherit the errors of the last:

    x0_hat = x followed down the probability flow,    x0 ~ exp(-||x0 - x0_hat||^2 / 2 r^2 - ||A x0 - y||^2 / 2 s_y^2),
    x <- x0 + s' eps.

Deviations. The paper draws x0 by a Langevin loop, as its operators may be nonlinear; for a linear A that density is
Gaussian, and the minimiser of ||A x0 - (y + s_y eps1)||^2 / s_y^2 + ||x0 - (x0_hat + r eps2)||^2 / r^2
is an exact sample of it (perturb and optimise: Papandreou and Yuille, NIPS 2010), for one data step. The usual r
is s itself; ours is what the prior leaves open, by Tweedie's formula for the posterior's covariance,
r^2 = s^2 mean(dD_i/dx_i), measured with one more denoiser call a level during the first sample: with r = s a sample
keeps more grain than the next level's s' and the denoiser is told too little. For a Gaussian prior of independent
pixels and one flow step all samples are then exact. The last level takes the density's mode, which spares the
result grain of that level. A flow of one step is the posterior mean D; two
steps gained nothing for twice the calls.

Measured (20 views, bundled prior, one validation slice, four samples): a sample 28.7 dB, their mean 29.3; the
deviation's rank correlation with the error is 0.65, its size half of the error's, which the samples share in part.
"""

from __future__ import annotations

import itertools
import math

from padis_gui.core import Tensor, torch
from padis_gui.core.settings.declarations import setting
from padis_gui.core.solvers import shared_settings as shared
from padis_gui.core.solvers.iterate import Cost, Setup, SolverSettings, Step, Steps, geometric


class DAPSSettings(SolverSettings):
    """Settings of :func:`daps`."""

    steps: int = setting(
        28, ge=1, le=10_000, label="Noise levels", symbol="T", help="Noise levels of each sample"
    )
    sigma_max: float = shared.highest_noise(3.0)
    samples: int = setting(
        4, ge=1, le=1000, label="Samples", symbol="S",
        help="Samples drawn one after another; the result is their mean and deviation",
    )  # fmt: skip
    ode_steps: int = setting(
        1, ge=1, le=100, label="Flow steps", symbol="N",
        help="Denoiser calls that follow the probability flow from each noise level to a clean image",
    )  # fmt: skip
    spread: float = setting(
        1.0, gt=0, le=10, label="Spread", symbol="κ", live=True,
        help="How far a draw may leave the clean image, in units of what the prior leaves open",
    )  # fmt: skip
    cg_steps: int = shared.cg_steps(12)
    noise_floor: float = shared.noise_floor(3e-4)

    @property
    def iterates(self) -> int:
        """An iterate for each level of each sample."""
        return self.samples * self.steps

    @property
    def cost(self) -> Cost:
        """The flow's calls at each level of each sample, and once a level what the prior leaves open.

        Raises :class:`SettingError` unless sigma_min < sigma_max.
        """
        flow = sum(len(self.flow_levels(sigma)) for sigma in self.levels.tolist()[:-1])
        return Cost(calls=self.samples * flow + self.steps, products=self.data_steps(self.iterates))

    def flow_levels(self, sigma: float) -> list[float]:
        """``ode_steps`` levels from sigma on, geometric towards the lowest noise, which is itself left out."""
        if self.ode_steps == 1 or sigma <= self.sigma_min:
            return [sigma]
        return geometric(self.ode_steps + 1, sigma, self.sigma_min)[: self.ode_steps].tolist()


# What a typical posterior leaves open for a pixel in [0, 1]: a sample whose own grain is larger hardly counts yet.
_TYPICAL_DEVIATION = 0.03
# Of the noise level: how far the slope of the denoiser is probed, well above the round-off of bfloat16.
_REACH = 0.1
_LEAST_SLOPE = 1e-4


def _follow(setup: Setup, x: Tensor, denoised: Tensor, levels: list[float]) -> Tensor:
    """x at the first of ``levels`` followed down dx/ds = (x - D(x, s)) / s to 0 by Euler steps at all of them.

    ``denoised`` is D at the first one; the last step ends in D.
    """
    for level, following in itertools.pairwise(levels):
        x = denoised + following / level * (x - denoised)
        denoised, _ = setup.denoise(x, following)
    return denoised


def _left_open(setup: Setup, x: Tensor, denoised: Tensor, sigma: float, before: torch.Generator) -> float:
    """Root mean variance of a pixel of x0 given x = x0 + sigma eps, as the prior has it: Tweedie's formula.

    The trace of dD/dx is a difference along random signs; ``before`` is the generator's state that ``denoised``
    was drawn with, so that both have the same partition and padding.
    """
    signs = setup.signs(x)
    reach = _REACH * sigma
    moved, _ = setup.denoise(x + reach * signs, sigma, before)
    slope = float((signs * (moved - denoised)).mean()) / reach
    return sigma * math.sqrt(min(max(slope, _LEAST_SLOPE), 1.0))


class _Samples:
    """Mean and deviation of the samples that are done."""

    def __init__(self) -> None:
        self._done: list[Tensor] = []
        self.deviation: Tensor | None = None

    def add(self, sample: Tensor) -> None:
        """One more is done."""
        self._done.append(sample)
        if len(self._done) > 1:
            self.deviation = torch.stack(self._done).std(0)

    def mean_with(self, sample: Tensor, weight: float) -> Tensor:
        """The mean of those done and of one on its way, which counts as ``weight`` samples."""
        if not self._done:
            return sample.clone()
        return (torch.stack(self._done).sum(0) + weight * sample) / (len(self._done) + weight)


def daps(setup: Setup, settings: DAPSSettings) -> Steps[DAPSSettings]:
    """One iterate for each noise level of each sample.

    The estimate is the mean over the samples that are done and the present one, which gains weight as its grain
    r falls; ``deviation`` the standard deviation of those done, once there are two.
    """
    A, y = setup.A, setup.y
    noise = max(setup.noise, settings.noise_floor)
    open_at: dict[float, float] = {}
    samples = _Samples()
    for _ in range(settings.samples):
        x = setup.pure_noise()
        for sigma, following in setup.descent:
            before = torch.Generator()
            before.set_state(setup.rng.get_state())
            denoised, partition = setup.denoise(x, sigma)
            if sigma not in open_at:
                open_at[sigma] = _left_open(setup, x, denoised, sigma, before)
            clean = _follow(setup, x, denoised, settings.flow_levels(sigma))
            r = settings.spread * open_at[sigma]
            target, centre = y, clean
            if following > 0:
                target, centre = y + noise * setup.normal(y), clean + r * setup.normal(clean)
            sample = A.prox(target, centre, (noise / r) ** 2, settings.cg_steps)
            x = sample + following * setup.normal(sample)
            if following > 0:
                estimate = samples.mean_with(sample, 1 / (1 + (r / _TYPICAL_DEVIATION) ** 2))
            else:
                estimate = samples.mean_with(sample, 1.0)
                samples.add(sample)
            settings = yield Step(x, clean, estimate, sigma, partition, samples.deviation)
