"""Tensors in a pickle: torch's older byte stream for storages, read without torch's unpickler.

The stream (torch.save with ``_use_new_zipfile_serialization=False``) is five pickles, a magic number, the protocol
1001, facts about the machine, the object, the keys of its storages, and then for each storage a 64-bit count of
elements and the raw little-endian numbers. In a snapshot the object is always one storage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from padis_gui.core import Tensor, torch
from padis_gui.core.prior.inert_pickle import Budget, Interpreter, Known, UnreadablePickle

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_MOST_DIMENSIONS = 8

_DTYPES = {
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
}
# Only named in the stream: neither called nor made.
_STORAGE_TYPES = {("torch", name): Known(f"torch.{name}") for name in _DTYPES}


@dataclass(frozen=True, slots=True, eq=False)
class StorageRecord:
    """A run of numbers in the file: ``data`` is a view of the file's bytes, ``count`` numbers of ``dtype``."""

    dtype: torch.dtype
    count: int
    data: memoryview


@dataclass(frozen=True, slots=True, eq=False)
class TensorRecord:
    """A tensor as the file describes it, proven to lie inside its storage; no memory is spent on it yet."""

    storage: StorageRecord
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many numbers the tensor holds, 1 for a scalar."""
        return math.prod(self.shape)

    def copy(self, budget: Budget) -> Tensor:
        """A tensor of its own, with nothing of the file behind it."""
        if not self.count:
            return torch.zeros(self.shape, dtype=self.storage.dtype)
        size = self.storage.dtype.itemsize
        end = self.offset + 1 + sum((n - 1) * s for n, s in zip(self.shape, self.stride, strict=True))
        budget.spend((end - self.offset) * size)
        part = bytearray(self.storage.data[self.offset * size : end * size])
        flat = torch.frombuffer(part, dtype=self.storage.dtype)
        return flat.as_strided(self.shape, self.stride).contiguous()


def read_storage(data: memoryview, budget: Budget) -> StorageRecord:
    """The one storage in torch's older byte stream. Raises :class:`UnreadablePickle`."""
    declared: list[tuple[StorageRecord, str]] = []

    def persistent(identity: Any) -> StorageRecord:
        match identity:
            case ("storage", Known() as kind, str() as key, str(), int() as count, None) if count >= 0:
                dtype = getattr(torch, _DTYPES[kind.name.removeprefix("torch.")])
                declared.append((StorageRecord(dtype, count, memoryview(b"")), key))
                return declared[-1][0]
        raise UnreadablePickle("has a storage that is described in an unknown way")

    stream = Interpreter(data, _STORAGE_TYPES, budget, persistent)
    if stream.read() != _MAGIC or stream.read() != _PROTOCOL:
        raise UnreadablePickle("holds tensors in an unknown format")
    machine = stream.read()
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise UnreadablePickle("holds tensors that were not written on a little-endian machine")
    found = stream.read()
    if len(declared) != 1 or found is not declared[0][0]:
        raise UnreadablePickle("holds something other than a storage where a tensor's numbers belong")
    record, key = declared[0]
    keys = stream.read()
    if type(keys) is not list or len(keys) != 1 or type(keys[0]) is not str or keys[0] != key:
        raise UnreadablePickle("has a storage whose key is damaged")
    if stream.number("<q") != record.count:
        raise UnreadablePickle("has a storage whose length is damaged")
    rest = data[stream.position :]
    if len(rest) != record.count * record.dtype.itemsize:
        raise UnreadablePickle("has a storage that is cut short or damaged")
    return StorageRecord(record.dtype, record.count, rest)


def _sizes(value: Any, lowest: int) -> tuple[int, ...]:
    if type(value) is not tuple or len(value) > _MOST_DIMENSIONS:
        raise UnreadablePickle("has a tensor of an impossible shape")
    if not all(type(n) is int and lowest <= n < 2**48 for n in value):
        raise UnreadablePickle("has a tensor of an impossible shape")
    return value


def rebuild_tensor(arguments: tuple[Any, ...]) -> TensorRecord:
    """The arguments of ``torch._utils._rebuild_tensor_v2``, checked: storage, offset, shape, stride, ..."""
    if not 6 <= len(arguments) <= 7 or not isinstance(arguments[0], StorageRecord):
        raise UnreadablePickle("has a tensor that is described in an unknown way")
    storage, offset = arguments[0], arguments[1]
    shape, stride = _sizes(arguments[2], 0), _sizes(arguments[3], 0)
    if type(offset) is not int or offset < 0 or len(shape) != len(stride):
        raise UnreadablePickle("has a tensor of an impossible shape")
    count = math.prod(shape)
    last = offset + sum((n - 1) * s for n, s in zip(shape, stride, strict=True))
    if count > storage.count or (count and last >= storage.count):
        raise UnreadablePickle("has a tensor that reaches beyond its storage")
    return TensorRecord(storage, offset, shape, stride)


def rebuild_parameter(arguments: tuple[Any, ...]) -> TensorRecord:
    """The arguments of ``torch._utils._rebuild_parameter``: the tensor itself is all that we keep."""
    if len(arguments) != 3 or not isinstance(arguments[0], TensorRecord):
        raise UnreadablePickle("has a parameter that is no tensor")
    return arguments[0]
