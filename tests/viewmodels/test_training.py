"""Planning, starting, steering and following a training, with a process that only pretends to train."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from padis_gui.core.training.plan import load_request
from padis_gui.viewmodels.state import process as training_process
from padis_gui.viewmodels.state.process import ProcessState, command_line
from padis_gui.viewmodels.training import plan as training_pace
from padis_gui.viewmodels.training.trainer import Trainer
from tests.qt import settled, until
from tests.training_images import FAKE, write_images
from tests.waiting import wait_for

COMMAND_LINE = "padis_gui.viewmodels.state.process.command_line"


@pytest.fixture
def images(tmp_path):
    return write_images(tmp_path / "images")


@pytest.fixture
def trainer(session, drive, tmp_path, monkeypatch):
    """A trainer that writes into the test's folder, and whose processes are fakes; nothing is timed."""
    monkeypatch.setattr(COMMAND_LINE, lambda *words: [sys.executable, str(FAKE), *words])
    monkeypatch.setattr(training_pace, "seconds_a_step", lambda *_: 0.5)

    async def make():
        return Trainer(session, tmp_path / "trainings")

    made = drive(make())
    yield made
    drive(made.close())


async def planned(trainer, images, **fake):
    """Choose the images, and tell the fake how to behave."""
    trainer.plan.choose_data((images,))
    await until(lambda: trainer.plan.data.preview is not None)
    trainer.plan.folder.mkdir(parents=True)
    (trainer.plan.folder / "fake.json").write_text(json.dumps(fake))


def test_the_preview_shows_what_the_network_will_see(trainer, drive, images, session):
    data = trainer.plan.data

    async def go():
        await planned(trainer, images)
        preview = data.preview
        assert (preview.images, preview.aside, preview.image_size) == (12, 1, 64)
        assert [skipped.name for skipped in preview.skipped] == ["note.png"]
        assert all(picture.dtype == np.uint8 for picture in preview.pictures)
        assert preview.names[0].startswith("image_00")
        trainer.plan.set_data("image_size", 96)
        await until(lambda: data.preview is not None and data.preview.image_size == 96)
        trainer.plan.choose_data((images,))
        await until(lambda: data.preview is not None)
        assert data.preview.image_size == 96  # asked for, so it stays

    drive(go())
    assert session.said == []


def test_newer_choices_overtake_older_ones(trainer, drive, images, tmp_path):
    other = write_images(tmp_path / "others", count=5)

    async def go():
        trainer.plan.choose_data((images,))
        trainer.plan.choose_data((other,))
        await until(lambda: trainer.plan.data.loading is None and trainer.plan.data.preview is not None)

    drive(go())
    assert trainer.plan.data.preview.images == 5
    assert trainer.plan.name == "others"


def test_nothing_usable_is_an_obstacle_in_words(trainer, drive, tmp_path, session):
    folder = tmp_path / "empty"
    folder.mkdir()
    assert "first" in trainer.plan.obstacle()

    async def go():
        trainer.plan.choose_data((folder,))
        await until(lambda: trainer.plan.data.loading is None)
        assert not await trainer.start()

    drive(go())
    assert trainer.plan.obstacle()
    assert [level for level, _, _ in session.said] == ["error", "warning"]


def test_the_budget_becomes_steps_once_the_pace_is_known(trainer, drive, images):
    drive(planned(trainer, images))
    drive(until(lambda: trainer.plan.pace is not None))
    plan = trainer.plan
    assert plan.pace == 0.5
    plan.set_budget("minutes", 20)
    assert plan.training.steps * 0.5 <= 20 * 60
    assert plan.training.steps * 0.5 >= 0.7 * 20 * 60
    assert plan.training.checkpoint_every * 0.5 <= 90
    assert 8 <= plan.training.steps / plan.sight.look_every <= 25
    plan.set_budget("steps", 40)
    assert plan.training.steps == 40
    assert plan.training.warmup <= 40 // 10


def test_what_is_set_by_hand_stays(trainer, session):
    plan = trainer.plan
    plan.set_training("learning_rate", 2e-4)
    plan.set_training("patch_sizes", ["32", "16"])
    plan.set_sight("look_every", 7)
    plan.set_network("width", 96)
    plan.set_budget("steps", 123)
    assert plan.training.learning_rate == 2e-4
    assert plan.training.patch_sizes == (32, 16)
    assert len(plan.training.patch_probabilities) == 2
    assert plan.sight.look_every == 7
    assert (plan.network.width, plan.size) == (96, None)
    plan.set_size("medium")
    assert (plan.network.width, plan.size) == (64, "medium")
    plan.set_data("colour", "colour")
    assert plan.network.image_channels == 3
    assert session.said == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p.set_training("learning_rate", -1), "Learning rate must be"),
        (lambda p: p.set_training("patch_sizes", ["4"]), "contradict"),
        (lambda p: p.set_training("patch_probabilities", ["1"]), "contradict"),
        (lambda p: p.set_data("image_size", 3), "Image size must be"),
        (lambda p: p.set_network("width", 1), "Width must be"),
        (lambda p: p.set_size("huge"), "must be one of"),
        (lambda p: p.set_sight("look_every", -5), "Look every must be"),
    ],
)
def test_a_bad_choice_is_refused_in_words_and_changes_nothing(trainer, session, change, words):
    plan = trainer.plan
    before = (plan.data.settings, plan.training, plan.network, plan.sight, plan.size)
    change(plan)
    assert (plan.data.settings, plan.training, plan.network, plan.sight, plan.size) == before
    assert [level for level, _, _ in session.said] == ["error"]
    assert words in session.said[0][1]


def test_small_images_get_patches_that_fit_into_them(trainer):
    trainer.plan.set_data("image_size", 64)
    assert max(trainer.plan.training.patch_sizes) <= 64


def test_fine_tuning_keeps_the_priors_conventions(trainer, drive, prior_path, session):
    assert drive(trainer.plan.start_at(prior_path))
    plan = trainer.plan
    assert (plan.data.settings.image_size, plan.data.settings.window_low, plan.data.settings.window_high) == (
        64,
        -1000,
        1000,
    )
    assert plan.network == plan.start_record.network
    assert plan.training.patch_sizes == (32, 16)
    assert plan.training.learning_rate < 1e-3
    plan.start_fresh()
    assert (plan.start_from, plan.size, plan.data.settings.image_size) == (None, "small", 256)
    assert not drive(plan.start_at(FAKE))
    assert plan.start_from is None
    assert [level for level, _, _ in session.said] == ["error"]


def test_a_training_is_followed_to_its_end(trainer, drive, images, session):
    async def go():
        await planned(trainer, images, steps=20)
        training = trainer.plan.training  # the next plan may differ: the training tells its pace
        assert await trainer.start()
        await until(lambda: not trainer.active)
        await until(lambda: trainer.trainings)
        return training

    training = drive(go())
    assert trainer.state is ProcessState.DONE
    assert trainer.history.steps == list(range(1, 21))
    assert [point.step for point in trainer.history.looks] == [5, 10, 15, 20]
    request = load_request(trainer.running)
    assert request.data == (images,)
    assert request.training == training
    found = trainer.trainings[0]
    assert (found.path, found.name, found.step, found.has_prior) == (trainer.running, "images", 20, True)
    assert found.history.average == trainer.history.average
    assert trainer.plan.folder != trainer.running  # the next training gets its own
    assert "prior.safetensors" in session.said[-1][1]


def test_pause_holds_and_going_on_goes_on(trainer, drive, images):
    async def go():
        await planned(trainer, images, steps=10**6, delay=0.002)
        await trainer.start()
        await until(lambda: trainer.history.step > 5)
        trainer.pause()
        await until(lambda: trainer.state is ProcessState.PAUSED)
        held, eta = trainer.history.step, trainer.standing().eta
        await settled()
        assert trainer.history.step == held
        assert trainer.standing().eta == eta
        trainer.go_on()
        await until(lambda: trainer.history.step > held + 5)
        assert trainer.state is ProcessState.RUNNING
        trainer.stop()
        assert trainer.state is ProcessState.STOPPING
        await until(lambda: not trainer.active)

    drive(go())
    assert trainer.state is ProcessState.STOPPED
    log = (trainer.running / "log.jsonl").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line)["event"] for line in log]
    assert events[events.index("paused") + 1] == "resumed"  # no step between, however long it took


@pytest.mark.parametrize("paused", [False, True])
def test_stopping_saves_and_resuming_goes_on_from_there(trainer, drive, images, paused):
    async def go():
        await planned(trainer, images, steps=10**6, delay=0.002, every=10**6)
        await trainer.start()
        await until(lambda: trainer.history.step > 20)
        if paused:
            trainer.pause()
            await until(lambda: trainer.state is ProcessState.PAUSED)
        trainer.stop()
        await until(lambda: not trainer.active)
        folder, stopped_at = trainer.running, trainer.history.saved_step
        assert stopped_at > 20
        assert await trainer.resume(folder)
        await until(lambda: trainer.history.step > stopped_at + 5)
        assert trainer.history.steps == list(range(1, trainer.history.step + 1))
        trainer.stop()
        await until(lambda: not trainer.active)

    drive(go())


def test_a_finished_training_is_given_more_steps(trainer, drive, images):
    async def go():
        await planned(trainer, images, steps=10)
        await trainer.start()
        await until(lambda: not trainer.active)
        trainer.plan.set_budget("steps", 15)
        assert await trainer.prolong(trainer.running)
        await until(lambda: not trainer.active)

    drive(go())
    assert (trainer.history.step, trainer.history.total, trainer.history.finished) == (25, 25, True)


@pytest.mark.parametrize(("fail", "words"), [("bad", "Images were wanted"), ("crash", "ended unexpectedly")])
def test_a_process_that_fails_says_why_and_leaves_the_window_ready(
    trainer, drive, images, session, fail, words
):
    async def go():
        await planned(trainer, images, fail=fail)
        await trainer.start()
        await until(lambda: not trainer.active)

    drive(go())
    assert trainer.state is ProcessState.FAILED
    assert [level for level, _, _ in session.said] == ["error"]
    assert words in session.said[0][1]
    assert not trainer.active


def test_a_process_that_cannot_be_started_is_said(trainer, drive, images, session, monkeypatch):
    monkeypatch.setattr(COMMAND_LINE, lambda *_: ["/nonexistent/python"])

    async def go():
        await planned(trainer, images)
        await trainer.start()
        await until(lambda: not trainer.active)

    drive(go())
    assert trainer.state is ProcessState.FAILED
    assert "could not be started" in session.said[0][1]


def test_lines_that_are_no_events_are_left_out(trainer, drive, images):
    async def go():
        await planned(trainer, images, steps=5, fail="noise")
        await trainer.start()
        await until(lambda: not trainer.active)

    drive(go())
    assert trainer.state is ProcessState.DONE
    assert trainer.history.steps == [1, 2, 3, 4, 5]
    assert trainer.history.unreadable == 5


_DYING_WINDOW = """
import os, sys
from PySide6.QtCore import QCoreApplication
from padis_gui.viewmodels.state import process as training_process
app = QCoreApplication([])
training_process.command_line = lambda *words: [sys.executable, {fake!r}, *words]
process = training_process.ChildProcess("training", "")
process.spoke.connect(lambda event: os._exit(7) if event.get("step", 0) > 3 else None)
process.start("train", "--resume", {folder!r})
app.exec()
"""


def test_a_training_whose_window_died_saves_and_ends(tmp_path):
    (tmp_path / "fake.json").write_text(json.dumps({"steps": 10**6, "delay": 0.002, "every": 10**6}))
    code = _DYING_WINDOW.format(fake=str(FAKE), folder=str(tmp_path))
    assert subprocess.run([sys.executable, "-c", code], timeout=300, check=False).returncode == 7
    wait_for((tmp_path / "state.safetensors").exists)  # else the training goes on without its window
    assert int((tmp_path / "state.safetensors").read_text()) > 3


def test_a_folder_that_another_process_writes_into_is_left_alone(trainer, drive, images, tmp_path, session):
    async def go():
        await planned(trainer, images, steps=10**6, delay=0.002)
        await trainer.start()
        await until(lambda: trainer.history.step > 3)
        trainer.stop()
        await until(lambda: not trainer.active)
        folder, trainer.running = trainer.running, None  # as if it had been another window's
        for file in folder.iterdir():
            os.utime(file)  # as if it went on, however long it took to get here
        assert not await trainer.resume(folder)
        stopped = time.time() - 3600
        for file in folder.iterdir():
            os.utime(file, (stopped, stopped))
        assert await trainer.resume(folder)
        trainer.stop()
        await until(lambda: not trainer.active)

    drive(go())
    assert [level for level, _, _ in session.said] == ["warning"]
    assert "Another process" in session.said[0][1]


def test_a_training_teaches_what_a_step_takes(trainer, drive, images):
    async def go():
        await planned(trainer, images, steps=40)
        await trainer.start()
        await until(lambda: not trainer.active)

    drive(go())
    assert trainer.plan.pace == pytest.approx(0.2)  # seconds a step, as the fake says


def test_a_process_that_does_not_listen_is_terminated(trainer, drive, images, monkeypatch):
    monkeypatch.setattr(training_process, "STOP_SECONDS", 0.1)

    async def go():
        await planned(trainer, images, steps=10**6, fail="deaf")
        await trainer.start()
        await until(lambda: trainer.history.step > 3)
        trainer.stop()
        await until(lambda: not trainer.active)

    drive(go())
    assert trainer.state is ProcessState.STOPPED


def test_closing_waits_until_the_training_has_saved(trainer, drive, images):
    async def go():
        await planned(trainer, images, steps=10**6, delay=0.005, every=10**6)
        await trainer.start()
        await until(lambda: trainer.history.step > 3)
        await trainer.close()

    drive(go())
    assert not trainer.active
    assert int((trainer.running / "state.safetensors").read_text()) > 3


def test_trainings_are_listed_compared_and_added_from_elsewhere(trainer, drive, images, tmp_path, session):
    elsewhere = tmp_path / "elsewhere" / "old"

    async def go():
        for steps in (5, 8):
            await planned(trainer, images, steps=steps)
            await trainer.start()
            await until(lambda: not trainer.active)
        trainer.running.replace(elsewhere.parent.mkdir() or elsewhere)
        await trainer.refresh_trainings()
        assert [found.path.name for found in trainer.trainings] == ["images"]
        assert await trainer.add_folder(elsewhere)
        assert {found.path.name for found in trainer.trainings} == {"images", "old"}
        assert trainer.shown == elsewhere
        assert trainer.history.step == 8
        assert not await trainer.add_folder(tmp_path)

    drive(go())
    trainer.compare(elsewhere, True)
    assert trainer.compared == {elsewhere}
    assert session.said[-1][0] == "error"


def test_a_prior_that_is_not_there_yet_is_not_used(trainer, drive, tmp_path, session):
    assert not drive(trainer.use(tmp_path))
    assert session.said[-1][0] == "warning"


def test_the_command_is_the_programs_own():
    assert command_line("train", "--resume", "x") == [
        sys.executable,
        "-m",
        "padis_gui",
        "train",
        "--resume",
        "x",
    ]


def test_what_is_asked_of_a_trainer_that_was_left_comes_to_nothing(trainer, drive, session):
    """As by the timer that reads the trainings again, while the window closes."""
    drive(trainer.close())
    drive(trainer.refresh_trainings())
    assert session.said == []
