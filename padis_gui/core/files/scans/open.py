"""From a recognised file to an open scan.

Readings in any format of arrays and pictures, with their geometry in a JSON file beside them.

Which files are scans, told by what is in them, or by a geometry beside them.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.formats.format import Recognised
from padis_gui.core.files.formats.hdf5 import HDF5
from padis_gui.core.files.formats.matlab import MATLAB
from padis_gui.core.files.formats.open import open_pages
from padis_gui.core.files.formats.pages import WHOLE, Pages, Part, in_one_sentence
from padis_gui.core.files.scans.geometry_file import ScanGeometry, find_geometry, read_geometry
from padis_gui.core.files.scans.hdf5 import open_exchange, open_nxtomo
from padis_gui.core.files.scans.htc import open_htc, open_htc_in_hdf5
from padis_gui.core.files.scans.scan import ScanFile, Sinogram, check_sizes, checked_angles, line_integrals
from padis_gui.core.settings.errors import InputError


class _Beside(ScanFile):
    """``pages`` are the readings; which of them makes a detector row is said by the axes."""

    def __init__(self, found: Recognised, pages: Pages, stated: ScanGeometry) -> None:
        self.name = found.name
        self._path, self._pages, self._stated = found.path, pages, stated
        self._axes = stated.axes.split(", ")
        self._shape = pages.read(0, finite=False).pixels.shape[1:]
        sides = dict(zip(self._axes, (pages.count, *self._shape), strict=True))
        views, bins = sides["views"], sides["bins"]
        self._bins = bins
        check_sizes(self.name, views, bins)
        geometry = stated.geometry(views, bins)
        checked_angles(self.name, geometry.angles, views)
        if geometry.centre is not None and abs(geometry.centre) > bins:
            raise InputError(
                f"An axis of rotation on the detector's {bins} columns was wanted, but the geometry of {self.name} has it "
                f"at column {stated.centre_column:g}; correct centre_column."
            )
        super().__init__(self.name, "scan", geometry, pages.close)
        self.rows = sides["rows"]

    def _page(self, page: int, part: Part = WHOLE) -> NDArray[np.float32]:
        """The readings of a page, or of a part of it."""
        sides = self._pages.sides(page)
        if sides is not None and sides != self._shape:  # where a file doesn't tell, its pages have one size
            raise InputError(
                f"Pages of {' x '.join(map(str, self._shape))} readings were wanted, as the first of {self.name} is, but "
                f"page {page} has {' x '.join(map(str, sides))}; take the pages of one scan."
            )
        pixels = self._pages.read(page, part, finite=False).pixels
        if len(pixels) != 1:
            raise InputError(
                f"Readings of one channel were wanted, but {self.name} has {len(pixels)}; save them in grey."
            )
        readings: NDArray[np.float32] = pixels[0]
        return readings

    def _read(self, row: int) -> Sinogram:
        if self._axes[0] == "rows":
            readings = self._page(row)
            if self._axes[1] == "bins":
                readings = readings.T
        else:
            part = self._detector_row(row)
            readings = np.empty((self._pages.count, self._bins), np.float32)
            for view in range(self._pages.count):  # one after the other: each may be of many MB
                readings[view] = self._page(view, part).ravel()
        readings = np.ascontiguousarray(readings)
        if self._stated.kind == "line integrals" or self._stated.flat is None:
            return Sinogram(readings)
        flat, dark = (self._field(f, row) for f in (self._stated.flat, self._stated.dark))
        return line_integrals(self.name, readings, flat, dark, replaces=self.replaces)

    def _detector_row(self, row: int) -> Part:
        """Where the bins of a detector row stand in an image of the detector."""
        alone = slice(row, row + 1)
        return (alone, slice(None)) if self._axes[1] == "rows" else (slice(None), alone)

    def _field(self, stated: float | str, row: int) -> NDArray[Any] | float:
        """A flat or dark field: a number, or images beside the readings."""
        if not isinstance(stated, str):
            return stated
        if not stated or Path(stated).name != stated:
            raise InputError(
                f"The name of a file beside {self.name} was wanted, but its geometry says {stated[:60]!r}; put the flat or "
                "dark field into the same folder."
            )
        with open_pages(self._path.with_name(stated)) as pages:
            if self._axes[0] == "rows":
                field: NDArray[Any] = pages.read(row if pages.count == self.rows else 0).pixels[0]
                return field
            found = np.empty((pages.count, self._bins), np.float32)
            for n in range(pages.count):
                image = pages.read(n).pixels[0]
                if image.shape != self._shape:
                    raise InputError(
                        f"Flat and dark fields of {' x '.join(map(str, self._shape))} were wanted for {self.name}, but "
                        f"{stated} has {' x '.join(map(str, image.shape))}; take those of the same detector."
                    )
                found[n] = image[self._detector_row(row)].ravel()
        return found


def open_beside(found: Recognised, dataset: str, stated: ScanGeometry) -> ScanFile:
    """The scan whose readings are the pages of a file or folder.

    Raises :class:`InputError` where they cannot be read, or don't fit the geometry.
    """
    pages = found.open_pages(dataset)
    try:
        return _Beside(found, pages, stated)
    except BaseException:
        pages.close()
        raise


def open_scan(found: Recognised, dataset: str = "") -> ScanFile | None:
    """The scan in a file, or in a folder of views; None where it is none, or too damaged to tell.

    ``dataset`` names one of several scans in a file. Raises :class:`InputError` where it is a scan that cannot be used.
    """
    try:
        beside = find_geometry(found.path)
    except (OSError, ValueError):  # a name so long that nothing can lie beside it
        beside = None
    if beside is not None:
        return open_beside(found, dataset, read_geometry(beside))
    with in_one_sentence(found.name, found.kind):
        if found.format is MATLAB and (scan := open_htc(found.path, dataset)) is not None:
            return scan
        if found.format in (MATLAB, HDF5) and _is_hdf5(found.path):
            return _open_hdf5(found.path, dataset)
    return None


def _is_hdf5(path: Path) -> bool:
    """Whether it is: MATLAB's own v7.3 is, and what h5py cannot open the reader of images refuses."""
    import h5py

    return bool(h5py.is_hdf5(path))


def _open_hdf5(path: Path, dataset: str) -> ScanFile | None:
    import h5py

    file: Any = h5py.File(path, "r", locking=False)
    scan: ScanFile | None = None
    try:
        layouts = (open_exchange, open_nxtomo, open_htc_in_hdf5)
        scan = next((found for layout in layouts if (found := layout(path, file, dataset)) is not None), None)
    finally:
        if scan is None:
            file.close()
    return scan
