"""Files that are there whole or not at all: a crash, a full disk or a kill leaves the previous one."""

import contextlib
import glob
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from padis_gui.core.errors import InputError


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
