"""Volumes: every slice once, the same bits however one gets there, consistent along z, and no more memory for more."""

import json
import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from padis_gui.core.exports.about import read_export, read_pages
from padis_gui.core.files.read import read_image
from padis_gui.core.runs.repeat import Repeater
from padis_gui.core.settings.errors import InputError, Interrupted, SettingError
from padis_gui.core.volumes.parts import Parts
from padis_gui.core.volumes.request import VolumeRequest, pages_text, parse_pages, slice_recipe
from padis_gui.core.volumes.run import (
    SliceDone,
    SliceFailed,
    VolumeBegan,
    VolumeDone,
    as_line,
    in_this_process,
    reconstruct_volume,
)
from tests.volumes import volume_request, write_stack


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    return write_stack(tmp_path / "stack.tif", 5)


@pytest.fixture
def wanted(stack: Path, prior, prior_path: Path, tmp_path: Path):
    def make(name: str = "volume.tif", **settings) -> VolumeRequest:
        return volume_request(stack, prior, prior_path, tmp_path / name, **settings)

    return make


def pixels_of(path: Path) -> np.ndarray:
    return np.stack(read_pages(read_export(path))[0])


def test_every_slice_is_made_and_written_in_order(wanted) -> None:
    request = wanted(slice_spacing=2.5)
    events = list(reconstruct_volume(request))
    assert isinstance(events[0], VolumeBegan)
    assert (events[0].total, events[0].done) == (5, 0)
    assert [e.page for e in events if isinstance(e, SliceDone)] == [0, 1, 2, 3, 4]
    done = events[-1]
    assert isinstance(done, VolumeDone)
    assert done.pages == (0, 1, 2, 3, 4)
    assert not request.folder.exists()
    with tifffile.TiffFile(request.out) as file:
        assert file.series[0].axes == "ZYX"
        assert file.series[0].shape == (5, 32, 32)
        assert file.series[0].dtype == np.float32
        assert file.imagej_metadata["spacing"] == 2.5
        assert file.imagej_metadata["unit"] == "mm"
        assert file.imagej_metadata["Labels"] == [f"page {z}" for z in range(5)]
    about = read_export(request.out).about
    assert (about.kind, about.pages, about.spacing) == ("volume", request.pages, (0.5, 0.5))
    mean = np.mean([m["psnr"] for m in about.slice_metrics])
    assert done.metrics["psnr"] == pytest.approx(mean)
    assert read_export(request.out).metrics["psnr"] == pytest.approx(mean)
    assert all(json.loads(as_line(event))["event"] for event in events)


def test_a_slice_is_what_its_recipe_gives_alone(wanted) -> None:
    """The same bits as a single run; solver noise is shared along z, noise of the measurement is not."""
    request = wanted()
    list(reconstruct_volume(request))
    recipes = [slice_recipe(request.template, page, simulated=True) for page in (1, 4)]
    assert recipes[0].seed == recipes[1].seed == 3
    assert recipes[0].measurement_seed != recipes[1].measurement_seed
    for recipe in recipes:
        alone = Repeater(torch.device("cpu")).run(recipe)
        assert np.array_equal(alone.pixels, pixels_of(request.out)[recipe.data.page])


def test_equal_slices_come_out_equal(prior, prior_path: Path, tmp_path: Path) -> None:
    """Without noise in the data, what differs along z comes of the data alone."""
    stack = write_stack(tmp_path / "same.tif", 3, moving=False)
    request = volume_request(stack, prior, prior_path, tmp_path / "out.tif", noise=0.0)
    list(reconstruct_volume(request))
    first, *others = pixels_of(request.out)
    assert all(np.array_equal(first, other) for other in others)


def test_it_goes_on_where_it_was_interrupted(wanted) -> None:
    whole, broken = wanted("whole.tif", z_smoothing=0.5), wanted("broken.tif", z_smoothing=0.5)
    list(reconstruct_volume(whole))

    def check() -> None:
        if len(list(broken.folder.glob("slice-*"))) == 2:
            raise Interrupted

    seen = []
    with pytest.raises(Interrupted):
        seen.extend(reconstruct_volume(broken, in_this_process(check=check)))
    made = {path.name: path.stat().st_mtime_ns for path in broken.folder.glob("slice-*")}
    assert 0 < len(made) < 5
    events = list(reconstruct_volume(broken))
    assert events[0].done == len(made)
    assert sum(e.kept for e in events if isinstance(e, SliceDone)) == len(made)
    assert np.array_equal(pixels_of(whole.out), pixels_of(broken.out))


def test_damaged_slices_are_made_again_and_half_written_ones_do_not_count(wanted) -> None:
    request, other = wanted(), wanted("other.tif")
    list(reconstruct_volume(other))
    events = reconstruct_volume(request)
    while not (isinstance(event := next(events), SliceDone) and event.page == 3):
        pass
    events.close()
    parts = Parts(request.folder)
    for page, damage in ((0, b""), (1, b"\x08" * 400)):
        parts.path(page).write_bytes(damage)
    whole = parts.path(2).read_bytes()
    parts.path(2).write_bytes(whole[:-3] + bytes(3))  # pixels that are not those of the record
    (request.folder / ".slice-000003.safetensors.abcdef01").write_bytes(b"torn")
    again = list(reconstruct_volume(request))
    assert [e.page for e in again if isinstance(e, SliceDone) and e.kept] == [3]
    assert [e.page for e in again if isinstance(e, SliceDone) and not e.kept] == [0, 1, 2, 4]
    assert np.array_equal(pixels_of(request.out), pixels_of(other.out))
    assert not request.folder.exists()


def test_a_volume_that_the_disk_refuses_is_written_by_the_next_start(wanted, monkeypatch) -> None:
    from padis_gui.core.exports import tiff

    request, other = wanted(), wanted("other.tif")

    def full(_path):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(tiff, "writing_atomically", full)
        with pytest.raises(
            InputError, match=r"No space left on device.* slices are kept in .*volume\.tif\.parts: the same"
        ):
            list(reconstruct_volume(request))
    again = list(reconstruct_volume(request))
    assert all(event.kept for event in again if isinstance(event, SliceDone))
    list(reconstruct_volume(other))
    assert np.array_equal(pixels_of(request.out), pixels_of(other.out))


def test_slices_of_other_settings_are_not_mixed_in(wanted) -> None:
    events = reconstruct_volume(wanted())
    next(events), next(events)
    events.close()
    with pytest.raises(InputError, match=r"the seed.*--restart"):
        next(reconstruct_volume(wanted(seed=4)))
    wider = wanted(z_smoothing=1.0)  # smoothing and the range of pages only add to what is there
    assert next(reconstruct_volume(wider)).done == 1
    (wanted().folder / "volume.json").write_text("[]")
    with pytest.raises(InputError, match="--restart"):
        next(reconstruct_volume(wanted()))
    assert next(reconstruct_volume(wanted(seed=4), restart=True)).done == 0


def test_a_finished_volume_is_not_made_again(wanted) -> None:
    first = list(reconstruct_volume(wanted()))[-1]
    before = first.out.stat().st_mtime_ns
    (only,) = reconstruct_volume(wanted())
    assert (only.kept, only.metrics, only.out.stat().st_mtime_ns) == (True, first.metrics, before)
    assert len(list(reconstruct_volume(wanted(pages="0-2")))) > 1
    assert len(list(reconstruct_volume(wanted(pages="0-2"), restart=True))) > 1


def test_a_slice_that_fails_does_not_cost_the_others(wanted, stack: Path) -> None:
    request = wanted()
    pages = tifffile.imread(stack).astype(np.float32)
    pages[3, 0, 0] = np.nan
    damaged = stack.with_name("damaged.tif")
    tifffile.imwrite(damaged, pages)
    data = request.template.data.model_copy(update={"file": str(damaged), "sha256": ""})
    request = request.model_copy(update={"template": request.template.model_copy(update={"data": data})})
    events = list(reconstruct_volume(request))
    assert [e.page for e in events if isinstance(e, SliceDone)] == [0, 1, 2, 4]
    assert isinstance(failure := next(e for e in events if isinstance(e, SliceFailed)), SliceFailed)
    assert failure.page == 3
    assert "NaN" in failure.trouble
    assert not request.out.exists()
    assert len(list(request.folder.glob("slice-*"))) == 4


def test_smoothing_makes_slices_agree_and_not_worse(prior, prior_path: Path, tmp_path: Path) -> None:
    """A body that is the same in every slice, measured with noise: nearer to each other, and nearer to the truth."""
    stack = write_stack(tmp_path / "same.tif", 5, moving=False)
    found = {}
    for z_smoothing in (0.0, 1.0):
        request = volume_request(
            stack, prior, prior_path, tmp_path / f"{z_smoothing}.tif", solver="tv", noise=0.05,
            solver_settings={"steps": 30}, z_smoothing=z_smoothing,
        )  # fmt: skip
        found[z_smoothing] = list(reconstruct_volume(request))[-1].metrics
    assert found[1.0]["z_difference"] < 0.6 * found[0.0]["z_difference"]
    assert found[1.0]["psnr"] > found[0.0]["psnr"] + 0.3
    assert found[1.0]["psnr_unsmoothed"] == found[0.0]["psnr"]


def test_no_smoothing_changes_no_bit(wanted) -> None:
    """0 has no second pass; and a smoothed volume's first pass is the volume without smoothing."""
    plain, smooth = wanted("plain.tif"), wanted("smooth.tif", z_smoothing=0.7)
    list(reconstruct_volume(plain))
    events = reconstruct_volume(smooth)
    while not (isinstance(event := next(events), SliceDone) and event.smooth):
        pass
    estimates = [Parts(smooth.folder).pixels(page) for page in smooth.pages]
    events.close()
    low, high = smooth.template.data.window
    assert np.array_equal(
        np.stack(estimates) * np.float32(high - low) + np.float32(low), pixels_of(plain.out)
    )
    list(reconstruct_volume(smooth))
    assert not np.array_equal(pixels_of(smooth.out), pixels_of(plain.out))


def test_smoothing_is_the_minimum_that_it_says(ct_problem) -> None:
    """Neighbours like the slice itself change nothing; others give what the formula's gradient calls for."""
    from padis_gui.core.physics.pixelwise import Denoising
    from padis_gui.core.physics.problem import Problem
    from padis_gui.core.volumes.slices import smoothed

    own, below, above = torch.rand((3, 1, 64, 64), generator=torch.Generator().manual_seed(0))
    problem = replace(ct_problem, noise=0.02 * ct_problem.operator.norm)
    assert torch.allclose(smoothed(problem, own, [own, own], 1.0), own, atol=1e-6)
    A = problem.operator
    found, rho = smoothed(problem, own, [below, above], 0.3), 1.0  # (σ_y / τ)²
    gradient = A.T(A(found - own)) / A.norm**2 + rho * (
        (found - own) + 0.3 * (found - below) + 0.3 * (found - above)
    )
    assert gradient.abs().max() < 1e-4
    identity = Problem(operator=Denoising((1, 64, 64)), measurement=torch.zeros(1, 64, 64), noise=0.02)
    assert torch.allclose(smoothed(identity, own, [below], 0.5), (own + own + 0.5 * below) / 2.5, atol=1e-6)


def test_smoothing_does_not_depend_on_the_order(wanted) -> None:
    def backwards(tasks):
        yield from in_this_process()(reversed(list(tasks)))

    forth, back = wanted("forth.tif", z_smoothing=1.0), wanted("back.tif", z_smoothing=1.0)
    list(reconstruct_volume(forth))
    list(reconstruct_volume(back, backwards))
    assert np.array_equal(pixels_of(forth.out), pixels_of(back.out))


def test_memory_does_not_grow_with_the_number_of_slices(prior, prior_path: Path, tmp_path: Path) -> None:
    """Three times as many slices of 64² (16 kB each) need no 100 kB more at the peak."""
    peaks = {}
    for slices in (2, 6, 18):  # the first one warms up what is kept from slice to slice
        stack = write_stack(tmp_path / f"{slices}.tif", slices, size=64)
        request = volume_request(
            stack, prior, prior_path, tmp_path / f"out{slices}.tif", solver="least-squares",
            solver_settings={"steps": 1}, z_smoothing=1.0,
        )  # fmt: skip
        tracemalloc.start()
        for _ in reconstruct_volume(request):
            pass
        peaks[slices] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[18] - peaks[6] < 100_000
    assert tifffile.imread(tmp_path / "out18.tif").nbytes > 12 * 16_000 + 100_000 - 16_000


def test_grey_values_mean_the_same_in_every_slice(prior, prior_path: Path, tmp_path: Path) -> None:
    """Pages whose own ranges differ share one window, whichever pages are wanted."""
    ramp = np.linspace(0, 1, 32 * 32, dtype=np.float32).reshape(32, 32)
    tifffile.imwrite(
        tmp_path / "s.tif", np.stack([ramp * top for top in (10.0, 20.0, 40.0)]), photometric="minisblack"
    )
    windows = set()
    for pages in ("", "0-1", "2"):
        request = volume_request(tmp_path / "s.tif", prior, prior_path, tmp_path / "o.tif", pages=pages)
        windows.add(request.template.data.window)
    assert windows == {(0.0, 40.0)}
    list(reconstruct_volume(request.model_copy(update={"pages": (0, 1)})))
    assert np.isfinite(pixels_of(tmp_path / "o.tif")).all()


def test_sizes_that_differ_are_refused_and_colours_go_along(prior, prior_path: Path, tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "odd.tif") as file:
        for side in (32, 40):
            file.write(np.zeros((side, side), np.int16) - np.arange(side, dtype=np.int16) * 30)
    request = volume_request(tmp_path / "odd.tif", prior, prior_path, tmp_path / "o.tif", noise=0.0)
    with pytest.raises(InputError, match="one size"):
        list(reconstruct_volume(request))
    assert not request.out.exists()
    assert request.folder.exists()


def test_beyond_what_imagej_holds_it_is_ome(wanted, monkeypatch: pytest.MonkeyPatch) -> None:
    """4 GB are a few kB here; slices, spacing and recipe are all there."""
    from padis_gui.core.exports import tiff as write

    monkeypatch.setattr(write, "_CLASSIC", 5 * 32 * 32 * 4 - 1)
    request = wanted(slice_spacing=2.5)
    list(reconstruct_volume(request))
    with tifffile.TiffFile(request.out) as file:
        assert file.is_ome
        assert file.is_bigtiff
        assert file.series[0].axes == "ZYX"
        assert 'PhysicalSizeZ="2.5"' in file.ome_metadata
    assert read_image(request.out, 4).pages == 5
    assert read_export(request.out).about.pages == request.pages
    assert np.array_equal(read_image(request.out, 4).pixels, pixels_of(request.out)[4])


def test_colours_stay_where_the_problem_keeps_them(prior, prior_path: Path, tmp_path: Path) -> None:
    """A grey page in a coloured stack becomes coloured, as one file has one kind of pixel."""
    from padis_gui.core.physics.pixelwise import DenoisingSettings
    from padis_gui.core.prior.tiling import TilingSettings
    from padis_gui.core.settings.declarations import make
    from padis_gui.core.solvers.registry import find_solver
    from padis_gui.core.volumes.request import VolumeSettings, make_request
    from tests.recipes import make_recipe

    pages = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    pages[1] = pages[1, ..., :1]
    stack = tmp_path / "rgb.tif"
    tifffile.imwrite(stack, pages, photometric="rgb")
    image = read_image(stack, 0)
    recipe = make_recipe(
        image=image, data_path=stack, prior=prior, prior_path=prior_path, physics="denoising",
        problem=DenoisingSettings(noise=0.05), tiling=TilingSettings(), solver="tv",
        settings=make(find_solver("tv").settings_type, {"steps": 2}), seed=1,
    )  # fmt: skip
    request = make_request(recipe, prior, VolumeSettings(z_smoothing=0.5), tmp_path / "o.tif", image)
    assert isinstance(list(reconstruct_volume(request))[-1], VolumeDone)
    result = pixels_of(request.out)
    assert result.shape == (3, 3, 32, 32)
    assert np.array_equal(result[1, 0], result[1, 2])
    assert not np.array_equal(result[0, 0], result[0, 2])


@pytest.mark.parametrize(
    ("text", "pages"),
    [("", (0, 1, 2, 3)), ("0-2", (0, 1, 2)), ("3 1", (1, 3)), ("1-2, 2-3;0", (0, 1, 2, 3)), ("2", (2,))],
)
def test_pages_from_texts(text: str, pages: tuple[int, ...]) -> None:
    assert parse_pages(text, 4) == pages
    assert parse_pages(pages_text(pages), 4) == pages


@pytest.mark.parametrize("text", ["4", "0-9", "-1", "2-1", "a", "1.5", "0--2", "9" * 30])
def test_bad_pages_are_refused(text: str) -> None:
    with pytest.raises(SettingError):
        parse_pages(text, 4)


def test_pages_texts_are_short() -> None:
    assert pages_text((0, 1, 2, 5, 7, 8)) == "0-2, 5, 7-8"


def test_smoothing_wants_neighbours(wanted) -> None:
    with pytest.raises(SettingError, match="next to each other"):
        wanted(pages="0, 2, 4", z_smoothing=1.0)


def test_a_request_comes_back_from_json(wanted) -> None:
    request = wanted(z_smoothing=0.5)
    assert VolumeRequest.model_validate_json(request.model_dump_json()) == request
    assert (request.neighbours(0), request.neighbours(2)) == ((1,), (1, 3))


def test_a_folder_that_cannot_be_is_one_sentence(wanted, tmp_path: Path) -> None:
    request = wanted()
    request.folder.write_text("a file in its place")
    with pytest.raises(InputError, match="cannot be written or read"):
        next(reconstruct_volume(request))


def test_what_else_is_in_the_folder_stays(wanted) -> None:
    request = wanted(pages="0-1")
    request.folder.mkdir()
    (request.folder / "notes.txt").write_text("mine")
    list(reconstruct_volume(request))
    assert [path.name for path in request.folder.iterdir()] == ["notes.txt"]
    shutil.rmtree(request.folder)


def test_a_degraded_stack_has_no_truth(prior, prior_path: Path, tmp_path: Path) -> None:
    """A stack that is the measurement itself: no noise is drawn, and nothing is compared with."""
    from padis_gui.core.images.image import ReadingSettings
    from padis_gui.core.physics.pixelwise import DenoisingSettings
    from padis_gui.core.prior.tiling import TilingSettings
    from padis_gui.core.settings.declarations import make
    from padis_gui.core.solvers.registry import find_solver
    from padis_gui.core.volumes.request import VolumeSettings, make_request
    from tests.recipes import make_recipe

    stack = write_stack(tmp_path / "noisy.tif", 2)
    image = read_image(stack, 0, ReadingSettings(role="measurement"))
    recipe = make_recipe(
        image=image, data_path=stack, prior=prior, prior_path=prior_path, physics="denoising",
        problem=DenoisingSettings(), tiling=TilingSettings(), solver="tv",
        settings=make(find_solver("tv").settings_type, {"steps": 2}), seed=1,
    )  # fmt: skip
    request = make_request(recipe, prior, VolumeSettings(), tmp_path / "o.tif", image)
    events = list(reconstruct_volume(request))
    assert set(events[-1].metrics) == {"residual", "residual_baseline", "z_difference"}


def test_rows_of_a_scan_are_slices(prior, prior_path: Path, tmp_path: Path) -> None:
    """What was really measured, with its own geometry: nothing is simulated, and a row that absorbs less is darker."""
    from padis_gui.core.physics.problem import scan_settings
    from padis_gui.core.prior.tiling import TilingSettings
    from padis_gui.core.settings.declarations import make
    from padis_gui.core.solvers.registry import find_solver
    from padis_gui.core.volumes.request import VolumeSettings, make_request
    from tests.recipes import make_recipe
    from tests.scan_files import parallel, write_exchange

    scan = write_exchange(tmp_path / "scan.h5", parallel(views=30), rows=3)
    image = read_image(scan, 0)
    assert image.measured is not None
    recipe = make_recipe(
        image=image, data_path=scan, prior=prior, prior_path=prior_path, physics=image.measured.physics,
        problem=scan_settings(image.measured), tiling=TilingSettings(), solver="least-squares",
        settings=make(find_solver("least-squares").settings_type, {"steps": 5}), seed=1,
    )  # fmt: skip
    request = make_request(recipe, prior, VolumeSettings(), tmp_path / "o.tif", image)
    done = list(reconstruct_volume(request))[-1]
    assert set(done.metrics) == {"residual", "residual_baseline", "z_difference"}
    means = pixels_of(request.out).mean(axis=(1, 2, 3))
    assert means[0] / means[1] == pytest.approx(2, rel=0.1)
    assert means[0] / means[2] == pytest.approx(3, rel=0.1)
    alone = Repeater(torch.device("cpu")).run(slice_recipe(request.template, 2, simulated=False))
    assert np.array_equal(alone.pixels, pixels_of(request.out)[2])
