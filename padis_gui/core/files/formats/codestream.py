"""What JPEG, JPEG-LS and JPEG 2000 say of themselves before they are unpacked: size, bits and sign."""

from dataclasses import dataclass
from typing import BinaryIO

# Markers of a JPEG that begin a frame (ITU-T T.81, table B.1, and T.87 for JPEG-LS), and those without a length
LOSSLESS, JPEG_LS = 0xC3, 0xF7
_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), JPEG_LS)
_BARE = (0x01, *range(0xD0, 0xD9))
_CODESTREAM = b"\xff\x4f\xff\x51"  # SOC and SIZ, the first markers of JPEG 2000 (ITU-T T.800, A.4 and A.5)
_SIZ = 40  # bytes from SIZ's marker up to its first component
END = b"\xff\xd9"


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
