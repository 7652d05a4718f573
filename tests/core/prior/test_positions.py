"""How the network is told where a patch lies: four encodings, old checkpoints, and what each of them hears."""

import json
import math
from pathlib import Path
from typing import get_args

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F  # noqa: N812 - the name it goes by
from torch import Tensor

from padis_gui.core.prior.checkpoint import FORMAT, PriorRecord, load_prior, read_record, save_prior
from padis_gui.core.prior.network import ENCODINGS, FourierFeatures, LearnedTable, PatchUNet
from padis_gui.core.prior.network_settings import EncodingName, NetworkSettings
from padis_gui.core.prior.partition import Frame
from tests.tiny import TINY_NETWORK, phantom, tiny_conventions, tiny_network, tiny_record, tiny_state

CPU = torch.device("cpu")
NAMES: tuple[EncodingName, ...] = get_args(EncodingName)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(encoding: str) -> PatchUNet:
    """A network of which every layer is random."""
    made = PatchUNet(TINY_NETWORK.model_copy(update={"position_encoding": encoding}))
    generator = rng()
    with torch.no_grad():
        for key, parameter in made.named_parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 100
            fan_in = 1 if key == "positions.table" else fan_in
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (0.5 / fan_in**0.5))
    return made


def coordinates(first: tuple[float, float], last: tuple[float, float], side: int = 16) -> Tensor:
    """Position channels (1, 2, side, side) that run evenly from one place (column, row) to another."""
    columns, rows = (torch.linspace(a, b, side) for a, b in zip(first, last, strict=True))
    return torch.stack([columns.expand(side, side), rows[:, None].expand(side, side)])[None]


def test_every_encoding_is_registered() -> None:
    assert set(ENCODINGS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_features_are_on_the_pixels_that_the_network_computes_on(name: EncodingName) -> None:
    encoding = ENCODINGS[name]()
    assert encoding(coordinates((-1, -1), (1, 1), 24)).shape == (1, encoding.features, 12, 12)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_patch_elsewhere_is_denoised_differently_unless_positions_are_not_looked_at(
    name: EncodingName,
) -> None:
    made, patch = network(name), torch.randn(1, 1, 16, 16, generator=rng(1))
    here, there = coordinates((-0.9, -0.5), (-0.7, -0.3)), coordinates((0.3, 0.6), (0.5, 0.8))
    with torch.no_grad():
        a, b = (made(torch.cat([patch, place], dim=1), torch.zeros(1)) for place in (here, there))
    assert (float((a - b).abs().max()) > 1e-3) == (name != "none")


@pytest.mark.parametrize("name", NAMES[1:])
@pytest.mark.parametrize("axis", [0, 1])
def test_both_axes_are_heard_and_told_apart(name: EncodingName, axis: int) -> None:
    encoding, start = ENCODINGS[name](), [0.1, 0.1]
    moved = list(start)
    moved[axis] += 0.4
    with torch.no_grad():
        still = encoding(coordinates((0.1, 0.1), (0.1, 0.1)))
        found = encoding(coordinates((moved[0], moved[1]), (moved[0], moved[1])))
        other = encoding(coordinates((moved[1], moved[0]), (moved[1], moved[0])))
    assert float((found - still).abs().max()) > 0.1
    assert float((found - other).abs().max()) > 0.1


def test_fourier_features_are_sines_and_cosines_of_the_middle_of_four_pixels() -> None:
    found = FourierFeatures()(coordinates((0.2, -0.4), (0.2, -0.4)))[0, :, 0, 0]
    rates = [math.pi / 2 * 2**k for k in range(5)]
    angles = [place * rate for place in (0.2, -0.4) for rate in rates]
    expected = [0.2, -0.4, *(math.sin(a) for a in angles), *(math.cos(a) for a in angles)]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_fourier_features_tell_places_beyond_the_frame_from_those_inside() -> None:
    """Images larger than in training have positions outside [-1, 1]."""
    places = torch.linspace(-1.8, 1.8, 73)
    features = torch.stack(
        [FourierFeatures()(coordinates((p, 0), (p, 0)))[0, :, 0, 0] for p in places.tolist()]
    )
    waves = features[:, 2:]  # without the coordinates themselves, which never repeat
    distance = (waves[:, None] - waves).norm(dim=2) + 10 * torch.eye(len(places))
    assert float(distance.min()) > 0.05


def test_the_learned_table_is_linear_between_its_places_and_constant_beyond() -> None:
    encoding = LearnedTable()
    step = 2 / 15
    with torch.no_grad():
        corner, next_to_it = (
            encoding(coordinates((c, -1), (c, -1)))[0, :, 0, 0] for c in (-1.0, -1.0 + step)
        )
        between = encoding(coordinates((-1 + step / 4, -1), (-1 + step / 4, -1)))[0, :, 0, 0]
        beyond = encoding(coordinates((-1.7, -3), (-1.7, -3)))[0, :, 0, 0]
    torch.testing.assert_close(corner, encoding.table[0, :, 0, 0].detach())
    torch.testing.assert_close(next_to_it, encoding.table[0, :, 0, 1].detach())  # columns come first
    torch.testing.assert_close(between, 0.75 * corner + 0.25 * next_to_it, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(beyond, corner)


def test_the_learned_table_learns_where_patches_lie_only() -> None:
    made = network("learned")
    place = coordinates((-1, -1), (-0.6, -0.6))
    made(torch.cat([torch.ones(1, 1, 16, 16), place], dim=1), torch.zeros(1)).sum().backward()
    gradient = made.positions.table.grad
    assert gradient is not None
    touched = gradient[0].abs().amax(dim=0) > 0
    assert bool(touched[:4, :4].all())
    assert int(touched.sum()) == 16


def test_coordinates_enter_as_in_the_first_version() -> None:
    """Image and coordinates to depth together: the weights of old checkpoints mean the same."""
    made, entering = tiny_network(), torch.randn(2, 3, 16, 16, generator=rng())
    seen: list[Tensor] = []
    made.enter.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    with torch.no_grad():
        made(entering, torch.zeros(2))
    assert torch.equal(seen[0], F.pixel_unshuffle(entering, 2))


# -- checkpoints ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_priors_keep_their_encoding(name: EncodingName, tmp_path: Path) -> None:
    made = network(name)
    record = PriorRecord(name=name, network=made.settings, conventions=tiny_conventions())
    save_prior(tmp_path / "p.safetensors", record, made.state_dict(), half=False)
    found = read_record(tmp_path / "p.safetensors").network
    assert isinstance(found, NetworkSettings)
    assert found.position_encoding == name
    prior = load_prior(tmp_path / "p.safetensors", CPU, "float32")
    from padis_gui.core.prior.tiling import make_tiling

    images = []
    for frame in (prior.conventions.frame, Frame(120, 20)):
        part = make_tiling("random", (64, 64), 32, frame).draw(rng())
        with torch.no_grad():
            images.append(prior.denoise(phantom(64)[None], 0.4, part, rng(1)))
    assert bool(torch.isfinite(images[0]).all())
    assert torch.equal(images[0], images[1]) == (name == "none")


@pytest.mark.parametrize(("count", "name"), [(2, "coordinates"), (0, "none")])
def test_checkpoints_that_count_position_channels_load(count: int, name: str, tmp_path: Path) -> None:
    made = tiny_network() if count else network("none")
    record = tiny_record().model_dump(mode="json")
    del record["network"]["position_encoding"]
    record["network"]["position_channels"] = count
    path = tmp_path / "old.safetensors"
    described = {"format": FORMAT, "version": "1", "record": json.dumps(record)}
    path.write_bytes(safetensors.torch.save(made.state_dict(), described))
    prior = load_prior(path, CPU, "float32")
    assert made.enter.in_channels == 4 * (1 + count)
    settings = prior.network.settings
    assert isinstance(settings, NetworkSettings)
    assert settings.position_encoding == name
    entering = torch.randn(1, 3, 16, 16, generator=rng())
    with torch.no_grad():
        assert torch.equal(prior.network(entering, torch.zeros(1)), made(entering, torch.zeros(1)))


def test_the_state_has_no_new_names_for_coordinates() -> None:
    assert not [key for key in tiny_state() if "position" in key]
    assert [key for key in network("learned").state_dict() if "position" in key] == ["positions.table"]


@pytest.mark.parametrize("name", NAMES)
def test_the_bound_on_parameters_holds_with_every_encoding(name: EncodingName) -> None:
    settings = NetworkSettings(
        width=32,
        multipliers=(1.0,),
        blocks=1,
        embedding=32,
        attention=False,
        image_channels=4,
        position_encoding=name,
    )
    assert sum(p.numel() for p in PatchUNet(settings).parameters()) <= settings.parameter_bound
