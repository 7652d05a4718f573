"""While something is under way: the next run is set up and queued, fields say which run they act on, closing asks."""

import numpy as np
import pytest
import tifffile
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from padis_gui.core.prior.checkpoint import save_prior
from padis_gui.core.runs.control import RunState
from padis_gui.gui.dialogs.volume import VolumeDialog
from padis_gui.gui.kit.widgets import Mark
from padis_gui.viewmodels.runs.run import Progress
from padis_gui.viewmodels.state.preparation import Stage
from padis_gui.viewmodels.state.process import ProcessState
from tests.gui.user import click, dialog, pane, press
from tests.qt import LONG, compared, idle, open_both, settled, until
from tests.tiny import tiny_record, tiny_state


@pytest.fixture
def ready(window, drive, phantom_path, prior_path):
    """The window with the phantom and the tiny prior open."""
    drive(open_both(window.session, phantom_path, prior_path))
    window.session.method.set_solver("diffpir")
    return window


@pytest.fixture
def other_image(tmp_path):
    path = tmp_path / "other.tif"
    tifffile.imwrite(path, np.linspace(-900, 900, 48 * 48).reshape(48, 48).astype(np.int16))
    return path


@pytest.fixture
def other_prior(tmp_path):
    path = tmp_path / "other.safetensors"
    save_prior(path, tiny_record(), tiny_state(), half=False)
    return path


async def started(window, steps=LONG):
    """Click Run on a long run and wait for its first iterates."""
    window.session.method.set_solver_setting("steps", steps)
    press(window, "run")
    await until(lambda: window.session.run.snapshot().step >= 2)


def marks(window):
    """The marks of all fields of the left column's forms that are seen, by their names."""
    forms = (window.problem.form, window.tiling.form, window.solver.forms[window.session.method.solver])
    return {name: label.mark for form in forms for name, label in form.labels.items()}


def choose(combo, value):
    """What a user's click in a list of choices does."""
    combo.setCurrentIndex(combo.findData(value))
    combo.activated.emit(combo.currentIndex())


# -- the next run ---------------------------------------------------------------------------------------------


def test_the_next_run_is_set_up_in_a_run_and_begins_by_itself_with_its_own_choices(
    ready, drive, other_image, other_prior
):
    session = ready.session

    async def go():
        await started(ready)
        run = ready.findChild(object, "run_button")
        assert run.text() == "Queue next"
        assert "under way" in ready.act.run.toolTip()
        size, of_solver = ready.reconstruct.size_row, ready.solver.solver
        for control in (
            ready.data.open, ready.data.folder, ready.data.reading, size.preview, ready.problem.preset,
            ready.problem.physics, ready.problem.form, ready.prior.choice, ready.prior.open, ready.tiling.tiling, of_solver,
        ):  # fmt: skip
            assert control.isEnabled()
        for action in (
            ready.act.open_image,
            ready.act.open_folder,
            ready.act.open_demo,
            ready.act.open_prior,
        ):
            assert action.isEnabled()
        assert ready.act.restore.isEnabled()
        assert ready.panes.act.crop.isEnabled()
        ready.opening.open_prior(other_prior)
        await until(lambda: session.prior.path == other_prior)
        ready.opening.open_image(other_image)
        await until(lambda: session.data.path == other_image)
        choose(ready.problem.preset, "ct-60")
        await until(lambda: session.method.problem.views == 60)
        choose(ready.solver.solver, "dds")
        ready.solver.forms["dds"].editors["steps"].setValue(3)
        assert session.run.active
        await until(lambda: session.prior.path == other_prior)
        assert "Press Queue next" in pane(ready, "estimate").canvas.empty.text()
        QTest.keyClick(ready, Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)
        await until(lambda: len(session.queue.waiting) == 1)
        note, _ = ready.run_tools.notes
        assert note.isVisible()
        assert note.text() == "Queue: 1 waiting"
        click(note)
        assert ready.run_tools.queue_dock.isVisible()
        assert "begins after what is under way" in ready.messages.text.text()
        press(ready, "finish")
        await until(lambda: session.queue.running is not None)
        await idle(ready)

    drive(go())
    first, second = session.runs.records
    assert (first.recipe.solver, first.recipe.problem["views"]) == ("diffpir", 20)
    assert (second.recipe.solver, second.recipe.problem["views"], second.recipe.settings["steps"]) == (
        "dds",
        60,
        3,
    )
    assert second.recipe.data.file == str(other_image)
    assert second.recipe.prior.file == str(other_prior)
    assert second.result.pixels.shape == (1, 48, 48)
    assert ready.findChild(object, "run_button").text() == "Run"


def test_settings_of_an_earlier_run_are_brought_back_in_a_run(ready, drive):
    async def go():
        ready.session.method.set_solver_setting("steps", 2)
        press(ready, "run")
        await idle(ready)
        await started(ready)
        ready.docks.bring(ready.run_tools.list_dock)
        ready.run_tools.list.select(ready.session.runs.records[0])
        ready.run_tools.list.use.trigger()
        await until(lambda: ready.session.method.settings.steps == 2)
        ready.run_tools.list.show_run.trigger()
        assert ready.act.export.isEnabled()  # of the run that is shown
        press(ready, "cancel")
        await idle(ready)

    drive(go())


def test_what_a_run_forbids_says_why(ready, drive):
    async def go():
        await started(ready)
        assert not ready.device.choices["cpu"].isEnabled()
        assert "A run computes there" in ready.device.choices["cpu"].toolTip()
        buttons = ready.laboratory.page.controls.buttons
        assert not buttons["run"].isEnabled()
        assert "A run is under way" in buttons["run"].toolTip()
        press(ready, "cancel")
        await idle(ready)
        assert ready.device.choices["cpu"].isEnabled()
        assert "computes there" not in ready.device.choices["cpu"].toolTip()
        assert buttons["run"].isEnabled()
        assert "under way" not in buttons["run"].toolTip()

    drive(go())


def test_a_comparison_lets_the_next_run_be_queued(ready, drive):
    ab = ready.laboratory.ab

    async def go():
        ready.session.method.set_solver_setting("steps", LONG)
        ab.start()
        await until(lambda: ab.frame(1) is not None)
        ready.session.method.set_solver_setting("steps", 2)
        press(ready, "run")
        assert len(ready.session.queue.waiting) == 1
        assert not ready.act.step.isEnabled()
        ab.cancel()
        await compared(ready)
        await idle(ready)

    drive(go())
    assert [r.recipe.settings["steps"] for r in ready.session.runs.records] == [2]


# -- which run a field acts on --------------------------------------------------------------------------------


def test_fields_say_which_run_they_act_on(ready, drive, other_image):
    session = ready.session

    async def go():
        assert set(marks(ready).values()) == {Mark.NONE}
        assert not ready.solver.marks.isVisible()
        await started(ready)
        found = marks(ready)
        assert {name for name, mark in found.items() if mark is Mark.NOW} >= {"zeta"}
        assert Mark.NEXT not in found.values()
        assert "next iterate" in ready.solver.forms["diffpir"].editors["zeta"].toolTip()
        ready.solver.forms["diffpir"].editors["zeta"].setValue(0.5)
        assert marks(ready)["zeta"] is Mark.NOW
        ready.problem.form.editors["views"].setValue(30)
        ready.solver.forms["diffpir"].editors["steps"].setValue(3)
        assert marks(ready)["views"] is marks(ready)["steps"] is Mark.NEXT
        assert marks(ready)["zeta"] is Mark.NOW
        assert "20 views" in ready.findChild(object, "running_line").text.text()
        ready.problem.form.editors["views"].setValue(20)
        assert marks(ready)["views"] is Mark.NONE
        choose(ready.solver.solver, "dds")  # the running solver is another one: nothing acts on it
        assert {label.mark for label in ready.solver.forms["dds"].labels.values()} == {Mark.NONE}
        assert ready.solver._solver_label.mark is Mark.NEXT
        choose(ready.solver.solver, "diffpir")
        assert marks(ready)["zeta"] is Mark.NOW
        ready.opening.open_image(other_image)
        await until(lambda: session.data.path == other_image)
        assert not session.shown.anything
        ready.act.show_running.trigger()  # what runs is looked at again, with its own truth
        assert session.shown.history is session.run.history
        assert session.screen.subject.image.name != session.data.image.name
        assert not ready.act.show_running.isEnabled()
        assert Mark.NOW not in marks(ready).values()
        ready.solver.forms["diffpir"].editors["zeta"].setValue(0.9)
        assert marks(ready)["zeta"] is Mark.NEXT
        assert session.running.method.settings.zeta == 0.5
        press(ready, "finish")
        await idle(ready)
        assert set(marks(ready).values()) == {Mark.NONE}
        assert not ready.findChild(object, "running_line").isVisible()

    drive(go())
    recipe = session.runs.records[-1].recipe
    assert [change.settings["zeta"] for change in recipe.changes] == [0.5]


# -- the queue ------------------------------------------------------------------------------------------------


def test_a_queue_is_built_while_it_is_held_and_then_started(ready, drive):
    panel, (note, _) = ready.run_tools.queue, ready.run_tools.notes
    places = set()

    async def go():
        note.clicked.emit()
        assert ready.run_tools.queue_dock.isVisible()
        press(panel, "queue_hold")
        assert panel.hold.iconText() == "Start"
        assert panel.summary.text() == "held"
        assert "Held" in panel.empty.text()
        for steps in (3, 4, 5):
            ready.session.method.set_solver_setting("steps", steps)
            assert ready.act.enqueue.isEnabled()
            ready.act.enqueue.trigger()
        await settled()
        assert not ready.session.run.active
        assert note.isVisible()
        assert note.text() == "Queue: 3 waiting, held"
        ready.session.method.set_solver_setting("steps", 2)
        press(ready, "run")  # nothing is under way: this one begins at once, held or not
        await idle_but_held(ready)
        assert len(ready.session.queue.waiting) == 3
        ready.session.queue.changed.connect(lambda: places.add(note.text()))
        press(panel, "queue_hold")
        assert panel.hold.iconText() == "Hold"
        await idle(ready)

    drive(go())
    assert [r.recipe.settings["steps"] for r in ready.session.runs.records] == [2, 3, 4, 5]
    assert {"Queue: 1 of 3", "Queue: 2 of 3", "Queue: 3 of 3"} <= places
    assert not note.isVisible()


async def idle_but_held(window):
    await until(lambda: not window.session.run.active)
    await settled()


# -- a long step ----------------------------------------------------------------------------------------------


def test_a_long_step_fills_the_bar_within_it(ready):
    transport = ready.transport
    progress = Progress(state=RunState.RUNNING, step=3, total=50, sigma=1.0, seconds_per_step=12.0, eta=560.0)
    transport.show_snapshot(progress, None)
    assert (transport.bar.value(), transport.bar.maximum()) == (3, 50)
    within = Progress(
        state=RunState.RUNNING, step=3, total=50, sigma=1.0, seconds_per_step=12.0, eta=560.0, within=0.4
    )
    transport.show_snapshot(within, None)
    assert transport.bar.value() / transport.bar.maximum() == pytest.approx(3.4 / 50)
    assert transport.bar.text() == "step 3 of 50, 40% of the next"
    assert "12.0 s a step" in transport.time.text()


def test_the_first_long_step_is_followed_patch_batch_by_patch_batch(ready, drive, monkeypatch):
    """The clock says that steps take long; the prior's patch batches say how far the first one is."""
    monkeypatch.setattr("padis_gui.viewmodels.runs.run._SLOW_STEP", 0.0)
    session = ready.session

    def pause(*_):  # in the compute thread
        if (session.run.snapshot().within or 0) > 0.2:
            session.run.pause()

    async def go():
        session.prior.loaded.network.register_forward_hook(pause)
        object.__setattr__(session.prior.loaded, "patch_batch", 1)
        press(ready, "run")
        await until(lambda: session.run.snapshot().state is RunState.PAUSED)
        snapshot = session.run.snapshot()
        assert 0 < snapshot.within < 1
        text = f"step 0 of {snapshot.total}, {snapshot.within:.0%} of the next"
        await until(lambda: ready.transport.bar.text() == text)
        press(ready, "cancel")
        await idle(ready)

    drive(go())


# -- closing --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["Finish and close", "Stop and close"])
def test_closing_in_a_run_asks_and_keeps_what_was_asked_for(ready, drive, answer):
    async def go():
        await started(ready)
        ready.session.method.set_solver_setting("steps", 2)
        press(ready, "run")
        keyboard = ready.panes.active.canvas
        keyboard.setFocus()
        ready.close()
        assert ready.isVisible()
        assert "a run, 1 more in the queue" in ready.question.text.text()
        stay = next(b for b in ready.question.answers if b.text() == "Stay")
        stay.setFocus()
        QTest.keyClick(stay, Qt.Key.Key_Return)
        assert ready.focusWidget() is keyboard  # whoever stays goes on where they were
        assert ready.session.run.active
        assert not ready.question.isVisible()
        ready.close()
        click(next(b for b in ready.question.answers if b.text() == answer))
        await ready.closed.wait()

    drive(go())
    states = [record.state for record in ready.session.runs.records]
    assert states == (["Finished early"] if answer == "Finish and close" else [])
    assert [item.recipe.settings["steps"] for item in _left(ready)] == [2]


def _left(window):
    return [task for _, task in window.session.runner.unfinished()]


def test_a_run_that_ends_while_closing_is_asked_for_is_not_spoken_of_any_more(ready, drive):
    async def go():
        await started(ready)
        ready.close()
        assert ready.question.answers[0].hasFocus()
        ready.session.run.finish()
        await until(lambda: "has ended" in ready.question.text.text())
        # Qt shows what is added to a layout in its next turn
        await until(ready.question.answers[0].isVisible)
        assert ready.isVisible()
        click(ready.question.answers[0])
        await ready.closed.wait()

    drive(go())


def test_closing_in_a_comparison_can_keep_both(ready, drive):
    ab = ready.laboratory.ab

    async def go():
        ready.session.method.set_solver_setting("steps", LONG)
        ab.start()
        await until(lambda: ab.frame(1) is not None)
        ready.close()
        click(ready.question.answers[0])
        await ready.closed.wait()

    drive(go())
    assert [record.name[-8:] for record in ready.session.runs.records] == ["A of A/B", "B of A/B"]


def test_a_set_of_samples_whose_last_one_is_finished_by_closing_is_whole(ready, drive):
    async def go():
        ready.session.method.set_solver_setting("steps", 2)
        ready.session.queue.hold(True)
        ready.session.runner.draw_samples(2)
        ready.session.queue.items[-1].task = _longer(ready.session.queue.items[-1].task)
        ready.session.queue.hold(False)
        await until(lambda: ready.session.queue.place == (2, 2) and ready.session.run.snapshot().step > 1)
        ready.close()
        click(ready.question.answers[0])
        await ready.closed.wait()

    drive(go())
    assert len(ready.session.runs.records[-1].recipe.sample_seeds) == 2


def _longer(task):
    from dataclasses import replace

    settings = {**task.recipe.settings, "steps": LONG}
    return replace(task, recipe=task.recipe.model_copy(update={"settings": settings}))


def test_a_volume_is_seen_in_the_main_window_and_closing_asks(ready, drive):
    volumes, (_, note) = ready.run_tools.volumes, ready.run_tools.notes

    async def go():
        assert not note.isVisible()
        volumes.process.state = ProcessState.RUNNING
        volumes.progress.done, volumes.progress.total, volumes.progress.seconds_left = 3, 12, 80.0
        volumes.changed.emit()
        assert note.isVisible()
        assert note.text() == "Volume 3 of 12, 1:20 left"
        click(note)
        await until(lambda: dialog(ready, VolumeDialog))
        dialog(ready, VolumeDialog).close()
        ready.close()
        assert "a volume" in ready.question.text.text()
        assert [b.text() for b in ready.question.answers] == ["Stop and close", "Stay"]
        assert "Finished slices" in ready.question.answers[0].toolTip()
        click(ready.question.answers[1])
        volumes.process.state = ProcessState.DONE
        volumes.changed.emit()
        assert not note.isVisible()

    drive(go())


def test_cancel_stops_what_is_being_prepared(window, drive, tmp_path, prior_path):
    large = tmp_path / "large.npy"
    np.save(large, np.random.default_rng(0).random((1024, 1024), np.float32))
    session = window.session

    async def go():
        session.method.set_problem("views", 120)
        await session.prior.open(prior_path)
        await session.data.open(large)
        assert session.preparation.stage is Stage.AT_RUN
        assert not window.act.cancel.isEnabled()
        session.screen.take_offer()
        await until(lambda: session.preparation.progress[1])
        press(window, "cancel")
        assert session.preparation.stage is Stage.AT_RUN
        assert "Compute now" in session.screen.offers().values()
        await session.compute(int)  # the thread is free again

    drive(go())
