"""Tensors are read as the library that wrote them reads them; a file that is cut or lies is an error, never a signal."""

import json
import os
import struct
from pathlib import Path

import pytest
import safetensors.torch
import torch

from padis_gui.core.settings.tensors import TensorFile

TENSORS = {
    "a": torch.arange(24.0).reshape(2, 3, 4),
    "half": torch.arange(5).half(),
    "brain": torch.arange(5).bfloat16(),
    "double": torch.tensor(3.5, dtype=torch.float64),
    "none": torch.zeros(0, 3),
    "whole": torch.arange(-3, 3),
    "bytes": torch.arange(9, dtype=torch.uint8),
    "truth": torch.tensor([True, False]),
}


def written(path: Path) -> Path:
    path.write_bytes(safetensors.torch.save(TENSORS, {"said": "ä"}))
    return path


def test_what_the_library_writes_is_read(tmp_path: Path) -> None:
    with TensorFile(written(tmp_path / "a")) as file:
        assert file.metadata == {"said": "ä"}
        assert set(file.tensors) == set(TENSORS)
        for name, expected in TENSORS.items():
            found = file.read(name)
            assert found.dtype == expected.dtype
            assert torch.equal(found, expected)
            assert file.tensors[name].is_floating == expected.is_floating_point()


def test_a_file_cut_while_it_is_open_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(safetensors.torch.save({"a": torch.ones(1 << 20)}))
    with TensorFile(path) as file:
        kept = file.read("a")
        os.truncate(path, 1 << 16)
        assert kept.sum() == 1 << 20
        with pytest.raises(ValueError, match="cut short"):
            file.read("a")


@pytest.mark.parametrize("length", [0, 7, 8, 40, -1])
def test_what_is_cut_short_is_refused(tmp_path: Path, length: int) -> None:
    path = written(tmp_path / "a")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match="cut short"):
        TensorFile(path)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 12]}, "does not fit"),
        ({"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 16]}, "does not fit"),
        ({"dtype": "F32", "shape": [-2, -2], "data_offsets": [0, 16]}, "cannot be"),
        ({"dtype": "F32", "shape": [4], "data_offsets": [-16, 0]}, "cannot be"),
        ({"dtype": "F32", "shape": [True, 4], "data_offsets": [0, 16]}, "cannot be"),
        ({"dtype": "F32", "shape": [4.0], "data_offsets": [0, 16]}, "cannot be"),
        ({"dtype": "C64", "shape": [2], "data_offsets": [0, 16]}, "type that is not read"),
        ({"dtype": ["F32"], "shape": [4], "data_offsets": [0, 16]}, "type that is not read"),
        ({"dtype": "F32", "shape": 4, "data_offsets": [0, 16]}, "badly"),
        ({"dtype": "F32", "shape": [4], "data_offsets": [0, 8, 16]}, "badly"),
        ({"dtype": "F32", "shape": [3], "data_offsets": [4, 16]}, "gaps"),
        ({"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}, "longer than its tensors"),
        ([], "badly"),
    ],
)
def test_what_a_header_says_is_not_believed(tmp_path: Path, said: object, why: str) -> None:
    header = json.dumps({"a": said}).encode()
    path = tmp_path / "a"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    with pytest.raises(ValueError, match=why):
        TensorFile(path)
