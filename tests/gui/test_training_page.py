"""The Training page as a user drives it, with a process that only pretends to train."""

import json
import sys

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
)

from padis_gui.viewmodels.state.process import ProcessState
from padis_gui.viewmodels.training import plan as training_pace
from tests.gui.user import click, drop, turn_to
from tests.qt import open_both, until
from tests.training_images import FAKE, write_images, write_looks

COMMAND_LINE = "padis_gui.viewmodels.state.process.command_line"


@pytest.fixture
def page(window, monkeypatch):
    """The window with the Training page in front; processes are fakes, and nothing is timed."""
    monkeypatch.setattr(COMMAND_LINE, lambda *words: [sys.executable, str(FAKE), *words])
    monkeypatch.setattr(training_pace, "seconds_a_step", lambda *_: 0.5)
    yield window.training
    window.trainer.process.stop()


@pytest.fixture
def images(tmp_path):
    return write_images(tmp_path / "images")


async def started(window, images, **fake):
    """Choose the images, tell the fake how to behave, and click Start."""
    await turn_to(window, "train")
    plan = window.trainer.plan
    plan.choose_data((images,))
    await until(lambda: plan.data.preview is not None)
    write_looks(plan.folder, range(5, 41, 5))
    folder = plan.folder
    (folder / "fake.json").write_text(json.dumps(fake))
    click(window.training.transport.buttons["start"])
    await until(lambda: window.trainer.running == folder)


async def ended(window):
    await until(lambda: not window.trainer.active)
    window.training.progress.refresh()


def test_keys_change_the_page_and_runs_are_steered_on_theirs_only(window, drive, phantom_path, prior_path):
    async def go():
        await open_both(window.session, phantom_path, prior_path)
        assert window.act.run.isEnabled()
        await turn_to(window, "train")
        assert not window.act.run.isEnabled()
        assert not window.picture_bar.isVisible()
        QTest.keyClick(window, Qt.Key.Key_1, Qt.KeyboardModifier.ControlModifier)
        assert window.at_work
        assert window.act.run.isEnabled()
        assert window.picture_bar.isVisible()

    drive(go())


def test_dropped_images_are_shown_as_the_network_will_see_them(window, page, drive, images):
    async def go():
        await turn_to(window, "train")
        assert "folder" in page.images.stack.currentWidget().findChild(QAbstractButton).text()
        assert not page.transport.start.isEnabled()
        drop(page, images)
        await until(lambda: page.images.sheet.count())

    drive(go())
    assert page.images.sheet.count() == 12
    assert page.images.sheet.item(0).text() == "image_00.tif"
    assert page.images.skipped.topLevelItem(0).text(0) == "note.png"
    assert page.images.skipped.topLevelItem(0).text(1)
    assert "12 images" in page.images.summary.text()
    assert page.transport.start.isEnabled()
    assert page.setup.place.name.text() == "images"


def test_forms_show_the_plan_and_change_it(window, page, drive):
    plan, method = window.trainer.plan, page.setup.method

    async def go():
        await turn_to(window, "train")
        method.amount.setValue(7)
        assert (plan.minutes, plan.budget) == (7, "minutes")
        method.unit.setCurrentIndex(1)
        method.unit.activated.emit(1)
        assert plan.budget == "steps"
        method.training.editors["learning_rate"].setValue(0.0005)
        assert plan.training.learning_rate == 0.0005
        method.network.editors["width"].setValue(96)
        assert plan.network.width == 96
        assert method.sizes.currentIndex() == -1
        method.sizes.setCurrentIndex(0)
        method.sizes.activated.emit(0)
        assert plan.size == "small"
        page.setup.data.form.editors["image_size"].setValue(64)
        assert plan.data.settings.image_size == 64

    drive(go())


def test_a_training_fills_curves_and_looks_and_offers_its_prior(window, page, drive, images):
    async def go():
        await started(window, images, steps=40)
        await ended(window)
        await until(lambda: window.trainer.looks.look is not None and window.trainer.looks.look.step == 40)

    drive(go())
    drive(until(lambda: all(plot.is_drawn for plot in page.progress.curves.plots)))
    curves, progress = page.progress.curves, page.progress
    assert page.tabs.currentWidget() is progress
    assert curves.patches.names == ["32 px", "16 px"]
    assert curves.patches.points("32 px")[0].tolist() == list(range(1, 41))
    assert len(curves.levels.names) == 7
    assert curves.psnr.points("with this prior")[0].tolist() == list(range(5, 41, 5))
    assert curves.psnr.points("FBP")[1].tolist() == [22.5, 22.5]
    assert "<b>images</b>" in progress.verdict.text()
    assert "step 40 of 40" in progress.verdict.text()
    assert len(progress.looks.wall.tiles) == 2 * (2 + 1 + 1)
    assert progress.looks.slider.maximum() == 7
    assert progress.use.isEnabled()
    assert page.transport.bar.value() == 40
    assert window.trainer.state is ProcessState.DONE


def test_earlier_looks_are_chosen_by_keys_and_the_latest_is_followed_again(window, page, drive, images):
    looks = page.progress.looks

    async def go():
        await started(window, images, steps=40)
        await ended(window)
        await until(lambda: window.trainer.looks.look is not None and window.trainer.looks.look.step == 40)
        looks.slider.setFocus()
        QTest.keyClick(looks.slider, Qt.Key.Key_Home)
        await until(lambda: window.trainer.looks.look.step == 5)
        assert not looks.follow.isChecked()
        assert "step 5" in looks.caption.text()
        click(looks.follow)
        await until(lambda: window.trainer.looks.look.step == 40)
        tile = looks.wall.tiles[0]
        click(tile)
        assert [each.isVisible() for each in looks.wall.tiles].count(True) == 1
        QTest.keyClick(tile, Qt.Key.Key_Escape)
        assert all(each.isVisible() for each in looks.wall.tiles)

    drive(go())


def test_pause_resume_and_stop_by_their_buttons(window, page, drive, images):
    transport, trainer = page.transport, window.trainer

    async def go():
        await started(window, images, steps=10**6, delay=0.003)
        await until(lambda: trainer.history.step > 5)
        assert not transport.start.isEnabled()
        click(transport.buttons["pause"])
        await until(lambda: trainer.state is ProcessState.PAUSED)
        assert transport.pause.text() == "Resume"
        click(transport.buttons["pause"])
        await until(lambda: trainer.state is ProcessState.RUNNING)
        assert "images" in window.training_note.text()
        assert window.training_note.isVisible()
        click(transport.buttons["stop"])
        await ended(window)
        assert trainer.state is ProcessState.STOPPED
        assert not window.training_note.isVisible()
        click(page.progress.resume)
        await until(lambda: trainer.state is ProcessState.RUNNING)
        click(transport.buttons["stop"])
        await ended(window)

    drive(go())


def test_closing_asks_and_keeps_training_or_saves(window, page, drive, images):
    async def go():
        await started(window, images, steps=10**6, delay=0.003, every=10**6)
        await until(lambda: window.trainer.history.step > 3)
        window.close()
        assert window.isVisible()
        save, keep = window.question.answers
        click(keep)
        assert not window.question.isVisible()
        assert window.trainer.active
        window.close()
        save, keep = window.question.answers
        click(save)
        await window.closed.wait()

    drive(go())
    assert not window.trainer.active
    assert int((window.trainer.running / "state.safetensors").read_text()) > 3


def test_closing_twice_saves_and_closes(window, page, drive, images):
    async def go():
        await started(window, images, steps=10**6, delay=0.003)
        await until(lambda: window.trainer.history.step > 3)
        window.close()
        window.close()
        await window.closed.wait()

    drive(go())
    assert (window.trainer.running / "state.safetensors").exists()


def test_ticked_trainings_are_laid_over_each_other(window, page, drive, images):
    runs = page.runs

    async def go():
        for steps in (10, 20):
            await started(window, images, steps=steps)
            await ended(window)
        page.tabs.setCurrentWidget(runs)
        await until(lambda: runs.list.topLevelItemCount() == 2)
        for number in (0, 1):
            runs.list.topLevelItem(number).setCheckState(0, Qt.CheckState.Checked)
        await until(lambda: runs.plots["average"].is_drawn)
        await until(lambda: runs.plots["average"].is_drawn)
        assert len(runs.plots["average"].names) == 2
        assert len(runs.plots["psnr"].names) == 2
        runs.axis.setCurrentIndex(1)
        await until(lambda: runs.plots["average"].is_drawn)
        line = runs.plots["average"].points(str(window.trainer.running))
        assert line[0].tolist() == pytest.approx([0.2 * step / 60 for step in range(1, 21)])
        runs.list.topLevelItem(0).setCheckState(0, Qt.CheckState.Unchecked)
        assert len(runs.plots["average"].names) == 1
        runs.list.setCurrentItem(runs.list.topLevelItem(1))
        click(runs.show_button)
        assert page.tabs.currentWidget() is page.progress
        assert window.trainer.history.step == 10

    drive(go())


def test_a_failed_start_is_one_sentence_and_can_be_tried_again(window, page, drive, images):
    async def go():
        await started(window, images, fail="bad")
        await ended(window)
        assert "Images were wanted" in window.messages.text.text()
        assert page.transport.start.isEnabled()

    drive(go())


def test_it_fits_into_1280_by_720(window, page, drive):
    drive(turn_to(window, "train"))
    assert window.minimumSizeHint().width() <= 1280
    assert window.minimumSizeHint().height() <= 720
    assert window.findChild(QAction, "page_train").isChecked()
