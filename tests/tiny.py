"""Small things that many tests need: a phantom, and a prior that is random but not trivial."""

import torch
from torch import Tensor

from padis_gui.core.prior.checkpoint import PriorRecord
from padis_gui.core.prior.network import PatchUNet
from padis_gui.core.prior.network_settings import NetworkSettings
from padis_gui.core.prior.partition import tiles_and_pad
from padis_gui.core.prior.prior import Conventions

PHANTOM_SIZE = 64
PATCHES = (32, 16)
TINY_NETWORK = NetworkSettings(width=32, multipliers=(1.0, 1.0), blocks=1, embedding=32, attention=False)


def phantom(size: int) -> Tensor:
    """A body with two organs and a bone, (size, size) in [0, 1], zero outside."""
    axis = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    image = torch.zeros(size, size)
    for cx, cy, rx, ry, value in (
        (0.0, 0.0, 0.8, 0.6, 0.5),
        (-0.35, 0.05, 0.25, 0.3, 0.15),
        (0.35, -0.05, 0.22, 0.35, 0.2),
        (0.0, 0.4, 0.12, 0.1, 0.95),
    ):
        image[((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 <= 1] = value
    return image


def tiny_conventions() -> Conventions:
    """Trained on 64 px images with patches of 32 and 16, in HU."""
    pad = max(tiles_and_pad(PHANTOM_SIZE, p)[1] for p in PATCHES)
    return Conventions(image_size=PHANTOM_SIZE, pad=pad, patch_sizes=PATCHES, sigma_data=0.3)


def tiny_record() -> PriorRecord:
    """The record of the tiny prior."""
    return PriorRecord(
        name="tiny", network=TINY_NETWORK, conventions=tiny_conventions(), training={"steps": 0}
    )


def tiny_network(seed: int = 0, settings: NetworkSettings = TINY_NETWORK) -> PatchUNet:
    """A network whose every layer is random: as made, the zero-initialised ones would hide behind each other."""
    rng = torch.Generator().manual_seed(seed)
    network = PatchUNet(settings)
    with torch.no_grad():
        for parameter in network.parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 100
            parameter.copy_(torch.randn(parameter.shape, generator=rng) * (0.5 / fan_in**0.5))
    return network


def tiny_state(seed: int = 0) -> dict[str, Tensor]:
    """The tensors of the tiny prior."""
    return tiny_network(seed).state_dict()
