"""Readings in any format of arrays and pictures, with their geometry in a JSON file beside them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.data.files import open_pages
from padis_gui.core.data.pages import Pages, display_name
from padis_gui.core.data.scans.counts import line_integrals
from padis_gui.core.data.scans.geometry_file import ScanGeometry
from padis_gui.core.data.scans.scan import ScanFile, Sinogram, check_sizes, checked_angles
from padis_gui.core.errors import InputError

KIND = "scan"
# bytes of neighbouring detector rows that are kept, so that going row by row reads few times
_AT_ONCE = 64 * 2**20


class _Beside(ScanFile):
    """``pages`` are the readings; which of them makes a detector row is said by the axes."""

    def __init__(self, path: Path, pages: Pages, stated: ScanGeometry) -> None:
        self.name = display_name(path)
        self._path, self._pages, self._stated = path, pages, stated
        self._axes = stated.axes.split(", ")
        self._shape = self._readings(0).shape
        sides = dict(zip(self._axes, (pages.count, *self._shape), strict=True))
        views, bins = sides["views"], sides["bins"]
        check_sizes(self.name, views, bins)
        geometry = stated.geometry(views, bins)
        checked_angles(self.name, geometry.angles, views)
        if geometry.centre is not None and abs(geometry.centre) > bins:
            raise InputError(
                f"An axis of rotation on the detector's {bins} columns was wanted, but the geometry of {self.name} has it "
                f"at column {stated.centre_column:g}; correct centre_column."
            )
        super().__init__(self.name, KIND, geometry, pages.close)
        self.rows = sides["rows"]
        self._block_rows = max(1, _AT_ONCE // (4 * views * bins))
        self._block = range(0), np.empty((0, views, bins), np.float32)

    def _page(self, page: int) -> NDArray[np.float32]:
        """The readings of a page, all of which have one shape."""
        readings = self._readings(page)
        if readings.shape != self._shape:
            raise InputError(
                f"Pages of {' x '.join(map(str, self._shape))} readings were wanted, as the first of {self.name} is, but "
                f"page {page} has {' x '.join(map(str, readings.shape))}; take the pages of one scan."
            )
        return readings

    def _readings(self, page: int) -> NDArray[np.float32]:
        pixels = self._pages.read(page).pixels
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
            readings = self._of_views(row)
        readings = np.ascontiguousarray(readings)
        if self._stated.kind == "line integrals" or self._stated.flat is None:
            return Sinogram(readings)
        flat, dark = (self._field(f, row) for f in (self._stated.flat, self._stated.dark))
        return line_integrals(self.name, readings, flat, dark)

    def _of_views(self, row: int) -> NDArray[np.float32]:
        """A detector row (views, bins) where each page is a view: every page is read, its neighbours are kept."""
        rows, kept = self._block
        if row not in rows:
            first = row - row % self._block_rows
            rows = range(first, min(first + self._block_rows, self.rows))
            kept = np.empty((len(rows), *kept.shape[1:]), np.float32)
            for n in range(self._pages.count):
                kept[:, n] = self._of_view(self._page(n), slice(rows.start, rows.stop))
            self._block = rows, kept
        found: NDArray[np.float32] = kept[row - rows.start].copy()
        return found

    def _of_view(self, view: NDArray[np.float32], rows: slice) -> NDArray[np.float32]:
        """Detector rows (rows, bins) of an image of the detector."""
        return view[rows] if self._axes[1] == "rows" else view[:, rows].T

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
            images = [pages.read(n).pixels[0] for n in range(pages.count)]
        if any(image.shape != self._shape for image in images):
            raise InputError(
                f"Flat and dark fields of {' x '.join(map(str, self._shape))} were wanted for {self.name}, but {stated} "
                f"has {' x '.join(map(str, images[0].shape))}; take those of the same detector."
            )
        return np.concatenate([self._of_view(image, slice(row, row + 1)) for image in images])


def open_beside(path: Path, pages: Pages, stated: ScanGeometry) -> ScanFile:
    """The scan whose readings are ``pages`` of the file ``path``; closes them where they don't fit the geometry."""
    try:
        return _Beside(path, pages, stated)
    except BaseException:
        pages.close()
        raise
