"""Whether a prior knows what was measured: told by rays that no reconstruction has used.

A seeded share of the measurement is kept aside, of scans whole views. From the rest *Fast* reconstructs with the prior, and
total variation without one. A prior that knows such images foretells what was kept aside better than total variation does,
which knows only that edges are few. Nothing else is asked: neither a truth, nor the images that the prior was trained on.

Noise keeps both from explaining everything: the noisier the measurement, the more alike they look, and the less is said. It
is not taken off, since what is known of a real scan's noise is too rough for a difference of squares.

Kept-aside measurements are how self-supervised methods validate (Batson and Royer, arXiv 1901.11365); as the judge of an
adaptation see :mod:`padis_gui.core.solvers.adaptation`. How well it tells is measured in docs/priors.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from padis_gui.core import Tensor, torch
from padis_gui.core.physics.problem import Problem
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.tiling import TilingSettings, tiling_for
from padis_gui.core.settings.declarations import branch
from padis_gui.core.settings.watch import SILENT, Watch
from padis_gui.core.solvers.adaptation import fast_reconstruction, misfit_of, parted, used_entries
from padis_gui.core.solvers.classical.tv import TVSettings, tv
from padis_gui.core.solvers.driver import drive
from padis_gui.core.solvers.iterate import Iterate, drain

_SHARE_ASIDE = 0.1
# Where both explain what was kept aside equally well, up to this factor, nothing is said for either
_ALIKE = 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorFit:
    """How well what was kept aside is explained: ||A x - y|| / ||y|| over it, with the ``prior`` and without one."""

    prior: float
    total_variation: float

    @property
    def ratio(self) -> float:
        """The prior's misfit over total variation's: below 1 the prior knows more."""
        return self.prior / max(self.total_variation, 1e-12)

    @property
    def is_better(self) -> bool:
        """Whether the prior explains more than total variation does."""
        return self.ratio <= 1 / _ALIKE

    @property
    def in_words(self) -> str:
        """One sentence, with what to do where the prior is of little use."""
        numbers = f"({self.prior:.4f} against {self.total_variation:.4f} of what was kept aside)"
        if self.ratio > _ALIKE:
            return (
                f"This prior explains your measurement worse than total variation does {numbers}: adapt it, take another, "
                "or train one."
            )
        if not self.is_better:
            return (
                f"This prior explains your measurement about as well as total variation does {numbers}: adapting "
                "it, or another, may give more."
            )
        return f"This prior explains your measurement better than total variation does {numbers}."


def prior_fit(problem: Problem, prior: PatchPrior, rng: torch.Generator, watch: Watch = SILENT) -> PriorFit:
    """Ask a prior what it knows of a problem; about the time of a run with *Fast* and one with total variation.

    ``rng`` is a CPU generator that everything random comes from. Raises
    :class:`~padis_gui.core.settings.errors.SettingError` where nothing can be kept aside, and
    :class:`~padis_gui.core.settings.errors.DivergenceError`.
    """
    asking = replace(problem, operator=problem.operator.interrupted_by(watch.check))
    used = used_entries(problem.operator, _SHARE_ASIDE, branch(rng))
    seen, aside = parted(asking, used)
    watch.tell(0.0, "total variation")
    smooth = _total_variation(seen, prior, branch(rng), watch.part(0, 0.4))
    watch.tell(0.4, "Fast")
    learnt = fast_reconstruction(seen, prior.interrupted_by(watch.check), branch(rng))
    watch.tell(1.0)
    return PriorFit(
        prior=misfit_of(aside, learnt),
        total_variation=misfit_of(aside, smooth),
    )


def _total_variation(problem: Problem, prior: PatchPrior, rng: torch.Generator, watch: Watch) -> Tensor:
    """With the weight that explains the data up to their noise, (C, rows, columns)."""
    rows, columns = problem.operator.image_shape[1:]
    unasked = tiling_for(TilingSettings(), (rows, columns), prior, [0.0])
    iterates = drive(tv, problem, prior, unasked, TVSettings(), rng, lower="TV weight")

    def told() -> Iterator[Iterate]:
        for iterate in iterates:
            watch.tell(iterate.step / iterate.total)
            yield iterate

    return drain(told()).estimate
