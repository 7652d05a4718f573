"""A scan as a drawing: where source and detector are at each view, in pixels from the axis of rotation.

The numbers are those that the system matrix is made from, so what is drawn is what is computed. x points to the
right and y upwards, as in :mod:`padis_gui.core.physics._j_geometry__core_physics_geometry`.
"""

import math
from dataclasses import dataclass

import numpy as np

from padis_gui.core.physics._j_geometry__core_physics_geometry import Geometry, Shape, image_radius

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
    """A scan of an image of ``shape`` (rows, columns), lengths in pixels; ``pixel_size`` is in mm."""

    geometry: Geometry
    shape: Shape
    pixel_size: float
    views: tuple[ViewSketch, ...]

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
    def reach(self) -> float:
        """The largest distance from the axis of anything drawn."""
        points = [p for view in self.views for p in (*view.detector, *view.sources)]
        return max([self.circle, *(math.hypot(*p) for p in points)])


def make_sketch(geometry: Geometry, shape: Shape, pixel_size: float) -> Sketch:
    """The sketch of a scan of images of ``shape`` (rows, columns), its lengths in pixels of ``pixel_size`` mm."""
    first, middle, step = np.split(geometry.vectors, 3, axis=1)
    half = step * geometry.bins / 2
    ends = middle - half, middle + half
    if geometry.beam == "fan":
        sources = first, first
    else:
        away = _ASIDE * image_radius(shape) * first
        sources = ends[0] - away, ends[1] - away
        ends = ends[0] + away, ends[1] + away
    rows = zip(geometry.radians.tolist(), *(a.tolist() for a in (*ends, *sources)), strict=True)
    views = (ViewSketch(angle, (_point(a), _point(b)), (_point(c), _point(d))) for angle, a, b, c, d in rows)
    return Sketch(geometry, shape, pixel_size, tuple(views))


def _point(values: list[float]) -> Point:
    return values[0], values[1]
