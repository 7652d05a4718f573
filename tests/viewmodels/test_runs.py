"""The list of runs: what it keeps, what can be done with them, and that it stays within its memory."""

import gc
import threading

import numpy as np
import pytest
import torch

from padis_gui.core.images.image import Image
from padis_gui.core.runs.engine import solve
from padis_gui.viewmodels.runs.runs import THUMBNAIL_SIDE, Runs, thumbnail
from tests.qt import LONG, ended, idle, open_both, until


@pytest.fixture
def ready(session, drive, phantom_path, prior_path):
    drive(open_both(session, phantom_path, prior_path))
    session.method.set_solver("diffpir")
    session.method.set_solver_setting("steps", 3)
    return session


async def one_run(session, **settings):
    for name, value in settings.items():
        session.method.set_solver_setting(name, value)
    session.start()
    await ended(session)


def run_times(session, drive, count):
    async def go():
        for _ in range(count):
            await one_run(session)

    drive(go())


@pytest.mark.parametrize("shape", [(1, 2000, 3000), (3, 1800, 900), (3, 40, 30), (1, 1, 4000)])
def test_a_thumbnail_looks_at_few_pixels_however_many_there_are(monkeypatch, shape):
    """It is made in the thread of the window, which must not stand still for a photograph."""
    rng = np.random.default_rng(0)
    smooth = np.linspace(0, 1, shape[1])[:, None] * np.linspace(0, 1, shape[2])[None]
    pixels = np.stack([smooth + c / 10 for c in range(shape[0])]).astype(np.float32)
    pixels += rng.normal(0, 1e-3, shape).astype(np.float32)
    taken = []
    to_unit = Image.to_unit
    monkeypatch.setattr(Image, "to_unit", lambda image: taken.append(image.pixels.size) or to_unit(image))
    found = thumbnail(Image(pixels=pixels, window=(0.0, 1.3)))
    assert sum(taken) <= shape[0] * (2 * 16 * THUMBNAIL_SIDE) ** 2
    assert max(found.shape[:2]) == min(THUMBNAIL_SIDE, max(shape[1:]))
    whole = torch.nn.functional.interpolate(
        to_unit(Image(pixels=pixels, window=(0.0, 1.3)))[None], size=found.shape[:2], mode="area"
    )[0].numpy()
    assert (
        np.abs(found.astype(float) - 255 * (whole.transpose(1, 2, 0) if shape[0] == 3 else whole[0])).max()
        < 3
    )


def test_a_run_leaves_a_record_with_everything_of_it(ready, drive):
    run_times(ready, drive, 1)
    (record,) = ready.runs.records
    result = ready.shown.result
    assert record.recipe == result.recipe
    assert record.metrics == result.metrics
    assert record.name == "Run 1"
    assert record.state == "Done"
    assert record.solver_label == "DiffPIR"
    assert max(record.thumbnail.shape) == THUMBNAIL_SIDE
    assert record.thumbnail.dtype == np.uint8
    assert record.history.steps == (1, 2, 3)
    np.testing.assert_array_equal(record.result.pixels, result.pixels)


def test_a_cancelled_run_leaves_none(ready, drive):
    async def go():
        ready.method.set_solver_setting("steps", LONG)
        ready.start()
        await until(lambda: ready.run.snapshot().step >= 2)
        ready.run.cancel()
        await until(lambda: not ready.run.active)

    drive(go())
    assert ready.runs.records == ()


def test_records_are_renamed_pinned_deleted_and_brought_back(ready, drive):
    run_times(ready, drive, 4)
    runs = ready.runs
    first, second, third, fourth = runs.records
    runs.rename(second.id, "  the good one ")
    runs.rename(second.id, " ")
    assert second.name == "the good one"
    runs.pin(first.id, True)
    assert runs.delete([first.id, second.id, third.id]) == 2  # pinned ones stay
    assert runs.records == (first, fourth)
    assert runs.undo_delete() == 2
    assert runs.records == (first, second, third, fourth)
    assert runs.undo_delete() == 0
    assert runs.delete(["nothing"]) == 0
    assert not runs.can_undo


def test_names_are_never_given_twice(ready, drive):
    run_times(ready, drive, 2)
    ready.runs.delete([ready.runs.records[-1].id])
    run_times(ready, drive, 1)
    assert ready.runs.records[-1].name == "Run 3"


def test_any_two_are_compared_and_only_two(ready, drive):
    run_times(ready, drive, 3)
    asked = []
    ready.runs.compare.connect(lambda a, b: asked.append((a, b)))
    first, second, third = ready.runs.records
    ready.runs.select([first.id])
    assert not ready.runs.compare_selected()
    ready.runs.select([third.id, first.id])
    assert ready.runs.compare_selected()
    ready.runs.select([first.id, second.id, third.id])
    assert not ready.runs.compare_selected()
    assert asked == [(third, first)]


def test_an_earlier_run_is_shown_and_is_then_what_is_exported(ready, drive, tmp_path):
    run_times(ready, drive, 2)
    first, second = ready.runs.records
    ready.shown.show(first)
    assert ready.shown.frame() is first.history.last
    np.testing.assert_array_equal(ready.shown.result.pixels, first.result.pixels)
    drive(ready.export(tmp_path / "first.tif"))
    ready.shown.go_to(2)
    assert ready.shown.frame().step == 2
    assert not np.array_equal(second.result.pixels, first.result.pixels)
    run_times(ready, drive, 1)
    assert ready.shown.record is None  # a new run is what the user wants to see


def test_settings_of_a_run_come_back(ready, drive, phantom_path):
    async def go():
        ready.method.set_problem("views", 11)
        ready.method.set_tiling("patch", 16)
        await one_run(ready, steps=2, zeta=0.6)
        record = ready.runs.records[-1]
        ready.method.apply_preset("generate")
        ready.method.set_tiling("patch", None)
        ready.method.set_solver("dds")
        await ready.use_run(record)
        assert ready.method.physics == "ct-parallel"
        assert ready.method.problem.views == 11
        assert ready.method.tiling.patch == 16
        assert (ready.method.solver, ready.method.settings.steps, ready.method.settings.zeta) == (
            "diffpir",
            2,
            0.6,
        )
        assert ready.method.seed == record.recipe.seed
        await one_run(ready)
        return record

    record = drive(go())
    np.testing.assert_array_equal(ready.shown.result.pixels, record.result.pixels)


def test_a_run_is_repeated_bit_for_bit_with_its_live_changes(ready, drive):
    async def go():
        ready.method.set_problem("noise", 0.02)
        ready.method.set_solver_setting("steps", 30)
        ready.start(paused=True)
        await until(lambda: ready.run.snapshot().step == 1)
        ready.method.set_solver_setting("zeta", 0.4)
        ready.method.set_tiling("strategy", "fixed")
        ready.run.step()
        await until(lambda: ready.run.snapshot().step == 2)
        ready.run.resume()
        await until(lambda: ready.run.snapshot().step >= 12)
        ready.run.finish()
        await ended(ready)
        record = ready.runs.records[-1]
        assert record.recipe.changes
        assert record.recipe.stop_after
        ready.method.set_solver("dds")  # what is chosen meanwhile makes no difference
        ready.method.set_problem("views", 9)
        ready.method.set_problem("noise", 0.0)
        assert await ready.runner.repeat(record)
        await idle(ready)
        return record, ready.runs.records[-1]

    first, again = drive(go())
    assert again is not first
    np.testing.assert_array_equal(first.result.pixels, again.result.pixels)
    assert again.recipe == first.recipe
    assert again.note == f"identical to {first.name}, bit for bit"
    assert ready.said[-1][:2] == ("info", f"Repeat of {first.name}: {again.note}")


def test_a_repeat_that_cannot_be_the_same_says_what_has_changed(ready, drive, tmp_path, phantom_path):
    copy = tmp_path / "copy.tif"
    copy.write_bytes(phantom_path.read_bytes())

    async def go():
        await ready.data.open(copy)
        await one_run(ready)
        copy.write_bytes(phantom_path.read_bytes() + b"\0")
        assert not await ready.runner.repeat(ready.runs.records[-1])

    drive(go())
    assert "has changed since" in ready.said[-1][1]
    assert "copy.tif" in ready.said[-1][1]


def test_a_repeat_with_other_bits_says_by_how_much(ready, drive, monkeypatch):
    def other(recipe, problem, prior):
        for iterate in solve(recipe, problem, prior):
            object.__setattr__(iterate, "estimate", iterate.estimate + 1e-3)
            yield iterate

    async def go():
        await one_run(ready)
        monkeypatch.setattr("padis_gui.core.runs.engine.solve", other)
        await ready.runner.repeat(ready.runs.records[0])
        await idle(ready)

    drive(go())
    assert "differs from Run 1 by at most 2 HU" in ready.runs.records[-1].note


# -- memory ---------------------------------------------------------------------------------------------------


def test_kept_bytes_are_flat_over_two_hundred_runs(ready, drive, tmp_path):
    """Iterates and results of all runs stay within their budgets, and no thread is left."""
    ready.method.set_solver("least-squares")
    ready.method.set_solver_setting("steps", 2)
    run_times(ready, drive, 1)
    frame = ready.shown.history.last.nbytes
    ready.runs.history_budget = 12 * frame
    ready.runs.results_budget = 10 * ready.shown.result.nbytes
    ready.runs.edited.connect(lambda record: setattr(record, "load", lambda: None))  # as if it were on disk
    threads, kept = threading.active_count(), []

    async def twenty():
        for _ in range(20):
            count = len(ready.runs.records)
            ready.start()
            await until(lambda count=count: len(ready.runs.records) > count)

    for _ in range(10):
        drive(twenty())
        gc.collect()
        kept.append(ready.runs.nbytes)
    assert len(ready.runs.records) == 201
    assert max(kept) <= 12 * frame + 10 * ready.shown.result.nbytes
    assert threading.active_count() == threads
    assert sum(len(record.history.points) for record in ready.runs.records) == 201 * 2


def test_old_runs_are_thinned_to_make_room_for_the_next(ready, drive):
    ready.method.set_solver_setting("steps", 8)
    run_times(ready, drive, 1)
    frame = ready.shown.history.last.nbytes
    ready.runs.history_budget = 12 * frame
    run_times(ready, drive, 1)
    first, second = ready.runs.records
    assert len(first.history.steps) < 8
    assert first.history.steps[-1] == 8  # thinned evenly, the last one stays
    assert len(second.history.steps) >= 3
    assert first.history.nbytes + second.history.nbytes <= ready.runs.history_budget


def test_a_run_without_iterates_shows_its_result(ready, drive):
    run_times(ready, drive, 1)
    (record,) = ready.runs.records
    while record.history.nbytes:
        record.history.halve()
    ready.shown.show(record)
    frame = ready.screen.frame()
    np.testing.assert_array_equal(frame.estimate, record.result.pixels[0])
    np.testing.assert_allclose(frame.difference, frame.estimate - ready.preparation.pictures.truth)
    assert (frame.step, frame.state, frame.partition) == (3, None, None)


@pytest.mark.parametrize("shape", [(1, 64, 64), (3, 40, 200), (1, 3, 5), (4, 7, 7)])
def test_a_thumbnail_is_small_and_in_the_window(shape):
    from padis_gui.core.images.image import Image

    pixels = np.linspace(-1, 2, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    small = thumbnail(Image(pixels=pixels, window=(0.0, 1.0)))
    assert small.shape[2:] == ((3,) if shape[0] > 1 else ())
    assert max(small.shape[:2]) == min(THUMBNAIL_SIDE, max(shape[1:]))
    assert (small.min(), small.max()) == (0, 255)


def test_an_empty_list_has_nothing_to_do(qapp):
    runs = Runs()
    assert runs.undo_delete() == 0
    assert runs.make_room() == runs.history_budget
    assert not runs.compare_selected()
    runs.rename("x", "y")
    runs.pin("x", True)
