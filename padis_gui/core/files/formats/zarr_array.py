"""One array of a Zarr folder (versions 2 and 3), which may be a stranger's: described once, then read by the zarr library.

What the folder says of an array is checked and told to zarr anew, as version 3: nothing that zarr would look up by a
name of the file's choice (codecs, filters, types of objects) reaches it. Chunks come through a store that follows no link
out of the folder and reads no more of a file than its chunk can have, and are unpacked into as many bytes as the array
declares, so that a few kilobytes never become gigabytes.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.formats.pages import shown
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.untrusted import read_json

VERSION_3, GROUP_2, ARRAY_2, ATTRIBUTES_2 = "zarr.json", ".zgroup", ".zarray", ".zattrs"
METADATA = (VERSION_3, GROUP_2, ARRAY_2)

_MOST_AXES = 8
_AT_ONCE = 2**28  # bytes of a chunk, unpacked; of those that are unpacked beside each other; of a page in one shard
_MOST_CHUNKS = 20_000  # that a page may lie in, and bytes that they may have
_MOST_UNPACKED = 2**33
_MOST_LISTED = 2**20  # chunks in the indices of a page's shards
_SLACK = 2**16  # by which packing may make numbers longer, and half of them besides
_TYPE_2 = re.compile(r"([<>|])([biuf])([1248])")
_TYPES_3 = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64")
_SIZES = {"b": "1", "i": "1248", "u": "1248", "f": "248"}
UNPACK = "padis_gui.unpack"  # this program's own codec
_PACKERS = ("blosc", "zstd", "gzip", "zlib", "lz4", "bz2", "lzma")


@dataclass(frozen=True, slots=True)
class Node:
    """A folder of Zarr: ``fields`` are an array's as its version has them, None for a group."""

    attributes: Mapping[str, Any]
    fields: Mapping[str, Any] | None


def is_zarr(folder: Path) -> bool:
    """Whether a folder is a group or an array of Zarr."""
    return any((folder / name).is_file() for name in METADATA)


class ZarrFolder:
    """A folder with its groups and arrays; ``name`` is what to call it in sentences."""

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.name = Path(os.path.realpath(root)), name

    def inside(self, path: str) -> Path:
        """Where something of the folder lies. Raises :class:`InputError` where a link or a name leads out of it."""
        if "\0" not in path:
            found = Path(os.path.realpath(self.root / path))
            if found.is_relative_to(self.root):
                return found
        raise InputError(
            f"Data inside of {self.name} were wanted, but {shown(path[-80:])} leads out of it; copy what it names into the "
            "folder."
        )

    def node(self, path: str = "") -> Node | None:
        """What lies at ``path`` below the folder; None where that is neither group nor array."""
        start = f"{path}/" if path else ""
        if (found := self._json(start + VERSION_3)) is not None:
            is_array = found.get("node_type") == "array"
            return Node(_mapping(found.get("attributes")), found if is_array else None)
        array = self._json(start + ARRAY_2)
        if array is None and self._json(start + GROUP_2) is None:
            return None
        return Node(_mapping(self._json(start + ATTRIBUTES_2)), array)

    def _json(self, path: str) -> Mapping[str, Any] | None:
        file = self.inside(path)
        return _mapping(read_json(file)) if file.exists() else None

    def array(self, path: str) -> "StoredArray":
        """The array at ``path``. Raises :class:`InputError` where there is none, or none that is read."""
        node = self.node(path)
        if node is None or node.fields is None:
            raise InputError(
                f"An array was wanted, but {self.name} has none at {shown(path[-80:]) or 'its top'}; get a complete copy."
            )
        return StoredArray(self, path, _described(node.fields, self))


def _mapping(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}


# -- what an array says of itself, as version 3 says it ---------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Described:
    """An array's metadata for zarr. A ``file`` has numbers of these sides, a ``chunk`` of them is read at once: the
    whole of it, or a part where it is a shard."""

    metadata: Mapping[str, Any]
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    file: tuple[int, ...]
    chunk: tuple[int, ...]


def _described(fields: Mapping[str, Any], folder: ZarrFolder) -> _Described:
    is_old = fields.get("zarr_format") == 2
    shape = _sides(fields.get("shape"), "shape", least=0)
    if is_old:
        sides, key = fields.get("chunks"), {"name": "v2", "configuration": {"separator": _separator(fields, ".")}}
        dtype = _type_2(fields.get("dtype"), folder)
        codecs = _codecs_2(fields, folder, dtype, len(shape))
    else:
        _refuse(bool(fields.get("storage_transformers")), folder, "storage transformers")
        grid, encoding = _named(fields.get("chunk_grid")), _named(fields.get("chunk_key_encoding"))
        _refuse(grid[0] != "regular", folder, f"the chunk grid {grid[0]}")
        _refuse(encoding[0] not in ("default", "v2"), folder, f"the chunk keys {encoding[0]}")
        sides = grid[1].get("chunk_shape")
        key = {
            "name": encoding[0],
            "configuration": {"separator": _separator(encoding[1], "/" if encoding[0] == "default" else ".", "separator")},
        }
        type_ = fields.get("data_type")
        _refuse(type_ not in _TYPES_3, folder, f"numbers of the type {type_}")
        dtype = np.dtype(str(type_))
        codecs = fields.get("codecs")
    file = _sides(sides, "chunk")
    _check(len(file) == len(shape), "as many sides of a chunk as of the array")
    chain = _chain(codecs, folder, file, dtype)
    shards = [codec["configuration"]["chunk_shape"] for codec in chain if codec["name"] == "sharding_indexed"]
    chunk = tuple(shards[0]) if shards else file
    if (size := prod(chunk) * dtype.itemsize) > _AT_ONCE:
        raise InputError(
            f"Chunks of at most {_AT_ONCE >> 20} MiB were wanted, but those of {folder.name} have {size / 2**20:.0f}; save "
            "it with smaller ones."
        )
    fill = fields.get("fill_value")
    metadata = {
        "zarr_format": 3, "node_type": "array", "shape": list(shape), "data_type": dtype.name, "codecs": chain,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(file)}}, "chunk_key_encoding": key,
        "fill_value": (False if dtype.kind == "b" else 0) if fill is None else fill, "attributes": {},
    }  # fmt: skip
    return _Described(metadata, dtype, shape, file, chunk)


def _most_stored(size: int) -> int:
    """The most bytes in which numbers of a size are packed."""
    return size + size // 2 + _SLACK


def _check(right: bool, wanted: str) -> None:
    if not right:
        raise ValueError(f"its metadata has not {wanted}")


def _refuse(wrong: bool, folder: ZarrFolder, what: str) -> None:
    if wrong:
        raise InputError(
            f"Zarr with plain numbers and usual codecs was wanted, but {folder.name} has {shown(what)}, which this program "
            "does not read; save it anew, with zstd or blosc."
        )


def _sides(found: Any, what: str, least: int = 1) -> tuple[int, ...]:
    right = isinstance(found, list) and 1 <= len(found) <= _MOST_AXES
    _check(right and all(type(n) is int and least <= n < 2**48 for n in found), f"a {what} of whole numbers")
    return tuple(found)


def _named(found: Any) -> tuple[str, Mapping[str, Any]]:
    """Name and configuration of an extension, which version 3 writes in one of two ways."""
    if isinstance(found, str):
        return found, {}
    found = _mapping(found)
    return str(found.get("name")), _mapping(found.get("configuration"))


def _separator(fields: Mapping[str, Any], usual: str, name: str = "dimension_separator") -> str:
    found = fields.get(name, usual)
    _check(found in (".", "/"), "a separator of chunks")
    return str(found)


def _type_2(found: Any, folder: ZarrFolder) -> np.dtype[Any]:
    match = _TYPE_2.fullmatch(found) if isinstance(found, str) else None
    if match is None or match[3] not in _SIZES[match[2]]:
        _refuse(True, folder, f"numbers of the type {found}")
    return np.dtype(str(found))


def _codecs_2(fields: Mapping[str, Any], folder: ZarrFolder, dtype: np.dtype[Any], axes: int) -> list[Any]:
    """Order, byte order and compressor of version 2 as a chain of codecs."""
    filters = fields.get("filters") or ()
    names = ", ".join(str(_mapping(one).get("id")) for one in filters) if isinstance(filters, list) else "others"
    _refuse(bool(filters), folder, f"filters ({names})")
    found: list[Any] = []
    if fields.get("order", "C") == "F":
        found.append({"name": "transpose", "configuration": {"order": list(range(axes))[::-1]}})
    found.append({"name": "bytes", "configuration": {"endian": "big" if dtype.str[0] == ">" else "little"}})
    compressor = fields.get("compressor")
    return found if compressor is None else [*found, {"name": str(_mapping(compressor).get("id"))}]


def _chain(
    codecs: Any, folder: ZarrFolder, chunk: tuple[int, ...], dtype: np.dtype[Any], *, nested: bool = False
) -> list[Any]:
    """A chain of codecs, each known and with what it needs only. Axes may be exchanged, then numbers are bytes, which may be
    packed and summed up; or a chunk is a shard of smaller ones."""
    _check(isinstance(codecs, list) and 1 <= len(codecs) <= _MOST_AXES, "a list of codecs")
    size = prod(chunk) * dtype.itemsize
    made: list[Any] = []
    as_bytes = False
    for codec in codecs:
        name, given = _named(codec)
        name = name.removeprefix("numcodecs.")
        if name == "transpose" and not as_bytes:
            order = given.get("order")
            _check(sorted(order) == list(range(len(chunk))) if isinstance(order, list) else False, "an order of axes")
            made.append({"name": "transpose", "configuration": {"order": order}})
            chunk = tuple(chunk[n] for n in order or ())
        elif name == "bytes" and not as_bytes:
            endian = given.get("endian", "little")
            _check(endian in ("little", "big"), "a byte order")
            made.append({"name": "bytes", "configuration": {"endian": endian}})
            as_bytes = True
        elif name == "sharding_indexed" and not made and not nested:
            made.append(_shard(given, folder, chunk, dtype))
            as_bytes = True
        elif name == "crc32c" and as_bytes:
            made.append({"name": "crc32c"})
        elif name in _PACKERS and as_bytes:
            made.append({"name": UNPACK, "configuration": {"packer": name, "most": _most_stored(size)}})
        else:
            _refuse(True, folder, f"the codec {name}")
    _check(as_bytes, "a codec that makes bytes")
    return made


def _shard(
    given: Mapping[str, Any], folder: ZarrFolder, chunk: tuple[int, ...], dtype: np.dtype[Any]
) -> dict[str, Any]:
    inner = _sides(given.get("chunk_shape"), "chunk")
    fits = len(inner) == len(chunk) and all(n % part == 0 for n, part in zip(chunk, inner, strict=True))
    _check(fits and prod(chunk) // prod(inner) <= _MOST_LISTED, "shards of a whole number of chunks, not too many")
    index = given.get("index_codecs")
    names = [_named(codec)[0] for codec in index] if isinstance(index, list) else []
    _check(names in (["bytes"], ["bytes", "crc32c"]), "an index of plain numbers")
    location = given.get("index_location", "end")
    _check(location in ("start", "end"), "the place of an index")
    return {
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": list(inner), "codecs": _chain(given.get("codecs"), folder, inner, dtype, nested=True),
            "index_codecs": _chain(index, folder, (16,), np.dtype(np.uint8)), "index_location": location,
        },
    }  # fmt: skip


# -- reading ----------------------------------------------------------------------------------------------


class StoredArray:
    """An array of a folder: its shape and type are known, its numbers are read when they are asked for.

    ``missing`` counts which of the chunks that were read last are not stored: their numbers are the array's fill value.
    """

    def __init__(self, folder: ZarrFolder, path: str, described: _Described) -> None:
        self.shape, self.dtype = described.shape, described.dtype
        self.missing = 0
        self._folder, self._path, self._described = folder, path, described
        self._opened: tuple[Any, Any] | None = None

    def __getitem__(self, index: tuple[int | slice, ...], /) -> NDArray[Any]:
        """The numbers there. Raises :class:`InputError` before anything is read where they lie in too many chunks."""
        beside = self._check_work(index)
        from padis_gui.core.files.formats.zarr_chunks import Chunks, open_array, unpacking

        if self._opened is None:
            described, size = self._described, self.dtype.itemsize
            store = Chunks(
                self._folder, self._path, json.dumps(described.metadata).encode(),
                whole=_most_stored(min(prod(described.file) * size, _AT_ONCE)), part=_most_stored(prod(described.chunk) * size),
            )  # fmt: skip
            self._opened = store, open_array(store)
        store, array = self._opened
        store.missing = 0
        with unpacking(beside):
            found = np.asarray(array[index])
        self.missing = store.missing
        return found

    def _check_work(self, index: tuple[int | slice, ...]) -> int:
        """How many files can be read beside each other for this."""
        described, size = self._described, self.dtype.itemsize
        files, chunks, in_file = 1, 1, 1
        for wanted, side, file, chunk in zip(index, self.shape, described.file, described.chunk, strict=True):
            if isinstance(wanted, slice):
                first, end, _ = wanted.indices(side)
                files *= _touched(first, end, file)
                chunks *= _touched(first, end, chunk)
                in_file *= min(file // chunk, _touched(first, end, chunk))
        listed = files * (prod(described.file) // prod(described.chunk))
        unpacked, at_once = chunks * prod(described.chunk) * size, in_file * prod(described.chunk) * size
        if chunks > _MOST_CHUNKS or unpacked > _MOST_UNPACKED or at_once > _AT_ONCE or listed > _MOST_LISTED:
            raise InputError(
                f"A page in at most {_MOST_CHUNKS} chunks, of {_MOST_UNPACKED >> 30} GiB in all and {_AT_ONCE >> 20} MiB a "
                f"shard, was wanted, but one of {self._folder.name} lies in {chunks} of {unpacked / 2**30:.3g} GiB; save it "
                "with chunks of the size of a page."
            )
        return max(1, min(8, _AT_ONCE // max(1, at_once)))


def _touched(first: int, end: int, side: int) -> int:
    return max(0, -(-end // side) - first // side)
