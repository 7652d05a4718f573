"""Published snapshots: what a well-made one gives, whatever pickle protocol wrote it."""

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from padis_gui.core.prior.checkpoint import load_prior, read_prior, read_record, save_prior, summarise_prior
from padis_gui.core.prior.edm_snapshot import read_snapshot
from padis_gui.core.prior.prior import PatchPrior, denoise_patches
from padis_gui.core.settings.errors import CheckpointError
from tests.snapshots import (
    ARGUMENTS,
    NCSN,
    SOURCE,
    dump,
    random_network,
    random_snapshot,
    snapshot_content,
)

CPU = torch.device("cpu")


def write(path: Path, content: Any, protocol: int = 4) -> Path:
    path.write_bytes(dump(content, protocol))
    return path


def refused(path: Path, size: int | None = None) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_prior(path, CPU, "float32", size)
    message = str(caught.value)
    assert "\n" not in message
    assert 20 < len(message) < 500
    assert message.endswith(".")
    return message


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_gives_the_same_tensors(tmp_path: Path, protocol: int) -> None:
    path = write(tmp_path / "network-snapshot-000100.pkl", random_snapshot(), protocol)
    record, state = read_prior(path)
    expected = random_network(ARGUMENTS).state_dict()
    assert set(state) == set(expected)
    for name, tensor in expected.items():
        assert torch.equal(state[name], tensor)
    assert record.name == "network-snapshot-000100"
    assert record.training["class"] == "Patch_EDMPrecond"
    assert record.training["module_source_sha256"] == [hashlib.sha256(SOURCE.encode()).hexdigest()]


@pytest.mark.parametrize(
    "changes", [NCSN, {"augment_dim": 9}, {"out_channels": 3, "img_channels": 5, "sigma_data": 0.4}], ids=str
)
def test_network_kinds(tmp_path: Path, changes: dict[str, Any]) -> None:
    prior = load_prior(write(tmp_path / "s.pkl", random_snapshot(changes)), CPU, "float32")
    network = random_network(ARGUMENTS | changes)
    colour = "out_channels" in changes
    x = torch.randn(1, 5 if colour else 3, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(prior.network(x, torch.zeros(1)), network(x, torch.zeros(1)))
    conventions = prior.conventions
    assert prior.channels == (3 if colour else 1)
    assert (conventions.window, conventions.unit) == (((0, 1), "") if colour else ((-1000, 1000), "HU"))
    assert conventions.sigma_data == changes.get("sigma_data", 0.5)


@pytest.mark.parametrize("name", ["edm_tiny", "edm_tinyaug"])
def test_snapshot_and_its_conversion_give_the_reference_outputs(
    shared: Path, tmp_path: Path, name: str
) -> None:
    folder = shared / "reference"
    arguments = json.loads((folder / f"{name}.json").read_text()) | {"sigma_max": float("inf")}
    state = safetensors.torch.load_file(folder / f"{name}.safetensors")
    path = write(tmp_path / "s.pkl", snapshot_content(arguments, state))
    record, found = read_prior(path)
    save_prior(tmp_path / "native.safetensors", record, found, half=False)
    assert read_record(tmp_path / "native.safetensors") == record
    vectors = {key: torch.from_numpy(value) for key, value in np.load(folder / f"{name}_io.npz").items()}

    def outputs(prior: PatchPrior) -> torch.Tensor:
        x, sigma, positions = vectors["x"], vectors["sigma"], vectors["pos"]
        with torch.no_grad():
            return denoise_patches(
                prior.network, x, sigma, positions, prior.conventions.sigma_data, "float32"
            )

    snapshot = load_prior(path, CPU, "float32")
    native = load_prior(tmp_path / "native.safetensors", CPU, "float32")
    torch.testing.assert_close(outputs(snapshot), vectors["output"], rtol=0, atol=1e-5)
    assert torch.equal(outputs(snapshot), outputs(native))
    assert snapshot.conventions.patch_sizes == ((16, 32, 64) if name == "edm_tinyaug" else (16, 32, 56))
    position = snapshot.conventions.frame.position(torch.arange(-24, 32.0), 256)
    row = 2 * torch.arange(56.0) / (arguments["img_resolution"] - 1) - 1
    pad = snapshot.conventions.pad
    torch.testing.assert_close(position[: 56 - pad + 24] if pad == 24 else position, (
        row if pad == 24 else 2 * (torch.arange(56.0) + pad - 24) / (arguments["img_resolution"] - 1) - 1
    ))  # fmt: skip


def test_half_precision_and_shared_views(tmp_path: Path) -> None:
    state = random_network(ARGUMENTS).state_dict()
    halves = {name: tensor.half() for name, tensor in state.items()}
    name = "model.map_layer1.weight"
    halves[name] = halves[name].T.contiguous().T  # a tensor whose strides are not in order
    record, found = read_prior(write(tmp_path / "s.pkl", snapshot_content(ARGUMENTS, halves)))
    assert torch.equal(found[name], halves[name].float())
    assert found[name].is_contiguous()
    assert record.network.image_channels == 1


@pytest.mark.parametrize(
    ("padded", "resolution", "asked", "size", "pad", "patches", "assumed"),
    [
        (304, None, None, 256, 24, (16, 32, 56), True),
        (384, None, None, 256, 64, (16, 32, 64), True),
        (304, 256, None, 256, 24, (16, 32, 56), False),
        (304, 304, None, 256, 24, (16, 32, 56), True),
        (572, 512, None, 512, 30, (16, 32, 56), False),
        (304, 256, 280, 280, 12, (16, 32, 56), False),
        (40, None, 32, 32, 4, (16, 32), False),
    ],
)
def test_conventions(
    tmp_path: Path, padded: int, resolution: int | None, asked: int | None, size: int, pad: int,
    patches: tuple[int, ...], assumed: bool,
) -> None:  # fmt: skip
    path = write(
        tmp_path / "s.pkl",
        random_snapshot({"img_resolution": padded}, resolution=resolution),
    )
    record = read_record(path, asked)
    found = record.conventions
    assert (found.image_size, found.pad, found.patch_sizes) == (size, pad, patches)
    assert ("image size" in record.training["assumed"]) is assumed
    assert "window" in record.training["assumed"]
    assert load_prior(path, CPU, "float32", asked).conventions == found


def test_patch_sizes_are_those_that_the_network_can_take(tmp_path: Path) -> None:
    path = write(tmp_path / "s.pkl", random_snapshot({"channel_mult": [1, 1, 1, 1, 1]}))
    assert read_record(path).conventions.patch_sizes == (16, 32)
    path = write(
        tmp_path / "t.pkl", random_snapshot({"channel_mult": [1] * 6, "img_resolution": 32, "num_blocks": 1})
    )
    assert read_record(path, 32).conventions.patch_sizes == (32,)


def test_image_sizes_that_cannot_be(tmp_path: Path) -> None:
    path = write(tmp_path / "s.pkl", random_snapshot({"img_resolution": 128}))
    assert "--training-image-size" in refused(path)
    for size in (129, 127, 0, -2, 10**9):
        assert "--training-image-size" in refused(path, size)
    assert load_prior(path, CPU, "float32", 128).conventions.pad == 0


def test_summary_counts_the_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "s.pkl", random_snapshot())
    record, count = summarise_prior(path)
    assert count == sum(t.numel() for t in random_network(ARGUMENTS).state_dict().values())
    assert record == read_record(path)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model_type": "DhariwalUNet"}, "model_type"),
        ({"decoder_type": "skip"}, "decoder_type"),
        ({"encoder_type": "skip"}, "encoder_type"),
        ({"implicit_mlp": True}, "implicit_mlp"),
        ({"label_dim": 10}, "label_dim"),
        ({"surprise": 1}, "surprise"),
        ({"img_channels": 4}, "position_channels"),
        ({"sigma_data": 0.0}, "sigma_data"),
        ({"sigma_data": float("nan")}, "sigma_data"),
        ({"channel_mult": [10**9]}, "multipliers"),
        ({"img_resolution": 10**30}, "img_resolution"),
        ({"num_blocks": 10**6}, "num_blocks"),
        ({"channel_mult": [[[1]]]}, "channel_mult"),
        ({"resample_filter": [1.5, 1.5]}, "resample_filter"),
    ],
)
def test_architectures_that_we_do_not_build_are_named(
    tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    state = random_network(ARGUMENTS).state_dict()
    content = snapshot_content(ARGUMENTS | changes, state)
    assert named in refused(write(tmp_path / "s.pkl", content))


def test_tensors_that_do_not_fit(tmp_path: Path) -> None:
    state = random_network(ARGUMENTS).state_dict()
    first = next(iter(state))
    for wrong in (
        {k: v for k, v in state.items() if k != first},
        state | {"model.another.weight": torch.zeros(1)},
        state | {first: torch.zeros(3, 3)},
        state | {first: state[first].long()},
    ):
        assert "do not fit" in refused(write(tmp_path / "s.pkl", snapshot_content(ARGUMENTS, wrong)))
    for value in (float("nan"), float("inf")):
        broken = state | {first: torch.full_like(state[first], value)}
        assert "NaN or infinite" in refused(write(tmp_path / "s.pkl", snapshot_content(ARGUMENTS, broken)))
    wide = state | {first: torch.full(state[first].shape, 1e300, dtype=torch.float64)}
    assert "NaN or infinite" in refused(write(tmp_path / "s.pkl", snapshot_content(ARGUMENTS, wide)))


def test_other_preconditioning_and_other_content(tmp_path: Path) -> None:
    content = random_snapshot()
    content["ema"].meta["class_name"] = "VPPrecond"
    assert "VPPrecond" in refused(write(tmp_path / "s.pkl", content))
    content["ema"].meta.update(class_name="Patch_EDMPrecond", version=5)
    assert "version" in refused(write(tmp_path / "s.pkl", content))
    content = random_snapshot()
    content["ema"].meta["state"]["_init_args"] = (304, 3)
    assert "by position" in refused(write(tmp_path / "s.pkl", content))
    for other in (
        {},
        [],
        {"ema": None},
        {"ema": 3},
        "text",
        None,
        {"a": {1: "x"}, "n": 2**70, "b": b"bytes"},
    ):
        assert "ema" in refused(write(tmp_path / "s.pkl", other))


def test_the_content_decides_and_not_the_name(tmp_path: Path, prior_path: Path) -> None:
    (tmp_path / "native.pkl").write_bytes(prior_path.read_bytes())
    assert read_record(tmp_path / "native.pkl").name == "tiny"
    write(tmp_path / "snapshot.safetensors", random_snapshot())
    assert read_record(tmp_path / "snapshot.safetensors").training["source"] == "published snapshot"
    torch.save({"weights": torch.zeros(3)}, tmp_path / "torch.pkl")
    assert "zip archive" in refused(tmp_path / "torch.pkl")
    torch.save({"w": torch.zeros(3)}, tmp_path / "old.pkl", _use_new_zipfile_serialization=False)
    refused(tmp_path / "old.pkl")
    (tmp_path / "array.pkl").write_bytes(pickle.dumps(np.zeros(3)))
    assert "numpy" in refused(tmp_path / "array.pkl")
    (tmp_path / "zero.pkl").write_bytes(pickle.dumps({"a": 1}, 0))
    refused(tmp_path / "zero.pkl")
    (tmp_path / "text.pkl").write_text("no pickle at all, and not a tensor either")
    refused(tmp_path / "text.pkl")
    assert "does not exist" in refused(tmp_path / "none.pkl")


def test_native_files_of_published_networks_keep_the_frequencies(tmp_path: Path) -> None:
    record, state = read_prior(write(tmp_path / "s.pkl", random_snapshot(NCSN)))
    frequencies = "model.map_noise.freqs"
    state[frequencies] = torch.randn(state[frequencies].shape, generator=torch.Generator().manual_seed(0))
    save_prior(tmp_path / "n.safetensors", record, state, keep=(frequencies,))
    again = read_prior(tmp_path / "n.safetensors")[1]
    assert torch.equal(again[frequencies], state[frequencies])
    assert read_snapshot(tmp_path / "s.pkl").network == record.network
