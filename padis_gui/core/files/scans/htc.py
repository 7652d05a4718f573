"""The Helsinki Tomography Challenge's and its laboratory's .mat files: a structure of sinogram and parameters.

"Helsinki Tomography Challenge 2022: Description of the competition and dataset" (Meaney et al., Appl. Math. Mod.
Chall. 1 (2023) 170): fan beam, the negative logarithm taken, lengths in mm, angles in degrees. The scanner goes round
counter-clockwise: with that, the supplied reconstruction comes out as it is.
"""

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.formats.hdf5 import Hdf5File
from padis_gui.core.files.formats.matlab import read_structures
from padis_gui.core.files.formats.pages import display_name, shown
from padis_gui.core.files.scans.scan import Readings, ScanFile, check_sizes, checked_angles, positive
from padis_gui.core.physics.geometry import Geometry
from padis_gui.core.settings.errors import InputError

_SINOGRAM, _PARAMETERS = ".sinogram", ".parameters."


def open_htc(path: Path, dataset: str) -> ScanFile | None:
    """The scan in a level 5 file, or the one called ``dataset`` of several; None where there is none."""
    return _only(path, read_structures(path, _structure(dataset)))


def open_htc_in_hdf5(source: Hdf5File, dataset: str) -> ScanFile | None:
    """The same of a file as MATLAB saves it since v7.3, where structures are groups and axes stand reversed."""
    wanted = _structure(dataset)
    found: dict[str, dict[str, Any]] = {}
    for name in source.file:
        if wanted not in ("", name) or (sinogram := source.data_set(f"{name}/sinogram")) is None:
            continue
        parameters = source.group(f"{name}/parameters")
        found[name] = {_SINOGRAM: _Reversed(sinogram)} | {
            _PARAMETERS + n: _Reversed(item)
            for n in ([] if parameters is None else parameters)
            if (item := source.data_set(n, parameters)) is not None
        }
    return _only(source.path, found)


class _Reversed:
    """A data set with its axes in MATLAB's order."""

    def __init__(self, item: Any) -> None:
        self._item = item
        self.shape: tuple[int, ...] = item.shape[::-1]

    def __getitem__(self, index: Any) -> NDArray[Any]:
        values: NDArray[Any] = np.asarray(self._item[()]).T
        return np.asarray(values[index])


def _structure(dataset: str) -> str:
    """The structure that a data set's name means: itself, or the sinogram in it."""
    return dataset.strip("/").replace("/", ".").removesuffix(_SINOGRAM)


def _only(path: Path, structures: Mapping[str, Mapping[str, Any]]) -> ScanFile | None:
    """The one scan among the fields of structures."""
    scans = {name: fields for name, fields in structures.items() if _is_scan(fields)}
    if len(scans) > 1:
        raise InputError(
            f"One scan was wanted, but {display_name(path)} holds {', '.join(map(shown, scans))}; name the data "
            "set to read."
        )
    for fields in scans.values():
        return _scan(path, fields)
    return None


def _is_scan(fields: Mapping[str, Any]) -> bool:
    return _SINOGRAM in fields and any(name.startswith(_PARAMETERS) for name in fields)


def _scan(path: Path, fields: Mapping[str, Any]) -> ScanFile:
    name = display_name(path)

    def number(*parameters: str) -> float:
        for parameter in parameters:
            if (found := fields.get(_PARAMETERS + parameter)) is not None and prod(found.shape) == 1:
                return float(found[...].item())
        raise InputError(
            f"A scan with the parameter {parameters[0]} was wanted, but {name} lacks it; add it to the structure's "
            "parameters."
        )

    if _PARAMETERS + "angles" not in fields:
        raise InputError(
            f"A scan with the parameter angles was wanted, but {name} lacks it; add the views' angles in degrees."
        )
    stored = fields[_SINOGRAM]
    if len(stored.shape) != 2:
        raise InputError(
            f"A sinogram of views x bins was wanted, but that of {name} has {len(stored.shape)} axes; save one "
            "detector row."
        )
    views, bins = stored.shape
    check_sizes(name, views, bins)
    source = positive(name, "A distance of source and axis", number("distanceSourceOrigin"))
    whole = positive(name, "A distance of source and detector", number("distanceSourceDetector"))
    if whole < source:
        raise InputError(
            f"A detector behind the axis of rotation was wanted, but {name} has it {whole:g} mm from the source and "
            f"the axis {source:g} mm; correct the distances."
        )
    geometry = Geometry(
        beam="fan",
        angles=checked_angles(name, fields[_PARAMETERS + "angles"][...], views),
        bins=bins,
        bin_width=positive(name, "A bin width", number("pixelSizePost", "pixelSize")),
        source_distance=source,
        detector_distance=whole - source,
        unit="mm",
    )
    readings = Readings(stored[...])
    return ScanFile(name, "MATLAB scan", geometry, lambda _row: readings)
