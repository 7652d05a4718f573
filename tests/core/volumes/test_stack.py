"""A volume in one run: its slices are those of single runs, groups along z add up, the same seed gives the same bits."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from padis_gui.core.exports.about import About, read_export, read_pages
from padis_gui.core.exports.content import IteratePicture, MeasuredScan, RunContent
from padis_gui.core.exports.registry import EXPORTS, ExportSettings, write_export
from padis_gui.core.files.read import read_image, read_volume
from padis_gui.core.physics.scanner import FanBeamSettings, ParallelBeamSettings
from padis_gui.core.prior.checkpoint import load_prior
from padis_gui.core.prior.partition import Partition
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.seams import measure_along_z, z_seam_ratio
from padis_gui.core.prior.slices import Groups, StackSettings, ZTiling, ZTilingName, neighbours, reflected
from padis_gui.core.prior.stack import StackPartition, stacked
from padis_gui.core.prior.tiling import RandomTiling, TilingSettings
from padis_gui.core.runs.engine import Result, Run, finish
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import Opened
from padis_gui.core.runs.recipe import Recipe, make_recipe
from padis_gui.core.runs.repeat import Repeater
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import InputError, SettingError
from padis_gui.core.solvers.registry import find_solver
from padis_gui.core.volumes.request import slice_recipe
from tests.volumes import across_file, colour_file, write_stack

CPU = torch.device("cpu")
SLICES = 5
Z_TILINGS: tuple[ZTilingName, ...] = ("random", "fixed", "low-discrepancy", "average", "window")
# Every solver whose steps look at each slice by itself, with few steps
APART: dict[str, dict[str, Any]] = {
    "fast": {"steps": 3, "cg_steps": 3},
    "quality": {"steps": 3, "cg_steps": 3},
    "diffpir": {"steps": 3, "cg_steps": 3},
    "langevin-cg": {"steps": 2, "inner": 2, "cg_steps": 3},
    "dds": {"steps": 3, "cg_steps": 3},
    "padis-dps": {"steps": 2, "inner": 2},
    "padis-dps-preconditioned": {"steps": 3, "cg_steps": 3},
    "langevin": {"steps": 2, "inner": 2},
    "langevin-proximal": {"steps": 3, "cg_steps": 3},
    "pigdm": {"steps": 3, "cg_steps": 3},
    "red-diff": {"steps": 3},
    "resample": {"steps": 3, "every": 2, "cg_steps": 3},
    "predictor-corrector": {"steps": 2, "cg_steps": 3},
    "ve-ddnm": {"steps": 3, "cg_steps": 3},
    "baseline": {},
    "least-squares": {"steps": 5},
    "sirt": {"steps": 5},
    "tv": {"steps": 20},
    "pnp-admm": {"steps": 3, "cg_steps": 3},
    "red": {"steps": 3, "cg_steps": 3},
}


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    return write_stack(tmp_path / "stack.tif", SLICES)


def opened(
    stack: Path, prior: PatchPrior, prior_path: Path, across: Path | None = None, **more: Any
) -> Opened:
    return Opened(
        image=read_volume(stack, range(SLICES)), data_path=stack, prior=prior, prior_path=prior_path,
        across=None if across is None else load_prior(across, CPU, "float32"), across_path=across, **more,
    )  # fmt: skip


def method(
    solver: str = "dds",
    values: dict[str, Any] | None = None,
    *,
    noise: float = 0.0,
    fan: bool = False,
    **settings: Any,
) -> Method:
    problem = (FanBeamSettings if fan else ParallelBeamSettings)(views=12, bins=48, noise=noise)
    chosen = make(find_solver(solver).settings_type, APART[solver] if values is None else values)
    return Method(
        physics="ct-fan" if fan else "ct-parallel", problem=problem, tiling=TilingSettings(strategy="random"),
        solver=solver, settings=chosen, stack=StackSettings(**settings),
    )  # fmt: skip


def run(of: Opened, chosen: Method, seed: int = 3) -> Result:
    return finish(Run(make_recipe(of, chosen, seed), of))


# A prior of single slices --------------------------------------------------------------------------------------


@pytest.mark.parametrize("fan", [False, True])
@pytest.mark.parametrize("solver", APART)
def test_a_volume_of_single_slices_is_what_each_gives_alone(
    stack: Path, prior, prior_path: Path, solver: str, fan: bool
) -> None:
    """Bit for bit: each slice meets the noise, the tilings and the padding that it would meet alone."""
    chosen = method(solver, fan=fan)
    whole = run(opened(stack, prior, prior_path), chosen)
    assert whole.pixels.shape == (SLICES, 32, 32)
    for page in (0, SLICES - 1):
        one = Opened(image=read_image(stack, page), data_path=stack, prior=prior, prior_path=prior_path)
        alone = run(one, replace(chosen, stack=None))
        assert np.array_equal(whole.pixels[page : page + 1], alone.pixels)


def test_a_group_of_one_slice_is_that_slice_with_noise_too(stack: Path, prior, prior_path: Path) -> None:
    chosen = method("fast", noise=0.05)
    volume = replace(opened(stack, prior, prior_path), image=read_volume(stack, [2]))
    recipe = make_recipe(replace(volume, image=read_image(stack, 2)), replace(chosen, stack=None), 3)
    alone = Repeater(CPU).run(slice_recipe(recipe, 2, simulated=True))
    assert np.array_equal(run(volume, chosen).pixels, alone.pixels)


def test_slices_have_noise_of_their_own(stack: Path, prior, prior_path: Path) -> None:
    of, chosen = opened(stack, prior, prior_path), method("baseline", noise=0.1)
    clean, noisy = (Run(make_recipe(of, each, 3), of) for each in (method("baseline"), chosen))
    for each in (clean, noisy):
        finish(each)
    assert clean.prepared is not None
    assert noisy.prepared is not None
    found = noisy.prepared.problem.measurement - clean.prepared.problem.measurement
    assert found.shape == (SLICES, 12, 48)
    correlation = torch.corrcoef(found.flatten(1)) - torch.eye(SLICES)
    assert correlation.abs().max() < 0.2


def test_slices_together_differ_by_rounding_only(stack: Path, prior, prior_path: Path) -> None:
    of = opened(stack, prior, prior_path)
    one, many = (run(of, method("fast", slices_together=n)) for n in (1, 4))
    assert np.abs(one.pixels - many.pixels).max() < 2000 * 1e-4


def test_the_batch_stays_as_large_as_it_is(stack: Path, prior, prior_path: Path, tmp_path: Path) -> None:
    """Memory depends on the patch batch alone, however many slices there are and go together."""
    across = load_prior(across_file(tmp_path), CPU, "float32")
    seen: list[int] = []
    counting = [
        used.network.register_forward_pre_hook(lambda _module, args: seen.append(len(args[0])))
        for used in (prior, across)
    ]
    for together in (1, 2, 16):
        made = replace(
            stacked(prior, across, StackSettings(slices_together=together, across_above=0.5), 2.5), patch_batch=4
        )  # fmt: skip
        partition = RandomTiling((32, 32), 16, made.conventions.frame).draw(torch.Generator())
        for sigma in (0.1, 1.0):
            made.denoise(torch.rand(7, 32, 32), sigma, partition, torch.Generator())
    for each in counting:
        each.remove()
    assert max(seen) <= 4 * (32 // 16) ** 2


# A prior across slices -----------------------------------------------------------------------------------------


def test_a_prior_that_was_grown_of_one_of_single_slices_is_that_one(
    stack: Path, prior, prior_path: Path, tmp_path: Path
) -> None:
    """At its first step the neighbours and their distance say nothing."""
    across = load_prior(across_file(tmp_path, grown=True), CPU, "float32")
    x = torch.rand(SLICES, 32, 32)
    partition = RandomTiling((32, 32), 16, prior.conventions.frame).draw(torch.Generator().manual_seed(1))
    for spacing in (1.0, 5.0):
        grown = stacked(across, None, StackSettings(), spacing)
        rng = torch.Generator().manual_seed(2)
        found = grown.denoise(x, 0.3, partition, rng)
        alone = stacked(prior, across, StackSettings(across_above=1000.0), spacing)
        rng.manual_seed(2)
        assert torch.allclose(found, alone.denoise(x, 0.3, partition, rng), atol=1e-5)


def test_neighbours_and_their_distance_count_once_it_is_trained(tmp_path: Path) -> None:
    across = load_prior(across_file(tmp_path), CPU, "float32")
    partition = RandomTiling((32, 32), 16, across.conventions.frame).draw(torch.Generator())
    x = torch.rand(SLICES, 32, 32)
    moved = x.clone()
    moved[1] += 0.5

    def denoised(volume: torch.Tensor, spacing: float) -> torch.Tensor:
        made = stacked(across, None, StackSettings(), spacing)
        return made.denoise(volume, 0.3, partition, torch.Generator().manual_seed(1))

    one, other = denoised(x, 2.0), denoised(moved, 2.0)
    changed = (one - other).abs().flatten(1).amax(1) > 0
    assert changed.tolist() == [True, True, True, False, False]
    assert not torch.equal(one, denoised(x, 4.0))
    assert torch.equal(denoised(x, 6.0), denoised(x, 50.0)), (
        "beyond its training it is told the nearest distance"
    )


@pytest.mark.parametrize("out", ["middle", "all"])
@pytest.mark.parametrize("above", [0.0, 0.2, 1000.0])
def test_the_same_seed_gives_the_same_bits_and_repeats_from_the_recipe(
    stack: Path, prior, prior_path: Path, tmp_path: Path, out: str, above: float
) -> None:
    of = opened(stack, prior, prior_path, across_file(tmp_path, out))
    chosen = method("dds", across_above=above, z_tiling="random")
    first, again, other = run(of, chosen), run(of, chosen), run(of, chosen, seed=4)
    assert np.array_equal(first.pixels, again.pixels)
    assert not np.array_equal(first.pixels, other.pixels)
    assert first.metrics["z_step"] > 0
    recipe = Recipe.model_validate_json(first.recipe.model_dump_json())
    assert recipe.stack is not None
    assert recipe.stack.pages == tuple(range(SLICES))
    assert (recipe.stack.settings.slice_spacing, recipe.stack.settings.across_above) == (2.5, above)
    assert np.array_equal(Repeater(CPU).run(recipe).pixels, first.pixels)


def test_below_its_level_the_prior_of_single_slices_is_asked(
    stack: Path, prior, prior_path: Path, tmp_path: Path
) -> None:
    across = load_prior(across_file(tmp_path), CPU, "float32")
    asked: list[str] = []
    asking = prior.network.register_forward_hook(lambda *_: asked.append("single"))
    across.network.register_forward_hook(lambda *_: asked.append("across"))
    made = stacked(prior, across, StackSettings(across_above=0.2), 2.5)
    partition = RandomTiling((32, 32), 32, prior.conventions.frame).draw(torch.Generator())
    for sigma, wanted in ((0.5, "across"), (0.2, "across"), (0.19, "single")):
        asked.clear()
        made.denoise(torch.rand(3, 32, 32), sigma, partition, torch.Generator())
        assert set(asked) == {wanted}
    asking.remove()


def test_what_does_not_go_together_is_said(stack: Path, prior, prior_path: Path, tmp_path: Path) -> None:
    path = across_file(tmp_path)
    across = load_prior(path, CPU, "float32")
    single = Opened(image=read_image(stack, 0), data_path=stack, prior=across, prior_path=path)
    with pytest.raises(SettingError, match="single image"):
        make_recipe(single, method(), 1)
    with pytest.raises(SettingError, match="beside that of single slices"):
        stacked(prior, prior, StackSettings(), 1.0)
    with pytest.raises(SettingError, match="both are across"):
        stacked(across, across, StackSettings(), 1.0)
    with pytest.raises(SettingError, match="distance of the slices"):
        stacked(prior, across, StackSettings(), None)
    other = replace(across, conventions=across.conventions.model_copy(update={"window": (0.0, 1.0)}))
    with pytest.raises(SettingError, match="window"):
        stacked(prior, other, StackSettings(), 1.0)
    path = colour_file(tmp_path)
    with pytest.raises(SettingError, match="3 colours"):
        make_recipe(opened(stack, load_prior(path, CPU, "float32"), path), method(), 1)
    partition = RandomTiling((32, 32), 16, across.conventions.frame).draw(torch.Generator())
    with pytest.raises(SettingError, match="single slices"):
        across.denoise(torch.rand(1, 32, 32), 0.5, partition, torch.Generator())


def test_a_volume_is_of_grey_slices_of_one_size(tmp_path: Path) -> None:
    import tifffile

    with tifffile.TiffWriter(tmp_path / "sizes.tif") as file:
        for side in (32, 40):
            file.write(np.zeros((side, side), np.float32) + np.eye(side, dtype=np.float32))
    with pytest.raises(InputError, match="one size"):
        read_volume(tmp_path / "sizes.tif", [0, 1])


# Groups along z ------------------------------------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(2, 9), st.sampled_from(Z_TILINGS), st.integers(0, 2**31))
def test_groups_cover_the_volume_and_their_weights_add_up_to_one(
    count: int, slices: int, name: ZTilingName, seed: int
) -> None:
    rng = torch.Generator().manual_seed(seed)
    tiling = ZTiling(count, slices, StackSettings(z_tiling=name))
    for groups in (tiling.draw(rng) for _ in range(3)):
        total = np.zeros(count)
        for members, shares in zip(groups.members, groups.shares, strict=True):
            assert len(members) == slices
            assert all(0 <= z < count for z in members)
            for place, z, weight in shares:
                assert members[place] == z
                assert weight > 0
                total[z] += weight
        assert total == pytest.approx(1)
        assert groups.seams.shape == (count - 1,)


@given(st.integers(1, 30), st.integers(-40, 70))
def test_reflection_keeps_distances(count: int, index: int) -> None:
    """A slice and the next one are neighbours in the volume, too; none is there twice in a row."""
    one, following = reflected(index, count), reflected(index + 1, count)
    assert 0 <= one < count
    assert abs(one - following) == (1 if count > 1 else 0)
    assert reflected(one, count) == one
    assert neighbours(one, 3, count)[1] == one


def test_random_groups_begin_everywhere_and_fixed_ones_stay() -> None:
    rng = torch.Generator().manual_seed(0)
    for name, least in (("random", 3), ("low-discrepancy", 3), ("fixed", 1)):
        tiling = ZTiling(10, 3, StackSettings(z_tiling=name))
        places = {tuple(tiling.draw(rng).seams.tolist()) for _ in range(40)}
        assert len(places) == least


def test_the_groups_of_a_call_are_told(stack: Path, prior, prior_path: Path, tmp_path: Path) -> None:
    of = opened(stack, prior, prior_path, across_file(tmp_path, "all"))
    chosen = method("dds", across_above=0.2)
    partitions = [iterate.partition for iterate in Run(make_recipe(of, chosen, 1), of).steps()]
    assert all(isinstance(partition, Partition) for partition in partitions)
    told = [getattr(partition, "groups", None) for partition in partitions]
    assert isinstance(partitions[0], StackPartition)
    assert isinstance(told[0], Groups)
    assert told[-1] is None, "the prior of single slices has none"


def test_seams_along_z_are_seen_and_are_none_where_nothing_is() -> None:
    groups = Groups(12, 3, (0,), 3)
    steps = torch.full((11, 1, 1), 0.01)
    smooth = torch.cat([torch.zeros(1, 1, 1), steps.cumsum(0)]).expand(12, 8, 8)
    assert z_seam_ratio(smooth, groups.seams) == pytest.approx(1)
    steps[groups.seams] *= 3
    stepped = torch.cat([torch.zeros(1, 1, 1), steps.cumsum(0)]).expand(12, 8, 8)
    assert z_seam_ratio(stepped, groups.seams) == pytest.approx(3)
    assert z_seam_ratio(stepped, groups.seams, truth=stepped) == pytest.approx(1)
    found = measure_along_z(stepped, smooth, groups.seams)
    assert found["z_seam"] == pytest.approx(3)
    assert found["z_step_ratio"] > 1
    assert measure_along_z(smooth[:1]) == {}


def test_every_export_of_a_volume_is_written_and_the_stack_is_read_again(
    stack: Path, prior, prior_path: Path, tmp_path: Path
) -> None:
    """Pages to look at show its middle slice."""
    of = opened(stack, prior, prior_path)
    made = Run(make_recipe(of, method("fast"), 3), of)
    result = finish(made)
    assert made.prepared is not None
    about = About.of(result, "volume")
    pictures = tuple(IteratePicture(step=n, total=2, sigma=0.1, pixels=result.pixels) for n in (1, 2))
    content = RunContent(
        name="it", title="A volume", result=result, about=about, pictures=pictures, truth=result.pixels,
        curves={"step": [1.0, 2.0], "sigma": [0.2, 0.1], "residual": [0.2, 0.1]},
        measured=MeasuredScan.of(made.prepared),
    )  # fmt: skip
    for kind in EXPORTS:
        suffix = kind.types[0].suffixes[0]
        write_export(content, tmp_path / f"{kind.name}{suffix}", ExportSettings(what=kind.name))
    export = read_export(tmp_path / "result.tif")
    assert (export.about.kind, export.about.pages) == ("volume", tuple(range(SLICES)))
    assert np.array_equal(np.concatenate(read_pages(export)[0]), result.pixels)
    again = read_volume(tmp_path / "result.tif", range(SLICES))
    assert np.array_equal(again.pixels, result.pixels)
    assert (again.slice_spacing, again.spacing) == (2.5, (0.5, 0.5))
