"""What every format is read into: a file of pages, opened once and read a page at a time."""

import logging
import re
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.images.size import LARGEST as LARGEST
from padis_gui.core.images.size import SMALLEST as SMALLEST
from padis_gui.core.settings.errors import InputError, PadisError
from padis_gui.core.settings.files import Closing
from padis_gui.core.settings.untrusted import plain

MOST_PAGES = 1_000_000
_FLOAT32 = 2**24  # up to here float32 holds every integer
_LONGEST = 120  # of a name in a sentence
# how readers say that a file may be sound, and yet is nothing for them
_NOT_READ = re.compile(r"not (yet )?(supported|implemented|recognized)|unsupported", re.IGNORECASE)
# how files name a length, in mm
MILLIMETRES = {
    "mm": 1.0, "millimeter": 1.0, "millimeters": 1.0, "millimetre": 1.0, "cm": 10.0, "centimeter": 10.0,
    "m": 1e3, "meter": 1e3, "metre": 1e3, "meters": 1e3, "nm": 1e-6,
    "um": 1e-3, "µm": 1e-3, "μm": 1e-3, "micron": 1e-3, "microns": 1e-3, "micrometer": 1e-3, "micrometre": 1e-3,
    "nanometer": 1e-6, "nanometre": 1e-6, "angstrom": 1e-7, "picometer": 1e-9,
    "inch": 25.4, "inches": 25.4, "in": 25.4, '"': 25.4,
}  # fmt: skip

# Readers warn about oddities that do not concern the pixels. Silenced once and for all: files are read in threads, and
# warnings.catch_warnings would silence (and afterwards mend) the whole process.
for _package in (
    "PIL",
    "pydicom",
    "nibabel",
    "tifffile",
    "h5py",
    "scipy.io",
    "zarr",
    __name__.rpartition(".")[0],
):
    warnings.filterwarnings("ignore", module=re.escape(_package) + r"(\.|$)")

Part = tuple[slice, slice]  # rows and columns of a page
WHOLE: Part = (slice(None), slice(None))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Page:
    """One page: ``pixels`` (C, rows, columns), float32, in the file's own unit; finite unless asked for as they are.

    ``stored`` is the type that the file keeps them in. ``unit`` and ``window`` (the intensities of black and
    white) are what the file or its kind says; "" and None where it says nothing. ``spacing`` is the pixel
    pitch (rows, columns) in mm, ``slice_spacing`` the distance to the next page's slice, in mm. ``notes`` are
    sentences for the user on how the numbers are to be taken.
    """

    pixels: NDArray[np.float32]
    stored: np.dtype[Any]
    unit: str = ""
    window: tuple[float, float] | None = None
    spacing: tuple[float, float] | None = None
    slice_spacing: float | None = None
    notes: tuple[str, ...] = ()


class Pages(Closing):
    """An open file; close it, or use it as a context manager.

    ``count`` is how many pages there are, ``subject`` whose they are where the file says so, and ``is_volume``
    whether they are slices of one body rather than a collection.
    """

    count: int = 1
    subject: str = ""
    is_volume: bool = False

    def __init__(self, path: Path, kind: str, close: Callable[[], None] | None = None) -> None:
        self.name = display_name(path)
        self.kind = kind
        self._close = close

    def read(self, page: int, part: Part = WHOLE, *, finite: bool = True) -> Page:
        """Page ``page``, from 0, or a part of it; the others are not loaded. Raises :class:`InputError` in one sentence.

        Pixels that are NaN or infinite are an error too, unless ``finite`` is False.
        """
        if not 0 <= page < self.count:
            raise InputError(
                f"{self.name} has pages 0 to {self.count - 1}, but page {page} was asked for; choose one of those."
            )
        with in_one_sentence(self.name, self.kind):
            found = self._read(page, part)
        if finite:
            check_finite(self.name, found.pixels, found.stored)
        return found

    def page_name(self, page: int) -> str:
        """What to call a page in front of the user: the file, and its number where there are several."""
        return self.name if self.count == 1 else f"{self.name} page {page}"

    def sides(self, page: int) -> tuple[int, int] | None:
        """Rows and columns of a page where the file says so without the page being read."""
        return None

    @abstractmethod
    def _read(self, page: int, part: Part) -> Page:
        """``page`` lies within the count; any exception becomes one sentence. Pixels may be NaN or infinite."""

    def close(self) -> None:
        if self._close is not None:
            self._close()


def shown(text: str) -> str:
    """A name as it can stand in one sentence: without line ends, bytes that are no text, and most of its length."""
    return plain(text, _LONGEST)


def display_name(path: Path) -> str:
    """What to call a file in front of the user."""
    return shown(path.name)


def quietly(library: str) -> None:
    """What a reader logs of a file's oddities does not concern the user: failures come as exceptions."""
    logging.getLogger(library).disabled = True


@contextmanager
def in_one_sentence(name: str, kind: str) -> Iterator[None]:
    """Turn whatever a reader raises into an :class:`InputError` about the file ``name``."""
    try:
        with np.errstate(all="ignore"):  # whatever is not finite is told afterwards
            yield
    except PadisError:
        raise
    except MemoryError:
        raise InputError(
            f"{name} needs more memory than there is; crop it, bin its pixels, or open a smaller image.",
            remedy="smaller",
        ) from None
    except Exception as error:  # any parser may fail in its own way on a broken file
        reason = shown(str(error).split("\n")[0]) or type(error).__name__
        if "filter returned failure" in reason:  # of HDF5
            raise InputError(
                f"Numbers that can be unpacked were wanted, but those in {name} cannot be unpacked by the filter that they "
                "name; save them anew, with gzip."
            ) from None
        if isinstance(error, NotImplementedError | ImportError) or _NOT_READ.search(reason):
            raise InputError(
                f"{name} is a {kind} of a sort that is not read ({reason}); save it with a usual compression and number "
                "type."
            ) from None
        raise InputError(
            f"An image was wanted, but {name} is damaged or not a {kind} that can be read "
            f"({reason}); open another file or save it anew."
        ) from None


def page_of(
    values: NDArray[Any],
    name: str,
    *,
    unit: str = "",
    window: tuple[float, float] | None = None,
    spacing: tuple[float, float] | None = None,
    slice_spacing: float | None = None,
    notes: tuple[str, ...] = (),
    part: Part = WHOLE,
    alone: bool = False,
    stored: np.dtype[Any] | None = None,
) -> Page:
    """A page, or a ``part`` of it, from an array of (rows, columns) or (rows, columns, 1, 3 or 4) without its opacity.

    Integers beyond the 24 bits of float32 are said. Where the page is ``alone`` in its file and its numbers have no unit,
    the lowest is taken off all of them if none is rounded then. ``stored`` is the file's type where ``values`` have another
    one already. Raises :class:`InputError` for other shapes and for
    what is no number.
    """
    if values.dtype.kind not in "biuf":
        raise InputError(
            f"An image of real numbers was wanted, but {name} holds {values.dtype}; save it as numbers."
        )
    if values.ndim == 3 and values.shape[2] in (1, 3, 4):
        planes = np.moveaxis(values[..., :3] if values.shape[2] == 4 else values, 2, 0)
    elif values.ndim == 2:
        planes = values[None]
    else:
        raise wrong_shape(name, values.shape)
    check_sides(name, planes.shape[1:])
    lowest = 0
    if is_wide(planes.dtype) and planes.size:
        lowest, said = _within_float32(planes, name, alone=alone and not unit)
        notes += said
    planes = planes[:, part[0], part[1]]
    if lowest:
        pixels = np.empty(planes.shape, np.float32)
        for at in np.ndindex(planes.shape[:2]):  # a row at a time
            pixels[at] = planes[at] - planes.dtype.type(lowest)
    else:
        pixels = np.ascontiguousarray(planes, dtype=np.float32)
    if (
        planes.dtype.kind == "f"
        and planes.dtype.itemsize > 4
        and planes.size
        and np.ptp(pixels) == 0 < np.ptp(planes)
    ):
        notes += (
            f"The numbers of {name} differ by less than float32 can hold, and are all alike here; take off what they have "
            "in common, and multiply them by a power of ten.",
        )
    return Page(
        pixels=pixels, stored=stored or values.dtype, unit=unit, window=window, spacing=spacing,
        slice_spacing=slice_spacing, notes=notes,
    )  # fmt: skip


def is_wide(dtype: np.dtype[Any]) -> bool:
    """Whether numbers of a type may be integers that float32 does not hold."""
    return dtype.kind in "iu" and dtype.itemsize > 2


def _within_float32(planes: NDArray[Any], name: str, *, alone: bool) -> tuple[int, tuple[str, ...]]:
    """What to take off integers, and a sentence where float32 would round them: the lowest of them where that helps."""
    low, high = int(planes.min()), int(planes.max())
    most = max(abs(low), abs(high))
    if most <= _FLOAT32:
        return 0, ()
    if alone and high - low <= _FLOAT32:
        return low, (
            f"The integers of {name} go beyond the 24 bits of float32; {low} is taken off all of them, so that none is "
            "rounded.",
        )
    return 0, (
        f"The integers of {name} go beyond the 24 bits of float32; they are rounded to multiples of "
        f"{2 ** (most.bit_length() - 24)}.",
    )


def check_finite(name: str, pixels: NDArray[np.float32], stored: np.dtype[Any]) -> None:
    """Raise :class:`InputError` where pixels, which are ``stored`` as that type, are NaN or infinite."""
    counts = (plane.size - np.count_nonzero(np.isfinite(plane)) for plane in pixels)  # one after the other
    bad = int(sum(counts)) if stored.kind == "f" else 0
    if bad:
        raise InputError(
            f"An image of finite numbers was wanted, but {name} has {bad} NaN or infinite pixels; "
            "replace them by their neighbours (NaN, infinity: replace; --not-finite replace), or in the file.",
            remedy="replace",
        )


def check_sides(name: str, sides: tuple[int, ...], smallest: int = 1) -> None:
    """Raise :class:`InputError` unless rows and columns can be an image's; ask before loading anything."""
    if not all(smallest <= side <= LARGEST for side in sides):
        raise InputError(
            f"An image of {max(smallest, SMALLEST)} to {LARGEST} pixels a side was wanted, but {name} has "
            f"{' x '.join(map(str, sides))}; crop or resize it."
        )


def wrong_shape(name: str, shape: tuple[int, ...]) -> InputError:
    """The error for an array that is neither an image nor a stack of images."""
    return InputError(
        f"An image of rows x columns (grey or RGB) was wanted, but {name} has the shape "
        f"{' x '.join(map(str, shape)) or 'of a single number'}; open a file with one image a page."
    )
