"""Adapting a prior to the measurement at hand, before the run: a few gradient steps on low-rank factors.

A prior that was trained on other images is told by the measurement what this one is like. As in Hu et al. (arXiv
2410.11730), who find that patch priors take this well where whole-image ones memorise, the loss is that of the data alone;
as in Barbano et al. (arXiv 2308.14409) only low-rank factors of the convolutions move; as in Chung and Ye (arXiv
2407.10641) few noise levels suffice. A step at a noise level s, from a reconstruction x of the rays that are used:

    D = D_theta(x + s eps, s) through a random partition,   c = argmin ||A u - y||^2 + rho ||u - D||^2  -  D,
    theta <- Adam(theta, gradient of <-c, D_theta>)

The correction c is the gradient A^T (y - A D) preconditioned by a data step, as first-order steps on ||A D - y||^2 mend
the coarse structure only (measured in docs/adaptation.md). Each round begins with a reconstruction by plug-and-play ADMM
(:mod:`~padis_gui.core.solvers.diffusion.admm`) under the prior as it is by then.

A seeded share of the rays (entries of the measurement) is used by neither: what a round's reconstruction says of them
decides. The factors of the best round are kept, and the first round that is no better than the one before it ends the
adaptation; if none is better than the prior as it came, that is what comes out.

Deviations: the papers adapt within the solver and end it there; here the solver that was chosen runs afterwards with all
rays, so that any solver can be adapted for, and nothing that it uses was used to decide.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import cached_property
from time import perf_counter

from padis_gui.core import Tensor, torch
from padis_gui.core.images.metrics import relative_misfit
from padis_gui.core.physics.operator import LinearOperator, Wrapper
from padis_gui.core.physics.problem import Problem
from padis_gui.core.prior.factors import Factors
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.tiling import TilingSettings, tiling_for
from padis_gui.core.settings.declarations import Settings, branch, setting
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.settings.watch import SILENT, Watch
from padis_gui.core.solvers import shared_settings as shared
from padis_gui.core.solvers.diffusion.admm import FastSettings, admm
from padis_gui.core.solvers.driver import drive
from padis_gui.core.solvers.iterate import Cost, drain, noise_levels, unit_norm

_CALLS_OF_GRADIENT = 4  # forwards, forwards again, backwards
_FILL_STEPS = 10  # of conjugate gradients, for the rays that a baseline picture lacks
_LEVELS = 8  # between the highest and the lowest


class AdaptationSettings(Settings):
    """Settings of :func:`adapt`."""

    rank: int = setting(
        4, ge=1, le=256, label="Rank", symbol="r", help="Rank of the factors on each convolution"
    )
    learning_rate: float = setting(
        1e-3, gt=0, le=1, label="Learning rate", symbol="η", help="Length of a step of Adam"
    )
    steps: int = setting(
        40, ge=1, le=10_000, label="Steps", symbol="n", help="Gradient steps at most, in all rounds"
    )
    round_steps: int = setting(
        20, ge=1, le=10_000, label="Steps a round", symbol="m",
        help="Gradient steps from one reconstruction; the rays kept aside are asked after each round",
    )  # fmt: skip
    highest_level: float = setting(
        0.4, gt=0, le=10, label="Highest level", symbol="σ_h", advanced=True,
        help="Highest noise level of the steps, relative to an image in [0, 1]",
    )  # fmt: skip
    lowest_level: float = setting(
        0.02, gt=0, le=10, label="Lowest level", symbol="σ_l", advanced=True,
        help="Lowest noise level of the steps",
    )  # fmt: skip
    share_aside: float = setting(
        0.05, gt=0, le=0.5, label="Kept aside", advanced=True,
        help="Share of the views (of pictures: of the values) that no step uses, one at least: they decide when to stop",
    )  # fmt: skip
    cg_steps: int = shared.cg_steps(10)
    noise_floor: float = shared.noise_floor(3e-4)

    @property
    def cost(self) -> Cost:
        """What it consists of at most; a gradient step counts as the four calls that it takes as long as."""
        reconstruction, rounds = FastSettings().cost, 1 + math.ceil(self.steps / self.round_steps)
        return Cost(
            calls=rounds * reconstruction.calls + _CALLS_OF_GRADIENT * self.steps,
            products=rounds * reconstruction.products + self.steps * (2 * self.cg_steps + 3), gradient=True,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AdaptationStep:
    """What :func:`adapt` yields: a gradient step, or the reconstruction that a round begins with.

    ``step`` of at most ``total`` gradient steps are done, 0 before the first. ``training`` and ``aside`` are the residuals
    ||A x - y|| / ||y|| over the rays that are used and over those kept aside, of the last reconstruction, which is
    ``estimate`` (C, rows, columns) on [0, 1]; ``fit`` is that over the used rays of what was denoised in this step at level
    ``sigma``, both NaN at a round's beginning. ``best`` is the step whose factors explain the rays kept aside best so far.
    """

    step: int
    total: int
    training: float
    aside: float
    best: int
    estimate: Tensor
    sigma: float = math.nan
    fit: float = math.nan
    seconds: float = 0.0

    @property
    def in_words(self) -> str:
        """Where the adaptation stands, such as "adapting 12 of 60, rays kept aside 0.031"."""
        return f"adapting {self.step} of {self.total}, rays kept aside {self.aside:.3g}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Adapted:
    """A prior as the adaptation left it, and what was said on the way, without the pictures.

    ``curve`` has (step, training, aside) of each round; ``best`` is the step that ``prior`` is of: at 0 it is the prior
    that came.
    """

    prior: PatchPrior
    best: int
    curve: tuple[tuple[int, float, float], ...]


class Thinned(Wrapper):
    """An operator of which only some entries are measured, where ``used`` is 1; the others are 0.

    Its baseline picture is the operator's own, with what least squares say of the entries that lack.
    """

    def __init__(self, of: LinearOperator, used: Tensor) -> None:
        super().__init__(of)
        self._used = used

    @cached_property
    def norm(self) -> float:
        """That of the whole operator, so that what is set on the scale where it is 1 means the same."""
        return self._of.norm

    def _forward(self, x: Tensor) -> Tensor:
        return self._used * self._of._forward(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._of._adjoint(self._used * y)

    def pinv(self, y: Tensor, watch: Watch = SILENT) -> Tensor:
        nothing = torch.zeros(self.image_shape, device=y.device, dtype=y.dtype)
        filled = self._of._forward(self.least_squares(self._used * y, nothing, _FILL_STEPS))
        return self._of.pinv(torch.where(self._used > 0, y, filled), watch)


def used_entries(operator: LinearOperator, share_aside: float, rng: torch.Generator) -> Tensor:
    """1 for the entries of a measurement that an adaptation uses, 0 for those that it keeps aside; shaped as it.

    Whole views of a scan are kept aside, as the neighbours of a single ray would tell what it holds. Raises
    :class:`SettingError` where nothing would be left on either side.
    """
    shape = tuple(1 if axis in operator.together else n for axis, n in enumerate(operator.measurement_shape))
    count = math.prod(shape)
    aside = max(1, round(share_aside * count))
    if aside >= count:
        raise SettingError(
            f"A measurement was wanted of which a part can be kept aside, but it has {count} part; run without adapting "
            "the prior."
        )
    used = torch.ones(count)
    used[torch.randperm(count, generator=rng)[:aside]] = 0
    return used.view(shape).expand(operator.measurement_shape).to(operator.device, operator.dtype)


def parted(problem: Problem, used: Tensor) -> tuple[Problem, Problem]:
    """The problem of the entries that are ``used``, see :func:`used_entries`, and that of those kept aside."""

    def of(part: Tensor) -> Problem:
        measured = part * problem.measurement
        return Problem(operator=Thinned(problem.operator, part), measurement=measured, noise=problem.noise)

    return of(used), of(1 - used)


def adapt(
    problem: Problem, prior: PatchPrior, settings: AdaptationSettings, rng: torch.Generator
) -> Generator[AdaptationStep, None, Adapted]:
    """Adapt a prior to a problem; returns what came of it. The prior that is given stays as it is.

    ``rng`` is a CPU generator that everything random comes from. Raises :class:`SettingError` for settings, problems or
    priors that cannot be adapted.
    """
    levels = _levels(settings)
    whole = problem.operator
    used = used_entries(whole, settings.share_aside, branch(rng))
    thin, kept_aside = parted(problem, used)
    A, y, _ = unit_norm(thin)
    reconstructing, drawing = branch(rng), branch(rng)
    factors = Factors(prior, settings.rank, branch(rng))
    optimiser = torch.optim.Adam(list(factors), lr=settings.learning_rate, betas=(0.9, 0.99))
    size = whole.image_shape[1], whole.image_shape[2]
    tiling = tiling_for(TilingSettings(strategy="random"), size, prior, [*levels, 0.0])
    best, kept, curve = 0, factors.state(), list[tuple[int, float, float]]()
    done = 0
    while True:
        began = perf_counter()
        asked = torch.Generator()
        asked.set_state(reconstructing.get_state())  # all rounds meet the same noise: only the factors differ
        merged = factors.merged() if done else prior
        estimate = fast_reconstruction(thin, merged, asked)
        found = misfit_of(thin, estimate), misfit_of(kept_aside, estimate)
        better = not curve or found[1] < min(each[2] for each in curve)
        curve.append((done, *found))
        if better:
            best, kept = done, factors.state()
        said = AdaptationStep(
            step=done, total=settings.steps, training=found[0], aside=found[1], best=best, estimate=estimate,
            seconds=perf_counter() - began,
        )  # fmt: skip
        yield said
        if not better or done >= settings.steps:
            break
        for _ in range(min(settings.round_steps, settings.steps - done)):
            began = perf_counter()
            sigma = levels[int(torch.randint(len(levels), (), generator=drawing))]
            noisy = estimate + sigma * torch.randn(estimate.shape, generator=drawing).to(estimate)
            partition = tiling.draw(drawing, sigma)
            with torch.enable_grad():
                denoised = factors.prior.denoise(noisy, sigma, partition, drawing)
                target = A.prox(y, denoised.detach(), (settings.noise_floor / sigma) ** 2, settings.cg_steps)
                optimiser.zero_grad()
                torch.autograd.backward(denoised, denoised.detach() - target)
            optimiser.step()
            done += 1
            fit = misfit_of(thin, denoised.detach())
            yield replace(said, step=done, sigma=sigma, fit=fit, seconds=perf_counter() - began)
    factors.restore(kept)
    return Adapted(prior=factors.merged() if best else prior, best=best, curve=tuple(curve))


def _levels(settings: AdaptationSettings) -> list[float]:
    """The noise levels that steps draw from, evenly by their logarithm, highest first."""
    return noise_levels("geometric", _LEVELS, settings.highest_level, settings.lowest_level).tolist()[:-1]


def misfit_of(problem: Problem, estimate: Tensor) -> float:
    """||A x - y|| / ||y||."""
    return relative_misfit(problem.operator(estimate), problem.measurement)


def fast_reconstruction(problem: Problem, prior: PatchPrior, rng: torch.Generator) -> Tensor:
    """What *Fast* makes of a problem, (C, rows, columns)."""
    settings, shape = FastSettings(), problem.operator.image_shape
    tiling = tiling_for(TilingSettings(), (shape[1], shape[2]), prior, settings.levels.tolist())
    return drain(drive(admm, problem, prior, tiling, settings, rng, lower="learning rate")).estimate
