"""Line profiles and region statistics across pictures, and where the tiling's seams cross a line.

Points are (x, y) in image coordinates: pixel (row r, column c) covers c <= x < c + 1 and r <= y < r + 1.
"""

import csv
import importlib
import io
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from padis_gui.core.images.image import Pixels
from padis_gui.core.images.metrics import psnr
from padis_gui.core.prior.partition import Partition

Point = tuple[float, float]
Spacing = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """From ``start`` to ``end``; values are averaged over ``width`` pixels across it."""

    start: Point
    end: Point
    width: int = 1

    @property
    def length(self) -> float:
        """In pixels."""
        return math.dist(self.start, self.end)

    def length_mm(self, spacing: Spacing) -> float:
        """In millimetres; ``spacing`` is the pixel pitch (rows, columns)."""
        (x0, y0), (x1, y1) = self.start, self.end
        return math.hypot((x1 - x0) * spacing[1], (y1 - y0) * spacing[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A rectangle, or the ellipse inside it."""

    shape: Literal["rectangle", "ellipse"]
    left: float
    top: float
    width: float
    height: float

    @classmethod
    def between(cls, shape: Literal["rectangle", "ellipse"], first: Point, second: Point) -> "Region":
        """The one with these two opposite corners."""
        (x0, y0), (x1, y1) = first, second
        return cls(
            shape=shape, left=min(x0, x1), top=min(y0, y1), width=abs(x1 - x0), height=abs(y1 - y0)
        )  # fmt: skip

    def snapped(self) -> "Region":
        """The same with its borders on pixel borders."""
        left, top = round(self.left), round(self.top)
        right, bottom = round(self.left + self.width), round(self.top + self.height)
        return Region(shape=self.shape, left=left, top=top, width=right - left, height=bottom - top)

    def mask(self, rows: int, columns: int) -> NDArray[np.bool_]:
        """The pixels whose centres lie inside: bool (rows, columns)."""
        return self._inside(np.arange(rows), np.arange(columns))

    def pixels_of(self, picture: Pixels) -> Pixels:
        """The pixels of a picture whose centres lie inside, (n,) or (n, 3)."""
        rows, columns = picture.shape[:2]
        top, bottom = (int(min(max(v, 0), rows)) for v in (self.top, self.top + self.height + 1))
        left, right = (int(min(max(v, 0), columns)) for v in (self.left, self.left + self.width + 1))
        near = picture[top:bottom, left:right]
        return near[self._inside(np.arange(top, bottom), np.arange(left, right))]

    def _inside(self, rows: NDArray[np.int_], columns: NDArray[np.int_]) -> NDArray[np.bool_]:
        x = (columns + 0.5 - self.left) / max(self.width, 1e-9)
        y = (rows + 0.5 - self.top) / max(self.height, 1e-9)
        if self.shape == "ellipse":
            inside: NDArray[np.bool_] = (2 * x[None] - 1) ** 2 + (2 * y[:, None] - 1) ** 2 <= 1
            return inside
        return ((x >= 0) & (x < 1))[None] & ((y >= 0) & (y < 1))[:, None]


# What is being dragged: a corner or end by its number, or the whole
Handle = int | Literal["whole"]


def handles(shape: Line | Region) -> tuple[Point, ...]:
    """Where a shape can be taken hold of: the ends of a line, the corners of a region."""
    if isinstance(shape, Line):
        return shape.start, shape.end
    right, bottom = shape.left + shape.width, shape.top + shape.height
    return (shape.left, shape.top), (right, shape.top), (right, bottom), (shape.left, bottom)


def grab(shape: Line | Region, point: Point, reach: float) -> Handle | None:
    """What of a shape lies within ``reach`` of a point; None where it is out of reach."""
    near = [(math.dist(handle, point), number) for number, handle in enumerate(handles(shape))]
    distance, number = min(near)
    if distance <= reach:
        return number
    if isinstance(shape, Line):
        return "whole" if _distance_to(shape, point) <= reach else None
    inside = shape.left <= point[0] <= shape.left + shape.width
    return "whole" if inside and shape.top <= point[1] <= shape.top + shape.height else None


def _distance_to(line: Line, point: Point) -> float:
    (x0, y0), (x1, y1) = line.start, line.end
    along = ((point[0] - x0) * (x1 - x0) + (point[1] - y0) * (y1 - y0)) / max(line.length**2, 1e-12)
    along = min(1.0, max(0.0, along))
    return math.dist(point, (x0 + along * (x1 - x0), y0 + along * (y1 - y0)))


def dragged(shape: Line | Region, handle: Handle, start: Point, now: Point) -> Line | Region:
    """The shape after its ``handle`` was dragged from ``start`` to ``now``."""
    dx, dy = now[0] - start[0], now[1] - start[1]
    if isinstance(shape, Line):
        ends = [shape.start, shape.end]
        for number, (x, y) in enumerate(ends):
            if handle in ("whole", number):
                ends[number] = (x + dx, y + dy)
        return Line(ends[0], ends[1], shape.width)
    if handle == "whole":
        return Region(
            shape=shape.shape, left=shape.left + dx, top=shape.top + dy, width=shape.width, height=shape.height
        )  # fmt: skip
    corners = handles(shape)
    moved, opposite = corners[int(handle)], corners[(int(handle) + 2) % 4]
    return Region.between(shape.shape, (moved[0] + dx, moved[1] + dy), opposite)


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Values along a line, at ``distance`` pixels from its start and at the points ``x``, ``y``; NaN outside."""

    distance: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    values: NDArray[np.float64]


def warm_up() -> None:
    """Load what sampling needs in a thread of its own, so that the first profile does not hold the window."""
    threading.Thread(target=importlib.import_module, args=("scipy.ndimage",), daemon=True).start()


def profile(pixels: Pixels, line: Line) -> Profile:
    """Sample (rows, columns) pixels, or the mean of (rows, columns, 3), once a pixel along a line.

    Linear between pixel centres; averaged over ``line.width`` parallel lines one pixel apart.
    """
    from scipy.ndimage import map_coordinates

    grey = pixels if pixels.ndim == 2 else pixels.mean(axis=2)
    (x0, y0), (x1, y1) = line.start, line.end
    count = math.ceil(line.length) + 1
    along = np.linspace(0.0, 1.0, count)
    x, y = x0 + along * (x1 - x0), y0 + along * (y1 - y0)
    across = (np.arange(line.width) - (line.width - 1) / 2)[:, None] / max(line.length, 1e-9)
    rows, columns = grey.shape
    all_x, all_y = x - across * (y1 - y0), y + across * (x1 - x0)
    inside = (all_x >= 0) & (all_x <= columns) & (all_y >= 0) & (all_y <= rows)
    places = [all_y - 0.5, all_x - 0.5]
    sampled = map_coordinates(grey, places, output=np.float64, order=1, mode="nearest")
    known = inside & np.isfinite(sampled)
    count_across = known.sum(axis=0)
    values = np.full(count, np.nan)
    np.divide(np.where(known, sampled, 0).sum(axis=0), count_across, out=values, where=count_across > 0)
    return Profile(along * line.length, x, y, values)


def seam_positions(line: Line, partition: Partition) -> list[float]:
    """Distances from the line's start, in pixels, at which it crosses the border of a tile inside the image."""
    (x0, y0), (x1, y1) = line.start, line.end
    rows, columns = partition.image_shape
    found: set[float] = set()
    for box in partition.boxes:
        left, top = box.column - partition.pad[1], box.row - partition.pad[0]
        right, bottom = left + box.size, top + box.size
        crossings = [(x, x0, x1, y0, y1, top, bottom, columns) for x in (left, right)]
        crossings += [(y, y0, y1, x0, x1, left, right, rows) for y in (top, bottom)]
        for edge, a0, a1, b0, b1, low, high, limit in crossings:
            if a0 == a1 or not 0 < edge < limit:
                continue
            along = (edge - a0) / (a1 - a0)
            if 0 <= along <= 1 and low <= b0 + along * (b1 - b0) <= high:
                found.add(round(along * line.length, 6))
    return sorted(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Of the finite pixels in a region. ``psnr`` is NaN where there is no truth to compare with."""

    pixels: int
    mean: float
    std: float
    minimum: float
    maximum: float
    median: float
    psnr: float
    non_finite: int


def statistics(
    pixels: Pixels, region: Region, truth: Pixels | None = None, window: tuple[float, float] = (0.0, 1.0)
) -> Statistics | None:
    """Of the pixels whose centres lie in the region; None where it holds none.

    ``window`` holds the intensities that the PSNR calls 0 and 1.
    """
    chosen = region.pixels_of(pixels)
    finite = chosen[np.isfinite(chosen)]
    if not finite.size:
        return None
    found = math.nan
    if truth is not None and truth.shape == pixels.shape and finite.size == chosen.size:
        low, high = window
        mine, its = (
            torch.from_numpy((part - np.float32(low)) / np.float32(high - low))
            for part in (chosen, region.pixels_of(truth))
        )
        found = psnr(mine, its)
    return Statistics(
        pixels=len(chosen),
        mean=float(finite.mean(dtype=np.float64)),
        std=float(finite.std(dtype=np.float64)),
        minimum=float(finite.min()),
        maximum=float(finite.max()),
        median=float(np.median(finite)),
        psnr=found,
        non_finite=int(chosen.size - finite.size),
    )


def profiles_as_csv(
    profiles: Mapping[str, Profile], seams: Sequence[float], spacing: Spacing | None, line: Line
) -> str:
    """One row a sample: distance, x, y, a 1 beside each seam, and one column a picture."""
    first = next(iter(profiles.values()))
    scale = None if spacing is None or not line.length else line.length_mm(spacing) / line.length
    marked = {int(np.abs(first.distance - seam).argmin()) for seam in seams}
    head = ["distance [px]", *([] if scale is None else ["distance [mm]"]), "x [px]", "y [px]", "seam"]
    rows: list[list[object]] = [[*head, *profiles]]
    for i, distance in enumerate(first.distance):
        place = [distance, *([] if scale is None else [distance * scale]), first.x[i], first.y[i]]
        rows.append(
            [
                *(f"{v:.6g}" for v in place),
                int(i in marked),
                *(f"{p.values[i]:.7g}" for p in profiles.values()),
            ]
        )
    return _csv(rows)


STATISTICS_HEAD = ("Picture", "Pixels", "Mean", "Std", "Min", "Max", "Median", "PSNR [dB]")


def statistics_row(name: str, found: Statistics) -> tuple[str, ...]:
    """The cells of one picture, under :data:`STATISTICS_HEAD`."""
    values = (found.mean, found.std, found.minimum, found.maximum, found.median)
    decibels = "" if math.isnan(found.psnr) else f"{found.psnr:.2f}"
    return (name, str(found.pixels), *(f"{value:.6g}" for value in values), decibels)


def statistics_as_csv(rows: Sequence[Sequence[str]]) -> str:
    """The table as it is shown."""
    return _csv([STATISTICS_HEAD, *rows])


def _csv(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
