"""MATLAB's .mat files of every version. The published training sets are a variable `images`, H x W x n.

Level 5 (v5 to v7) is read here, numeric arrays and the fields of structures only: a file is a sequence of tagged
elements, and a variable an element of elements (MathWorks, "MAT-File Format", chapter 1). SciPy's compiled reader (1.17
still) takes the whole program down with it where the tag of an array's numbers is damaged: 8, 10, 14, 19 and 200 all end
in a segmentation fault. What is not compressed stays in the file until it is asked for.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.formats.arrays import Array, ArrayPages, choose_array, find_layout
from padis_gui.core.files.formats.format import MOST_LISTED, DatasetInfo, Format, describe_array, not_numbers
from padis_gui.core.files.formats.hdf5 import list_hdf5, open_hdf5
from padis_gui.core.files.formats.large import check_memory
from padis_gui.core.files.formats.pages import SMALLEST, Pages, display_name
from padis_gui.core.files.formats.stored import Stored, StoredArray
from padis_gui.core.settings.errors import InputError

_HEADER = 128
_ORDERS = {b"IM": "<", b"MI": ">"}
_MATRIX, _COMPRESSED = 14, 15
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_STRUCTURE = 2
_NUMERIC = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_OTHERS = {1: "cells", 2: "a structure", 3: "an object", 4: "text", 5: "a sparse array"} | dict.fromkeys(
    _NUMERIC, "complex numbers"
)
_COMPLEX, _LOGICAL = 0x800, 0x200
_ENOUGH = 4096  # bytes that hold a variable's description
_MOST_UNPACKED, _PIECE = 2**29 + 2**16, 2**20

Part = memoryview | Stored  # of a file: unpacked, or as it lies there


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """A numeric array as it is stored, which slices into the type that it has in MATLAB."""

    stored: NDArray[Any] | StoredArray
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """As in MATLAB."""
        return self.stored.shape

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """The numbers there."""
        return np.asarray(self.stored[index]).astype(self.dtype, copy=False)


@dataclass(frozen=True, slots=True)
class Variable:
    """What a file says of one of its variables; ``shape`` is None for what is not of real numbers.

    ``kind`` is the type of its numbers, or what else it is.
    """

    name: str
    shape: tuple[int, ...] | None
    is_structure: bool
    kind: str
    _part: Part
    _order: str
    _compressed: bool

    @property
    def packed(self) -> int:
        """How many bytes must be unpacked to look inside; 0 where it lies in the file as it is."""
        return len(self._part) if self._compressed else 0

    def numbers(self) -> dict[str, Numbers]:
        """The variable's array under its name, or a structure's under `name.field`."""
        data: Part = _unpacked(self._part, self._order) if self._compressed else self._part
        found: dict[str, Numbers] = {}
        _collect(data, self._order, self.name, found)
        return found


def is_level_5(start: bytes) -> bool:
    """Whether a file that starts so is of this level."""
    return start[126:_HEADER] in _ORDERS and 0 not in start[:4]


def read_variables(path: Path) -> list[Variable]:
    """The variables of a file. Raises :class:`ValueError` or :class:`zlib.error` where it is damaged."""
    data = Stored.of(path)
    order = _ORDERS[_bytes(data[126:_HEADER])]
    found = []
    for kind, part in _elements(data[_HEADER:], order):
        if kind not in (_MATRIX, _COMPRESSED):
            break  # nothing else can follow
        start: Part = (
            _unpacked(part, order, _ENOUGH) if kind == _COMPRESSED else memoryview(_bytes(part[:_ENOUGH]))
        )
        described = _describe(start, order)
        shape = described.shape if described.dtype is not None else None
        is_structure = described.class_ == _STRUCTURE
        type_ = (
            str(described.dtype)
            if described.dtype is not None
            else _OTHERS.get(described.class_, "complex numbers")
        )
        found.append(Variable(described.name, shape, is_structure, type_, part, order, kind == _COMPRESSED))
    return found


def read_structures(path: Path, name: str = "") -> dict[str, dict[str, Numbers]]:
    """The arrays in the structures of a file of this level, by the structures' names and `.field`; none in others.

    Only the structure ``name`` is unpacked, where one is given.
    """
    with path.open("rb") as file:
        if not is_level_5(file.read(_HEADER)):
            return {}
    structures = [v for v in read_variables(path) if v.is_structure and name in ("", v.name)]
    return {v.name: {n.removeprefix(v.name): found for n, found in v.numbers().items()} for v in structures}


def _bytes(part: Part) -> bytes:
    return bytes(part.read() if isinstance(part, Stored) else part)


def _elements(data: Part, order: str) -> Iterator[tuple[int, Part]]:
    """The elements one after the other: what they are, and what is in them; a cut one is given as far as it goes."""
    at = 0
    while at + 8 <= len(data):
        kind, size = (int(n) for n in np.frombuffer(_bytes(data[at : at + 8]), order + "u4"))
        if kind >> 16:  # up to four bytes stand in the tag itself
            yield kind & 0xFFFF, data[at + 4 : at + 4 + (kind >> 16)]
            at += 8
        else:
            yield kind, data[at + 8 : at + 8 + size]
            at += 8 + (size if kind == _COMPRESSED else -(-size // 8) * 8)


def _unpacked(part: Part, order: str, most: int | None = None) -> memoryview:
    """The matrix in a compressed element, or the first ``most`` bytes of it."""
    unpacker = zlib.decompressobj()
    tag = unpacker.decompress(part.read() if isinstance(part, Stored) else part, 8)
    if len(tag) < 8:
        raise ValueError("it ends before its last number")
    kind, size = (int(n) for n in np.frombuffer(tag, order + "u4"))
    if kind != _MATRIX:
        raise ValueError("a compressed variable is none")
    if most is None and size > _MOST_UNPACKED:
        raise InputError(
            f"A compressed variable of at most {_MOST_UNPACKED >> 20} MiB was wanted, but one of {size >> 20} would be "
            "unpacked whole; save the file with -v7.3, of which a page is read at a time."
        )
    wanted = size if most is None else min(size, most)
    rest, found, at = memoryview(unpacker.unconsumed_tail), bytearray(wanted), 0
    for first in range(0, len(rest), _PIECE):  # what is joined of pieces would be there twice
        left = bytes(rest[first : first + _PIECE])
        while at < wanted:
            piece = unpacker.decompress(left, min(_PIECE, wanted - at))
            found[at : at + len(piece)] = piece
            at, left = at + len(piece), unpacker.unconsumed_tail
            if not piece:
                break
    return memoryview(found)[:at].toreadonly()


@dataclass(frozen=True, slots=True)
class _Description:
    name: str
    class_: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None
    rest: Iterator[tuple[int, Part]]


def _describe(matrix: Part, order: str) -> _Description:
    """Flags, size and name of a matrix; ``rest`` has the elements behind them, ``dtype`` is None but for real numbers."""
    rest = _elements(matrix, order)
    try:
        (_, flags), (_, sizes), (_, name) = next(rest), next(rest), next(rest)
    except StopIteration:
        raise ValueError("a variable without a description") from None
    if len(flags) < 4:
        raise ValueError("a variable without a class")
    flag = int(np.frombuffer(_bytes(flags[:4]), order + "u4")[0])
    class_ = flag & 0xFF
    dtype = None
    if class_ in _NUMERIC and not flag & _COMPLEX:
        dtype = np.dtype(bool if flag & _LOGICAL else _NUMERIC[class_])
    shape = tuple(int(n) for n in np.frombuffer(_bytes(sizes), order + "i4"))
    return _Description(_bytes(name).decode("latin-1"), class_, shape, dtype, rest)


def _collect(matrix: Part, order: str, name: str, found: dict[str, Numbers]) -> None:
    if not len(matrix):  # a field that was never set
        return
    described = _describe(matrix, order)
    if described.dtype is not None:
        kind, data = next(described.rest, (0, memoryview(b"")))
        found[name] = Numbers(_array(kind, data, described.shape, order), described.dtype)
    elif described.class_ == _STRUCTURE and prod(described.shape) == 1:
        (_, length), (_, listed) = (
            next(described.rest, (0, memoryview(b""))),
            next(described.rest, (0, memoryview(b""))),
        )
        width, names = int(np.frombuffer(_bytes(length[:4]), order + "i4")[0]), _bytes(listed)
        if width < 1:
            raise ValueError("a structure without fields")
        fields = [names[at : at + width] for at in range(0, len(names), width)]
        for field, (kind, part) in zip(fields, described.rest, strict=False):
            if kind == _MATRIX:
                _collect(part, order, f"{name}.{field.split(bytes(1))[0].decode('latin-1')}", found)


def _array(kind: int, data: Part, shape: tuple[int, ...], order: str) -> NDArray[Any] | StoredArray:
    if kind not in _STORED:
        raise ValueError(f"numbers of the unknown kind {kind}")
    stored = np.dtype(order + _STORED[kind])
    if min(shape, default=0) < 0 or len(data) != prod(shape) * stored.itemsize:
        raise ValueError("it ends before its last number")
    if isinstance(data, Stored):
        return data.array(stored, shape, fortran=True)
    return np.frombuffer(data, stored).reshape(shape, order="F")


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
    check_memory(display_name(path), 2 * 8 * prod(shapes[name]))
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
