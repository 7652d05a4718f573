"""NXtomo, NeXus' application definition for tomography (manual.nexusformat.org, NXtomo).

One stack (frames, rows, bins) holds projections (image_key 0), flats (1) and darks (2); every frame has its rotation
angle. The beam is parallel.
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
    row_of,
)
from padis_gui.core.files.scans._j_scan__core_data_scans_counts import line_integrals
from padis_gui.core.files.scans._j_scan__core_data_scans_scan import ScanFile, Sinogram, check_sizes
from padis_gui.core.physics._j_geometry__core_physics_geometry import Geometry
from padis_gui.core.settings.errors import InputError

_IS_PROJECTION, _IS_FLAT, _IS_DARK = 0, 1, 2  # image_key
_ANGLES = "rotation_angle"


class _NxTomo(ScanFile):
    def __init__(self, path: Path, file: Any, data: Any, key: NDArray[np.int64], geometry: Geometry,
                 notes: tuple[str, ...]) -> None:  # fmt: skip
        super().__init__(display_name(path), "NXtomo file", geometry, file.close)
        self._data, self._key, self._notes = data, key, notes
        self.rows = int(data.shape[1])

    def _read(self, row: int) -> Sinogram:
        frames = row_of(self._data, row, 1)
        dark: NDArray[Any] | float = frames[self._key == _IS_DARK] if (self._key == _IS_DARK).any() else 0.0
        found = line_integrals(
            self.name, frames[self._key == _IS_PROJECTION], frames[self._key == _IS_FLAT], dark
        )
        return Sinogram(found.values, (*self._notes, *found.notes))


def open_nxtomo(path: Path, file: Any, dataset: str) -> ScanFile | None:
    """The scan in an open HDF5 file, or the first below the entry ``dataset``; None where it is of another layout."""
    found = [detector for detector in _detectors(file) if _is_wanted(detector, dataset)]
    if not found:
        return None
    name, detector = display_name(path), file[found[0]]
    data = data_set(detector, "data", name=name)
    if data is None or data.ndim != 3:
        raise InputError(
            f"Frames of rows x bins were wanted, but the detector of {name} has no such data; save it anew."
        )
    frames, _, bins = data.shape
    check_sizes(name, int(frames), int(bins))
    key = _key(detector, int(frames), name)
    angles_of = _angles(file, found[0], int(frames), name)
    if angles_of is None:
        raise InputError(
            f"A rotation angle for each of the {frames} frames was wanted, but {name} has none; add "
            "sample/rotation_angle."
        )
    for wanted, what in (
        (_IS_PROJECTION, "projections (image_key 0)"),
        (_IS_FLAT, "flat fields (image_key 1)"),
    ):
        if not (key == wanted).any():
            raise InputError(f"Frames that are {what} were wanted, but {name} has none; add them.")
    angles, notes = angles_in_degrees(angles_of, int(frames), name)
    if not (key == _IS_DARK).any():
        notes = (*notes, "There are no dark fields: the dark is taken to be 0.")
    if len(found) > 1:
        notes = (
            *notes,
            f"Of {len(found)} scans in the file the first is read; the data set chooses another.",
        )
    width = length_in_mm(data_set(detector, "x_pixel_size", name=name))
    geometry = Geometry(
        beam="parallel", angles=angles[key == _IS_PROJECTION],
        bins=int(bins), bin_width=width or 1.0, unit="mm" if width else "bins",
    )  # fmt: skip
    return _NxTomo(path, file, data, key, geometry, notes)


def _detectors(file: Any) -> list[str]:
    """The groups that have a stack and its image_key."""
    found: list[str] = []

    def visit(name: str, item: Any) -> None:
        if name.rsplit("/", 1)[-1] in ("image_key", "image_key_control"):
            group = name.rpartition("/")[0]
            if group not in found and file[group or "/"].get("data", getlink=True) is not None:
                found.append(group)

    file.visititems(visit)
    return sorted(found, key=lambda group: ("instrument" not in group, group))


def _is_wanted(detector: str, dataset: str) -> bool:
    wanted = dataset.strip("/").replace(".", "/")
    return wanted in ("", "data", f"{detector}/data") or f"{detector}/".startswith(f"{wanted}/")


def _key(detector: Any, frames: int, name: str) -> NDArray[np.int64]:
    item = data_set(detector, "image_key", name=name)
    item = data_set(detector, "image_key_control", name=name) if item is None else item
    if item is None or item.shape != (frames,):
        raise InputError(
            f"An image_key for each of the {frames} frames was wanted, but {name} has {0 if item is None else item.size}; "
            "correct it."
        )
    return np.asarray(item[()]).astype(np.int64)


def _angles(file: Any, detector: str, frames: int, name: str) -> Any | None:
    """The nearest rotation_angle with one angle a frame, going up from the detector."""
    above = detector
    while above:
        above = above.rpartition("/")[0]
        group = file[above or "/"]
        for place in (f"sample/{_ANGLES}", f"data/{_ANGLES}", _ANGLES, f"instrument/detector/{_ANGLES}"):
            if (found := data_set(group, place, name=name)) is not None and found.size:
                return found
    return None
