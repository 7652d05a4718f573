"""Scans in HDF5, and what its layouts share: finding data sets, units, one detector row of a stack. Beams are parallel.

Data Exchange is the layout of many synchrotrons' tomography (De Carlo et al., J. Synchrotron Rad. 21 (2014) 1224):
/exchange holds projections, flats and darks as counts (views, rows, bins), and theta.

NXtomo is NeXus' application definition for tomography (manual.nexusformat.org, NXtomo): one stack (frames, rows, bins)
holds projections (image_key 0), flats (1) and darks (2), and every frame has its rotation angle.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.formats.hdf5 import check_self_contained, read_attribute
from padis_gui.core.files.formats.pages import MILLIMETRES, display_name
from padis_gui.core.files.scans.scan import MOST_BINS, Readings, ScanFile, check_sizes, checked_angles
from padis_gui.core.physics.geometry import Geometry
from padis_gui.core.settings.errors import InputError

_LONGEST_CHAIN = 8
_MOST_FIELDS = 10_000
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


def is_elsewhere(above: Any, path: str) -> bool:
    """Whether what is at ``path`` below a group is a link into another file."""
    import h5py

    parent, _, last = path.rpartition("/")
    holder = (_item(above, parent, _LONGEST_CHAIN) if parent else above) if last else None
    if not isinstance(holder, h5py.Group):
        return False
    return isinstance(holder.get(last, getlink=True), h5py.ExternalLink)


def _refuse_elsewhere(above: Any, path: str, name: str) -> None:
    if is_elsewhere(above, path):
        raise InputError(
            f"Frames inside {name} were wanted, but its {path} is a link into another file, and links are not followed; "
            "open that file with a geometry in a JSON file beside it, or copy the frames into this one."
        )


def attribute(item: Any, name: str) -> str:
    """A text attribute in lower case; empty where there is none."""
    value = read_attribute(item, name)
    if isinstance(value, np.ndarray):
        value = value.ravel()[0] if value.size else ""
    return _text("" if value is None else value).strip().lower()


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


_DATA, _WHITE, _EXCHANGE_DARK, _THETA = (
    f"exchange/{n}" for n in ("data", "data_white", "data_dark", "theta")
)
_INSTRUMENTS = ("measurement/instrument", "measurement/instrumentation")


def open_exchange(path: Path, file: Any, dataset: str) -> ScanFile | None:
    """The projections of an open HDF5 file; None where it is of another layout or another data set is wanted."""
    name = display_name(path)
    wanted = dataset.strip("/").replace(".", "/")
    if wanted in ("", "data", "exchange", _DATA):
        for part in ("exchange", _DATA, _THETA, _WHITE, _EXCHANGE_DARK):
            _refuse_elsewhere(file, part, name)
    data = data_set(file, _DATA, name=name)
    theta, white, dark = (data_set(file, n, name=name) for n in (_THETA, _WHITE, _EXCHANGE_DARK))
    stated = _stated(file, name)
    if data is None or data.ndim != 3 or wanted not in ("", "data", "exchange", _DATA):
        return None
    if theta is None and white is None and not stated and "implements" not in file:
        return None  # any stack may be called so
    if theta is None and "rotation_step" not in stated:
        raise InputError(
            f"The views' angles were wanted, but {name} has no {_THETA}; add them, or give a geometry in a JSON file "
            "beside it."
        )
    white, dark = (None if field is None or not field.size else field for field in (white, dark))
    if white is None and "flat_field_value" not in stated:
        raise InputError(
            f"Flat fields were wanted, but {name} has no {_WHITE} of images; add them, or save line integrals with a "
            "geometry in a JSON file beside them."
        )
    axes = _text(read_attribute(data, "axes")).replace(" ", "").split(":")
    rows_axis = 0 if axes[:2] == ["y", "theta"] else 1
    views, bins = int(data.shape[1 - rows_axis]), int(data.shape[2])
    check_sizes(name, views, bins)
    for field, what in ((white, "flat"), (dark, "dark")):
        _check_field(name, what, field, (int(data.shape[rows_axis]), bins), rows_axis)
        if (
            field is None
            and (value := stated.get(f"{what}_field_value")) is not None
            and value.size not in (1, bins)
        ):
            raise InputError(
                f"A {what} of one value or of {bins} was wanted, but {name} states {value.size}; correct it."
            )
    if theta is not None:
        angles, notes = angles_in_degrees(theta, views, name)
    else:
        first, step = (
            float(stated[n][0]) if n in stated else 0.0 for n in ("rotation_start", "rotation_step")
        )
        steps = first + step * np.arange(views)
        angles = checked_angles(name, steps, views)
        notes = (f"The angles are those of the stated start and step: {angles[0]:g}° to {angles[-1]:g}°.",)
    if dark is None and "dark_field_value" not in stated:
        notes = (*notes, "There are no dark fields: the dark is taken to be 0.")
    width = _bin_width(file, name)
    geometry = Geometry(
        beam="parallel", angles=angles, bins=bins, bin_width=width or 1.0, unit="mm" if width else "bins"
    )

    def readings(row: int) -> Readings:
        fields = (
            stated.get(value, np.zeros(1)) if each is None else _field(each, row, rows_axis)
            for each, value in ((white, "flat_field_value"), (dark, "dark_field_value"))
        )  # fmt: skip
        return Readings(row_of(data, row, rows_axis), *fields)

    rows = int(data.shape[rows_axis])
    return ScanFile(name, "Data Exchange file", geometry, readings, rows=rows, notes=notes, close=file.close)


# As tomoscan writes them (tomoscan.readthedocs.io): what a scan was set to, where it has no such arrays
_ACQUISITION = "process/acquisition"
_STATED = {
    "rotation_start": "rotation", "rotation_step": "rotation", "flat_field_value": "flat_fields",
    "dark_field_value": "dark_fields",
}  # fmt: skip


def _stated(file: Any, name: str) -> dict[str, NDArray[np.float64]]:
    """What the file states of the acquisition, a number or one a bin; a step of 0 is none."""
    found = {}
    for what, folder in _STATED.items():
        item = data_set(file, f"{_ACQUISITION}/{folder}/{what}", name=name)
        if item is None or not 0 < item.size <= MOST_BINS:
            continue
        values = np.asarray(item[()], dtype=np.float64).ravel()
        if np.isfinite(values).all():
            found[what] = values
    if not found.get("rotation_step", np.ones(1))[0]:
        del found["rotation_step"]
    return found


def _field(stack: Any, row: int, rows_axis: int) -> NDArray[Any]:
    """The flats or darks of a row; a single one may come without the axis of images, or as one value or row for all."""
    if stack.ndim < 2:
        return np.asarray(stack[()]).reshape(-1)
    return np.asarray(stack[row]) if stack.ndim == 2 else row_of(stack, row, rows_axis)


def _check_field(name: str, what: str, field: Any | None, wanted: tuple[int, int], rows_axis: int) -> None:
    """Raise :class:`InputError` where flats or darks are not of the detector's rows and bins."""
    if field is None:
        return
    if field.ndim == 3 and field.shape[1 - rows_axis] > _MOST_FIELDS:
        raise InputError(
            f"At most {_MOST_FIELDS} {what} fields were wanted, but {name} declares {field.shape[1 - rows_axis]}; keep "
            "some of them."
        )
    if field.size == 1 or field.shape == wanted[1:]:
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


_IS_PROJECTION, _IS_FLAT, _IS_DARK, _ALIGNS = 0, 1, 2, -1  # image_key
_ANGLES = "rotation_angle"


def open_nxtomo(path: Path, file: Any, dataset: str) -> ScanFile | None:
    """The scan in an open HDF5 file, or the first below the entry ``dataset``; None where it is of another layout."""
    found = [detector for detector in _detectors(file) if _is_wanted(detector, dataset)]
    if not found:
        return None
    name, detector = display_name(path), file[found[0]]
    _refuse_elsewhere(detector, "data", name)
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
        bins=int(bins), bin_width=width or 1.0, unit="mm" if width else "bins", centre=_axis(detector, int(bins), name),
    )  # fmt: skip

    def readings(row: int) -> Readings:
        images = row_of(data, row, 1)
        dark: NDArray[Any] | float = images[key == _IS_DARK] if (key == _IS_DARK).any() else 0.0
        return Readings(images[key == _IS_PROJECTION], images[key == _IS_FLAT], dark)

    rows = int(data.shape[1])
    return ScanFile(name, "NXtomo file", geometry, readings, rows=rows, notes=notes, close=file.close)


def _axis(detector: Any, bins: int, name: str) -> float | None:
    """Where the axis is seen, in bins from the detector's middle, as ESRF's nxtomo states it; None where it does not."""
    item = data_set(detector, "x_rotation_axis_pixel_position", name=name)
    if item is None or not item.size:
        return None
    value = number(item)
    return value if np.isfinite(value) and abs(value) < bins else None


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
    """What each frame is. Frames that image_key_control has below 0 were taken for alignment, whatever image_key says of
    them (as in nxtomomill's files of ESRF)."""
    _refuse_elsewhere(detector, "image_key", name)
    item = data_set(detector, "image_key", name=name)
    item = data_set(detector, "image_key_control", name=name) if item is None else item
    if item is None or item.shape != (frames,):
        raise InputError(
            f"An image_key for each of the {frames} frames was wanted, but {name} has {0 if item is None else item.size}; "
            "correct it."
        )
    key = np.asarray(item[()]).astype(np.int64)
    control = data_set(detector, "image_key_control", name=name)
    if control is not None and control.shape == (frames,):
        key[np.asarray(control[()]) < 0] = _ALIGNS
    return key


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
