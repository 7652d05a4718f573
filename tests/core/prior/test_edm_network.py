"""The published network: numbers that its own implementation made, and what its description demands."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F  # noqa: N812
from pydantic import ValidationError

from padis_gui.core.prior.edm_network import EdmUNet
from padis_gui.core.prior.network_settings import EdmNetworkSettings
from padis_gui.core.prior.prior import denoise_patches
from tests.snapshots import ARGUMENTS, NCSN, random_network, settings_of


@pytest.mark.parametrize("name", ["edm_tiny", "edm_tinyaug"])
def test_reference_outputs(shared: Path, name: str) -> None:
    folder = shared / "reference"
    arguments = json.loads((folder / f"{name}.json").read_text())
    network = EdmUNet(settings_of(arguments)).eval()
    network.load_state_dict(safetensors.torch.load_file(folder / f"{name}.safetensors"), strict=True)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    vectors = {key: torch.from_numpy(value) for key, value in np.load(folder / f"{name}_io.npz").items()}
    for part in ("", "_b", "_c"):
        x, positions = vectors[f"x{part}"], vectors[f"pos{part}"]
        sigma = vectors[f"sigma{part}"].expand(len(x))
        with torch.no_grad():
            ours = denoise_patches(network, x, sigma, positions, 0.5, "float32")
        torch.testing.assert_close(ours, vectors[f"output{part}"], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "millions"),
    [
        ({"img_resolution": 64, "image_channels": 3}, 61.8),  # arXiv 2206.00364's sizes
        ({"img_resolution": 32, "image_channels": 3, "channel_mult": (2, 2, 2)}, 55.7),
        ({"img_resolution": 304, "channel_mult": (2, 2, 2)}, 54.4),  # the published CT prior
    ],
)
def test_published_parameter_counts(changes: dict[str, Any], millions: float) -> None:
    with torch.device("meta"):
        network = EdmUNet(EdmNetworkSettings(**changes))
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 1) == millions


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("changes", [{}, {"augment_dim": 9}, NCSN, {"img_resolution": 32}], ids=str)
def test_shapes_and_dtypes(changes: dict[str, Any], colour: bool) -> None:
    channels = {"out_channels": 3, "img_channels": 5} if colour else {}
    network = random_network(ARGUMENTS | changes | channels)
    entering = torch.randn(2, 5 if colour else 3, 16, 16, generator=torch.Generator().manual_seed(0))
    c_noise = torch.tensor([-1.0, 0.5])
    out = network(entering, c_noise)
    assert out.shape == (2, 3 if colour else 1, 16, 16)
    torch.testing.assert_close(out[1:], network(entering[1:], c_noise[1:]), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(out, network(entering, c_noise + 0.3), atol=1e-3)
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(entering, c_noise)
    assert rough.dtype == torch.float32
    assert float((rough - out).norm() / out.norm()) < 0.05


def _ncsn_by_hand(state: dict[str, torch.Tensor], x: torch.Tensor, c_noise: torch.Tensor) -> torch.Tensor:
    """NCSN++ of two levels, one block each, straight from its description and written out flat."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8

    def get(name: str) -> torch.Tensor:
        return state[f"model.{name}"]

    def half(image: torch.Tensor) -> torch.Tensor:
        padded = F.pad(image, (1, 1, 1, 1))
        rows = sum(taps[i] * padded[:, :, i : padded.shape[2] - 3 + i : 2] for i in range(4))
        assert isinstance(rows, torch.Tensor)
        return sum(taps[i] * rows[..., i : rows.shape[3] - 3 + i : 2] for i in range(4))  # type: ignore

    def double(image: torch.Tensor) -> torch.Tensor:
        n, c, h, w = image.shape
        spread = torch.zeros(n, c, 2 * h + 4, 2 * w + 4)
        spread[:, :, 2:-2:2, 2:-2:2] = image
        rows = sum(2 * taps[i] * spread[:, :, i : i + 2 * h] for i in range(4))
        assert isinstance(rows, torch.Tensor)
        return sum(2 * taps[i] * rows[..., i : i + 2 * w] for i in range(4))  # type: ignore

    def norm(name: str, image: torch.Tensor) -> torch.Tensor:
        return F.group_norm(
            image, min(32, image.shape[1] // 4), get(f"{name}.weight"), get(f"{name}.bias"), 1e-6
        )

    def conv(name: str, image: torch.Tensor) -> torch.Tensor:
        return F.conv2d(image, get(f"{name}.weight"), get(f"{name}.bias"), padding="same")

    frequencies = 2 * math.pi * get("map_noise.freqs")
    angles = c_noise[:, None] * frequencies
    emb = torch.cat([angles.sin(), angles.cos()], 1)
    for layer in ("map_layer0", "map_layer1"):
        emb = F.silu(F.linear(emb, get(f"{layer}.weight"), get(f"{layer}.bias")))

    def block(name: str, image: torch.Tensor, way: Any = lambda image: image) -> torch.Tensor:
        h = conv(f"{name}.conv0", way(F.silu(norm(f"{name}.norm0", image))))
        h = h + F.linear(emb, get(f"{name}.affine.weight"), get(f"{name}.affine.bias"))[:, :, None, None]
        h = conv(f"{name}.conv1", F.silu(norm(f"{name}.norm1", h)))
        skip = conv(f"{name}.skip", way(image)) if f"model.{name}.skip.weight" in state else image
        h = (h + skip) / math.sqrt(2)
        if f"model.{name}.qkv.weight" in state:
            n, c, rows, columns = h.shape
            q, k, v = conv(f"{name}.qkv", norm(f"{name}.norm2", h)).reshape(n, c, 3, -1).unbind(2)
            weights = torch.einsum("ncq,nck->nqk", q, k / math.sqrt(c)).softmax(2)
            seen = torch.einsum("nqk,nck->ncq", weights, v).reshape(n, c, rows, columns)
            h = (h + conv(f"{name}.proj", seen)) / math.sqrt(2)
        return h

    first = conv("enc.304x304_conv", x)
    fine = block("enc.304x304_block0", first)
    down = block("enc.152x152_down", fine, half)
    # the convolution also sees one ring of zeros outside the image, and the bias is added after the filter
    weight, bias = get("enc.152x152_aux_residual.weight"), get("enc.152x152_aux_residual.bias")
    wide = F.conv2d(F.pad(x, (2, 2, 2, 2)), weight)
    beside = F.conv2d(wide, torch.outer(taps, taps).expand(len(bias), 1, 4, 4), stride=2, groups=len(bias))
    entered = (down + beside + bias[:, None, None]) / math.sqrt(2)
    coarse = block("enc.152x152_block0", entered)
    h = block("dec.152x152_in1", block("dec.152x152_in0", coarse))
    h = block("dec.152x152_block0", torch.cat([h, coarse], 1))
    h = block("dec.152x152_block1", torch.cat([h, entered], 1))
    h = block("dec.304x304_up", h, double)
    h = block("dec.304x304_block0", torch.cat([h, fine], 1))
    h = block("dec.304x304_block1", torch.cat([h, first], 1))
    return conv("dec.304x304_aux_conv", F.silu(norm("dec.304x304_aux_norm", h)))


def test_ncsn_settings_against_the_description_written_out() -> None:
    network = random_network(ARGUMENTS | NCSN | {"model_channels": 8})
    rng = torch.Generator().manual_seed(1)
    network.model.map_noise.freqs.copy_(torch.randn(8, generator=rng) * 16)
    x, c_noise = torch.randn(2, 3, 16, 16, generator=rng), torch.tensor([-0.7, 0.2])
    by_hand = _ncsn_by_hand(network.state_dict(), x, c_noise)
    torch.testing.assert_close(network(x, c_noise), by_hand, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"channel_mult": ()}, {"channel_mult": (1,) * 7}, {"channel_mult": (0,)},
        {"img_resolution": 8, "channel_mult": (1,) * 5},
        {"resample_filter": (1,)}, {"resample_filter": (1, 2)}, {"resample_filter": (0, 0)}, {"model_channels": 6},
        {"attn_resolutions": (16,) * 17}, {"position_channels": 1}, {"kind": "own"},
    ],
    ids=str,
)  # fmt: skip
def test_impossible_networks_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        EdmNetworkSettings(**changes)
