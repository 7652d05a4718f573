"""Which files are scans, told by what is in them, or by a geometry beside them."""

from pathlib import Path
from typing import Any

from padis_gui.core.data import hdf5, matlab
from padis_gui.core.data.files import open_pages
from padis_gui.core.data.formats import recognise
from padis_gui.core.data.pages import display_name, in_one_sentence
from padis_gui.core.data.scans.beside import open_beside
from padis_gui.core.data.scans.exchange import open_exchange
from padis_gui.core.data.scans.geometry_file import find_geometry, read_geometry
from padis_gui.core.data.scans.htc import open_htc, open_htc_in_hdf5
from padis_gui.core.data.scans.nxtomo import open_nxtomo
from padis_gui.core.data.scans.scan import ScanFile


def open_scan(path: Path, dataset: str = "") -> ScanFile | None:
    """The scan in a file, or in a folder of views; None where it is none, or too damaged to tell.

    Raises :class:`InputError` where it is a scan that cannot be used.
    """
    try:
        beside = find_geometry(path)
        is_folder = path.is_dir()
    except (OSError, ValueError):  # a name that cannot be one; the reader of images says so
        return None
    if beside is not None:
        stated = read_geometry(beside)
        return open_beside(path, open_pages(path, dataset), stated)
    if is_folder:  # slices, not views
        return None
    kind = recognise(path).kind
    with in_one_sentence(display_name(path), kind):
        if kind == matlab.KIND and (scan := open_htc(path, dataset)) is not None:
            return scan
        if kind in (matlab.KIND, hdf5.KIND) and _is_hdf5(path):
            return _open_hdf5(path, dataset)
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
