"""The images of a folder in their order, and what is in them.

A volume is reconstructed slice by slice, and asks for the folder anew each time: what was found in it is kept for as
long as no file has changed.
"""

import os
import re
from collections import Counter
from functools import lru_cache
from pathlib import Path

from padis_gui.core.files.formats._j_dicom__core_data_dicom import DICOM
from padis_gui.core.files.formats._j_dicom__core_data_dicom_series import Series, different, find_series
from padis_gui.core.files.formats.pages import display_name, in_one_sentence
from padis_gui.core.files.formats.recognise import may_be_an_image, recognise_file
from padis_gui.core.settings.errors import InputError, PadisError

Files = tuple[tuple[Path, int, int], ...]  # path, size and time of the last change
_MOST_FILES = 100_000


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
        direct = [path for path in folder.iterdir() if _counts(path)]
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
        folders[:] = [one for one in folders if not one.startswith(".")]
        seen += len(files) + len(folders)
        if seen > _MOST_FILES:
            raise InputError(
                f"A folder of images was wanted, but {name} has more than {_MOST_FILES} files below it; open one of the "
                "folders in it."
            )
        found += [path for path in (Path(place, file) for file in files) if _counts(path)]
    return found


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
