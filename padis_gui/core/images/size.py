"""What is taken of a picture: a region, binned and resampled; and its pixels that are no numbers, replaced.

The order is crop, then binning, then resampling.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.images.image import Image, Pixels, ReadingSettings
from padis_gui.core.settings.errors import InputError, SettingError

Spacing = tuple[float, float]
Box = tuple[int, int, int, int]  # left, top, width, height in pixels

SMALLEST, LARGEST = 16, 8192  # px a side of what is reconstructed
_MOST_REPLACED = 2**24  # pixels, each of which takes some 50 bytes on the way
_AROUND = 2  # pixels to each side among which the median is taken
_AT_ONCE = 2**18


def taken(
    name: str, pixels: Pixels, spacing: Spacing | None, reading: ReadingSettings
) -> tuple[Pixels, Spacing | None]:
    """What the reading takes of a picture (C, rows, columns) called ``name``, and the pixel pitch that it has then.

    ``spacing`` is the pitch (rows, columns) in mm of the picture as it is in its file. The pixel size that the reading
    states is that of the file's pixels too. Raises :class:`SettingError` where less than 16 or more than 8192 pixels a
    side would be left, or the region is not one of the picture.
    """
    if reading.pixel_pitch is not None:
        spacing = reading.pixel_pitch, reading.pixel_pitch
    if not reading.reduces:
        return pixels, spacing
    rows, columns = pixels.shape[1:]
    left, top, width, height = _region(name, (rows, columns), reading)
    found = pixels[:, top : top + height, left : left + width]
    if reading.pixel_binning > 1:
        found = binned(found, reading.pixel_binning)
        spacing = _scaled(spacing, reading.pixel_binning, reading.pixel_binning)
    before = found.shape[1:]
    if reading.longest_side is not None:
        found = resampled(found, _with_longest(before, reading.longest_side))
        spacing = _scaled(spacing, before[0] / found.shape[1], before[1] / found.shape[2])
    if not all(SMALLEST <= side <= LARGEST for side in found.shape[1:]):
        raise SettingError(
            f"{SMALLEST} to {LARGEST} pixels a side were wanted, but this crop, binning and size leave "
            f"{found.shape[2]} × {found.shape[1]} of {name}; take more of it."
        )
    return np.ascontiguousarray(found), spacing


def _region(name: str, shape: tuple[int, int], reading: ReadingSettings) -> Box:
    """The region that is taken of a picture of ``shape`` (rows, columns)."""
    if not reading.crop:
        return 0, 0, shape[1], shape[0]
    left, top, width, height = reading.crop
    if left + width > shape[1] or top + height > shape[0]:
        raise SettingError(
            f"A region inside the {shape[1]} × {shape[0]} pixels of {name} was wanted, but the crop reaches to column "
            f"{left + width} and row {top + height}; make it smaller, or empty for the whole picture."
        )
    return left, top, width, height


def _with_longest(shape: tuple[int, int], longest: int) -> tuple[int, int]:
    rows, columns = (max(1, round(side * longest / max(shape))) for side in shape)
    return rows, columns


def _scaled(spacing: Spacing | None, rows: float, columns: float) -> Spacing | None:
    return None if spacing is None else (spacing[0] * rows, spacing[1] * columns)


def binned(pixels: Pixels, by: int) -> Pixels:
    """The mean of each ``by`` × ``by`` pixels of (C, rows, columns); a rest is left out, at both ends alike."""
    channels, *sides = pixels.shape
    rows, columns = (side // by for side in sides)
    top, left = (side % by // 2 for side in sides)
    kept = pixels[:, top : top + rows * by, left : left + columns * by]
    mean: Pixels = kept.reshape(channels, rows, by, columns, by).mean(axis=(2, 4), dtype=np.float32)
    return mean


def resampled(pixels: Pixels, shape: tuple[int, int]) -> Pixels:
    """(C, rows, columns) on a grid of ``shape`` (rows, columns) over the same area.

    A side that becomes shorter takes the mean over each new pixel's area; one that becomes longer is linear between
    the old pixels.
    """
    if pixels.shape[1:] == shape:
        return pixels
    from skimage.transform import resize, resize_local_mean

    shrinks = shape[0] <= pixels.shape[1] and shape[1] <= pixels.shape[2]
    if shrinks:
        found = resize_local_mean(  # type: ignore[no-untyped-call]
            pixels, shape, channel_axis=0, preserve_range=True
        )
    else:
        found = resize(  # type: ignore[no-untyped-call]
            pixels, (len(pixels), *shape), order=1, mode="edge", anti_aliasing=False, preserve_range=True
        )
    return np.asarray(found, dtype=np.float32)


# Squares and sums of squares of values beyond it are no numbers of single precision
_LARGEST_VALUE = 1e15


def check_range(name: str, pixels: Pixels) -> None:
    """Raise :class:`InputError` for finite pixels that single precision cannot compute with."""
    largest = max(abs(float(pixels.max())), abs(float(pixels.min())))
    if largest > _LARGEST_VALUE:
        raise InputError(
            f"Values of at most {_LARGEST_VALUE:g} were wanted, but {name} has some of {largest:.3g}; divide it by a power "
            "of ten."
        )


def replaced(name: str, pixels: Pixels) -> tuple[Pixels, tuple[str, ...]]:
    """Pixels (C, rows, columns) with finite numbers in the place of NaN and infinity, and a sentence that says how many.

    Each becomes the median of the finite pixels among the 5 × 5 around it; where there are none, the value of the
    nearest finite one. Raises :class:`InputError` where no pixel of a channel is finite.
    """
    bad = sum(plane.size - int(np.count_nonzero(np.isfinite(plane))) for plane in pixels)
    if not bad:
        return pixels, ()
    if pixels[0].size > _MOST_REPLACED:
        raise InputError(
            f"A picture of at most {_MOST_REPLACED} pixels was wanted where some are to be replaced, but {name} has "
            f"{pixels[0].size}; replace them in the file, or cut it into parts."
        )
    finite = np.isfinite(pixels)
    if not finite.any(axis=(1, 2)).all():
        raise InputError(
            f"Some finite pixels were wanted to replace the others by, but {name} has none; open another image."
        )
    filled = np.stack([_filled(plane, known) for plane, known in zip(pixels, finite, strict=True)])
    were = "number that was" if bad == 1 else "numbers that were"
    return filled, (
        f"{bad} {were} NaN or infinite {'was' if bad == 1 else 'were'} replaced from the neighbours.",
    )


def _filled(plane: Pixels, known: NDArray[np.bool_]) -> Pixels:
    """A plane (rows, columns) with what is not ``known`` taken from around it."""
    from scipy.ndimage import distance_transform_edt

    if known.all():
        return plane
    distance, nearest = distance_transform_edt(~known, return_indices=True)
    found: Pixels = plane[nearest[0], nearest[1]]  # a copy
    side = 2 * _AROUND + 1
    padded = np.pad(np.where(known, plane, np.nan), _AROUND, constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, (side, side))
    rows, columns = np.nonzero(~known & (distance < _AROUND * 2**0.5 + 0.1))  # some of the square is known
    for first in range(0, len(rows), _AT_ONCE):
        at = rows[first : first + _AT_ONCE], columns[first : first + _AT_ONCE]
        found[at] = np.nanmedian(around[at].reshape(-1, side * side), axis=1)
    return found


def covered(image: Image) -> Box:
    """Which pixels of its file a picture shows; the region that was taken, without what binning leaves out."""
    rows, columns = image.stored_shape or image.shape
    left, top, width, height = image.reading.crop or (0, 0, columns, rows)
    by = image.reading.pixel_binning
    return left + width % by // 2, top + height % by // 2, width // by * by, height // by * by


def region_in_file(image: Image, region: Box) -> Box:
    """A region of a picture's own pixels in those of its file: a crop of a crop is one crop."""
    left, top, width, height = covered(image)
    across, down = width / image.shape[1], height / image.shape[0]
    x0, y0 = left + region[0] * across, top + region[1] * down
    x1, y1 = x0 + region[2] * across, y0 + region[3] * down
    x0, y0, x1, y1 = (round(v) for v in (x0, y0, x1, y1))
    return int(x0), int(y0), max(1, int(x1 - x0)), max(1, int(y1 - y0))


def smaller(image: Image, by: int) -> dict[str, Any]:
    """The changes of an image's reading with which it has 1/``by`` of its sides over the same field of view."""
    reading, side = image.reading, max(image.shape)
    if image.is_scan:
        pitch = reading.pixel_pitch
        return {"image_size": side // by} | ({} if pitch is None else {"pixel_pitch": pitch * by})
    if reading.longest_side is not None:
        return {"longest_side": side // by}
    return {"pixel_binning": reading.pixel_binning * by}


def size_in_words(image: Image) -> str:
    """The size of what will be reconstructed, width × height, and of what it is a part or a reduction."""
    rows, columns = image.shape
    own = f"{columns} × {rows} px"
    if image.is_scan:
        return f"image of {own}"
    if image.stored_shape is None or not image.reading.reduces:
        return f"full resolution {own}"
    whole = f"{image.stored_shape[1]} × {image.stored_shape[0]}"
    crop = image.reading.crop
    if not crop:
        return (
            f"full resolution {own}"
            if whole == f"{columns} × {rows}"
            else f"{_changed(image)} to {own} from {whole}"
        )
    place = f"at {crop[0]}, {crop[1]} of {whole}"
    if (crop[2], crop[3]) == (columns, rows):
        return f"cropped to {own} {place}"
    return f"cropped to {crop[2]} × {crop[3]} {place}, {_changed(image)} to {own}"


def _changed(image: Image) -> str:
    width = image.reading.crop[2] if image.reading.crop else (image.stored_shape or image.shape)[1]
    return "reduced" if image.shape[1] <= width else "enlarged"
