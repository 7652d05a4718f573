"""The files that training images come from, and their pages one after the other."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from padis_gui.core.files.formats._j_dicom__core_data_dicom import DICOM
from padis_gui.core.files.formats._j_dicom__core_data_dicom_series import find_series
from padis_gui.core.files.formats.pages import Page, Pages
from padis_gui.core.files.formats.recognise import PICTURE, may_be_an_image, recognise_file
from padis_gui.core.settings.errors import PadisError


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
            found = recognise_file(path)
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
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                if not file.name.startswith(".") and may_be_an_image(file):
                    yield file
        else:
            yield path
