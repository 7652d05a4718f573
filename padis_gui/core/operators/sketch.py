"""A scan as a drawing: where source and detector are at each view, in pixels from the axis of rotation.

The numbers are those that the system matrix is made from, so what is drawn is what is computed. x points to the
right and y upwards, as in :mod:`padis_gui.core.operators.scanner`.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from padis_gui.core.operators import find_physics
from padis_gui.core.operators.scanner import Scanner, ScannerSettings, radius
from padis_gui.core.operators.settings import PhysicsSettings
from padis_gui.core.operators.system_matrix import Beam

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
    """A scan of an image of ``shape`` (rows, columns), lengths in pixels; ``pixel_size`` is in mm.

    ``field_of_view`` is the radius of the circle that every view sees, ``circle`` that of the one around the image.
    """

    beam: Beam
    shape: tuple[int, int]
    views: tuple[ViewSketch, ...]
    bins: int
    bin_width: float
    magnification: float
    field_of_view: float
    circle: float
    pixel_size: float
    clockwise: bool
    start: float
    arc: float

    @property
    def sees_everything(self) -> bool:
        """Whether the corners of the image are in every view."""
        return self.field_of_view >= self.circle * (1 - 1e-6)

    @property
    def reach(self) -> float:
        """The largest distance from the axis of anything drawn."""
        points = [p for view in self.views for p in (*view.detector, *view.sources)]
        return max([self.circle, *(math.hypot(*p) for p in points)])


def make_sketch(physics: str, settings: PhysicsSettings, shape: tuple[int, int]) -> Sketch | None:
    """The sketch of a scan of images of ``shape`` (rows, columns); None for what is no scan.

    Raises :class:`~padis_gui.core.errors.SettingError` for a geometry that is none.
    """
    if not isinstance(settings, ScannerSettings):
        return None
    scan = find_physics(physics).make((1, *shape), settings, torch.device("cpu"))
    if not isinstance(scan, Scanner):
        return None
    listed = np.degrees(scan.angles.numpy())
    return Sketch(
        beam=scan.beam, shape=shape, views=_views(scan), bins=scan.bins, bin_width=scan.detector.width,
        magnification=scan.magnification, field_of_view=_field_of_view(scan), circle=radius((1, *shape)),
        pixel_size=scan.pixel_size, clockwise=settings.turn == "clockwise", start=settings.start,
        arc=float(np.ptp(listed)) if settings.angles else settings.arc,
    )  # fmt: skip


def _views(scan: Scanner) -> tuple[ViewSketch, ...]:
    first, middle, step = np.split(scan.vectors, 3, axis=1)
    half = step * scan.bins / 2
    ends = middle - half, middle + half
    if scan.beam == "fan":
        sources = first, first
    else:
        away = _ASIDE * math.hypot(*scan.image_shape[1:]) / 2 * first
        sources = ends[0] - away, ends[1] - away
        ends = ends[0] + away, ends[1] + away
    rows = zip(scan.angles.tolist(), *(a.tolist() for a in (*ends, *sources)), strict=True)
    return tuple(
        ViewSketch(angle, (_point(a), _point(b)), (_point(c), _point(d))) for angle, a, b, c, d in rows
    )


def _point(values: list[float]) -> Point:
    return values[0], values[1]


def _field_of_view(scan: Scanner) -> float:
    """Of the outer rays the one that is nearer to the axis: its distance from there."""
    nearer = (scan.bins / 2 - abs(scan.detector.centre)) * scan.detector.width
    if scan.beam == "parallel":
        return max(nearer, 0.0)
    source = float(np.hypot(*scan.vectors[0, :2]))
    return max(source * math.sin(math.atan2(nearer, source * scan.magnification)), 0.0)
