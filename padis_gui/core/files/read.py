"""Reading what the user opens: recognised once, then a page of an image is read, or a row of a scan as a measurement."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from padis_gui.core import torch
from padis_gui.core.files.formats.format import Recognised
from padis_gui.core.files.formats.hdf5 import HDF5, Hdf5File
from padis_gui.core.files.formats.matlab import MATLAB
from padis_gui.core.files.formats.open import read_page, read_picture, recognise
from padis_gui.core.files.formats.pages import Pages, in_one_sentence
from padis_gui.core.files.formats.scanner import NIKON, PHOENIX, SKYSCAN, Listing
from padis_gui.core.files.formats.zeiss import ZEISS
from padis_gui.core.files.scans.beside import open_beside
from padis_gui.core.files.scans.cil import open_cil
from padis_gui.core.files.scans.geometry_file import FORMAT, MOST_BYTES
from padis_gui.core.files.scans.hdf5 import open_exchange, open_nxtomo
from padis_gui.core.files.scans.htc import open_htc, open_htc_in_hdf5
from padis_gui.core.files.scans.imported import read_beside
from padis_gui.core.files.scans.nikon import nikon_scan
from padis_gui.core.files.scans.phoenix import phoenix_scan
from padis_gui.core.files.scans.read import read_cone, read_row
from padis_gui.core.files.scans.scan import ScanFile
from padis_gui.core.files.scans.skyscan import skyscan_scan
from padis_gui.core.files.scans.zeiss import open_zeiss
from padis_gui.core.images.image import Image, ReadingSettings
from padis_gui.core.physics.settings import PhysicsSettings
from padis_gui.core.settings.errors import InputError, SettingError
from padis_gui.core.settings.machine import free_memory_mb

# The layouts of scans in HDF5: each takes the open file and the data set wanted, and gives None for others
LAYOUTS = (open_cil, open_exchange, open_nxtomo, open_htc_in_hdf5)
# Formats of laboratory scanners whose text file lists the projections: each takes that text and these as pages
LISTED = ((NIKON, nikon_scan), (SKYSCAN, skyscan_scan), (PHOENIX, phoenix_scan))

# What tells a geometry from other JSON: this program's own, TIGRE's, CIL's
_SIGNS = (FORMAT.encode(), b'"DSD"', b'"detector_position"')


def read_image(path: str | os.PathLike[str], page: int = 0, reading: ReadingSettings | None = None) -> Image:
    """Page ``page`` (from 0) of a file or folder of images, or detector row of a scan; the others are not loaded.

    Raises :class:`~padis_gui.core.settings.errors.InputError` for anything that is neither a finite image of 16 to 8192
    pixels a side nor a scan, and :class:`~padis_gui.core.settings.errors.SettingError` for a scaling without extent.
    """
    return read_and_keep(path, page, reading)[0]


def read_and_keep(
    path: str | os.PathLike[str], page: int = 0, reading: ReadingSettings | None = None
) -> tuple[Image, ScanFile | None]:
    """What :func:`read_image` gives, and the scan with the rows that were read for it; None for what is none.

    Of these, :func:`image_of_row` makes the image with other corrections without the file being read again.
    """
    found, reading = recognise(path, reading), reading or ReadingSettings()
    scan = None if reading.role == "image" else open_scan(found, reading.dataset)
    if scan is None:
        with found.open_pages(reading.dataset) as pages:
            return read_page(pages, page, reading), None
    with scan:
        kept = scan.keeping()
        return image_of_row(kept, page, reading), kept


def image_of_row(scan: ScanFile, row: int, reading: ReadingSettings) -> Image:
    """A detector row of a scan as :func:`read_image` gives it."""
    merges = reading.doubled_views == "merge" and 0 <= row < scan.rows
    image = read_row(scan.merged(row) if merges else scan, row, reading)
    return replace(image, window=reading.scaling(image.window))


def read_volume(
    path: str | os.PathLike[str],
    pages: Sequence[int],
    reading: ReadingSettings | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Image:
    """The pages of a file, or the detector rows of a scan, as one volume (Z, rows, columns) in memory.

    The first page says unit and spacing, and its window is widened to hold that of every page. ``tell`` is called with
    the pages read and the pages in all, and may raise. Raises :class:`InputError` where a page is coloured, has another
    size or was measured in another way, and where the whole is larger than half of the memory that is free.
    """
    slices: list[Image] = []
    for n, page in enumerate(pages):
        tell(n, len(pages))
        image = read_image(path, page, reading)
        first = slices[0] if slices else image
        if image.channels != 1 or image.shape != first.shape:
            rows, columns = image.shape
            raise InputError(
                f"Grey slices of one size were wanted for a volume, but page {page} of {image.name} has {rows} x {columns} "
                f"pixels in {image.channels} channels, the first {first.shape[0]} x {first.shape[1]}; choose other pages."
            )
        if not slices and 4 * image.pixels.size * len(pages) > 2**19 * free_memory_mb(torch.device("cpu")):
            raise InputError(
                f"A volume that fits into half of the free memory was wanted, but {len(pages)} slices of "
                f"{image.shape[0]} x {image.shape[1]} take {4 * image.pixels.size * len(pages) / 2**30:.1f} GiB; choose "
                "fewer pages."
            )
        slices.append(image)
    first = slices[0]
    measured = first.measured
    if measured is not None:
        rows_of = [one.measured for one in slices]
        same = all(
            one is not None and (one.physics, one.problem) == (measured.physics, measured.problem)
            for one in rows_of
        )
        if not same or not first.is_scan:
            raise InputError(
                f"Rows that were measured in one way were wanted for a volume, but those of {first.name} differ; "
                "reconstruct them slice by slice."
            )
        values = np.concatenate([one.values for one in rows_of if one is not None])
        measured = replace(measured, values=values)
    steps = {after - before for before, after in pairwise(pages)}
    spacing = first.slice_spacing
    if (
        spacing is not None and steps
    ):  # of pages that do not follow each other evenly nobody knows one distance
        spacing = spacing * steps.pop() if len(steps) == 1 and min(steps) > 0 else None
    window = min(one.window[0] for one in slices), max(one.window[1] for one in slices)
    return replace(
        first, pixels=np.concatenate([one.pixels for one in slices]), slices=tuple(pages), window=window,
        measured=measured, slice_spacing=spacing,
    )  # fmt: skip


def read_cone_volume(
    path: str | os.PathLike[str],
    reading: ReadingSettings | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Image:
    """A cone-beam scan as a volume, of which all of the detector is the measurement; see :func:`read_cone`.

    Raises :class:`InputError` where the file is no such scan.
    """
    found, reading = recognise(path, reading), reading or ReadingSettings()
    scan = open_scan(found, reading.dataset)
    if scan is None:
        raise InputError(
            f"A cone-beam scan was wanted, but {found.name} holds images; give its geometry in a JSON file beside it "
            "(padis-gui geometry --example cone)."
        )
    with scan:
        if reading.doubled_views == "merge":
            raise SettingError(
                "Every view of a cone-beam scan is taken, but doubled ones were to be merged; keep them, or take fewer."
            )
        image = read_cone(scan, reading, tell)
    return replace(image, window=reading.scaling(image.window))


def open_scan(found: Recognised, dataset: str = "") -> ScanFile | None:
    """The scan in a file, or in a folder of views; None where it is none, or too damaged to tell.

    ``dataset`` names one of several scans in a file. Raises :class:`InputError` where it is a scan that cannot be used.
    """
    beside = find_geometry(found.path)
    if beside is not None:
        return open_beside(found, dataset, read_beside(beside))
    with in_one_sentence(found.name, found.kind):
        if found.format is MATLAB and (scan := open_htc(found.path, dataset)) is not None:
            return scan
        if found.format is ZEISS:
            return open_zeiss(found)
        for format_, scan_of in LISTED:
            if found.format is format_:
                return _listed(found, scan_of)
        return _in_hdf5(found, dataset) if found.format in (MATLAB, HDF5) else None


def find_geometry(path: Path) -> Path | None:
    """The geometry file beside a file or folder, or in the folder as `geometry.json`; None where there is none.

    JSON of the same stem that is something else does not count.
    """
    path = path.absolute()
    if not path.name:
        return None
    try:
        for own in (path.with_name(path.name + ".geometry.json"), path / "geometry.json"):
            if own.is_file():
                return own
        beside = path.with_suffix(".json")
        if beside == path or not beside.is_file():
            return None
        with beside.open("rb") as file:
            content = file.read(MOST_BYTES)
        return beside if any(sign in content for sign in _SIGNS) else None
    except (OSError, ValueError):  # such as a name so long that nothing can lie beside it
        return None


def _listed(found: Recognised, scan_of: Callable[[Listing, Pages], ScanFile]) -> ScanFile:
    pages = found.open_pages()
    try:
        return scan_of(Listing(found.path), pages)
    except BaseException:
        pages.close()
        raise


def _in_hdf5(recognised: Recognised, dataset: str) -> ScanFile | None:
    """The scan in HDF5, which MATLAB's v7.3 is as well; what cannot be opened, the reader of images refuses."""
    try:
        file = Hdf5File(recognised.path, linked=recognised.linked)
    except OSError:
        return None
    scan: ScanFile | None = None
    try:
        scan = next((found for layout in LAYOUTS if (found := layout(file, dataset)) is not None), None)
    finally:
        if scan is None:
            file.close()
    return scan and scan.checked(file.check_uncut)


def read_named_picture(settings: PhysicsSettings) -> Image | None:
    """The picture in the file that a measurement's settings name, such as a kernel or a mask; None for no name.

    Raises :class:`~padis_gui.core.settings.errors.InputError` where it cannot be read.
    """
    return read_picture(settings.picture_file, smallest=1) if settings.picture_file else None
