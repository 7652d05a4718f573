"""Low-rank factors on a network's convolutions: what an adaptation changes of a prior, and nothing else.

After LoRA (arXiv 2106.09685), as test-time adaptation of diffusion priors takes it (arXiv 2308.14409): a convolution's
weight W, seen as the matrix (out, in x height x width), becomes W + U V with U (out, r) and V (r, in x height x width).
U begins at zero, so that the network begins as the prior itself.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any, cast

from padis_gui.core import Tensor, torch
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.settings.errors import SettingError


@cache
def _low_rank() -> Any:  # made for the first prior, as its base is torch's
    class LowRank(torch.nn.Module):
        """W -> W + U V, laid out in memory as W is."""

        def __init__(self, weight: Tensor, rank: int, rng: torch.Generator) -> None:
            super().__init__()
            out, entering = weight.shape[0], weight[0].numel()
            rank = min(rank, out, entering)
            down = torch.randn(rank, entering, generator=rng) / entering**0.5
            self.up = torch.nn.Parameter(weight.new_zeros(out, rank))
            self.down = torch.nn.Parameter(down.to(weight.device, weight.dtype))

        def forward(self, weight: Tensor) -> Tensor:
            with torch.autocast(weight.device.type, enabled=False):
                return weight + (self.up @ self.down).view(weight.shape)

    return LowRank


class Factors:
    """A prior with factors of that rank on its convolutions; the prior that it was made of stays as it is.

    ``rng`` is a CPU generator, which draws V, so that every device begins alike. ``prior`` is the one with the factors on,
    of which only these have gradients. Raises :class:`SettingError` for a network without convolutions.
    """

    def __init__(self, prior: PatchPrior, rank: int, rng: torch.Generator) -> None:
        self._origin = prior.network
        network = copy.deepcopy(prior.network).requires_grad_(False)
        convolutions = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
        if not convolutions:
            raise SettingError(
                "A prior with convolutions was wanted to adapt, but this one has none; run without adapting it."
            )
        for convolution in convolutions:
            torch.nn.utils.parametrize.register_parametrization(
                convolution, "weight", _low_rank()(convolution.weight, rank, rng), unsafe=True
            )
        self.prior = replace(prior, network=network)
        self._factors = [module for module in network.modules() if isinstance(module, _low_rank())]

    def __iter__(self) -> Iterator[torch.nn.Parameter]:
        return (parameter for factors in self._factors for parameter in factors.parameters())

    def state(self) -> tuple[Tensor, ...]:
        """A copy of the factors as they are."""
        return tuple(parameter.detach().clone() for parameter in self)

    @torch.no_grad()
    def restore(self, state: tuple[Tensor, ...]) -> None:
        """Make the factors what they were."""
        for parameter, kept in zip(self, state, strict=True):
            parameter.copy_(kept)

    @torch.no_grad()
    def merged(self) -> PatchPrior:
        """The prior with the factors in its weights: an ordinary one, to the last bit the one with factors."""
        network = copy.deepcopy(self._origin)
        adapted = dict(self.prior.network.named_modules())
        for name, module in network.named_modules():
            if isinstance(module, torch.nn.Conv2d):
                module.weight.copy_(cast(torch.nn.Conv2d, adapted[name]).weight)
        return replace(self.prior, network=network.requires_grad_(False).eval())
