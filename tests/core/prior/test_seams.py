"""Laws of the seam measures: what they see, what they do not see, and where tile borders are."""

import math

import pytest
import torch
from torch import Tensor, nn

from padis_gui.core.prior.partition import Frame, Partition, tiles_and_pad
from padis_gui.core.prior.prior import DenoiserCall, PatchPrior
from padis_gui.core.prior.seams import (
    disagreement,
    disagreement_at,
    disagreement_map,
    seam_coverage,
    seam_lines,
    seam_map,
    seam_ratio,
)
from padis_gui.core.prior.tiling import TILINGS, TilingSettings, make_tiling
from tests.tiny import phantom

SHAPE, PATCH = (64, 50), 16
SEAMED = [t.name for t in TILINGS if t.name != "whole"]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(name: str, sigma: float = 1.0, seed: int = 0) -> Partition:
    settings = TilingSettings.model_validate({"strategy": name, "overlap": 4})
    return make_tiling(name, SHAPE, PATCH, Frame(64, 16), settings).draw(rng(seed), sigma)


def waves(shape: tuple[int, int] = SHAPE) -> Tensor:
    rows, columns = (torch.linspace(0, 9, n, dtype=torch.float64) for n in shape)
    slopes = rows[:, None] / 20 + columns / 30
    return (slopes + 0.02 * torch.sin(rows)[:, None] * torch.cos(1.3 * columns))[None]


def with_seams(x: Tensor, partition: Partition, height: float) -> Tensor:
    """x with every other tile lifted, which makes a step along each border of the grid."""
    columns = tiles_and_pad(partition.image_shape[1], partition.patch)[0]
    lift = torch.tensor([(i // columns + i % columns) % 2 for i in range(len(partition.boxes))])
    tiles = (height * lift.double())[:, None, None, None].expand(-1, 1, partition.patch, partition.patch)
    return x + partition.assemble(tiles)


# -- where the borders are --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SEAMED)
@pytest.mark.parametrize("sigma", [1.0, 0.001])
def test_a_step_is_a_seam_where_its_pixels_lie_in_different_tiles(name: str, sigma: float) -> None:
    """Against a definition that asks each pixel which tiles hold it, or which lies on top."""
    part = drawn(name, sigma)
    inside = torch.zeros(len(part.boxes), *part.padded_shape, dtype=torch.bool)
    for holds, box in zip(inside, part.boxes, strict=True):
        holds[box.row : box.row + box.size, box.column : box.column + box.size] = True
    (rows, columns), (top, left) = part.image_shape, part.pad
    inside = inside[:, top : top + rows, left : left + columns]
    if part.blend == "stitch":
        inside = len(inside) - 1 - inside.flip(0).int().argmax(0, keepdim=True)
    down, right = steps_across(part)
    assert torch.equal(down, (inside[:, 1:] != inside[:, :-1]).any(0))
    assert torch.equal(right, (inside[:, :, 1:] != inside[:, :, :-1]).any(0))
    assert bool(down.any())
    assert bool(right.any())


def steps_across(partition):
    """Which steps cross a tile border: (rows - 1, columns) down, (rows, columns - 1) to the right."""
    (rows, columns), (down, right) = partition.image_shape, seam_lines(partition)
    return down[:, None].expand(-1, columns), right.expand(rows, -1)


def test_coverage_counts_the_partitions_that_put_a_pixel_beside_a_seam() -> None:
    one = drawn("fixed")
    down, right = steps_across(one)
    count = seam_coverage([one])
    assert set(count.unique().tolist()) == {0, 1}
    assert bool((count[:-1][down] == 1).all() and (count[1:][down] == 1).all())
    assert bool((count[:, :-1][right] == 1).all() and (count[:, 1:][right] == 1).all())
    assert torch.equal(seam_coverage([one] * 5), 5 * count)
    moving = [drawn("random", seed=s) for s in range(40)]
    assert int(seam_coverage(moving).sum()) == sum(int(seam_coverage([p]).sum()) for p in moving)
    assert int(seam_coverage(moving).max()) < 40


# -- the seam ratio ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SEAMED)
@pytest.mark.parametrize("sigma", [1.0, 0.001])
def test_a_smooth_image_has_ratio_one(name: str, sigma: float) -> None:
    part = drawn(name, sigma)
    assert seam_ratio(waves(), part) == pytest.approx(1, abs=0.2)
    plane = torch.arange(64.0)[:, None] + torch.zeros(1, 1, 50) + torch.arange(50.0)
    assert seam_ratio(plane, part) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("name", SEAMED)
def test_the_truth_has_ratio_one_against_itself(name: str) -> None:
    truth = phantom(64)[None, :, :50]
    assert seam_ratio(truth, drawn(name), truth) == pytest.approx(1, abs=1e-12)
    assert seam_ratio(0 * truth, drawn(name)) == 1.0


@pytest.mark.parametrize("with_truth", [True, False])
def test_steps_along_the_borders_raise_the_ratio(with_truth: bool) -> None:
    part, x = drawn("random"), waves()
    truth = x if with_truth else None
    ratios = [seam_ratio(with_seams(x, part, height), part, truth) for height in (0.0, 0.01, 0.02, 0.1)]
    assert ratios == sorted(ratios)
    assert ratios[1] > ratios[0] + 0.05
    assert ratios[3] > 3
    elsewhere = drawn("random", seed=3)
    assert all(a != b for a, b in zip(elsewhere.offset, part.offset, strict=True))
    assert seam_ratio(with_seams(x, part, 0.1), elsewhere, truth) < 0.5 * ratios[3]


@pytest.mark.parametrize("with_truth", [True, False])
def test_scaling_and_shifting_the_intensities_does_not_change_the_ratio(with_truth: bool) -> None:
    part, x = drawn("random"), waves()
    seamed, truth = with_seams(x, part, 0.05), x if with_truth else None
    for scale, offset in ((2000.0, -1000.0), (-0.01, 0.3)):
        assert seam_ratio(scale * seamed + offset, part, truth) == pytest.approx(
            seam_ratio(seamed, part, truth), rel=1e-9
        )


def test_no_border_inside_the_image_is_no_number() -> None:
    whole = make_tiling("fixed", (20, 20), 32, Frame(64, 16)).draw(rng())
    assert math.isnan(seam_ratio(waves((20, 20)), whole))
    assert math.isnan(seam_ratio(waves((20, 20)), whole, waves((20, 20))))
    assert int(seam_coverage([whole]).sum()) == 0
    assert not seam_map(waves((20, 20)), whole).any()


# -- the seam map -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SEAMED)
def test_the_map_of_constants_and_planes_is_zero(name: str) -> None:
    part = drawn(name, 0.001)
    plane = torch.arange(64.0)[:, None] + torch.zeros(1, 1, 50) + 2 * torch.arange(50.0)
    assert not seam_map(torch.full((1, *SHAPE), 0.7), part).any()
    assert float(seam_map(plane, part).abs().max()) < 1e-5


def test_the_map_shows_the_height_of_a_seam_beside_it_and_nothing_elsewhere() -> None:
    part = drawn("random")
    image = seam_map(with_seams(torch.full((3, *SHAPE), 0.5), part, 0.1), part)
    beside = seam_coverage([part]) > 0
    assert image.shape == SHAPE
    torch.testing.assert_close(image[beside], torch.full_like(image[beside], 0.1))
    assert not image[~beside].any()


# -- disagreement -----------------------------------------------------------------------------------------


class Pointwise(nn.Module):
    """A network that sees one pixel at a time and no position."""

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return torch.tanh(x[:, :1])


def test_what_does_not_look_at_the_tile_never_disagrees(prior: PatchPrior) -> None:
    pointwise = PatchPrior(
        Pointwise(), prior.conventions, 1, prior.downsampling, prior.device, prior.precision
    )
    x = phantom(64)[None] + 0.3 * torch.randn(1, 64, 64, generator=rng(1))
    tiling = make_tiling("random", (64, 64), 32, prior.conventions.frame)
    assert disagreement(pointwise, x, 0.3, tiling, rng()) == 0
    assert disagreement(prior, x, 0.3, tiling, rng()) > 1e-3


def test_a_grid_that_never_moves_agrees_with_itself(prior: PatchPrior) -> None:
    x = phantom(64)[None]
    assert (
        disagreement(prior, x, 0.3, make_tiling("fixed", (64, 64), 32, prior.conventions.frame), rng()) == 0
    )


def test_the_two_offsets_are_never_the_same(prior: PatchPrior) -> None:
    x, frame = phantom(64)[None], prior.conventions.frame
    tiling, repeats = make_tiling("random", (64, 64), 32, frame), rng(19)
    assert tiling.draw(repeats) == tiling.draw(repeats)  # the first two draws of this seed
    call = DenoiserCall(x, 0.3, tiling.draw(rng()), rng().get_state())
    assert disagreement_at(prior, call, rng(19)).abs().max() > 1e-3


def test_the_map_is_the_difference_of_two_calls_and_keeps_no_graph(prior: PatchPrior) -> None:
    x = phantom(64)[None].requires_grad_(True)
    tiling = make_tiling("random", (64, 64), 32, prior.conventions.frame)
    difference = disagreement_map(prior, x, 0.3, tiling, rng(2))
    assert difference.shape == x.shape
    assert not difference.requires_grad
    found = disagreement(prior, x, 0.3, tiling, rng(2))
    assert found == pytest.approx(float(difference.pow(2).mean().sqrt()))
    assert found > 0
