"""How a scan is taken, in one convention: its angles, its detector, its distances; and the same as a drawing.

On the displayed image x points to the right and y upwards; the axis of rotation is its middle. At
angle 0 the rays run upwards (of a fan beam: the source is below the image, the detector above it) and the
detector's bins count from left to right. A view at angle theta has both turned counter-clockwise by theta: the
bins' axis is (cos theta, sin theta), the rays' direction (-sin theta, cos theta). What turns is the scanner around
the image; a sample that turns clockwise before a fixed scanner is one whose scanner turns counter-clockwise.

A cone beam is a fan beam with a detector of several rows, and a volume in the place of the image. z points towards whoever
looks at a slice, and slices count away from them, so that x, the rows and the slices of a volume are right-handed; the
detector's rows count as the slices do. The source goes round in the plane of the volume's middle. Seen from the source at
angle 0 with z upwards, bins count to the right and rows downwards.

The drawing has source and detector at each view, in pixels from the axis of rotation, from the numbers that the system
matrix is made of: what is drawn is what is computed.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from padis_gui.core import Tensor, torch
from padis_gui.core.settings.errors import SettingError

Beam = Literal["parallel", "fan", "cone"]
Turn = Literal["counter-clockwise", "clockwise"]
# What lengths are in: mm, widths of a bin of the unbinned detector, or pixels of an image
Unit = Literal["mm", "bins", "pixels"]
Shape = tuple[int, int]

# the corners of an image that is to hold everything seen stay so far inside the source's orbit
_INSIDE_THE_ORBIT = 0.95


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Geometry:
    """A scan with a flat detector of ``bins``, in this module's conventions.

    ``angles`` (views,) are in degrees, float64, as they were written down; the scanner goes round as ``turn`` says,
    from ``start`` degrees. ``arc`` is given where the views divide that many degrees evenly, its end left out.
    ``bin_width`` and the distances from the axis of rotation to source and detector (a parallel beam has none) are
    in ``unit``. The axis is seen ``centre`` bins from the detector's middle, towards the last bin; None where that
    is not known, which counts as 0.

    A cone beam has ``rows`` of bins, ``row_height`` from one to the next; the source's plane is seen on the axis
    ``centre_row`` rows from the detector's middle, towards the last row. ``tilt`` turns the detector in its plane, about
    where that point is seen, in degrees counter-clockwise as seen from the source. Where ``axis_offset`` is not 0 the ray
    that meets the detector at a right angle passes the axis so far to its left, as seen from the source.
    """

    beam: Beam
    angles: NDArray[np.float64]
    arc: float | None = None
    turn: Turn = "counter-clockwise"
    start: float = 0.0
    bins: int
    bin_width: float = 1.0
    centre: float | None = None
    source_distance: float = math.inf
    detector_distance: float = 0.0
    rows: int = 1
    row_height: float = 1.0
    centre_row: float | None = None
    tilt: float = 0.0
    axis_offset: float = 0.0
    unit: Unit

    @property
    def views(self) -> int:
        return len(self.angles)

    @property
    def radians(self) -> Tensor:
        """Where the scanner stands at each view, counter-clockwise, (views,) in float64."""
        if self.arc is None:
            listed = torch.deg2rad(torch.tensor(self.angles, dtype=torch.float64))
        else:
            listed = torch.arange(self.views, dtype=torch.float64) * (math.radians(self.arc) / self.views)
        return math.radians(self.start) + (listed if self.turn == "counter-clockwise" else -listed)

    @property
    def magnification(self) -> float:
        """How much larger the detector sees what lies at the axis of rotation."""
        return 1.0 if self.beam == "parallel" else self.to_detector / self.source_distance

    @property
    def to_detector(self) -> float:
        """From the source to the detector."""
        return self.source_distance + self.detector_distance

    # The detector -------------------------------------------------------------------------------

    @property
    def axis(self) -> float:
        """Where the axis of rotation is seen, in bins: 0 is the middle of the first, bins - 1 of the last."""
        return (self.bins - 1) / 2 + (self.centre or 0.0)

    def positions(self) -> Tensor:
        """Distance of each bin's middle from where the axis is seen, (bins,) in float64."""
        return (torch.arange(self.bins, dtype=torch.float64) - self.axis) * self.bin_width

    @property
    def axis_row(self) -> float:
        """Where the source's plane is seen on the axis of rotation, in rows: 0 is the middle of the first."""
        return (self.rows - 1) / 2 + (self.centre_row or 0.0)

    def within(self, reach: float) -> tuple[int, int]:
        """The first bin that lies at least partly within ``reach`` of where the axis is seen, and the end of these."""
        first = math.ceil(max(self.axis - reach / self.bin_width - 0.5, 0))
        end = math.floor(min(self.axis + reach / self.bin_width + 0.5, self.bins - 1)) + 1
        return first, end

    def part(self, first: int, end: int) -> "Geometry":
        """The bins from ``first`` up to ``end`` as a detector of their own."""
        bins = end - first
        return replace(self, bins=bins, centre=self.axis - first - (bins - 1) / 2)

    def finer(self, rays: int) -> "Geometry":
        """Each bin cut into as many."""
        return replace(
            self,
            bins=self.bins * rays,
            bin_width=self.bin_width / rays,
            centre=(self.centre or 0.0) * rays,
        )

    def finer_rows(self, rays: int) -> "Geometry":
        """Each row cut into as many."""
        return replace(
            self,
            rows=self.rows * rays,
            row_height=self.row_height / rays,
            centre_row=(self.centre_row or 0.0) * rays,
        )

    def binned(self, by: int) -> "Geometry":
        """Each ``by`` neighbouring bins made one; what is left over is dropped at both ends alike."""
        column = (self.axis - dropped_bins(self.bins, by) - (by - 1) / 2) / by
        bins = self.bins // by
        return replace(
            self, bins=bins, bin_width=self.bin_width * by, centre=round(column - (bins - 1) / 2, 4)
        )

    def binned_rows(self, by: int) -> "Geometry":
        """Each ``by`` neighbouring rows made one, as :meth:`binned` does bins."""
        row = (self.axis_row - dropped_bins(self.rows, by) - (by - 1) / 2) / by
        rows = self.rows // by
        return replace(
            self, rows=rows, row_height=self.row_height * by, centre_row=round(row - (rows - 1) / 2, 4)
        )

    def cropped(self, first: int, last: int) -> "Geometry":
        """Without so many bins at the beginning and at the end of the detector; the axis stays where it is."""
        return replace(
            self, bins=self.bins - first - last,
            centre=None if self.centre is None else self.centre + (last - first) / 2,
        )  # fmt: skip

    def of_views(self, chosen: NDArray[np.intp]) -> "Geometry":
        """The same scan of these views only."""
        return replace(self, angles=self.angles[chosen], arc=None)

    def with_lengths(self, unit: Unit, convert: Callable[[float], float]) -> "Geometry":
        """The same scan with its lengths in another unit; ``convert`` takes a length there."""
        return replace(
            self,
            bin_width=convert(self.bin_width),
            source_distance=convert(self.source_distance),
            detector_distance=convert(self.detector_distance),
            row_height=convert(self.row_height),
            axis_offset=convert(self.axis_offset),
            unit=unit,
        )

    # Source, rays and image ---------------------------------------------------------------------

    @property
    def vectors(self) -> NDArray[np.float64]:
        """ASTRA's line for each view, (views, 6): source (in a parallel beam the rays' direction), middle of the
        detector, step from bin to bin; x and y of each from the axis, y upwards."""
        if self.beam == "cone":
            return self.vectors_of_cone[:, [0, 1, 3, 4, 6, 7]]
        angles = self.radians
        cos, sin = torch.cos(angles), torch.sin(angles)
        aside = float(self.positions().mean())
        if self.beam == "parallel":
            lines = [-sin, cos, aside * cos, aside * sin]
        else:
            source, behind = self.source_distance, self.to_detector - self.source_distance
            lines = [source * sin, -source * cos, aside * cos - behind * sin, aside * sin + behind * cos]
        found: NDArray[np.float64] = torch.stack(
            [*lines, self.bin_width * cos, self.bin_width * sin], dim=1
        ).numpy()
        return found

    @property
    def vectors_of_cone(self) -> NDArray[np.float64]:
        """ASTRA's line for each view of a cone beam ("cone_vec"), (views, 12): source, middle of the detector, step from
        bin to bin, step from row to row; x, y and z of each from the axis in the source's plane."""
        cos, sin = torch.cos(self.radians), torch.sin(self.radians)
        nought = torch.zeros_like(cos)
        right, ahead = torch.stack([cos, sin, nought], 1), torch.stack([-sin, cos, nought], 1)
        up = torch.stack([nought, nought, nought + 1], 1)
        turned, upright = math.sin(math.radians(self.tilt)), math.cos(math.radians(self.tilt))
        bins, rows = upright * right + turned * up, turned * right - upright * up
        seen_at = self.detector_distance * ahead + self.axis_offset * (self.magnification - 1) * right
        middle = (
            seen_at
            - (self.centre or 0.0) * self.bin_width * bins
            - (self.centre_row or 0.0) * self.row_height * rows
        )
        source = -self.source_distance * ahead - self.axis_offset * right
        found: NDArray[np.float64] = torch.cat(
            [source, middle, self.bin_width * bins, self.row_height * rows], 1
        ).numpy()
        return found

    def reach(self, shape: Shape) -> float:
        """How far from where the axis is seen an image of ``shape`` (rows, columns) is seen, lengths in pixels.

        Raises :class:`SettingError` for a source inside the circle around the image.
        """
        circle = image_radius(shape)
        if self.beam == "parallel":
            return circle
        if self.source_distance <= circle:
            raise SettingError(
                f"A source farther from the axis of rotation than the image's corners ({circle:.1f} px) was wanted, "
                f"but its distance is {self.source_distance:.4g} px; raise it, or mind its unit."
            )
        return self.to_detector * circle / math.sqrt(self.source_distance**2 - circle**2)

    def check_sees(self, shape: Shape) -> None:
        """Raise :class:`SettingError` where the detector is beside an image of ``shape``, or its bins are wider."""
        reach = self.reach(shape)
        if self.bin_width > 2 * reach:
            raise SettingError(
                f"Detector bins narrower than the image were wanted, but one is {self.bin_width:.4g} px wide "
                f"and the image is seen on {2 * reach:.4g} px; make the bins narrower, and mind the unit."
            )
        first, end = self.within(reach)
        if end <= first:
            raise SettingError(
                f"A detector that sees the image was wanted, but its {self.bins} bins lie beside it; "
                "bring the centre of rotation nearer to 0, or take more or wider bins."
            )

    @property
    def seen_by_every_view(self) -> float:
        """The radius of the circle that lies inside every view."""
        nearer = (self.bins / 2 - abs(self.centre or 0.0)) * self.bin_width
        return max(self._passes_at(nearer), 0.0)

    @property
    def seen_by_no_view(self) -> float:
        """The radius of the circle about the axis of rotation that no ray passes through: 0 where the detector sees it."""
        return max(self._passes_at((abs(self.centre or 0.0) - self.bins / 2) * self.bin_width), 0.0)

    @property
    def seen_by_any_view(self) -> float:
        """The radius of the circle that holds whatever any view sees, as far as an image inside the orbit can."""
        seen = self._passes_at((self.bins / 2 + abs(self.centre or 0.0)) * self.bin_width)
        return min(seen, self.source_distance * _INSIDE_THE_ORBIT / math.sqrt(2))

    def _passes_at(self, aside: float) -> float:
        """How far from the axis a ray passes that arrives so far from where the detector sees the axis."""
        if self.beam == "parallel":
            return aside
        return self.source_distance * math.sin(math.atan(aside / self.to_detector))


def image_radius(shape: Shape) -> float:
    """Of the circle around an image of ``shape`` (rows, columns), in pixels."""
    return 0.5 * math.hypot(*shape)


def dropped_bins(bins: int, by: int) -> int:
    """How many bins are left out at the beginning where each ``by`` neighbours become one."""
    return bins % by // 2


Point = tuple[float, float]
# A parallel beam has no place for its detector and source; they are drawn this many image radii away
_ASIDE = 1.35


@dataclass(frozen=True, slots=True)
class ViewSketch:
    """One view: its angle in radians, and the ends of its detector, the first bin's first.

    ``sources`` are where the rays to these two ends come from: twice the same point in a fan beam.
    """

    angle: float
    detector: tuple[Point, Point]
    sources: tuple[Point, Point]


@dataclass(frozen=True, slots=True)
class Sketch:
    """A scan of an image of ``shape`` (rows, columns), lengths in pixels; ``pixel_size`` is in mm, None where it is
    not known. ``height`` is that of the volume in a cone beam, whose views are seen from above."""

    geometry: Geometry
    shape: Shape
    pixel_size: float | None
    views: tuple[ViewSketch, ...]
    height: float = 0.0

    @property
    def arc(self) -> float:
        """The range of the angles, in degrees."""
        geometry = self.geometry
        return float(np.ptp(geometry.angles)) if geometry.arc is None else geometry.arc

    @property
    def circle(self) -> float:
        """The radius of the circle around the image."""
        return image_radius(self.shape)

    @property
    def field_of_view(self) -> float:
        """The radius of the circle that every view sees."""
        return self.geometry.seen_by_every_view

    @property
    def sees_everything(self) -> bool:
        """Whether the corners of the image are in every view."""
        return self.field_of_view >= self.circle * (1 - 1e-6)

    @property
    def upright(self) -> tuple[float, float]:
        """Of a cone beam, the heights at which the detector's middle column begins and ends, over the source's plane."""
        line = self.geometry.vectors_of_cone[0]
        half = 0.5 * self.geometry.rows * float(line[11])
        return float(line[5]) - half, float(line[5]) + half

    def across_view(self, view: int) -> float:
        """How far the image reaches from the axis along the middle ray of a view, to both sides."""
        cos, sin = abs(math.cos(self.views[view].angle)), abs(math.sin(self.views[view].angle))
        return 0.5 * (self.shape[0] * cos + self.shape[1] * sin)

    @property
    def reach(self) -> float:
        """The largest distance from the axis of anything drawn."""
        points = [p for view in self.views for p in (*view.detector, *view.sources)]
        return max([self.circle, *(math.hypot(*p) for p in points)])


def make_sketch(geometry: Geometry, shape: Shape, pixel_size: float | None, height: float = 0.0) -> Sketch:
    """The sketch of a scan of images of ``shape`` (rows, columns), its lengths in pixels of ``pixel_size`` mm, if known.

    ``height`` is that of a volume in a cone beam.
    """
    first, middle, step = np.split(geometry.vectors, 3, axis=1)
    half = step * geometry.bins / 2
    ends = middle - half, middle + half
    if geometry.beam != "parallel":
        sources = first, first
    else:
        away = _ASIDE * image_radius(shape) * first
        sources = ends[0] - away, ends[1] - away
        ends = ends[0] + away, ends[1] + away
    rows = zip(geometry.radians.tolist(), *(a.tolist() for a in (*ends, *sources)), strict=True)
    views = (ViewSketch(angle, (_point(a), _point(b)), (_point(c), _point(d))) for angle, a, b, c, d in rows)
    return Sketch(geometry, shape, pixel_size, tuple(views), height)


def _point(values: list[float]) -> Point:
    return values[0], values[1]
