"""What all solvers have in common, done once: the scale where ||A|| = 1, counting, timing and measuring their steps,
live settings, and the end of a run that diverges."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import perf_counter
from typing import TypeVar

from padis_gui.core import Tensor, torch
from padis_gui.core.images.metrics import relative_misfit
from padis_gui.core.physics.problem import Problem
from padis_gui.core.prior.partition import Partition
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.tiling import Tiling
from padis_gui.core.settings.declarations import with_live
from padis_gui.core.settings.errors import DivergenceError
from padis_gui.core.solvers.classical.plug_and_play import PlugAndPlaySettings, make_denoiser
from padis_gui.core.solvers.iterate import (
    Denoiser,
    Iterate,
    Iterates,
    MethodSettings,
    Setup,
    Step,
    Steps,
    unit_norm,
)

_EXPLODED = 20.0
_SMALL_RESIDUAL = 0.05  # one below it may grow twentyfold from here, not from its own size

M = TypeVar("M", bound=MethodSettings)


class _Counted:
    """A denoiser that counts its calls."""

    def __init__(self, denoiser: Denoiser) -> None:
        self._denoiser = denoiser
        self.calls = 0

    def __call__(self, x: Tensor, sigma: float, rng: torch.Generator) -> tuple[Tensor, Partition | None]:
        self.calls += 1
        return self._denoiser(x, sigma, rng)


def drive(
    solve: Callable[[Setup, M], Steps[M]],
    problem: Problem,
    prior: PatchPrior,
    tiling: Tiling,
    settings: M,
    rng: torch.Generator,
    *,
    lower: str,
) -> Iterates[M]:
    """The iterates of a solver; ``send`` new settings, of which the live ones count from the next step on.

    Raises :class:`DivergenceError`, which names the setting to ``lower``, before an iterate that is NaN or whose
    residual is twenty times the best one; the consumer keeps the last good iterate that it got.
    """
    name = settings.denoiser if isinstance(settings, PlugAndPlaySettings) else "prior"
    apart = problem.operator.apart or problem.operator.slice_step is not None
    denoiser = _Counted(make_denoiser(name, prior, tiling, apart=apart))
    A, y, noise = problem.operator, problem.measurement, problem.noise
    if settings.unit_norm:
        A, y, noise = unit_norm(problem)
    setup = Setup(
        A=A,
        y=y,
        noise=noise,
        levels=settings.levels,
        denoiser=denoiser,
        rng=rng,
        alike=A.apart and prior.alike,
    )
    count, best, sent = 0, math.inf, None
    steps = solve(setup, settings)
    try:
        while True:
            began = perf_counter()
            step = _next(steps, sent)
            if step is None:
                return
            count += 1
            iterate = _iterate(step, setup, count, settings.iterates, denoiser.calls, began)
            _raise_if_diverged(iterate, best, lower)
            best = min(best, iterate.residual)
            settings = sent = with_live(settings, (yield iterate))
    finally:
        steps.close()


def _next(steps: Steps[M], settings: M | None) -> Step | None:
    """The next step, for which the settings are ``settings``; None where the solver has ended."""
    try:
        return next(steps) if settings is None else steps.send(settings)
    except StopIteration:
        return None


def _iterate(step: Step, setup: Setup, number: int, total: int, calls: int, began: float) -> Iterate:
    x = step.x
    estimate = x.clone() if step.estimate is None else step.estimate
    measured = setup.A(estimate) if step.measured is None else step.measured
    return Iterate(
        step=number, total=total, sigma=step.sigma,
        x=x, denoised=x.clone() if step.denoised is None else step.denoised, estimate=estimate,
        partition=step.partition, deviation=step.deviation,
        measured=measured / setup.A.scale, residual=relative_misfit(measured, setup.y),
        evaluations=calls, seconds=perf_counter() - began,
    )  # fmt: skip


def _raise_if_diverged(iterate: Iterate, best: float, lower: str) -> None:
    finite = math.isfinite(iterate.residual) and bool(torch.isfinite(iterate.estimate).all())
    if not finite or iterate.residual > _EXPLODED * max(best, _SMALL_RESIDUAL):
        what = f"{iterate.residual:.3g}" if finite else "NaN"
        raise DivergenceError(
            f"The solver diverged at step {iterate.step} of {iterate.total} (residual {what}); what "
            f"came before is still good, lower the {lower}."
        )
