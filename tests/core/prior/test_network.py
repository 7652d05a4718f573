"""The network's shapes, its start, and how it treats a batch."""

import pytest
import torch

from padis_gui.core.prior.network import COORDINATES, PatchUNet
from padis_gui.core.prior.network_settings import NetworkSettings
from tests.tiny import tiny_network


@pytest.mark.parametrize(
    ("settings", "patch"),
    [
        (NetworkSettings(width=32, multipliers=(1.0,), blocks=1, embedding=32), 16),
        (NetworkSettings(width=32, multipliers=(1.0, 2.0, 3.0), blocks=2, embedding=32), 24),
        (NetworkSettings(image_channels=3, width=32, multipliers=(1.0, 1.0), blocks=1, embedding=32), 16),
    ],
)
def test_output_has_the_image_channels_and_the_patch_size(settings: NetworkSettings, patch: int) -> None:
    network = PatchUNet(settings)
    channels = settings.image_channels + COORDINATES
    with torch.no_grad():
        out = network(torch.randn(2, channels, patch, patch), torch.zeros(2))
    assert out.shape == (2, settings.image_channels, patch, patch)
    assert out.dtype == torch.float32
    assert patch % settings.downsampling == 0


def test_untrained_network_says_zero() -> None:
    """So that D starts as c_skip x, the best linear guess."""
    network = PatchUNet(NetworkSettings(width=32, multipliers=(1.0, 2.0), blocks=1, embedding=32))
    with torch.no_grad():
        assert float(network(torch.randn(1, 3, 16, 16), torch.zeros(1)).abs().max()) == 0.0


def test_members_of_a_batch_do_not_see_each_other() -> None:
    network = tiny_network()
    x, noise = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)), torch.linspace(-1, 1, 4)
    with torch.no_grad():
        together = network(x, noise)
        alone = torch.cat([network(x[i : i + 1], noise[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


def test_the_noise_level_is_heard() -> None:
    network, x = tiny_network(), torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        low, high = network(x, torch.tensor([-1.5])), network(x, torch.tensor([0.5]))
    assert float((low - high).abs().max()) > 1e-3


def test_attention_joins_distant_pixels() -> None:
    settings = NetworkSettings(width=32, multipliers=(1.0,), blocks=1, embedding=32, attention=True)
    network = PatchUNet(settings)
    with torch.no_grad():
        for parameter in network.parameters():
            torch.nn.init.normal_(
                parameter, std=0.1, generator=torch.Generator().manual_seed(parameter.numel())
            )
        x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
        changed = x.clone()
        changed[..., 0, 0] += 5
        difference = (network(changed, torch.zeros(1)) - network(x, torch.zeros(1)))[0, 0, -1, -1]
    assert abs(float(difference)) > 0
