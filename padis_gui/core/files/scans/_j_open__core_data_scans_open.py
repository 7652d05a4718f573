"""Which files are scans, told by what is in them, or by a geometry beside them."""

from pathlib import Path
from typing import Any

from padis_gui.core.files.formats._j_matlab__core_data_matlab import MATLAB
from padis_gui.core.files.formats.format import Recognised
from padis_gui.core.files.formats.hdf5 import HDF5
from padis_gui.core.files.formats.pages import in_one_sentence
from padis_gui.core.files.scans._j_hdf5__core_data_scans_exchange import open_exchange
from padis_gui.core.files.scans._j_hdf5__core_data_scans_nxtomo import open_nxtomo
from padis_gui.core.files.scans._j_open__core_data_scans_beside import open_beside
from padis_gui.core.files.scans._j_scan__core_data_scans_scan import ScanFile
from padis_gui.core.files.scans.geometry_file import find_geometry, read_geometry
from padis_gui.core.files.scans.htc import open_htc, open_htc_in_hdf5


def open_scan(found: Recognised, dataset: str = "") -> ScanFile | None:
    """The scan in a file, or in a folder of views; None where it is none, or too damaged to tell.

    ``dataset`` names one of several scans in a file. Raises :class:`InputError` where it is a scan that cannot be used.
    """
    try:
        beside = find_geometry(found.path)
    except (OSError, ValueError):  # a name so long that nothing can lie beside it
        beside = None
    if beside is not None:
        return open_beside(found, dataset, read_geometry(beside))
    with in_one_sentence(found.name, found.kind):
        if found.format is MATLAB and (scan := open_htc(found.path, dataset)) is not None:
            return scan
        if found.format in (MATLAB, HDF5) and _is_hdf5(found.path):
            return _open_hdf5(found.path, dataset)
    return None


def _is_hdf5(path: Path) -> bool:
    """Whether it is: MATLAB's own v7.3 is, and what h5py cannot open the reader of images refuses."""
    import h5py

    return bool(h5py.is_hdf5(path))


def _open_hdf5(path: Path, dataset: str) -> ScanFile | None:
    import h5py

    file: Any = h5py.File(path, "r", locking=False)
    scan: ScanFile | None = None
    try:
        layouts = (open_exchange, open_nxtomo, open_htc_in_hdf5)
        scan = next((found for layout in layouts if (found := layout(path, file, dataset)) is not None), None)
    finally:
        if scan is None:
            file.close()
    return scan
