"""Where training images come from: files and their pages one after the other, and whose page is whose.

Subjects are told by a table, by what the files say, or are one a file or a page. Which intensities become 0 and 1 where
nobody says so has one answer for the whole data set.
"""

import csv
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from padis_gui.core.files.formats.dicom import DICOM
from padis_gui.core.files.formats.dicom_series import find_series
from padis_gui.core.files.formats.ome_zarr import is_zarr
from padis_gui.core.files.formats.open import recognise
from padis_gui.core.files.formats.pages import SMALLEST, Page, Pages
from padis_gui.core.files.formats.recognise import PICTURE, may_be_an_image
from padis_gui.core.images.image import HU_WINDOW
from padis_gui.core.settings.errors import InputError, PadisError


@dataclass(frozen=True, slots=True)
class Skipped:
    """What could not be used, and why, in one sentence."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file, or a series of files, of ``count`` pages; ``first`` is the number of its first page in all.

    ``subject`` says whose they are where the file does; ``is_volume`` that they are slices of one body.
    """

    name: str
    first: int
    count: int
    open: Callable[[], Pages]
    subject: str = ""
    is_volume: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One page that was looked for: what was read, or why it could not be."""

    source: Source
    number: int
    name: str
    page: Page | None = None
    reason: str = ""


def find_sources(paths: Sequence[Path], dataset: str) -> tuple[list[Source], list[Skipped]]:
    """The files among ``paths`` and below the folders among them, and those that cannot be opened.

    DICOM files are grouped into their series, which come after the other files. Pages are numbered from 0
    through all files; one that cannot be opened takes one number.
    """
    sources: list[Source] = []
    skipped: list[Skipped] = []
    slices: list[Path] = []
    number = 0
    for path in _files(paths):
        try:
            found = recognise(path)
            if found.format is DICOM:
                slices.append(path)
                continue
            if found.format is PICTURE:  # one page; opening it now would only tell that again
                count, subject, is_volume = 1, "", False
            else:
                with found.open_pages(dataset) as pages:
                    count, subject, is_volume = pages.count, pages.subject, pages.is_volume
        except PadisError as error:
            skipped.append(Skipped(path.name, str(error)))
            number += 1
            continue
        sources.append(
            Source(
                name=path.name, first=number, count=count, open=partial(found.open_pages, dataset), subject=subject,
                is_volume=is_volume,
            )
        )  # fmt: skip
        number += count
    series, left_out = find_series(slices) if slices else ([], [])
    skipped += [Skipped(path.name, reason) for path, reason in left_out]
    for one in series:
        name = f"{one.folder.name}/{one.description}" if one.description else one.folder.name
        count = len(one.frames)
        sources.append(
            Source(name=name, first=number, count=count, open=one.open, subject=one.subject, is_volume=True)
        )
        number += count
    return sources, skipped


def read_pages(sources: Sequence[Source], numbers: Collection[int] | None = None) -> Iterator[Found]:
    """Every page in turn, or those of the given ``numbers``; a file is opened once for all of its pages."""
    for source in sources:
        wanted = [page for page in range(source.count) if numbers is None or source.first + page in numbers]
        if not wanted:
            continue
        try:
            pages = source.open()
        except PadisError as error:  # it could be opened before, or is a picture
            for page in wanted:
                yield Found(source=source, number=source.first + page, name=source.name, reason=str(error))
            continue
        with pages:
            for page in wanted:
                name, number = pages.page_name(page), source.first + page
                try:
                    read = pages.read(page)
                except PadisError as error:
                    yield Found(source=source, number=number, name=name, reason=str(error))
                else:
                    yield Found(source=source, number=number, name=name, page=read)


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir() and not is_zarr(path):
            yield from sorted(_below(path))
        else:
            yield path


def _below(folder: Path) -> Iterator[Path]:
    """What is called as an image is anywhere in a folder; an OME-Zarr is one, with all that is in it."""
    for place, folders, files in os.walk(folder):
        stores = {one for one in folders if is_zarr(Path(place, one))}
        for one in (*folders, *files):
            if one in stores or (not one.startswith(".") and may_be_an_image(Path(place, one))):
                yield Path(place, one)
        folders[:] = [one for one in folders if one not in stores]


Window = tuple[float, float]

_PAGES, _ALIKE = 32, 4  # pages looked at, fewer where they agree on what their kind of file says
_PIXELS = 2**16  # of each
_SHARES = (0.1, 99.9)  # percentiles
_NEAR_ZERO = 0.1
_DEPTHS = tuple(float(2**bits - 1) for bits in (10, 12, 14, 16))


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A window, its unit, and whether it follows from the kind of the files (``stated``) or from their pixels."""

    window: Window
    unit: str = ""
    stated: bool = False


def propose_window(sources: Sequence[Source]) -> Proposal | None:
    """The window for all pages of the ``sources``, from a sample of them; None where none can be read.

    Most pages decide. 8-bit pictures are 0 to 255, what is stored as pictures of 16 bits 0 to 65535, CT in
    DICOM is in HU. Otherwise numbers that reach from air's far below zero are taken for HU, floats within 0
    to 1 for what they are, and all others get robust percentiles (0.1 and 99.9) of the whole sample: from 0
    where the lower is near it, and to a detector's full range (2^10 - 1 to 2^16 - 1) where the upper is.
    """
    total = sum(source.count for source in sources)
    numbered = [source.first + page for source in sources for page in range(source.count)]
    spread = np.linspace(0, total - 1, min(total, _PAGES)).round().astype(int) if total else np.zeros(0, int)
    pages: list[Page] = []
    for found in read_pages(sources, {numbered[n] for n in spread}):
        if found.page is not None and min(found.page.pixels.shape[1:]) >= SMALLEST:
            pages.append(found.page)
        claims = {claim_of(page) for page in pages}
        if len(pages) == _ALIKE and len(claims) == 1 and None not in claims:
            break
    if not pages:
        return None
    claim = Counter(claim_of(page) for page in pages).most_common(1)[0][0]
    same = [page for page in pages if claim_of(page) == claim]
    if claim is not None:
        return Proposal(window=claim, unit=same[0].unit, stated=True)
    return _from_pixels(same)


def claim_of(page: Page) -> Window | None:
    """The window that the kind of file itself states."""
    if page.window is not None:
        return page.window
    if page.stored == np.uint8:
        return (0.0, 255.0)
    return (0.0, 1.0) if page.stored == np.bool_ else None


def fits(page: Page, proposal: Proposal) -> bool:
    """Whether a page is in the scale that was proposed for all."""
    claim = claim_of(page)
    if claim is None:
        return not proposal.stated or (proposal.unit == "HU" and page.stored.kind in "if")
    return claim == proposal.window


def _from_pixels(pages: Sequence[Page]) -> Proposal:
    low = min(float(page.pixels.min()) for page in pages)
    high = max(float(page.pixels.max()) for page in pages)
    kinds = {page.stored.kind for page in pages}
    if -9000.0 <= low <= -200.0 and high <= 32767.0:
        return Proposal(window=HU_WINDOW, unit="HU")
    if kinds == {"f"} and low >= 0.0 and high <= 1.0:
        return Proposal(window=(0.0, 1.0))
    pool = np.concatenate([page.pixels.ravel()[:: -(-page.pixels.size // _PIXELS)] for page in pages])
    low, high = (float(v) for v in np.percentile(pool, _SHARES))
    if 0.0 <= low < _NEAR_ZERO * high:
        low = 0.0
    if "f" not in kinds:
        low, high = float(np.floor(low)), float(np.ceil(high))
        full = [depth for depth in _DEPTHS if high <= depth <= high / (1 - _NEAR_ZERO)]
        high = full[0] if low == 0.0 and full else high
    low, high = float(f"{low:.4g}"), float(f"{high:.4g}") if high not in _DEPTHS else high
    return Proposal(window=(low, high if high > low else low + 1.0))


_OWNERS = ("patient", "subject")


def group_by_subject(
    paths: Sequence[Path], table: str, sources: Sequence[Source], taken: Sequence[Found]
) -> tuple[tuple[int, ...], ...]:
    """The indices in ``taken`` of each subject.

    ``table`` is a CSV file with a column patient or subject and the columns page (the number from 0, through
    all files in their order, or within the file where there is one), file, or both; empty takes the table
    beside a single file (the same name with the ending .csv) or `subjects.csv` in a folder. Pages that it
    leaves out, or all without one, belong to the patient that their DICOM file names, else to their volume,
    else to their file where several have more than a page, and else to nobody but themselves. Raises
    :class:`InputError` where the table is none, or names no page that was read.
    """
    path = Path(table) if table else table_of(paths)
    owners = {} if path is None else _read_table(path)
    several = sum(source.count > 1 for source in sources) > 1
    groups: dict[object, list[int]] = {}
    known = False
    for index, found in enumerate(taken):
        owner = place_of(owners, found)
        known = known or owner is not None
        source = found.source
        key: object = ("table", owner)
        if owner is None and source.subject:
            key = ("patient", source.subject)
        elif owner is None:
            key = ("file", source.first) if source.is_volume or several else ("page", found.number)
        groups.setdefault(key, []).append(index)
    if path is not None and not known:
        raise InputError(
            f"A table that says whose pages these are was wanted, but {path.name} names none of them; correct its "
            "columns page and file, or train without it."
        )
    return tuple(tuple(members) for members in groups.values())


Place = tuple[str | None, int | None]
T = TypeVar("T")


def place_of(said: Mapping[Place, T], found: Found) -> T | None:
    """What a table says of the page of a file, of the file, or of the page's number in all; None where it says nothing."""
    page = found.number - found.source.first
    for file in (found.name, found.source.name):
        for place in ((file, page), (file, None)):
            if place in said:
                return said[place]
    return said.get((None, found.number))


def table_of(paths: Sequence[Path]) -> Path | None:
    """The table beside the data, if there is one."""
    if len(paths) != 1:
        return None
    beside = paths[0] / "subjects.csv" if paths[0].is_dir() else paths[0].with_suffix(".csv")
    return beside if beside.is_file() else None


def _read_table(path: Path) -> dict[Place, str]:
    """The owner of each (file, page), either of which may be None."""
    owners: dict[Place, str] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            columns = rows.fieldnames or ()
            owner = next(name for name in _OWNERS if name in columns)
            if "page" not in columns and "file" not in columns:
                raise KeyError("page")
            for row in rows:
                if not row[owner]:
                    raise ValueError("a page without a subject")
                page = int(row["page"]) if row.get("page") else None
                name = Path(row["file"]).name if row.get("file") else None
                if page is None and name is None:
                    raise ValueError("a subject without a page")
                owners[name, page] = row[owner]
    except (OSError, LookupError, StopIteration, ValueError, TypeError, csv.Error):
        raise InputError(
            f"A table with the columns page and patient was wanted, but {path.name} is none; "
            "correct it or train without it."
        ) from None
    return owners
