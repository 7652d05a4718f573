"""Reading what the user opens: a page of an image, or a row of a scan as a measurement."""

import os
from dataclasses import replace

from padis_gui.core.files.formats.open import read_page, read_picture, recognise
from padis_gui.core.files.scans.open import open_scan
from padis_gui.core.files.scans.read import read_row
from padis_gui.core.images.image import Image, ReadingSettings
from padis_gui.core.physics.settings import PhysicsSettings


def read_image(path: str | os.PathLike[str], page: int = 0, reading: ReadingSettings | None = None) -> Image:
    """Page ``page`` (from 0) of a file or folder of images, or detector row of a scan; the others are not loaded.

    Raises :class:`~padis_gui.core.settings.errors.InputError` for anything that is neither a finite image of 16 to 8192
    pixels a side nor a scan, and :class:`~padis_gui.core.settings.errors.SettingError` for a scaling without extent.
    """
    found, reading = recognise(path), reading or ReadingSettings()
    scan = None if reading.role == "image" else open_scan(found, reading.dataset)
    if scan is None:
        with found.open_pages(reading.dataset) as pages:
            return read_page(pages, page, reading)
    with scan:
        image = read_row(scan, page, reading)
    return replace(image, window=reading.scaling(image.window))


def read_named_picture(settings: PhysicsSettings) -> Image | None:
    """The picture in the file that a measurement's settings name, such as a kernel or a mask; None for no name.

    Raises :class:`~padis_gui.core.settings.errors.InputError` where it cannot be read.
    """
    return read_picture(settings.picture_file, smallest=1) if settings.picture_file else None
