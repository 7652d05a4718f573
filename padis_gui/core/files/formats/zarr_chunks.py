"""What zarr reads of a stranger's array through: a store that gives its chunks, and a codec that unpacks them. Loaded late.

Both are bounded: a file is read as far as its chunk can have bytes, and unpacked into as many as the array declares.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import imagecodecs
import zarr
from zarr.abc.codec import BytesBytesCodec
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.registry import register_codec

from padis_gui.core.files.formats.zarr_array import UNPACK, VERSION_3, ZarrFolder
from padis_gui.core.settings.untrusted import check_ordinary

_CUT = "a chunk ends before its last number"
_TOO_LONG = "a chunk has more bytes than it can have"


def open_array(store: "Chunks") -> Any:
    """The array of a store, which reads numbers as they are asked for."""
    return zarr.open_array(store=store, mode="r", zarr_format=3)


def unpacking(beside: int) -> AbstractContextManager[Any]:
    """A block in which so many files at a time are read and unpacked."""
    return zarr.config.set({"async.concurrency": beside})


def unpacked(packer: str, data: bytes, most: int) -> Any:
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
class Unpack(BytesBytesCodec):
    """Any packer of :func:`unpacked`, of chunks that have at most so many bytes."""

    packer: str
    most: int
    is_fixed_size = False

    @classmethod
    def from_dict(cls, data: Any) -> "Unpack":
        """The codec of a chain."""
        return cls(**data["configuration"])

    def to_dict(self) -> Any:
        """As a chain has it."""
        return {"name": UNPACK, "configuration": {"packer": self.packer, "most": self.most}}

    def compute_encoded_size(self, _length: int, _spec: Any) -> int:
        """Not known."""
        raise NotImplementedError

    async def _decode_single(self, chunk: Any, spec: Any) -> Any:
        if len(chunk) > self.most:
            raise ValueError(_TOO_LONG)
        found = await asyncio.to_thread(unpacked, self.packer, chunk.to_bytes(), self.most)
        return spec.prototype.buffer.from_bytes(found)

    async def _encode_single(self, _chunk: Any, _spec: Any) -> Any:
        raise NotImplementedError


register_codec(UNPACK, Unpack)


class Chunks(Store):
    """The chunks of one array, and its metadata as this program says them; nothing can be written or listed.

    Of a file at most ``whole`` bytes are read, or ``part`` where it is a shard of which a chunk is wanted. ``missing``
    counts the chunks that were asked for and are not there.
    """

    supports_writes = supports_deletes = supports_listing = False

    def __init__(self, folder: ZarrFolder, path: str, metadata: bytes, *, whole: int, part: int) -> None:
        super().__init__(read_only=True)
        self._folder, self._path, self._metadata, self._whole, self._part = folder, path, metadata, whole, part
        self.missing = 0

    def __eq__(self, other: object) -> bool:
        return self is other

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """The bytes of a file, or a part of them; None where there is none."""
        if key == VERSION_3:
            return prototype.buffer.from_bytes(self._metadata)
        found = await asyncio.to_thread(self._read, key, byte_range)
        return None if found is None else prototype.buffer.from_bytes(found)

    def _read(self, key: str, byte_range: Any) -> bytes | None:
        file = self._folder.inside(f"{self._path}/{key}" if self._path else key)
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
            return opened.read(end - start)

    async def get_partial_values(self, prototype: Any, key_ranges: Any) -> list[Any]:
        """Parts of files, one after the other."""
        return [await self.get(key, prototype, wanted) for key, wanted in key_ranges]

    async def exists(self, key: str) -> bool:
        """Only the metadata: chunks are asked for."""
        return key == VERSION_3

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
