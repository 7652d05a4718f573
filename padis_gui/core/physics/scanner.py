"""CT: what scans of every geometry share (settings, products with the system matrix, FBP), parallel beams, fan beams.

Cone beams have a file of their own, :mod:`padis_gui.core.physics.cone`.

The conventions of angles, bins and lengths are those of :mod:`padis_gui.core.physics.geometry`. The kernels are ASTRA's:
"linear" for parallel beams, the line integral by linear interpolation between pixels, and "line_fanflat" for fan beams
with a flat detector, the length of a ray inside each pixel.
"""

from __future__ import annotations

import copy
import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import ConfigDict, ValidationInfo, field_validator

from padis_gui.core import Tensor, torch
from padis_gui.core.images.image import Image
from padis_gui.core.physics.filtered_backprojection import (
    FilterName,
    bins_beside,
    completed,
    displaced_weights,
    filtered,
    interpolated,
    ramp_response,
    redundancy_weights,
    unseen_weights,
    view_weights,
)
from padis_gui.core.physics.geometry import Beam, Geometry, Shape, Turn
from padis_gui.core.physics.operator import POWERS, POWERS_MATRIX_FREE, LinearOperator
from padis_gui.core.physics.projector import (
    BYTES_AN_ENTRY,
    MatrixFree,
    expected_entries,
    rows_of,
    system_matrix,
)
from padis_gui.core.physics.settings import ScanSettings
from padis_gui.core.settings.declarations import NOT_GIVEN, setting
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.settings.watch import SILENT, Watch

DEFAULT_BINS = 512
MAX_BINS = 16384
# [C]: an object 40 units wide on 256 pixels
DEFAULT_PIXEL_SIZE = 40 / 256
# A product with so many entries takes a CPU 0.2 s: one with more is made of several, of whole views or rows of pixels
_PRODUCT_AT_ONCE = 2**27
# Bytes of a matrix and its transpose up to which they are stored where nothing else is said. It is a fixed number, not a
# share of the free memory, so that a recipe gives the same bits on every machine.
_STORED_AT_MOST = 4 * 2**30
# Pixels that a view is back projected to at a time, whose values stay in the cache of a CPU
_PIXELS_AT_ONCE = 2**18
_VIEWS_WEIGHTED = 64


class ScannerSettings(ScanSettings):
    """Views, detector and unit of a scan."""

    beam: ClassVar[Beam]

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
    turn: Turn = setting(
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
        DEFAULT_PIXEL_SIZE, ge=1e-6, le=1e6, label="Length of a pixel", advanced=True,
        help="Side of an image pixel in the unit of the line integrals, which is mm where lengths are in mm. The default "
        "is a convention (40 units on 256 pixels), not the size of the image, which belongs to the data",
    )  # fmt: skip
    lengths: Literal["pixels", "mm"] = setting(
        "pixels", label="Lengths in", advanced=True,
        help="Unit of the bin width and of distances: pixels of the image, or mm, of which a pixel has the length above",
    )  # fmt: skip
    fbp_filter: FilterName = setting(
        "hann", label="FBP filter", advanced=True,
        help="Window on the ramp filter of the FBP baseline: ram-lak is sharp, hann is smooth",
    )  # fmt: skip

    @field_validator("views", mode="before")
    @classmethod
    def _as_many_as_angles(cls, given: object, info: ValidationInfo) -> object:
        return len(info.data.get("angles", ())) or given

    def geometry(self, shape: Shape) -> Geometry:
        """The scan of images of ``shape`` (rows, columns): lengths in pixels, and what is automatic made explicit.

        Raises :class:`SettingError` for a scan that does not see the image.
        """
        source, behind = self._distances(shape)
        angles = np.array(self.angles or np.arange(self.views) * (self.arc / self.views), dtype=np.float64)
        found = Geometry(
            beam=self.beam, angles=angles, arc=None if self.angles else self.arc, turn=self.turn, start=self.start,
            centre=self.centre, bins=self.bins or 0, source_distance=source, detector_distance=behind, unit="pixels",
        )  # fmt: skip
        bins, width = self._detector(found, found.reach(shape))
        found = replace(found, bins=bins, bin_width=width)
        found.check_sees(shape)
        return found

    @property
    def seconds_a_pixel(self) -> float:
        """Each view is projected back."""
        return 1e-8 * self.views

    def _distances(self, shape: Shape) -> tuple[float, float]:
        """Of source and detector from the axis of rotation, in pixels."""
        return math.inf, 0.0

    def _detector(self, geometry: Geometry, reach: float) -> tuple[int, float]:
        """Number of bins and their width in pixels; what is automatic sees ``reach`` pixels to both sides of the axis.

        Bins are then as many as 1 px wide ones on the axis, or 512.
        """
        aside, width = abs(self.centre), self._in_pixels(self.bin_width)
        bins = self.bins or self._wanted_bins(2 * reach / (width or geometry.magnification) + 2 * aside)
        if width is not None:
            return bins, width
        if self.beam == "parallel":
            return bins, 1.0
        if bins / 2 <= aside:
            raise SettingError(
                f"A detector that sees the axis of rotation was wanted, but its centre is {self.centre:g} of {bins} bins "
                "aside; bring it nearer to 0, or state the bin width."
            )
        return bins, reach / (bins / 2 - aside)

    def _wanted_bins(self, bins: float) -> int:
        """How many bins are taken where so many see the whole image."""
        return _enough_bins(bins)

    def _in_pixels(self, length: float | None) -> float | None:
        """A length of these settings in pixels; automatic stays so."""
        if length is None or self.lengths == "pixels":
            return length
        return length / self.pixel_size

    @property
    def length_of_a_pixel(self) -> float:
        """One pixel in the unit of the line integrals."""
        return self.pixel_size

    def known_pixel(self, spacing: tuple[float, float] | None) -> float | None:
        """Side of an image pixel in mm where somebody has stated it; ``spacing`` (rows, columns) is what the image says.

        That of these settings only where lengths are in mm: otherwise it is a convention, or 1.
        """
        if self.lengths == "mm":
            return self.pixel_size
        square = spacing is not None and math.isclose(*spacing, rel_tol=1e-3)
        return spacing[1] if spacing is not None and square else None


class DivergingSettings(ScannerSettings):
    """What scans have whose rays come from a point."""

    # of source and detector, in longer sides of the image
    automatic_distances: ClassVar[tuple[int, int]] = (1, 1)

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

    def _distances(self, shape: Shape) -> tuple[float, float]:
        longer = float(max(shape))
        stated = (self._in_pixels(d) for d in (self.source_distance, self.detector_distance))
        source, behind = (
            sides * longer if length is None else length
            for length, sides in zip(stated, self.automatic_distances, strict=True)
        )
        return source, behind


class SliceSettings(ScannerSettings):
    """What scans have whose rays stay in a slice: their system matrix is small enough to be stored."""

    system_matrix: Literal["auto", "stored", "matrix-free"] = setting(
        "auto", label="System matrix", advanced=True, before="auto",
        help="Stored, products are fast, and the matrix and its transpose take memory; matrix-free, each product computes "
        "the entries anew, which is slower and takes none; automatic stores up to 4 GiB",
    )  # fmt: skip

    def entries(self, shape: Shape) -> int:
        """About how many entries the system matrix has at most."""
        return expected_entries(self.geometry(shape), shape)

    def stored_entries(self, shape: Shape) -> int:
        """How many of them are kept in memory: all, or none where products are matrix-free."""
        entries = self.entries(shape)
        if self.system_matrix == "auto":
            return entries if entries * BYTES_AN_ENTRY <= _STORED_AT_MOST else 0
        return entries if self.system_matrix == "stored" else 0


def settings_of(geometry: Geometry, pixel: float) -> dict[str, Any]:
    """A scan as plain values of the settings of its beam, for an image whose pixels are ``pixel`` wide.

    Without lengths in mm they are in pixels, and so is the unit of the line integrals.
    """
    in_mm = geometry.unit == "mm"
    if not in_mm:
        geometry = geometry.with_lengths("pixels", lambda length: length * (1 / pixel))
    found: dict[str, Any] = {
        "angles": tuple(geometry.angles.tolist()),
        "views": geometry.views,
        "start": math.fmod(geometry.start, 360.0),
        "turn": geometry.turn,
        "bins": geometry.bins,
        "bin_width": geometry.bin_width,
        "centre": geometry.centre or 0.0,
        "pixel_size": pixel if in_mm else 1.0,
        "lengths": "mm" if in_mm else "pixels",
    }
    if geometry.beam != "parallel":
        found |= {
            "source_distance": geometry.source_distance,
            "detector_distance": geometry.detector_distance,
        }
    if geometry.beam == "cone":
        found |= {
            "detector_rows": geometry.rows,
            "row_height": geometry.row_height,
            "centre_row": geometry.centre_row or 0.0,
            "detector_tilt": geometry.tilt,
            "axis_offset": geometry.axis_offset,
        }
    return found


def _enough_bins(wanted: float) -> int:
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

    Lengths of the ``geometry`` are in pixels. ``angles`` (views,) are in radians, counter-clockwise, float64. Where the
    system matrix is not ``stored``, products are in single precision, on the CPU.
    """

    together = (0, 2)

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        geometry: Geometry,
        *,
        pixel_size: float = DEFAULT_PIXEL_SIZE,
        fbp_filter: FilterName = "hann",
        stored: bool = True,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(image_shape, device=device, dtype=dtype)
        self.stored = stored
        self._between = SILENT  # asked between parts of a matrix-free product
        self.geometry = geometry
        self.angles = geometry.radians
        self.pixel_size = pixel_size
        self.fbp_filter: FilterName = fbp_filter

    @classmethod
    def of(
        cls,
        image_shape: tuple[int, int, int],
        settings: Any,
        device: torch.device,
        picture: Image | None = None,
        watch: Watch = SILENT,
        *,
        dtype: torch.dtype | None = None,
    ) -> Self:
        return cls(
            image_shape, settings.geometry(image_shape[1:]),
            pixel_size=settings.pixel_size, fbp_filter=settings.fbp_filter,
            stored=bool(settings.stored_entries(image_shape[1:])), device=device, dtype=dtype,
        )  # fmt: skip

    @cached_property
    def _matrices(self) -> tuple[Tensor, Tensor]:
        """The system matrix and its transpose, made for the first product: back projection needs neither."""
        return self._make_matrices(SILENT)

    def _make_matrices(self, watch: Watch) -> tuple[Tensor, Tensor]:
        _, rows, columns = self.image_shape
        return system_matrix(self.geometry, (rows, columns), self.pixel_size, self.dtype, self.device, watch)

    @cached_property
    def _matrix_free(self) -> MatrixFree:
        _, rows, columns = self.image_shape
        return MatrixFree(self.geometry, (rows, columns), self.pixel_size)

    @property
    def measurement_shape(self) -> tuple[int, ...]:
        return self.image_shape[0], self.geometry.views, self.geometry.bins

    @property
    def powers(self) -> int:
        """Fewer where each takes long: eight come within a millionth of what thirty give."""
        return POWERS if self.stored else POWERS_MATRIX_FREE

    def _forward(self, x: Tensor) -> Tensor:
        if not self.stored:
            return self.measured(x, self._between)
        return self._in_parts(self._matrices[0], self.geometry.bins, x).reshape(self.measurement_shape)

    def _adjoint(self, y: Tensor) -> Tensor:
        if not self.stored:
            return self.transposed(y, self._between)
        return self._in_parts(self._matrices[1], self.image_shape[2], y).reshape(self.image_shape)

    @staticmethod
    def _product(matrix: Tensor, x: Tensor) -> Tensor:
        return torch.stack([matrix @ channel for channel in x.reshape(x.shape[0], -1)])

    def interrupted_by(self, check: Callable[[], None]) -> Self:
        """As any operator; a product that takes long asks within it, too."""
        if self.stored:
            return super().interrupted_by(check)
        same = copy.copy(self)
        same._between = Watch(check)
        return same

    def get_ready(self, watch: Watch = SILENT, *, norm: bool = True) -> None:
        if self.stored and "_matrices" not in self.__dict__:
            share = 0.5 if norm else 1
            self._matrices = self._make_matrices(watch.part(0, share))
            watch = watch.part(share, 1)
        super().get_ready(watch, norm=norm)

    def measured(self, x: Tensor, watch: Watch) -> Tensor:
        self._check_shape(x)
        if not self.stored:
            return torch.stack([self._matrix_free.forward(channel, watch) for channel in x])
        self.get_ready(watch, norm=False)
        return self._in_parts(self._matrices[0], self.geometry.bins, x, watch).reshape(self.measurement_shape)

    def transposed(self, y: Tensor, watch: Watch) -> Tensor:
        self.T._check_shape(y)
        if not self.stored:
            return torch.stack([self._matrix_free.adjoint(channel, watch) for channel in y])
        self.get_ready(watch, norm=False)
        return self._in_parts(self._matrices[1], self.image_shape[2], y, watch).reshape(self.image_shape)

    def _in_parts(self, matrix: Tensor, together: int, x: Tensor, watch: Watch = SILENT) -> Tensor:
        """The product, which on a CPU may stop between parts of it; so many rows stay ``together``.

        The parts are long, so that the library sums each row as it would in the whole, and the bits are the same.
        """
        parts = 1
        if matrix.device.type == "cpu":
            parts = min(math.ceil(matrix.values().numel() / _PRODUCT_AT_ONCE), matrix.shape[0] // together)
        if parts <= 1:
            watch.check()
            return self._product(matrix, x)
        blocks = matrix.shape[0] // together
        ends = [blocks * part // parts * together for part in range(parts + 1)]
        found = []
        for first, end in pairwise(ends):
            watch.check()
            found.append(self._product(rows_of(matrix, first, end), x))
        return torch.cat(found, dim=1)

    def pinv(self, y: Tensor, watch: Watch = SILENT) -> Tensor:
        """Filtered back projection with this operator's filter."""
        return self.fbp(y, self.fbp_filter, watch)

    def fbp(self, y: Tensor, filter_name: FilterName, watch: Watch = SILENT) -> Tensor:
        """Filtered back projection of a sinogram (C, views, bins) -> (C, rows, columns).

        Each pixel takes its value from the filtered view by linear interpolation between bins; one view at a time,
        so that memory stays small.
        """
        geometry = self.geometry
        # what is filtered may reach beyond the detector
        beside, unseen = bins_beside(geometry), unseen_weights(geometry)
        response = ramp_response(geometry.bins + sum(beside), filter_name).to(y)
        if "_view_weights" not in self.__dict__:
            self._view_weights = self._make_view_weights(watch)
        weights = self._view_weights.to(y)
        rows, columns = self.image_shape[1:]
        right = (torch.arange(columns, device=y.device) - (columns - 1) / 2).to(y)[None]
        up = ((rows - 1) / 2 - torch.arange(rows, device=y.device)).to(y)[:, None]
        image = y.new_zeros(self.image_shape)
        together = max(1, _PIXELS_AT_ONCE // columns)
        for view, angle in enumerate(self.angles.tolist()):
            watch.tell(view / geometry.views)
            cos, sin = math.cos(angle), math.sin(angle)
            row = filtered(completed(y[:, view] * weights[view], beside, unseen), response)
            for first in range(0, rows, together):
                watch.check()
                part = slice(first, first + together)
                position, share = self._seen(right * cos + up[part] * sin, up[part] * cos - right * sin)
                at = position / geometry.bin_width + (geometry.axis + beside[0])
                image[:, part] += share * interpolated(row, at)
        return image / (geometry.bin_width / geometry.magnification * self.pixel_size)

    @cached_property
    def _view_weights(self) -> Tensor:
        """Factors of a sinogram's views (views, bins or 1) before the filter, in float64."""
        return self._make_view_weights(SILENT)

    @abstractmethod
    def _make_view_weights(self, watch: Watch) -> Tensor: ...

    @abstractmethod
    def _seen(self, across: Tensor, along: Tensor) -> tuple[Tensor, Tensor | float]:
        """Where on the detector pixels are seen, and with which weight they take what is there.

        ``across`` the rays and ``along`` them are the pixels' coordinates from the axis, in pixels; so is the
        place on the detector from where it sees the axis.
        """


class ParallelBeamSettings(SliceSettings):
    """The geometry of a parallel-beam scan; angles in [0, π) by default, as in [P]."""

    beam: ClassVar[Beam] = "parallel"


class ParallelBeamCT(Scanner):
    """Line integrals along parallel rays, (C, rows, columns) -> (C, views, bins)."""

    def _make_view_weights(self, watch: Watch) -> Tensor:
        displaced = displaced_weights(self.geometry)
        if displaced is None:
            return view_weights(self.angles, math.pi)[:, None]
        return view_weights(self.angles, 2 * math.pi)[:, None] * displaced

    def _seen(self, across: Tensor, along: Tensor) -> tuple[Tensor, Tensor | float]:
        return across, 1.0


class FanBeamSettings(DivergingSettings, SliceSettings):
    """The geometry of a fan-beam scan. [C] has 40 and 40 for an image 40 wide, and an arc of 180 degrees."""

    beam: ClassVar[Beam] = "fan"


class FanBeamCT(Scanner):
    """Line integrals along rays from a point to a flat detector, (C, rows, columns) -> (C, views, bins)."""

    def _make_view_weights(self, watch: Watch) -> Tensor:
        """Cosine of the fan angle, the view's share of the turn, and the rays' redundancy."""
        geometry = self.geometry
        displaced = displaced_weights(geometry)
        fan_angles = torch.atan(geometry.positions() / geometry.to_detector)
        turn = view_weights(self.angles, 2 * math.pi)[:, None]
        found = []
        for first in range(0, geometry.views, _VIEWS_WEIGHTED):
            watch.check()
            part = slice(first, first + _VIEWS_WEIGHTED)
            shared = redundancy_weights(self.angles, fan_angles, part) if displaced is None else displaced
            found.append(turn[part] * torch.cos(fan_angles) * shared)
        return torch.cat(found)

    def _seen(self, across: Tensor, along: Tensor) -> tuple[Tensor, Tensor | float]:
        """By a ray from the source; weighted as in Kak and Slaney, chapter 3, equation 101."""
        source = self.geometry.source_distance
        nearer = source / (source + along)
        return across * nearer * self.geometry.magnification, nearer.square()
