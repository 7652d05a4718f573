"""Parallel-beam CT, with the conventions of :mod:`padis_gui.core.operators.scanner`.

The kernel is ASTRA's "linear": the line integral by linear interpolation between pixels.
"""

import math
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from padis_gui.core.operators.fbp import FilterName, view_weights
from padis_gui.core.operators.scanner import (
    DEFAULT_PIXEL_SIZE,
    Scanner,
    ScannerSettings,
    checked_angles,
    enough_bins,
    radius,
)
from padis_gui.core.operators.system_matrix import Detector, Scan


class ParallelBeamSettings(ScannerSettings):
    """The geometry of a parallel-beam scan."""


class ParallelBeamCT(Scanner):
    """Line integrals along parallel rays, (C, rows, columns) -> (C, views, bins)."""

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        angles: Tensor,
        *,
        bins: int | None = None,
        bin_width: float | None = None,
        centre: float = 0.0,
        pixel_size: float = DEFAULT_PIXEL_SIZE,
        fbp_filter: FilterName = "hann",
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """``angles`` (views,) in radians, ``bin_width`` in pixels (None: 1), ``centre`` in bins."""
        angles = checked_angles(angles)
        width = 1.0 if bin_width is None else bin_width
        half = radius(image_shape)
        if bins is None:
            bins = enough_bins(2 * half / width + 2 * abs(centre))
        scan = Scan(
            beam="parallel",
            shape=(image_shape[1], image_shape[2]),
            views=len(angles),
            detector=Detector(bins, width, centre),
            magnification=1.0,
            half=half,
            vectors=lambda detector: _vectors(angles, detector),
        )
        super().__init__(
            image_shape, angles, scan,
            pixel_size=pixel_size, fbp_filter=fbp_filter, device=device, dtype=dtype,
        )  # fmt: skip

    @classmethod
    def of(
        cls, image_shape: tuple[int, int, int], settings: ParallelBeamSettings, device: torch.device
    ) -> "ParallelBeamCT":
        """The scan that the settings describe; [0, π) by default, as in [P]."""
        return cls(image_shape, settings.radians, **settings.geometry, device=device)

    @cached_property
    def _view_weights(self) -> Tensor:
        return view_weights(self.angles, math.pi)[:, None]

    def _seen(self, across: Tensor, along: Tensor) -> tuple[Tensor, Tensor | float]:
        return across, 1.0


def _vectors(angles: Tensor, detector: Detector) -> NDArray[np.float64]:
    """ASTRA's parallel_vec lines: a ray's direction, the detector's middle, the step from bin to bin."""
    cos, sin = torch.cos(angles), torch.sin(angles)
    aside = float(detector.positions().mean())
    return torch.stack(
        [-sin, cos, aside * cos, aside * sin, detector.width * cos, detector.width * sin], dim=1
    ).numpy()
