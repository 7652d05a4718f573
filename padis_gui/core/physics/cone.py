"""CT in a cone beam: from a point that goes round in a circle to a flat detector of rows and bins; a volume at once.

Slices cannot be told apart by what is measured: a ray goes through many of them. So this operator's images are volumes, and
whoever solves for them solves for all slices together.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Self

from padis_gui.core import Tensor, torch
from padis_gui.core.images.image import Image
from padis_gui.core.physics.cone_projector import ConeProjector, Volume
from padis_gui.core.physics.filtered_backprojection import (
    FilterName,
    bins_beside,
    completed,
    displaced_weights,
    filtered,
    ramp_response,
    redundancy_weights,
    unseen_weights,
    view_weights,
)
from padis_gui.core.physics.geometry import Beam, Geometry, Shape
from padis_gui.core.physics.operator import POWERS_MATRIX_FREE, LinearOperator
from padis_gui.core.physics.scanner import DEFAULT_PIXEL_SIZE, MAX_BINS, DivergingSettings
from padis_gui.core.settings.declarations import setting
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.settings.machine import free_memory_mb
from padis_gui.core.settings.watch import SILENT, Watch

# Volumes and projections that a run holds at least, and which part of the free memory they may be
_HELD, _USABLE = 6, 0.8
# Readings that a file of a scan and a 32-bit index may have
_MOST_READINGS = 2**31 - 1
# Voxels that a view is back projected to at a time
_VOXELS_AT_ONCE = 2**19


class ConeBeamSettings(DivergingSettings):
    """The geometry of a cone-beam scan: that of a fan beam, and what lies along the axis of rotation."""

    beam: ClassVar[Beam] = "cone"
    automatic_distances: ClassVar[tuple[int, int]] = (4, 2)

    source_distance: float | None = setting(
        None, ge=1e-6, le=1e9, label="Source distance", advanced=True,
        help="From the source to the axis of rotation; automatic is four times the longer side of a slice",
    )  # fmt: skip
    detector_distance: float | None = setting(
        None, ge=0, le=1e9, label="Detector distance", advanced=True,
        help="From the axis of rotation to the detector; automatic is twice the longer side of a slice",
    )  # fmt: skip
    detector_rows: int | None = setting(
        None, ge=1, le=MAX_BINS, label="Detector rows", unit="px", advanced=True,
        help="Number of detector rows; automatic is as many as see the whole volume",
    )  # fmt: skip
    row_height: float | None = setting(
        None, ge=1e-6, le=1e6, label="Row height", advanced=True,
        help="From one detector row to the next; automatic is the bin width, or where the rows are counted what makes them "
        "see the whole volume",
    )  # fmt: skip
    centre_row: float = setting(
        0.0, ge=-MAX_BINS, le=MAX_BINS, label="Centre row", unit="rows", advanced=True,
        help="Where the detector sees the plane that the source goes round in, from its middle towards the last row; rows "
        "count as slices do",
    )  # fmt: skip
    detector_tilt: float = setting(
        0.0, ge=-45, le=45, label="Detector tilt", symbol="η", unit="°", advanced=True,
        help="By how much the detector is turned in its own plane, counter-clockwise as seen from the source "
        "with the first row above",
    )  # fmt: skip
    axis_offset: float = setting(
        0.0, ge=-1e6, le=1e6, label="Axis offset", advanced=True,
        help="How far the axis of rotation lies beside the ray that meets the detector at a right angle, towards the last "
        "bin; where the detector sees the axis is the centre of rotation all the same",
    )  # fmt: skip
    voxel_height: float | None = setting(
        None, ge=1e-6, le=1e6, label="Voxel height", advanced=True,
        help="From one slice to the next; automatic is what the volume says of its slices and pixels, or one pixel",
    )  # fmt: skip

    def for_image(self, image: Image) -> Self:
        """With the height that the voxels of a volume have by its own word, where nobody has given another."""
        pixel, slices = image.spacing, image.slice_spacing
        if self.voxel_height is not None or not image.is_volume or pixel is None or slices is None:
            return self
        height = min(max(slices / pixel[1], 1e-3), 1e3)
        return self.model_copy(
            update={"voxel_height": height * (self.pixel_size if self.lengths == "mm" else 1)}
        )

    def height_of_voxels(self) -> float:
        """From one slice to the next, in pixels."""
        return self._in_pixels(self.voxel_height) or 1.0

    def geometry(self, shape: tuple[int, ...]) -> Geometry:
        """The scan of volumes of ``shape`` (slices, rows, columns), or of one slice (rows, columns); as for other beams.

        Raises :class:`SettingError` for a scan that does not see the volume.
        """
        slices, rows, columns = (1, *shape)[-3:]
        found = super().geometry((rows, columns))
        found = replace(
            found, centre_row=self.centre_row, tilt=self.detector_tilt,
            axis_offset=self._in_pixels(self.axis_offset) or 0.0,
            row_height=self._in_pixels(self.row_height) or found.bin_width,
        )  # fmt: skip
        half = self._half_height(found, (slices, rows, columns))
        if self.detector_rows is None:
            wanted = 2 * (half / found.row_height + abs(self.centre_row))
            found = replace(found, rows=max(1, math.ceil(wanted - 1e-6)))
        else:
            aside = self.detector_rows / 2 - abs(self.centre_row)
            if self.row_height is None and aside > 0:
                found = replace(found, row_height=half / aside)
            found = replace(found, rows=self.detector_rows)
        self._check_rows(found, half)
        return found

    def _half_height(self, geometry: Geometry, shape: Volume) -> float:
        """How far from the source's plane an untilted detector sees the volume, in pixels, where it sees it highest."""
        nearest = geometry.source_distance - 0.5 * math.hypot(*shape[1:])
        return 0.5 * shape[0] * self.height_of_voxels() * geometry.to_detector / nearest

    def _check_rows(self, geometry: Geometry, half: float) -> None:
        if geometry.rows > MAX_BINS:
            raise SettingError(
                f"At most {MAX_BINS} detector rows were wanted, but it takes {geometry.rows} to see the whole volume; take "
                "higher rows, or state how many there are."
            )
        if abs(self.centre_row) - geometry.rows / 2 >= half / geometry.row_height and not self.detector_tilt:
            raise SettingError(
                f"A detector that sees the volume was wanted, but its {geometry.rows} rows lie beside it; bring the "
                "centre row nearer to 0, or take more or higher rows."
            )
        if abs(geometry.axis_offset) >= geometry.source_distance:
            raise SettingError(
                "An axis near the middle ray was wanted, but its offset exceeds the source's distance; mind the unit."
            )
        readings = geometry.views * geometry.rows * geometry.bins
        if readings > _MOST_READINGS:
            raise SettingError(
                f"At most {_MOST_READINGS / 1e9:.1f} billion readings were wanted, but {geometry.views} views of "
                f"{geometry.rows} x {geometry.bins} are {readings / 1e9:.1f} billion; take fewer views, rows or bins.",
                remedy="smaller",
            )

    def _wanted_bins(self, bins: float) -> int:
        """As many as it takes: a volume has no 512 bins to spare."""
        return max(16, math.ceil(bins - 1e-6))

    def entries_in_product(self, image_shape: tuple[int, int, int]) -> int:
        """By the time that they take: the four voxels at a plane that a ray crosses are as long as 1.3 of a fan beam's."""
        return int(1.3 * ConeProjector(self.geometry(image_shape), image_shape, 1.0, 1.0).samples)

    def entries(self, shape: Shape) -> int:
        return 0

    @property
    def seconds_a_pixel(self) -> float:
        return 2e-8 * self.views


class ConeBeamCT(LinearOperator):
    """x (slices, rows, columns) -> projections (detector rows, views, bins), line integrals in units of ``pixel_size``.

    Each detector row is a sinogram, as that of a fan beam. Lengths of the ``geometry`` are in pixels, slices lie
    ``voxel_height`` pixels apart. ``angles`` (views,) are in radians, counter-clockwise, float64.
    """

    together = (0, 2)

    def __init__(
        self,
        image_shape: Volume,
        geometry: Geometry,
        *,
        voxel_height: float = 1.0,
        pixel_size: float = DEFAULT_PIXEL_SIZE,
        fbp_filter: FilterName = "hann",
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(image_shape, device=device, dtype=dtype)
        self.geometry, self.slice_step = geometry, voxel_height
        self.angles = geometry.radians
        self.pixel_size = pixel_size
        self.fbp_filter: FilterName = fbp_filter
        self._volume = image_shape
        self._between = SILENT  # asked between parts of a product

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
        geometry = settings.geometry(image_shape)
        _check_memory(geometry, image_shape, dtype or torch.float32, device)
        return cls(
            image_shape, geometry, voxel_height=settings.height_of_voxels(), pixel_size=settings.pixel_size,
            fbp_filter=settings.fbp_filter, device=device, dtype=dtype,
        )  # fmt: skip

    @property
    def measurement_shape(self) -> tuple[int, ...]:
        return self.geometry.rows, self.geometry.views, self.geometry.bins

    @property
    def powers(self) -> int:
        return POWERS_MATRIX_FREE

    @cached_property
    def _projector(self) -> ConeProjector:
        assert self.slice_step is not None, "given to the operator"
        return ConeProjector(self.geometry, self._volume, self.slice_step, self.pixel_size)

    def _forward(self, x: Tensor) -> Tensor:
        return self._projector.forward(x, self._between)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._projector.adjoint(y, self._between)

    def interrupted_by(self, check: Callable[[], None]) -> Self:
        """As any operator; a product asks within it, too."""
        same = copy.copy(self)
        same._between = Watch(check)
        return same

    def measured(self, x: Tensor, watch: Watch) -> Tensor:
        self._check_shape(x)
        with torch.no_grad():
            return self._projector.forward(x, watch)

    def transposed(self, y: Tensor, watch: Watch) -> Tensor:
        self.T._check_shape(y)
        with torch.no_grad():
            return self._projector.adjoint(y, watch)

    def channel_seeing(self, channel: int) -> int:
        """The detector row that sees the middle of a slice, or the nearest one there is."""
        geometry = self.geometry
        height = ((self._volume[0] - 1) / 2 - channel) * (self.slice_step or 1.0)
        row = round(geometry.axis_row - height * geometry.magnification / geometry.row_height)
        return min(max(row, 0), geometry.rows - 1)

    def pinv(self, y: Tensor, watch: Watch = SILENT) -> Tensor:
        """FDK with this operator's filter."""
        return self.fdk(y, self.fbp_filter, watch)

    # FDK ----------------------------------------------------------------------------------------

    @torch.no_grad()
    def fdk(self, y: Tensor, filter_name: FilterName, watch: Watch = SILENT) -> Tensor:
        """The method of Feldkamp, Davis and Kress (J. Opt. Soc. Am. A 1 (1984) 612) for projections (detector rows, views,
        bins).

        Rows are weighted and filtered as those of a fan beam, with the redundancy of a short scan or of a detector beside
        the axis as there, and back projected along their rays. The plane of the source is exact, what lies off it is the
        less so the steeper its rays. Views of a tilted detector are first read at the places of an upright one. With an
        axis beside the middle ray, a view's rays lie closer on one side of it; the weight below follows from their distance
        from the axis, R sin(g) - a cos(g), which was to be evenly spaced (after Gullberg et al., Med. Phys. 13 (1986) 445).
        """
        geometry = self.geometry
        beside, unseen = bins_beside(geometry), unseen_weights(geometry)
        response = ramp_response(geometry.bins + sum(beside), filter_name).to(y)
        weights, cosines = self._view_weights.to(y), self._cosines.to(y)
        found = y.new_zeros(self._volume)
        for view, angle in enumerate(self.angles.tolist()):
            watch.tell(view / geometry.views)
            readings = _upright(y[:, view], geometry) * (cosines * weights[view])
            self._back_project(
                found, filtered(completed(readings, beside, unseen), response), angle, beside[0], watch
            )
        return found / (geometry.bin_width / geometry.magnification * self.pixel_size)

    @cached_property
    def _aside(self) -> Tensor:
        """Places of the bins from where the ray at a right angle meets the detector, in pixels, (bins,) in float64."""
        return self.geometry.positions() + self.geometry.axis_offset * self.geometry.magnification

    @cached_property
    def _view_weights(self) -> Tensor:
        """Of the bins of each view, (views, bins), in float64: its share of the turn, and the rays' redundancy."""
        geometry = self.geometry
        displaced = displaced_weights(geometry)
        turn = view_weights(self.angles, 2 * math.pi)[:, None]
        if displaced is not None:
            return turn * displaced
        to_axis = math.atan2(geometry.axis_offset, geometry.source_distance)
        fan_angles = torch.atan(self._aside / geometry.to_detector) - to_axis
        return turn * redundancy_weights(self.angles, fan_angles)

    @cached_property
    def _cosines(self) -> Tensor:
        """Of the angles between the rays and the middle one, and how dense the rays lie, (detector rows, bins), float64."""
        geometry, far = self.geometry, self.geometry.to_detector
        rows = torch.arange(geometry.rows, dtype=torch.float64) - geometry.axis_row
        heights = (rows * geometry.row_height)[:, None]
        denser = 1 + geometry.axis_offset / geometry.source_distance * self._aside / far
        return denser * far / torch.sqrt(far**2 + self._aside.square() + heights.square())

    def _back_project(self, found: Tensor, readings: Tensor, angle: float, before: int, watch: Watch) -> None:
        """Add a filtered view (detector rows, bins) to a volume, ``before`` bins more than the detector has to the left."""
        geometry, (slices, rows, columns) = self.geometry, self._volume
        cos, sin = math.cos(angle), math.sin(angle)
        right = (torch.arange(columns, dtype=torch.float64) - (columns - 1) / 2)[None]
        up = ((rows - 1) / 2 - torch.arange(rows, dtype=torch.float64))[:, None]
        nearer = geometry.source_distance / (geometry.source_distance + up * cos - right * sin)
        grow = nearer * geometry.magnification
        offset = geometry.axis_offset
        bins = (
            (right * cos + up * sin + offset) * grow - offset * geometry.magnification
        ) / geometry.bin_width
        bins = (2 * (bins + geometry.axis + before) + 1) / readings.shape[1] - 1
        heights = ((slices - 1) / 2 - torch.arange(slices, dtype=torch.float64)) * (self.slice_step or 1.0)
        across, grow, share = (
            bins.to(found),
            (grow / geometry.row_height).to(found),
            nearer.square().to(found),
        )
        start = (2 * geometry.axis_row + 1) / geometry.rows - 1
        together = max(1, _VOXELS_AT_ONCE // (rows * columns))
        for first in range(0, slices, together):
            watch.check()
            part = slice(first, min(first + together, slices))
            grid = found.new_empty(part.stop - first, rows, columns, 2)
            grid[..., 0] = across
            down = (-2 / geometry.rows * heights[part]).to(found)[:, None, None]
            grid[..., 1] = torch.add(start, down * grow)
            values = torch.nn.functional.grid_sample(
                readings[None, None], grid.view(1, -1, columns, 2), align_corners=False
            )
            found[part] += share * values.view(-1, rows, columns)


def _upright(view: Tensor, geometry: Geometry) -> Tensor:
    """A view (detector rows, bins) of a tilted detector at the places that an upright one would have; its edge goes on."""
    if not geometry.tilt:
        return view
    turned, upright = math.sin(math.radians(geometry.tilt)), math.cos(math.radians(geometry.tilt))
    right = ((torch.arange(geometry.bins, dtype=torch.float64) - geometry.axis) * geometry.bin_width)[None]
    down = ((torch.arange(geometry.rows, dtype=torch.float64) - geometry.axis_row) * geometry.row_height)[
        :, None
    ]
    bins = geometry.axis + (right * upright - down * turned) / geometry.bin_width
    rows = geometry.axis_row + (right * turned + down * upright) / geometry.row_height
    grid = torch.stack([(2 * bins + 1) / geometry.bins - 1, (2 * rows + 1) / geometry.rows - 1], -1)
    found = torch.nn.functional.grid_sample(
        view[None, None], grid.to(view)[None], padding_mode="border", align_corners=False
    )
    return found[0, 0]


def _check_memory(geometry: Geometry, shape: Volume, dtype: torch.dtype, device: torch.device) -> None:
    """Raise :class:`SettingError` where volumes and projections would not fit, before any is made."""
    numbers = _HELD * (math.prod(shape) + geometry.views * geometry.rows * geometry.bins)
    needed, free = numbers * dtype.itemsize, 2**20 * free_memory_mb(device)
    if needed > _USABLE * free:
        raise SettingError(
            f"A scan that fits into memory was wanted, but {geometry.views} views of {geometry.rows} x {geometry.bins} "
            f"and a volume of {' x '.join(map(str, shape))} need about {needed / 2**30:.1f} GiB, and "
            f"{free / 2**30:.1f} GiB are free; take fewer views, a smaller volume, or wider bins.",
            remedy="smaller",
        )
