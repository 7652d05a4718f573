"""One array of Zarr (versions 2 and 3), maybe a stranger's: described once, then read by the zarr library. Loaded late.

What the folder says of an array is checked and told to zarr anew, as version 3: nothing that zarr would look up by a
name of the file's choice (codecs, filters, types of objects) reaches it. Chunks come through a store that follows no link
out of the folder and reads no more of a file than its chunk can have, and are unpacked into as many bytes as the array
declares, so that a few kilobytes never become gigabytes.
"""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.abc.codec import BytesBytesCodec
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.registry import register_codec

from padis_gui.core.files.formats.pages import shown
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.untrusted import check_ordinary

_MOST_AXES = 8
# bytes of a chunk, unpacked; of those that are unpacked beside each other; of a page in one shard
_AT_ONCE = 2**28
_MOST_CHUNKS = 20_000  # that a page may lie in, and bytes that they may have
_MOST_UNPACKED = 2**33
_MOST_LISTED = 2**20  # chunks in the indices of a page's shards
_SLACK = 2**16  # by which packing may make numbers longer, and half of them besides
_TYPE_2 = re.compile(r"([<>|])([biuf])([1248])")
_SIZES = {"b": "1", "i": "1248", "u": "1248", "f": "248"}
_TYPES_3 = {"bool", *(np.dtype(f"{kind}{size}").name for kind in "iuf" for size in _SIZES[kind])}
_UNPACK = "padis_gui.unpack"  # this program's own codec
_METADATA = "zarr.json"
_CUT, _TOO_LONG = "a chunk ends before its last number", "a chunk has more bytes than it can have"
_PACKERS = ("blosc", "zstd", "gzip", "zlib", "lz4", "bz2", "lzma")


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


def _described(fields: Mapping[str, Any], name: str) -> _Described:
    is_old = fields.get("zarr_format") == 2
    shape = _sides(fields.get("shape"), "shape", least=0)
    if is_old:
        sides, key = (
            fields.get("chunks"),
            {"name": "v2", "configuration": {"separator": _separator(fields, ".")}},
        )
        dtype = _type_2(fields.get("dtype"), name)
        codecs = _codecs_2(fields, name, dtype, len(shape))
    else:
        _refuse(bool(fields.get("storage_transformers")), name, "storage transformers")
        grid, encoding = _named(fields.get("chunk_grid")), _named(fields.get("chunk_key_encoding"))
        _refuse(grid[0] != "regular", name, f"the chunk grid {grid[0]}")
        _refuse(encoding[0] not in ("default", "v2"), name, f"the chunk keys {encoding[0]}")
        sides = grid[1].get("chunk_shape")
        key = {
            "name": encoding[0],
            "configuration": {
                "separator": _separator(encoding[1], "/" if encoding[0] == "default" else ".", "separator")
            },
        }
        type_ = str(fields.get("data_type"))
        _refuse(type_ not in _TYPES_3, name, f"numbers of the type {type_}")
        dtype = np.dtype(type_)
        codecs = listed if isinstance(listed := fields.get("codecs"), list) else []
    file = _sides(sides, "chunk")
    _check(len(file) == len(shape), "as many sides of a chunk as of the array")
    chain = _chain(codecs, name, file, dtype)
    shards = [codec["configuration"]["chunk_shape"] for codec in chain if codec["name"] == "sharding_indexed"]
    chunk = tuple(shards[0]) if shards else file
    if (size := prod(chunk) * dtype.itemsize) > _AT_ONCE:
        raise InputError(
            f"Chunks of at most {_AT_ONCE >> 20} MiB were wanted, but those of {name} have {size / 2**20:.0f}; save "
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


def _refuse(wrong: bool, name: str, what: str) -> None:
    if wrong:
        raise InputError(
            f"Zarr with plain numbers and usual codecs was wanted, but {name} has {shown(what)}, which this program "
            "does not read; save it anew, with zstd or blosc."
        )


def _mapping(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}


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


def _type_2(found: Any, name: str) -> np.dtype[Any]:
    match = _TYPE_2.fullmatch(found) if isinstance(found, str) else None
    if match is None or match[3] not in _SIZES[match[2]]:
        _refuse(True, name, f"numbers of the type {found}")
    return np.dtype(str(found))


def _codecs_2(fields: Mapping[str, Any], name: str, dtype: np.dtype[Any], axes: int) -> list[Any]:
    """Order, byte order and compressor of version 2 as a chain of codecs."""
    filters = fields.get("filters") or ()
    names = (
        ", ".join(str(_mapping(one).get("id")) for one in filters) if isinstance(filters, list) else "others"
    )
    _refuse(bool(filters), name, f"filters ({names})")
    found: list[Any] = []
    if fields.get("order", "C") == "F":
        found.append({"name": "transpose", "configuration": {"order": list(range(axes))[::-1]}})
    found.append({"name": "bytes", "configuration": {"endian": "big" if dtype.str[0] == ">" else "little"}})
    compressor = fields.get("compressor")
    return found if compressor is None else [*found, {"name": str(_mapping(compressor).get("id"))}]


def _chain(
    codecs: Any, name: str, chunk: tuple[int, ...], dtype: np.dtype[Any], *, nested: bool = False
) -> list[Any]:
    """A chain of codecs, each known and with what it needs only. Axes may be exchanged, then
    numbers are bytes, which may be packed and summed up; or a chunk is a shard of smaller ones."""
    _check(isinstance(codecs, list) and 1 <= len(codecs) <= _MOST_AXES, "a list of codecs")
    size = prod(chunk) * dtype.itemsize
    made: list[Any] = []
    as_bytes = False
    for codec in codecs:
        name, given = _named(codec)
        name = name.removeprefix("numcodecs.")
        if name == "transpose" and not as_bytes:
            order = given.get("order")
            _check(
                sorted(order) == list(range(len(chunk))) if isinstance(order, list) else False,
                "an order of axes",
            )
            made.append({"name": "transpose", "configuration": {"order": order}})
            chunk = tuple(chunk[n] for n in order or ())
        elif name == "bytes" and not as_bytes:
            endian = given.get("endian", "little")
            _check(endian in ("little", "big"), "a byte order")
            made.append({"name": "bytes", "configuration": {"endian": endian}})
            as_bytes = True
        elif name == "sharding_indexed" and not made and not nested:
            made.append(_shard(given, name, chunk, dtype))
            as_bytes = True
        elif name == "crc32c" and as_bytes:
            made.append({"name": "crc32c"})
        elif name in _PACKERS and as_bytes:
            made.append({"name": _UNPACK, "configuration": {"packer": name, "most": _most_stored(size)}})
        else:
            _refuse(True, name, f"the codec {name}")
    _check(as_bytes, "a codec that makes bytes")
    return made


def _shard(
    given: Mapping[str, Any], name: str, chunk: tuple[int, ...], dtype: np.dtype[Any]
) -> dict[str, Any]:
    inner = _sides(given.get("chunk_shape"), "chunk")
    fits = len(inner) == len(chunk) and all(n % part == 0 for n, part in zip(chunk, inner, strict=True))
    _check(
        fits and prod(chunk) // prod(inner) <= _MOST_LISTED,
        "shards of a whole number of chunks, not too many",
    )
    index = given.get("index_codecs")
    names = [_named(codec)[0] for codec in index] if isinstance(index, list) else []
    _check(names in (["bytes"], ["bytes", "crc32c"]), "an index of plain numbers")
    location = given.get("index_location", "end")
    _check(location in ("start", "end"), "the place of an index")
    return {
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": list(inner), "codecs": _chain(given.get("codecs"), name, inner, dtype, nested=True),
            "index_codecs": _chain(index, name, (16,), np.dtype(np.uint8)), "index_location": location,
        },
    }  # fmt: skip


# -- reading ----------------------------------------------------------------------------------------------


def _unpacked(packer: str, data: bytes, most: int) -> Any:
    """Bytes as they were before they were packed. Raises some exception where they would be more than ``most``."""
    if packer == "blosc":
        # its decoder goes by the sizes in the data, whatever it is given
        if len(data) < 16 or int.from_bytes(data[12:16], "little") != len(data):
            raise ValueError(_CUT)
        if int.from_bytes(data[4:8], "little") > most:
            raise ValueError(_TOO_LONG)
    more = {"header": True} if packer == "lz4" else {}
    return getattr(imagecodecs, f"{packer}_decode")(data, out=most, **more)


@dataclass(frozen=True)
class _Unpack(BytesBytesCodec):
    """Any packer of :func:`_unpacked`, of chunks that have at most so many bytes."""

    packer: str
    most: int
    is_fixed_size = False

    @classmethod
    def from_dict(cls, data: Any) -> "_Unpack":
        """The codec of a chain."""
        return cls(**data["configuration"])

    def to_dict(self) -> Any:
        """As a chain has it."""
        return {"name": _UNPACK, "configuration": {"packer": self.packer, "most": self.most}}

    def compute_encoded_size(self, _length: int, _spec: Any) -> int:
        """Not known."""
        raise NotImplementedError

    async def _decode_single(self, chunk: Any, spec: Any) -> Any:
        if len(chunk) > self.most:
            raise ValueError(_TOO_LONG)
        found = await asyncio.to_thread(_unpacked, self.packer, chunk.to_bytes(), self.most)
        return spec.prototype.buffer.from_bytes(found)

    async def _encode_single(self, _chunk: Any, _spec: Any) -> Any:
        raise NotImplementedError


register_codec(_UNPACK, _Unpack)


class _Chunks(Store):
    """The chunks of one array, and its metadata as this program says them; nothing can be written or listed.

    Of a file at most ``whole`` bytes are read, or ``part`` where it is a shard of which a chunk is wanted. ``missing``
    counts the chunks that were asked for and are not there.
    """

    supports_writes = supports_deletes = supports_listing = False

    def __init__(self, file_of: Callable[[str], Path], metadata: bytes, *, whole: int, part: int) -> None:
        super().__init__(read_only=True)
        self._file_of, self._metadata, self._whole, self._part = file_of, metadata, whole, part
        self.missing = 0

    def __eq__(self, other: object) -> bool:
        return self is other

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """The bytes of a file, or a part of them; None where there is none."""
        if key == _METADATA:
            return prototype.buffer.from_bytes(self._metadata)
        found = await asyncio.to_thread(self._read, key, byte_range)
        return None if found is None else prototype.buffer.from_bytes(found)

    def _read(self, key: str, byte_range: Any) -> bytes | None:
        file = self._file_of(key)
        try:
            check_ordinary(file)
        except FileNotFoundError:
            self.missing += 1
            return None
        with file.open("rb") as opened:
            size = opened.seek(0, os.SEEK_END)
            start, end = 0, size
            if isinstance(byte_range, RangeByteRequest):
                start, end = byte_range.start, min(size, byte_range.end)
            elif isinstance(byte_range, OffsetByteRequest):
                start = byte_range.offset
            elif isinstance(byte_range, SuffixByteRequest):
                start = max(0, size - byte_range.suffix)
            if not 0 <= start <= end:
                raise ValueError(_CUT)
            if end - start > (self._part if isinstance(byte_range, RangeByteRequest) else self._whole):
                raise ValueError(_TOO_LONG)
            opened.seek(start)
            found: bytes = opened.read(end - start)
            return found

    async def get_partial_values(self, prototype: Any, key_ranges: Any) -> list[Any]:
        """Parts of files, one after the other."""
        return [await self.get(key, prototype, wanted) for key, wanted in key_ranges]

    async def exists(self, key: str) -> bool:
        """Only the metadata: chunks are asked for."""
        return key == _METADATA

    async def set(self, key: str, value: Any) -> None:
        """Nothing is written."""
        raise NotImplementedError

    async def delete(self, key: str) -> None:
        """Nothing is deleted."""
        raise NotImplementedError

    async def list(self) -> AsyncIterator[str]:
        """Nothing is listed."""
        return
        yield

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Nothing is listed."""
        return
        yield

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Nothing is listed."""
        return
        yield


class StoredArray:
    """An array: its shape and type are known, its numbers are read when they are asked for.

    ``fields`` are its metadata, ``name`` is what to call it in sentences, and ``file_of`` gives the file of a chunk.
    ``missing`` counts which of the chunks that were read last are not stored: their numbers are the array's fill value.
    """

    def __init__(self, fields: Mapping[str, Any], name: str, file_of: Callable[[str], Path]) -> None:
        described = _described(fields, name)
        self.shape, self.dtype = described.shape, described.dtype
        self.missing = 0
        self._name, self._file_of, self._described = name, file_of, described
        self._opened: tuple[Any, Any] | None = None

    def __getitem__(self, index: tuple[int | slice, ...], /) -> NDArray[Any]:
        """The numbers there. Raises :class:`InputError` before anything is read where they lie in too many chunks."""
        beside = self._check_work(index)
        if self._opened is None:
            described, size = self._described, self.dtype.itemsize
            whole = _most_stored(min(prod(described.file) * size, _AT_ONCE))
            part = _most_stored(prod(described.chunk) * size)
            store = _Chunks(self._file_of, json.dumps(described.metadata).encode(), whole=whole, part=part)
            self._opened = store, zarr.open_array(store=store, mode="r", zarr_format=3)
        store, array = self._opened
        store.missing = 0
        with zarr.config.set({"async.concurrency": beside}):
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
                f"shard, was wanted, but one of {self._name} lies in {chunks} of {unpacked / 2**30:.3g} GiB; save "
                "it with chunks of the size of a page."
            )
        return max(1, min(8, _AT_ONCE // max(1, at_once)))


def _touched(first: int, end: int, side: int) -> int:
    return max(0, -(-end // side) - first // side)
