"""Every strategy, list-driven: a partition of unity that covers the image, drawn from the generator alone."""

import pytest
import torch

from padis_gui.core.prior.partition import Frame, Partition, tiles_and_pad
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.tiling import TILINGS, Tiling, TilingSettings, make_tiling, strategy_and_patch
from padis_gui.core.settings.errors import SettingError

SHAPES = [((40, 40), 16), ((33, 50), 16), ((24, 24), 24), ((20, 28), 32)]
NAMES = [record.name for record in TILINGS]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tiling(name: str, shape: tuple[int, int], patch: int, **values: object) -> Tiling:
    settings = TilingSettings.model_validate({"strategy": name, "overlap": 4, **values})
    return make_tiling(name, shape, patch, Frame(shape[0], tiles_and_pad(shape[0], patch)[1]), settings)


def coverage(part: Partition) -> torch.Tensor:
    count = torch.zeros(part.padded_shape, dtype=torch.int64)
    for box in part.boxes:
        assert min(box.row, box.column) >= 0
        assert box.row + box.size <= part.padded_shape[0]
        assert box.column + box.size <= part.padded_shape[1]
        count[box.row : box.row + box.size, box.column : box.column + box.size] += 1
    (rows, columns), (top, left) = part.image_shape, part.pad
    return count[top : top + rows, left : left + columns]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("shape", "patch"), SHAPES)
@pytest.mark.parametrize("sigma", [1.0, 0.001])
def test_assemble_undoes_extract(name: str, shape: tuple[int, int], patch: int, sigma: float) -> None:
    drawn, generator = tiling(name, shape, patch), rng()
    x = torch.randn(2, *shape, generator=rng(1), dtype=torch.float64)
    for _ in range(12):
        part = drawn.draw(generator, sigma)
        assert bool((coverage(part) >= 1).all())
        assert torch.allclose(part.assemble(part.extract(x)), x, rtol=0, atol=1e-12)
        assert part.positions().shape == (len(part.boxes), 2, part.patch, part.patch)
        assert part.patch == patch or name == "whole"


@pytest.mark.parametrize("name", NAMES)
def test_same_generator_same_partitions(name: str) -> None:
    first, second = ([part.boxes for part in draws(tiling(name, (40, 40), 16), 6)] for _ in range(2))
    assert first == second


def draws(drawn: Tiling, count: int, sigma: float = 1.0) -> list[Partition]:
    generator = rng(3)
    return [drawn.draw(generator, sigma) for _ in range(count)]


def test_overlapping_tiles_are_averaged_by_their_weights() -> None:
    """Constant tiles 0, 1, 2, ... give the weighted mean of the tiles over each pixel."""
    part = draws(tiling("window", (40, 40), 16), 1)[0]
    values = torch.arange(len(part.boxes), dtype=torch.float64)
    image = part.assemble(values[:, None, None, None].expand(-1, 1, 16, 16))
    low, high = torch.full((40, 40), torch.inf), torch.full((40, 40), -torch.inf)
    for value, box in zip(values.tolist(), part.boxes, strict=True):
        top, left = box.row - part.pad[0], box.column - part.pad[1]
        rows, columns = slice(max(top, 0), top + 16), slice(max(left, 0), left + 16)
        low[rows, columns] = low[rows, columns].clamp(max=value)
        high[rows, columns] = high[rows, columns].clamp(min=value)
    assert bool(((image[0] >= low - 1e-9) & (image[0] <= high + 1e-9)).all())
    # Hann weights fade out: no step between neighbours as large as the step between their tiles
    assert float(image[0].diff(dim=1).abs().max()) < 0.35


def test_stitch_puts_the_later_tile_on_top() -> None:
    part = draws(tiling("stitch", (40, 40), 16), 1)[0]
    values = torch.arange(len(part.boxes), dtype=torch.float32)
    image = part.assemble(values[:, None, None, None].expand(-1, 1, 16, 16))
    last = part.boxes[-1]
    corner = (slice(last.row - part.pad[0], None), slice(last.column - part.pad[1], None))
    assert bool((image[0][corner] == len(part.boxes) - 1).all())
    assert set(image.unique().tolist()) <= set(values.tolist())


def test_average_places_k_disjoint_grids() -> None:
    part = draws(tiling("average", (40, 40), 16, average=3), 1)[0]
    assert len(part.more_offsets) == 2
    assert bool((coverage(part) == 3).all())


def test_auto_is_random_above_and_window_below_sigma_w() -> None:
    auto = tiling("auto", (40, 40), 16, window_below=0.03)
    assert not draws(auto, 1, sigma=0.031)[0].overlapping
    below = draws(auto, 1, sigma=0.029)[0]
    assert below.overlapping
    assert below.blend == "hann"


@pytest.mark.parametrize(("shape", "patch"), [*SHAPES, ((256, 200), 96), ((31, 32), 300)])
def test_whole_is_one_tile_with_the_image_in_its_middle(shape: tuple[int, int], patch: int) -> None:
    part = draws(tiling("whole", shape, patch), 1)[0]
    (box,) = part.boxes
    assert box.size >= max(shape)
    assert box.size == patch or (box.size % 32 == 0 and box.size <= max(shape) + 32)
    for axis, corner in enumerate((box.row, box.column)):
        before = part.pad[axis] - corner
        assert abs(before - (box.size - shape[axis] - before)) <= 1


def test_whole_takes_any_prior_and_a_patch_as_large_as_the_image_becomes_it(prior: PatchPrior) -> None:
    """The tiny prior knows patches of 32 and 16 px and divides by 4."""

    def found(strategy: str, shape: tuple[int, int], patch: int | None = None) -> tuple[str, int]:
        chosen = TilingSettings.model_validate({"strategy": strategy, "patch": patch})
        return strategy_and_patch(chosen, shape, prior)

    assert found("whole", (64, 50)) == ("whole", 68)
    assert found("whole", (64, 50), 16) == ("whole", 68)
    assert found("whole", (20, 28)) == ("whole", 32)  # a trained size where one fits
    assert found("whole", (20, 28), 8) == ("whole", 32)
    for strategy in NAMES[:-1]:
        assert found(strategy, (64, 50)) == (strategy, 32)
        assert found(strategy, (20, 36), 16) == (strategy, 16)
        assert found(strategy, (28, 20)) == ("whole", 32)
        assert found(strategy, (32, 32)) == ("whole", 32)  # what a whole-image prior is trained on
    used = TilingSettings(strategy="whole", patch=68)
    assert strategy_and_patch(used, (64, 50), prior) == ("whole", 68)  # what a recipe holds means itself
    with pytest.raises(SettingError, match="trained on"):
        found("random", (64, 64), 40)
    with pytest.raises(SettingError, match="less than 4096 px"):
        found("whole", (5000, 20))


def test_auto_is_what_is_chosen_by_default() -> None:
    assert (TilingSettings().strategy, TilingSettings().window_below) == ("auto", None)


def test_low_discrepancy_visits_offsets_more_evenly_than_chance() -> None:
    folded = [
        (a // 2, b // 2) for a, b in (p.offset for p in draws(tiling("low-discrepancy", (41, 41), 16), 640))
    ]
    cells = {cell: folded.count(cell) for cell in set(folded)}
    assert len(cells) == 16  # M = 7: four by four cells of offsets
    assert max(cells.values()) - min(cells.values()) <= 8  # chance alone gives about 25


@pytest.mark.parametrize("overlap", [1, 15, 400])
def test_any_overlap_leaves_a_stride_of_at_least_one(overlap: int) -> None:
    part = draws(tiling("overlap", (24, 24), 16, overlap=overlap), 1)[0]
    assert bool((coverage(part) >= 1).all())


def test_the_tile_under_a_pixel_is_the_one_whose_edge_is_farthest() -> None:
    part = draws(tiling("window", (40, 40), 16), 1)[0]
    for row, column in ((0, 0), (7, 33), (39, 12)):
        found = part.tile_at(row, column)
        assert found is not None
        box = part.boxes[found[0]]
        assert box.row <= row + part.pad[0] < box.row + box.size
        assert box.column <= column + part.pad[1] < box.column + box.size
    assert part.tile_at(-1, 3) is None
    assert part.tile_at(3, 40) is None
