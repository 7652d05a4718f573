"""Reading what the user opens: a page of an image, or a row of a scan as a measurement."""

import os
from dataclasses import replace
from pathlib import Path

from padis_gui.core.data.files import read_picture, scaling
from padis_gui.core.data.image import Image
from padis_gui.core.data.reading import ReadingSettings
from padis_gui.core.operators.settings import PhysicsSettings


def read_image(path: str | os.PathLike[str], page: int = 0, reading: ReadingSettings | None = None) -> Image:
    """Read page ``page`` (from 0) of an image file, or detector row of a scan; the others are not loaded.

    Raises :class:`~padis_gui.core.errors.InputError` for anything that is neither, and
    :class:`~padis_gui.core.errors.SettingError` for a scaling without extent.
    """
    reading = reading or ReadingSettings()
    if reading.role != "image" and (scan := _read_scan(Path(path), page, reading)) is not None:
        return scan
    return read_picture(path, page, reading)


def read_named_picture(settings: PhysicsSettings) -> Image | None:
    """The picture in the file that a measurement's settings name, such as a kernel or a mask; None for no name.

    Raises :class:`~padis_gui.core.errors.InputError` where it cannot be read.
    """
    return read_picture(settings.picture_file, smallest=1) if settings.picture_file else None


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
