"""Scans whose projections lie beside a text file, a TIFF each: Nikon's `.xtekct`, SkyScan's `.log`, Phoenix's `.pca`.

All three are lines `key=value` in sections. What the keys mean is known from readers that others have published: of
Nikon from CIL's NikonDataReader and TIGRE's NikonDataLoader, of SkyScan from TIGRE's BrukerDataLoader and the
SkyScanParser of ASTRA's MATLAB tools, of Phoenix datos|x from a .pca that an ODL example of the University of Hamburg
quotes in full.

Names from such a file are taken for files in its own folder or below it only.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable
from configparser import Error as ConfigError
from configparser import RawConfigParser
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import numpy as np

from padis_gui.core.files.formats.format import Format
from padis_gui.core.files.formats.pages import Page, Pages, Part, display_name, shown
from padis_gui.core.files.formats.tiff import open_tiff
from padis_gui.core.settings.errors import InputError

_LARGEST = 4 * 2**20  # bytes of a text file
_MOST_VIEWS = 100_000
_MOST_FILES = 400_000  # in a folder
_PROJECTION = re.compile(r"(.*?)(\d{1,9})\.tiff?", re.IGNORECASE | re.DOTALL)


class Listing:
    """The values of a scanner's text file, by keys whose case doesn't matter."""

    def __init__(self, path: Path) -> None:
        """Raises :class:`InputError` for what is too large, or no lines `key=value`."""
        self.path, self.name = path, display_name(path)
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise InputError(
                f"A scanner's text file of at most {_LARGEST >> 20} MiB was wanted, but {self.name} is larger; open the "
                "one that came with the projections."
            )
        text = content.decode("utf-8-sig", "replace")
        # a last line without its end may be cut within a number
        lines = (line.strip() for line in text[: max(text.rfind("\n"), text.rfind("\r")) + 1].splitlines())
        self._values = RawConfigParser(
            strict=False,
            allow_no_value=True,
            delimiters=("=",),
            comment_prefixes=("#", ";"),
            default_section="",
        )
        try:
            self._values.read_string("\n".join(line for line in lines if line))
        except ConfigError:
            raise self._lacks("lines of key=value in sections") from None

    def _lacks(self, what: str) -> InputError:
        return InputError(
            f"A scanner's text file with {what} was wanted, but {self.name} has none; open the one that came with the "
            "projections."
        )

    def text(self, key: str, section: str = "") -> str:
        """The value of a key, in the first section that has it or in one; empty where there is none."""
        for each in (section,) if section else self._values.sections():
            if self._values.has_section(each) and (found := self._values.get(each, key, fallback=None)):
                return found.strip()
        return ""

    def number(self, key: str, section: str = "", *, or_else: float | None = None) -> float:
        """A finite number. Raises :class:`InputError` where it is missing without an ``or_else``, or no number."""
        text = self.text(key, section)
        if not text and or_else is not None:
            return or_else
        if not text:
            raise self._lacks(f"a value of {key}")
        try:
            found = float(text)
        except ValueError:
            found = np.nan
        if not (np.isfinite(found) and abs(found) < 1e12):
            raise InputError(
                f"A finite number below 1e12 was wanted, but {self.name} has {key} = {shown(text[:40])}; correct it in a "
                "copy of the file."
            )
        return found

    def count(self, key: str, section: str = "", *, most: int) -> int:
        """A whole number from 1 to ``most``; raises :class:`InputError` for others."""
        found = self.number(key, section)
        if not (1 <= found <= most and found == int(found)):
            raise InputError(
                f"A whole number from 1 to {most} was wanted, but {self.name} has {key} = {found:g}; correct it in a "
                "copy of the file."
            )
        return int(found)

    def inside(self, key: str, *, folder: bool = False) -> str:
        """A name that leads nowhere but into the file's own folder, with `/` between the parts of a ``folder``'s.

        Raises :class:`InputError` for absolute paths, for `..`, and where one name is wanted for several.
        """
        text = self.text(key)
        parts = text.replace("\\", "/").split("/")
        absolute = text.startswith(("/", "\\")) or PureWindowsPath(text).drive
        if absolute or ".." in parts or "\0" in text or (not folder and len(parts) > 1) or len(text) > 255:
            raise InputError(
                f"A name within its own folder was wanted, but {self.name} has {key} = {shown(text[:60])}; put the "
                "projections beside it and leave the folder out in a copy of the file."
            )
        return "/".join(part for part in parts if part not in ("", "."))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The projections that a file lists: ``prefix``, a number from one of ``firsts`` on, and `.tif`."""

    folder: Path
    prefix: str
    count: int
    firsts: tuple[int, ...]
    any_prefix: bool = False  # projections of another name are taken where nothing else can be meant


def _of_nikon(listing: Listing) -> _Wanted:
    if not listing.text("SrcToObject", "XTekCT"):
        raise InputError(
            f"A section [XTekCT] with SrcToObject was wanted, but {listing.name} has none; open the .xtekct of the scan."
        )
    folder = listing.path.parent / listing.inside("InputFolderName", folder=True)
    prefix = listing.inside("Name") + (listing.text("InputSeparator") or "_")[:8]
    count = listing.count("Projections", "XTekCT", most=_MOST_VIEWS)
    return _Wanted(folder, prefix, count, (1, 0), any_prefix=True)


def _of_skyscan(listing: Listing) -> _Wanted:
    if not listing.text("Number Of Files"):
        raise InputError(
            f"A SkyScan log with a Number Of Files was wanted, but {listing.name} has none; open the .log beside the "
            "projections, or another image."
        )
    kind = listing.text("Image Format").upper()
    if kind not in ("", "TIFF", "TIF"):
        raise InputError(
            f"Projections in TIFF were wanted, but {listing.name} has Image Format = {shown(kind[:20])}; convert them, and "
            "write TIFF there in a copy of the file."
        )
    count = listing.count("Number Of Files", most=_MOST_VIEWS)
    return _Wanted(listing.path.parent, listing.inside("Filename Prefix") or listing.path.stem, count, (0, 1))


def _of_phoenix(listing: Listing) -> _Wanted:
    if not listing.text("FDD", "Geometry"):
        raise InputError(
            f"A section [Geometry] with FDD and FOD was wanted, but {listing.name} has none; open the .pca of the scan."
        )
    count = listing.count("NumberImages", "CT", most=_MOST_VIEWS)
    return _Wanted(listing.path.parent, listing.path.stem, count, (1, 0), any_prefix=True)


def _numbered(folder: Path, name: str) -> dict[str, dict[int, Path]]:
    """The TIFF files of a folder by what stands before their number, in small letters, and by their number."""
    found: dict[str, dict[int, Path]] = defaultdict(dict)
    try:
        with os.scandir(folder) as entries:
            for seen, entry in enumerate(entries):
                if seen == _MOST_FILES:
                    raise InputError(
                        f"A folder of projections was wanted, but that of {name} has more than {_MOST_FILES} files; put "
                        "those of the scan into one of their own."
                    )
                if (match := _PROJECTION.fullmatch(entry.name)) and entry.is_file():
                    found[match[1].casefold()][int(match[2])] = Path(entry.path)
    except OSError as error:
        raise InputError(
            f"The folder of the projections of {name} cannot be read ({error.strerror}); check its name and permissions."
        ) from None
    return found


def _projections(wanted: _Wanted, name: str) -> list[Path]:
    """The files in the order of their numbers; raises :class:`InputError` where one is missing."""
    files = _numbered(wanted.folder, name)
    numbers = files.get(wanted.prefix.casefold(), {})
    if not numbers and wanted.any_prefix:
        enough = [some for some in files.values() if len(some) >= wanted.count]
        numbers = enough[0] if len(enough) == 1 else {}
    for first in wanted.firsts:
        if all(number in numbers for number in range(first, first + wanted.count)):
            return [numbers[number] for number in range(first, first + wanted.count)]
    start = next((first for first in wanted.firsts if first in numbers), wanted.firsts[0])
    missing = next(n for n in range(start, start + wanted.count) if n not in numbers)
    raise InputError(
        f"{wanted.count} projections were wanted, but beside {name} there are {len(numbers)} and "
        f"{shown(wanted.prefix)}{missing:04d}.tif is missing; put all of them into its folder."
    )


_READERS: dict[str, Callable[[Listing], _Wanted]] = {
    "Nikon file": _of_nikon, "SkyScan file": _of_skyscan, "Phoenix file": _of_phoenix,
}  # fmt: skip


def projections_of(path: Path, kind: str) -> list[Path]:
    """The files of a scan's projections, a view each; raises :class:`InputError` where they are not all there."""
    listing = Listing(path)
    return _projections(_READERS[kind](listing), listing.name)


class _Projections(Pages):
    """A file after the other, of one size."""

    def __init__(self, path: Path, kind: str) -> None:
        super().__init__(path, kind)
        self._files = projections_of(path, kind)
        self.count = len(self._files)
        self._sides = self._sides_of(0)

    def _sides_of(self, page: int) -> tuple[int, int] | None:
        with open_tiff(self._files[page], "") as pages:
            return pages.sides(0)

    def sides(self, page: int) -> tuple[int, int] | None:
        return self._sides

    def page_name(self, page: int) -> str:
        return display_name(self._files[page])

    def _read(self, page: int, part: Part) -> Page:
        with open_tiff(self._files[page], "") as pages:
            if pages.sides(0) != self._sides:
                raise InputError(
                    f"Projections of one size were wanted, but {self.page_name(page)} is of another than "
                    f"{self.page_name(0)}; take those of one scan."
                )
            return pages.read(0, part, finite=False)


def _scanner(kind: str, name: str, suffix: str, *signatures: bytes) -> Format:
    return Format(
        kind=kind,
        names=(name,),
        suffixes=(suffix,),
        signatures=tuple((0, sign) for sign in signatures),
        open_pages=lambda path, _dataset: _Projections(path, kind),
        by_name=True,
        files_beside=lambda path: projections_of(path, kind),
    )


NIKON = _scanner("Nikon file", "Nikon XTEKCT", ".xtekct", b"[XTekCT]")
SKYSCAN = _scanner("SkyScan file", "SkyScan LOG", ".log")
PHOENIX = _scanner("Phoenix file", "Phoenix PCA", ".pca")
