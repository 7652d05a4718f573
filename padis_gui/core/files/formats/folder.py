"""Folders: their images in order as one stack of pages, their series, and a hash of what they hold.

A volume is reconstructed slice by slice, and asks for the folder anew each time: what was found in it is kept for as
long as no file has changed.
"""

import hashlib
import os
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path

from padis_gui.core.files.formats.dicom import DICOM
from padis_gui.core.files.formats.dicom_series import Series, different, find_series
from padis_gui.core.files.formats.format import DatasetInfo, Format
from padis_gui.core.files.formats.hdf5 import linked_files
from padis_gui.core.files.formats.ome_zarr import is_zarr, zarr_files
from padis_gui.core.files.formats.pages import Page, Pages, Part, display_name, in_one_sentence, shown
from padis_gui.core.files.formats.recognise import FORMATS, may_be_an_image, recognise_file
from padis_gui.core.settings.errors import InputError, PadisError
from padis_gui.core.settings.files import file_sha256

Files = tuple[tuple[Path, int, int], ...]  # path, size and time of the last change
_MOST_FILES, _MOST_CHUNKS = 60_000, 1_000_000
# Endings of files that list others as their pages
LISTING = tuple(suffix for f in FORMATS if f.files_beside is not None for suffix in f.suffixes)


def stamped(files: list[Path]) -> Files:
    """Files with what tells whether they have changed."""
    found = []
    for path in files:
        try:
            status = path.stat()
        except OSError:  # it has gone meanwhile; said when it is opened
            found.append((path, 0, 0))
        else:
            found.append((path, status.st_size, status.st_mtime_ns))
    return tuple(found)


@lru_cache(maxsize=4)
def series_among(files: Files) -> tuple[list[Series], list[tuple[Path, str]]]:
    """The series among files of any kind; nothing at all where none is DICOM."""
    return find_series(path for path, _, _ in files if _is_dicom(path))


@lru_cache(maxsize=4)
def first_pages(files: Files, dataset: str) -> tuple[int, ...]:
    """The number of each file's first page in all, and of all pages; the files must be of one size."""
    firsts, all_sides = [0], []
    for path, _, _ in files:
        count = 1
        try:
            with recognise_file(path).open_pages(dataset) as pages:
                count = pages.count
                with in_one_sentence(pages.name, pages.kind):
                    sides = pages.sides(0)
                if sides is not None:
                    all_sides.append((path, sides))
        except PadisError:
            if len(files) == 1:
                raise
        # a file that cannot be opened keeps its place, and says why when it is read
        firsts.append(firsts[-1] + count)
    usual = Counter(sides for _, sides in all_sides).most_common(1)
    for path, sides in all_sides:
        if sides != usual[0][0]:
            raise different(path, sides, usual[0][0])
    return tuple(firsts)


def images_in(folder: Path) -> list[Path]:
    """The images directly in a folder, in the order of their names; those below it where it has none itself.

    Hidden files are left out, and links to folders are not followed. Raises :class:`InputError` where there are none.
    """
    name = display_name(folder)
    try:
        direct = [path for path in _few(folder.iterdir(), name) if _counts(path)]
        found = direct or list(_below(folder, name))
    except OSError as error:
        raise InputError(
            f"The folder {name} cannot be read ({error.strerror}); check its permissions."
        ) from None
    if not found:
        raise InputError(
            f"Images were wanted, but {name or folder} is a folder without any; open a folder of images, or a file."
        )
    return sorted(found, key=lambda path: _natural(path.relative_to(folder).as_posix()))


def _below(folder: Path, name: str) -> list[Path]:
    found: list[Path] = []
    seen = 0
    for place, folders, files in os.walk(folder):
        # the chunks of an OME-Zarr are no images of their own
        folders[:] = [one for one in folders if not one.startswith(".") and not is_zarr(Path(place, one))]
        seen += len(files) + len(folders)
        if seen > _MOST_FILES:
            raise _too_many(name)
        found += [path for path in (Path(place, file) for file in files) if _counts(path)]
    return found


def _few(paths: Iterable[Path], name: str) -> list[Path]:
    found = list(islice(paths, _MOST_FILES + 1))
    if len(found) > _MOST_FILES:
        raise _too_many(name)
    return found


def _too_many(name: str) -> InputError:
    return InputError(
        f"A folder of at most {_MOST_FILES} files was wanted, but {name} has more, the folders in it included; open one of "
        "the folders in it, or divide it."
    )


def _counts(path: Path) -> bool:
    return not path.name.startswith(".") and path.is_file() and may_be_an_image(path)


def _natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """A key by which slice2 comes before slice10."""
    parts = re.split(r"(\d{1,18})", name.casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts], name


def _is_dicom(path: Path) -> bool:
    try:
        return recognise_file(path).format is DICOM
    except PadisError:  # said when it is opened
        return False


_LISTED, _NAMED = 12, 3


def open_folder(folder: Path, dataset: str) -> Pages:
    """The slices of the only DICOM series in a folder, or of the one that ``dataset`` names; else its images.

    A series goes by its number, its description or its UID. Images must have one size; they stand in the order of
    their names, numbers in these by their value, and a file of several pages gives all of them.
    """
    files = stamped(images_in(folder))
    series, left_out = series_among(files)
    passed_over = {path for path, _ in left_out}
    notes = _passed_over(folder, sorted(passed_over))
    if series:
        chosen = _chosen(series, dataset, folder)
        chosen.check_sides()
        return replace(chosen, notes=chosen.notes + notes).open()
    images = tuple(file for file in files if file[0] not in passed_over)
    if not images:
        raise InputError(left_out[0][1])
    return _Images(folder, images, dataset, notes)


def _passed_over(folder: Path, paths: list[Path]) -> tuple[str, ...]:
    if not paths:
        return ()
    named = ", ".join(display_name(path) for path in paths[:_NAMED])
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return (
        f"DICOM files of {display_name(folder)} that are localizers, hold no pixels or cannot be read are passed over: "
        f"{named}{more}.",
    )


def list_folder(folder: Path) -> tuple[DatasetInfo, ...]:
    """The series of a folder; nothing where it holds none, as images need no choice."""
    series, _ = series_among(stamped(images_in(folder)))
    found = []
    for one, name in zip(series, _names(series), strict=True):
        why_not = ""
        try:
            one.check_sides()
        except InputError as error:
            why_not = str(error)
        shape = (len(one.frames), *one.sides[0])
        description = " · ".join(filter(None, (one.modality, one.description)))
        found.append(
            DatasetInfo(
                name=name, shape=shape, dtype="", count=0 if why_not else shape[0], why_not=why_not,
                description=description,
            )
        )  # fmt: skip
    return tuple(found)


def _names(series: list[Series]) -> list[str]:
    """What each series is called: its number, else its description, else its UID; each name only once."""
    for names in ([one.number for one in series], [one.description for one in series]):
        if all(names) and len(set(names)) == len(names):
            return names
    return [one.uid for one in series]


def _chosen(series: list[Series], dataset: str, folder: Path) -> Series:
    told = [
        (shown(name[:64]), shown(one.description[:40]) if one.description != name else "", len(one.frames))
        for name, one in zip(_names(series)[:_LISTED], series, strict=False)
    ]
    listed = "; ".join(
        f"{name} ({f'{words}, ' if words else ''}{count} slices)" for name, words, count in told
    )
    more = f" and {len(series) - _LISTED} more" if len(series) > _LISTED else ""
    if not dataset:
        if len(series) == 1:
            return series[0]
        raise InputError(
            f"One DICOM series was wanted, but {display_name(folder)} holds {len(series)}: {listed}{more}; name the data "
            "set to read."
        )
    wanted = dataset.strip()
    for names in (
        _names(series), [one.number for one in series], [one.description for one in series], [one.uid for one in series]
    ):  # fmt: skip
        if names.count(wanted) == 1:
            return series[names.index(wanted)]
    raise InputError(
        f"The series '{shown(wanted[:60])}' was wanted, but {display_name(folder)} holds {listed}{more}; name one of those."
    )


FOLDER = Format(kind="folder of images", open_pages=open_folder, list_datasets=list_folder)


class _Images(Pages):
    """Files one after the other; the one that was read last stays open."""

    def __init__(self, folder: Path, files: Files, dataset: str, notes: tuple[str, ...] = ()) -> None:
        super().__init__(folder, FOLDER.kind, self._leave)
        self._dataset, self._notes = dataset, notes
        self._files, self._firsts = [path for path, _, _ in files], first_pages(files, dataset)
        self._open: tuple[int, Pages] | None = None
        self.count = self._firsts[-1]

    def page_name(self, page: int) -> str:
        number = self._file_of(page)
        name = display_name(self._files[number])
        several = self._firsts[number + 1] - self._firsts[number] > 1
        return f"{name} page {page - self._firsts[number]}" if several else name

    def _file_of(self, page: int) -> int:
        return bisect_right(self._firsts, page) - 1

    def _read(self, page: int, part: Part) -> Page:
        number = self._file_of(page)
        if self._open is None or self._open[0] != number:
            self._leave()
            self._open = number, recognise_file(self._files[number]).open_pages(self._dataset)
        found = self._open[1].read(page - self._firsts[number], part, finite=False)
        return replace(found, notes=found.notes + self._notes)

    def _leave(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """The stack that one file is a slice of: open ``folder`` with ``dataset``; the file is its page ``page``.

    ``name`` says what it is, for an offer such as "Open the whole series (10 slices)".
    """

    folder: Path
    dataset: str
    count: int
    page: int
    name: str


def folder_of_series(path: Path) -> Whole | None:
    """The series or numbered images that a file is one of; None where it stands alone or that cannot be told.

    Raises nothing: it is asked for an offer beside an image that is open.
    """
    try:
        format_ = recognise_file(path).format
        files = images_in(path.parent)
    except InputError:
        return None
    if format_ is DICOM:
        return _series_around(path, files)
    if not format_.numbered:
        return None
    pattern = re.sub(r"\d+", "#", path.name)
    if "#" not in pattern or len(files) < 3 or any(re.sub(r"\d+", "#", one.name) != pattern for one in files):
        return None
    try:
        with open_folder(path.parent, "") as pages:
            if pages.count != len(files):
                return None
    except PadisError:
        return None
    page = [one.name for one in files].index(path.name)
    return Whole(folder=path.parent, dataset="", count=len(files), page=page, name="folder")


def _series_around(path: Path, files: list[Path]) -> Whole | None:
    series, _ = series_among(stamped(files))
    for one, name in zip(series, _names(series), strict=True):
        places = [n for n, (file, _) in enumerate(one.frames) if file.name == path.name]
        if places and len(one.frames) > len(places):
            dataset = "" if len(series) == 1 else name
            return Whole(
                folder=path.parent, dataset=dataset, count=len(one.frames), page=places[0], name="series"
            )
    return None


def files_beside(path: Path) -> list[Path]:
    """The files that a file lists as its pages, such as a scan's projections; none for all other files.

    Raises :class:`InputError` where they are not all there.
    """
    if path.suffix.lower() not in LISTING:
        return []
    listed = recognise_file(path).format.files_beside
    return [] if listed is None else listed(path)


def data_sha256(path: Path, *, linked: bool = False) -> str:
    """SHA-256 of a file, or of a folder's images (of an OME-Zarr: of all its files), in hexadecimal.

    Raises :class:`OSError` where it cannot be read.

    A folder's is that of a line for each image file, in the order of their names: the file's own hash, two blanks and
    its name within the folder (as `sha256sum` writes it). Other files do not count, and neither does where the folder
    lies. That of a file that lists others, such as a scan's projections, is of it and these in the same way,
    and so is that of one whose links are followed (``linked``).
    """
    path = Path(path)
    try:
        if path.is_dir():
            folder, files = path, zarr_files(path, _MOST_CHUNKS) if is_zarr(path) else images_in(path)
        else:
            folder, files = path.parent, [path, *files_beside(path), *(linked_files(path) if linked else ())]
            if len(files) == 1:
                return file_sha256(path)
    except InputError as error:
        raise OSError(0, str(error)) from None
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda one: one.relative_to(folder).as_posix()):
        digest.update(
            f"{file_sha256(file)}  {file.relative_to(folder).as_posix()}\n".encode(errors="surrogateescape")
        )
    return digest.hexdigest()
