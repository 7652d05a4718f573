"""MATLAB's .mat: v4 to v7 through SciPy, v7.3 as HDF5. The published training sets are `images`, H x W x n."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.data.choose import choose_array
from padis_gui.core.data.hdf5 import open_hdf5
from padis_gui.core.data.layout import ArrayPages, find_layout
from padis_gui.core.data.pages import Pages

KIND = "MATLAB file"
_NUMBERS = {"double", "single", "logical"} | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}
_HDF5_AT_512 = b"\x89HDF\r\n\x1a\n"


def open_matlab(path: Path, dataset: str) -> Pages:
    """The variable called ``dataset`` (a field of a structure as `name.field`), or the obvious one.

    Before v7.3 a variable can only be read whole; it is kept until the file is closed.
    """
    with path.open("rb") as file:
        if file.read(520)[512:] == _HDF5_AT_512:
            return open_hdf5(path, dataset)
    from scipy.io import loadmat, whosmat

    variables = whosmat(path)
    shapes = {name: shape for name, shape, kind in variables if kind in _NUMBERS}
    structures = [name for name, _, kind in variables if kind == "struct"]
    inside = any(dataset.replace("/", ".").startswith(f"{name}.") for name in structures)
    if not inside and (dataset or any(min(shape) > 1 for shape in shapes.values()) or not structures):
        name = choose_array(shapes, dataset, path.name)
        array = loadmat(path, variable_names=[name])[name]
    else:
        fields: dict[str, NDArray[Any]] = {}
        for name, value in loadmat(path, variable_names=structures).items():
            _collect(name, value, fields)
        array = fields[choose_array({n: a.shape for n, a in fields.items()}, dataset, path.name)]
    return ArrayPages(path, KIND, array, find_layout(array.shape, path.name, pages_last=True))


def _collect(name: str, value: Any, found: dict[str, NDArray[Any]]) -> None:
    """Every array of real numbers in a structure, under its path of fields."""
    if not isinstance(value, np.ndarray):
        return
    if value.dtype.names is None:
        if value.dtype.kind in "biuf":
            found[name] = value
    elif value.size == 1:
        for field in value.dtype.names:
            _collect(f"{name}.{field}", value.flat[0][field], found)
