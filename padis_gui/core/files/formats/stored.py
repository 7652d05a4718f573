"""Numbers that lie in a file as they are, read when they are asked for.

Not through a memory map: where another program cuts the file, touching what is gone ends this one (SIGBUS), while reading
comes to an end, which can be said.
"""

import os
import threading
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 2**24  # bytes that are read for some of their numbers
_CUT = "it ends before its last number"


class Stored:
    """``length`` bytes of an open file, from byte ``start`` on, which slice as a memoryview does. The file is closed with
    the last of them."""

    def __init__(self, file: "_File", start: int, length: int) -> None:
        self._file, self.start, self._length = file, start, length

    @classmethod
    def of(cls, path: Path) -> "Stored":
        """All of a file."""
        file = _File(path)
        return cls(file, 0, file.size)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, wanted: slice) -> "Stored":
        first, last, step = wanted.indices(self._length)
        assert step == 1, "the bytes follow each other"
        return Stored(self._file, self.start + first, max(0, last - first))

    def read(self) -> bytearray:
        """A copy of them. Raises :class:`ValueError` where the file has been cut since."""
        return self._file.read(self.start, self._length)

    def array(self, dtype: np.dtype[Any], shape: tuple[int, ...], *, fortran: bool = False) -> "StoredArray":
        """The numbers that begin here; with ``fortran`` the first axis runs fastest. Raises :class:`ValueError` where they
        are more than there is."""
        if min(shape, default=0) < 0 or prod(shape) * dtype.itemsize > self._length:
            raise ValueError(_CUT)
        return StoredArray(self, dtype, shape, fortran)


class StoredArray:
    """An array in a file, whose numbers are read as it is sliced by numbers from 0 and slices of step 1, or by `...`."""

    def __init__(self, stored: Stored, dtype: np.dtype[Any], shape: tuple[int, ...], fortran: bool) -> None:
        self._stored, self.dtype, self.shape, self._fortran = stored, dtype, shape, fortran

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """A copy of the numbers there. Raises :class:`ValueError` where the file has been cut since."""
        given = () if index is Ellipsis else index if isinstance(index, tuple) else (index,)
        full = given + (slice(None),) * (len(self.shape) - len(given))
        if self._fortran:
            return self._taken(0, self.shape[::-1], full[::-1]).T
        return self._taken(0, self.shape, full)

    def _taken(self, at: int, shape: tuple[int, ...], index: tuple[int | slice, ...]) -> NDArray[Any]:
        """Of the array (``shape``, the first axis slowest) that begins ``at`` so many bytes."""
        if not shape:
            return self._read(at, shape)
        inner = prod(shape[1:]) * self.dtype.itemsize
        wanted = index[0]
        if isinstance(wanted, int | np.integer):
            found: NDArray[Any] = self._taken(at + int(wanted) * inner, shape[1:], index[1:])
            return found
        first, last, step = wanted.indices(shape[0])
        assert step == 1, "the numbers follow each other"
        count = max(0, last - first)
        if all(_is_whole(one, side) for one, side in zip(index[1:], shape[1:], strict=True)):
            return self._read(at + first * inner, (count, *shape[1:]))
        together = max(1, _AT_ONCE // max(inner, 1))
        parts = []
        for begin in range(first, last, together):
            some = min(together, last - begin)
            if inner > _AT_ONCE:
                parts.append(self._taken(at + begin * inner, shape[1:], index[1:])[None])
            else:
                # a copy, for a view would keep all that was read
                parts.append(
                    self._read(at + begin * inner, (some, *shape[1:]))[(slice(None), *index[1:])].copy()
                )
        return np.concatenate(parts) if parts else self._read(at, (0, *shape[1:]))[(slice(None), *index[1:])]

    def _read(self, at: int, shape: tuple[int, ...]) -> NDArray[Any]:
        data = self._stored[at : at + prod(shape) * self.dtype.itemsize].read()
        return np.frombuffer(data, self.dtype).reshape(shape)


def _is_whole(wanted: int | slice, side: int) -> bool:
    return isinstance(wanted, slice) and wanted.indices(side) == (0, side, 1)


class _File:
    """An open file; it is closed when nobody has it any more."""

    def __init__(self, path: Path) -> None:
        self._number = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
        self._lock = threading.Lock()
        self.size = os.fstat(self._number).st_size

    def read(self, at: int, length: int) -> bytearray:
        if at + length > os.fstat(self._number).st_size:  # before memory is taken
            raise ValueError(_CUT)
        found = bytearray(length)
        rest = memoryview(found)
        with self._lock:
            os.lseek(self._number, at, os.SEEK_SET)
            while rest:
                piece = os.read(self._number, min(len(rest), _AT_ONCE))
                if not piece:
                    raise ValueError(_CUT)
                rest[: len(piece)] = piece
                rest = rest[len(piece) :]
        return found

    def __del__(self) -> None:
        if hasattr(self, "_number"):
            os.close(self._number)
