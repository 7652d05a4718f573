"""A run on a volume in a session: read, run, steered, kept, exported, restored and repeated as any run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from padis_gui.core.exports.about import About, read_export
from padis_gui.core.exports.registry import ExportSettings
from padis_gui.core.exports.tiff import save_result
from padis_gui.core.runs.control import RunState
from padis_gui.core.runs.estimate import volume_mb
from padis_gui.viewmodels.pictures.frames import History
from padis_gui.viewmodels.pictures.planes import Place, Plane, take
from padis_gui.viewmodels.pictures.volumes import VolumeFrame, groups_in
from padis_gui.viewmodels.session.planner import Planner
from padis_gui.viewmodels.session.store import Store
from tests.core.volumes.test_stack import across_file
from tests.qt import LONG, idle, open_both, until
from tests.volumes import colour_file, write_stack

SLICES, SIDE = 4, 32


@pytest.fixture
def ready(session, drive, tmp_path: Path, prior_path: Path):
    """A session on the volume of a small stack."""
    stack = write_stack(tmp_path / "stack.tif", SLICES, SIDE)

    async def go():
        for name, value in (("views", 12), ("bins", 48), ("noise", 0.02)):
            session.method.set_problem(name, value)
        session.method.set_solver("dds")
        session.method.set_solver_setting("steps", 3)
        session.method.set_solver_setting("cg_steps", 2)
        await open_both(session, stack, prior_path)
        session.volume.choose(True)
        await until(lambda: session.volume.window is not None and not session.volume.reading)

    drive(go())
    return session


async def ran(session, seed=7):
    session.method.set_seed(seed)
    before = len(session.runs.records)
    session.start()
    await until(lambda: len(session.runs.records) > before)
    await idle(session)
    return session.shown.result


def test_every_iterate_is_kept_whole_and_seen_in_three_planes(ready, drive):
    result = drive(ran(ready))
    assert result.pixels.shape == (SLICES, SIDE, SIDE)
    assert {"psnr", "ssim", "z_step_ratio"} <= set(result.metrics)
    assert ready.shown.history.steps == (1, 2, 3)
    assert ready.screen.of_open
    estimate = result.pixels
    for place in (Place(1, 5, 9), Place(3, 20, 2)):
        ready.volume.move(place)
        frame = ready.screen.frame()
        pictures = ready.screen.run_pictures_of(frame)
        data = ready.screen.data_pictures()
        for plane in Plane:
            seen = pictures[plane.key("estimate")]
            np.testing.assert_allclose(seen, take(estimate, plane, place.across(plane)), rtol=1e-6)
            truth, difference = data[plane.key("truth")], pictures[plane.key("difference")]
            np.testing.assert_allclose(difference, seen - truth, atol=0.1)
            assert data[plane.key("baseline")].shape == seen.shape
        assert pictures["measured"].shape == data["measurement"].shape == (12, 48)
        assert ready.screen.frame() is frame  # nothing is made anew that is the same
    ready.shown.go_to(1)
    assert ready.screen.frame().step == 1
    assert ready.screen.frame().state is None  # of earlier steps the estimate is kept


def test_a_cone_beam_is_seen_by_the_row_at_the_slice(ready, drive):
    """Its planes are those of any volume; beside a slice stands what the detector row at its height measured."""
    ready.method.set_physics("ct-cone")
    for name, value in (("views", 9), ("bins", 40), ("detector_rows", 20)):
        ready.method.set_problem(name, value)
    result = drive(ran(ready))
    assert result.recipe.physics == "ct-cone"
    assert result.pixels.shape == (SLICES, SIDE, SIDE)
    seen = []
    for z in range(SLICES):
        ready.volume.move(Place(z, 5, 9))
        frame = ready.screen.frame()
        pictures, data = ready.screen.run_pictures_of(frame), ready.screen.data_pictures()
        np.testing.assert_allclose(pictures["estimate"], result.pixels[z], rtol=1e-6)
        assert pictures["measured"].shape == data["measurement"].shape == (9, 40)
        problem = ready.preparation.prepared.problem
        row = problem.operator.channel_seeing(z)
        np.testing.assert_array_equal(data["measurement"], problem.measurement[row].numpy())
        seen.append(row)
    assert sorted(set(seen)) == seen


def test_a_step_a_pause_a_change_of_place_a_finish_and_a_cancel(ready, drive):
    async def go():
        ready.method.set_solver_setting("steps", LONG)
        ready.start(paused=True)
        await until(lambda: ready.run.state is RunState.PAUSED)
        frame = ready.screen.frame()
        assert isinstance(frame, VolumeFrame)
        assert frame.state is not None
        before = frame.planes["state.coronal"]
        ready.volume.step(Plane.CORONAL, 3)
        assert not np.array_equal(ready.screen.frame().planes["state.coronal"], before)
        ready.run.finish()
        await until(lambda: ready.runs.records)
        assert ready.runs.records[0].recipe.stop_after == 1
        ready.start()
        await until(lambda: ready.run.points())
        ready.cancel()
        await idle(ready)
        assert len(ready.runs.records) == 1

    drive(go())


def test_a_run_stays_that_of_the_open_volume_under_a_prior_that_does_not_fit(ready, drive, tmp_path):
    """Another prior reads the volume anew, in its window: that is no other volume, and no difference to it is made up."""
    result = drive(ran(ready))
    planner = Planner(ready, 0)

    async def go():
        await ready.prior.open(colour_file(tmp_path))
        await idle(ready)
        await until(lambda: not ready.volume.reading)
        assert ready.screen.of_open
        assert ready.preparation.prepared is None
        assert ready.screen.data_pictures()["baseline"] is None
        planner.refresh()
        assert planner.plan is None
        ready.shown.show(ready.runs.records[0])
        ready.volume.step(Plane.AXIAL, 1)
        await until(lambda: not ready.volume.reading)
        frame = ready.screen.frame()
        assert ready.screen.of_open
        seen = ready.screen.run_pictures_of(frame)
        np.testing.assert_allclose(
            seen["estimate"], take(result.pixels, Plane.AXIAL, ready.volume.place.slice), rtol=1e-6
        )
        if seen["difference"] is not None:
            truth = tifffile.imread(ready.data.path)[ready.volume.place.slice]
            np.testing.assert_allclose(
                seen["difference"], seen["estimate"] - truth.clip(-1000, 1000), atol=0.1
            )
        ready.start()
        await until(lambda: any("3 colours" in text for _, text, _ in ready.said))
        await idle(ready)
        assert len(ready.runs.records) == 1

    drive(go())


def test_only_some_slices_and_a_slice_again(ready, drive):
    async def go():
        ready.volume.take_slices(1, 2)
        await until(lambda: ready.volume.window is not None and not ready.volume.reading)
        result = await ran(ready)
        assert result.pixels.shape == (2, SIDE, SIDE)
        assert result.recipe.stack.pages == (1, 2)
        ready.volume.choose(False)
        await until(lambda: ready.data.opening is None)
        await idle(ready)
        ready.shown.show(ready.runs.records[0])
        assert not ready.screen.of_open
        assert "slices 2 to 3" in ready.screen.whose
        assert ready.screen.subject.grid.shape == (2, SIDE, SIDE)  # the run's planes are seen

    drive(go())


def test_it_is_exported_as_a_stack_restored_and_repeated_bit_for_bit(ready, drive, tmp_path):
    out = tmp_path / "out.tif"

    async def go():
        result = await ran(ready)
        assert await ready.export(out)
        with tifffile.TiffFile(out) as file:
            assert file.series[0].axes == "ZYX"
            assert file.imagej_metadata["spacing"] == 2.5
        assert read_export(out).about.kind == "volume"
        ready.method.set_problem("views", 30)
        ready.volume.choose(False)
        assert await ready.restore(out)
        assert ready.volume.on
        assert ready.method.problem.views == 12
        assert np.array_equal(ready.shown.result.pixels, result.pixels)
        assert ready.shown.result.image.slice_spacing == 2.5
        assert ready.screen.of_open
        assert "Run repeats it" in ready.said[-1][1]
        count = len(ready.runs.records)
        ready.start()
        await until(lambda: len(ready.runs.records) > count)
        await idle(ready)
        assert np.array_equal(ready.runs.records[-1].result.pixels, result.pixels)
        assert "identical" in ready.runs.records[-1].note

    drive(go())


def test_all_slices_are_written_as_nifti(ready, drive, tmp_path):
    async def go():
        result = await ran(ready)
        assert await ready.export(tmp_path / "out.nii", ExportSettings(what="nifti")), ready.said
        assert await ready.data.open(tmp_path / "out.nii")
        assert ready.data.image.pages == SLICES
        assert ready.data.image.slice_spacing == pytest.approx(2.5)
        return result

    drive(go())


def test_slices_that_are_not_next_to_each_other_are_not_opened_and_it_is_said(ready, drive, tmp_path):
    """Such a volume is made on the command line; the window shows its result, and does not take others for its slices."""

    async def go():
        result = await ran(ready)
        stack = result.recipe.stack.model_copy(update={"pages": (0, 1, 3)})
        image = replace(result.image, pixels=result.image.pixels[[0, 1, 3]], slices=stack.pages)
        recipe = result.recipe.model_copy(update={"stack": stack})
        uneven = replace(result, recipe=recipe, image=image, sha256="")
        save_result(tmp_path / "uneven.tif", uneven, About.of(uneven, "stack.tif"))
        assert await ready.restore(tmp_path / "uneven.tif")
        assert "not next to each other" in ready.said[-1][1]
        assert not ready.volume.on
        assert not ready.screen.of_open
        assert ready.screen.subject.grid.shape == (3, SIDE, SIDE)

    drive(go())


@pytest.mark.parametrize("what", ["iterates", "curves", "report", "animation"])
def test_other_exports_are_of_the_slice_at_the_crosshair(ready, drive, tmp_path, what):
    settings = ExportSettings(what=what)
    out = tmp_path / f"out{settings.file_type.suffixes[0]}"

    async def go():
        await ran(ready)
        ready.volume.move(Place(2, 3, 4))
        assert await ready.export(out, settings), ready.said
        if what == "iterates":
            pages = tifffile.imread(out)
            assert pages.shape == (3, SIDE, SIDE)
            np.testing.assert_allclose(pages[-1], ready.shown.result.pixels[2], rtol=1e-6)
            assert await ready.restore(out)
            assert "one slice of a volume" in ready.said[-1][1]
        if what == "report":
            assert "slice 3 of 4" in out.read_text()

    drive(go())


def test_a_session_brings_it_back(ready, drive, tmp_path):
    async def go():
        result = await ran(ready)
        store = Store(tmp_path / "sessions")
        store.save(ready.choices(), [], [], 1)
        store.save_run(ready.runs.records[0])
        store.close()
        saved = Store(tmp_path / "sessions").load()
        assert saved.choices.slices == (0, SLICES - 1)
        (record,) = saved.records
        assert np.array_equal(record.result.pixels, result.pixels)
        assert record.result.image.is_volume
        ready.volume.choose(False)
        assert await ready.use(saved.choices)
        assert ready.volume.on
        ready.shown.show(record)
        assert isinstance(ready.screen.frame(), VolumeFrame)

    drive(go())


def test_what_is_too_large_for_the_budget_is_kept_once(ready, drive):
    async def go():
        ready.runs.history_budget = 3 * 4 * SLICES * SIDE * SIDE + 1
        await ran(ready)

    drive(go())
    frame = ready.screen.frame()  # made of the result again, where no iterate may be kept
    assert isinstance(frame, VolumeFrame)
    assert frame.planes["estimate.sagittal"].shape == (SLICES, SIDE)


def test_the_last_iterate_of_a_volume_is_kept_however_little_there_may_be(ready, drive):
    drive(ran(ready))
    frame = ready.shown.history.last
    history = History(budget=int(1.5 * frame.nbytes))
    for step in (1, 2, 3):
        history.keep(replace(frame, step=step, _memo={}))
        assert history.steps[-1] == step
        assert len(history.steps) <= 2
    assert History(budget=frame.nbytes // 2).steps == ()


def test_a_volume_that_does_not_fit_is_refused_in_a_sentence(ready, drive, monkeypatch):
    monkeypatch.setattr("padis_gui.core.files.read.free_memory_mb", lambda _device: 0.001)

    async def go():
        ready.said.clear()
        ready.start()
        await until(lambda: ready.said)
        assert "fits into half of the free memory" in ready.said[-1][1]
        await idle(ready)
        assert not ready.run.active
        assert ready.volume.loading is None

    drive(go())


def test_memory_is_stated_before_and_fewer_slices_are_proposed_where_it_does_not_do(
    ready, drive, monkeypatch
):
    planner = Planner(ready)

    async def go():
        planner.refresh()
        await until(
            lambda: planner.plan.seconds is not None
        )  # the patch batch is part of the memory once it is timed
        whole = planner.plan.memory_mb
        assert planner.kept_whole > 3
        ready.volume.take_slices(1, 2)
        await until(lambda: ready.volume.window is not None and not ready.volume.reading)
        planner.refresh()
        half = planner.plan.memory_mb
        fixed = planner.plan.scan_mb + planner.plan.batch_mb
        assert half - fixed == pytest.approx((whole - fixed) / 2)
        ready.volume.take_slices(0, SLICES - 1)
        await until(lambda: ready.volume.window is not None and not ready.volume.reading)
        monkeypatch.setattr("padis_gui.viewmodels.session.planner._USABLE", 1.0)
        free = fixed + (whole - fixed) * 0.99
        monkeypatch.setattr("padis_gui.viewmodels.session.planner.free_memory_mb", lambda _device: free)
        planner.refresh()
        assert planner.short
        assert planner.fitting_slices == 3
        wanted = volume_mb(SLICES, SIDE, SIDE)
        monkeypatch.setattr(
            "padis_gui.viewmodels.session.loading.free_memory_mb", lambda _device: 0.9 * wanted
        )
        remedies = []
        ready.remedy_wanted.connect(remedies.append)
        ready.start()
        await until(lambda: ready.said)
        assert "take fewer slices" in ready.said[-1][1]
        assert remedies == ["smaller"]
        assert ready.volume.loading is None

    drive(go())


def test_reading_it_is_cancelled_and_the_next_run_reads_it_again(ready, drive):
    async def go():
        ready.start()
        assert ready.volume.loading is not None
        ready.cancel()
        assert ready.volume.loading is None
        assert await ran(ready) is not None

    drive(go())


def test_queue_and_samples(ready, drive):
    async def go():
        ready.queue.hold(True)
        assert ready.runner.add_to_queue()
        await until(lambda: ready.queue.waiting)
        ready.queue.hold(False)
        await until(lambda: ready.runs.records)
        await idle(ready)
        assert ready.runs.records[0].result.image.is_volume
        assert not ready.runner.draw_samples(2)
        assert "one slice" in ready.said[-1][1]

    drive(go())


# A prior across slices ------------------------------------------------------------------------------------------


def test_a_prior_across_slices_stands_beside_and_comes_back_with_the_run(ready, drive, tmp_path):
    across = across_file(tmp_path, "all")

    async def go():
        assert await ready.prior.open_across(across)
        ready.method.set_stack("across_above", 0.2)
        result = await ran(ready)
        assert result.recipe.stack.across.file == str(across)
        first = ready.shown.history.frame_at(1)
        groups = first.partition.groups
        borders = groups_in(first.partition)
        assert len(borders) == int(groups.seams.sum()) > 0
        for height in borders:  # between two lines of the coronal plane, whose lowest is the first slice
            assert groups.seams[SLICES - int(height) - 1]
        assert (
            groups_in(ready.shown.history.last.partition) == ()
        )  # below that level slices are by themselves
        assert await ready.export(tmp_path / "out.tif")
        assert await ready.prior.open_across(None)
        assert ready.stale
        ready.method.set_stack("across_above", None)
        assert await ready.restore(tmp_path / "out.tif")
        assert ready.prior.across_path == across
        assert ready.method.stack.across_above == 0.2
        count = len(ready.runs.records)
        ready.start()
        await until(lambda: len(ready.runs.records) > count)
        await idle(ready)
        assert np.array_equal(ready.runs.records[-1].result.pixels, result.pixels)

    drive(go())


def test_a_prior_of_single_slices_is_none_across_them(ready, drive, prior_path, tmp_path):
    async def go():
        assert not await ready.prior.open_across(prior_path)
        assert "is one of single slices" in ready.said[-1][1]
        assert ready.prior.across is None
        wishes = ready.prior.open_across(across_file(tmp_path)), ready.prior.open_across(None)
        assert not await wishes[0]
        assert await wishes[1]
        assert ready.prior.across is None  # the latest wish wins

    drive(go())
