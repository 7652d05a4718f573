"""A format of files: how it is told, what a file of it holds, and how its pages are opened."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from padis_gui.core.files.formats.arrays import find_layout
from padis_gui.core.files.formats.pages import (
    MOST_PAGES,
    SMALLEST,
    Pages,
    check_sides,
    in_one_sentence,
    shown,
)
from padis_gui.core.settings.errors import InputError

MOST_LISTED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInfo:
    """One array, series or channel that a file holds.

    ``name`` is what ``dataset`` takes to read it, ``shape`` and ``dtype`` are as stored, ``count`` is how many pages
    it has as images (0 where it cannot be used, for the reason in ``why_not``). ``description`` says what the file
    calls it where that is more than its name.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    count: int
    why_not: str = ""
    description: str = ""

    @property
    def usable(self) -> bool:
        return not self.why_not


def describe_array(
    name: str,
    shape: tuple[int, ...],
    dtype: str,
    *,
    pages_last: bool = False,
    description: str = "",
    pages: int | None = None,
) -> DatasetInfo:
    """What is known of an array of numbers from its shape; ``pages_last`` as for :func:`find_layout`.

    ``pages`` is how many pages it has where the shape does not say so.
    """
    count, why_not = 0, ""
    try:
        layout = find_layout(shape, shown(name), pages_last=pages_last)
        check_sides(shown(name), layout.sides, SMALLEST)
        count = layout.count if pages is None else pages
        if not layout.count:
            why_not = f"An image was wanted, but {shown(name)} holds none."
    except InputError as error:
        why_not = str(error)
    return DatasetInfo(
        name=name, shape=shape, dtype=dtype, count=count, why_not=why_not, description=description
    )


def not_numbers(name: str, shape: tuple[int, ...], dtype: str) -> DatasetInfo:
    """An array of something else than real numbers, which cannot be read."""
    why_not = f"Real numbers were wanted, but {shown(name)} holds {dtype}."
    return DatasetInfo(name=name, shape=shape, dtype=dtype, count=0, why_not=why_not)


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A file format: ``names`` are what users call it, ``signatures`` (offset, bytes) pairs, any of which tells it.

    Where a file carries no signature ``is_begun_by`` tells it by its first 520 bytes, and the ending for a format that
    is ``by_name``; the signature of a format that goes ``before_others`` counts more than theirs. ``open_pages`` takes
    the path and the name of the array wanted ("" for the obvious one). ``list_datasets`` says what a file of a format
    holds that may hold several arrays. ``numbered`` files may be the slices of one stack. ``files_beside`` are those that
    a file lists as its pages; such a file is no image of a folder itself. ``open_linked`` opens a file as ``open_pages``
    does, and follows its links into other files of its folder.
    """

    kind: str
    open_pages: Callable[[Path, str], Pages]
    names: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    signatures: tuple[tuple[int, bytes], ...] = ()
    list_datasets: Callable[[Path], tuple[DatasetInfo, ...]] | None = None
    is_begun_by: Callable[[bytes], bool] | None = None
    before_others: bool = False
    by_name: bool = False
    numbered: bool = False
    files_beside: Callable[[Path], list[Path]] | None = None
    open_linked: Callable[[Path, str], Pages] | None = None


@dataclass(frozen=True, slots=True)
class Recognised:
    """A file or folder with its format; ``name`` is what to call it in front of the user.

    ``linked`` says that its links into other files of its folder are to be followed.
    """

    path: Path
    format: Format
    name: str
    linked: bool = False

    @property
    def kind(self) -> str:
        """What the format is called in sentences, such as "DICOM file"."""
        return self.format.kind

    def open_pages(self, dataset: str = "") -> Pages:
        """Open it to read its pages one by one; close them, or use them in a ``with``.

        ``dataset`` names what is wanted of a file that may hold several (an array of NPZ, MATLAB and HDF5, series and
        channel of a TIFF, a series of a folder); empty takes the obvious one. Raises :class:`InputError` for what
        cannot be opened as images.
        """
        with in_one_sentence(self.name, self.kind):
            opened = self.format.open_linked if self.linked else None
            pages = (opened or self.format.open_pages)(self.path, dataset)
        if not 1 <= pages.count <= MOST_PAGES:
            pages.close()
            raise InputError(
                f"1 to {MOST_PAGES} images were wanted, but {self.name} claims {pages.count}; get a fresh copy."
            )
        return pages

    def list_datasets(self) -> tuple[DatasetInfo, ...]:
        """What ``dataset`` can name, without reading it; empty where there is no choice.

        Raises :class:`InputError` for what cannot be opened.
        """
        if self.format.list_datasets is None:
            return ()
        with in_one_sentence(self.name, self.kind):
            return self.format.list_datasets(self.path)
