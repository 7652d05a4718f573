"""Scans in HDF5, and what its layouts share: finding data sets, units, one detector row of a stack. Beams are parallel.

Data Exchange is the layout of many synchrotrons' tomography (De Carlo et al., J. Synchrotron Rad. 21 (2014) 1224):
/exchange holds projections, flats and darks as counts (views, rows, bins), and theta.

NXtomo is NeXus' application definition for tomography (manual.nexusformat.org, NXtomo): one stack (frames, rows, bins)
holds projections (image_key 0), flats (1) and darks (2), and every frame has its rotation angle.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from padis_gui.core.files.formats.hdf5 import Hdf5File, read_attribute
from padis_gui.core.files.formats.pages import MILLIMETRES
from padis_gui.core.files.scans.geometry_file import MOST_BYTES, ScanGeometry
from padis_gui.core.files.scans.scan import (
    MOST_BINS,
    Readings,
    ScanFile,
    check_fields,
    check_sizes,
    checked_angles,
)
from padis_gui.core.physics.geometry import Geometry
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.untrusted import fault_of, parse_json

_LARGEST_RADIANS = 4 * np.pi


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
# Of what this program exported: the geometry in the words of its own files, and what the readings are then
OWN_GEOMETRY = "process/padis_gui/geometry"
TRANSMISSION = "transmission"
_INSTRUMENTS = ("measurement/instrument", "measurement/instrumentation")


def _own_geometry(source: Hdf5File, views: int, bins: int) -> Geometry | None:
    """The geometry of a scan that this program exported; None of others. Raises :class:`InputError` for one that cannot be
    used."""
    item = source.item(OWN_GEOMETRY)
    kind = getattr(getattr(item, "dtype", None), "kind", "")
    if item is None or kind != "S" or item.shape != () or item.dtype.itemsize > MOST_BYTES:
        return None
    try:
        stated = ScanGeometry.model_validate(parse_json(bytes(item[()])))
        if stated.beam == "cone":
            raise ValueError("the beam is a cone, of which no scan is exported")
    except ValueError as error:
        wrong = fault_of(error) if isinstance(error, ValidationError) else str(error)[:100]
        raise InputError(
            f"A geometry that can be used was wanted, but in that of {source.name} {wrong}; export the scan again."
        ) from None
    found = stated.geometry(views, bins)
    checked_angles(source.name, found.angles, views)
    return found


def open_exchange(source: Hdf5File, dataset: str) -> ScanFile | None:
    """The projections of an open HDF5 file; None where it is of another layout or another data set is wanted."""
    name = source.name
    wanted = dataset.strip("/").replace(".", "/")
    if wanted in ("", "data", "exchange", _DATA):
        for part in ("exchange", _DATA, _THETA, _WHITE, _EXCHANGE_DARK):
            source.refuse_elsewhere(part)
    data = source.data_set(_DATA)
    theta, white, dark = (source.data_set(n) for n in (_THETA, _WHITE, _EXCHANGE_DARK))
    stated = _stated(source)
    if data is None or data.ndim != 3 or wanted not in ("", "data", "exchange", _DATA):
        return None
    if theta is None and white is None and not stated and "implements" not in source.file:
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
    own = _own_geometry(source, views, bins) if attribute(data, "units") == TRANSMISSION else None
    if own is not None:

        def integrals(row: int) -> Readings:
            with np.errstate(divide="ignore", invalid="ignore"):  # what is no number then is said as such
                return Readings(-np.log(row_of(data, row, rows_axis).astype(np.float64)))

        return ScanFile(
            name, "Data Exchange file", own, integrals, rows=int(data.shape[rows_axis]),
            notes=("It was exported by this program: the geometry and the line integrals are as they were.",),
            close=source.close,
        )  # fmt: skip
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
    width = _bin_width(source)
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
    return ScanFile(
        name, "Data Exchange file", geometry, readings, rows=rows, notes=notes, close=source.close
    )


# As tomoscan writes them (tomoscan.readthedocs.io): what a scan was set to, where it has no such arrays
_ACQUISITION = "process/acquisition"
_STATED = {
    "rotation_start": "rotation", "rotation_step": "rotation", "flat_field_value": "flat_fields",
    "dark_field_value": "dark_fields",
}  # fmt: skip


def _stated(source: Hdf5File) -> dict[str, NDArray[np.float64]]:
    """What the file states of the acquisition, a number or one a bin; a step of 0 is none."""
    found = {}
    for what, folder in _STATED.items():
        item = source.data_set(f"{_ACQUISITION}/{folder}/{what}")
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
    if field.ndim == 3:
        check_fields(name, what, int(field.shape[1 - rows_axis]), int(field.shape[-1]))
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


def _bin_width(source: Hdf5File) -> float | None:
    """At the sample: the objective's resolution, or the detector's pixel through its magnification."""
    for root in _INSTRUMENTS:
        for objective in ("detection_system/objective", "detector/objective"):
            stated = length_in_mm(source.data_set(f"{root}/{objective}/resolution"))
            if stated is not None:
                return stated
        for pixel in ("pixel_size_x", "x_pixel_size", "pixel_size"):
            width = length_in_mm(source.data_set(f"{root}/detector/{pixel}"))
            if width is None:
                continue
            lens = source.data_set(f"{root}/detection_system/objective/magnification")
            magnified = 1.0 if lens is None or not lens.size else number(lens)
            return width / magnified if np.isfinite(magnified) and 0.01 <= magnified <= 1000 else width
    return None


_IS_PROJECTION, _IS_FLAT, _IS_DARK, _ALIGNS = 0, 1, 2, -1  # image_key
_ANGLES = "rotation_angle"


def open_nxtomo(source: Hdf5File, dataset: str) -> ScanFile | None:
    """The scan in an open HDF5 file, or the first below the entry ``dataset``; None where it is of another layout."""
    found = [detector for detector in _detectors(source) if _is_wanted(detector, dataset)]
    if not found:
        return None
    name, detector = source.name, source.group(found[0])
    source.refuse_elsewhere("data", detector)
    data = source.data_set("data", detector)
    if data is None or data.ndim != 3:
        raise InputError(
            f"Frames of rows x bins were wanted, but the detector of {name} has no such data; save it anew."
        )
    frames, _, bins = data.shape
    check_sizes(name, int(frames), int(bins))
    key = _key(source, detector, int(frames))
    angles_of = _angles(source, found[0])
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
    for field, what in ((_IS_FLAT, "flat"), (_IS_DARK, "dark")):
        check_fields(name, what, int((key == field).sum()), int(bins))
    angles, notes = angles_in_degrees(angles_of, int(frames), name)
    angles = checked_angles(name, angles[key == _IS_PROJECTION], int((key == _IS_PROJECTION).sum()))
    if not (key == _IS_DARK).any():
        notes = (*notes, "There are no dark fields: the dark is taken to be 0.")
    if len(found) > 1:
        notes = (
            *notes,
            f"Of {len(found)} scans in the file the first is read; the data set chooses another.",
        )
    width = length_in_mm(source.data_set("x_pixel_size", detector))
    geometry = Geometry(
        beam="parallel", angles=angles, bins=int(bins), bin_width=width or 1.0, unit="mm" if width else "bins",
        centre=_axis(source, detector, int(bins)),
    )  # fmt: skip

    def readings(row: int) -> Readings:
        images = row_of(data, row, 1)
        dark: NDArray[Any] | float = images[key == _IS_DARK] if (key == _IS_DARK).any() else 0.0
        return Readings(images[key == _IS_PROJECTION], images[key == _IS_FLAT], dark)

    rows = int(data.shape[1])
    return ScanFile(name, "NXtomo file", geometry, readings, rows=rows, notes=notes, close=source.close)


def _axis(source: Hdf5File, detector: Any, bins: int) -> float | None:
    """Where the axis is seen, in bins from the detector's middle, as ESRF's nxtomo states it; None where it does not."""
    item = source.data_set("x_rotation_axis_pixel_position", detector)
    if item is None or not item.size:
        return None
    value = number(item)
    return value if np.isfinite(value) and abs(value) < bins else None


def _detectors(source: Hdf5File) -> list[str]:
    """The groups that have a stack and its image_key."""
    found: list[str] = []

    def visit(name: str, item: Any) -> None:
        if name.rsplit("/", 1)[-1] in ("image_key", "image_key_control"):
            group = name.rpartition("/")[0]
            holder = source.group(group)
            if group not in found and holder is not None and holder.get("data", getlink=True) is not None:
                found.append(group)

    source.visit(visit)
    return sorted(found, key=lambda group: ("instrument" not in group, group))


def _is_wanted(detector: str, dataset: str) -> bool:
    wanted = dataset.strip("/").replace(".", "/")
    return wanted in ("", "data", f"{detector}/data") or f"{detector}/".startswith(f"{wanted}/")


def _key(source: Hdf5File, detector: Any, frames: int) -> NDArray[np.int64]:
    """What each frame is. Frames that image_key_control has below 0 were taken for alignment, whatever image_key says of
    them (as in nxtomomill's files of ESRF)."""
    source.refuse_elsewhere("image_key", detector)
    item = source.data_set("image_key", detector)
    item = source.data_set("image_key_control", detector) if item is None else item
    if item is None or item.shape != (frames,):
        raise InputError(
            f"An image_key for each of the {frames} frames was wanted, but {source.name} has "
            f"{0 if item is None else item.size}; correct it."
        )
    key = np.asarray(item[()]).astype(np.int64)
    control = source.data_set("image_key_control", detector)
    if control is not None and control.shape == (frames,):
        key[np.asarray(control[()]) < 0] = _ALIGNS
    return key


def _angles(source: Hdf5File, detector: str) -> Any | None:
    """The nearest rotation_angle with one angle a frame, going up from the detector."""
    above, elsewhere = detector, ""
    while above:
        above = above.rpartition("/")[0]
        group = source.group(above)
        for place in (f"sample/{_ANGLES}", f"data/{_ANGLES}", _ANGLES, f"instrument/detector/{_ANGLES}"):
            if (found := source.data_set(place, group)) is not None and found.size:
                return found
            elsewhere = elsewhere or (place if source.is_elsewhere(place, group) else "")
    if elsewhere:
        raise source.elsewhere(elsewhere)
    return None
