"""Noise levels (decreasing, ending in zero), and what a solver is given and yields.

A solver is written as in its paper: a generator that takes a :class:`Setup` and its settings, yields a :class:`Step`
an iteration and gets the settings of the next one back, ``settings = yield Step(x, denoised, estimate, sigma)``. What
all of them need is done once, in :mod:`padis_gui.core.solvers.driver`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, TypeVar

from padis_gui.core import Tensor, torch
from padis_gui.core.physics.operator import LinearOperator, Scaled
from padis_gui.core.physics.problem import Problem
from padis_gui.core.prior.partition import Partition
from padis_gui.core.settings.declarations import Settings, setting
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.solvers import shared_settings as shared

ScheduleName = Literal["geometric", "karras"]


def geometric(steps: int, sigma_max: float, sigma_min: float) -> Tensor:
    """sigma_k = sigma_max (sigma_min/sigma_max)^(k/(n-1)), then 0: shape (steps + 1,), float64."""
    _check(steps, sigma_max, sigma_min)
    k = torch.linspace(0, 1, steps, dtype=torch.float64) if steps > 1 else torch.zeros(1, dtype=torch.float64)
    levels = sigma_max * (sigma_min / sigma_max) ** k
    return torch.cat([levels, levels.new_zeros(1)])


def karras(steps: int, sigma_max: float, sigma_min: float, rho: float = 7.0) -> Tensor:
    """EDM's schedule (arXiv 2206.00364, equation 5), then 0: shape (steps + 1,), float64."""
    _check(steps, sigma_max, sigma_min)
    k = torch.linspace(0, 1, steps, dtype=torch.float64) if steps > 1 else torch.zeros(1, dtype=torch.float64)
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    levels = (high + k * (low - high)) ** rho
    return torch.cat([levels, levels.new_zeros(1)])


def noise_levels(name: ScheduleName, steps: int, sigma_max: float, sigma_min: float) -> Tensor:
    """The schedule of that name; see :func:`geometric` and :func:`karras`."""
    return {"geometric": geometric, "karras": karras}[name](steps, sigma_max, sigma_min)


def _check(steps: int, sigma_max: float, sigma_min: float) -> None:
    if steps < 1:
        raise SettingError(
            f"A schedule needs at least 1 step, but {steps} was given; raise the number of steps."
        )
    if not 0 < sigma_min < sigma_max:
        raise SettingError(
            f"The noise levels must satisfy 0 < sigma_min < sigma_max, but {sigma_min:g} and {sigma_max:g} "
            "were given; lower sigma_min or raise sigma_max."
        )


# D(x, sigma) of an image (C, rows, columns) and the partition that it went through, None where there is none; what it
# draws comes from the generator.
Denoiser: TypeAlias = "Callable[[Tensor, float, torch.Generator], tuple[Tensor, Partition | None]]"


class Proximal(Protocol):
    """Settings of a method whose data step weighs the prior against the data's noise."""

    @property
    def prior_weight(self) -> float: ...

    @property
    def noise_floor(self) -> float: ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassicalSetup:
    """What every method is given: y = A x + noise of an image x (C, rows, columns) on [0, 1].

    Scaled so that ||A|| = 1 where the settings say ``unit_norm``; ``noise`` is the standard deviation of each entry of y
    on that scale.
    """

    A: LinearOperator
    y: Tensor
    noise: float = 0.0

    def lengths(self, v: Tensor) -> Tensor:
        """||v||, which lengths of steps are measured by: one number, or one for each slice of a volume, (Z, 1, 1)."""
        return self._of_each(torch.linalg.vector_norm, v)

    def squares(self, v: Tensor) -> Tensor:
        """||v||^2, as :meth:`lengths`."""
        return self._of_each(lambda one: one.square().sum(), v)

    def _of_each(self, measure: Callable[[Tensor], Tensor], v: Tensor) -> Tensor:
        if not self.A.apart:
            return measure(v)
        return torch.stack([measure(v[z : z + 1]) for z in range(len(v))]).view(-1, 1, 1)

    def noise_norm(self) -> float:
        """The expected ||A x - y|| of the true image: noise sqrt(m), m the entries of y that any image reaches.

        Entries that A never reaches (missing pixels, rays beside the image) add what they hold, as no image can
        explain it. 0 without noise.
        """
        if self.noise == 0:
            return 0.0
        probe = torch.rand(self.A.image_shape, generator=torch.Generator().manual_seed(0))
        reached = self.A(probe.to(self.y.device, self.y.dtype)) != 0
        return math.sqrt(self.noise**2 * int(reached.sum()) + float(self.y[~reached].square().sum()))

    def rho(self, settings: Proximal, sigma: float) -> float:
        """Weight of the proximal data step at an image whose error is sigma: lambda s_y^2 / sigma^2, s_y floored."""
        return settings.prior_weight * max(self.noise, settings.noise_floor) ** 2 / sigma**2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setup(ClassicalSetup):
    """What a method around a denoiser is given besides.

    ``levels`` are the noise levels, ending in 0, (steps + 1,); ``rng`` is a CPU generator that all noise, tilings and
    padding come from, so that every device sees the same. ``alike`` gives all channels the same noise: they are slices that
    nothing ties together, and each meets what it would meet by itself.
    """

    levels: Tensor
    denoiser: Denoiser
    rng: torch.Generator
    alike: bool = False

    @property
    def descent(self) -> list[tuple[float, float]]:
        """Pairs (sigma, next sigma) of the levels; the last next one is 0."""
        return list(itertools.pairwise(self.levels.tolist()))

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal noise shaped and placed as ``like``."""
        drawn = torch.randn(self._drawn(like), generator=self.rng).to(like.device, like.dtype)
        return drawn.expand(like.shape) if self.alike else drawn

    def signs(self, like: Tensor) -> Tensor:
        """-1 and 1 by chance, shaped and placed as ``like``."""
        drawn = torch.randint(2, self._drawn(like), generator=self.rng).to(like.device, like.dtype) * 2 - 1
        return drawn.expand(like.shape) if self.alike else drawn

    def _drawn(self, like: Tensor) -> tuple[int, ...]:
        return (1, *like.shape[1:]) if self.alike else tuple(like.shape)

    def pure_noise(self) -> Tensor:
        """Noise of the first level, (C, rows, columns), from which a diffusion begins."""
        return float(self.levels[0]) * self.normal(self.A.T(self.y))

    @torch.no_grad()
    def denoise(
        self, x: Tensor, sigma: float, rng: torch.Generator | None = None
    ) -> tuple[Tensor, Partition | None]:
        """D(x, sigma), without gradients, through a freshly drawn partition, and that partition.

        With another generator whose state is that of an earlier call, the partition and the padding are those again.
        """
        return self.denoiser(x, sigma, self.rng if rng is None else rng)

    def denoise_with_gradient(
        self, x: Tensor, sigma: float, distance: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor, Partition | None]:
        """D(x, sigma), the gradient of ``distance(D(x, sigma))`` by x, and the partition; nothing keeps the graph."""
        with torch.enable_grad():
            leaf = x.detach().requires_grad_(True)
            denoised, partition = self.denoiser(leaf, sigma, self.rng)
            (gradient,) = torch.autograd.grad(distance(denoised), leaf)
        return denoised.detach(), gradient, partition

    def denoise_and_correct(
        self, x: Tensor, sigma: float, rho: float, cg_steps: int
    ) -> tuple[Tensor, Tensor, Tensor, Partition | None]:
        """D(x, sigma); c = argmin ||A (D + c) - y||^2 + rho ||c||^2; J^T c with J = dD/dx; and the partition.

        c corrects the denoised image, J^T c the noisy one; nothing keeps the graph.
        """
        with torch.enable_grad():
            leaf = x.detach().requires_grad_(True)
            through_network, partition = self.denoiser(leaf, sigma, self.rng)
            denoised = through_network.detach()
            correction = self.A.prox(self.y, denoised, rho, cg_steps) - denoised
            (pulled,) = torch.autograd.grad(through_network, leaf, correction)
        return denoised, correction, pulled, partition

    def baseline_with_noise(self) -> Tensor:
        """The baseline picture, clipped to [0, 1], under noise of the first level, which hides its streaks."""
        start = self.A.pinv(self.y).clamp(0, 1)
        return start + float(self.levels[0]) * self.normal(start)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What a solver yields. Tensors are (C, rows, columns), detached, and never written again; see :class:`Iterate`.

    A method without a denoiser gives x only, which is then all three pictures. ``measured`` is A estimate where the
    method knows it already.
    """

    x: Tensor
    denoised: Tensor | None = None
    estimate: Tensor | None = None
    sigma: float = 0.0
    partition: Partition | None = None
    deviation: Tensor | None = None
    measured: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Iterate:
    """One step of a solver. Tensors are (C, rows, columns), detached, and never written again.

    ``x`` is the noisy state x_t after the step, ``denoised`` the prior's D(x, sigma), ``estimate`` the image
    that the solver would return if it stopped here (data-consistent where the method makes it so).
    ``partition`` is that of the denoiser call that ``denoised`` came from, None where a method has none; ``deviation``
    the standard deviation of each pixel over the samples so far, where a method draws several. ``measured`` is A
    estimate, in the units of the problem's measurement.
    ``residual`` is ||A estimate - y|| / ||y||; ``evaluations`` counts denoiser calls so far; ``seconds`` is
    the time this step took, without the time that the consumer took before it asked for it.
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
# What a solver is: it is sent the settings of its next step, of which only live ones ever change.
Steps = Generator[Step, S, None]
# What becomes of it: `send` hands it new settings, of which it honours the live ones.
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
    def iterates(self) -> int:
        """How many iterates a run has, at most."""
        return int(getattr(self, "steps", 1))

    @property
    def levels(self) -> Tensor:
        """Noise levels of the denoiser, ending in 0, float64; none where a method has no denoiser."""
        return torch.zeros(0, dtype=torch.float64)

    @property
    def unit_norm(self) -> bool:
        """Whether the method works on the scale where ||A|| = 1, on which its settings mean the same for every physics."""
        return True

    @property
    def cost(self) -> Cost:
        """What a run with these settings consists of; here two products and a residual an iterate."""
        return Cost(products=3 * self.iterates)

    def data_steps(self, count: int) -> int:
        """Products in ``count`` data steps by conjugate gradients and as many residuals."""
        return count * (2 * int(getattr(self, "cg_steps", 0)) + 2)


class SolverSettings(MethodSettings):
    """What every diffusion solver has: its noise levels."""

    steps: int = shared.steps(50)
    schedule: ScheduleName = setting(
        "geometric", label="Schedule", advanced=True,
        help="Spacing of the noise levels; geometric is about 1 dB better for CT than Karras",
    )  # fmt: skip
    sigma_max: float = shared.highest_noise(10.0)
    sigma_min: float = shared.lowest_noise(0.01)

    @property
    def levels(self) -> Tensor:
        """Those of the schedule, (steps + 1,). Raises :class:`SettingError` unless sigma_min < sigma_max."""
        return noise_levels(self.schedule, self.steps, self.sigma_max, self.sigma_min)

    @property
    def cost(self) -> Cost:
        """A denoiser call and a data step in each iterate."""
        return Cost(calls=self.iterates, products=self.data_steps(self.iterates))


class AnnealedSettings(SolverSettings):
    """What annealed Langevin dynamics have: several steps at each noise level, an iterate each."""

    steps: int = shared.noise_level_count(100)
    inner: int = shared.inner_steps(4)

    @property
    def iterates(self) -> int:
        """An iterate for each inner step of each level."""
        return self.steps * self.inner


def unit_norm(problem: Problem) -> tuple[LinearOperator, Tensor, float]:
    """Operator, measurement and noise level scaled so that ||A|| = 1."""
    factor = 1 / problem.operator.norm
    return Scaled(problem.operator, factor), problem.measurement * factor, problem.noise * factor


def drain(iterates: Iterator[Iterate]) -> Iterate:
    """Run a solver to its end and return the last iterate."""
    last = None
    for iterate in iterates:
        last = iterate
    if last is None:
        raise ValueError("a solver yields at least one iterate")
    return last
