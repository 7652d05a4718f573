"""Fan-beam CT with a flat detector, with the conventions of :mod:`padis_gui.core.operators.scanner`.

The kernel is ASTRA's "line_fanflat": the length of a ray inside each pixel. At angle 0 the source is below the
image and the detector above it.
"""

import math
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from padis_gui.core.errors import SettingError
from padis_gui.core.operators.fbp import FilterName, redundancy_weights, view_weights
from padis_gui.core.operators.scanner import (
    DEFAULT_PIXEL_SIZE,
    Scanner,
    ScannerSettings,
    checked_angles,
    enough_bins,
    radius,
)
from padis_gui.core.operators.system_matrix import Detector, Scan
from padis_gui.core.settings import NOT_GIVEN, setting


class FanBeamSettings(ScannerSettings):
    """The geometry of a fan-beam scan. [C] has 40 and 40 for an image 40 wide, and an arc of 180 degrees."""

    arc: float = setting(
        360.0, gt=0, le=360, label="Arc", symbol="Θ", unit="°", advanced=True,
        help="Range of angles: 360 is a complete scan, 180 and the fan's opening a short scan, less is a "
        "limited-angle scan",
        when={"angles": NOT_GIVEN},
    )  # fmt: skip
    source_distance: float | None = setting(
        None, ge=1e-6, le=1e9, label="Source distance", advanced=True,
        help="From the source to the axis of rotation; automatic is the image's longer side",
    )  # fmt: skip
    detector_distance: float | None = setting(
        None, ge=0, le=1e9, label="Detector distance", advanced=True,
        help="From the axis of rotation to the detector; automatic is the image's longer side",
    )  # fmt: skip

    @property
    def geometry(self) -> dict[str, Any]:
        """Arguments of :class:`FanBeamCT`, lengths in pixels."""
        return super().geometry | {
            "source_distance": self.in_pixels(self.source_distance),
            "detector_distance": self.in_pixels(self.detector_distance),
        }


class FanBeamCT(Scanner):
    """Line integrals along rays from a point to a flat detector, (C, rows, columns) -> (C, views, bins)."""

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        angles: Tensor,
        *,
        source_distance: float | None = None,
        detector_distance: float | None = None,
        bins: int | None = None,
        bin_width: float | None = None,
        centre: float = 0.0,
        pixel_size: float = DEFAULT_PIXEL_SIZE,
        fbp_filter: FilterName = "hann",
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """``angles`` (views,) in radians; distances from the axis of rotation and ``bin_width`` in pixels.

        ``centre`` is in bins. Raises :class:`SettingError` for a source inside the circle around the image.
        """
        angles = checked_angles(angles)
        longer = float(max(image_shape[1:]))
        self._source = longer if source_distance is None else source_distance
        self._to_detector = self._source + (longer if detector_distance is None else detector_distance)
        circle = radius(image_shape)
        if self._source <= circle:
            raise SettingError(
                f"A source farther from the axis of rotation than the image's corners ({circle:.1f} px) was wanted, "
                f"but its distance is {self._source:.4g} px; raise it, or mind its unit."
            )
        magnification = self._to_detector / self._source
        half = self._to_detector * circle / math.sqrt(self._source**2 - circle**2)
        scan = Scan(
            beam="fan",
            shape=(image_shape[1], image_shape[2]),
            views=len(angles),
            detector=_detector(bins, bin_width, centre, half, magnification),
            magnification=magnification,
            half=half,
            vectors=lambda detector: self._vectors(angles, detector),
        )
        super().__init__(
            image_shape, angles, scan,
            pixel_size=pixel_size, fbp_filter=fbp_filter, device=device, dtype=dtype,
        )  # fmt: skip

    @classmethod
    def of(
        cls, image_shape: tuple[int, int, int], settings: FanBeamSettings, device: torch.device
    ) -> "FanBeamCT":
        """The scan that the settings describe."""
        return cls(image_shape, settings.radians, **settings.geometry, device=device)

    def _vectors(self, angles: Tensor, detector: Detector) -> NDArray[np.float64]:
        """ASTRA's fanflat_vec lines: the source, the detector's middle, the step from bin to bin."""
        cos, sin = torch.cos(angles), torch.sin(angles)
        aside = float(detector.positions().mean())
        behind = self._to_detector - self._source
        return torch.stack(
            [
                self._source * sin,
                -self._source * cos,
                aside * cos - behind * sin,
                aside * sin + behind * cos,
                detector.width * cos,
                detector.width * sin,
            ],
            dim=1,
        ).numpy()

    @cached_property
    def _view_weights(self) -> Tensor:
        """Cosine of the fan angle, the view's share of the turn, and the rays' redundancy."""
        fan_angles = torch.atan(self.detector.positions() / self._to_detector)
        turn = view_weights(self.angles, 2 * math.pi)[:, None]
        return turn * torch.cos(fan_angles) * redundancy_weights(self.angles, fan_angles)

    def _seen(self, across: Tensor, along: Tensor) -> tuple[Tensor, Tensor | float]:
        """By a ray from the source; weighted as in Kak and Slaney, chapter 3, equation 101."""
        nearer = self._source / (self._source + along)
        return across * nearer * self._scan.magnification, nearer.square()


def _detector(
    bins: int | None, width: float | None, centre: float, half: float, magnification: float
) -> Detector:
    """Where the bins or their width are not stated: what sees ``half`` px to both sides of the axis.

    Bins as many as 1 px wide ones on the axis, or 512.
    """
    if width is not None:
        return Detector(bins or enough_bins(2 * half / width + 2 * abs(centre)), width, centre)
    bins = bins or enough_bins(2 * half / magnification + 2 * abs(centre))
    reach = bins / 2 - abs(centre)
    if reach <= 0:
        raise SettingError(
            f"A detector that sees the axis of rotation was wanted, but its centre is {centre:g} of {bins} bins "
            "aside; bring it nearer to 0, or state the bin width."
        )
    return Detector(bins, half / reach, centre)
