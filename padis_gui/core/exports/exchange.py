"""What a scan measured, as HDF5 in the layout Data Exchange: for tomopy and other programs, and for this one.

De Carlo et al., J. Synchrotron Rad. 21 (2014) 1224, with names as tomoscan has them: /exchange/data is the part of the beam
that came through (views, rows, bins), with flat fields of 1 and darks of 0, so that whoever takes the logarithm has the
line integrals; /exchange/theta are degrees. In float64 the line integrals come back to the bit. How the scan was taken, a
fan's distances and the axis of rotation included, is below /process in the words of this program's geometry files.
"""

import json
from pathlib import Path

import numpy as np

from padis_gui import __version__
from padis_gui.core.exports.content import MeasuredScan, RunContent
from padis_gui.core.exports.settings import FileSettings
from padis_gui.core.files.scans.geometry_file import FORMAT, ScanGeometry, as_json
from padis_gui.core.files.scans.hdf5 import OWN_GEOMETRY, TRANSMISSION
from padis_gui.core.physics.geometry import Geometry
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.files import failures_said, writing_atomically

_OWN = "process/padis_gui"


def export_exchange(run: RunContent, path: Path, settings: FileSettings) -> str:
    """Write the scan of a run; returns what was written. Raises :class:`InputError` where it has none."""
    if run.measured is None:
        raise InputError(
            f"The sinogram of a scan was wanted, but none is at hand of {run.name}; choose a run of CT, and prepare its "
            "problem again where it is of another image than the open one."
        )
    return write_exchange(path, run.measured, run.result.recipe)


def write_exchange(path: Path, scan: MeasuredScan, recipe: Recipe) -> str:
    """Write line integrals and their geometry; returns what was written. Atomic.

    Raises :class:`InputError` where it cannot be written.
    """
    import h5py

    if scan.geometry.beam == "cone":
        raise InputError(
            "A scan whose rows are slices by themselves was wanted for Data Exchange, but those of a cone beam are measured"
            " together; export the result instead."
        )
    rows, views, bins = scan.values.shape
    with failures_said("The scan", path), writing_atomically(path) as opened, h5py.File(opened, "w") as file:
        file["implements"] = "exchange:measurement:process"
        data = file.create_dataset("exchange/data", shape=(views, rows, bins), dtype=np.float64)
        for row in range(rows):
            data[:, row] = np.exp(-scan.values[row].astype(np.float64))
        data.attrs["units"], data.attrs["axes"] = TRANSMISSION, "theta:y:x"
        data.attrs["description"] = "the part of the beam that came through: exp(-line integral)"
        file["exchange/data_white"] = np.ones((1, rows, bins), np.float32)
        file["exchange/data_dark"] = np.zeros((1, rows, bins), np.float32)
        # counter-clockwise, as whoever does not read the geometry below takes them
        file["exchange/theta"] = np.rad2deg(scan.geometry.radians.numpy())
        file["exchange/theta"].attrs["units"] = "degrees"
        if scan.geometry.unit == "mm":
            width = scan.geometry.bin_width / scan.geometry.magnification
            file["measurement/instrument/detection_system/objective/resolution"] = width
            file["measurement/instrument/detection_system/objective/resolution"].attrs["units"] = "mm"
        file[f"{_OWN}/version"] = __version__
        for name, text in (("recipe", _recipe(recipe)), (OWN_GEOMETRY, as_json(_stated(scan.geometry)))):
            file[name if "/" in name else f"{_OWN}/{name}"] = np.bytes_(text.encode())
    return (
        f"Data Exchange of {views} views and {rows} row{'s' * (rows != 1)}, with its geometry and the recipe"
    )


def _recipe(recipe: Recipe) -> str:
    return json.dumps(recipe.model_dump(mode="json"), ensure_ascii=True)


def _stated(geometry: Geometry) -> ScanGeometry:
    """The geometry as a file of this program says it."""
    in_mm = geometry.unit == "mm"
    fan = {} if geometry.beam == "parallel" else {
        "source_distance": geometry.source_distance, "detector_distance": geometry.detector_distance,
    }  # fmt: skip
    return ScanGeometry(
        format=FORMAT, beam=geometry.beam, angles=tuple(geometry.angles.tolist()), start=geometry.start,
        turn=geometry.turn, length_unit="mm" if in_mm else "bins", bin_width=geometry.bin_width if in_mm else None,
        centre_column=geometry.axis, **fan,
    )  # fmt: skip
