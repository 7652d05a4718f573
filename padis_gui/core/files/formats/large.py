"""Large pictures: they become float32 part by part, as what is stored and what it becomes are too much together."""

import mmap
from collections.abc import Iterable, Iterator
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from padis_gui.core.settings.errors import InputError

ROWS = 64
LARGE = 2**28  # bytes as stored
_LARGEST_PART = 2**29  # bytes of a strip or tile, unpacked


class Block(NamedTuple):
    """``values`` (rows, columns, samples) of a picture, and where its first one belongs."""

    row: int
    column: int
    sample: int
    values: NDArray[Any]


class Room:
    """Room for the colours (rows, columns, samples) that a codec unpacks as a whole.

    Its memory goes back to the system as :meth:`planes` converts it, where the system takes memory back in parts.
    """

    def __init__(self, shape: tuple[int, int, int], dtype: DTypeLike) -> None:
        size = prod(shape) * np.dtype(dtype).itemsize
        private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_ANONYMOUS") else {}
        self._memory = mmap.mmap(-1, size, **private)
        self.values: NDArray[Any] = np.frombuffer(self._memory, dtype).reshape(shape)

    def planes(self) -> NDArray[np.float32]:
        """The first three samples as (rows, columns, 3) in float32; the room is empty afterwards."""
        return in_planes(self._rows(), self.values.shape[:2])

    def _rows(self) -> Iterator[Block]:
        each = self.values.strides[0]
        for first in range(0, len(self.values), ROWS):
            yield Block(first, 0, 0, self.values[first : first + ROWS])
            start = first * each // mmap.PAGESIZE * mmap.PAGESIZE
            length = ((first + ROWS) * each) // mmap.PAGESIZE * mmap.PAGESIZE - start
            if length > 0 and hasattr(self._memory, "madvise"):
                self._memory.madvise(mmap.MADV_DONTNEED, start, min(length, len(self._memory) - start))


def in_planes(blocks: Iterable[Block], sides: tuple[int, ...]) -> NDArray[np.float32]:
    """(rows, columns, 3) in float32 from the blocks that fill it, or one channel; each of them lies in one piece.

    What comes after a third sample is opacity.
    """
    planes = np.zeros((3, *sides), np.float32)  # takes no memory where nothing is written
    deepest = 0
    for row, column, sample, values in blocks:
        rows, columns, samples = values.shape
        planes[sample : sample + samples, row : row + rows, column : column + columns] = np.moveaxis(
            values[..., : 3 - sample], 2, 0
        )[:, : sides[0] - row, : sides[1] - column]
        deepest = max(deepest, sample + samples)
    return np.moveaxis(planes[:deepest], 0, 2)


def is_large(page: Any) -> bool:
    """Whether a page of a TIFF is better read by its strips or tiles: it is RGB, and float32 holds its integers."""
    page = page.keyframe
    return (
        getattr(page.photometric, "name", "") == "RGB"
        and page.samplesperpixel >= 3
        and (page.dtype.kind == "f" or page.dtype.itemsize <= 2)
        and page.imagedepth == 1
        and page.nbytes > LARGE
    )


def by_parts(page: Any, name: str) -> NDArray[np.float32]:
    """Colours (rows, columns, 3) of such a page in float32, by its strips or tiles.

    Raises :class:`InputError` where one of them alone would take too much memory.
    """
    keyframe = page.keyframe
    part = prod(keyframe.chunks) * keyframe.dtype.itemsize
    whole = keyframe.compression == 1 and keyframe.predictor == 1 and keyframe.fillorder == 1
    as_it_is = whole and page.is_contiguous
    if part > _LARGEST_PART and not as_it_is:
        raise InputError(
            f"Strips or tiles of at most {_LARGEST_PART >> 20} MiB were wanted, but {name} is packed in parts of "
            f"{part >> 20} MiB; save it in strips."
        )
    blocks = _as_they_lie(page) if as_it_is else _unpacked(page)
    return in_planes(blocks, (keyframe.imagelength, keyframe.imagewidth))


def _unpacked(page: Any) -> Iterator[Block]:
    for values, (sample, _, row, column, _), _ in page.segments():
        if values is not None and sample < 3:
            yield Block(row, column, sample, values[0])


def _as_they_lie(page: Any) -> Iterator[Block]:
    """Rows of a page whose numbers lie in the file as they are."""
    keyframe, file = page.keyframe, page.parent.filehandle
    planar = keyframe.planarconfig == 2
    each = 1 if planar else keyframe.samplesperpixel
    stored = np.dtype(page.parent.byteorder + keyframe.dtype.char)
    rows, columns = keyframe.imagelength, keyframe.imagewidth
    file.seek(page.dataoffsets[0])
    for sample in range(3 if planar else 1):
        for first in range(0, rows, ROWS):
            count = min(ROWS, rows - first) * columns * each
            values = file.read_array(stored, count)
            yield Block(first, 0, sample, values.reshape(-1, columns, each))
