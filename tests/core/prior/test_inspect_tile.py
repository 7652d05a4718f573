"""The tile inspector agrees with the whole denoiser, and says what it is made of."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from padis_gui.core.physics.problem import Problem
from padis_gui.core.prior.partition import Box, Partition
from padis_gui.core.prior.prior import DenoiserCall, PatchPrior
from padis_gui.core.prior.seams import as_called, disagreement_at, inspect_tile, with_noise
from padis_gui.core.prior.tiling import make_tiling
from padis_gui.core.runs.engine import solve
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.solvers.iterate import Iterate, SolverSettings
from padis_gui.core.solvers.registry import SOLVERS, find_solver
from tests.core.solvers.test_solvers import TINY
from tests.tiny import phantom

SHAPE = (64, 50)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noisy(channels: int = 1, sigma: float = 0.3) -> Tensor:
    truth = phantom(64)[None, :, :50].expand(channels, -1, -1)
    return truth + sigma * torch.randn(channels, *SHAPE, generator=rng(1))


def called(
    prior: PatchPrior, x: Tensor, sigma: float, tiling: str = "random"
) -> tuple[Tensor, DenoiserCall, Partition]:
    """The whole denoised image, and the call that made it as the prior saw it."""
    calls: list[DenoiserCall] = []
    partition = make_tiling(tiling, SHAPE, 16, prior.conventions.frame).draw(rng(2), sigma)
    whole = prior.observed_by(calls.append).denoise(x, sigma, partition, rng(3))
    assert len(calls) == 1
    return whole, calls[0], partition


def of_image(image: Tensor, box: Box, partition: Partition) -> tuple[Tensor, tuple[slice, slice]]:
    """The part of an image under a tile, and where in the tile it lies."""
    inside = tuple(
        slice(max(0, pad - first), min(box.size, pad + length - first))
        for first, pad, length in zip(
            (box.row, box.column), partition.pad, partition.image_shape, strict=True
        )
    )
    rows, columns = (
        slice(part.start + first - pad, part.stop + first - pad)
        for part, first, pad in zip(inside, (box.row, box.column), partition.pad, strict=True)
    )
    return image[:, rows, columns], inside  # type: ignore[return-value]


@pytest.mark.parametrize("sigma", [3.0, 0.3, 0.005])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("positions", [True, False])
def test_d_of_every_tile_is_that_tile_of_the_denoised_image(
    prior: PatchPrior, sigma: float, channels: int, positions: bool
) -> None:
    """A tile alone in its batch: equal to the network's round-off in float32."""
    prior = replace(prior, positions=positions)
    whole, call, partition = called(prior, noisy(channels, sigma), sigma)
    padded = as_called(call)
    for box in partition.boxes:
        tile = inspect_tile(prior, padded, sigma, partition, box.row, box.column)
        expected, inside = of_image(whole, box, partition)
        torch.testing.assert_close(tile.denoised[:, *inside], expected, rtol=1e-4, atol=2e-5)
        assert tile.box == box


def test_the_same_call_again_gives_the_same_bits(prior: PatchPrior) -> None:
    whole, call, partition = called(prior, noisy(), 0.3)
    again = torch.Generator()
    again.set_state(call.generator)
    assert torch.equal(prior.denoise(call.x, call.sigma, partition, again), whole)
    one, two = (inspect_tile(prior, as_called(call), 0.3, partition, 3, 5) for _ in range(2))
    assert torch.equal(one.denoised, two.denoised)
    assert torch.equal(one.noisy, Box(3, 5, 16).of(as_called(call)))


@pytest.mark.parametrize("sigma", [2.0, 0.05])
def test_the_parts_make_the_whole(prior: PatchPrior, sigma: float) -> None:
    """D = c_skip x + c_out F with the coefficients of EDM's table, and D + what was removed = x."""
    _, call, partition = called(prior, noisy(sigma=sigma), sigma)
    first = partition.boxes[0]
    tile = inspect_tile(prior, as_called(call), sigma, partition, first.row, first.column)
    deviation = prior.conventions.sigma_data
    assert tile.c_skip == pytest.approx(deviation**2 / (sigma**2 + deviation**2), rel=1e-5)
    assert tile.c_out == pytest.approx(sigma * deviation / (sigma**2 + deviation**2) ** 0.5, rel=1e-5)
    assert tile.c_in == pytest.approx((sigma**2 + deviation**2) ** -0.5, rel=1e-5)
    assert tile.c_noise == pytest.approx(torch.tensor(sigma).log().item() / 4, rel=1e-5)
    torch.testing.assert_close(tile.denoised, tile.c_skip * tile.noisy + tile.c_out * tile.output)
    torch.testing.assert_close(tile.denoised + tile.removed, tile.noisy)
    torch.testing.assert_close(tile.positions, partition.positions()[0])


def test_blind_is_what_a_prior_without_positions_gives(prior: PatchPrior) -> None:
    _, call, partition = called(prior, noisy(), 0.3)
    seeing = inspect_tile(prior, as_called(call), 0.3, partition, 7, 9)
    blind = inspect_tile(replace(prior, positions=False), as_called(call), 0.3, partition, 7, 9)
    torch.testing.assert_close(seeing.blind, blind.denoised)
    assert not blind.positions.any()
    assert not blind.influence.any()
    assert float(seeing.influence.abs().max()) > 1e-4


def test_a_shifted_tile_is_compared_where_both_cover(prior: PatchPrior) -> None:
    _, call, partition = called(prior, noisy(), 0.3)
    padded = as_called(call)
    home = inspect_tile(prior, padded, 0.3, partition, 10, 12)
    moved = inspect_tile(prior, padded, 0.3, partition, 13, 8)
    difference = moved.moved_from(home)
    assert torch.equal(
        ~difference.isnan()[0], torch.nn.functional.pad(torch.ones(13, 12), (4, 0, 0, 3)).bool()
    )
    assert torch.equal(difference[:, 0, 4], moved.denoised[:, 0, 4] - home.denoised[:, 3, 0])
    assert torch.equal(difference[:, 12, 15], moved.denoised[:, 12, 15] - home.denoised[:, 15, 11])
    assert not home.moved_from(home).any()
    far = inspect_tile(prior, padded, 0.3, partition, 10, 28)
    assert bool(far.moved_from(home).isnan().all())


@pytest.mark.parametrize(("row", "column"), [(-1, 0), (0, -1), (10_000, 0), (0, 10_000)])
def test_a_tile_outside_and_a_level_of_zero_are_refused(prior: PatchPrior, row: int, column: int) -> None:
    _, call, partition = called(prior, noisy(), 0.3)
    with pytest.raises(SettingError, match="move it inside"):
        inspect_tile(prior, as_called(call), 0.3, partition, row, column)
    with pytest.raises(SettingError, match="above 0"):
        inspect_tile(prior, as_called(call), 0.0, partition, 0, 0)


def test_noise_of_another_level_is_the_same_noise(prior: PatchPrior) -> None:
    partition = make_tiling("random", SHAPE, 16, prior.conventions.frame).draw(rng())
    truth = phantom(64)[None, :, :50]
    clean = with_noise(truth, 0.0, partition, rng(5))
    low, high = (with_noise(truth, sigma, partition, rng(5)) for sigma in (0.1, 0.4))
    torch.testing.assert_close(high - clean, 4 * (low - clean), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(partition.interior(clean), truth)
    assert float(clean.sum()) == pytest.approx(float(truth.sum()), rel=1e-5)  # zeros around


# -- the calls of a run -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [s.name for s in SOLVERS if issubclass(s.settings_type, SolverSettings) and s.name != "daps"]
)
def test_the_observed_call_is_the_one_that_an_iterate_shows(
    name: str, prior: PatchPrior, prior_path: Path, ct_problem: Problem
) -> None:
    """DAPS probes the denoiser once more after the call that it shows."""
    calls: list[DenoiserCall] = []
    iterates: list[tuple[Iterate, DenoiserCall]] = []
    for iterate in solve(_recipe(name, prior_path, {}), ct_problem, prior.observed_by(calls.append)):
        iterates.append((iterate, calls[-1]))
    for iterate, call in iterates:
        rng = torch.Generator()
        rng.set_state(call.generator)
        assert call.partition == iterate.partition
        repeated = prior.denoise(call.x, call.sigma, call.partition, rng)
        torch.testing.assert_close(repeated, iterate.denoised, rtol=1e-4, atol=1e-5)


def test_disagreement_of_a_call_does_not_depend_on_its_own_grid(prior: PatchPrior) -> None:
    found = []
    for tiling in ("fixed", "random", "inside"):
        _, call, _ = called(prior, noisy(), 0.3, tiling)
        found.append(disagreement_at(prior, call, rng(4)))
    assert found[0].shape == (1, *SHAPE)
    assert float(found[0].abs().max()) > 1e-4
    for other in found[1:]:
        torch.testing.assert_close(other, found[0])


def _recipe(name: str, prior_path: Path, changes: dict[str, object]) -> Recipe:
    settings = make(find_solver(name).settings_type, TINY[name] | {"steps": 3})
    return Recipe.model_validate(
        {
            "data": None, "problem": {}, "prior": {"file": str(prior_path)}, "tiling": {"strategy": "random"},
            "solver": name, "settings": settings.model_dump(mode="json"), "seed": 5, "device": "cpu",
            "precision": "float32", "threads": 1, "versions": {},
        }
        | changes
    )  # fmt: skip
