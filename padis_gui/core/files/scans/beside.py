"""Readings in any format of arrays and pictures, with their geometry in a JSON file beside them."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.formats.format import Recognised
from padis_gui.core.files.formats.open import open_pages
from padis_gui.core.files.formats.pages import WHOLE, Pages, Part, shown
from padis_gui.core.files.scans.cone import central_rows, cone_note
from padis_gui.core.files.scans.geometry_file import ScanGeometry
from padis_gui.core.files.scans.scan import (
    ConeRows,
    Readings,
    ScanFile,
    check_fields,
    check_sizes,
    checked_angles,
)
from padis_gui.core.settings.errors import InputError


def open_beside(found: Recognised, dataset: str, stated: ScanGeometry) -> ScanFile:
    """The scan whose readings are the pages of a file or folder.

    Raises :class:`InputError` where they cannot be read, or don't fit the geometry.
    """
    pages = found.open_pages(dataset)
    try:
        readings = _Beside(found, pages, stated)
        views, bins = readings.sides["views"], readings.sides["bins"]
        check_sizes(found.name, views, bins)
        geometry = stated.geometry(views, bins)
        checked_angles(found.name, geometry.angles, views)
        if geometry.centre is not None and abs(geometry.centre) > bins:
            raise InputError(
                f"An axis of rotation on the detector's {bins} columns was wanted, but the geometry of {found.name} has it "
                f"at column {stated.centre_column:g}; correct centre_column."
            )
        rows = readings.sides["rows"]
        if stated.slices == "central row" or stated.beam == "cone":
            central = _central(found.name, rows, stated.centre_row)
            notes = (cone_note(rows, central),) if rows > 1 else ()
            cone = ConeRows(
                readings=readings.row, rows=rows, row_height=stated.length(stated.row_height),
                centre_row=0.0 if stated.centre_row is None else stated.centre_row - (rows - 1) / 2, tilt=stated.tilt,
                axis_offset=stated.length(stated.axis_offset) or 0.0,
            )  # fmt: skip
            return ScanFile(
                found.name, "scan", geometry, lambda _row: readings.central(central), notes=notes, close=pages.close,
                cone=cone if rows > 1 else None,
            )  # fmt: skip
        return ScanFile(found.name, "scan", geometry, readings.row, rows=rows, close=pages.close)
    except BaseException:
        pages.close()
        raise


def _central(name: str, rows: int, stated: float | None) -> tuple[int, int]:
    """The rows beside the one that the geometry states as central, or beside the middle; :class:`InputError` off it."""
    if stated is None:
        return central_rows(rows)
    if not 0 <= stated <= rows - 1:
        raise InputError(
            f"A central row on the detector's {rows} rows was wanted, but the geometry of {name} has it at row "
            f"{stated:g}; correct centre_row."
        )
    return math.floor(stated), math.ceil(stated)


class _Beside:
    """``pages`` are the readings; which of them makes a detector row is said by the axes."""

    def __init__(self, found: Recognised, pages: Pages, stated: ScanGeometry) -> None:
        self._name, self._path, self._pages, self._stated = found.name, found.path, pages, stated
        self._axes = stated.axes.split(", ")
        self._shape = pages.read(0, finite=False).pixels.shape[1:]
        self.sides = dict(zip(self._axes, (pages.count, *self._shape), strict=True))

    def row(self, row: int) -> Readings:
        """The readings of a detector row, with the flats and darks of counts."""
        if self._axes[0] == "rows":
            readings = self._page(row)
            if self._axes[1] == "bins":
                readings = readings.T
        else:
            part = self._detector_row(row)
            readings = np.empty((self._pages.count, self.sides["bins"]), np.float32)
            for view in range(self._pages.count):  # one after the other: each may be of many MB
                readings[view] = self._page(view, part).ravel()
        readings = self._ordered(np.ascontiguousarray(readings))
        if self._stated.kind == "line integrals" or self._stated.flat is None:
            return Readings(readings)
        fields = (self._field(each, row) for each in (self._stated.flat, self._stated.dark))
        return Readings(readings, *map(self._ordered, fields))

    def central(self, rows: tuple[int, int]) -> Readings:
        """The mean of the readings of two rows beside the middle, which may be twice the same."""
        low, high = (self.row(row) for row in rows)
        values = (low.values + high.values) / 2
        if low.flat is None or high.flat is None:
            return Readings(values)
        return Readings(values, (low.flat + high.flat) / 2, (low.dark + high.dark) / 2)

    def _ordered(self, values: Any) -> Any:
        """Readings or a field, (…, bins) or a number, with the bins from left to right."""
        turned = self._stated.bin_order == "right to left" and np.ndim(values) > 0
        return values[..., ::-1] if turned else values

    def _page(self, page: int, part: Part = WHOLE) -> NDArray[np.float32]:
        """The readings of a page, or of a part of it."""
        sides = self._pages.sides(page)
        if sides is not None and sides != self._shape:  # where a file doesn't tell, its pages have one size
            raise InputError(
                f"Pages of {' x '.join(map(str, self._shape))} readings were wanted, as the first of {self._name} is, but "
                f"page {page} has {' x '.join(map(str, sides))}; take the pages of one scan."
            )
        pixels = self._pages.read(page, part, finite=False).pixels
        if len(pixels) != 1:
            raise InputError(
                f"Readings of one channel were wanted, but {self._name} has {len(pixels)}; save them in grey."
            )
        readings: NDArray[np.float32] = pixels[0]
        return readings

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
                f"The name of a file beside {self._name} was wanted, but its geometry says {stated[:60]!r}; put the flat "
                "or dark field into the same folder."
            )
        with open_pages(self._path.with_name(stated)) as pages:
            if self._axes[0] == "rows":
                field: NDArray[Any] = pages.read(row if pages.count == self.sides["rows"] else 0).pixels[0]
                return field
            check_fields(self._name, f"flat or dark ({shown(stated)})", pages.count, self.sides["bins"])
            found = np.empty((pages.count, self.sides["bins"]), np.float32)
            for n in range(pages.count):
                image = pages.read(n).pixels[0]
                if image.shape != self._shape:
                    raise InputError(
                        f"Flat and dark fields of {' x '.join(map(str, self._shape))} were wanted for {self._name}, but "
                        f"{stated} has {' x '.join(map(str, image.shape))}; take those of the same detector."
                    )
                found[n] = image[self._detector_row(row)].ravel()
        return found
