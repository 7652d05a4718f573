"""The window as a user drives it: open, run, pause, step, finish, cancel, close, export."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QInputDialog

from padis_gui.core.exports.about import read_recipe
from padis_gui.core.runs import engine
from padis_gui.core.runs.control import RunState
from padis_gui.core.runs.engine import solve
from padis_gui.core.settings.errors import DivergenceError
from padis_gui.gui.kit.widgets import Mark
from padis_gui.gui.runs.curves import THIS_RUN
from padis_gui.viewmodels.pictures.pictures import value_text
from padis_gui.viewmodels.runs import run as run_module
from padis_gui.viewmodels.runs.run import Progress
from tests.gui.user import drop
from tests.gui.user import press as click
from tests.qt import LONG, ended, open_both, painted, settled, until
from tests.snapshots import dump, random_snapshot


@pytest.fixture
def ready(window, drive, phantom_path, prior_path):
    """The window with the phantom and the tiny prior open."""
    drive(open_both(window.session, phantom_path, prior_path))
    window.session.method.set_solver("diffpir")
    return window


def state(window):
    return window.session.run.snapshot().state


def step(window):
    return window.session.run.snapshot().step


async def started(window, steps=LONG):
    """Click Run on a long run and wait for its first iterates."""
    window.session.method.set_solver_setting("steps", steps)
    click(window, "run")
    await until(lambda: step(window) >= 3)


def test_opening_shows_truth_and_baseline_and_starts_nothing(ready):
    assert ready.panes.pixels("truth").shape == (64, 64)
    assert ready.panes.pixels("baseline") is not None
    assert ready.panes.pixels("estimate") is None
    assert state(ready) is RunState.IDLE
    assert "Press Run" in ready.panes.panes[2].canvas.empty.text()


def test_without_a_prior_the_panes_ask_for_one_and_not_for_a_run(window, drive, phantom_path):
    drive(window.session.data.open(phantom_path))
    assert not window.act.run.isEnabled()
    texts = [pane.canvas.empty.text() for pane in window.panes.panes]
    assert not any("Press" in text for text in texts)
    assert "A prior is wanted: Ctrl+P opens one" in texts[2]


def test_a_run_fills_panes_curves_and_verdict(ready, drive):
    async def go():
        ready.session.method.set_solver_setting("steps", 12)
        click(ready, "run")
        await ended(ready)
        plots = [
            ready.curves.plots[key] for key in ("psnr", "residual", "sigma")
        ]  # drawn one after the other
        await until(lambda: all(len(plot.points(THIS_RUN)[0]) == 12 for plot in plots))

    drive(go())
    assert state(ready) is RunState.DONE
    result = ready.session.shown.result
    np.testing.assert_array_equal(ready.panes.pixels("estimate"), result.pixels[0])
    np.testing.assert_allclose(
        ready.panes.pixels("difference"), result.pixels[0] - ready.panes.pixels("truth"), atol=1e-3
    )
    assert f"{result.metrics['psnr']:.2f}" in ready.verdict.text()
    assert str(result.recipe.seed) in ready.verdict.text()
    ready.resize(1280, 720)
    ready.verdict.setText(ready.verdict.text() + "9" * 60)
    drive(settled())
    assert ready.verdict.isVisible()  # a long one is shortened, and does not go behind the bar's end
    assert ready.verdict.width() > 300
    assert ready.transport.bar.value() == 12
    assert ready.act.export.isEnabled()
    assert ready.problem.form.editors["views"].isEnabled()
    assert ready.tiling.patch.isEnabled()
    assert ready.data.open.isEnabled()


def test_the_tiling_of_the_shown_step_is_drawn_and_toggled_by_its_key(ready, drive):
    async def go():
        ready.session.method.set_tiling("strategy", "random")
        ready.session.method.set_solver_setting("steps", 5)
        click(ready, "run")
        await ended(ready)

    drive(go())
    pane = next(p for p in ready.panes.panes if p.source == "estimate")
    partition = pane.canvas.overlay.partition
    assert partition is ready.display.frame.partition
    assert len(partition.boxes) == 9  # patches of 32 on 64 px: K = 3 an axis
    assert next(p for p in ready.panes.panes if p.source == "truth").canvas.overlay.partition is None
    ready.activateWindow()
    QTest.keyClick(ready, Qt.Key.Key_T)
    assert pane.canvas.overlay.partition is None
    QTest.keyClick(ready, Qt.Key.Key_T)
    assert pane.canvas.overlay.partition is partition


def test_pause_holds_step_makes_one_iterate_resume_goes_on(ready, drive):
    async def go():
        await started(ready)
        click(ready, "pause")
        await until(lambda: state(ready) is RunState.PAUSED)
        held, eta = step(ready), ready.session.run.snapshot().eta
        await settled()
        assert step(ready) == held
        assert ready.session.run.snapshot().eta == eta  # frozen while paused
        for expected in (held + 1, held + 2):
            click(ready, "step")
            await until(lambda expected=expected: step(ready) == expected)
            await until(lambda: state(ready) is RunState.PAUSED)
        await settled()
        assert step(ready) == held + 2
        assert ready.act.pause.iconText() == "Resume"
        click(ready, "pause")
        await until(lambda: step(ready) > held + 5)
        click(ready, "cancel")
        await ended(ready)

    drive(go())


def test_step_from_rest_starts_a_paused_run(ready, drive):
    async def go():
        click(ready, "step")
        await until(lambda: state(ready) is RunState.PAUSED)
        assert step(ready) == 1
        click(ready, "finish")
        await ended(ready)

    drive(go())
    assert ready.session.shown.result.recipe.stop_after == 1


def test_finish_now_keeps_the_estimate_and_exports_what_repeats_it(ready, drive, tmp_path):
    path = tmp_path / "kept.tif"

    async def go():
        await started(ready)
        click(ready, "finish")
        await ended(ready)
        assert await ready.session.export(path)

    drive(go())
    assert state(ready) is RunState.FINISHED
    result = ready.session.shown.result
    recipe, metrics = read_recipe(path)
    assert recipe == result.recipe
    assert recipe.seed >= 0
    assert metrics["psnr"] == pytest.approx(result.metrics["psnr"])
    written = tifffile.imread(path)
    assert written.dtype == np.float32
    *_, last = solve(recipe, ready.session.preparation.prepared.problem, ready.session.prior.loaded)
    assert last.step == recipe.stop_after
    np.testing.assert_array_equal(result.image.from_unit(last.estimate)[0], written)


@pytest.mark.parametrize("phase", ["preparing", "running", "paused", "after a step"])
def test_cancel_at_every_phase_leaves_a_clean_runnable_window(ready, drive, phase):
    async def go():
        ready.session.method.set_solver_setting("steps", LONG)
        click(ready, "run")
        if phase != "preparing":
            await until(lambda: step(ready) >= 2)
        if phase in ("paused", "after a step"):
            click(ready, "pause")
            await until(lambda: state(ready) is RunState.PAUSED)
        if phase == "after a step":
            click(ready, "step")
        click(ready, "cancel")
        await ended(ready)
        assert state(ready) is RunState.CANCELLED
        assert ready.session.shown.result is None
        ready.session.method.set_solver_setting("steps", 3)
        click(ready, "run")
        await ended(ready)

    drive(go())
    assert state(ready) is RunState.DONE
    assert ready.session.shown.result is not None


@pytest.mark.parametrize("paused", [False, True])
def test_closing_twice_during_a_run_ends_its_thread(ready, drive, paused):
    async def go():
        await started(ready)
        if paused:
            click(ready, "pause")
            await until(lambda: state(ready) is RunState.PAUSED)
        ready.close()
        assert ready.isVisible()
        ready.close()
        await ready.closed.wait()

    drive(go())  # the window fixture checks that no thread is left
    assert not ready.session.run.active


def test_a_solver_that_raises_is_reported_and_the_window_goes_on(ready, drive, monkeypatch, caplog):
    def faulty(*_):
        raise RuntimeError("out of something")
        yield

    async def go():
        with monkeypatch.context() as patch:
            patch.setattr(engine, "solve", faulty)
            click(ready, "run")
            await ended(ready)
        assert state(ready) is RunState.FAILED
        assert ready.messages.isVisible()
        assert ready.messages.level == "error"
        assert "out of something" in ready.messages.text.text()
        assert ready.messages.details.isVisible()
        ready.session.method.set_solver_setting("steps", 3)
        click(ready, "run")
        await ended(ready)

    drive(go())
    assert state(ready) is RunState.DONE
    assert "The run failed" in caplog.text


def test_a_diverging_solver_keeps_its_last_good_iterate(ready, drive, monkeypatch):
    true_solve = engine.solve

    def diverging(*arguments):
        for iterate in true_solve(*arguments):
            yield iterate
            if iterate.step == 4:
                raise DivergenceError("The solver diverged at step 5; lower the step size.")

    async def go():
        monkeypatch.setattr(engine, "solve", diverging)
        click(ready, "run")
        await ended(ready)

    drive(go())
    assert state(ready) is RunState.FAILED
    assert "lower the step size" in ready.messages.text.text()
    assert ready.session.shown.result.recipe.stop_after == 4


def test_computing_happens_in_the_compute_thread_only(ready, drive, monkeypatch):
    names = set()
    network = ready.session.prior.loaded.network
    network.register_forward_hook(lambda *_: names.add(threading.current_thread().name))

    async def go():
        ready.session.method.set_solver_setting("steps", 3)
        click(ready, "run")
        await ended(ready)

    drive(go())
    assert names
    assert all(name.startswith("compute") for name in names)


def test_a_live_change_reaches_the_run_and_is_in_its_recipe(ready, drive):
    async def go():
        ready.session.method.set_solver_setting("steps", 40)
        click(ready, "step")
        await until(lambda: state(ready) is RunState.PAUSED)
        form = ready.solver.forms["diffpir"]
        assert form.editors["zeta"].isEnabled()
        assert form.labels["zeta"].mark is Mark.NOW
        assert form.labels["steps"].mark is Mark.NONE  # as it runs
        form.editors["steps"].setValue(41)
        assert form.labels["steps"].mark is Mark.NEXT
        form.editors["zeta"].setValue(0.5)
        click(ready, "pause")
        await ended(ready)

    drive(go())
    result = ready.session.shown.result
    assert [c.settings["zeta"] for c in result.recipe.changes] == [0.5]
    *_, last = solve(result.recipe, ready.session.preparation.prepared.problem, ready.session.prior.loaded)
    np.testing.assert_array_equal(result.image.from_unit(last.estimate), result.pixels)


def test_a_changed_setting_marks_the_result_stale_and_back(ready, drive):
    async def go():
        ready.session.method.set_solver_setting("steps", 3)
        click(ready, "run")
        await ended(ready)

    drive(go())
    assert "Stale" not in ready.verdict.text()
    ready.problem.form.editors["views"].setValue(30)
    assert "Stale" in ready.verdict.text()
    ready.problem.form.editors["views"].setValue(20)
    assert "Stale" not in ready.verdict.text()


def test_more_views_make_a_new_baseline(ready, drive):
    before = ready.panes.pixels("measurement").shape
    ready.problem.form.editors["views"].setValue(30)
    drive(until(lambda: ready.panes.pixels("measurement") is not None))
    assert (before[0], ready.panes.pixels("measurement").shape[0]) == (20, 30)


def test_the_same_seed_gives_the_same_bits(ready, drive):
    pixels = []

    async def go():
        ready.session.method.set_solver_setting("steps", 4)
        ready.solver.seed.setValue(7)
        for _ in range(2):
            click(ready, "run")
            await ended(ready)
            pixels.append(ready.session.shown.result.pixels)

    drive(go())
    np.testing.assert_array_equal(*pixels)
    assert ready.session.shown.result.recipe.seed == 7


@pytest.mark.parametrize("kind", ["text", "empty", "missing", "nan", "folder"])
def test_a_bad_image_is_one_sentence_and_what_was_open_stays(ready, drive, tmp_path, kind):
    path = tmp_path / "bad.png"
    if kind == "text":
        path.write_text("not an image")
    elif kind == "empty":
        path.touch()
    elif kind == "nan":
        path = tmp_path / "bad.npy"
        np.save(path, np.full((64, 64), np.nan, dtype=np.float32))
    elif kind == "folder":
        path.mkdir()
    before = ready.session.data.image
    assert drive(ready.session.data.open(path)) is False
    assert ready.session.data.image is before
    assert ready.messages.isVisible()
    assert "\n" not in ready.messages.text.text()
    assert "bad" in ready.messages.text.text()


def test_a_bad_checkpoint_leaves_the_prior(ready, drive, phantom_path):
    before = ready.session.prior.loaded
    assert drive(ready.session.prior.open(phantom_path)) is False
    assert ready.session.prior.loaded is before
    assert ready.messages.level == "error"


def test_a_bad_setting_is_refused_and_the_form_shows_the_old_value(ready):
    ready.session.method.set_problem("views", 0)
    assert ready.session.method.problem.views == 20
    assert "Views must be 1 to" in ready.messages.text.text()
    ready.session.method.set_tiling("patch", 40)
    assert ready.session.method.tiling.patch is None
    assert "trained on" in ready.messages.text.text()


def test_patch_sizes_are_those_of_the_prior(ready, drive):
    assert [ready.tiling.patch.itemData(i) for i in range(ready.tiling.patch.count())] == [
        None,
        32,
        16,
    ]

    async def go():
        ready.session.method.set_tiling("patch", 16)
        ready.session.method.set_solver_setting("steps", 2)
        click(ready, "run")
        await ended(ready)

    drive(go())
    assert ready.session.shown.result.recipe.tiling.patch == 16
    assert ready.display.frame.partition.patch == 16


def test_a_page_is_chosen_in_the_left_column(window, drive, tmp_path, prior_path):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(
        path,
        np.stack([np.full((64, 64), v, dtype=np.int16) for v in (-500, 0, 500)]),
        photometric="minisblack",
    )

    async def go():
        await open_both(window.session, path, prior_path)
        assert window.data.page.isVisible()
        window.data.page.setValue(3)
        await until(lambda: window.session.data.image.page == 2)
        await until(lambda: window.panes.pixels("truth") is not None)
        assert window.panes.pixels("truth")[0, 0] == pytest.approx(500, abs=1e-2)

    drive(go())
    assert window.data.page.maximum() == 3


def test_dropping_files_opens_them(ready, drive, tmp_path, prior_path):
    path = tmp_path / "dropped.npy"
    np.save(path, np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64))

    async def go():
        before = ready.session.prior.loaded
        drop(ready, path)
        await until(lambda: ready.session.data.image.name == "dropped.npy")
        drop(ready, prior_path)
        await until(lambda: ready.session.prior.loaded is not before)

    drive(go())


def test_panes_move_together_and_stay_put_under_thirty_resizes(ready, drive):
    async def go():
        first, *others = ready.panes.panes[:2]
        first.canvas.box.scaleBy((0.5, 0.5))
        first.canvas.box.sigRangeChangedManually.emit(first.canvas.box.state["mouseEnabled"])
        await settled()
        centre = first.canvas.box.viewRect().center()
        scale = first.canvas.box.viewRect().width() / first.canvas.box.width()
        for other in others:
            assert other.canvas.box.viewRect().center().x() == pytest.approx(centre.x(), abs=0.5)
            assert other.canvas.box.viewRect().width() / other.canvas.box.width() == pytest.approx(
                scale, rel=0.02
            )
        for i in range(30):
            ready.resize(1000 + 17 * (i % 7), 700 + 13 * (i % 5))
            await settled()
        for pane in (first, *others):
            rect = pane.canvas.box.viewRect()
            assert rect.center().x() == pytest.approx(centre.x(), abs=0.5)
            assert rect.width() / pane.canvas.box.width() == pytest.approx(scale, rel=0.02)

    drive(go())


def test_the_cursor_reads_every_pane(ready, drive):
    pane = ready.panes.panes[0]

    async def go():
        await settled()
        point = pane.canvas.box.mapViewToScene(QPointF(20.5, 30.5))
        position = pane.canvas.mapFromScene(point)
        QTest.mouseMove(pane.canvas.viewport(), QPoint(position.x(), position.y()))
        await until(lambda: "x 20, y 30 px" in ready.cursor_text.text())

    drive(go())
    truth = ready.panes.pixels("truth")
    assert f"Truth {value_text(truth, 30, 20)} HU" in ready.cursor_text.text()
    assert "FBP" in ready.cursor_text.text()
    ready.panes.picture_set.set_pictures({"baseline": None})  # under a mouse that rests
    assert "Truth" in ready.cursor_text.text()
    assert "FBP" not in ready.cursor_text.text()


@pytest.mark.parametrize(
    ("value", "text"),
    [(22018.0, "22018"), (-58.34, "−58.34"), (-65000.4, "−65000"), (0.00123456, "0.001235"), (2e9, "2e+09")],
)
def test_a_value_has_a_minus_and_all_digits_of_16_bits(value, text):
    assert value_text(np.full((1, 1), value, dtype=np.float32), 0, 0) == text


def test_a_pause_before_the_first_step_is_said(ready):
    transport = ready.transport
    transport.show_snapshot(Progress(state=RunState.PREPARING, pausing=True), None)
    assert transport.state.text() == "Preparing, then paused"


def test_frames_do_not_queue_up(ready, drive):
    """The mailbox holds one frame, the latest, however long nobody looks."""
    run = ready.session.run

    async def go():
        ready.display.timer.setInterval(10_000)
        ready.session.method.set_solver_setting("steps", 30)
        click(ready, "run")
        await until(lambda: step(ready) >= 20)
        first = run.take_frame()
        assert first is not None
        assert first.step >= 19  # the point of a step is there before its picture
        await ended(ready)

    drive(go())
    ready.display.timer.setInterval(33)
    assert ready.display.frame.step == 30  # the end is always shown


def test_levels_stay_where_they_are_put(ready, drive):
    async def go():
        ready.levels.setCurrentText("Soft tissue")
        ready.session.method.set_solver_setting("steps", 3)
        click(ready, "run")
        await ended(ready)

    drive(go())
    for pane in ready.panes.panes[:3]:
        assert tuple(pane.item.levels) == (-160.0, 240.0)


def test_ctrl_r_runs(ready, drive):
    async def go():
        ready.session.method.set_solver_setting("steps", 2)
        ready.activateWindow()
        QTest.keyClick(ready, Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)
        await until(lambda: ready.session.shown.result is not None)

    drive(go())


def test_torch_has_not_leaked_a_grad_mode(ready, drive):
    async def go():
        ready.session.method.set_solver("padis-dps")
        ready.session.method.set_solver_setting("steps", 2)
        ready.session.method.set_solver_setting("inner", 2)
        click(ready, "run")
        await ended(ready)

    drive(go())
    assert torch.is_grad_enabled()
    assert ready.session.shown.result.evaluations == 4


def test_a_perfect_baseline_has_no_line_and_breaks_no_plot(window, drive, tmp_path, prior_path):
    """A black image is all zeros: its FBP is exact and its PSNR infinite."""
    path = tmp_path / "black.npy"
    np.save(path, np.zeros((64, 64), dtype=np.float32))
    drive(open_both(window.session, path, prior_path))
    window.session.method.set_solver_setting("steps", 2)

    async def go():
        click(window, "run")
        await ended(window)

    drive(go())
    drive(until(lambda: window.curves.plots["psnr"].is_drawn))  # plots are drawn one after the other
    assert window.curves.plots["psnr"].level is None


# -- other physics ------------------------------------------------------------------------------------------


def test_generation_needs_no_image_and_has_no_truth(ready, drive, tmp_path):
    async def go():
        ready.session.method.apply_preset("generate")
        ready.session.method.set_solver_setting("steps", 3)
        await until(lambda: ready.session.preparation.prepared)
        click(ready, "run")
        await ended(ready)

    drive(go())
    assert ready.panes.pixels("estimate").shape == (64, 64)
    assert ready.panes.pixels("truth") is None
    assert "no truth" in next(p for p in ready.panes.panes if p.source == "truth").canvas.empty.text()
    assert not ready.curves.plots["psnr"].isVisible()
    assert ready.curves.plots["sigma"].isVisible()
    assert "Sample of the prior" in ready.verdict.text()
    drive(ready.session.export(tmp_path / "sample.tif"))
    recipe, metrics = read_recipe(tmp_path / "sample.tif")
    assert (recipe.physics, recipe.data, metrics) == ("nothing", None, {})


def test_preset_shows_own_choice_once_something_is_changed(ready, drive):
    preset = ready.problem.preset

    async def go():
        ready.session.method.apply_preset("ct-60")
        assert preset.currentData() == "ct-60"
        ready.problem.form.editors["views"].setValue(30)
        assert preset.currentIndex() == -1
        ready.session.method.apply_preset("ct-60")
        assert preset.currentData() == "ct-60"
        assert ready.session.method.problem.views == 60
        await until(lambda: ready.session.preparation.prepared)

    drive(go())


def test_tiling_changes_in_a_running_solver_and_in_its_recipe(ready, drive):
    async def go():
        await started(ready)
        ready.session.method.set_tiling("strategy", "fixed")
        ready.session.method.set_tiling("patch", 16)
        changed_at = step(ready)
        await until(lambda: step(ready) >= changed_at + 3)
        click(ready, "finish")
        await ended(ready)

    drive(go())
    assert ready.display.frame.partition.patch == 16
    recipe = ready.session.shown.result.recipe
    assert recipe.tiling.strategy != "fixed"
    assert recipe.changes[-1].tiling.strategy == "fixed"
    assert recipe.changes[-1].tiling.patch == 16
    assert not ready.session.stale


def test_a_published_snapshot_asks_for_the_size_of_its_training_images(ready, drive, tmp_path):
    path = tmp_path / "network-snapshot-000001.pkl"
    path.write_bytes(dump(random_snapshot({"img_resolution": 96})))
    size = ready.prior.trained_on

    def dialog():
        return next((d for d in ready.findChildren(QInputDialog) if d.isVisible()), None)

    async def go():
        assert not size.isVisible()
        assert not await ready.session.prior.open(path)  # 256 px cannot have been padded to 96
        await until(dialog)
        assert "96 px" in dialog().labelText()
        dialog().setIntValue(64)
        dialog().accept()
        await until(lambda: ready.session.prior.path == path)
        assert ready.session.prior.loaded.conventions.image_size == 64
        assert size.isVisible()
        assert size.value() == 64
        assert "assumed" in ready.prior.assumed.text()
        size.setValue(48)
        await until(lambda: ready.session.prior.loaded.conventions.image_size == 48)

    drive(go())


# -- cadence ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cadence", "wanted"), [({"cadence": "off"}, {12}), ({"cadence": "steps", "every_steps": 5}, {5, 10, 12})]
)
def test_iterates_are_pictured_at_the_chosen_cadence(ready, drive, monkeypatch, cadence, wanted):
    made = []
    frame_of = run_module.frame_of_iterate
    monkeypatch.setattr(
        run_module, "frame_of_iterate", lambda i, *rest: made.append(i.step) or frame_of(i, *rest)
    )

    async def go():
        for name, value in cadence.items():
            ready.preferences.set_option(name, value)
        ready.session.method.set_solver_setting("steps", 12)
        click(ready, "run")
        await ended(ready)

    drive(go())
    assert set(made) == wanted
    assert len(made) == len(wanted)
    assert ready.display.frame.step == 12  # the end is always shown
    assert ready.transport.bar.value() == 12
    assert len(ready.session.run.points()) == 12


def test_the_cost_of_the_display_is_shown(ready, drive):
    async def go():
        ready.session.method.set_solver_setting("steps", 20)
        click(ready, "run")
        await ended(ready)

    drive(go())
    assert 0 < ready.display.share < 1
    assert f"display {ready.display.share:.1%}" in ready.transport.time.text()


def test_a_batch_that_is_too_large_is_halved_and_the_window_says_so(ready, drive):
    session = ready.session
    network = session.prior.loaded.network

    class Small(torch.nn.Module):
        """Runs out of memory above two patches."""

        def forward(self, x, noise):
            if len(x) > 2:
                raise torch.OutOfMemoryError("out of memory")
            return network(x, noise)

    async def go():
        session.prior.loaded = replace(session.prior.loaded, network=Small())
        session.method.set_solver_setting("steps", 2)
        click(ready, "run")
        await ended(ready)
        await until(lambda: "halved" in ready.messages.text.text())

    drive(go())
    assert state(ready) is RunState.DONE
    assert ready.messages.level == "warning"


def test_a_pause_shows_the_step_where_it_stopped_however_slow_the_display_is(ready, drive):
    async def go():
        run, display = ready.session.run, ready.display
        await started(ready)
        display.timer.start(600_000)
        run.pause()
        await until(lambda: state(ready) is RunState.PAUSED)
        await painted(display, step(ready))
        before = step(ready)
        display.timer.start(600_000)
        run.step()
        await painted(display, before + 1)
        run.cancel()
        await ended(ready)

    drive(go())


def test_the_line_below_the_pictures_is_never_behind_them(ready, drive):
    said = []

    def look():
        frame = ready.display.frame
        if frame is not None and ready.session.run.active:
            said.append((frame.step, int(ready.timeline.where.text().split()[1])))

    async def go():
        ready.session.method.set_solver_setting("steps", LONG)
        ready.display.stepped.connect(look)  # after the line has heard of it
        click(ready, "run")
        await until(lambda: len({painted for painted, _ in said}) > 4)
        ready.session.run.cancel()
        await ended(ready)

    drive(go())
    assert all(painted <= line for painted, line in said)


def test_the_first_picture_of_a_run_comes_with_its_step_and_the_curves(ready, drive, monkeypatch):
    display = ready.display
    monkeypatch.setattr(display, "_next_interval", lambda taken: 60_000 if display.frame else 0)

    async def go():
        ready.session.method.set_solver_setting("steps", LONG)
        click(ready, "run")
        await until(lambda: display.frame is not None)
        estimate = next(pane for pane in ready.panes.panes if pane.source == "estimate")
        assert estimate.caption.text().startswith(f"step {display.frame.step}")
        assert ready.transport.bar.value() >= display.frame.step
        assert ready.curves._points
        ready.session.run.cancel()
        await ended(ready)

    drive(go())
