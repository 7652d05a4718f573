"""Noise levels: decreasing, ending in zero."""

from typing import Literal

import torch
from torch import Tensor

from padis_gui.core.settings.errors import SettingError

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
