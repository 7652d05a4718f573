"""What a file or an array holds, told by its SHA-256."""

import hashlib
import time
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# a file that is changed twice within a tick of its file system's clock looks the same afterwards
_SETTLED_NS = 2 * 10**9


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal. Raises :class:`OSError` where it cannot be read.

    Every run states that of its files, and a stack may have many GB: it is remembered for as long as the file is the
    same one, of the same size, and has not been touched.
    """
    path = Path(path).absolute()
    found = path.stat()
    stamp = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    settled = time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) > _SETTLED_NS
    return _remembered(path, stamp) if settled else _sha256(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=2**15)
def _remembered(path: Path, stamp: tuple[int, ...]) -> str:
    return _sha256(path)


def pixels_sha256(pixels: NDArray[np.float32]) -> str:
    """A hash of the values and the shape, the same on every machine."""
    values = np.ascontiguousarray(pixels, dtype="<f4")
    return hashlib.sha256(repr(values.shape).encode() + values.tobytes()).hexdigest()
