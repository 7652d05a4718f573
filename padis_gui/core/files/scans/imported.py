"""Geometries of other programs, read from what these write or print: TIGRE's and CIL's. Nothing in them is carried out.

- JSON: the fields of either, by their names.
- Text: what TIGRE or CIL prints of a geometry, and lines `name = numbers` or `geo.name = numbers`.
- MATLAB: a structure of TIGRE, and beside it the variable `angles`.
- HDF5: the data of CIL's NEXUSDataWriter.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from padis_gui.core.files.formats.hdf5 import HDF5, Hdf5File
from padis_gui.core.files.formats.matlab import MATLAB, is_level_5, read_variables
from padis_gui.core.files.formats.pages import display_name, in_one_sentence, shown
from padis_gui.core.files.formats.recognise import recognise_file
from padis_gui.core.files.scans.cil import cil_geometry, is_cil, nexus_geometry
from padis_gui.core.files.scans.geometry_file import FORMAT, MOST_BYTES, ScanGeometry, read_geometry
from padis_gui.core.files.scans.tigre import is_tigre, tigre_geometry
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.untrusted import parse_json, read_bounded

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?"
_NUMBERS = rf"(?:np\.array|numpy\.array|array)?\(?\s*(?:[\[(][\s\d.,;eE+\-\[\]]*[\])]|{_NUMBER})"
_ASSIGNED = re.compile(
    rf"^[^\n=]{{0,80}}?\(?\b([A-Za-z]\w{{0,40}})\)?[ \t]{{0,40}}=[ \t]{{0,40}}({_NUMBERS})", re.MULTILINE
)
_TOLD = re.compile(
    r"^[ \t]*([A-Z][A-Za-z0-9\- ]{2,60}?)[ \t]{0,40}:[ \t]{0,40}(\[[^\]]{0,4000}\]|\S[^\n]{0,80})",
    re.MULTILINE,
)
_CIL = {
    "source position": "source_position", "ray direction": "ray_direction", "detector position": "detector_position",
    "detector direction x": "detector_direction_x", "rotation axis position": "rotation_axis_position",
    "rotation axis direction": "rotation_axis_direction", "number of pixels": "num_pixels", "pixel size": "pixel_size",
    "pixel origin": "origin",
}  # fmt: skip
_ANGLES = re.compile(r"angles (\d{1,7})-(\d{1,7}) in (\w+?)s?$", re.IGNORECASE)


def of_fields(values: Any, name: str) -> ScanGeometry | None:
    """The geometry in the fields of JSON; None where they are neither TIGRE's nor CIL's.

    Raises :class:`InputError` where they are, and cannot be used.
    """
    if not isinstance(values, Mapping):
        return None
    with in_one_sentence(name, "geometry"):
        if is_tigre(values):
            return tigre_geometry(values, name)
        return cil_geometry(values, name) if is_cil(values) else None


def read_beside(path: Path) -> ScanGeometry:
    """The geometry in JSON beside readings: this program's own, or that of TIGRE or CIL.

    Raises :class:`InputError` in one sentence where it cannot be used.
    """
    try:
        content = read_bounded(path, MOST_BYTES)
        given = None if FORMAT.encode() in content else parse_json(content)
    except (OSError, ValueError):  # said where it is read as one of this program's own
        given = None
    return of_fields(given, display_name(path)) or read_geometry(path)


def import_geometry(path: Path) -> ScanGeometry:
    """The geometry in a file of TIGRE or CIL; raises :class:`InputError` in one sentence where there is none."""
    found = recognise_file(path)
    with in_one_sentence(found.name, "geometry"):
        if found.format is MATLAB and (stated := _of_matlab(path, found.name)) is not None:
            return stated
        stated = _of_hdf5(path) if found.format in (HDF5, MATLAB) else _of_text(path, found.name)
    if stated is None:
        raise InputError(
            f"A geometry of TIGRE or CIL was wanted, but {found.name} has none that is known: no DSD and DSO, and no "
            "positions of source and detector; write one by hand (padis-gui geometry --example)."
        )
    return stated


def _of_matlab(path: Path, name: str) -> ScanGeometry | None:
    """A structure with DSD and DSO, and the variable `angles`; of level 5, as MATLAB saves without -v7.3."""
    with path.open("rb") as file:
        if not is_level_5(file.read(128)):
            return None
    angles: Any = None
    fields: dict[str, Any] | None = None
    for variable in read_variables(path):
        if variable.name == "angles" and variable.shape is not None:
            angles = _small(variable.numbers().get("angles"))
        elif variable.is_structure and fields is None:
            numbers = {full.rpartition(".")[2]: item for full, item in variable.numbers().items()}
            fields = {key: _small(item) for key, item in numbers.items()} if is_tigre(numbers) else None
    if fields is None:
        return None
    if fields.get("angles") is None:
        fields["angles"] = angles
    # MATLAB's own of one row or column; of three rows the first turns about the axis
    if (given := fields["angles"]) is not None and np.ndim(given) == 2:
        fields["angles"] = given.T if given.shape[0] == 3 and given.shape[1] > 3 else given.ravel()
    return tigre_geometry(fields, name, "columns, rows")


def _small(item: Any) -> Any:
    """The numbers of a variable; None for more than any geometry has."""
    return None if item is None or int(np.prod(item.shape)) > 3_000_000 else item[...]


def _of_hdf5(path: Path) -> ScanGeometry | None:
    with Hdf5File(path) as source:
        return nexus_geometry(source)


def _of_text(path: Path, name: str) -> ScanGeometry | None:
    try:
        text = read_bounded(path).decode("utf-8-sig", "replace")
        if text.lstrip()[:1] in ("{", "["):
            return of_fields(parse_json(text), name)
    except ValueError as error:
        raise InputError(
            f"A geometry in JSON or text was wanted, but {name} is none ({shown(str(error))}); correct it or save it anew."
        ) from None
    assigned = {key: _numbers(value) for key, value in _ASSIGNED.findall(text)}
    if is_tigre(assigned):
        return tigre_geometry(assigned, name)
    told = _of_cil(text, name)
    return cil_geometry(told, name) if is_cil(told) else None


def _numbers(text: str) -> Any:
    found = [float(each) for each in re.findall(_NUMBER, text)]
    return found[0] if len(found) == 1 else found


def _of_cil(text: str, name: str) -> dict[str, Any]:
    """What CIL prints of a geometry; of more than 30 angles these are the first ten and the last ten."""
    values: dict[str, Any] = {}
    angles: dict[int, float] = {}
    count = 0
    for label, value in _TOLD.findall(text):
        key = label.strip().lower()
        if key in _CIL:
            values[_CIL[key]] = value.strip() if _CIL[key] == "origin" else _numbers(value)
        elif key == "number of positions" and value.strip().isdecimal() and len(value.strip()) < 8:
            count = int(value)
        elif match := _ANGLES.match(key):
            given = np.atleast_1d(_numbers(value))
            angles |= {int(match[1]) + n: float(angle) for n, angle in enumerate(given)}
            values["angle_unit"] = match[3]
    if not angles or not 0 < count <= 1_000_000:
        return values
    if len(angles) < count:
        last, first = angles.get(count - 1, np.nan), angles.get(0, np.nan)
        even = first + np.arange(count) * (last - first) / (count - 1)
        if not all(
            abs(even[n] - angle) < 1e-3 * abs(last - first) for n, angle in angles.items() if n < count
        ):
            raise InputError(
                f"The angles of all {count} views were wanted, but {name} shows {len(angles)} that are not even; save the "
                "geometry as JSON with all of them."
            )
        values["angles"] = even
    else:
        values["angles"] = [angles[n] for n in range(count)]
    return values
