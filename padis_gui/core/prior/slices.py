"""Neighbouring slices of a volume as a prior across slices sees them: which ones, how far apart, and where the volume ends.

After arXiv 2406.10211: a prior over D neighbouring slices has them as channels of one image, and is told their distance.
A volume's ends are continued by reflection without its last slice twice (c b | a b c …), so that every group has slices
at its distance.
"""

import math

import torch
from torch import Tensor

MOST_SLICES = 9
SMALLEST_SPACING, LARGEST_SPACING = 0.01, 100.0  # mm


def neighbours(middle: int, slices: int, count: int, step: int = 1) -> tuple[int, ...]:
    """The ``slices`` (odd) indices of a volume of ``count`` slices around ``middle``, each ``step`` from the next.

    Those beyond an end are reflected at it. A volume of one slice is its own neighbour.
    """
    reach = slices // 2
    return tuple(reflected(middle + step * n, count) for n in range(-reach, slices - reach))


def reflected(index: int, count: int) -> int:
    """The index within 0 to count - 1 that reflection at the first and the last slice brings ``index`` to."""
    if count == 1:
        return 0
    period = 2 * (count - 1)
    index %= period
    return index if index < count else period - index


def log_spacing(spacing: Tensor) -> Tensor:
    """What the network is told of distances in mm, of any shape: a quarter of their logarithm, as c_noise is of sigma."""
    return spacing.log() / 4


def spacing_condition(spacing: float, count: int, like: Tensor) -> Tensor:
    """One distance in mm for ``count`` patches: (count,), as :func:`log_spacing`, with the type and device of ``like``."""
    return torch.full((count,), math.log(spacing) / 4, dtype=like.dtype, device=like.device)
