"""A problem: an operator, what it measured, how noisy that is, and the truth where it is known."""

from dataclasses import dataclass

import torch
from torch import Tensor

from padis_gui.core.operators.base import LinearOperator


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """``measurement`` = operator(truth) + noise; ``noise`` is its standard deviation in the measurement's "
    "unit."""

    operator: LinearOperator
    measurement: Tensor
    noise: float = 0.0
    truth: Tensor | None = None

    @property
    def device(self) -> torch.device:
        """Where the problem lives."""
        return self.measurement.device


def simulate(operator: LinearOperator, truth: Tensor, noise_level: float, rng: torch.Generator) -> Problem:
    """Measure a known image (C, rows, columns) scaled to [0, 1].

    ``noise_level`` is the standard deviation of the added Gaussian noise relative to the root mean square of
    the clean measurement (0.01 = 1 %). ``rng`` is a CPU generator, so every device sees the same noise.
    """
    truth = truth.to(operator.device, operator.dtype)
    clean = operator(truth)
    noise = noise_level * float(clean.square().mean().sqrt())
    drawn = torch.randn(clean.shape, generator=rng).to(clean.device, clean.dtype)
    return Problem(operator=operator, measurement=clean + noise * drawn, noise=noise, truth=truth)
