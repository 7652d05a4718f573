"""What the HDF5 layouts of scans share: finding data sets, units, and one detector row of a stack."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.formats.hdf5 import check_self_contained
from padis_gui.core.files.formats.pages import MILLIMETRES
from padis_gui.core.files.scans._j_scan__core_data_scans_scan import checked_angles
from padis_gui.core.settings.errors import InputError

_LONGEST_CHAIN = 8
_LARGEST_RADIANS = 4 * np.pi


def data_set(above: Any, path: str, *, name: str) -> Any | None:
    """The data set of real numbers at ``path`` below a group; None where there is none. Other files are not opened."""
    import h5py

    found = _item(above, path, _LONGEST_CHAIN)
    if not isinstance(found, h5py.Dataset) or found.dtype.kind not in "biuf" or found.shape is None:
        return None
    check_self_contained(found, path, name)
    return found


def group(above: Any, path: str) -> Any | None:
    """The group at ``path`` below another; None where there is none."""
    import h5py

    found = _item(above, path, _LONGEST_CHAIN)
    return found if isinstance(found, h5py.Group) else None


def _item(above: Any, path: str, links: int) -> Any | None:
    """What is at ``path``, through at most so many soft links; None for nothing and for what is in another file."""
    import h5py

    item = above.file if path.startswith("/") else above
    for part in filter(None, path.split("/")):
        link = item.get(part, getlink=True) if isinstance(item, h5py.Group) else None
        if isinstance(link, h5py.SoftLink) and links > 0:
            item = _item(item, link.path, links - 1)
        else:
            item = item[part] if isinstance(link, h5py.HardLink) else None
        if item is None:
            return None
    return item


def attribute(item: Any, name: str) -> str:
    """A text attribute in lower case; empty where there is none."""
    value = item.attrs.get(name, "")
    if isinstance(value, np.ndarray):
        value = value.ravel()[0] if value.size else ""
    return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).strip().lower()


def number(item: Any) -> float:
    """The one number in a data set, or the first of several."""
    return float(np.asarray(item[()] if item.size == 1 else item[(0,) * item.ndim]).ravel()[0])


def length_in_mm(item: Any | None) -> float | None:
    """A length with a unit; None where it is missing, has no known unit or is no length."""
    if item is None or not item.size or (scale := MILLIMETRES.get(attribute(item, "units"))) is None:
        return None
    value = number(item) * scale
    return value if np.isfinite(value) and 1e-6 <= value <= 1e6 else None


def angles_in_degrees(item: Any, views: int, name: str) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Angles by the unit that stands with them, and a note where none does.

    Without a unit they are degrees, unless many views lie within two turns of radians.
    """
    if item.ndim > 2 or item.size > 10_000_000:
        raise InputError(
            f"A list of angles was wanted, but {item.name} in {name} has the shape {item.shape}; correct it."
        )
    angles = checked_angles(name, item[()], views)
    unit = attribute(item, "units")
    if unit.startswith("rad"):
        return np.rad2deg(angles), ()
    if unit or np.ptp(angles) > _LARGEST_RADIANS or len(angles) < 30:
        return angles, ()
    return np.rad2deg(angles), (
        "The angles have no unit and lie within two turns of radians: they are taken for radians.",
    )


def row_of(stack: Any, row: int, rows_axis: int) -> NDArray[Any]:
    """One detector row of a stack of three axes, the only part of it that is read: (images, bins)."""
    index = [slice(None)] * 3
    index[rows_axis] = row  # type: ignore[call-overload]
    return np.asarray(stack[tuple(index)])
