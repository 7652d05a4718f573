"""The session on disk: it comes back after a clean end and after a kill, and damaged files stop nothing."""

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from padis_gui.core.exports.about import read_recipe
from padis_gui.core.settings.errors import InputError
from padis_gui.viewmodels.session.saved import SavedChoices, usable
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.session.store import Store
from tests.qt import LONG, ended, idle, open_both, until

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def stored(drive, tmp_path):
    """Make sessions on one store folder; all are closed in the end."""
    import gc

    made = []

    def make(root=tmp_path / "sessions", **options):
        async def session():
            return Session("cpu", store=Store(root, **options))

        session = drive(session())
        session.said = []
        session.message.connect(lambda *message: session.said.append(message))
        made.append(session)
        return session

    gc.disable()
    yield make
    for session in made:
        if not session.closed:
            drive(session.close())
        session.deleteLater()
    gc.collect()
    gc.enable()


async def one_run(session, steps=2):
    session.method.set_solver("diffpir")
    session.method.set_solver_setting("steps", steps)
    session.start()
    await ended(session)


def test_a_session_comes_back_after_a_clean_end(stored, drive, phantom_path, prior_path, tmp_path):
    first = stored()
    assert first.saver.was_clean
    assert not first.saver.has_previous

    async def before():
        await open_both(first, phantom_path, prior_path)
        first.method.set_problem("views", 13)
        first.method.set_tiling("patch", 16)
        first.method.set_seed(5)
        await one_run(first)
        first.method.set_seed(6)
        await one_run(first, steps=3)
        first.runs.rename(first.runs.records[0].id, "kept")
        first.runs.pin(first.runs.records[0].id, True)
        await one_run(first)
        first.runs.delete([first.runs.records[2].id])
        await first.close()

    drive(before())
    second = stored()
    assert second.saver.was_clean
    assert drive(second.saver.restore())
    assert second.choices() == first.choices()
    assert second.data.image.name == first.data.image.name
    assert second.prior.loaded is not None
    assert [r.name for r in second.runs.records] == ["kept", "Run 2"]
    assert second.runs.next_name() == "Run 4"
    for old, new in zip(first.runs.records, second.runs.records, strict=True):
        assert new.id == old.id
        assert (new.recipe, new.metrics, new.pinned, new.when) == (
            old.recipe,
            old.metrics,
            old.pinned,
            old.when,
        )
        np.testing.assert_array_equal(new.result.pixels, old.result.pixels)
        np.testing.assert_array_equal(new.thumbnail, old.thumbnail)
        assert new.result.image.unit == "HU"
        assert new.result.image.window == old.result.image.window
        for a, b in zip(new.history.points, old.history.points, strict=True):
            assert (a.step, a.psnr, a.residual) == (b.step, b.psnr, b.residual)
    assert second.said == []


def test_a_queue_comes_back_held_and_gives_what_it_would_have_given(stored, drive, phantom_path, prior_path):
    """What ran when the window was closed is run again with what waited; sets of samples stay sets."""
    first = stored()

    async def before():
        await open_both(first, phantom_path, prior_path)
        first.method.set_solver("diffpir")
        first.method.set_solver_setting("steps", 2)
        first.queue.hold(True)
        first.method.set_seed(8)
        first.runner.draw_samples(2)
        first.method.set_solver_setting("steps", LONG)
        first.runner.add_to_queue()
        first.queue.move(first.queue.waiting[-1].id, -9)
        first.queue.hold(False)
        await until(lambda: first.run.snapshot().step >= 2)
        await first.close()
        return tuple(item.seed for item in first.queue.items if item.group)

    seeds = drive(before())
    second = stored()

    async def after():
        assert await second.saver.restore()
        names = [item.name for item in second.queue.waiting]
        assert names[1:] == ["Sample 1 of 2", "Sample 2 of 2"]
        assert "3 of 3 runs" in second.said[-1][1]
        assert second.queue.held
        assert not second.run.active
        second.queue.cancel(second.queue.waiting[0].id)
        second.queue.hold(False)
        await idle(second)

    drive(after())
    sample, other, mean = second.runs.records
    assert (sample.recipe.seed, other.recipe.seed) == seeds
    assert sample.recipe.settings["steps"] == 2
    assert sample.recipe.data.sha256
    assert mean.recipe.sample_seeds == seeds
    assert second.queue.place == (2, 2)


def test_a_damaged_queue_costs_its_own_runs_only(stored, drive, phantom_path, prior_path):
    first = stored()

    async def before():
        await open_both(first, phantom_path, prior_path)
        first.queue.hold(True)
        first.runner.add_to_queue()
        first.runner.add_to_queue()
        await first.close()
        return first.saver._store.folder / "session.json"

    path = drive(before())
    content = json.loads(path.read_text())
    content["queue"][0]["recipe"].pop("solver")
    path.write_text(json.dumps(content))
    second = stored()
    assert drive(second.saver.restore())
    assert [item.name for item in second.queue.waiting] == ["Run 2"]
    assert "damaged" in second.said[-1][1]
    assert second.said[-1][2] == "run 1 of the queue"
    assert second.prior.path == prior_path


def test_every_run_is_a_float32_tiff_with_its_recipe_while_the_program_runs(
    stored, drive, phantom_path, prior_path
):
    session = stored()

    async def go():
        await open_both(session, phantom_path, prior_path)
        await one_run(session)
        await session.saver.flush()

    drive(go())
    record = session.runs.records[0]
    (picture,) = session.saver._store.folder.glob("*.tif")
    assert read_recipe(picture)[0] == record.recipe
    assert record.forgettable
    pixels = record.result.pixels
    record.forget()
    assert record.nbytes == 0
    np.testing.assert_array_equal(record.result.pixels, pixels)


_PROGRAM = """
import asyncio, sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication
import qasync
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.session.store import Store
from tests.qt import ended, until
app = QCoreApplication([])
loop = qasync.QEventLoop(app)
asyncio.set_event_loop(loop)
image, prior, root = map(Path, sys.argv[1:])
async def go():
    session = Session("cpu", store=Store(root))
    await session.prior.open(prior)
    await session.data.open(image)
    session.method.set_solver("diffpir")
    session.method.set_problem("views", 17)
    for steps in (2, 3):
        session.method.set_solver_setting("steps", steps)
        session.start()
        await ended(session)
    await session.saver.flush()
    session.method.set_solver_setting("steps", 5000)
    session.start()
    await until(lambda: session.run.snapshot().step >= 2)
    await session.saver.flush()
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
loop.run_until_complete(go())
"""


def killed_in_a_run(phantom_path, prior_path, root):
    """Start the program on a store, and kill it in the middle of its third run."""
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(phantom_path), str(prior_path), str(root)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}, text=True, cwd=REPOSITORY,
    ) as process:  # fmt: skip
        try:
            assert process.stdout.readline().strip() == "ready"
        finally:
            process.send_signal(signal.SIGKILL)


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_program_is_noticed_and_its_runs_come_back(
    stored, drive, phantom_path, prior_path, tmp_path
):
    killed_in_a_run(phantom_path, prior_path, tmp_path / "sessions")
    session = stored()
    assert not session.saver.was_clean
    assert session.saver.has_previous
    assert drive(session.saver.restore())
    assert session.method.problem.views == 17
    assert session.method.settings.steps == 5000
    assert [r.recipe.settings["steps"] for r in session.runs.records] == [2, 3]
    assert session.runs.records[1].result.pixels.shape == (1, 64, 64)
    drive(session.close())
    assert stored().saver.was_clean  # the next end was one


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_restoring_later_keeps_what_has_been_done_since(stored, drive, phantom_path, prior_path, tmp_path):
    killed_in_a_run(phantom_path, prior_path, tmp_path / "sessions")
    session = stored()

    async def go():
        await open_both(session, phantom_path, prior_path)
        await one_run(session)
        await session.saver.flush()
        assert await session.saver.restore()
        assert not session.saver.has_previous
        assert not await session.saver.restore()
        await session.close()

    drive(go())
    assert len(session.runs.records) == 3
    again = stored()
    drive(again.saver.restore())
    assert {r.id for r in again.runs.records} == {r.id for r in session.runs.records}
    assert all(r.result is not None for r in again.runs.records)


@pytest.mark.parametrize(
    "damage", ["cut", "empty", "garbage", "nan", "other json", "huge numbers", "directory"]
)
@pytest.mark.parametrize("victim", ["session.json", "run.json", "run.tif"])
def test_damaged_files_stop_nothing(
    stored, drive, phantom_path, prior_path, tmp_path, victim, damage, request
):
    first = stored()

    async def before():
        first.prior.path, first.data.path = None, None
        first.runs.add(fake_record("a" * 12))
        first.runs.add(fake_record("b" * 12))
        await first.close()

    drive(before())
    (folder,) = (tmp_path / "sessions").iterdir()
    path = (
        folder
        / {"session.json": "session.json", "run.json": "a" * 12 + ".json", "run.tif": "a" * 12 + ".tif"}[
            victim
        ]
    )
    content = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "directory":
        path.mkdir()
    else:
        path.write_bytes(
            {"empty": b"", "garbage": bytes(range(256)) * 8, "nan": content.replace(b"64", b"NaN"),
             "other json": b'{"a": [1, 2]}', "huge numbers": content.replace(b"1", b"9" * 400)}[damage]
        )  # fmt: skip
    second = stored()
    drive(second.saver.restore())
    kept = {r.id: r.result for r in second.runs.records}
    assert kept["b" * 12] is not None
    if victim == "session.json" and damage != "nan":
        assert kept["a" * 12] is not None
    drive(second.close())


def fake_record(identity):
    """A small record as a run leaves it, without running."""
    from datetime import UTC, datetime

    from padis_gui.core.images.image import Image
    from padis_gui.core.runs.engine import Result
    from padis_gui.core.runs.recipe import Recipe
    from padis_gui.viewmodels.pictures.frames import CurvePoint, History
    from padis_gui.viewmodels.runs.runs import RunRecord, thumbnail

    recipe = Recipe.model_validate(
        {"data": {"file": "/x.tif", "window": (-1.0, 1.0)}, "problem": {}, "prior": {"file": "/p.safetensors"},
         "tiling": {}, "solver": "fast", "settings": {}, "seed": 1, "device": "cpu", "precision": "float32",
         "threads": 1, "versions": {}}
    )  # fmt: skip
    image = Image(pixels=np.full((1, 8, 9), 0.25, np.float32), window=(-1.0, 1.0))
    history = History()
    history.append(None, CurvePoint(step=1, sigma=1.0, residual=0.5, psnr=math.inf, seconds=0.1), 1)
    metrics = {"psnr": math.inf, "residual": 0.5}
    result = Result(recipe=recipe, image=image, deviation=None, metrics=metrics, seconds=0.1, evaluations=1)
    return RunRecord(
        id=identity, name="fake", recipe=recipe, metrics=metrics, seconds=0.1, evaluations=1,
        when=datetime.now(UTC), state="Done", thumbnail=thumbnail(image), history=history, _result=result,
    )  # fmt: skip


def test_the_oldest_runs_go_where_the_disk_budget_is_short_and_pinned_ones_stay(stored, drive):
    async def save(session, *identities):
        for identity in identities:
            session.runs.add(fake_record(identity))
            await session.saver.flush()
            when = int(identity, 16)  # no file system's clock is too coarse to tell the older one
            os.utime(session.saver._store.folder / f"{identity}.tif", (when, when))

    session = stored(budget=5000)
    drive(save(session, "0" * 12))
    size = next(session.saver._store.folder.glob("*.tif")).stat().st_size
    session.saver._store.budget = int(3.5 * size)
    session.runs.pin("0" * 12, True)
    drive(save(session, *(f"{n:012x}" for n in range(1, 7))))
    assert [r.id for r in session.runs.records] == ["0" * 12, f"{5:012x}", f"{6:012x}"]
    assert len(list(session.saver._store.folder.glob("*.tif"))) == 3
    assert "let go" in session.said[-1][1]


def test_a_second_window_leaves_the_first_ones_session_alone(stored):
    first = stored()
    first.saver._store.save(first.choices(), (), (), 0)
    second = stored()
    assert second.saver.was_clean
    assert not second.saver.has_previous
    second.saver._store.save(second.choices(), (), (), 0)
    assert first.saver._store.folder != second.saver._store.folder


def test_old_sessions_are_deleted(stored, drive, tmp_path):
    for _ in range(6):
        store = Store(tmp_path / "sessions")
        store.previous = None  # as if it were not gone on with
        store.save(SavedChoices(physics="ct-parallel", solver="fast"), (), (), 0)
        store.close()
    assert len(list((tmp_path / "sessions").iterdir())) <= 5


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_disk_that_refuses_is_said_once_and_the_session_goes_on(stored, drive, tmp_path):
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed").chmod(0o500)
    session = stored(tmp_path / "closed" / "sessions")
    drive(session.saver.flush())
    assert len(session.said) == 1


def test_a_disk_that_fails_is_said_once_and_the_session_goes_on(stored, drive, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    session = stored()
    monkeypatch.setattr("padis_gui.viewmodels.session.store.write_atomically", refuse)

    async def go():
        session.runs.add(fake_record("a" * 12))
        await session.saver.flush()
        session.runs.add(fake_record("b" * 12))
        await session.saver.flush()

    drive(go())
    assert [level for level, _, _ in session.said] == ["warning"]
    assert "No space left" in session.said[0][1]
    assert all(r.result is not None for r in session.runs.records)


def test_a_run_that_the_disk_refused_is_saved_once_there_is_room(stored, drive, monkeypatch):
    """Whatever the disk refused: the picture, what is known of the run, the session; also a change of the run since."""
    session, store = stored(), "padis_gui.viewmodels.session.store"
    changes = []
    session.saver.unsaved_changed.connect(lambda: changes.append([r.id for r in session.saver.unsaved]))

    def full(*_):
        raise OSError(28, "No space left on device")

    def full_in_words(*_, **__):
        raise InputError("The result cannot be written.", remedy="elsewhere")

    async def go():
        for n, (name, refuse) in enumerate([("save_result", full_in_words), ("write_atomically", full)]):
            identity = f"{n:012x}"
            with monkeypatch.context() as disk:
                disk.setattr(f"{store}.{name}", refuse)
                session.runs.add(fake_record(identity))
                await session.saver.flush()
                assert [r.id for r in session.saver.unsaved] == [identity]
                session.runs.rename(identity, f"renamed {n}")
                await session.saver.flush()
                assert [r.id for r in session.saver.unsaved] == [identity]
                assert session.saver._again.isActive()
            await session.saver.flush()
            assert not session.saver.unsaved
            assert not session.saver._again.isActive()
        await session.close()

    drive(go())
    assert changes == [["0" * 12], [], [f"{1:012x}"], []]
    assert [level for level, _, _ in session.said] == ["warning", "info"] * 2
    assert "No space left" in session.said[2][1]
    assert "is saved again" in session.said[3][1]
    again = stored()
    drive(again.saver.restore())
    assert [(r.id, r.name) for r in again.runs.records] == [
        ("0" * 12, "renamed 0"),
        (f"{1:012x}", "renamed 1"),
    ]
    assert all(r.result is not None for r in again.runs.records)


def test_a_refused_run_that_is_deleted_is_no_longer_wanted(stored, drive, monkeypatch):
    session = stored()

    def full(*_):
        raise OSError(28, "No space left on device")

    async def go():
        with monkeypatch.context() as disk:
            disk.setattr("padis_gui.viewmodels.session.store.write_atomically", full)
            session.runs.add(fake_record("a" * 12))
            await session.saver.flush()
            assert session.saver.unsaved
            session.runs.delete(["a" * 12])
            session.runs.empty_bin()
            assert not session.saver.unsaved
            await session.saver.flush()
        await session.saver.flush()
        return list(session.saver._store.folder.glob("a*"))

    assert drive(go()) == []


def test_files_that_could_not_be_removed_are_removed_later(stored, drive, monkeypatch):
    session = stored()

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    async def go():
        session.runs.add(fake_record("a" * 12))
        await session.saver.flush()
        session.runs.delete(["a" * 12])
        session.runs.empty_bin()
        with monkeypatch.context() as disk:
            disk.setattr(Path, "unlink", refuse)
            await session.saver.flush()
        assert list(session.saver._store.folder.glob("a*"))
        await session.saver.flush()
        return list(session.saver._store.folder.glob("a*"))

    assert drive(go()) == []


def test_a_session_that_was_killed_before_its_choices_were_saved_brings_back_its_runs(
    stored, drive, tmp_path
):
    first = stored()

    async def before():
        first.runs.add(fake_record("a" * 12))
        await first.saver.flush()
        return first.saver._store.folder

    folder = drive(before())
    (folder / "session.json").unlink()
    (folder / f".{'b' * 12}.tif.0123abcd").write_bytes(b"half")
    first.saver._store._locks[folder].unlock()  # as the system does for a killed process
    second = stored()
    assert not second.saver.was_clean
    drive(second.saver.restore())
    assert [r.id for r in second.runs.records] == ["a" * 12]
    assert second.said == []
    assert not list(folder.glob(".*"))


@pytest.mark.skipif(sys.platform != "linux", reason="names that are no text")
def test_an_image_whose_name_is_no_text_is_seen_and_not_run(
    stored, drive, phantom_path, prior_path, tmp_path
):
    session, image = stored(), tmp_path / os.fsdecode(b"n\xff.tif")
    image.write_bytes(phantom_path.read_bytes())

    async def go():
        await open_both(session, image, prior_path)
        session.start()
        assert not session.run.active
        await session.saver.flush()

    drive(go())
    assert ["A name in UTF-8 was wanted" in sentence for _, sentence, _ in session.said] == [True]
    assert session.choices().data is None
    assert session.choices().prior == str(prior_path)


def test_choices_of_another_version_cost_only_what_is_unknown(session):
    choices = session.choices().model_copy(
        update={
            "problems": {"ct-parallel": {"views": 33}, "x-ray-vision": {}, "deblur": {"noise": -1}},
            "solvers": {"dds": {"eta": 0.5}, "newton": {}},
            "tiling": {"patch": "round"},
            "seed": -3,
        }
    )
    found = usable(choices)
    assert found.problems["ct-parallel"].views == 33
    assert set(found.problems) == {"ct-parallel"}
    assert set(found.solvers) == {"dds"}
    assert found.seed is None
    assert len(found.complaints) == 5
    assert json.loads(choices.model_dump_json())["seed"] == -3
