"""Data Exchange, the HDF5 layout of many synchrotrons' tomography (De Carlo et al., J. Synchrotron Rad. 21 (2014) 1224).

/exchange holds projections, flats and darks as counts (views, rows, bins) and theta; the beam is parallel.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.formats.pages import display_name
from padis_gui.core.files.scans._j_hdf5__core_data_scans_hdf5_tree import (
    angles_in_degrees,
    data_set,
    length_in_mm,
    number,
    row_of,
)
from padis_gui.core.files.scans._j_scan__core_data_scans_counts import line_integrals
from padis_gui.core.files.scans._j_scan__core_data_scans_scan import ScanFile, Sinogram, check_sizes
from padis_gui.core.physics._j_geometry__core_physics_geometry import Geometry
from padis_gui.core.settings.errors import InputError

_DATA, _WHITE, _DARK, _THETA = (f"exchange/{n}" for n in ("data", "data_white", "data_dark", "theta"))
_INSTRUMENTS = ("measurement/instrument", "measurement/instrumentation")


class _Exchange(ScanFile):
    def __init__(self, path: Path, file: Any, stacks: tuple[Any, Any, Any | None], rows_axis: int,
                 geometry: Geometry, notes: tuple[str, ...]) -> None:  # fmt: skip
        super().__init__(display_name(path), "Data Exchange file", geometry, file.close)
        self._data, self._white, self._dark = stacks
        self._rows_axis, self._notes = rows_axis, notes
        self.rows = int(self._data.shape[rows_axis])

    def _read(self, row: int) -> Sinogram:
        white = self._field(self._white, row)
        dark: NDArray[Any] | float = 0.0 if self._dark is None else self._field(self._dark, row)
        found = line_integrals(self.name, row_of(self._data, row, self._rows_axis), white, dark)
        return Sinogram(found.values, (*self._notes, *found.notes))

    def _field(self, stack: Any, row: int) -> NDArray[Any]:
        """The flats or darks of a row; a single one may come without the axis of images."""
        if stack.ndim == 2:
            return np.asarray(stack[row])
        return row_of(stack, row, self._rows_axis)


def open_exchange(path: Path, file: Any, dataset: str) -> ScanFile | None:
    """The projections of an open HDF5 file; None where it is of another layout or another data set is wanted."""
    name = display_name(path)
    wanted = dataset.strip("/").replace(".", "/")
    data = data_set(file, _DATA, name=name)
    theta, white, dark = (data_set(file, n, name=name) for n in (_THETA, _WHITE, _DARK))
    if data is None or data.ndim != 3 or wanted not in ("", "data", "exchange", _DATA):
        return None
    if theta is None and white is None and "implements" not in file:
        return None  # any stack may be called so
    if theta is None:
        raise InputError(
            f"The views' angles were wanted, but {name} has no {_THETA}; add them, or give a geometry in a JSON file "
            "beside it."
        )
    if white is None or white.ndim not in (2, 3) or not white.size:
        raise InputError(
            f"Flat fields were wanted, but {name} has no {_WHITE} of images; add them, or save line integrals with a "
            "geometry in a JSON file beside them."
        )
    axes = str(_text(data.attrs.get("axes", ""))).replace(" ", "").split(":")
    rows_axis = 0 if axes[:2] == ["y", "theta"] else 1
    views, bins = int(data.shape[1 - rows_axis]), int(data.shape[2])
    check_sizes(name, views, bins)
    for field, what in ((white, "flat"), (dark, "dark")):
        _check_field(name, what, field, (int(data.shape[rows_axis]), bins), rows_axis)
    angles, notes = angles_in_degrees(theta, views, name)
    if dark is None or not dark.size:
        dark = None
        notes = (*notes, "There are no dark fields: the dark is taken to be 0.")
    width = _bin_width(file, name)
    geometry = Geometry(
        beam="parallel", angles=angles, bins=bins, bin_width=width or 1.0, unit="mm" if width else "bins"
    )
    return _Exchange(path, file, (data, white, dark), rows_axis, geometry, notes)


def _check_field(name: str, what: str, field: Any | None, wanted: tuple[int, int], rows_axis: int) -> None:
    """Raise :class:`InputError` where flats or darks are not of the detector's rows and bins."""
    if field is None:
        return
    sides = tuple(field.shape) if field.ndim < 3 else (field.shape[rows_axis], field.shape[-1])
    if field.ndim not in (2, 3) or sides != wanted:
        raise InputError(
            f"Flat and dark fields of {wanted[0]} x {wanted[1]} were wanted, but the {what} fields of {name} are "
            f"{' x '.join(map(str, sides))}; take those of the same detector."
        )


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _bin_width(file: Any, name: str) -> float | None:
    """At the sample: the objective's resolution, or the detector's pixel through its magnification."""
    for root in _INSTRUMENTS:
        for objective in ("detection_system/objective", "detector/objective"):
            stated = length_in_mm(data_set(file, f"{root}/{objective}/resolution", name=name))
            if stated is not None:
                return stated
        for pixel in ("pixel_size_x", "x_pixel_size", "pixel_size"):
            width = length_in_mm(data_set(file, f"{root}/detector/{pixel}", name=name))
            if width is None:
                continue
            lens = data_set(file, f"{root}/detection_system/objective/magnification", name=name)
            magnified = 1.0 if lens is None or not lens.size else number(lens)
            return width / magnified if np.isfinite(magnified) and 0.01 <= magnified <= 1000 else width
    return None
