"""Masks of missing pixels as pictures: white is missing."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.settings._j_files__core_atomic import write_atomically
from padis_gui.core.settings.errors import InputError

Mask = NDArray[np.bool_]


def write_mask(path: Path, missing: Mask) -> None:
    """Write a mask (rows, columns) as an 8-bit PNG, 255 where a pixel is missing.

    Raises :class:`InputError` where the disk refuses.
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(missing.astype(np.uint8) * 255).save(buffer, "PNG")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        raise InputError(
            f"The mask was to be written to {path}, but the disk refuses ({error.strerror}); choose another place."
        ) from None


def stamp(
    missing: Mask, start: tuple[float, float], end: tuple[float, float], radius: float, *, value: bool
) -> None:
    """Set the pixels whose middle lies within ``radius`` of the line from start to end, each (row, column), in place.

    Coordinates are those of pixel edges: the first pixel's middle is (0.5, 0.5). At least the pixels that both ends
    lie in are set.
    """
    rows, columns = missing.shape
    (top, left), (bottom, right) = (np.minimum(start, end) - radius), (np.maximum(start, end) + radius)
    r0, r1 = max(int(np.floor(top)), 0), min(int(np.ceil(bottom)) + 1, rows)
    c0, c1 = max(int(np.floor(left)), 0), min(int(np.ceil(right)) + 1, columns)
    if r0 < r1 and c0 < c1:
        row, column = np.mgrid[r0:r1, c0:c1] + 0.5
        way = np.subtract(end, start)
        square = float(way @ way)
        along = 0.0 if square == 0 else ((row - start[0]) * way[0] + (column - start[1]) * way[1]) / square
        along = np.clip(along, 0.0, 1.0)
        distance = np.hypot(row - start[0] - along * way[0], column - start[1] - along * way[1])
        missing[r0:r1, c0:c1][distance <= radius] = value
    for point in (start, end):
        r, c = (int(np.floor(v)) for v in point)
        if 0 <= r < rows and 0 <= c < columns:
            missing[r, c] = value


def fill_box(
    missing: Mask, corner: tuple[float, float], opposite: tuple[float, float], *, value: bool
) -> None:
    """Set the pixels that a box between two corners (row, column) touches, in place."""
    (top, left), (bottom, right) = np.minimum(corner, opposite), np.maximum(corner, opposite)
    rows = slice(max(int(np.floor(top)), 0), max(int(np.floor(bottom)) + 1, 0))
    columns = slice(max(int(np.floor(left)), 0), max(int(np.floor(right)) + 1, 0))
    missing[rows, columns] = value
