"""HDF5, and MATLAB's v7.3, which is HDF5 with every array's axes reversed."""

from pathlib import Path
from typing import Any

from padis_gui.core.data.choose import choose_array
from padis_gui.core.data.layout import ArrayPages, find_layout
from padis_gui.core.data.pages import Pages
from padis_gui.core.errors import InputError

KIND = "HDF5 file"
_MATLAB = b"MATLAB 7.3"
_LARGEST_CHUNK = 2**31


def open_hdf5(path: Path, dataset: str) -> Pages:
    """The data set called ``dataset``, or the obvious one; a page is read when it is asked for."""
    import h5py

    with path.open("rb") as start:
        matlab = start.read(len(_MATLAB)) == _MATLAB
    file = h5py.File(path, "r", locking=False)
    try:
        found = _arrays(file)
        name = choose_array({n: d.shape for n, d in found.items()}, dataset, path.name)
        data = found[name]
        check_self_contained(data, name, path.name)
        shape = data.shape[::-1] if matlab else data.shape
        layout = find_layout(shape, path.name, pages_last=matlab)
        return ArrayPages(path, KIND, data, layout, reversed_axes=matlab, close=file.close)
    except BaseException:
        file.close()
        raise


def _arrays(file: Any) -> dict[str, Any]:
    """Every data set of real numbers; links into other files are not followed."""
    import h5py

    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        # MATLAB keeps the inside of cells and objects under names with a hash
        if isinstance(item, h5py.Dataset) and item.shape and item.dtype.kind in "biuf" and "#" not in name:
            found[name] = item

    file.visititems(visit)
    return found


def check_self_contained(data: Any, dataset: str, name: str) -> None:
    """Raise :class:`InputError` where a data set of the file ``name`` points into others, or has absurd chunks."""
    elsewhere = data.external or (data.is_virtual and any(s.file_name != "." for s in data.virtual_sources()))
    if elsewhere:
        raise InputError(
            f"Numbers inside {name} were wanted, but its data set {dataset} points into other files; open the "
            "file that holds them."
        )
    size = data.dtype.itemsize
    for side in data.chunks or ():
        size *= side
    if size > _LARGEST_CHUNK:
        raise InputError(
            f"Chunks of at most 2 GiB were wanted, but those of {dataset} in {name} take {size / 2**30:.0f}; "
            "save it with a page a chunk."
        )
