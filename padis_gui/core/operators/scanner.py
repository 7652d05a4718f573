"""What scans of every geometry share: settings, products with the system matrix, filtered back projection.

Conventions. On the displayed image x points to the right and y upwards; the axis of rotation is its middle. At
angle 0 the rays run upwards and the detector's bins count from left to right. A view at angle theta has both
turned counter-clockwise by theta: the bins' axis is (cos theta, sin theta), the rays' direction
(-sin theta, cos theta). What turns is the scanner around the image; a sample that turns clockwise before a
fixed scanner is one whose scanner turns counter-clockwise.
"""

import math
from abc import abstractmethod
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict, ValidationInfo, field_validator
from torch import Tensor

from padis_gui.core.errors import SettingError
from padis_gui.core.operators.base import LinearOperator
from padis_gui.core.operators.fbp import FilterName, filtered, interpolated, ramp_response
from padis_gui.core.operators.settings import ScanSettings
from padis_gui.core.operators.system_matrix import Beam, Scan, system_matrix
from padis_gui.core.settings import NOT_GIVEN, setting

DEFAULT_BINS = 512
MAX_BINS = 16384
# [C]: an object 40 units wide on 256 pixels
DEFAULT_PIXEL_SIZE = 40 / 256


class ScannerSettings(ScanSettings):
    """Views, detector and unit of a scan; the convention of angles is this module's."""

    # the number of views is looked up even where it was not given
    model_config = ConfigDict(validate_default=True)

    angles: tuple[float, ...] = setting(
        (), label="Angles", symbol="θ", unit="°", advanced=True,
        help="The angle of each view, as the scanner wrote it down; empty is evenly spread over the arc",
    )  # fmt: skip
    views: int = setting(
        20, ge=1, le=2000, label="Views",
        help="Number of projections, evenly spread over the arc; that of the angles where these are listed",
        when={"angles": NOT_GIVEN},
    )  # fmt: skip
    arc: float = setting(
        180.0, gt=0, le=360, label="Arc", symbol="Θ", unit="°", advanced=True,
        help="Range of angles: a complete parallel-beam scan has 180, a complete fan-beam scan 360 (there the default); "
        "less is a limited-angle scan",
        when={"angles": NOT_GIVEN},
    )  # fmt: skip
    start: float = setting(
        0.0, ge=-360, le=360, label="Start", unit="°", advanced=True,
        help="Angle of the first view of an arc, or of 0 in a list of angles; it turns the reconstructed image",
    )  # fmt: skip
    turn: Literal["counter-clockwise", "clockwise"] = setting(
        "counter-clockwise", label="Turn", advanced=True,
        help="Which way the scanner goes round the image as the angles grow; the other way where the sample turns",
    )  # fmt: skip
    bins: int | None = setting(
        None, ge=16, le=MAX_BINS, label="Detector bins", unit="px", advanced=True,
        help="Number of detector bins; automatic is 512, or more where it takes more to see the whole image",
    )  # fmt: skip
    bin_width: float | None = setting(
        None, ge=1e-6, le=1e6, label="Bin width", advanced=True,
        help="From one detector bin to the next; automatic is one pixel in a parallel beam, and in a fan beam what "
        "makes the detector see the whole image",
    )  # fmt: skip
    centre: float = setting(
        0.0, ge=-MAX_BINS, le=MAX_BINS, label="Centre of rotation", unit="bins", advanced=True,
        help="Where the detector sees the axis of rotation, from its middle towards the last bin: axis at column c "
        "of n (the first is 0) means c - (n - 1)/2",
    )  # fmt: skip
    pixel_size: float = setting(
        DEFAULT_PIXEL_SIZE, ge=1e-6, le=1e6, label="Pixel size", unit="mm", advanced=True,
        help="Side of an image pixel, the unit of the line integrals: a reconstructed image is in 1/mm with it",
    )  # fmt: skip
    lengths: Literal["pixels", "mm"] = setting(
        "pixels", label="Lengths in", advanced=True,
        help="Unit of the bin width and of distances: pixels of the image, or the unit of the pixel size",
    )  # fmt: skip
    fbp_filter: FilterName = setting(
        "hann", label="FBP filter", advanced=True,
        help="Window on the ramp filter of the FBP baseline: ram-lak is sharp, hann is smooth",
    )  # fmt: skip

    @field_validator("views", mode="before")
    @classmethod
    def _as_many_as_angles(cls, given: object, info: ValidationInfo) -> object:
        return len(info.data.get("angles", ())) or given

    @property
    def radians(self) -> Tensor:
        """The angle of each view, counter-clockwise, (views,) in float64. The arc's end is left out."""
        if self.angles:
            listed = torch.deg2rad(torch.tensor(self.angles, dtype=torch.float64))
        else:
            listed = torch.arange(self.views, dtype=torch.float64) * (math.radians(self.arc) / self.views)
        return math.radians(self.start) + (listed if self.turn == "counter-clockwise" else -listed)

    def in_pixels(self, length: float | None) -> float | None:
        """A length of these settings in pixels; automatic stays so."""
        if length is None or self.lengths == "pixels":
            return length
        return length / self.pixel_size

    @property
    def geometry(self) -> dict[str, Any]:
        """Arguments of the operator, lengths in pixels."""
        return {
            "bins": self.bins,
            "bin_width": self.in_pixels(self.bin_width),
            "centre": self.centre,
            "pixel_size": self.pixel_size,
            "fbp_filter": self.fbp_filter,
        }

    @property
    def length_of_a_pixel(self) -> float:
        """One pixel in the unit of the line integrals."""
        return self.pixel_size


def checked_angles(angles: Tensor) -> Tensor:
    """The angles themselves, if they are a list (views,); raises :class:`SettingError` otherwise."""
    if angles.ndim != 1 or len(angles) < 1:
        raise SettingError(
            f"A list of at least one angle was wanted, but the shape {tuple(angles.shape)} came; raise the number "
            "of views."
        )
    return angles.double().cpu()


def radius(image_shape: tuple[int, int, int]) -> float:
    """Of the circle around the image, in pixels."""
    return 0.5 * math.hypot(*image_shape[1:])


def enough_bins(wanted: float) -> int:
    """An even number of bins, 512 at least; raises :class:`SettingError` beyond what a detector may have."""
    bins = math.ceil(wanted - 1e-6)  # a rounding error is not worth a bin
    bins = max(DEFAULT_BINS, bins + bins % 2)
    if bins > MAX_BINS:
        raise SettingError(
            f"At most {MAX_BINS} detector bins were wanted, but it takes {bins} to see the whole image; take wider "
            "bins, or state how many there are."
        )
    return bins


class Scanner(LinearOperator):
    """x (C, rows, columns) -> sinogram (C, views, bins), line integrals in units of ``pixel_size``.

    ``angles`` (views,) are in radians, float64; the geometry is that of ``scan``.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        angles: Tensor,
        scan: Scan,
        *,
        pixel_size: float,
        fbp_filter: FilterName,
        device: torch.device | None,
        dtype: torch.dtype,
    ) -> None:
        self._image_shape = image_shape
        self.angles = angles
        self.detector = scan.detector
        self.pixel_size = pixel_size
        self.fbp_filter: FilterName = fbp_filter
        self._scan = scan
        self._device = device or torch.device("cpu")
        self._dtype = dtype

    @cached_property
    def _matrices(self) -> tuple[Tensor, Tensor]:
        """The system matrix and its transpose, made for the first product: back projection needs neither."""
        return system_matrix(self._scan, self.pixel_size, self._dtype, self._device)

    @property
    def bins(self) -> int:
        """Number of detector bins."""
        return self.detector.bins

    @property
    def beam(self) -> Beam:
        """Parallel or fan."""
        return self._scan.beam

    @property
    def magnification(self) -> float:
        """How much larger the detector sees what lies at the axis of rotation."""
        return self._scan.magnification

    @property
    def vectors(self) -> NDArray[np.float64]:
        """Each view's source (in a parallel beam the rays' direction), middle of the detector, and step from bin to
        bin, (views, 6): x and y of each in pixels from the axis, y upwards."""
        return self._scan.vectors(self.detector)

    @property
    def image_shape(self) -> tuple[int, ...]:
        return self._image_shape

    @property
    def measurement_shape(self) -> tuple[int, ...]:
        return self._image_shape[0], len(self.angles), self.bins

    @property
    def device(self) -> torch.device:
        return self._device

    @property
    def dtype(self) -> torch.dtype:
        return self._dtype

    def _forward(self, x: Tensor) -> Tensor:
        return self._product(self._matrices[0], x).reshape(self.measurement_shape)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._product(self._matrices[1], y).reshape(self.image_shape)

    @staticmethod
    def _product(matrix: Tensor, x: Tensor) -> Tensor:
        return torch.stack([matrix @ channel for channel in x.reshape(x.shape[0], -1)])

    def pinv(self, y: Tensor) -> Tensor:
        """Filtered back projection with this operator's filter."""
        return self.fbp(y, self.fbp_filter)

    def fbp(self, y: Tensor, filter_name: FilterName) -> Tensor:
        """Filtered back projection of a sinogram (C, views, bins) -> (C, rows, columns).

        Each pixel takes its value from the filtered view by linear interpolation between bins; one view at a time,
        so that memory stays small.
        """
        response = ramp_response(self.bins, filter_name).to(y)
        weights = self._view_weights.to(y)
        rows, columns = self._image_shape[1:]
        right = (torch.arange(columns, device=y.device) - (columns - 1) / 2).to(y)[None]
        up = ((rows - 1) / 2 - torch.arange(rows, device=y.device)).to(y)[:, None]
        image = y.new_zeros(self._image_shape)
        for view, angle in enumerate(self.angles.tolist()):
            cos, sin = math.cos(angle), math.sin(angle)
            position, share = self._seen(right * cos + up * sin, up * cos - right * sin)
            at = position / self.detector.width + self.detector.axis
            image += share * interpolated(filtered(y[:, view] * weights[view], response), at)
        return image / (self.detector.width / self._scan.magnification * self.pixel_size)

    @property
    @abstractmethod
    def _view_weights(self) -> Tensor:
        """Factors of a sinogram's views (views, bins or 1) before the filter, in float64."""

    @abstractmethod
    def _seen(self, across: Tensor, along: Tensor) -> tuple[Tensor, Tensor | float]:
        """Where on the detector pixels are seen, and with which weight they take what is there.

        ``across`` the rays and ``along`` them are the pixels' coordinates from the axis, in pixels; so is the
        place on the detector from where it sees the axis.
        """
