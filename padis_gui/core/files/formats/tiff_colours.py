"""What a page of a TIFF shows: its palette, inks and opacity become grey or RGB, and it is turned to stand upright.

What cannot be unpacked or has colours of another kind is refused by its name.
"""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.formats.large import ROWS, Block
from padis_gui.core.files.formats.pages import LARGEST, check_sides
from padis_gui.core.settings.errors import InputError

_MOST_SAMPLES = 1024
_READ = ("MINISBLACK", "MINISWHITE", "RGB", "PALETTE", "SEPARATED", "YCBCR", "MASK")
_CALLED = {
    "CIELAB": "CIE L*a*b*", "ICCLAB": "ICC L*a*b*", "ITULAB": "ITU L*a*b*", "CFA": "a camera's colour filter array",
    "LOGL": "LogL", "LOGLUV": "LogLuv", "LINEAR_RAW": "a camera's raw colours",
}  # fmt: skip
_CMYK = 1  # of the tag InkSet
_JPEG = ("JPEG", "OJPEG", "ALT_JPEG", "JPEG_LOSSY", "APERIO_JP2000_YCBC")  # these come unpacked as RGB


def check_readable(page: Any, name: str) -> None:
    """Raise :class:`InputError` unless a page has the size of an image and is of a kind that is read."""
    page = page.keyframe  # a frame leaves out what it has in common with its series
    check_sides(name, (page.imagelength, page.imagewidth))
    _check_packing(page, name)
    kind = getattr(page.photometric, "name", f"colours of kind {page.photometric}")
    inks = page.tags.get("InkSet")
    if kind not in _READ and "PhotometricInterpretation" in page.tags:
        raise InputError(
            f"Grey or RGB was wanted, but {name} is in {_CALLED.get(kind, kind)}; save it as grey or RGB."
        )
    jpeg = getattr(page.compression, "name", "") in _JPEG and page.planarconfig == 1
    if kind == "YCBCR" and not (jpeg and page.samplesperpixel == 3):
        raise InputError(f"Grey or RGB was wanted, but {name} is in YCbCr; save it as grey or RGB.")
    if kind == "SEPARATED" and (page.samplesperpixel < 4 or (inks is not None and inks.value != _CMYK)):
        raise InputError(
            f"Grey, RGB or CMYK was wanted, but {name} is in {page.samplesperpixel} inks of another kind; save it as grey "
            "or RGB."
        )
    depth = page.imagedepth
    tiles = prod((page.tiledepth, page.tilelength, page.tilewidth)) if page.is_tiled else 0
    most = (LARGEST + 4096) ** 2
    if depth > LARGEST or tiles > most or page.samplesperpixel > _MOST_SAMPLES:
        raise InputError(
            f"An image of at most {LARGEST} pixels a side was wanted, but {name} is stored in tiles of "
            f"{page.tilelength} x {page.tilewidth} and {page.samplesperpixel} samples; save it anew."
        )


def _check_packing(page: Any, name: str) -> None:
    """Raise :class:`InputError` with what is missing where a page's numbers cannot be unpacked here."""
    import tifffile

    what = ""
    codec = getattr(page.compression, "name", f"compression {page.compression}")
    predictor = getattr(page.predictor, "name", f"predictor {page.predictor}")
    try:
        if page.compression != 1:
            what = codec
            tifffile.TIFF.DECOMPRESSORS[page.compression]
        if page.predictor != 1 and page.compression not in tifffile.TIFF.IMAGE_COMPRESSIONS:
            what = predictor
            tifffile.TIFF.UNPREDICTORS[page.predictor]
    except KeyError:
        raise InputError(
            f"A TIFF that can be unpacked was wanted, but {name} is packed with {what}, which is not read; save it with "
            "LZW, Deflate or no compression."
        ) from None
    if page.dtype is None:
        raise InputError(
            f"Numbers that can be read were wanted, but {name} stores them in {page.bitspersample} bits and sample format "
            f"{page.sampleformat}; save it with 8, 16 or 32 bits."
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
    if values.ndim == 3 and page.axes.startswith("S"):
        values = np.moveaxis(values, 0, 2)  # planar
    return _shown(values, page, sample, name)


def colours_of_block(block: Block, page: Any, sample: int, name: str) -> Block | None:
    """The same from a part of a page; ``sample`` of what is given is the colour that it begins with. None for opacity."""
    page, values = page.keyframe, block.values
    if page.planarconfig != 2 or page.samplesperpixel == 1:
        found = _shown(values[..., 0] if values.shape[2] == 1 else values, page, sample, name)
        return block._replace(values=np.atleast_3d(found))
    kind = getattr(page.photometric, "name", "")
    if kind in ("RGB", "YCBCR") and page.samplesperpixel >= 3:
        return block if block.sample < 3 else None
    _check_sample(sample, page.samplesperpixel, name)
    if block.sample != (0 if kind == "PALETTE" else sample):
        return None
    return block._replace(sample=0, values=np.atleast_3d(_shown(values[..., 0], page, 0, name)))


def is_mixed(page: Any) -> bool:
    """Whether a colour is made of several numbers that are stored apart."""
    page = page.keyframe
    return getattr(page.photometric, "name", "") == "SEPARATED" and page.planarconfig == 2


def is_coloured(page: Any) -> bool:
    """Whether a page becomes RGB."""
    page = page.keyframe
    kind = getattr(page.photometric, "name", "")
    return kind in ("PALETTE", "SEPARATED") or (kind in ("RGB", "YCBCR") and page.samplesperpixel >= 3)


def _check_sample(sample: int, samples: int, name: str) -> None:
    if sample >= samples:
        raise InputError(
            f"Channel {sample} was wanted, but {name} has the channels 0 to {samples - 1}; choose one of those."
        )


def _shown(values: NDArray[Any], page: Any, sample: int, name: str) -> NDArray[Any]:
    """What samples (rows, columns), or beside each other (rows, columns, samples), show."""
    kind = getattr(page.photometric, "name", "")
    if kind == "PALETTE":
        return _from_palette(values if values.ndim == 2 else values[..., 0], page.colormap, name)
    if values.ndim == 3:
        if kind in ("RGB", "YCBCR") and values.shape[2] >= 3:
            return values[..., :3]
        if kind == "SEPARATED":
            return _from_inks(values, page.bitspersample, name)
        _check_sample(sample, values.shape[2], name)
        values = values[..., sample]
    if kind == "MINISWHITE" and values.dtype.kind == "u":
        white = (1 << min(page.bitspersample, 8 * values.itemsize)) - 1
        return np.asarray(white - values, dtype=values.dtype)
    return ~values if kind == "MINISWHITE" and values.dtype == np.bool_ else values


def _from_palette(values: NDArray[Any], colormap: Any, name: str) -> NDArray[Any]:
    """The 8-bit colours that numbers stand for in a palette (3, n) of 16 bits, or of 8 as some programs write it."""
    if colormap is None or values.dtype.kind not in "bu":
        raise InputError(
            f"Colours were wanted, but {name} has a palette that is missing or of {values.dtype}; save it as grey or RGB."
        )
    palette = np.asarray(colormap)
    # libtiff's rule: where nothing goes beyond 255, the palette is one of 8 bits
    palette = (palette >> 8 if palette.size and palette.max() > 255 else palette).astype(np.uint8)
    if values.size and int(values.max()) >= palette.shape[1]:
        raise InputError(
            f"Colours were wanted, but {name} uses number {int(values.max())} of a palette of {palette.shape[1]}; get a "
            "fresh copy."
        )
    colours = palette.T
    return _by_rows(values, np.dtype(np.uint8), lambda some: colours[some.astype(np.intp)])


def _by_rows(
    values: NDArray[Any], kind: np.dtype, convert: Callable[[NDArray[Any]], NDArray[Any]]
) -> NDArray[Any]:
    """Colours (rows, columns, 3) of a few rows at a time: what is made on the way is larger than both."""
    found = np.empty((*values.shape[:2], 3), kind)
    for first in range(0, len(values), ROWS):
        found[first : first + ROWS] = convert(values[first : first + ROWS])
    return found


def _from_inks(values: NDArray[Any], bits: int, name: str) -> NDArray[Any]:
    """The light that cyan, magenta, yellow and black leave, in the same type; what comes after them is opacity.

    Inks are full at the highest number of their bits, and floats at 1.
    """
    inks = values[..., :4]
    if inks.dtype.kind not in "uf" or (inks.dtype.kind == "f" and inks.size and float(np.nanmax(inks)) > 1):
        raise InputError(
            f"Inks from 0 to full were wanted, but {name} has them as {inks.dtype} of another range; save it as RGB."
        )
    floats = inks.dtype.kind == "f"
    white = np.float32((1 << min(bits, 8 * inks.itemsize)) - 1)
    # float32 rounds the largest of 32 bits up to what would become 0
    most = np.float64(0 if floats else np.iinfo(inks.dtype).max)

    def light_of(some: NDArray[Any]) -> NDArray[Any]:
        light = 1 - (some if floats else some.astype(np.float32) / white)
        left = light[..., :3] * light[..., 3:]
        return np.asarray(left if floats else np.minimum(np.rint(left * white), most).astype(inks.dtype))

    return _by_rows(inks, inks.dtype, light_of)


def _orientation(page: Any) -> int:
    """How a page is to be turned: 1 to 8, as TIFF 6.0 numbers the corner that its first pixel belongs in."""
    tag = page.keyframe.tags.get("Orientation")
    found = int(tag.value) if tag is not None and tag.count == 1 else 1
    return found if 1 <= found <= 8 else 1


def stands_upright(page: Any) -> bool:
    """Whether a page is to be shown as it is stored."""
    return _orientation(page) == 1


def is_on_its_side(page: Any) -> bool:
    """Whether the rows of a page are stored as its columns."""
    return _orientation(page) >= 5


def upright(values: NDArray[Any], page: Any) -> NDArray[Any]:
    """A page (rows, columns) or (rows, columns, 3) turned so that its first pixel is at the upper left."""
    orientation = _orientation(page)
    if orientation >= 5:
        values = values.swapaxes(0, 1)
    return _flipped(values, orientation)


def as_stored(values: NDArray[Any], page: Any) -> NDArray[Any]:
    """What :func:`upright` undoes: a view of a page that stands upright as it is stored."""
    values = _flipped(values, _orientation(page))
    return values.swapaxes(0, 1) if is_on_its_side(page) else values


def _flipped(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    rows, columns = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return values[:: -1 if rows else 1, :: -1 if columns else 1]
