"""From what a TIFF page stores to intensities: colours, palettes, bits, and what cannot be unpacked."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.formats.pages import LARGEST, check_sides
from padis_gui.core.settings.errors import InputError

_MOST_SAMPLES = 1024
_READ = ("MINISBLACK", "MINISWHITE", "RGB", "PALETTE", "SEPARATED", "YCBCR", "MASK")
_JPEG = ("JPEG", "OJPEG", "ALT_JPEG", "JPEG_LOSSY", "APERIO_JP2000_YCBC")  # these come unpacked as RGB


def check_readable(page: Any, name: str) -> None:
    """Raise :class:`InputError` unless a page has the size of an image and its colours are of a kind that is read."""
    page = page.keyframe  # a frame leaves out what it has in common with its series
    check_sides(name, (page.imagelength, page.imagewidth))
    kind = getattr(page.photometric, "name", "")
    packing = getattr(page.compression, "name", str(page.compression))
    if kind and kind not in _READ:
        raise InputError(f"Grey or RGB was wanted, but {name} is in {kind}; save it as grey or RGB.")
    if kind == "YCBCR" and packing not in _JPEG:
        raise InputError(f"Grey or RGB was wanted, but {name} is in YCbCr; save it as grey or RGB.")
    depth = page.imagedepth
    tiles = prod((page.tiledepth, page.tilelength, page.tilewidth)) if page.is_tiled else 0
    most = (LARGEST + 4096) ** 2
    if depth > LARGEST or tiles > most or page.samplesperpixel > _MOST_SAMPLES:
        raise InputError(
            f"An image of at most {LARGEST} pixels a side was wanted, but {name} is stored in tiles of "
            f"{page.tilelength} x {page.tilewidth} and {page.samplesperpixel} samples; save it anew."
        )


def check_whole(page: Any, name: str) -> None:
    """Raise :class:`InputError` where the file ends before the page does: some decoders would make up the rest."""
    if page.keyframe.compression == 1:  # what is not compressed is missed anyway
        return
    size = page.parent.filehandle.size
    if any(
        start + length > size for start, length in zip(page.dataoffsets, page.databytecounts, strict=False)
    ):
        raise InputError(f"A whole page was wanted, but {name} ends before its last pixel; get a fresh copy.")


def colours_of(values: NDArray[Any], page: Any, sample: int, name: str) -> NDArray[Any]:
    """Grey (rows, columns) or RGB (rows, columns, 3) from a stored page; ``sample`` chooses among others than colours."""
    page = page.keyframe
    kind = getattr(page.photometric, "name", "")
    if values.ndim == 3 and page.axes.startswith("S"):
        values = np.moveaxis(values, 0, 2)  # planar
    if kind == "PALETTE" and page.colormap is not None and values.ndim == 2:
        palette = (np.asarray(page.colormap) >> 8).astype(np.uint8)
        return np.moveaxis(palette[:, values], 0, 2)
    if values.ndim == 3:
        if kind in ("RGB", "YCBCR") and values.shape[2] >= 3:
            return values[..., :3]
        if kind == "SEPARATED" and values.shape[2] == 4 and values.dtype.kind == "u":
            return _from_inks(values)
        if sample >= values.shape[2]:
            raise InputError(
                f"Channel {sample} was wanted, but {name} has the channels 0 to {values.shape[2] - 1}; choose one of "
                "those."
            )
        values = values[..., sample]
    if kind == "MINISWHITE" and values.dtype.kind == "u":
        white = (1 << min(page.bitspersample, 8 * values.itemsize)) - 1
        return np.asarray(white - values, dtype=values.dtype)
    return ~values if kind == "MINISWHITE" and values.dtype == np.bool_ else values


def _from_inks(values: NDArray[Any]) -> NDArray[Any]:
    """CMYK as the light that its inks leave, in the same type."""
    white = np.float32(np.iinfo(values.dtype).max)
    light = 1 - values.astype(np.float32) / white
    return np.asarray(np.rint(light[..., :3] * light[..., 3:] * white), dtype=values.dtype)
