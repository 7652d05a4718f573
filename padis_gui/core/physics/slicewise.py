"""The slices of a volume under one operator: they share its projector, and each has a data step of its own.

Operators act on each channel alike, so that a volume is an image whose channels are slices. What looks at a whole image,
a data step by conjugate gradients, is made slice by slice: each then ends where it would by itself, to the bit.
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

import numpy as np

from padis_gui.core import Tensor, torch
from padis_gui.core.physics.operator import LinearOperator
from padis_gui.core.physics.problem import Problem, simulate
from padis_gui.core.physics.settings import PhysicsSettings
from padis_gui.core.settings.declarations import MAX_SEED
from padis_gui.core.settings.watch import SILENT, Watch


def slice_seed(seed: int, page: int) -> int:
    """The seed of the simulated noise of a page's slice: another one in each slice, as in a scanner."""
    return int(np.random.SeedSequence([seed, page]).generate_state(1)[0]) % (MAX_SEED + 1)


class Slicewise(LinearOperator):
    """An operator of single images (1, rows, columns) on each slice of a volume (Z, rows, columns)."""

    apart = True

    def __init__(self, of: LinearOperator, depth: int) -> None:
        super().__init__((depth, *of.image_shape[1:]), device=of.device, dtype=of.dtype)
        self.one, self.together = of, of.together

    @property
    def measurement_shape(self) -> tuple[int, ...]:
        """That of one slice, one after the other."""
        return (self.image_shape[0], *self.one.measurement_shape[1:])

    def __getattr__(self, name: str) -> Any:
        """What else is asked of it is the one operator's: its geometry, its angles."""
        if name.startswith("_") or "one" not in vars(self):
            raise AttributeError(name)
        return getattr(self.one, name)

    def _each(self, work: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
        return torch.cat([work(values[z : z + 1]) for z in range(len(values))])

    def _forward(self, x: Tensor) -> Tensor:
        return self._each(self.one._forward, x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._each(self.one._adjoint, y)

    def pinv(self, y: Tensor, watch: Watch = SILENT) -> Tensor:
        depth = len(y)
        return torch.cat(
            [self.one.pinv(y[z : z + 1], watch.part(z / depth, (z + 1) / depth)) for z in range(depth)]
        )

    def prox(self, y: Tensor, v: Tensor, rho: float, iterations: int) -> Tensor:
        each = [self.one.prox(y[z : z + 1], v[z : z + 1], rho, iterations) for z in range(len(v))]
        return torch.cat(each)

    def least_squares(self, y: Tensor, x: Tensor, iterations: int) -> Tensor:
        each = [self.one.least_squares(y[z : z + 1], x[z : z + 1], iterations) for z in range(len(x))]
        return torch.cat(each)

    def observed(self, y: Tensor) -> Tensor:
        return self._each(self.one.observed, y)

    def _norm(self, watch: Watch) -> float:
        if "norm" not in vars(self.one):
            self.one.norm = self.one._norm(watch)
        return self.one.norm

    @property
    def powers(self) -> int:
        return self.one.powers

    def interrupted_by(self, check: Callable[[], None]) -> Self:
        same = copy.copy(self)
        same.one = self.one.interrupted_by(check)
        return same

    def measured(self, x: Tensor, watch: Watch) -> Tensor:
        self._check_shape(x)
        return self._each(lambda one: self.one.measured(one, watch), x)

    def transposed(self, y: Tensor, watch: Watch) -> Tensor:
        self.T._check_shape(y)
        return self._each(lambda one: self.one.transposed(one, watch), y)

    def get_ready(self, watch: Watch = SILENT, *, norm: bool = True) -> None:
        self.one.get_ready(watch, norm=norm)


def simulate_slices(
    operator: Slicewise,
    truth: Tensor,
    settings: PhysicsSettings,
    seed: int,
    pages: tuple[int, ...],
    watch: Watch = SILENT,
) -> Problem:
    """Measure a volume (Z, rows, columns) on [0, 1], each slice with noise of its own, which :func:`slice_seed` draws.

    The problem's noise is the root mean square of that of the slices, which differs where it is relative to them.
    """
    depth, found = len(pages), []
    for z, page in enumerate(pages):
        rng = torch.Generator().manual_seed(slice_seed(seed, page))
        part = watch.part(z / depth, (z + 1) / depth)
        found.append(simulate(operator.one, truth[z : z + 1], settings, rng, part))
    levels = [one.noise for one in found]
    noise = levels[0] if len(set(levels)) == 1 else float(np.sqrt(np.mean(np.square(levels))))
    truths = [one.truth for one in found if one.truth is not None]
    return replace(
        found[0], operator=operator, measurement=torch.cat([one.measurement for one in found]), noise=noise,
        truth=torch.cat(truths),
    )  # fmt: skip
