"""Tensors of a safetensors file, read into memory of their own.

The library's ``safe_open`` maps the file, and touching the map where another program has cut it ends the process (SIGBUS).
The format is a length in eight bytes, so much JSON, and the numbers (https://huggingface.co/docs/safetensors).
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from padis_gui.core import Tensor, torch
from padis_gui.core.settings.untrusted import parse_json

_TYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_FLOATING = ("F64", "F32", "F16", "BF16")


class Described(NamedTuple):
    """A tensor of the file: its type as the format calls it, its shape, and its bytes from the first number on."""

    kind: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def is_floating(self) -> bool:
        """Whether its numbers are real."""
        return self.kind in _FLOATING


class TensorFile:
    """An open file: ``metadata``, and what its ``tensors`` are by their names; use it as a context manager.

    Raises :class:`ValueError` for what is not such a file, is cut short or larger than its tensors, and :class:`OSError`
    where it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("rb")
        try:
            self.metadata, self.tensors = self._described()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> TensorFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _described(self) -> tuple[dict[str, str], dict[str, Described]]:
        size = os.fstat(self._file.fileno()).st_size
        length = int.from_bytes(self._file.read(8), "little")
        self._start = 8 + length
        if self._start > size:
            raise ValueError("its header is cut short")
        header = parse_json(self._file.read(length))
        if not isinstance(header, dict):
            raise ValueError("its header describes no tensors")
        metadata = header.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError("its metadata are no texts")
        tensors = {name: _one(said) for name, said in header.items()}
        at = 0
        for one in sorted(tensors.values(), key=lambda one: (one.begin, one.end)):
            if one.begin != at:
                raise ValueError("its tensors overlap, or leave gaps")
            at = one.end
        if self._start + at != size:
            raise ValueError("it is cut short, or longer than its tensors")
        return metadata, tensors

    def read(self, name: str) -> Tensor:
        """One of the tensors, on the CPU. Raises :class:`ValueError` where the file has been cut since."""
        said = self.tensors[name]
        found = torch.empty(said.shape, dtype=getattr(torch, _TYPES[said.kind]))
        if found.numel():
            room = found.view(-1).view(torch.uint8).numpy().data
            self._file.seek(self._start + said.begin)
            if self._file.readinto(room) != len(room):  # type: ignore[attr-defined]
                raise ValueError("it is cut short")
        return found


def _one(said: Any) -> Described:
    try:
        kind, shape, (begin, end) = said["dtype"], tuple(said["shape"]), said["data_offsets"]
    except (KeyError, TypeError, ValueError):
        raise ValueError("its header describes a tensor badly") from None
    if not all(type(n) is int and n >= 0 for n in (*shape, begin, end)):
        raise ValueError("a tensor has sizes that cannot be")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise ValueError("a tensor's numbers are of a type that is not read")
    if math.prod(shape) * _BYTES[kind] != end - begin:
        raise ValueError("a tensor's shape does not fit its bytes")
    return Described(kind, shape, begin, end)
