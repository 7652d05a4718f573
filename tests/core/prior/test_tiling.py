"""The partition of unity, and the geometry of PaDIS."""

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from padis_gui.core.prior.partition import Blend, Frame, Partition, tiles_and_pad
from padis_gui.core.prior.tiling import TILINGS, TilingSettings, make_tiling
from padis_gui.core.settings.errors import SettingError


def partition(
    shape: tuple[int, int], patch: int, offset: tuple[int, int], frame: Frame | None = None
) -> Partition:
    pad = (tiles_and_pad(shape[0], patch)[1], tiles_and_pad(shape[1], patch)[1])
    return Partition(shape, patch, pad, offset, frame or Frame(shape[0], pad[0]))


def offsets(shape: tuple[int, int], patch: int) -> list[tuple[int, int]]:
    pad = [tiles_and_pad(n, patch)[1] for n in shape]
    return [(a, b) for a in range(pad[0] + 1) for b in range(pad[1] + 1)]


@pytest.mark.parametrize(
    ("n", "p", "k", "m"), [(256, 56, 5, 24), (256, 64, 5, 64), (64, 32, 3, 32), (10, 32, 1, 22)]
)
def test_tiles_and_padding_as_in_the_paper(n: int, p: int, k: int, m: int) -> None:
    assert tiles_and_pad(n, p) == (k, m)


@pytest.mark.parametrize(("shape", "patch"), [((12, 12), 5), ((9, 14), 4), ((8, 8), 8), ((5, 7), 10)])
def test_assemble_undoes_extract_at_every_offset(shape: tuple[int, int], patch: int) -> None:
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    covered_by = partition(shape, patch, (0, 0))
    border = torch.randn(2, *covered_by.padded_shape, generator=torch.Generator().manual_seed(1))
    for offset in offsets(shape, patch):
        part = partition(shape, patch, offset)
        assert torch.equal(part.assemble(part.extract(x)), x)
        assert torch.equal(part.assemble(part.extract(x, border)), x)
        # exactly once: ones laid on the tiles add up to one on every image pixel
        count = torch.zeros(part.padded_shape, dtype=torch.int64)
        for box in part.boxes:
            assert box.row >= 0
            assert box.column >= 0
            assert box.row + box.size <= part.padded_shape[0]
            assert box.column + box.size <= part.padded_shape[1]
            count[box.row : box.row + box.size, box.column : box.column + box.size] += 1
        inside = count[part.pad[0] : part.pad[0] + shape[0], part.pad[1] : part.pad[1] + shape[1]]
        assert bool((inside == 1).all())
        assert int(count.max()) == 1


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 70), columns=st.integers(1, 70), patch=st.integers(1, 90), channels=st.integers(1, 3),
    where=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)  # fmt: skip
def test_assemble_undoes_extract_for_any_shape(
    rows: int, columns: int, patch: int, channels: int, where: tuple[float, float]
) -> None:
    pads = tiles_and_pad(rows, patch)[1], tiles_and_pad(columns, patch)[1]
    offset = round(where[0] * pads[0]), round(where[1] * pads[1])
    part = partition((rows, columns), patch, offset)
    x = torch.randn(channels, rows, columns, generator=torch.Generator().manual_seed(0))
    tiles = part.extract(x)
    assert tiles.shape == (len(part.boxes), channels, patch, patch)
    assert torch.equal(part.assemble(tiles), x)
    assert float(tiles.double().pow(2).sum()) == pytest.approx(float(x.double().pow(2).sum()), rel=1e-9)


def test_extract_surrounds_the_image_with_the_border_and_leaves_it_alone() -> None:
    part = partition((12, 12), 5, (1, 2))
    x, border = torch.zeros(1, 12, 12), torch.full((1, *part.padded_shape), 7.0)
    before = border.clone()
    tiles = part.extract(x, border)
    assert torch.equal(border, before)
    outside = tiles.sum() / 7
    assert int(outside) == tiles.numel() - x.numel()
    assert float(part.extract(x + 1).sum()) == x.numel()  # zeros without a border


def test_extract_and_assemble_are_differentiable() -> None:
    part = partition((6, 7), 4, (1, 0))
    x = torch.randn(1, 6, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: part.assemble(part.extract(v) ** 2), (x,))


@pytest.mark.parametrize("offset", [(-1, 0), (0, -1), (4, 0), (0, 99)])
def test_offsets_outside_the_padding_are_refused(offset: tuple[int, int]) -> None:
    with pytest.raises(SettingError, match="0 to 3"):
        partition((12, 12), 5, offset)


# -- positions --------------------------------------------------------------------------------------------


def test_positions_of_the_training_size_follow_the_formula() -> None:
    """2 i / (R - 1) - 1 for padded pixel i; columns are the first channel."""
    n, patch = 64, 24
    tiles, pad = tiles_and_pad(n, patch)
    assert tiles == 3
    side = n + 2 * pad
    part = partition((n, n), patch, (3, 5), Frame(n, pad))
    positions = part.positions()
    assert positions.dtype == torch.float32
    for box, found in zip(part.boxes, positions, strict=True):
        for i in range(patch):
            for j in range(patch):
                assert float(found[0, i, j]) == pytest.approx(2 * (box.column + j) / (side - 1) - 1, abs=1e-6)
                assert float(found[1, i, j]) == pytest.approx(2 * (box.row + i) / (side - 1) - 1, abs=1e-6)


def test_a_prior_keeps_its_own_coordinates() -> None:
    """Another padding at inference: position of image pixel i is 2 (i + M_tr) / (R_tr - 1) - 1 all the same."""
    n, pad_training = 64, 32
    frame = Frame(n, pad_training)
    for patch in (24, 40):
        part = partition((n, n), patch, (0, 0), frame)
        image = part.assemble(part.positions())
        expected = 2 * (torch.arange(n) + pad_training) / (n + 2 * pad_training - 1) - 1
        torch.testing.assert_close(image[0], expected.expand(n, n), rtol=0, atol=1e-6)
        torch.testing.assert_close(image[1], expected[:, None].expand(n, n), rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(48, 80), (100, 64), (65, 63)])
def test_other_sizes_are_centred_on_the_training_frame(shape: tuple[int, int]) -> None:
    frame = Frame(64, 32)
    part = partition(shape, 24, (2, 1), frame)
    image = part.assemble(part.positions())
    # the middle of the image is the middle of the frame, and one pixel is as long as in training
    assert float(image[0, 0, 0] + image[0, 0, -1]) == pytest.approx(0, abs=1e-6)
    assert float(image[1, 0, 0] + image[1, -1, 0]) == pytest.approx(0, abs=1e-6)
    pitch = 2 / (frame.padded - 1)
    torch.testing.assert_close(
        image[0].diff(dim=1), torch.full((shape[0], shape[1] - 1), pitch), rtol=0, atol=1e-6
    )
    torch.testing.assert_close(
        image[1].diff(dim=0), torch.full((shape[0] - 1, shape[1]), pitch), rtol=0, atol=1e-6
    )


# -- strategies -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", [t.name for t in TILINGS])
@pytest.mark.parametrize(("shape", "patch"), [((40, 40), 16), ((33, 50), 16), ((10, 10), 16), ((32, 32), 16)])
def test_every_strategy_draws_partitions_that_cover_the_image(
    strategy: str, shape: tuple[int, int], patch: int
) -> None:
    tiling = make_tiling(strategy, shape, patch, Frame(40, 24))
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(1, *shape, generator=rng)
    for _ in range(10):
        part = tiling.draw(rng)
        assert torch.allclose(part.assemble(part.extract(x)), x, rtol=0, atol=1e-6)


def test_random_offsets_are_uniform_and_reach_both_ends() -> None:
    """{0..M}: the published code never draws M. Chi-squared below its 1e-6 quantile for 8 degrees."""
    shape, patch = (10, 13), 6  # paddings 2 and 5
    tiling, rng = make_tiling("random", shape, patch, Frame(10, 2)), torch.Generator().manual_seed(1)
    draws = 1800
    found = Counter(tiling.draw(rng).offset for _ in range(draws))
    assert set(found) == {(a, b) for a in range(3) for b in range(6)}
    expected = draws / 18
    assert sum((n - expected) ** 2 / expected for n in found.values()) < 62


def test_random_draws_follow_the_generator_only() -> None:
    tiling = make_tiling("random", (64, 64), 24, Frame(64, 8))
    torch.manual_seed(3)
    first = [tiling.draw(torch.Generator().manual_seed(7)).offset for _ in range(3)]
    assert len(set(first)) == 1
    rng = torch.Generator().manual_seed(7)
    assert len({tiling.draw(rng).offset for _ in range(20)}) > 5


@pytest.mark.parametrize("strategy", [t.name for t in TILINGS])
def test_every_strategy_follows_its_generator(strategy: str) -> None:
    def drawn(seed: int) -> list[Partition]:
        tiling, rng = make_tiling(strategy, (64, 64), 24, Frame(64, 8)), torch.Generator().manual_seed(seed)
        return [tiling.draw(rng, sigma) for sigma in (1.0, 0.5, 0.001)]

    assert drawn(3) == drawn(3)
    assert strategy in ("fixed", "inside", "whole") or drawn(3) != drawn(4)


# -- overlapping tiles ------------------------------------------------------------------------------------

BLENDS: tuple[Blend, ...] = ("uniform", "hann", "stitch")


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 50), columns=st.integers(1, 50), patch=st.integers(1, 40), cut=st.floats(0, 1),
    blend=st.sampled_from(BLENDS), where=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=3),
)  # fmt: skip
def test_weights_of_overlapping_tiles_sum_to_one(
    rows: int, columns: int, patch: int, cut: float, blend: Blend, where: list[tuple[float, float]]
) -> None:
    stride = max(1, round(cut * patch), patch // 4)
    pads = tiles_and_pad(rows, patch, stride)[1], tiles_and_pad(columns, patch, stride)[1]
    offsets = [(round(a * pads[0]), round(b * pads[1])) for a, b in where]
    part = Partition(
        (rows, columns), patch, pads, offsets[0], Frame(rows, pads[0]), stride, tuple(offsets[1:]), blend
    )
    x = torch.randn(2, rows, columns, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(part.assemble(part.extract(x)), x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("strategy", ["fixed", "inside", "whole"])
def test_fixed_inside_and_whole_never_move_and_draw_nothing(strategy: str) -> None:
    tiling, rng = make_tiling(strategy, (64, 64), 24, Frame(64, 8)), torch.Generator().manual_seed(0)
    before = rng.get_state()
    assert len({tiling.draw(rng).offset for _ in range(5)}) == 1
    assert torch.equal(rng.get_state(), before)


def test_registry_and_settings_name_the_same_strategies() -> None:
    for record in TILINGS:
        assert TilingSettings(strategy=record.name).strategy == record.name  # type: ignore[arg-type]
    with pytest.raises(SettingError, match=r"random, fixed.*'spiral'"):
        make_tiling("spiral", (64, 64), 24, Frame(64, 8))
