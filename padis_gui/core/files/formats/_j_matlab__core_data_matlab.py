"""MATLAB's .mat files of every version. The published training sets are a variable `images`, H x W x n."""

from pathlib import Path
from typing import Literal

from padis_gui.core.files.formats._j_arrays__core_data_choose import choose_array
from padis_gui.core.files.formats._j_arrays__core_data_layout import Array, ArrayPages, find_layout
from padis_gui.core.files.formats._j_matlab__core_data_matlab5 import Variable, is_level_5, read_variables
from padis_gui.core.files.formats.format import MOST_LISTED, DatasetInfo, Format, describe_array, not_numbers
from padis_gui.core.files.formats.hdf5 import list_hdf5, open_hdf5
from padis_gui.core.files.formats.pages import SMALLEST, Pages, display_name

_HDF5_AT_512 = b"\x89HDF\r\n\x1a\n"
_QUICK = 2**24  # bytes that are unpacked at once


def open_matlab(path: Path, dataset: str) -> Pages:
    """The variable called ``dataset`` (a field of a structure as `name.field`), or the obvious one.

    v7.3 is HDF5, of which a page is read at a time; what v7 compresses is unpacked whole and kept until the file is
    closed.
    """
    match _level(path):
        case "7.3":
            return open_hdf5(path, dataset)
        case "5":
            array, shape = _level_5(path, dataset)
        case "4":
            array, shape = _level_4(path, dataset)
    return ArrayPages(path, MATLAB.kind, array, find_layout(shape, display_name(path), pages_last=True))


def list_matlab(path: Path) -> tuple[DatasetInfo, ...]:
    """The variables of the file, and the fields of structures unless they are compressed and large."""
    level = _level(path)
    if level == "7.3":
        return list_hdf5(path)
    if level == "4":
        from scipy.io import whosmat

        return tuple(
            describe_array(name, shape, kind, pages_last=True)
            if kind == "double"
            else not_numbers(name, shape, kind)
            for name, shape, kind in whosmat(path)
        )
    found = []
    for variable in read_variables(path)[:MOST_LISTED]:
        if variable.shape is not None:
            found.append(describe_array(variable.name, variable.shape, variable.kind, pages_last=True))
        elif variable.is_structure and variable.packed <= _QUICK:
            found += [
                describe_array(name, field.shape, str(field.dtype), pages_last=True)
                for name, field in variable.numbers().items()
            ]
        else:
            found.append(not_numbers(variable.name, (), variable.kind))
    return tuple(found)


def _level(path: Path) -> Literal["4", "5", "7.3"]:
    """How a file is laid out: v4; v5 to v7; or v7.3, which is HDF5."""
    with path.open("rb") as file:
        start = file.read(520)
    if start[512:] == _HDF5_AT_512:
        return "7.3"
    if is_level_5(start):
        return "5"
    if 0 in start[:4]:
        return "4"
    raise ValueError("its header is of no version that is known")


def _level_5(path: Path, dataset: str) -> tuple[Array, tuple[int, ...]]:
    variables = read_variables(path)
    plain = {v.name: v for v in variables if v.shape is not None}
    structures = [v for v in variables if v.is_structure]
    inside = any(dataset.strip("/").replace("/", ".").startswith(f"{v.name}.") for v in structures)
    if inside or not (dataset or any(_is_large(v) for v in plain.values())):
        # structures are looked into only where no variable beside them is an image
        fields = {name: numbers for v in structures for name, numbers in v.numbers().items()}
        if fields:
            chosen = fields[
                choose_array({n: f.shape for n, f in fields.items()}, dataset, display_name(path))
            ]
            return chosen, chosen.shape
    name = choose_array({n: v.shape or () for n, v in plain.items()}, dataset, display_name(path))
    numbers = plain[name].numbers()[name]
    return numbers, numbers.shape


def _is_large(variable: Variable) -> bool:
    return sum(side >= SMALLEST for side in variable.shape or ()) >= 2


def _level_4(path: Path, dataset: str) -> tuple[Array, tuple[int, ...]]:
    from scipy.io import loadmat, whosmat

    shapes = {name: shape for name, shape, kind in whosmat(path) if kind == "double"}
    name = choose_array(shapes, dataset, display_name(path))
    array = loadmat(path, variable_names=[name])[name]
    return array, array.shape


MATLAB = Format(
    kind="MATLAB file",
    names=("MATLAB",),
    suffixes=(".mat",),
    signatures=((0, b"MATLAB "),),
    by_name=True,  # v4 has no signature
    open_pages=open_matlab,
    list_datasets=list_matlab,
)
