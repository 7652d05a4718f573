"""The planes of a stack of slices, read as they are looked at and no more, in a thread of their own.

A stack that fits into the budget is read once, whole. Of a larger one what is looked at is read: a slice as it is, of the
other planes a slab of neighbours, strip by strip from every slice, so that the next planes are there already. Whoever
looks elsewhere meanwhile does not wait: slices go first, and a slab that nobody wants any more is left where it is.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from padis_gui.core.files.formats.open import read_page, recognise
from padis_gui.core.files.formats.pages import Pages
from padis_gui.core.images.image import Image, Pixels, ReadingSettings
from padis_gui.core.images.size import binned, covered
from padis_gui.core.settings.errors import InputError, PadisError
from padis_gui.viewmodels.pictures.frames import for_display
from padis_gui.viewmodels.pictures.planes import Plane, take
from padis_gui.viewmodels.state.background import Check

WHOLE_BUDGET = 256 * 2**20  # bytes of a stack that is held whole
SLAB_BUDGET = 48 * 2**20  # of a slab of neighbouring planes; two are held
_SLABS = (Plane.CORONAL, Plane.SAGITTAL)


@dataclass(eq=False)
class _Slab:
    """Planes ``first`` to ``last`` of a kind, of all slices: (slices, …) with its own axis as long as there are planes."""

    plane: Plane
    first: int
    last: int
    pixels: Pixels
    known: int = 0  # slices that are there, the lowest ones

    def holds(self, at: int) -> bool:
        return self.first <= at < self.last

    def put(self, page: int, pixels: Pixels) -> None:
        """A slice came, cut to what this holds: (rows, columns[, 3])."""
        self.pixels[page] = pixels
        self.known = page + 1

    def taken(self, at: int) -> Pixels:
        return take(self.pixels, self.plane, at - self.first)


@dataclass(frozen=True, slots=True)
class Went:
    """How far a plane is: its index, and the share of its slices that are read."""

    at: int
    share: float


class StackReader:
    """Reads planes of the stack that ``example`` is a page of, as that was read: of its pages ``pages``. Wanted from one
    thread, read in another.

    ``missing`` says what could not be read of which slices, from 0; their pixels are NaN.
    """

    def __init__(
        self,
        path: Path,
        example: Image,
        pages: range | None = None,
        *,
        whole: int = WHOLE_BUDGET,
        slab: int = SLAB_BUDGET,
    ) -> None:
        self.path, self.example = path, example
        self.pages = range(example.pages) if pages is None else pages
        channels = (3,) if example.channels >= 3 else ()
        self.shape = (len(self.pages), *example.shape, *channels)
        self.missing: dict[int, str] = {}
        self._slab_bytes = slab
        self._lock = threading.Lock()
        self._wanted: dict[Plane, int] = {}
        self._source = _Source(path, example)
        self._whole: Pixels | None = None
        self._fits = 4 * int(np.prod(self.shape, dtype=np.int64)) <= whole
        self._known = 0  # slices of the whole that are read in their order
        self._slabs: dict[Plane, _Slab] = {}
        self._page: tuple[int, Pixels] | None = None  # the slice that was read last

    def adopt(self, volume: Pixels) -> None:
        """All of it was read by somebody else: (slices, rows, columns), on which nobody may write."""
        with self._lock:
            self._whole, self._known, self._fits = volume, len(volume), True
            self._slabs.clear()

    @property
    def complete(self) -> Pixels | None:
        """All of it, (slices, rows, columns[, 3]), once that is in memory; nobody may write on it."""
        return self._whole if self._whole is not None and self._known == self.shape[0] else None

    @property
    def nbytes(self) -> int:
        """Memory that what was read takes."""
        held = [slab.pixels for slab in list(self._slabs.values())]
        return sum(each.nbytes for each in held) + (0 if self._whole is None else self._whole.nbytes)

    def at_once(self, plane: Plane, at: int) -> Pixels | None:
        """A plane that is in memory; None where it has to be read."""
        if (whole := self.complete) is not None:
            return take(whole, plane, at)
        if plane is Plane.AXIAL:
            if self._whole is not None and at < self._known:
                return take(self._whole, plane, at)
            page = self._page
            return page[1] if page is not None and page[0] == at else None
        slab = self._slabs.get(plane)
        there = slab is not None and slab.holds(at) and slab.known == self.shape[0]
        return slab.taken(at) if slab is not None and there else None

    def want(self, wanted: Mapping[Plane, int]) -> None:
        """Which plane of each kind is wanted from now on; those that are not there are read by :meth:`read`."""
        with self._lock:
            self._wanted = dict(wanted)

    # In the thread that reads -----------------------------------------------------------------------

    def read(
        self, check: Check, came: Callable[[Plane, int], None], went: Callable[[Plane, Went], None]
    ) -> None:
        """Read until all that is wanted is there, also what is wanted meanwhile.

        ``came`` is told of every plane that is there now, ``went`` how far the others are. ``check`` may raise to stop it.
        """
        said: dict[Plane, int] = {}
        while True:
            check()
            with self._lock:
                wanted = dict(self._wanted)
            there = {plane for plane, at in wanted.items() if self.at_once(plane, at) is not None}
            for plane in there:
                if said.get(plane) != wanted[plane]:
                    said[plane] = wanted[plane]
                    came(plane, wanted[plane])
            if len(there) == len(wanted):
                return
            if Plane.AXIAL in wanted and Plane.AXIAL not in there:
                self._page = wanted[Plane.AXIAL], self._slice(wanted[Plane.AXIAL])
            else:
                self._go_on({plane: wanted[plane] for plane in wanted if plane not in there}, went)

    def _go_on(self, wanted: dict[Plane, int], went: Callable[[Plane, Went], None]) -> None:
        """Read one more slice of what these planes are cut from."""
        slices = self.shape[0]
        if self._fits:
            if self._whole is None:
                self._whole = np.empty(self.shape, np.float32)
            page, pixels = self._known, self._slice(self._known)
            with self._lock:
                if self._known == page:  # else all of it has come from elsewhere
                    self._whole[page] = pixels
                    self._known = page + 1
            for plane, at in wanted.items():
                went(plane, Went(at, self._known / slices))
            return
        slabs = [self._slab(plane, at) for plane, at in wanted.items()]
        page = min(slab.known for slab in slabs)
        together = [slab for slab in slabs if slab.known == page]
        for slab, pixels in zip(together, self._cut(page, together), strict=True):
            slab.put(page, pixels)
            went(slab.plane, Went(wanted[slab.plane], slab.known / slices))

    def _slab(self, plane: Plane, at: int) -> _Slab:
        """The slab that holds a plane: the one there is, or another with the plane in its middle."""
        found = self._slabs.get(plane)
        if found is not None and found.holds(at):
            return found
        self._slabs.pop(plane, None)  # before there is another: two of a kind are never held
        sides = list(self.shape)
        across = plane.axis
        each = 4 * int(np.prod(self.shape, dtype=np.int64)) // self.shape[across]
        count = min(max(1, self._slab_bytes // each), self.shape[across])
        first = min(max(0, at - count // 2), self.shape[across] - count)
        sides[across] = count
        slab = _Slab(plane, first, first + count, np.empty(sides, np.float32))
        self._slabs[plane] = slab
        return slab

    def _slice(self, page: int) -> Pixels:
        """A whole slice; NaN where it cannot be read."""
        rows, columns = self.shape[1:3]
        return self._tried(page, [(slice(0, rows), slice(0, columns))])[0]

    def _cut(self, page: int, slabs: list[_Slab]) -> list[Pixels]:
        """What slabs hold of a slice."""
        parts = []
        for slab in slabs:
            own = slice(slab.first, slab.last)
            rows, columns = (slice(0, side) for side in self.shape[1:3])
            parts.append((own, columns) if slab.plane is Plane.CORONAL else (rows, own))
        return self._tried(page, parts)

    def _tried(self, page: int, parts: list[tuple[slice, slice]]) -> list[Pixels]:
        try:
            found = self._source.parts(self.pages[page], parts)
        except PadisError as error:
            found, self.missing[page] = None, str(error)
        shapes = [(p[0].stop - p[0].start, p[1].stop - p[1].start, *self.shape[3:]) for p in parts]
        if found is not None and [each.shape for each in found] != shapes:
            found, self.missing[page] = None, "It has another size than the slice that was opened."
        return found or [np.full(shape, np.nan, np.float32) for shape in shapes]

    def close(self) -> None:
        """Let go of the file; in the thread that reads."""
        self._source.close()


@dataclass(eq=False)
class _Source:
    """The file, open from one slice to the next."""

    path: Path
    example: Image
    _pages: Pages | None = field(default=None, init=False)

    def parts(self, page: int, parts: list[tuple[slice, slice]]) -> list[Pixels]:
        """Parts (rows, columns) of a slice as it is read, for display; NaN and infinite pixels stay what they are.

        Raises :class:`~padis_gui.core.settings.errors.PadisError`.
        """
        reading = self.example.reading
        if self._pages is None:
            self._pages = recognise(self.path, reading).open_pages(reading.dataset)
        sides = self._pages.sides(page)
        if sides is not None and self.example.stored_shape not in (None, sides):
            raise InputError(
                f"A slice of the size of the others was wanted, but it has {sides[1]} × {sides[0]} px."
            )
        if reading.longest_side is not None or reading.not_finite == "replace":
            # of such a slice no part can be made without the rest
            whole = for_display(read_page(self._pages, page, reading).pixels)
            return [np.ascontiguousarray(whole[part]) for part in parts]
        return [self._part(self._pages, page, part, reading) for part in parts]

    def _part(self, pages: Pages, page: int, part: tuple[slice, slice], reading: ReadingSettings) -> Pixels:
        left, top, _, _ = covered(self.example)
        by = reading.pixel_binning
        rows, columns = (
            slice(start + by * side.start, start + by * side.stop)
            for start, side in zip((top, left), part, strict=True)
        )
        found = pages.read(page, (rows, columns), finite=False).pixels
        return for_display(binned(found, by) if by > 1 else found)

    def close(self) -> None:
        if self._pages is not None:
            self._pages.close()
            self._pages = None
