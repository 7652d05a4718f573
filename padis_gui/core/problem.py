"""A problem: an operator, what it measured, how noisy that is, and the truth where it is known."""

from dataclasses import dataclass

import torch
from torch import Tensor

from padis_gui.core.operators.base import LinearOperator
from padis_gui.core.operators.settings import PhysicsSettings


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


def simulate(
    operator: LinearOperator, truth: Tensor, settings: PhysicsSettings, rng: torch.Generator
) -> Problem:
    """Measure a known image (C, rows, columns) scaled to [0, 1], with the noise that ``settings`` describe.

    ``rng`` is a CPU generator, so every device sees the same noise.
    """
    truth = truth.to(operator.device, operator.dtype)
    measurement, noise = settings.noisy(operator(truth), rng)
    return Problem(operator=operator, measurement=measurement, noise=noise, truth=truth)
