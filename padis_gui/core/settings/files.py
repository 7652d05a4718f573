"""Files that are there whole or not at all: a crash, a full disk or a kill leaves the previous one.

They and arrays are told by their SHA-256, and what is closed when it is done with works in a ``with``.
"""

import contextlib
import errno
import glob
import hashlib
import os
import re
import secrets
import shutil
import sys
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

# Names another folder for all that is the user's; tests and benchmarks set it, so that they leave the user's own alone.
HOME_VARIABLE = "PADIS_GUI_HOME"

# a full disk, a quota that is used up, a file that is larger than this user or file system may have
NO_ROOM = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


def user_files() -> Path:
    """The folder of what the program keeps for the user by name, such as priors and masks; it need not exist."""
    chosen = os.environ.get(HOME_VARIABLE)
    return Path(chosen) if chosen else Path.home() / "padis_gui"


def reason(error: OSError) -> str:
    """Why the system refuses, in its words; libraries raise errors that have them in the text only."""
    return error.strerror or str(error) or type(error).__name__


@contextlib.contextmanager
def failures_said(what: str, path: Path) -> Iterator[None]:
    """Turn an :class:`OSError` of writing ``what`` to ``path`` into an :class:`InputError` of one sentence.

    Its remedy is "elsewhere": what could not be written is there still, and may be written to another place.
    """
    try:
        yield
    except OSError as error:
        advice = "make room, or choose another place" if error.errno in NO_ROOM else "choose another place"
        raise InputError(
            f"{what} cannot be written to {path} ({reason(error)}); {advice}.", remedy="elsewhere"
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
    if path.exists() and not path.is_file():
        raise OSError(errno.EEXIST, "it is there and is no ordinary file")
    temporary, file = _begin(path)
    try:
        with file:
            try:
                yield file
            except OSError as error:
                raise _explained(error, file) from None
            file.flush()
            os.fsync(file.fileno())
            if sys.platform != "win32":  # while it is locked: nobody takes it for a leftover
                os.replace(temporary, path)
        if sys.platform == "win32":
            os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _flush_folder(path.parent)


@contextlib.contextmanager
def writing_folder(path: Path) -> Iterator[Path]:
    """A new folder to write files into, which takes the name ``path`` when the block ends without an error.

    Raises :class:`OSError` where something else than an empty folder is there already. Only a killed process leaves its
    temporary folder behind: :func:`remove_leftovers`.
    """
    path = Path(path)
    if os.path.lexists(path) and not (path.is_dir() and not any(path.iterdir())):
        raise OSError(errno.EEXIST, "it is there already")
    temporary = temporary_name(path)
    temporary.mkdir()
    try:
        with _folder_locked(temporary):
            yield temporary
            if path.is_dir():
                path.rmdir()
            os.rename(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _flush_folder(path.parent)


@contextlib.contextmanager
def _folder_locked(folder: Path) -> Iterator[bool]:
    """Whether the folder is locked for as long as the block lasts, also by a kill, as :func:`_lock` does it."""
    if sys.platform == "win32":  # which opens no folder
        yield True
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        yield _lock(handle)
    finally:
        os.close(handle)


def temporary_name(path: Path) -> Path:
    """A new name beside ``path`` for what is being written: that of the file with 10 bytes more."""
    return path.parent / f".{path.name}.{secrets.token_hex(4)}"


def _begin(path: Path) -> tuple[Path, BinaryIO]:
    """A new file under a temporary name, locked for as long as it is open."""
    while True:
        temporary = temporary_name(path)
        # not tempfile's, whose files are private: an ordinary one, with the rights that the system gives to new files
        file = temporary.open("x+b")
        # who removes leftovers may have come between the two lines
        if not _lock(file) or os.fstat(file.fileno()).st_nlink:
            return temporary, file
        file.close()


def _lock(file: BinaryIO | int) -> bool:
    """Lock a file, or a folder by its descriptor, until it is closed, also by a kill; False where another has it, or the
    system has no such locks.

    Windows needs none: it removes no file that is open.
    """
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _explained(error: OSError, file: BinaryIO) -> OSError:
    """The reason of a failed write: numpy's says none, and the system tells it at the next one."""
    if error.errno is None:
        try:
            file.seek(0, os.SEEK_END)
            file.write(bytes(2**16))
            file.flush()
        except OSError as found:
            return found
    return error


def _flush_folder(folder: Path) -> None:
    """Make a rename outlast a power failure, where the system can; the file itself is safe already."""
    # folders cannot be opened on Windows, nor flushed on some network drives
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}")


def remove_leftovers(path: Path) -> None:
    """Remove what killed writers of ``path`` left beside it; what is being written now stays."""
    path = Path(path)
    _remove(path.parent.glob(f".{glob.escape(path.name)}.????????"))


def remove_all_leftovers(folder: Path) -> None:
    """Remove what killed writers left in a folder that holds nothing but the program's own files."""
    _remove(Path(folder).glob(".*.????????"))


def _remove(found: Iterable[Path]) -> None:
    for leftover in found:
        with contextlib.suppress(OSError):
            if not _TEMPORARY.fullmatch(leftover.name) or leftover.is_symlink():
                continue
            if leftover.is_dir():
                _remove_folder(leftover)
                continue
            if not leftover.is_file():
                continue
            with leftover.open("r+b") as file:
                if not _lock(file):
                    continue
                if sys.platform != "win32":
                    leftover.unlink()
            if sys.platform == "win32":
                leftover.unlink()


def _remove_folder(leftover: Path) -> None:
    """Remove what a killed :func:`writing_folder` left; Windows cannot say who writes into a folder, and keeps it."""
    if sys.platform == "win32":
        return
    with _folder_locked(leftover) as locked:
        if locked:
            shutil.rmtree(leftover)


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
    return planes_sha256(pixels.shape, [pixels])


def planes_sha256(shape: tuple[int, ...], planes: Iterable[NDArray[np.float32]]) -> str:
    """That of an array of ``shape`` whose parts come one after the other, so that it need not be in memory."""
    found = hashlib.sha256(repr(shape).encode())
    for plane in planes:
        found.update(np.ascontiguousarray(plane, dtype="<f4").tobytes())
    return found.hexdigest()


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
