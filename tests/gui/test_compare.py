"""Comparison of any two pictures: wipe, blink, difference, side by side, with one cursor and no flash."""

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from padis_gui.gui.panes.compare import FASTEST, MODES, SLOWEST
from padis_gui.viewmodels.pictures.levels import reach_of, signed_difference
from padis_gui.viewmodels.pictures.profiles import Line
from tests.gui.pictures import colour_at, drag, flat, hover, place_of, ramp, settle, wait_for

DARK, BRIGHT = 40, 210


@pytest.fixture
def compare(panes):
    """A dark and a bright picture, to be told apart at every pixel."""
    panes.picture_set.propose_levels({"image": (0.0, 255.0)})
    panes.set_pictures({"baseline": flat(DARK), "estimate": flat(BRIGHT)})
    panes.compare.bar.first.select("baseline")
    panes.compare.bar.second.select("estimate")
    return panes.compare


def brightness(compare, x, y=20):
    return colour_at(compare.canvases[0], x, y).lightness()


def test_the_divider_parts_the_two_pictures(panes, compare):
    panes.compare_with("wipe")
    settle()
    assert brightness(compare, 5) == pytest.approx(DARK, abs=2)
    assert brightness(compare, 55) == pytest.approx(BRIGHT, abs=2)
    assert brightness(compare, 27) == pytest.approx(DARK, abs=2)
    assert brightness(compare, 33) == pytest.approx(BRIGHT, abs=2)


def test_names_stand_in_the_corners_whatever_was_shown_before(panes, compare):
    panes.compare_with("side")
    settle()
    panes.compare_with("wipe")
    settle()
    left, _, right = compare._tags
    assert left.geometry().left() < 12
    assert right.geometry().right() > compare.canvases[0].width() - 12


def test_the_divider_is_dragged(panes, compare):
    panes.compare_with("wipe")
    settle()
    canvas = compare.canvases[0]
    hover(canvas, 30, 20)
    drag(canvas, (30, 20), (50, 20))
    wait_for(lambda: brightness(compare, 45) < 100)
    assert brightness(compare, 55) == pytest.approx(BRIGHT, abs=2)


def test_the_divider_is_moved_by_keys_and_stays_in_the_picture(panes, compare):
    panes.compare_with("wipe")
    settle()
    before = compare._column()
    QTest.keyClick(compare.canvases[0], Qt.Key.Key_BracketRight)
    assert compare._column() > before
    for _ in range(80):
        QTest.keyClick(compare.canvases[0], Qt.Key.Key_BracketLeft)
    assert compare._column() == 0
    assert brightness(compare, 1) == pytest.approx(BRIGHT, abs=2)


def test_the_divider_stays_where_it_is_when_a_frame_comes(panes, compare):
    panes.compare_with("wipe")
    settle()
    compare._divider.setPos(12)
    panes.set_pictures({"estimate": flat(BRIGHT)})
    settle()
    assert float(compare._divider.value()) == 12
    assert brightness(compare, 10) == pytest.approx(DARK, abs=2)
    assert brightness(compare, 14) == pytest.approx(BRIGHT, abs=2)


def test_blinking_shows_one_and_then_the_other_and_nothing_else(panes, compare, monkeypatch):
    compare.bar.rate.setValue(FASTEST)
    panes.compare_with("blink")
    settle()
    painted = []
    for item in (compare.canvases[0].layer.item, compare._over.item):
        monkeypatch.setattr(item, "setImage", lambda *_a, **_k: painted.append(1))
    seen = []
    changes = [compare._second_shown]
    compare._turn.timeout.connect(lambda: changes.append(compare._second_shown))
    wait_for(lambda: seen.append(brightness(compare, 30)) or len(changes) >= 5)
    values = np.array(seen)
    near = (np.abs(values - DARK) <= 2) | (np.abs(values - BRIGHT) <= 2)
    assert near.all()
    assert {bool(v > 100) for v in values} == {True, False}
    assert painted == []  # both are painted beforehand: nothing flashes
    assert changes == [bool(changes[0]) ^ bool(i % 2) for i in range(len(changes))]


def test_blinking_stops_when_nobody_can_see_it(panes, compare):
    panes.compare_with("blink")
    assert compare._turn.isActive()
    panes.compare_with(None)
    settle()
    assert not compare._turn.isActive()
    panes.compare_with("blink")
    assert compare._turn.isActive()
    panes.compare_with("side")
    assert not compare._turn.isActive()


def test_the_rate_is_in_changes_a_second_and_bounded(compare):
    compare.bar.rate.setValue(4)
    assert compare._turn.interval() == 250
    compare.bar.rate.setValue(1e6)
    assert compare.bar.rate.value() == FASTEST
    compare.bar.rate.setValue(0)
    assert compare.bar.rate.value() == SLOWEST


def test_the_difference_is_signed_and_its_levels_are_symmetric(panes, compare):
    panes.set_pictures({"baseline": ramp(), "estimate": ramp(3.0, -50)})
    panes.compare_with("subtract")
    settle()
    np.testing.assert_array_equal(compare.difference, ramp() - ramp(3.0, -50))
    low, high = compare.canvases[0].layer.item.levels
    assert low == -high == -reach_of(compare.difference)
    assert compare.bar.reach.value() == high


def test_no_difference_is_the_middle_of_the_map_and_the_signs_differ(panes, compare):
    parts = flat(100)
    parts[:, :20], parts[:, 40:] = 50, 150
    panes.set_pictures({"baseline": parts, "estimate": flat(100)})
    panes.compare_with("subtract")
    settle()
    canvas = compare.canvases[0]
    below, none, above = (colour_at(canvas, x, 20) for x in (10, 30, 50))
    assert none.saturation() < 20
    assert below.blue() > below.red() + 50
    assert above.red() > above.blue() + 50


def test_levels_of_the_difference_do_not_move_by_themselves(panes, compare):
    panes.compare_with("subtract")
    settle()
    reach = compare.bar.reach.value()
    panes.set_pictures({"estimate": flat(5000)})
    settle()
    assert compare.bar.reach.value() == reach
    compare.bar.fit_reach.click()
    assert compare.bar.reach.value() == pytest.approx(4960)
    compare.bar.reach.setValue(7)
    assert tuple(compare.canvases[0].layer.item.levels) == (-7, 7)


def test_side_by_side_shares_view_and_cursor(panes, compare):
    panes.set_pictures({"baseline": ramp(), "estimate": ramp(2.0)})
    panes.compare_with("side")
    settle()
    first, second = compare.canvases
    assert first.isVisible()
    assert second.isVisible()
    first.box.scaleBy((0.5, 0.5))
    first.box.sigRangeChangedManually.emit(first.box.state["mouseEnabled"])
    settle()
    assert second.box.viewRect().center().x() == pytest.approx(first.box.viewRect().center().x(), abs=0.5)
    hover(first, 30.5, 20.5)
    assert second._lines[0].isVisible()
    assert [text for _, text in panes.values_at(20, 30)] == ["1230", "2460"]


def test_the_status_names_the_difference_too(panes, compare):
    panes.set_pictures({"baseline": ramp(), "estimate": ramp(2.0)})
    panes.compare_with("subtract")
    settle()
    hover(compare.canvases[0], 30.5, 20.5)
    assert [(s.short, text) for s, text in panes.values_at(20, 30)][-1] == ("FBP − x̂₀", "−1230")


def test_the_view_is_kept_on_the_way_in_and_out(panes, compare):
    settle()
    pane = next(p for p in panes.panes if p.source == "baseline")
    pane.canvas.box.scaleBy((0.25, 0.25))
    pane.canvas.box.sigRangeChangedManually.emit(pane.canvas.box.state["mouseEnabled"])
    centre = pane.canvas.box.viewRect().center()
    panes.compare_with("wipe")
    settle()
    assert compare.canvases[0].box.viewRect().center().x() == pytest.approx(centre.x(), abs=0.5)
    panes.compare_with(None)
    settle()
    assert pane.canvas.box.viewRect().center().x() == pytest.approx(centre.x(), abs=0.5)


@pytest.mark.parametrize("mode", MODES)
def test_pictures_of_different_sizes_are_said_to_differ(panes, compare, mode):
    panes.set_pictures({"baseline": ramp(), "estimate": ramp(rows=20, columns=20)})
    panes.compare_with(mode)
    settle()
    assert ("differ in size" in compare.bar.said.text()) == (mode != "side")
    assert compare.difference is None


@pytest.mark.parametrize("mode", MODES)
def test_missing_pictures_say_what_is_missing(panes, compare, mode):
    panes.picture_set.set_empty_texts({"estimate": "Press Run"})
    panes.set_pictures({"estimate": None})
    panes.compare_with(mode)
    settle()
    texts = [canvas.empty.text() for canvas in compare.canvases if canvas.isVisible()]
    assert "Press Run" in texts


@pytest.mark.parametrize("mode", MODES)
def test_pictures_that_are_not_numbers_break_nothing(panes, compare, mode):
    panes.set_pictures({"baseline": flat(np.nan), "estimate": flat(np.inf)})
    panes.compare_with(mode)
    settle()


def test_keys_start_change_and_end_the_comparison(panes, compare):
    panes.activateWindow()
    for key, mode in (("B", "blink"), ("W", "wipe"), ("D", "subtract"), ("S", "side")):
        QTest.keyClick(panes, getattr(Qt.Key, f"Key_{key}"))
        assert panes.comparing
        assert compare.mode == mode
        assert [a.data() for a in panes.act.modes.actions() if a.isChecked()] == [mode]
    QTest.keyClick(panes, Qt.Key.Key_S)
    assert not panes.comparing
    panes.compare_with("wipe")
    compare.bar.leave.click()
    assert not panes.comparing
    assert not any(a.isChecked() for a in panes.act.modes.actions())


def test_swapping_changes_the_sign(panes, compare):
    panes.compare_with("subtract")
    settle()
    before = compare.difference.copy()
    compare.bar.swap.click()
    np.testing.assert_array_equal(compare.difference, -before)


def test_panes_do_nothing_behind_the_comparison(panes, compare, monkeypatch):
    panes.compare_with("wipe")
    settle()
    painted = []
    for pane in panes.panes:
        monkeypatch.setattr(pane.item, "setImage", lambda *_a, **_k: painted.append(1))
    panes.set_pictures({"estimate": flat(1), "baseline": flat(2)})
    settle()
    assert painted == []


def test_what_is_drawn_is_seen_in_the_comparison_too(panes, compare):
    settle()
    panes.tools.adopt(panes.panes[1].group)
    panes.tools.set_line(Line((5, 5), (30, 30)))
    panes.compare_with("wipe")
    settle()
    assert compare.canvases[0].shapes.shapes == (Line((5, 5), (30, 30)),)


def test_a_click_on_the_divider_is_no_pick(panes, compare):
    picked = []
    panes.picked.connect(lambda *where: picked.append(where))
    panes.compare_with("wipe")
    settle()
    canvas = compare.canvases[0]
    QTest.mouseClick(canvas.viewport(), Qt.MouseButton.LeftButton, pos=place_of(canvas, 30, 20))
    assert picked == []


# -- mathematics --------------------------------------------------------------------------------------------


def test_a_difference_of_colours_is_of_their_means():
    colour = np.zeros((4, 5, 3), dtype=np.float32)
    colour[..., 0] = 3
    np.testing.assert_allclose(signed_difference(colour, flat(0.25, 4, 5)), 0.75)


def test_there_is_no_difference_of_different_sizes():
    assert signed_difference(flat(1, 4, 5), flat(1, 5, 4)) is None


def test_infinity_minus_infinity_is_not_a_number_and_warns_nobody():
    assert np.isnan(signed_difference(flat(np.inf), flat(np.inf))).all()
