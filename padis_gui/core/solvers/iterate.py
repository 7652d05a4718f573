"""What a solver yields, and the small things that all solvers share."""

import itertools
import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from padis_gui.core.errors import DivergenceError
from padis_gui.core.metrics import relative_misfit
from padis_gui.core.operators.base import LinearOperator, Scaled
from padis_gui.core.partition import Partition
from padis_gui.core.prior import PatchPrior
from padis_gui.core.problem import Problem
from padis_gui.core.schedule import ScheduleName
from padis_gui.core.settings import Settings, setting, with_live
from padis_gui.core.solvers import shared_settings as shared
from padis_gui.core.tiling import Tiling

_EXPLODED = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Iterate:
    """One step of a solver. Tensors are (C, rows, columns), detached, and never written again.

    ``x`` is the noisy state x_t after the step, ``denoised`` the prior's D(x, sigma), ``estimate`` the image
    that the solver would return if it stopped here (data-consistent where the method makes it so).
    ``partition`` is that of the last denoiser call, None where a method has none; ``deviation`` the standard
    deviation of each pixel over the samples so far, where a method draws several. ``measured`` is A estimate, in
    the units of the problem's measurement.
    ``residual`` is ||A estimate - y|| / ||y||; ``evaluations`` counts denoiser calls so far; ``seconds`` is
    the time this step took.
    """

    step: int
    total: int
    sigma: float
    x: Tensor
    denoised: Tensor
    estimate: Tensor
    partition: Partition | None
    residual: float
    evaluations: int
    seconds: float
    deviation: Tensor | None = None
    measured: Tensor | None = None


S = TypeVar("S", bound=Settings)
# A solver is a generator of iterates; `send` hands it new settings, of which it honours the live ones.
Iterates = Generator[Iterate, S | None, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a run consists of: denoiser calls, with or without their gradient, and products with A or its transpose.

    Products are an upper bound: a data step may end early, or have a closed form.
    """

    calls: int = 0
    products: int = 0
    gradient: bool = False


class MethodSettings(Settings):
    """Base of the settings of every method."""

    @property
    def cost(self) -> Cost:
        """What a run with these settings consists of; here two products and a residual a step."""
        return Cost(products=3 * int(getattr(self, "steps", 1)))

    def data_steps(self, count: int) -> int:
        """Products in ``count`` data steps by conjugate gradients and as many residuals."""
        return count * (2 * int(getattr(self, "cg_steps", 0)) + 2)


class SolverSettings(MethodSettings):
    """What every diffusion solver has: its noise levels."""

    steps: int = setting(
        50, ge=1, le=10_000, label="Steps", symbol="n", help="Noise levels from the highest to the lowest"
    )
    schedule: ScheduleName = setting(
        "geometric", label="Schedule", advanced=True,
        help="Spacing of the noise levels; geometric is about 1 dB better for CT than Karras",
    )  # fmt: skip
    sigma_max: float = shared.highest_noise(10.0)
    sigma_min: float = shared.lowest_noise(0.01)

    @property
    def cost(self) -> Cost:
        """A denoiser call and a data step at each level."""
        return Cost(calls=self.steps, products=self.data_steps(self.steps))


def normal(like: Tensor, rng: torch.Generator) -> Tensor:
    """Standard normal noise shaped and placed as ``like``, drawn from a CPU generator on every device."""
    return torch.randn(like.shape, generator=rng).to(like.device, like.dtype)


def unit_norm(problem: Problem) -> tuple[LinearOperator, Tensor, float]:
    """Operator, measurement and noise level scaled so that ||A|| = 1."""
    factor = 1 / problem.operator.norm
    return Scaled(problem.operator, factor), problem.measurement * factor, problem.noise * factor


@torch.no_grad()
def denoise(
    prior: PatchPrior, x: Tensor, sigma: float, tiling: Tiling, rng: torch.Generator
) -> tuple[Tensor, Partition]:
    """One denoiser call through a freshly drawn partition: D(x, sigma) and the partition."""
    partition = tiling.draw(rng, sigma)
    return prior.denoise(x, sigma, partition, rng), partition


def langevin_step(
    x: Tensor, towards: Tensor, sigma: float, epsilon: float, rng: torch.Generator, *, noisy: bool
) -> Tensor:
    """x + (alpha/2) score + sqrt(alpha) z with score = (towards - x)/sigma^2 and alpha = epsilon sigma^2."""
    moved = x + (epsilon / 2) * (towards - x)
    return moved + epsilon**0.5 * sigma * normal(x, rng) if noisy else moved


class Recorder:
    """Makes the iterates of one run: counts, times and measures them.

    Time that the consumer holds the generator is not counted: call :meth:`resume` after each yield.
    """

    def __init__(self, A: LinearOperator, y: Tensor, total: int) -> None:
        self._A, self._y, self._total = A, y, total
        self._step = self._evaluations = 0
        self._began = time.perf_counter()

    def iterate(
        self,
        sigma: float,
        x: Tensor,
        denoised: Tensor,
        estimate: Tensor,
        partition: Partition | None,
        *,
        evaluations: int = 1,
        deviation: Tensor | None = None,
    ) -> Iterate:
        """The next iterate, which took ``evaluations`` denoiser calls."""
        self._step += 1
        self._evaluations += evaluations
        measured = self._A(estimate)
        return Iterate(
            step=self._step,
            total=self._total,
            sigma=sigma,
            x=x,
            denoised=denoised,
            estimate=estimate,
            partition=partition,
            residual=relative_misfit(measured, self._y),
            evaluations=self._evaluations,
            seconds=time.perf_counter() - self._began,
            deviation=deviation,
            measured=measured / self._A.scale,
        )

    def resume(self, settings: S, changed: S | None) -> S:
        """Start the next lap; the settings for it, with the live ones among ``changed``."""
        self._began = time.perf_counter()
        return with_live(settings, changed)


def descent(levels: Tensor) -> list[tuple[float, float]]:
    """Pairs (sigma, next sigma) of a schedule; the last next one is 0."""
    values = levels.tolist()
    return list(itertools.pairwise(values))


def watched(iterates: Iterates[S], lower: str) -> Iterates[S]:
    """Pass iterates on; raise :class:`DivergenceError` before one that is NaN or has exploded.

    ``lower`` names the setting to lower. The consumer keeps the last good iterate it got.
    """
    best = math.inf
    sent: S | None = None
    try:
        while True:
            try:
                iterate = iterates.send(sent)
            except StopIteration:
                return
            finite = math.isfinite(iterate.residual) and bool(torch.isfinite(iterate.estimate).all())
            if not finite or iterate.residual > _EXPLODED * max(best, 0.05):
                what = f"{iterate.residual:.3g}" if finite else "NaN"
                raise DivergenceError(
                    f"The solver diverged at step {iterate.step} of {iterate.total} (residual {what}); what "
                    f"came before is still good, lower the {lower}."
                )
            best = min(best, iterate.residual)
            sent = yield iterate
    finally:
        iterates.close()


def drain(iterates: Iterator[Iterate]) -> Iterate:
    """Run a solver to its end and return the last iterate."""
    last = None
    for iterate in iterates:
        last = iterate
    if last is None:
        raise ValueError("a solver yields at least one iterate")
    return last
