"""The bound that keeps a hostile description from building a large network."""

import pytest

from padis_gui.core.prior.network import PatchUNet
from padis_gui.core.prior.network_settings import NetworkSettings


@pytest.mark.parametrize(
    "settings",
    [
        NetworkSettings(),
        NetworkSettings(width=32, multipliers=(1.0,), blocks=1, embedding=32, attention=False),
        NetworkSettings(width=32, multipliers=(0.25, 4.0, 0.5, 8.0), blocks=1, embedding=2048),
        NetworkSettings(width=96, multipliers=(1.0, 2.0), blocks=5, embedding=64, image_channels=4),
    ],
)
def test_no_network_has_more_parameters_than_its_bound(settings: NetworkSettings) -> None:
    count = sum(p.numel() for p in PatchUNet(settings).parameters())
    assert count <= settings.parameter_bound
    assert settings.parameter_bound < 50 * count  # nor is the bound so loose that it says nothing
