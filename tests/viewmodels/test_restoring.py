"""An exported file brings its run back into a session: choices, files, result; and Run repeats it bit for bit."""

import asyncio
import json
import shutil

import numpy as np
import pytest
import tifffile

from padis_gui.core.exports.about import read_export
from padis_gui.core.exports.registry import ExportSettings
from padis_gui.core.exports.tiff import write_result
from padis_gui.core.runs.control import RunState
from tests.qt import LONG, idle, open_both, prepared, until


@pytest.fixture
def ready(session, drive, phantom_path, prior_path, tmp_path):
    """A session with copies of the phantom and the prior in folders of their own."""
    for folder, source in (("data", phantom_path), ("priors", prior_path)):
        (tmp_path / folder).mkdir()
        shutil.copy(source, tmp_path / folder / source.name)

    async def go():
        session.method.set_problem("views", 12)
        session.method.set_problem("noise", 0.02)
        session.method.set_solver("dds")
        session.method.set_solver_setting("steps", 5)
        await open_both(session, tmp_path / "data" / phantom_path.name, tmp_path / "priors" / prior_path.name)
        await prepared(session)

    drive(go())
    return session


async def ran(session, seed=7):
    session.method.set_seed(seed)
    session.start()
    await until(lambda: session.run.active or session.shown.result)
    await idle(session)
    return session.shown.result


async def changed(session):
    """Everything is chosen otherwise than before."""
    session.method.set_seed(99)
    session.method.set_problem("views", 30)
    session.method.set_solver("diffpir")
    session.method.set_tiling("strategy", "fixed")
    await session.data.open(session.data.path)


@pytest.mark.parametrize(
    "settings",
    [{}, {"tiff": "OME"}, {"values": "uint16"}, {"values": "int16", "tiff": "OME"}, {"what": "iterates"}],
)
def test_a_run_comes_back_and_run_repeats_it_bit_for_bit(ready, drive, tmp_path, settings):
    path = tmp_path / "out.tif"

    async def go():
        result = await ran(ready)
        assert await ready.export(path, ExportSettings(**settings))
        await changed(ready)
        assert await ready.restore(path)
        assert (ready.method.seed, ready.method.solver, ready.method.problem.views) == (7, "dds", 12)
        assert ready.method.tiling == result.recipe.tiling
        record = ready.runs.records[-1]
        assert record.name == "Restored from out.tif"
        assert ready.shown.record is record
        if settings.get("values") is None:
            assert np.array_equal(ready.shown.result.pixels, result.pixels)
        assert ready.shown.result.metrics == result.metrics
        assert (record.step, record.total) == (5, 5)
        assert record.sigma == result.sigma
        assert record.seam_ratio == ready.runs.records[0].seam_ratio
        assert ready.shown.result.image.unit == "HU"
        assert "Run repeats it" in ready.said[-1][1]
        ready.start()
        await until(lambda: len(ready.runs.records) == 3)
        await idle(ready)
        assert ready.runs.records[-1].note == "identical to Restored from out.tif, bit for bit"
        assert np.array_equal(ready.shown.result.pixels, result.pixels)

    drive(go())


def test_live_changes_come_back_with_it(ready, drive, tmp_path):
    path = tmp_path / "out.tif"

    async def go():
        ready.method.set_solver_setting("steps", 40)
        ready.method.set_seed(3)
        ready.start(paused=True)
        await until(lambda: ready.run.snapshot().state is RunState.PAUSED)
        ready.method.set_tiling("strategy", "fixed")
        for step in (2, 3, 4):
            ready.run.step()
            await until(lambda step=step: ready.run.snapshot().step == step)
            await until(lambda: ready.run.snapshot().state is RunState.PAUSED)
        ready.run.finish()
        await idle(ready)
        result = ready.shown.result
        assert result.recipe.changes
        assert result.recipe.stop_after == 4
        await ready.export(path)
        await changed(ready)
        assert await ready.restore(path)
        assert "with its live changes" in ready.said[-1][1]
        ready.start()
        await until(lambda: len(ready.runs.records) == 3)
        await idle(ready)
        assert "bit for bit" in ready.runs.records[-1].note
        assert np.array_equal(ready.shown.result.pixels, result.pixels)

    drive(go())


def test_once_something_is_changed_run_is_an_ordinary_run(ready, drive, tmp_path):
    async def go():
        await ran(ready)
        await ready.export(tmp_path / "out.tif")
        assert await ready.restore(tmp_path / "out.tif")
        ready.method.set_solver_setting("steps", 3)
        ready.start()
        await until(lambda: len(ready.runs.records) == 3)
        await idle(ready)
        assert ready.runs.records[-1].note == ""
        assert ready.runs.records[-1].name == "Run 2"

    drive(go())


def test_a_set_of_samples_is_repeated_sample_by_sample(ready, drive, tmp_path):
    path = tmp_path / "out.tif"

    async def go():
        ready.method.set_solver("diffpir")
        ready.method.set_solver_setting("steps", 3)
        ready.method.set_seed(4)
        assert ready.runner.draw_samples(3)
        await until(lambda: any(r.recipe.sample_seeds for r in ready.runs.records))
        await idle(ready)
        made = ready.runs.records[-1]
        assert await ready.export_runs([(made, path)], ExportSettings(values="uint16"))
        assert await ready.restore(path)
        back = ready.runs.records[-1]
        assert back.result.interval is not None
        ready.start()
        await until(lambda: len(ready.runs.records) == 9)
        await idle(ready)
        again = ready.runs.records[-1]
        assert again.note == "identical to Restored from out.tif, bit for bit"
        assert np.array_equal(again.result.pixels, made.result.pixels)
        assert np.array_equal(again.result.interval[1], made.result.interval[1])

    drive(go())


def test_files_that_moved_beside_the_export_are_found(ready, drive, tmp_path):
    out = tmp_path / "out"
    out.mkdir()

    async def go():
        await ran(ready)
        await ready.export(out / "out.tif", ExportSettings(sidecar=True))
        (tmp_path / "data" / "phantom.tif").rename(out / "phantom of another name.tif")
        (tmp_path / "priors" / "tiny.safetensors").rename(out / "tiny.safetensors")
        assert await ready.restore(out / "out.json")
        assert ready.data.path.parent == out
        assert ready.prior.path.parent == out
        assert "was found as" in ready.said[-1][1]
        ready.start()
        await until(lambda: len(ready.runs.records) == 3)
        await idle(ready)
        assert "bit for bit" in ready.runs.records[-1].note

    drive(go())


def test_what_is_missing_is_said_and_the_rest_comes_back(ready, drive, tmp_path):
    async def go():
        await ran(ready)
        (tmp_path / "out").mkdir()
        path = tmp_path / "out" / "out.tif"
        await ready.export(path)
        await changed(ready)
        data = tmp_path / "data" / "phantom.tif"
        tifffile.imwrite(data, tifffile.imread(data) + np.int16(1))
        assert not await ready.restore(path)
        level, sentence, _ = ready.said[-1]
        assert level == "error"
        assert str(data) in sentence
        assert "has changed since the run" in sentence
        assert "Run repeats it" not in sentence
        assert (ready.method.seed, ready.method.solver, ready.method.problem.views) == (7, "dds", 12)
        assert ready.shown.record is ready.runs.records[-1]

    drive(go())


def test_other_versions_are_said(ready, drive, tmp_path):
    async def go():
        result = await ran(ready)
        recipe = result.recipe.model_copy(update={"versions": result.recipe.versions | {"torch": "1.0"}})
        write_result(tmp_path / "old.tif", result.pixels, None, recipe, {}, None)
        assert await ready.restore(tmp_path / "old.tif")
        level, sentence, _ = ready.said[-1]
        assert level == "warning"
        assert "torch (was 1.0, is " in sentence

    drive(go())


def test_files_without_a_result_or_a_recipe_are_a_sentence(ready, drive, tmp_path):
    async def go():
        await ran(ready)
        await ready.export(tmp_path / "out.tif", ExportSettings(what="iterates", picture="state"))
        assert await ready.restore(tmp_path / "out.tif")
        assert "holds no result to compare with" in ready.said[-1][1]
        assert len(ready.runs.records) == 1
        assert not await ready.restore(tmp_path / "data" / "phantom.tif")
        assert "carries no recipe" in ready.said[-1][1]

    drive(go())


@pytest.mark.parametrize("wrong", [{"threads": 10**6}, {"threads": -1}, {"seed": 2**70}], ids=str)
def test_numbers_of_a_stranger_that_cannot_be_start_nothing(ready, drive, tmp_path, wrong):
    """A million threads would end the program, and bring down the machine."""

    async def go():
        await ran(ready)
        values = ready.runs.records[0].recipe.model_dump(mode="json") | wrong
        export = {"format": "padis-gui export", "recipe": values, "metrics": {}, "about": {}}
        queue = {"format": "padis-gui queue", "version": 1, "runs": [{"name": "a", "recipe": values}]}
        (tmp_path / "a.json").write_text(json.dumps(export))
        (tmp_path / "q.json").write_text(json.dumps(queue))
        (name,) = wrong
        assert not await ready.restore(tmp_path / "a.json")
        assert ready.said[-1][0] == "error"
        assert name in ready.said[-1][1]
        assert not await ready.runner.open_queue(tmp_path / "q.json")
        assert ready.said[-1][0] == "error"
        assert "runs.0.recipe" in ready.said[-1][1]
        assert not ready.queue.items
        assert len(ready.runs.records) == 1

    drive(go())


def test_a_run_restored_while_another_goes_on_is_repeated_after_it(ready, drive, tmp_path):
    async def go():
        result = await ran(ready)
        await ready.export(tmp_path / "out.tif")
        ready.method.set_solver_setting("steps", LONG)
        ready.start(paused=True)
        await until(lambda: ready.run.snapshot().step == 1)
        assert await ready.restore(tmp_path / "out.tif")
        assert ready.method.settings == result.recipe.method.settings
        ready.start()
        await until(lambda: len(ready.queue.waiting) == 1)
        ready.run.cancel()
        await idle(ready)
        assert ready.runs.records[-1].note == "identical to Restored from out.tif, bit for bit"

    drive(go())


def test_the_restored_run_is_exported_as_it_was(ready, drive, tmp_path):
    async def go():
        result = await ran(ready)
        await ready.export(tmp_path / "out.tif", ExportSettings(values="uint8"))
        await ready.restore(tmp_path / "out.tif")
        await ready.export(tmp_path / "again.tif", ExportSettings(values="uint8"))
        first, again = (read_export(tmp_path / name) for name in ("out.tif", "again.tif"))
        assert again.recipe == first.recipe == result.recipe
        assert again.about.sha256 == first.about.sha256
        assert np.array_equal(tifffile.imread(tmp_path / "out.tif"), tifffile.imread(tmp_path / "again.tif"))

    drive(go())


def test_an_export_of_an_earlier_version_has_the_steps_of_its_recipe(ready, drive, tmp_path):
    """What the file does not say is not made up: the steps follow from the recipe, the noise level from nothing."""

    async def go():
        result = await ran(ready)
        recipe = result.recipe.model_copy(update={"stop_after": 3})
        write_result(tmp_path / "old.tif", result.pixels, None, recipe, {}, None)
        assert await ready.restore(tmp_path / "old.tif")
        frame = ready.shown.frame()
        assert frame.step_text == "step 3 of 5"
        assert frame.noise_text == "σ not known"

    drive(go())


async def restored_over(ready, tmp_path, own):
    """A run of seed 7 is brought back by a user whose own seed is another one."""
    await ran(ready)
    await ready.export(tmp_path / "out.tif")
    ready.method.set_seed(own)
    await ready.restore(tmp_path / "out.tif")
    assert (ready.method.seed, ready.method.seed_of) == (7, "out.tif")


@pytest.mark.parametrize("own", [None, 12])
def test_the_seed_of_a_restored_run_goes_with_its_image(ready, drive, tmp_path, own):
    async def go():
        await restored_over(ready, tmp_path, own)
        await ready.data.set_reading({"scale_high": 2000.0})  # the same image, read otherwise
        assert ready.method.seed == 7
        shutil.copy(tmp_path / "data" / "phantom.tif", tmp_path / "data" / "next.tif")
        assert await ready.data.open(tmp_path / "data" / "next.tif")
        assert (ready.method.seed, ready.method.seed_of) == (own, "")
        assert "7 was that of out.tif" in ready.said[-1][1]

    drive(go())


def test_a_seed_that_the_user_sets_is_the_user_s(ready, drive, tmp_path):
    async def go():
        await restored_over(ready, tmp_path, None)
        ready.method.set_seed(7)  # as it stands: kept
        shutil.copy(tmp_path / "data" / "phantom.tif", tmp_path / "data" / "next.tif")
        await ready.data.open(tmp_path / "data" / "next.tif")
        assert ready.method.seed == 7

    drive(go())


def test_runs_restored_one_after_the_other_and_settings_used_again_give_back_the_first_seed(
    ready, drive, tmp_path
):
    async def go():
        await restored_over(ready, tmp_path, 12)
        await ready.restore(tmp_path / "out.tif")
        shutil.copy(tmp_path / "data" / "phantom.tif", tmp_path / "data" / "third.tif")
        assert await ready.data.open(tmp_path / "data" / "third.tif")
        assert ready.method.seed == 12
        await ready.restore(tmp_path / "out.tif")
        said = len(ready.said)
        await ready.use_run(ready.runs.records[0])
        assert len(ready.said) == said
        assert (ready.method.seed, ready.method.seed_of) == (7, "Run 1")
        saved = ready.choices()
        assert (saved.seed, saved.seed_of, saved.own_seed) == (7, "Run 1", 12)
        shutil.copy(tmp_path / "data" / "phantom.tif", tmp_path / "data" / "next.tif")
        await ready.data.open(tmp_path / "data" / "next.tif")
        assert ready.method.seed == 12
        await ready.use(saved)  # as a later session does
        await ready.data.open(tmp_path / "data" / "next.tif")
        assert ready.method.seed == 12

    drive(go())


@pytest.mark.parametrize("last", ["restore", "use"])
def test_of_settings_used_again_and_a_run_brought_back_the_one_asked_for_last_wins(
    ready, drive, tmp_path, last
):
    async def go():
        await ran(ready)
        await ready.export(tmp_path / "out.tif")
        shutil.copy(tmp_path / "data" / "phantom.tif", tmp_path / "data" / "next.tif")
        prior = shutil.copy(ready.prior.path, tmp_path / "priors" / "next.safetensors")
        others = {"data": str(tmp_path / "data" / "next.tif"), "prior": str(prior), "seed": 99, "seed_of": ""}
        choices = ready.choices().model_copy(update=others)
        asked = [lambda: ready.use(choices), lambda: ready.restore(tmp_path / "out.tif")]
        bringing = []
        for ask in asked if last == "restore" else reversed(asked):
            bringing.append(asyncio.ensure_future(ask()))
            await asyncio.sleep(0)  # sleep: the first opens its prior when the second is asked for
        await asyncio.gather(*bringing)
        found = ready.data.path.name, ready.method.seed, ready.method.seed_of
        assert found == (("phantom.tif", 7, "out.tif") if last == "restore" else ("next.tif", 99, ""))

    drive(go())
