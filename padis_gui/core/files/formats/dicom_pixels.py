"""The stored numbers of DICOM's frames, however they are packed; and what is DICOM without saying so.

A file is read within bounds: the picture inside a frame must have the size that the header states before it is unpacked.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.formats.pages import display_name, quietly, shown
from padis_gui.core.files.formats.picture import (
    END,
    JPEG_LS,
    LOSSLESS,
    Coded,
    check_scans,
    jpeg_2000_frame,
    jpeg_frame,
)
from padis_gui.core.settings.errors import InputError

_PREAMBLE = 128
_DEFLATED, _PLAIN = b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.1\0\0\0"
# JPEG, JPEG lossless, JPEG-LS, JPEG 2000 and its high throughput
_READ = tuple(
    f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70, 80, 81, 90, 91, 92, 93, 201, 202, 203)
)  # fmt: skip
_RLE = "1.2.840.10008.1.2.5"
_MOST_INFLATED = 2**28  # bytes
_MOST_META = 2**16
_PIXEL_DATA = (b"\xe0\x7f", b"\x7f\xe0")  # group 7FE0 in either byte order
_UNDEFINED = 0xFFFFFFFF
# value representations whose length takes four bytes after two that are reserved, and the others (PS3.5 7.1.2)
_LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
_SHORT = (
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS",
    b"ST", b"TM", b"UI", b"UL", b"US",
)  # fmt: skip
_FIRST_GROUPS = (2, 8)
_ENOUGH_ELEMENTS = 3


def begins_with_elements(start: bytes) -> bool:
    """Whether bytes are the first elements of a DICOM data set, with neither preamble nor meta information."""
    return any(_elements(start, order) for order in "<>")


def _elements(start: bytes, order: str) -> bool:
    at, before, count = 0, (0, 0), 0
    while at + 12 <= len(start) and count < _ENOUGH_ELEMENTS:
        group, element = struct.unpack_from(f"{order}HH", start, at)
        kind = start[at + 4 : at + 6]
        if kind in _LONG:
            length, header = struct.unpack_from(f"{order}I", start, at + 8)[0], 12
        elif kind in _SHORT:
            length, header = struct.unpack_from(f"{order}H", start, at + 6)[0], 8
        else:  # the value representation is implicit
            length, header = struct.unpack_from(f"{order}I", start, at + 4)[0], 8
        if (not count and group not in _FIRST_GROUPS) or (group, element) <= before:
            return False
        if length == _UNDEFINED:
            return count > 0
        if length % 2 or length > 2**20:
            return False
        at, before, count = at + header + length, (group, element), count + 1
    return count == _ENOUGH_ELEMENTS or (count > 1 and at > len(start))


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A DICOM file to be read; a deflated data set is inflated, within bounds."""
    with path.open("rb") as file:
        start = file.read(_MOST_META)
        at = _PREAMBLE + 4 if start[_PREAMBLE : _PREAMBLE + 4] == b"DICM" else 0
        if start[at : at + 8] != b"\x02\0\0\0UL\x04\0":
            file.seek(0)
            yield file
            return
        end = at + 12 + int.from_bytes(start[at + 8 : at + 12], "little")
        meta = start[:end]
        if _DEFLATED not in meta[at:]:
            file.seek(0)
            yield file
            return
        file.seek(end)
        inflating = zlib.decompressobj(-zlib.MAX_WBITS)
        body = inflating.decompress(file.read(_MOST_INFLATED), _MOST_INFLATED)
        if len(body) >= _MOST_INFLATED:
            raise InputError(
                f"A DICOM file of at most {_MOST_INFLATED // 2**20} MB was wanted, but {display_name(path)} unpacks to "
                "more; save it without deflating it."
            )
        yield io.BytesIO(meta.replace(_DEFLATED, _PLAIN) + body)


def read_elements(file: BinaryIO, tags: list[str] | None = None) -> Any:
    """The data set up to its pixels, where ``file`` stands afterwards; only some ``tags`` of it where they are given.

    A transfer syntax that is not stated is the one that it is written in.
    """
    quietly("pydicom")
    from pydicom import dcmread, uid

    file.seek(0)
    start = file.read(520)
    file.seek(0)
    force = start[_PREAMBLE : _PREAMBLE + 4] != b"DICM" and begins_with_elements(start)
    header = dcmread(file, stop_before_pixels=True, specific_tags=tags, force=force)
    if not header.file_meta.get("TransferSyntaxUID"):
        implicit, little = header.original_encoding
        header.file_meta.TransferSyntaxUID = (
            uid.ImplicitVRLittleEndian
            if implicit
            else uid.ExplicitVRLittleEndian
            if little
            else uid.ExplicitVRBigEndian
        )
    return header


def has_pixels(file: BinaryIO) -> bool:
    """Whether the data set that was read from ``file`` goes on with pixels of its own: an icon, an overlay are none."""
    at = file.tell()
    found = file.read(2) in _PIXEL_DATA
    file.seek(at)
    return found


def read_stored(path: Path, frame: int, header: Any) -> tuple[NDArray[Any], tuple[str, ...]]:
    """The stored numbers of a frame, (rows, columns) or (rows, columns, 3) of colours, and what is odd about them.

    Raises :class:`InputError` where the pixels are packed in a way that is not read.
    """
    from pydicom import uid
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.pixels.utils import pixel_array

    notes: tuple[str, ...] = ()
    syntax = header.file_meta.TransferSyntaxUID
    with opened(path) as file:
        read_elements(file, ["Rows"])
        found = None
        if _packed(file, syntax.is_little_endian, syntax.is_implicit_VR) and syntax != _RLE:
            found = _unpacked(file, frame, header, display_name(path))
            syntax = uid.JPEGBaseline8Bit  # whatever else it says, where that is what it is
        if found is None:
            values = np.asarray(pixel_array(file, index=frame, transfer_syntax_uid=syntax))
        else:
            values, notes = found
    if header.get("PhotometricInterpretation", "") == "PALETTE COLOR":
        return np.asarray(apply_color_lut(values, header)), notes
    return values, notes


def _packed(file: BinaryIO, little: bool, implicit: bool) -> bool:
    """Whether the pixels that ``file`` stands at are in fragments; it is at the first of them then."""
    order, at = "<" if little else ">", file.tell()
    size = 8 if implicit else 12
    element = file.read(size)
    if len(element) == size and struct.unpack_from(f"{order}I", element, size - 4)[0] == _UNDEFINED:
        return True
    file.seek(at)
    return False


def _unpacked(
    file: BinaryIO, frame: int, header: Any, name: str
) -> tuple[NDArray[Any], tuple[str, ...]] | None:
    """A frame out of fragments; None where pydicom unpacks it: JPEG of 8 bits."""
    from pydicom.encaps import get_frame

    offsets = header.get("ExtendedOffsetTable"), header.get("ExtendedOffsetTableLengths")
    count = int(header.get("NumberOfFrames") or 1)
    data = get_frame(
        file, frame, number_of_frames=count, extended_offsets=None if None in offsets else offsets
    )
    coded = jpeg_frame(io.BytesIO(data)) or jpeg_2000_frame(data)
    if coded is None:
        syntax = header.file_meta.TransferSyntaxUID
        if syntax.is_encapsulated and str(syntax) not in _READ:
            raise InputError(
                f"Pixels that can be unpacked were wanted, but those of {name} are in {shown(str(syntax.name)[:60])} "
                f"({shown(str(syntax)[:64])}), which is not read; save it as Explicit VR Little Endian."
            )
        raise ValueError("its pixels are neither JPEG nor JPEG 2000 nor RLE")
    _check_coded(coded, header, name)
    if END not in data[-64:]:  # some decoders would make up the rest
        raise ValueError("it ends before its last pixel")
    if coded.marker:
        check_scans(name, data, coded.sides[0] * coded.sides[1])
    if coded.bits <= 8 and coded.marker not in (0, LOSSLESS, JPEG_LS):
        return None
    return _signed(_decoded(data, coded, header), coded, header, name)


def _check_coded(coded: Coded, header: Any, name: str) -> None:
    """Raise :class:`InputError` unless what was packed has the size that was checked."""
    stated = int(header.Rows), int(header.Columns)
    if coded.sides != stated or coded.samples != int(header.get("SamplesPerPixel") or 1):
        raise InputError(
            f"Frames of {stated[0]} x {stated[1]} pixels were wanted, as {name} states, but one of {coded.sides[0]} x "
            f"{coded.sides[1]} with {coded.samples} samples is packed in it; get a fresh copy."
        )
    if not 1 <= coded.bits <= 16:
        raise InputError(
            f"Pixels of at most 16 bits were wanted, but those of {name} are packed with {coded.bits}; save it as "
            "Explicit VR Little Endian."
        )


def _decoded(data: bytes, coded: Coded, header: Any) -> NDArray[Any]:
    import imagecodecs
    from pydicom.pixels.processing import convert_color_space

    if not coded.marker:  # high throughput as well
        values = imagecodecs.jpeg2k_decode(data)
    elif coded.marker == JPEG_LS:
        values = imagecodecs.jpegls_decode(data)
    elif coded.samples == 3:
        values = imagecodecs.jpeg_decode(data, colorspace="RGB", outcolorspace="RGB")
    else:
        values = imagecodecs.jpeg_decode(data)
    values = np.asarray(values)
    if values.shape[:2] != coded.sides:
        raise ValueError("the packed picture has another size than it states")
    kind = str(header.get("PhotometricInterpretation", ""))
    if coded.samples == 3 and kind.startswith("YBR_FULL") and values.dtype == np.uint8:
        values = np.asarray(convert_color_space(values, "YBR_FULL", "RGB"))
    return values


def _signed(
    values: NDArray[Any], coded: Coded, header: Any, name: str
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Numbers with the sign that is meant, less what is stored above their highest bit, such as an overlay."""
    if coded.samples != 1:
        return values, ()
    signed = int(header.get("PixelRepresentation") or 0) == 1
    if coded.signed:  # what was packed knows better than the header beside it
        odd = f"The pixels of {name} are packed with a sign that its header denies; they are taken as signed."
        return values, () if signed else (odd,)
    bits = min(coded.bits, int(header.get("BitsStored") or coded.bits))
    unused = 8 * values.itemsize - bits
    if signed:
        values = values.view(f"i{values.itemsize}")
    return np.right_shift(np.left_shift(values, unused), unused), ()
