"""Time in the window: scrub, step and play through the kept iterates; curves and overlay follow."""

import numpy as np
import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtTest import QTest

from padis_gui.core.runs.control import RunState
from padis_gui.gui.runs.curves import THIS_RUN
from tests.gui.pictures import click_at
from tests.gui.user import press
from tests.qt import LONG, ended, open_both, settled, until


@pytest.fixture
def ready(window, drive, phantom_path, prior_path):
    """The window with the phantom and the tiny prior open."""
    drive(open_both(window.session, phantom_path, prior_path))
    window.session.method.set_solver("diffpir")
    window.session.method.set_tiling("strategy", "random")
    return window


@pytest.fixture
def done(ready, drive):
    """After a run of eight steps."""

    async def go():
        ready.session.method.set_solver_setting("steps", 8)
        ready.session.start()
        await ended(ready)

    drive(go())
    return ready


def shown_pixels(window):
    return window.panes.pixels("estimate")


def test_every_iterate_of_a_short_run_can_be_seen_again(done):
    session = done.session
    assert session.shown.history.steps == tuple(range(1, 9))
    assert session.shown.step is None
    final = shown_pixels(done).copy()
    overlays = set()
    for step in session.shown.history.steps:
        done.timeline.slider.setValue(step - 1)
        assert session.shown.step == step
        frame = session.shown.frame()
        assert done.display.frame is frame
        np.testing.assert_array_equal(shown_pixels(done), frame.estimate)
        pane = next(p for p in done.panes.panes if p.source == "estimate")
        assert pane.overlay.partition is frame.partition
        assert f"step {step}" in pane.caption.text()
        overlays.add(frame.partition.offset)
    assert len(overlays) > 1
    press(done.timeline, "live")
    assert session.shown.step is None
    np.testing.assert_array_equal(shown_pixels(done), final)


def test_keys_step_and_jump_while_the_panes_or_the_timeline_have_the_focus(done, drive):
    done.activateWindow()
    done.timeline.slider.setFocus()
    session = done.session
    for key, expected in (
        (Qt.Key.Key_Home, 1), (Qt.Key.Key_Right, 2), (Qt.Key.Key_Right, 3), (Qt.Key.Key_Left, 2), (Qt.Key.Key_End, 8),
    ):  # fmt: skip
        QTest.keyClick(done.timeline.slider, key)
        assert session.shown.step == expected
    done.panes.panes[0].canvas.setFocus()
    QTest.keyClick(done.panes.panes[0].canvas, Qt.Key.Key_Left)
    assert session.shown.step == 7


def test_captions_say_the_step_that_is_seen_when_the_last_one_is_back(done):
    caption = done.panes.panes[2].caption
    shown = done.session.shown
    shown.go_to(shown.history.steps[2])
    assert f"step {shown.history.steps[2]}," in caption.text()
    shown.go_to(None)
    assert f"step {shown.history.steps[-1]}," in caption.text()


def test_keys_in_a_text_field_stay_there(done):
    done.activateWindow()
    done.solver.seed.setFocus()
    QTest.keyClick(done.solver.seed, Qt.Key.Key_Home)
    assert done.session.shown.step is None


def test_playing_shows_all_iterates_and_stops_at_the_end(done, drive):
    seen = []
    done.session.shown.changed.connect(lambda: seen.append(done.session.shown.step))

    async def go():
        press(done.timeline, "play_the_iterates")
        assert done.timeline.play.text() == "Stop playing"
        await until(lambda: done.timeline.play.text() == "Play the iterates")

    drive(go())
    assert seen == list(range(1, 9))


def test_playing_stops_when_asked(done, drive):
    async def go():
        press(done.timeline, "play_the_iterates")
        await until(lambda: done.session.shown.step == 2)
        press(done.timeline, "play_the_iterates")
        held = done.session.shown.step
        await settled()
        assert done.session.shown.step == held
        assert not [timer for timer in done.timeline.findChildren(QTimer) if timer.isActive()]

    drive(go())
    assert done.timeline.play.text() == "Play the iterates"


def test_a_click_into_a_plot_goes_to_that_step_and_marks_it(done, drive):
    plot = done.curves.plots["psnr"]

    async def go():
        await until(lambda: len(plot.points(THIS_RUN)[0]) == 8)
        await until(lambda: plot.is_drawn)
        click_at(plot, 3.2)

    drive(go())
    assert done.session.shown.step == 3
    assert {each.marker for each in done.curves.plots.values() if each.isVisible()} == {3}


def test_looking_back_during_a_run_holds_the_panes_and_live_follows_again(ready, drive):
    session = ready.session

    async def go():
        session.method.set_solver_setting("steps", LONG)
        session.start()
        await until(lambda: session.run.snapshot().step >= 6)
        session.shown.go_to(2)
        held = shown_pixels(ready)
        before = session.run.snapshot().step
        await until(lambda: session.run.snapshot().step >= before + 8)
        await until(lambda: ready.timeline.slider.maximum() >= before)  # the run goes on behind it
        assert shown_pixels(ready) is held
        assert session.shown.step == 2
        press(ready.timeline, "live")
        await until(lambda: ready.display.frame.step > before + 8)
        session.run.cancel()
        await until(lambda: not session.run.active)

    drive(go())
    assert session.run.snapshot().state is RunState.CANCELLED


def test_another_image_shows_no_iterates_of_the_old_one(done, drive, phantom_path):
    drive(done.session.data.open(phantom_path))
    assert shown_pixels(done) is None
    assert done.session.shown.history.steps == ()
    assert not done.timeline.slider.isEnabled()


def test_curves_are_chosen_and_one_always_stays(done):
    curves = done.curves
    curves.choose(("ssim", "milliseconds"))
    assert curves.chosen == ("ssim", "milliseconds")
    assert curves.plots["ssim"].isVisible()
    assert not curves.plots["psnr"].isVisible()
    curves.choices["ssim"].trigger()
    curves.choices["milliseconds"].trigger()
    assert curves.chosen == ("milliseconds",)
    curves.choose(("nothing",))
    assert curves.chosen == ("milliseconds",)


def test_similarity_and_seams_are_measured_at_both_ends(done):
    points = done.session.shown.history.points
    for at in (0, -1):
        assert 0 <= points[at].ssim <= 1
        assert points[at].seam_ratio > 0
    assert points[-1].ssim == pytest.approx(done.session.shown.result.metrics["ssim"])
