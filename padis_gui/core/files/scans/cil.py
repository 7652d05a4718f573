"""CIL's AcquisitionGeometry as a scan's, and the data of its NEXUSDataWriter.

In CIL's coordinates (Jørgensen et al., Phil. Trans. R. Soc. A 379 (2021) 20200192;
`AcquisitionGeometry.create_Cone3D`, `create_Parallel3D`) z is the axis of rotation unless it is said, and source,
detector and axis have positions (x, y, z). The sample turns counter-clockwise about it by `initial_angle` + angle,
the scanner clockwise (the plugins for ASTRA and TIGRE). A panel whose origin is on the right counts its bins against
the detector's x direction.

Of that the plane z = 0 is read. The line from the source through the axis must meet the detector upright within 2°;
how far from the detector's middle it does is the centre of rotation.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.formats.hdf5 import Hdf5File, read_attribute
from padis_gui.core.files.scans.cone import central_rows, cone_note
from padis_gui.core.files.scans.geometry_file import FORMAT, ScanGeometry
from padis_gui.core.files.scans.hdf5 import attribute
from padis_gui.core.files.scans.scan import Readings, ScanFile, check_sizes, checked_angles
from padis_gui.core.settings.errors import InputError

_ENTRY = "entry1/tomo_entry"
_WRITER = "nexusdatawriter"
_AXES = ("angle", "vertical", "horizontal")
_STEEPEST = 2.0  # degrees between the rays to the axis and the detector's normal
_MOST_ANGLES = 1_000_000


def is_cil(values: Mapping[str, Any]) -> bool:
    """Whether the fields are those of a CIL geometry."""
    return "detector_position" in values and ("source_position" in values or "ray_direction" in values)


def cil_geometry(values: Mapping[str, Any], name: str) -> ScanGeometry:
    """The geometry of ``values``, named as the arguments of CIL's `create_Cone3D`, `set_panel` and `set_angles`.

    Those are source_position or ray_direction, detector_position, detector_direction_x, rotation_axis_position,
    rotation_axis_direction, num_pixels, pixel_size, origin, angles, angle_unit, initial_angle; lengths in mm. Raises
    :class:`InputError` for a geometry that is not that of a circle about an upright axis.
    """

    def wrong(what: str, came: str) -> InputError:
        return InputError(
            f"A CIL geometry with {what} was wanted, but that of {name} {came}; correct it, or write the geometry by hand "
            "(padis-gui geometry --example)."
        )

    def given(key: str, or_else: float | Sequence[float] | None) -> NDArray[np.float64]:
        """Numbers, flat; none where there are none, or others than numbers."""
        value = values.get(key)
        value = or_else if value is None else value
        try:
            return np.asarray([] if value is None else value, dtype=np.float64).ravel()
        except (TypeError, ValueError, OverflowError):
            return np.empty(0)

    def vector(key: str, or_else: Sequence[float] | None = None) -> NDArray[np.float64]:
        """x and y, perhaps z."""
        found = given(key, or_else)
        if found.size not in (2, 3) or not np.isfinite(found).all() or np.abs(found).max() > 1e9:
            raise wrong(f"two or three numbers in {key}", "has others, or none")
        return found

    def numbers(key: str, least: int, or_else: float | None = None) -> NDArray[np.float64]:
        found = given(key, or_else)
        if not least <= found.size <= _MOST_ANGLES or not np.isfinite(found).all():
            raise wrong(f"numbers in {key}", "has others, or none")
        return found

    axis = vector("rotation_axis_direction", (0.0, 0.0, 1.0))
    if axis.size == 3 and math.hypot(*axis[:2]) > math.tan(math.radians(_STEEPEST)) * abs(axis[2]):
        raise wrong("an upright axis of rotation", "has a tilted one")
    below = axis.size == 3 and axis[2] < 0
    centre = vector("rotation_axis_position", (0.0, 0.0))[:2]
    detector = vector("detector_position")[:2] - centre
    along = vector("detector_direction_x", (1.0, 0.0))[:2]
    pixel = float(numbers("pixel_size", 1)[0])
    bins = int(numbers("num_pixels", 1)[0])
    angles = numbers("angles", 1)
    initial = float(numbers("initial_angle", 1, 0.0)[0])
    length = float(np.hypot(*along))
    if not (length > 0 and 0 < pixel < 1e9 and 1 <= bins <= 2**20):
        raise wrong("pixels, their size above 0 and a direction", f"has {bins} pixels of {pixel:g}")
    along = along / length
    if "right" in str(values.get("origin") or values.get("panel_origin") or "bottom-left").lower():
        along = -along
    is_fan = values.get("source_position") is not None
    source = vector("source_position")[:2] - centre if is_fan else np.zeros(2)
    rays = -source if is_fan else vector("ray_direction", (0.0, 1.0))[:2]
    near = float(np.hypot(*rays))
    if not near > 0:
        raise wrong("a source away from the axis, or a direction of rays,", "has none")
    rays = rays / near
    # to the right of the rays; where the bins count against it, they do from right to left
    right = np.array([rays[1], -rays[0]])
    upright = float(right @ along)
    if abs(upright) < math.cos(math.radians(_STEEPEST)):
        raise wrong("a detector upright to the rays through the axis", "has a tilted one")
    # where the ray through the axis meets the detector's line: source + t rays = detector + s along
    t, s = np.linalg.solve(np.stack([rays, -along], axis=1), detector - source)
    if is_fan and t < near:
        raise wrong("a detector behind the axis of rotation", "has it before")
    in_radians = "rad" in str(values.get("angle_unit") or "degree").lower()
    degrees = np.rad2deg(angles + initial) if in_radians else angles + initial
    return ScanGeometry(
        format=FORMAT,
        beam="fan" if is_fan else "parallel",
        axes="views, rows, bins",
        slices="central row" if is_fan else "every row",
        bin_order="left to right" if upright > 0 else "right to left",
        angles=tuple(degrees.tolist()),
        turn="counter-clockwise" if below else "clockwise",
        start=math.degrees(math.atan2(-rays[0], rays[1])),
        bin_width=pixel,
        source_distance=near if is_fan else None,
        detector_distance=float(t) - near if is_fan else None,
        centre_column=round((bins - 1) / 2 + float(s) / pixel, 6),
    )


# -- the data of NEXUSDataWriter --------------------------------------------------------------------------


def nexus_geometry(source: Hdf5File) -> ScanGeometry | None:
    """The geometry in an open HDF5 file of NEXUSDataWriter, version 20 and later; None for other files.

    Raises :class:`InputError` where it cannot be used.
    """
    data = source.data_set(f"{_ENTRY}/data/data")
    if (
        data is None
        or _WRITER not in attribute(source.file, "creator")
        or attribute(data, "data_type") != "acquisitiondata"
    ):
        return None
    config = source.group(f"{_ENTRY}/config")
    if config is None:
        raise InputError(
            f"Data as CIL writes them since version 20 were wanted, but {source.name} is of an older one; read and write "
            "it once by a newer CIL."
        )
    places = {
        "source_position": "source/position", "ray_direction": "ray/direction",
        "detector_position": "detector/position", "detector_direction_x": "detector/direction_x",
        "rotation_axis_position": "rotation_axis/position", "rotation_axis_direction": "rotation_axis/direction",
        "angles": "angles",
    }  # fmt: skip
    values: dict[str, Any] = {}
    for key, place in places.items():
        item = source.data_set(place, config)
        if item is not None and item.size <= _MOST_ANGLES:
            values[key] = np.asarray(item[()])
    angles = source.data_set("angles", config)
    if angles is not None:
        values |= {
            "angle_unit": attribute(angles, "angle_unit"),
            "initial_angle": read_attribute(angles, "initial_angle"),
        }
    for key, attr in (("num_pixels", "num_pixels_h"), ("pixel_size", "pixel_size_h")):
        values[key] = read_attribute(data, attr)
    values["origin"] = attribute(data, "panel_origin")
    return cil_geometry(values, source.name)


def open_cil(source: Hdf5File, dataset: str) -> ScanFile | None:
    """The scan in an open HDF5 file of NEXUSDataWriter; None where it is another's or another data set is wanted."""
    name = source.name
    wanted = dataset.strip("/").replace(".", "/")
    if (
        wanted not in ("", "data", _ENTRY, f"{_ENTRY}/data/data")
        or (stated := nexus_geometry(source)) is None
    ):
        return None
    data = source.data_set(f"{_ENTRY}/data/data")
    labels = [attribute(data, f"dim{n}") for n in range(data.ndim)] if data is not None else []
    if (
        data is None
        or not {"angle", "horizontal"} <= set(labels) <= set(_AXES)
        or len(set(labels)) != len(labels)
    ):
        raise InputError(
            f"Views of rows and bins were wanted, but {name} has the axes {', '.join(labels)[:60]}; write one "
            "channel of it."
        )
    sides = dict(zip(labels, map(int, data.shape), strict=True))
    views, bins, rows = sides["angle"], sides["horizontal"], sides.get("vertical", 1)
    check_sizes(name, views, bins)
    geometry = stated.geometry(views, bins)
    checked_angles(name, geometry.angles, views)
    scale, offset = (
        plain if (found := read_attribute(data, key)) is None else float(found)
        for key, plain in (("scale", 1.0), ("offset", 0.0))
    )
    if not (np.isfinite(scale) and scale != 0 and np.isfinite(offset)):
        raise InputError(f"A scale other than 0 was wanted, but {name} has {scale:g}; write it anew.")

    def line(row: int) -> NDArray[Any]:
        index = tuple(row if label == "vertical" else slice(None) for label in labels)
        values = np.asarray(data[index], dtype=np.float64)
        values = values if labels.index("angle") < labels.index("horizontal") else values.T
        values = (values - offset) / scale
        return values[:, ::-1] if stated.bin_order == "right to left" else values

    def readings(row: int) -> Readings:
        low, high = central_rows(rows) if stated.slices == "central row" else (row, row)
        return Readings((line(low) + line(high)) / 2)

    is_cone = stated.slices == "central row"
    notes = [
        "The readings are taken for line integrals, and lengths for mm, as CIL's file does not say them."
    ]
    if is_cone and rows > 1:
        notes.append(cone_note(rows))
    return ScanFile(
        name,
        "CIL file",
        geometry,
        readings,
        rows=1 if is_cone else rows,
        notes=tuple(notes),
        close=source.close,
    )
