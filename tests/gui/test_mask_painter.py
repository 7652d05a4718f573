"""The mask painted with real mouse events on a pane."""

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from tests.gui.test_window import click, state
from tests.qt import open_both, settled, until
from tests.viewmodels.test_mask import known


@pytest.fixture
def painting(window, drive, phantom_path, prior_path):
    """The window painting a mask of nothing, with a brush of 6 px."""

    async def go():
        await open_both(window.session, phantom_path, prior_path)
        window.session.method.set_physics("inpainting")
        await until(lambda: window.session.preparation.prepared)
        window.activateWindow()
        QTest.keyClick(window, Qt.Key.Key_P)
        await settled()

    drive(go())
    window.mask_editor.clear()
    window.painter.slider.setValue(6)
    return window


def at(window, row, column):
    """Where an image pixel's middle is on the viewport of the first pane."""
    canvas = window.panes.panes[0].canvas
    scene = canvas.box.mapViewToScene(QPointF(column + 0.5, row + 0.5))
    return canvas.viewport(), canvas.mapFromScene(scene)


def drag(window, start, end, modifier=Qt.KeyboardModifier.NoModifier):
    viewport, first = at(window, *start)
    last = at(window, *end)[1]
    QTest.mousePress(viewport, Qt.MouseButton.LeftButton, modifier, first)
    for share in (0.25, 0.5, 0.75, 1.0):
        QTest.mouseMove(viewport, first + (last - first) * share)
        QApplication.processEvents()
    QTest.mouseRelease(viewport, Qt.MouseButton.LeftButton, modifier, last)
    QApplication.processEvents()


def choose(window, text):
    button = next(b for b in window.painter.brushes.buttons() if b.text() == text)
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def test_a_stroke_is_missing_and_reaches_the_problem(painting, drive):
    drag(painting, (30, 10), (30, 50))
    missing = painting.mask_editor.missing
    assert missing[30, 10:51].all()
    assert missing[28:33, 30].all()
    assert not missing[:25].any()
    assert not missing[36:].any()
    assert "missing" in painting.painter.share.text()

    async def go():
        await until(lambda: painting.session.method.problem.mask == "file")
        await until(lambda: painting.session.preparation.prepared)

    drive(go())
    np.testing.assert_array_equal(~known(painting.session.method.problem), missing)
    film = painting.painter._films[0].film.image
    np.testing.assert_array_equal(film[..., 3] > 0, missing)


def test_box_eraser_undo_invert_and_clear(painting):
    missing = lambda: painting.mask_editor.missing  # noqa: E731
    choose(painting, "Box")
    drag(painting, (10, 10), (39, 29))
    box = np.zeros((64, 64), dtype=bool)
    box[10:40, 10:30] = True
    np.testing.assert_array_equal(missing(), box)
    choose(painting, "Erase")
    drag(painting, (20, 5), (20, 40))
    assert not missing()[20, 10:30].any()
    QTest.mouseClick(painting.painter.undo, Qt.MouseButton.LeftButton)
    np.testing.assert_array_equal(missing(), box)
    QTest.mouseClick(painting.painter.redo, Qt.MouseButton.LeftButton)
    assert not missing()[20, 10:30].any()
    painting.panes.panes[0].canvas.setFocus()
    QTest.keyClick(painting.panes.panes[0].canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    np.testing.assert_array_equal(missing(), box)


def test_a_click_is_a_dot(painting):
    viewport, place = at(painting, 20, 40)
    QTest.mouseClick(viewport, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)
    QApplication.processEvents()
    rows, columns = painting.mask_editor.missing.nonzero()
    assert (rows.mean(), columns.mean()) == pytest.approx((20, 40), abs=0.6)
    assert len(rows) == pytest.approx(np.pi * 9, abs=8)


def test_wheel_and_brackets_size_the_brush(painting):
    viewport, place = at(painting, 20, 20)

    def wheel(steps, modifier=Qt.KeyboardModifier.NoModifier):
        event = QWheelEvent(
            QPointF(place), viewport.mapToGlobal(QPointF(place)), QPoint(), QPoint(0, 120 * steps),
            Qt.MouseButton.NoButton, modifier, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(viewport, event)

    scale = painting.panes.panes[0].canvas.box.viewPixelSize()[0]
    wheel(1)
    assert painting.painter.diameter == 7
    assert painting.panes.panes[0].canvas.box.viewPixelSize()[0] == scale  # it has not zoomed
    wheel(-1)
    assert painting.painter.diameter == 6
    canvas = painting.panes.panes[0].canvas
    canvas.setFocus()
    QTest.keyClick(canvas, Qt.Key.Key_BracketRight)
    QTest.keyClick(canvas, Qt.Key.Key_BracketRight)
    QTest.keyClick(canvas, Qt.Key.Key_BracketLeft)
    assert painting.painter.diameter == 7


def test_painting_ends_with_another_tool_and_goes_on_in_a_run_for_the_next_one(painting, drive):
    async def go():
        QTest.keyClick(painting, Qt.Key.Key_V)
        await until(lambda: painting.mask_editor.missing is None)
        assert not painting.painter.isVisible()
        assert not painting.painter._films
        assert painting.panes.tools.tool == "move"
        click(painting, "step")
        await until(lambda: state(painting).value == "Paused")
        assert painting.panes.act.mask.isEnabled()
        QTest.keyClick(painting, Qt.Key.Key_P)
        await until(lambda: painting.mask_editor.missing is not None)
        click(painting, "cancel")
        await until(lambda: not painting.session.run.active)
        assert painting.mask_editor.missing is not None

    drive(go())


def test_painting_is_offered_for_inpainting_only(painting, drive):
    async def go():
        tool = painting.problem.tools["inpainting"]
        assert tool.isVisible()
        painting.session.method.set_physics("deblur")
        await settled()
        assert not tool.isVisible()
        assert not painting.panes.act.mask.isEnabled()
        assert painting.mask_editor.missing is None

    drive(go())


def test_a_new_pane_has_the_film_too(painting):
    before = len(painting.painter._films)
    painting.panes.add_pane("baseline")
    QApplication.processEvents()
    assert len(painting.painter._films) == before + 1
