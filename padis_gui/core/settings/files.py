"""Files that are there whole or not at all: a crash, a full disk or a kill leaves the previous one.

They and arrays are told by their SHA-256, and what is closed when it is done with works in a ``with``.
"""

import contextlib
import glob
import hashlib
import os
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.untrusted import check_ordinary


@contextlib.contextmanager
def failures_said(what: str, path: Path) -> Iterator[None]:
    """Turn an :class:`OSError` of writing ``what`` to ``path`` into an :class:`InputError` of one sentence."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{what} cannot be written to {path} ({error.strerror}); choose another place."
        ) from None


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` under a temporary name, flush it to disk, then rename: no half file is ever seen.

    Raises :class:`OSError` where it cannot be written; what was there before is untouched then. Only a killed
    process leaves its temporary file behind: :func:`remove_leftovers`.
    """
    with writing_atomically(path) as file:
        file.write(data)


@contextlib.contextmanager
def writing_atomically(path: Path) -> Iterator[BinaryIO]:
    """A new file to write to piece by piece, which takes the name ``path`` when the block ends without an error.

    For what is too large to be in memory at once, else as :func:`write_atomically`.
    """
    path = Path(path)
    temporary = path.parent / f".{path.name}.{secrets.token_hex(4)}"
    # not tempfile's, whose files are private: an ordinary one, with the rights that the system gives to new files
    file = temporary.open("x+b")
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    """Make a rename outlast a power failure, where the system can; the file itself is safe already."""
    # folders cannot be opened on Windows, nor flushed on some network drives
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_leftovers(path: Path) -> None:
    """Remove what killed writers of ``path`` left beside it. Nobody may be writing it now."""
    path = Path(path)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.????????"):
        with contextlib.suppress(OSError):
            if leftover.is_file() and not leftover.is_symlink():
                leftover.unlink()


def check_outputs(inputs: Iterable[Path], outputs: Iterable[Path | None]) -> None:
    """A long run must not fail at its last line: every output can be written, and nothing is written twice.

    Raises :class:`InputError`.
    """
    taken = {path.resolve(): "is the input" for path in inputs}
    for path in outputs:
        if path is None:
            continue
        what = taken.get(path.resolve()) or _why_not_writable(path)
        if what:
            raise InputError(f"A file to write was wanted, but {path} {what}; choose another name.")
        taken[path.resolve()] = "is the result already"


def check_is_tiff(path: Path) -> None:
    """Raises :class:`InputError` for a result with another ending."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise InputError(f"The result is a TIFF, but {path.name} does not end in .tif; rename it.")


def _why_not_writable(path: Path) -> str:
    folder = path.resolve().parent
    try:
        if path.is_dir():
            return "is a folder"
    except OSError as error:
        return f"is no name that can be ({error.strerror})"
    if not folder.is_dir():
        return "lies in a folder that does not exist"
    return "" if os.access(folder, os.W_OK) else "lies in a folder that cannot be written"


# a file that is changed twice within a tick of its file system's clock looks the same afterwards
_SETTLED_NS = 2 * 10**9


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal. Raises :class:`OSError` where it cannot be read.

    Every run states that of its files, and a stack may have many GB: it is remembered for as long as the file is the
    same one, of the same size, and has not been touched.
    """
    path = Path(path).absolute()
    check_ordinary(path)
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


class Closing(ABC):
    """A context manager that closes itself at the end of the block."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what is held; once is enough."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
