"""Files and folders of images of any format: recognised once, then opened or read; every failure is one sentence."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from padis_gui.core.files.formats.folder import FOLDER
from padis_gui.core.files.formats.format import DatasetInfo, Recognised
from padis_gui.core.files.formats.ome_zarr import OME_ZARR, is_zarr
from padis_gui.core.files.formats.pages import (
    SMALLEST,
    Page,
    Pages,
    check_sides,
    display_name,
    in_one_sentence,
)
from padis_gui.core.files.formats.recognise import recognise_file
from padis_gui.core.images.image import Image, Measured, ReadingSettings, propose_window
from padis_gui.core.images.size import check_range, replaced, taken
from padis_gui.core.settings.errors import InputError


def recognise(path: str | os.PathLike[str], reading: ReadingSettings | None = None) -> Recognised:
    """What is at a path: a folder, or a file of the format that its content, else its name tells.

    Of how it is to be read, it matters here whether its links are followed. Raises :class:`InputError` for what is
    neither, is empty or cannot be read.
    """
    path, linked = Path(path), reading is not None and reading.follows_links
    try:
        is_folder = path.is_dir()
    except OSError:  # said by the look at the file
        is_folder = False
    if not is_folder:
        return replace(recognise_file(path), linked=linked)
    return Recognised(path, OME_ZARR if is_zarr(path) else FOLDER, display_name(path))


def open_pages(path: str | os.PathLike[str], dataset: str = "") -> Pages:
    """Open an image file, or a folder as one stack: see :meth:`Recognised.open_pages`."""
    return recognise(path).open_pages(dataset)


def list_datasets(path: str | os.PathLike[str]) -> tuple[DatasetInfo, ...]:
    """What ``dataset`` can name in a file or folder: see :meth:`Recognised.list_datasets`."""
    return recognise(path).list_datasets()


def count_pages(path: str | os.PathLike[str], dataset: str = "") -> int:
    """How many pages an image file holds; 1 where it is damaged, as reading a page then says what is wrong.

    Raises :class:`InputError` where there is no such file.
    """
    found = recognise(path)
    try:
        with found.open_pages(dataset) as pages:
            return pages.count
    except InputError:
        return 1


def read_picture(path: str | os.PathLike[str], *, smallest: int = SMALLEST) -> Image:
    """The first page of an image file, whatever it shows: a mask, a kernel.

    Raises :class:`InputError` for anything that is not a finite image of ``smallest`` to 8192 pixels a side.
    """
    with open_pages(path) as pages:
        return read_page(pages, 0, ReadingSettings(), smallest=smallest)


def read_page(pages: Pages, page: int, reading: ReadingSettings, *, smallest: int = SMALLEST) -> Image:
    """Page ``page`` (from 0) of what is open as an image; the other pages are not loaded.

    Window and unit are those of the whole page, so that a part of it means the same in the prior's eyes. Raises
    :class:`InputError` for anything that is not an image of ``smallest`` to 8192 pixels a side, finite unless the reading
    replaces the others, and :class:`~padis_gui.core.settings.errors.SettingError` for a scaling without extent or a crop
    that cannot be.
    """
    found = pages.read(page, finite=reading.not_finite == "refuse")
    whole, mended = replaced(pages.name, found.pixels)
    check_range(pages.name, whole)
    check_sides(pages.name, whole.shape[1:], smallest)
    window, unit = found.window, found.unit
    if window is None:
        # a page is read like the first one, which may show by its air that the file is in HU
        signed = page > 0 and found.stored.kind in "if"
        lowest = _lowest(pages.read(0, finite=reading.not_finite == "refuse")) if signed else 0.0
        window, proposed = propose_window(whole, found.stored, lowest)
        unit = unit or proposed
    with in_one_sentence(pages.name, pages.kind):
        pixels, spacing = taken(pages.name, whole, found.spacing, reading)
    return Image(
        pixels=pixels, unit=unit, window=reading.scaling(window), spacing=spacing, name=pages.name, page=page,
        pages=pages.count, measured=Measured(values=pixels) if reading.role == "measurement" else None, reading=reading,
        slice_spacing=found.slice_spacing, notes=found.notes + mended, stored_shape=(whole.shape[1], whole.shape[2]),
    )  # fmt: skip


def _lowest(page: Page) -> float:
    """The lowest finite value."""
    return float(np.min(page.pixels, where=np.isfinite(page.pixels), initial=np.inf))
