"""NPY, of which what is asked for is read, and NPZ, whose pages are unpacked one after the other."""

import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np

from padis_gui.core.files.formats.arrays import ArrayPages, Layout, choose_array, find_layout
from padis_gui.core.files.formats.format import MOST_LISTED, DatasetInfo, Format, describe_array, not_numbers
from padis_gui.core.files.formats.large import LARGE, ROWS, Block, check_memory, in_planes
from padis_gui.core.files.formats.pages import Page, Pages, Part, display_name, is_wide, page_of, shown
from padis_gui.core.files.formats.stored import Stored
from padis_gui.core.settings.errors import InputError

_ENDING = ".npy"
_ENCRYPTED = 1  # of a member's flags


def open_npy(path: Path, dataset: str) -> Pages:
    """An array in a file of its own, without pickled objects; what is not asked for stays on the disk."""
    with path.open("rb") as file:
        shape, fortran, dtype = _header(file)
        start = file.tell()
    if dtype.hasobject:
        raise ValueError("it holds objects, and not numbers")
    array = Stored.of(path)[start:].array(dtype, shape, fortran=fortran)
    return ArrayPages(path, NPY.kind, array, find_layout(shape, display_name(path)))


def open_npz(path: Path, dataset: str) -> Pages:
    """The array called ``dataset``, or the obvious one, of a zip file of arrays."""
    opened = ExitStack()
    try:
        archive = opened.enter_context(zipfile.ZipFile(path))
        shapes = {name: shape for name, (shape, dtype) in _members(archive).items() if dtype.kind in "biuf"}
        member = choose_array(shapes, dataset, display_name(path)) + _ENDING
        file = opened.enter_context(archive.open(member))
        return _Member(path, archive, member, file, opened.close)
    except BaseException:
        opened.close()
        raise


def list_npz(path: Path) -> tuple[DatasetInfo, ...]:
    """Every array of the archive, from its header alone."""
    with zipfile.ZipFile(path) as archive:
        return tuple(
            describe_array(name, shape, str(dtype))
            if dtype.kind in "biuf"
            else not_numbers(name, shape, "objects" if dtype.kind == "O" else str(dtype)[:60])
            for name, (shape, dtype) in _members(archive).items()
        )


def _members(archive: zipfile.ZipFile) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Shape and type of every array by its name."""
    found = {}
    for member in archive.infolist()[:MOST_LISTED]:
        name = member.filename
        if name.endswith(_ENDING):
            if member.flag_bits & _ENCRYPTED:
                raise InputError(
                    f"Arrays without a password were wanted, but {shown(name)} of "
                    f"{display_name(Path(archive.filename or ''))} is encrypted; save it without one."
                )
            with archive.open(name) as file:
                shape, _, dtype = _header(file)
            found[name.removesuffix(_ENDING)] = shape, dtype
    return found


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether the first axis runs fastest, and type; leaves ``file`` at the first number."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise ValueError(f"version {version[0]}.{version[1]} of the array format")  # only for structured arrays


class _Member(Pages):
    """One array of a zip file, read forwards: a later page costs unpacking what lies before it."""

    def __init__(
        self, path: Path, archive: zipfile.ZipFile, member: str, file: IO[bytes], close: Callable[[], None]
    ) -> None:
        super().__init__(path, NPZ.kind, close)
        self._archive, self._file = archive, file
        shape, self._fortran, self._dtype = _header(self._file)
        self._start = self._file.tell()
        self._layout: Layout = find_layout(shape, display_name(path))
        self.count = self._layout.count
        size = int(np.prod(shape, dtype=object)) * self._dtype.itemsize
        if size > archive.getinfo(member).file_size - self._start:
            raise ValueError("it ends before its last number")
        self._contiguous = not self._fortran and self._layout.pages in (0, None)
        self._whole: ArrayPages | None = None
        self._path, self._member = path, member

    def _read(self, page: int, part: Part) -> Page:
        if not self._contiguous:
            return self._loaded().read(page, part, finite=False)
        shape = self._layout.shape[(self._layout.pages is not None) :]
        size = int(np.prod(shape)) * self._dtype.itemsize
        self._file.seek(self._start + page * size)
        if size > LARGE and self._layout.colours in (None, len(self._layout.shape) - 1):
            wide, pixels = is_wide(self._dtype), size // self._dtype.itemsize
            check_memory(self.name, 4 * pixels + wide * size)
            values = in_planes(
                self._blocks(shape), self._layout.sides, dtype=self._dtype if wide else np.float32
            )
            values = values[..., 0] if self._layout.colours is None else values
            return page_of(values, self.name, part=part, stored=self._dtype, alone=self.count == 1)
        data = self._file.read(size)
        if len(data) < size:
            raise ValueError("it ends before its last number")
        values = np.frombuffer(data, self._dtype).reshape(shape)
        return page_of(self._layout.arranged(values), self.name, part=part, alone=self.count == 1)

    def _blocks(self, shape: tuple[int, ...]) -> Iterator[Block]:
        """The rows of a page (rows, columns) or (rows, columns, colours), from where the file stands."""
        each = int(np.prod(shape[1:])) * self._dtype.itemsize
        for first in range(0, shape[0], ROWS):
            rows = min(ROWS, shape[0] - first)
            data = self._file.read(rows * each)
            if len(data) < rows * each:
                raise ValueError("it ends before its last number")
            yield Block(first, 0, 0, np.frombuffer(data, self._dtype).reshape(rows, shape[1], -1))

    def _loaded(self) -> ArrayPages:
        """Pages that do not lie in one piece: the array is loaded, once."""
        if self._whole is None:
            size = prod(self._layout.shape) * self._dtype.itemsize
            check_memory(self.name, size + max(size, 4 * size // self._dtype.itemsize) // self.count)
            with self._archive.open(self._member) as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
            self._whole = ArrayPages(self._path, NPZ.kind, array, self._layout)
        return self._whole


NPY = Format(
    kind="NPY",
    names=("NPY",),
    numbered=True,
    suffixes=(".npy",),
    signatures=((0, b"\x93NUMPY"),),
    open_pages=open_npy,
)

NPZ = Format(
    kind="NPZ",
    names=("NPZ",),
    suffixes=(".npz",),
    signatures=((0, b"PK\x03\x04"), (0, b"PK\x05\x06")),
    open_pages=open_npz,
    list_datasets=list_npz,
)
