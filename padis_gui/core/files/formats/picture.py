"""PNG, JPEG, BMP and what else Pillow reads: one page. And what JPEG, JPEG-LS and JPEG 2000 say of themselves before they
are unpacked, here and in DICOM: size, bits and sign."""

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.formats.large import LARGE, ROWS, Room, check_memory
from padis_gui.core.files.formats.pages import Page, Pages, Part, check_sides, page_of
from padis_gui.core.settings.errors import InputError

KIND = "picture"
_PNG = b"\x89PNG\r\n\x1a\n"
_DEEP_COLOURS = {
    2: 3,
    4: 2,
    6: 4,
}  # samples of PNG's colour types RGB, grey with opacity and RGB with opacity
# Markers of a JPEG that begin a frame (ITU-T T.81, table B.1, and T.87 for JPEG-LS), and those without a length
LOSSLESS, JPEG_LS = 0xC3, 0xF7
_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), JPEG_LS)
_BARE = (0x01, *range(0xD0, 0xD9))
_CODESTREAM = b"\xff\x4f\xff\x51"  # SOC and SIZ, the first markers of JPEG 2000 (ITU-T T.800, A.4 and A.5)
_SIZ = 40  # bytes from SIZ's marker up to its first component
END = b"\xff\xd9"
# What Pillow unpacks by itself: others start programs (EPS), or only tell what a file is
_SORTS = (
    "AVIF", "BLP", "BMP", "DCX", "DDS", "DIB", "FITS", "FTEX", "GBR", "GIF", "ICNS", "ICO", "IM", "JPEG", "JPEG2000", "MSP",
    "PCD", "PCX", "PIXAR", "PNG", "PPM", "PSD", "QOI", "SGI", "SPIDER", "SUN", "TGA", "TIFF", "WEBP", "XBM", "XPM",
)  # fmt: skip
_CONVERTED = ("P", "LA", "PA", "CMYK", "YCbCr", "HSV", "RGBA")
# Bytes that a decoder takes for each pixel, and for each of its samples, as measured
_COPIES = {"WEBP": (20, 0), "JPEG2000": (4, 8)}
_MOST_SLOWLY = 3 * 2**22
_MOST_LOOKED_AT = 2**28
_FEW_SCANS, _MOST_SCANNED = 16, 2**32  # pixels, as often as they are gone over: some seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """``sides`` (rows, columns), bits a sample, how many samples a pixel, and the marker of its frame (0: JPEG 2000)."""

    sides: tuple[int, int]
    bits: int
    samples: int
    marker: int = 0
    signed: bool = False


def jpeg_frame(file: BinaryIO) -> Coded | None:
    """What a JPEG says of itself; None where ``file`` does not stand at the start of one."""
    if file.read(2) != b"\xff\xd8":
        return None
    while (marker := file.read(2)) and marker[0] == 0xFF and len(marker) == 2:
        if marker[1] == 0xFF:  # a byte that fills up
            file.seek(-1, 1)
            continue
        if marker[1] in _BARE:
            continue
        length = int.from_bytes(file.read(2), "big")
        if marker[1] in _FRAMES:
            frame = file.read(6)
            if len(frame) < 6:
                return None
            sides = frame[1] << 8 | frame[2], frame[3] << 8 | frame[4]
            return Coded(sides=sides, bits=frame[0], samples=frame[5], marker=marker[1])
        if length < 2:
            return None
        file.seek(length - 2, 1)
    return None


def check_scans(name: str, data: bytes, pixels: int) -> None:
    """Raise :class:`InputError` where a JPEG goes over its ``pixels`` so often that it would take minutes.

    A scan over all of them that changes nothing takes a hundred bytes, and there may be any number.
    """
    scans = data.count(b"\xff\xda")  # SOS; within a scan another byte follows 0xff
    if scans > _FEW_SCANS and scans * pixels > _MOST_SCANNED:
        raise InputError(
            f"A JPEG of at most {max(_FEW_SCANS, _MOST_SCANNED // pixels)} scans was wanted at this size, but {name} has "
            f"{scans}; save it anew."
        )


def jpeg_2000_frame(data: bytes) -> Coded | None:
    """What a JPEG 2000 says of itself, alone or inside JP2; None for what is none, or has no first component."""
    at = data.find(_CODESTREAM, 0, 4096)
    if at < 0 or len(data) < at + 2 + _SIZ + 1:
        return None
    siz = data[at + 2 :]
    right, bottom, left, top = (int.from_bytes(siz[n : n + 4], "big") for n in (6, 10, 14, 18))
    depth = siz[_SIZ]
    return Coded(
        sides=(bottom - top, right - left), bits=(depth & 0x7F) + 1,
        samples=int.from_bytes(siz[38:40], "big"), signed=depth > 0x7F,
    )  # fmt: skip


class _Deep(NamedTuple):
    """A picture with more bits than Pillow keeps; ``sides`` are (rows, columns)."""

    codec: Literal["png", "jpeg"]
    bits: int
    sides: tuple[int, int]
    samples: int


def open_picture(path: Path, readable: str) -> Pages:
    """A picture of one page, whose pixels are unpacked when they are read.

    ``readable`` lists what could be opened instead, for the message where it is none.
    """
    return _Picture(path, readable)


def _deep(path: Path) -> _Deep | None:
    """What such a picture is; None for all others."""
    with path.open("rb") as file:
        start = file.read(26)
        if start[:8] == _PNG and len(start) == 26:
            columns, rows = int.from_bytes(start[16:20], "big"), int.from_bytes(start[20:24], "big")
            samples = _DEEP_COLOURS.get(start[25])
            return _Deep("png", 16, (rows, columns), samples) if start[24] == 16 and samples else None
        file.seek(0)
        coded = jpeg_frame(file)
    if coded is None or coded.bits <= 8 or coded.marker == JPEG_LS:
        return None
    return _Deep("jpeg", coded.bits, coded.sides, coded.samples)


def _is_transparent(png: bytes) -> bool:
    """Whether a chunk before the pixels makes a colour transparent: the decoder adds opacity then."""
    at = len(_PNG)
    while at + 8 <= len(png) and png[at + 4 : at + 8] not in (b"tRNS", b"IDAT"):
        at += 12 + int.from_bytes(png[at : at + 4], "big")
    return png[at + 4 : at + 8] == b"tRNS"


class _Picture(Pages):
    def __init__(self, path: Path, readable: str) -> None:
        super().__init__(path, KIND)
        self._path, self._readable = path, readable

    def sides(self, page: int) -> tuple[int, int] | None:
        """As its header says, turned as the pixels will be."""
        from PIL import ExifTags
        from PIL import Image as Pillow

        if (deep := _deep(self._path)) is not None:
            return deep.sides
        with Pillow.open(self._path, formats=_SORTS) as picture:
            columns, rows = picture.size
            turned = picture.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
        return (columns, rows) if turned else (rows, columns)

    def _read(self, page: int, part: Part) -> Page:
        if (deep := _deep(self._path)) is not None:
            check_sides(self.name, deep.sides)
            values = self._unpacked(deep)
            return page_of(
                values[part], self.name, window=(0.0, float(2**deep.bits - 1)), stored=np.dtype(np.uint16)
            )
        found = self._by_pillow()
        stored = found.values.dtype if isinstance(found, Room) else found.dtype
        values = found.planes() if isinstance(found, Room) else found
        deeper = stored.kind in "iu" and stored.itemsize > 1
        white = 65535.0 if deeper else 1.0 if stored == np.bool_ else 255.0
        return page_of(values[part], self.name, window=(0.0, white), stored=stored)

    def _check_cost(self, picture: Any) -> None:
        """Raise :class:`InputError` where unpacking an opened picture would take too much memory, or too long."""
        from PIL import Image as Pillow

        columns, rows = picture.size
        pixels, samples = rows * columns, len(picture.getbands())
        if picture.format in _COPIES:
            by_pixel, by_sample = _COPIES[picture.format]
            check_memory(self.name, pixels * (by_pixel + by_sample * samples))
        if any(tile[0] == "fits_gzip" for tile in picture.tile):  # how much comes of it is not looked at
            raise InputError(
                f"FITS without compression was wanted, but {self.name} is compressed; save it without."
            )
        if picture.info.get("progressive"):
            with self._path.open("rb") as file:
                check_scans(self.name, file.read(_MOST_LOOKED_AT), pixels)
        # some of Pillow's decoders are written in Python
        if pixels * samples > _MOST_SLOWLY and any(tile[0] in Pillow.DECODERS for tile in picture.tile):
            raise InputError(
                f"At most {_MOST_SLOWLY} values were wanted in a picture that is unpacked one value after the other, but "
                f"{self.name} ({picture.format}) has {pixels * samples}; save it as PNG or TIFF."
            )

    def _unpacked(self, deep: _Deep) -> NDArray[Any]:
        """All bits of a picture: grey, or RGB without its opacity."""
        import imagecodecs

        data = self._path.read_bytes()
        if deep.codec == "jpeg" and END not in data[-64:]:  # the decoder would make up the rest
            raise ValueError("it ends before its last pixel")
        if deep.codec == "jpeg":
            check_scans(self.name, data, prod(deep.sides))
        decode = imagecodecs.png_decode if deep.codec == "png" else imagecodecs.jpeg_decode
        samples = 4 if deep.samples == 3 and deep.codec == "png" and _is_transparent(data) else deep.samples
        if samples < 3 or 2 * prod(deep.sides) * samples <= LARGE:
            values = np.asarray(decode(data))
            return values[..., 0] if values.ndim == 3 and values.shape[2] == 2 else values
        room = Room((*deep.sides, samples), np.uint16)
        decode(data, out=room.values)
        return room.planes()

    def _by_pillow(self) -> NDArray[Any] | Room:
        """What Pillow reads, grey or RGB; large colours in a room, as its own copy must go before they are converted."""
        from PIL import Image as Pillow
        from PIL import ImageOps, UnidentifiedImageError

        try:
            with Pillow.open(self._path, formats=_SORTS) as picture:
                check_sides(self.name, picture.size[::-1])
                self._check_cost(picture)
                ImageOps.exif_transpose(picture, in_place=True)  # cameras store how they were held
                if picture.mode == "LAB":
                    raise InputError(
                        f"Grey or RGB was wanted, but {self.name} is in CIE L*a*b*; save it as grey or RGB."
                    )
                if picture.mode not in _CONVERTED and picture.mode != "RGB":
                    return np.asarray(picture)
                wanted = "L" if picture.mode == "LA" else "RGB"
                columns, rows = picture.size
                if wanted == "L" or 3 * rows * columns <= LARGE:
                    return np.asarray(picture.convert(wanted))
                room = Room((rows, columns, 3), np.uint8)
                for first in range(0, rows, ROWS):
                    last = min(first + ROWS, rows)
                    strip = picture.crop((0, first, columns, last))
                    room.values[first:last] = np.asarray(strip.convert(wanted))
                return room
        except UnidentifiedImageError:
            raise InputError(
                f"An image ({self._readable}) was wanted, but {self.name} is none that can be read; open an image file."
            ) from None
