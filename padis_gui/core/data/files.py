"""Image files and folders of any format: their pages, their data sets; every failure is one clear sentence."""

import os
from pathlib import Path

from padis_gui.core.data import folder
from padis_gui.core.data.datasets import DatasetInfo
from padis_gui.core.data.formats import recognise
from padis_gui.core.data.image import Image, Measured, propose_window
from padis_gui.core.data.pages import (
    MOST_PAGES,
    SMALLEST,
    Pages,
    check_sides,
    display_name,
    in_one_sentence,
)
from padis_gui.core.data.reading import ReadingSettings
from padis_gui.core.errors import InputError, SettingError


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


def read_picture(
    path: str | os.PathLike[str],
    page: int = 0,
    reading: ReadingSettings | None = None,
    *,
    smallest: int = SMALLEST,
) -> Image:
    """Read page ``page`` (from 0) of an image file, whatever it shows; the other pages are not loaded.

    Raises :class:`InputError` for anything that is not a finite image of ``smallest`` to 8192 pixels a side, and
    :class:`SettingError` for a scaling without extent.
    """
    reading = reading or ReadingSettings()
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
