"""HDF5, and MATLAB's v7.3, which is HDF5 with every array's axes reversed."""

from pathlib import Path
from typing import Any

import numpy as np

from padis_gui.core.files.formats.arrays import ArrayPages, choose_array, find_layout
from padis_gui.core.files.formats.format import MOST_LISTED, DatasetInfo, Format, describe_array, not_numbers
from padis_gui.core.files.formats.pages import Pages, display_name, shown
from padis_gui.core.settings.errors import InputError

_MATLAB = b"MATLAB 7.3"
_LARGEST_CHUNK = 2**31


def open_hdf5(path: Path, dataset: str) -> Pages:
    """The data set called ``dataset``, or the obvious one; a page is read when it is asked for."""
    file, matlab = _opened(path)
    try:
        found = {n: d for n, d in _arrays(file).items() if _is_numeric(d)}
        name = choose_array({n: d.shape for n, d in found.items()}, dataset, display_name(path))
        data = found[name]
        check_self_contained(data, name, display_name(path))
        shape = data.shape[::-1] if matlab else data.shape
        layout = find_layout(shape, display_name(path), pages_last=matlab)
        unit, pitches = _scale(data)
        return ArrayPages(
            path, HDF5.kind, data, layout, reversed_axes=matlab, unit=unit, pitches=pitches, close=file.close
        )
    except BaseException:
        file.close()
        raise


def list_hdf5(path: Path) -> tuple[DatasetInfo, ...]:
    """Every data set of the file, also those that cannot be used."""
    file, matlab = _opened(path)
    with file:
        found = []
        for name, data in _arrays(file).items():
            shape = tuple(int(n) for n in (data.shape[::-1] if matlab else data.shape))
            kind = str(data.dtype)[:60]
            found.append(
                describe_array(name, shape, kind, pages_last=matlab)
                if _is_numeric(data)
                else not_numbers(name, shape, "text" if data.dtype.kind in "OSU" else kind)
            )
        return tuple(found)


def open_file(path: Path) -> Any:
    """The open file, with the filters at hand by which beamlines compress: bitshuffle, LZ4, Blosc, Zstandard …"""
    import h5py
    import hdf5plugin  # noqa: F401 - registers its filters with HDF5

    return h5py.File(path, "r", locking=False)


def _opened(path: Path) -> tuple[Any, bool]:
    """The open file, and whether MATLAB wrote it."""
    with path.open("rb") as start:
        matlab = start.read(len(_MATLAB)) == _MATLAB
    return open_file(path), matlab


def _arrays(file: Any) -> dict[str, Any]:
    """Every data set that has axes; links into other files are not followed."""
    import h5py

    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> bool | None:
        # MATLAB keeps the inside of cells and objects under names with a hash
        if isinstance(item, h5py.Dataset) and item.shape and "#" not in name:
            found[name] = item
        return True if len(found) >= MOST_LISTED else None  # anything but None ends the visit

    file.visititems(visit)
    return found


def _scale(data: Any) -> tuple[str, tuple[float, ...]]:
    """The unit of the numbers, and the pitch of each axis in mm as ImageJ's and ilastik's writers note it."""
    unit, pitches = read_attribute(data, "units"), read_attribute(data, "element_size_um")
    unit = unit.decode(errors="replace") if isinstance(unit, bytes) else unit
    try:
        millimetres = tuple(float(pitch) / 1000 for pitch in np.ravel(pitches))
    except (TypeError, ValueError):
        millimetres = ()
    usable = len(millimetres) == 3 == data.ndim and all(0 < pitch < np.inf for pitch in millimetres)
    return (shown(unit[:20]) if isinstance(unit, str) else ""), millimetres if usable else ()


_LARGEST_ATTRIBUTE = 4096  # bytes, and values
_REFERENCE = 16  # bytes that stand for a text of any length


def read_attribute(item: Any, name: str) -> Any:
    """A short attribute of texts or numbers; None where there is none, and for what is of another sort.

    HDF5 itself crashes on others in damaged files, and no attribute that has a meaning here is one of them.
    """
    import h5py

    if name not in item.attrs:
        return None
    stored = item.attrs.get_id(name)
    kind, size, count = (
        stored.get_type(),
        stored.get_storage_size(),
        stored.get_space().get_simple_extent_npoints(),
    )
    if size > _LARGEST_ATTRIBUTE or count > _LARGEST_ATTRIBUTE:
        return None
    if kind.get_class() == h5py.h5t.STRING:
        readable = not kind.is_variable_str() or size == _REFERENCE * max(1, count)
    else:
        readable = kind.get_class() in (h5py.h5t.INTEGER, h5py.h5t.FLOAT)
    return item.attrs[name] if readable else None


def _is_numeric(data: Any) -> bool:
    return data.dtype.kind in "biuf"


def check_self_contained(data: Any, dataset: str, name: str) -> None:
    """Raise :class:`InputError` where a data set of the file ``name`` points into others, is compressed in a way that
    cannot be undone here, or has absurd chunks."""
    if missing := _missing_filter(data):
        raise InputError(
            f"Numbers that can be unpacked were wanted, but {dataset} in {name} is compressed by the filter {missing}, "
            "which is not installed here; save the file with gzip, or install that filter for HDF5."
        )
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


def _missing_filter(data: Any) -> str:
    """Name and number of a filter that a data set needs and that HDF5 does not have here; empty where there is none."""
    import h5py

    created = data.id.get_create_plist()
    for number in range(created.get_nfilters()):
        code, _, _, name = created.get_filter(number)
        if not h5py.h5z.filter_avail(code):
            known = shown(name.decode("utf-8", "replace").strip("\0 "))
            return f"{known} ({code})" if known else f"{code}"
    return ""


HDF5 = Format(
    kind="HDF5 file",
    names=("HDF5",),
    suffixes=(".h5", ".hdf5", ".nxs"),
    signatures=((0, b"\x89HDF\r\n\x1a\n"),),
    by_name=True,  # it may begin with a block of the user's own
    open_pages=open_hdf5,
    list_datasets=list_hdf5,
)
