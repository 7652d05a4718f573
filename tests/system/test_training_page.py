"""From a folder of images to a reconstruction with their prior: the real window, a real training in its own process."""

import asyncio

import pytest
from PySide6.QtGui import QAction
from PySide6.QtTest import QTest

from padis_gui.viewmodels.state.process import ProcessState
from padis_gui.viewmodels.training import plan as training_pace
from tests.gui.conftest import drive, styled, window  # noqa: F401 - fixtures
from tests.gui.user import click
from tests.qt import until
from tests.training_images import write_images
from tests.waiting import TIMEOUT

START = TIMEOUT / 2  # seconds at most for a process that imports torch on a busy machine


def make_it_small(plan):
    """A network and looks that take milliseconds."""
    for name, value in {
        "width": 32,
        "multipliers": ["1", "1"],
        "blocks": 1,
        "embedding": 32,
        "attention": False,
    }.items():
        plan.set_network(name, value)
    plan.set_training("patch_sizes", ["16"])
    plan.set_training("pixels", 1024)
    plan.set_training("validate_every", 5)
    sight = {"look_every": 5, "look_share": 1.0, "levels": ["0.2", "1"], "evaluations": 2, "sample_steps": 2}
    for name, value in (sight | {"tensorboard": False}).items():
        plan.set_sight(name, value)
    plan.set_budget("steps", 100_000)


@pytest.mark.usefixtures("styled")
def test_a_prior_is_trained_steered_and_used(window, drive, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(training_pace, "seconds_a_step", lambda *_: 0.01)
    page, trainer, session = window.training, window.trainer, window.session
    images = write_images(tmp_path / "images", size=32)
    said = []
    session.message.connect(lambda *message: said.append(message))

    async def start_and_see():
        window.activateWindow()
        await until(window.isActiveWindow)
        QTest.keySequence(window, window.findChild(QAction, "page_train").shortcut())
        await until(page.isVisible)
        trainer.plan.choose_data((images,))
        await until(lambda: page.images.sheet.count() == 12)
        make_it_small(trainer.plan)

        click(page.transport.buttons["start"])
        await until(lambda: trainer.looks.look is not None, START)
        await until(lambda: page.progress.curves.patches.names == ["16 px"])
        await until(lambda: trainer.history.validation)
        assert page.progress.looks.wall.tiles

    async def pause_resume_and_stop():
        click(page.transport.buttons["pause"])
        await until(lambda: trainer.state is ProcessState.PAUSED)
        held = trainer.history.step
        await asyncio.sleep(0.3)  # sleep: a process that does not hold goes on meanwhile
        assert trainer.history.step == held
        click(page.transport.buttons["pause"])
        await until(lambda: trainer.history.step > held)
        click(page.transport.buttons["stop"])
        await until(lambda: not trainer.active, START)
        assert trainer.state is ProcessState.STOPPED
        assert (trainer.running / "state.safetensors").exists()

    async def use():
        click(page.progress.use)
        await until(lambda: window.at_work)
        assert session.prior.path == trainer.running / "prior.safetensors"
        assert await session.data.open(images / "image_00.tif")
        session.method.set_physics("denoising")
        session.method.set_solver_setting("steps", 3)
        await until(lambda: session.opened() is not None)
        session.start()
        await until(lambda: session.shown.result is not None, START)  # it comes a moment after the run's end

    for part in (start_and_see, pause_resume_and_stop, use):
        drive(part(), 2 * START)
    assert not [message for message in said if message[0] == "error"]
