"""Large pictures: they become float32 part by part, as what is stored and what it becomes are too much together."""

import mmap
from collections.abc import Callable, Iterable, Iterator
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from padis_gui.core.settings.errors import InputError

ROWS = 64
LARGE = 2**27  # bytes as stored
_MOST = 2**30 - 2**26  # bytes that reading a picture may take, with what it becomes


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
        return in_planes(self.blocks(), self.values.shape[:2])

    def blocks(self) -> Iterator[Block]:
        """A few rows after the other; those that were had are gone."""
        each = self.values.strides[0]
        for first in range(0, len(self.values), ROWS):
            yield Block(first, 0, 0, self.values[first : first + ROWS])
            start = first * each // mmap.PAGESIZE * mmap.PAGESIZE
            length = ((first + ROWS) * each) // mmap.PAGESIZE * mmap.PAGESIZE - start
            if length > 0 and hasattr(self._memory, "madvise"):
                self._memory.madvise(mmap.MADV_DONTNEED, start, min(length, len(self._memory) - start))


def in_planes(
    blocks: Iterable[Block], sides: tuple[int, ...], *,
    lying: Callable[[NDArray[Any]], NDArray[Any]] = lambda plane: plane, dtype: DTypeLike = np.float32,
) -> NDArray[Any]:  # fmt: skip
    """(rows, columns, 3) from the blocks that fill it, or one channel; each of them lies in one piece.

    What comes after a third sample is opacity. ``lying`` is a view of a plane (rows, columns) as the blocks lie, where that
    is not as it is to stand.
    """
    planes = np.zeros((3, *sides), dtype)  # takes no memory where nothing is written
    seen = [lying(plane) for plane in planes]
    deepest = 0
    for row, column, sample, values in blocks:
        for n, plane in enumerate(seen[sample : sample + values.shape[2]]):
            place = plane[row : row + values.shape[0], column : column + values.shape[1]]
            place[...] = values[: place.shape[0], : place.shape[1], n]
        deepest = max(deepest, sample + values.shape[2])
    return np.moveaxis(planes[:deepest], 0, 2)


def check_memory(name: str, needed: int) -> None:
    """Raise :class:`InputError` where so many bytes are more than a picture may take while it is read."""
    if needed > _MOST:
        raise InputError(
            f"A picture that takes at most {_MOST >> 20} MiB while it is read was wanted, but {name} would take "
            f"{needed >> 20}; save it in smaller strips or chunks, with fewer bits, or smaller."
        )


def blocks_of(page: Any, becomes: int, offset: int | None = None) -> Iterator[Block]:
    """What a page of a TIFF stores, by its strips or tiles; a few rows at a time where it lies in the file as it is.

    ``sample`` is that of a block's first value: colours are in one block, or stored apart. What comes of them takes
    ``becomes`` bytes; ``offset`` is where a page begins that has no strips of its own.
    """
    if offset is not None or _is_plain(page):
        yield from _as_they_lie(page, page.dataoffsets[0] if offset is None else offset)
        return
    for values, (sample, _, row, column, _), _ in page.segments(maxworkers=1):  # more would wait in memory
        if values is None:
            continue
        block = Block(row, column, sample, values[0])
        del values
        if not _in_room(block.values.nbytes, becomes):
            yield block
            continue
        room = Room(block.values.shape, block.values.dtype)
        room.values[...] = block.values
        del block
        for part in room.blocks():
            yield part._replace(row=part.row + row, column=column, sample=sample)


def memory_of(page: Any, becomes: int) -> int:
    """Bytes that :func:`blocks_of` takes at most, with what comes of the blocks."""
    part = 0 if _is_plain(page) else prod(page.keyframe.chunks) * page.keyframe.dtype.itemsize
    if _in_room(part, becomes):
        return max(2 * part, becomes)
    return becomes + part * (1 if page.keyframe.predictor == 1 else 2)  # it is undone in a copy


def _in_room(part: int, becomes: int) -> bool:
    """Whether it takes less memory to copy a strip or tile into a room than to keep it until all of it is converted."""
    return LARGE < part < becomes


def _is_plain(page: Any) -> bool:
    """Whether the numbers of a page lie in the file behind each other."""
    keyframe = page.keyframe
    return bool(keyframe.compression == keyframe.predictor == keyframe.fillorder == 1 and page.is_contiguous)


def _as_they_lie(page: Any, offset: int) -> Iterator[Block]:
    keyframe, file = page.keyframe, page.parent.filehandle
    samples = keyframe.samplesperpixel
    apart, each = (samples, 1) if keyframe.planarconfig == 2 else (1, samples)
    stored = np.dtype(page.parent.byteorder + keyframe.dtype.char)
    rows, columns = keyframe.imagelength, keyframe.imagewidth
    file.seek(offset)
    for sample in range(apart):
        for first in range(0, rows, ROWS):
            count = min(ROWS, rows - first) * columns * each
            values = file.read_array(stored, count)
            yield Block(first, 0, sample, values.reshape(-1, columns, each))
