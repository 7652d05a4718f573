"""Reading images of any format; every failure is one clear sentence."""

import os
from dataclasses import replace
from pathlib import Path

from padis_gui.core.data import folder
from padis_gui.core.data.datasets import DatasetInfo
from padis_gui.core.data.formats import SUFFIXES, recognise
from padis_gui.core.data.image import Image, Measured, propose_window
from padis_gui.core.data.pages import (
    LARGEST,
    MOST_PAGES,
    SMALLEST,
    Pages,
    check_sides,
    display_name,
    in_one_sentence,
)
from padis_gui.core.data.reading import ReadingSettings
from padis_gui.core.errors import InputError, SettingError

__all__ = [
    "LARGEST",
    "SMALLEST",
    "SUFFIXES",
    "DatasetInfo",
    "count_pages",
    "list_datasets",
    "open_pages",
    "read_image",
]


def open_pages(path: str | os.PathLike[str], dataset: str = "") -> Pages:
    """Open an image file, or a folder as one stack, to read its pages one by one; close it, or use it in a ``with``.

    ``dataset`` names what is wanted of a file that may hold several (an array of NPZ, MATLAB and HDF5, series and
    channel of a TIFF, a series of a folder); empty takes the obvious one. Raises :class:`InputError`
    for anything that cannot be opened as images.
    """
    path = Path(path)
    if _is_folder(path):
        with in_one_sentence(display_name(path), folder.KIND):
            return folder.open_folder(path, dataset)
    format_ = recognise(path)
    with in_one_sentence(display_name(path), format_.kind):
        pages = format_.open_pages(path, dataset)
    if not 1 <= pages.count <= MOST_PAGES:
        pages.close()
        raise InputError(
            f"1 to {MOST_PAGES} images were wanted, but {display_name(path)} claims {pages.count}; get a fresh copy."
        )
    return pages


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # said by the format's own look at it
        return False


def list_datasets(path: str | os.PathLike[str]) -> tuple[DatasetInfo, ...]:
    """What a file or folder holds that ``dataset`` can name, without reading it; empty where there is no choice.

    Raises :class:`InputError` for what cannot be opened.
    """
    path = Path(path)
    if _is_folder(path):
        with in_one_sentence(display_name(path), folder.KIND):
            return folder.list_folder(path)
    format_ = recognise(path)
    if format_.list_datasets is None:
        return ()
    with in_one_sentence(display_name(path), format_.kind):
        return format_.list_datasets(path)


def read_image(
    path: str | os.PathLike[str],
    page: int = 0,
    reading: ReadingSettings | None = None,
    *,
    smallest: int = SMALLEST,
) -> Image:
    """Read page ``page`` (from 0) of an image file, or detector row of a scan; the others are not loaded.

    Raises :class:`InputError` for anything that is not a finite image of ``smallest`` to 8192 pixels a side, and
    :class:`SettingError` for a scaling without extent.
    """
    reading = reading or ReadingSettings()
    if reading.role != "image" and (scan := _read_scan(Path(path), page, reading)) is not None:
        return scan
    with open_pages(path, reading.dataset) as pages:
        found = pages.read(page)
        check_sides(pages.name, found.pixels.shape[1:], smallest)
        window, unit = found.window, found.unit
        if window is None:
            # a page is read like the first one, which may show by its air that the file is in HU
            signed = page > 0 and found.stored.kind in "if"
            lowest = float(pages.read(0).pixels.min()) if signed else 0.0
            window, proposed = propose_window(found.pixels, found.stored, lowest)
            unit = unit or proposed
        return Image(
            pixels=found.pixels,
            unit=unit,
            window=scaling(window, reading),
            spacing=found.spacing,
            name=pages.name,
            page=page,
            pages=pages.count,
            measured=Measured(values=found.pixels) if reading.role == "measurement" else None,
            reading=reading,
            slice_spacing=found.slice_spacing,
            notes=found.notes,
        )


def _read_scan(path: Path, row: int, reading: ReadingSettings) -> Image | None:
    """The image of a detector row, where the file is a scan."""
    from padis_gui.core.data.scans.open import open_scan
    from padis_gui.core.data.scans.read import read_row

    found = open_scan(path, reading.dataset)
    if found is None:
        return None
    with found as scan:
        image = read_row(scan, row, reading)
    return replace(image, window=scaling(image.window, reading))


def scaling(proposed: tuple[float, float], reading: ReadingSettings) -> tuple[float, float]:
    """The intensities of black and white: the proposed ones where the settings leave them open.

    Raises :class:`SettingError` where white is not above black.
    """
    low = proposed[0] if reading.scale_low is None else reading.scale_low
    high = proposed[1] if reading.scale_high is None else reading.scale_high
    if not low < high:
        raise SettingError(
            f"White above black was wanted, but black is {low:g} and white {high:g}; raise white or lower black."
        )
    return low, high


def count_pages(path: str | os.PathLike[str], dataset: str = "") -> int:
    """How many pages an image file holds; 1 where it is damaged, as reading a page then says what is wrong.

    Raises :class:`InputError` where there is no such file.
    """
    if not _is_folder(Path(path)):
        recognise(Path(path))
    try:
        with open_pages(path, dataset) as pages:
            return pages.count
    except InputError:
        return 1
