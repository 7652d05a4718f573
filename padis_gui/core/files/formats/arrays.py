"""Stored arrays: which of several in a file is meant, which axis counts its pages, and which the colours."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.formats.large import LARGE, ROWS, Block, check_memory, in_planes
from padis_gui.core.files.formats.pages import (
    SMALLEST,
    WHOLE,
    Page,
    Pages,
    Part,
    check_sides,
    is_wide,
    page_of,
    shown,
    wrong_shape,
)
from padis_gui.core.settings.errors import InputError

_COLOURS = (1, 3, 4)


@dataclass(frozen=True, slots=True)
class Layout:
    """An array as images: ``pages`` and ``colours`` are axes, or None; the other two are rows and columns."""

    shape: tuple[int, ...]
    pages: int | None = None
    colours: int | None = None

    @property
    def count(self) -> int:
        """How many images there are."""
        return 1 if self.pages is None else self.shape[self.pages]

    @property
    def rows(self) -> int:
        """The axis of the rows."""
        return next(axis for axis in range(len(self.shape)) if axis not in (self.pages, self.colours))

    @property
    def sides(self) -> tuple[int, ...]:
        """(rows, columns)."""
        return tuple(n for axis, n in enumerate(self.shape) if axis not in (self.pages, self.colours))

    def index(self, page: int, part: Part = WHOLE) -> tuple[int | slice, ...]:
        """What to take from the array for one page, or for a part of it."""
        others: dict[int | None, int | slice] = {self.pages: page, self.colours: slice(None)}
        sides = iter(part)
        return tuple(others[axis] if axis in others else next(sides) for axis in range(len(self.shape)))

    def arranged(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values taken by :meth:`index` as (rows, columns) or (rows, columns, colours)."""
        if self.colours is None:
            return values
        taken = self.colours - (self.pages is not None and self.pages < self.colours)
        return np.moveaxis(values, taken, -1)


def find_layout(shape: tuple[int, ...], name: str, *, pages_last: bool = False) -> Layout:
    """The layout of an array of this shape.

    A stack counts its pages along the first axis, as NumPy's users do, or with ``pages_last`` along the last
    one, as MATLAB's do; two equal sides beside a different one are the image wherever they stand. A last axis
    of 3 or 4 holds colours, as does one of 1, 3 or 4 in the usual places of an array of four axes. Raises
    :class:`InputError` for what is no image.
    """
    layout = _layout(tuple(int(n) for n in shape), pages_last)
    if layout is None:
        raise wrong_shape(name, shape)
    check_sides(name, layout.sides)
    return layout


def _layout(shape: tuple[int, ...], pages_last: bool) -> Layout | None:
    if len(shape) == 2:
        return Layout(shape)
    if len(shape) == 3:
        if shape[2] in _COLOURS:
            return Layout(shape, colours=2)
        first, middle, last = shape
        at_the_end = first == middle != last or (pages_last and first != 1 and not first != middle == last)
        return Layout(shape, pages=2 if at_the_end else 0)
    if len(shape) == 4:
        usual = [(3, 2), (0, 3), (0, 1)] if pages_last else [(0, 3), (0, 1), (3, 2)]
        for pages, colours in usual:
            if shape[colours] in _COLOURS:
                return Layout(shape, pages, colours)
    return None


class Array(Protocol):
    """What slices like an array without being loaded: numbers in a file, a data set in one."""

    def __getitem__(self, index: tuple[int | slice, ...], /) -> Any:
        """The values there."""


class ArrayPages(Pages):
    """An array that is an image or a stack of images.

    ``reversed_axes`` says that the axes of ``array`` stand in the reverse order of the layout's: MATLAB
    writes HDF5 so. ``unit`` is that of the numbers, ``pitches`` the distance along each axis of the layout in mm.
    ``check`` raises where what was read cannot be trusted.
    """

    def __init__(
        self, path: Path, kind: str, array: Array, layout: Layout, *, reversed_axes: bool = False, unit: str = "",
        pitches: tuple[float, ...] = (), close: Callable[[], None] | None = None, check: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        super().__init__(path, kind, close)
        self.count = layout.count
        self._array, self._layout, self._reversed = array, layout, reversed_axes
        self._unit, self._check = unit, check
        self._spacing, self._slice_spacing = _spacings(layout, pitches)

    def sides(self, page: int) -> tuple[int, int] | None:
        rows, columns = self._layout.sides
        return rows, columns

    def _read(self, page: int, part: Part) -> Page:
        stored: np.dtype[Any] = np.dtype(getattr(self._array, "dtype", np.float32))
        whole = self.count == 1 and is_wide(stored)
        size = prod(self._layout.shape) // self.count * stored.itemsize
        becomes, chunks = 4 * size // stored.itemsize, getattr(self._array, "chunks", None)
        as_it_lies = is_wide(stored) and not chunks
        if as_it_lies and size > LARGE:
            check_memory(self.name, size + becomes)
        if size <= LARGE or part != WHOLE or as_it_lies:
            values = self._taken(page, WHOLE if whole else part)
            return self._page(values, part=part if whole else WHOLE, alone=whole)
        # integers that float32 may not hold are looked at before they become that
        kept = stored if is_wide(stored) else np.dtype(np.float32)
        at_once = self._rows_at_once * size // self._layout.sides[0]
        planes = becomes // 4 * kept.itemsize
        # HDF5 has a chunk once more
        check_memory(self.name, planes + max(2 * at_once if chunks else at_once, becomes * is_wide(stored)))
        values = in_planes(self._blocks(page), self._layout.sides, dtype=kept)
        values = values[..., 0] if self._layout.colours is None else values
        return self._page(values, stored=stored, alone=whole)

    def _page(self, values: NDArray[Any], **more: Any) -> Page:
        more |= {"unit": self._unit, "spacing": self._spacing, "slice_spacing": self._slice_spacing}
        return page_of(values, self.name, **more)

    def _taken(self, page: int, part: Part) -> NDArray[Any]:
        """A part of a page as (rows, columns) or (rows, columns, colours)."""
        index = self._layout.index(page, part)
        values = np.asarray(self._array[index[::-1] if self._reversed else index])
        self._check()
        return self._layout.arranged(values.T if self._reversed else values)

    @property
    def _rows_at_once(self) -> int:
        """As many as lie in a chunk of the file."""
        chunks: tuple[int, ...] | None = getattr(self._array, "chunks", None)
        along = self._layout.rows
        rows = chunks[::-1][along] if chunks and self._reversed else chunks[along] if chunks else 1
        return min(max(ROWS, rows), self._layout.sides[0])

    def _blocks(self, page: int) -> Iterator[Block]:
        """The rows of a page, some at a time."""
        for first in range(0, self._layout.sides[0], self._rows_at_once):
            values = self._taken(page, (slice(first, first + self._rows_at_once), slice(None)))
            yield Block(first, 0, 0, values if values.ndim == 3 else values[..., None])


def _spacings(layout: Layout, pitches: tuple[float, ...]) -> tuple[tuple[float, float] | None, float | None]:
    """Pitch of (rows, columns) and distance of pages, from that of every axis."""
    if len(pitches) != len(layout.shape):
        return None, None
    rows, columns = (
        pitch for axis, pitch in enumerate(pitches) if axis not in (layout.pages, layout.colours)
    )
    return (rows, columns), None if layout.pages is None else pitches[layout.pages]


_USUAL_NAMES = ("images", "image", "slices", "volume", "reconstruction", "recon", "data")
_LISTED = 8


def choose_array(shapes: Mapping[str, tuple[int, ...]], wanted: str, name: str) -> str:
    """The name of the array to read from the file ``name``: the one that is ``wanted``, or the obvious one.

    ``shapes`` are the file's arrays of real numbers. An array may be wanted by the last part of its name,
    where only one has it, and with dots for slashes. Obvious is an array that alone has the size of an image, or that alone
    among those is called images, image, slices, volume, reconstruction, recon or data. Raises
    :class:`InputError` with the names that there are.
    """
    if wanted:
        found = [n for n in shapes if _plain(n) == _plain(wanted)] or [
            n for n in shapes if _tail(n) == _plain(wanted)
        ]
        if len(found) == 1:
            return found[0]
        raise InputError(
            f"The array '{shown(wanted[:60])}' was wanted, but {name} holds {_listed(list(shapes))}; name one of those."
        )
    stacks = [n for n, shape in shapes.items() if 2 <= len(shape) <= 4]
    large = [n for n in stacks if sum(side >= SMALLEST for side in shapes[n]) >= 2] or stacks
    if len(large) == 1:
        return large[0]
    for usual in _USUAL_NAMES:
        found = [n for n in large if _tail(n).lower() == usual]
        if len(found) == 1:
            return found[0]
    if not large:
        raise InputError(
            f"An array of images was wanted, but {name} holds {_listed(list(shapes))}; open a file with images."
        )
    raise InputError(
        f"One array of images was wanted, but {name} holds {_listed(large)}; name the data set to read, or save "
        "it alone."
    )


def _plain(name: str) -> str:
    return name.strip("/").replace(".", "/")


def _tail(name: str) -> str:
    return _plain(name).rsplit("/", 1)[-1]


def _listed(names: list[str]) -> str:
    if not names:
        return "no array of real numbers"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(shown(n[:60]) for n in names[:_LISTED]) + more
