"""Panes: any number of them, on any source, with views, levels and cursor in common or of their own."""

import json
import time

import numpy as np
import pytest
import tifffile
import torch
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMenu

from padis_gui.core.exports.about import read_recipe
from padis_gui.gui.frame.reconstruct import arrangement_of, keep_window, rearrange
from padis_gui.gui.panes.image_pane import column_count
from padis_gui.gui.panes.layers import INF_COLOUR, NAN_COLOUR, SEQUENTIAL, SIGNED, lookup
from padis_gui.gui.panes.levels import LevelsPanel
from padis_gui.gui.panes.menu import fill_menu
from padis_gui.gui.panes.pane_board import MOST
from padis_gui.viewmodels.pictures.levels import HU_PRESETS
from padis_gui.viewmodels.pictures.pictures import value_text
from padis_gui.viewmodels.pictures.sources import Lattice, Origin, PaneSource, Scale
from tests.gui.pictures import colour_at, flat, hover, place_of, ramp, settle, wait_for
from tests.qt import open_both, painted, until

SEAMS = PaneSource(
    key="seams", label="Seam map", short="seams", origin=Origin.LABORATORY, scale=Scale.MAGNITUDE
)


def pane_on(panes, key):
    return next(pane for pane in panes.panes if pane.source == key)


def view_of(canvas):
    """Centre, and image pixels per screen pixel along x."""
    rect = canvas.box.viewRect()
    return rect.center().x(), rect.center().y(), rect.width() / canvas.box.width()


def zoom(canvas, factor=0.5):
    """Zoom as the wheel does."""
    canvas.box.scaleBy((factor, factor))
    canvas.box.sigRangeChangedManually.emit(canvas.box.state["mouseEnabled"])
    settle()


# -- any number ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(320, 900), (700, 560), (1960, 1300), (1200, 300)])
@pytest.mark.parametrize("count", range(1, MOST + 1))
def test_a_grid_has_room_for_all_and_no_empty_row(count, size):
    columns = column_count(count, *size)
    rows = -(-count // columns)
    assert 1 <= columns <= count
    assert (rows - 1) * columns < count <= rows * columns


def test_four_panes_are_two_by_two_on_a_square_and_side_by_side_on_a_strip():
    assert column_count(4, 800, 800) == 2
    assert column_count(4, 1600, 330) == 4
    assert column_count(4, 300, 1600) == 1


def test_there_are_one_to_twelve_panes(panes):
    while panes.add_pane() is not None:
        pass
    settle()
    assert len(panes.panes) == MOST
    assert not panes.act.add.isEnabled()
    shown = [pane.geometry() for pane in panes.panes if pane.isVisible()]
    assert len(shown) == MOST
    assert not any(a.intersects(b) for i, a in enumerate(shown) for b in shown[:i])
    while len(panes.panes) > 1:
        panes.remove_pane(panes.panes[-1])
    panes.remove_pane(panes.panes[0])
    settle()
    assert len(panes.panes) == 1
    assert not panes.act.close.isEnabled()
    assert len(panes.links.canvases) == 1 + len(panes.compare.canvases)


def test_a_new_pane_shows_what_no_other_does(panes):
    shown = {pane.source for pane in panes.panes}
    assert panes.add_pane().source not in shown


def test_panes_are_added_closed_and_maximised_by_keys(panes):
    panes.activateWindow()
    panes.set_active(panes.panes[2])
    QTest.keyClick(panes, Qt.Key.Key_T, Qt.KeyboardModifier.ControlModifier)
    assert len(panes.panes) == 5
    wanted = panes.active
    QTest.keyClick(panes, Qt.Key.Key_M)
    settle()
    assert [pane for pane in panes.panes if pane.isVisible()] == [wanted]
    QTest.keyClick(panes, Qt.Key.Key_M)
    settle()
    assert all(pane.isVisible() for pane in panes.panes)
    QTest.keyClick(panes, Qt.Key.Key_W, Qt.KeyboardModifier.ControlModifier)
    assert len(panes.panes) == 4
    assert wanted not in panes.panes


def test_a_double_click_on_the_header_maximises_and_brings_all_back(panes):
    pane = panes.panes[1]
    for expected in (1, 4):
        QTest.mouseDClick(pane.header, Qt.MouseButton.LeftButton, pos=pane.caption.geometry().center())
        settle()
        assert sum(p.isVisible() for p in panes.panes) == expected


def test_a_click_frames_the_pane_and_tells_where(panes):
    panes.set_pictures({"baseline": ramp()})
    settle()
    picked = []
    panes.picked.connect(lambda *where: picked.append(where))
    canvas = pane_on(panes, "baseline").canvas
    QTest.mouseClick(canvas.viewport(), Qt.MouseButton.LeftButton, pos=place_of(canvas, 20.5, 10.5))
    settle()
    assert panes.active is pane_on(panes, "baseline")
    assert picked == [("baseline", 10, 20)]


# -- sources ------------------------------------------------------------------------------------------------


def test_a_registered_source_can_be_chosen_and_goes_again(panes):
    panes.register_source(SEAMS)
    pane = panes.panes[0]
    pane.choice.setCurrentIndex(pane.choice.findData("seams"))
    pane.choice.activated.emit(pane.choice.currentIndex())
    assert pane.source == "seams"
    panes.set_pictures({"seams": ramp()})
    assert pane.canvas.pixels is panes.pixels("seams")
    panes.unregister_source("seams")
    assert pane.source == "estimate"
    assert pane.choice.findData("seams") == -1
    assert panes.pixels("seams") is None


def test_sources_stand_under_their_headings(panes):
    panes.register_source(SEAMS)
    choice = panes.panes[0].choice
    rows = [(choice.itemText(i), choice.itemData(i)) for i in range(choice.count())]
    headings = [text for text, key in rows if key is None]
    assert headings == ["Data", "This run", "Laboratory"]
    assert rows.index(("Laboratory", None)) == rows.index(("Seam map", "seams")) - 1
    heading = choice.model().item(0)
    assert not heading.isEnabled()


def test_a_source_keeps_its_place_when_others_come_and_go(panes):
    before = [pane.source for pane in panes.panes]
    panes.register_source(SEAMS)
    panes.unregister_source("seams")
    assert [pane.source for pane in panes.panes] == before
    assert [pane.choice.currentData() for pane in panes.panes] == before


def test_a_picture_is_made_when_somebody_looks_and_once(panes):
    made = []

    def make():
        made.append(1)
        return flat(3)

    panes.set_pictures({"deviation": make})
    settle()
    assert made == []
    panes.add_pane("deviation")
    panes.add_pane("deviation")
    settle()
    assert made == [1]


def test_the_data_residual_is_measured_minus_measurement(window, drive, phantom_path, prior_path):
    drive(open_both(window.session, phantom_path, prior_path))
    window.panes.panes[0].show_source("misfit")
    window.panes.panes[1].show_source("measured")
    window.session.method.set_solver_setting("steps", 3)

    async def go():
        window.session.start()
        await until(lambda: window.session.shown.result is not None)
        await painted(window.display, 3)
        for pane in window.panes.panes[:2]:  # of several panes the last ones are painted a moment later
            await until(lambda pane=pane: pane.canvas.pixels is window.panes.pixels(pane.source))

    drive(go())
    pictures, result = window.session.preparation.pictures, window.session.shown.result
    prepared = pictures.prepared
    low, high = prepared.image.window
    unit = torch.from_numpy((result.pixels - low) / (high - low))
    measured = prepared.problem.operator(unit)[0].numpy()
    np.testing.assert_allclose(window.panes.panes[1].canvas.pixels, measured, atol=1e-2)
    np.testing.assert_allclose(
        window.panes.panes[0].canvas.pixels, measured - pictures.measurement, atol=1e-2
    )
    reached = np.linalg.norm(window.panes.pixels("misfit")) / np.linalg.norm(pictures.measurement)
    assert reached == pytest.approx(result.metrics["residual"], rel=1e-2)


# -- cheap --------------------------------------------------------------------------------------------------


def paintings(pane, monkeypatch):
    calls = []
    original = pane.item.setImage
    monkeypatch.setattr(
        pane.item, "setImage", lambda *args, **kwargs: (calls.append(1), original(*args, **kwargs))
    )
    return calls


def test_an_unchanged_pane_does_nothing(panes, monkeypatch):
    picture = ramp()
    panes.set_pictures({"truth": picture, "estimate": ramp()})
    settle()
    calls = paintings(pane_on(panes, "truth"), monkeypatch)
    for _ in range(5):
        panes.set_pictures({"estimate": ramp()})
        panes.set_pictures({"truth": picture})
        panes.set_captions({"truth": "the same"})
    assert calls == []


def test_a_hidden_pane_does_nothing_until_it_is_seen(panes, monkeypatch):
    panes.set_pictures({"truth": flat(0), "estimate": flat(0)})
    settle()
    hidden = pane_on(panes, "truth")
    panes.maximise(pane_on(panes, "estimate"))
    calls = paintings(hidden, monkeypatch)
    for value in range(5):
        panes.set_pictures({"truth": flat(value)})
    assert calls == []
    panes.maximise(None)
    settle()
    assert len(calls) == 1
    assert hidden.canvas.pixels[0, 0] == 4


# -- views --------------------------------------------------------------------------------------------------


def test_linked_panes_move_together_and_an_unlinked_one_stays(panes):
    panes.set_pictures({key: ramp() for key in ("truth", "baseline", "estimate", "difference")})
    settle()
    first, alone, *others = panes.panes
    before = view_of(alone.canvas)
    alone.link.click()
    zoom(first.canvas)
    assert view_of(alone.canvas) == pytest.approx(before)
    for other in others:
        assert view_of(other.canvas) == pytest.approx(view_of(first.canvas), rel=0.02)
    zoom(alone.canvas, 0.3)
    assert view_of(first.canvas) != pytest.approx(view_of(alone.canvas), rel=0.1)
    alone.link.click()
    settle()
    assert view_of(alone.canvas) == pytest.approx(view_of(first.canvas), rel=0.02)


def test_sinograms_are_linked_with_each_other_and_not_with_images(panes):
    panes.set_pictures(
        {"truth": ramp(), "measurement": ramp(rows=20, columns=96), "misfit": ramp(rows=20, columns=96)}
    )
    panes.panes[1].show_source("measurement")
    panes.panes[2].show_source("misfit")
    settle()
    image, measurement, misfit = (pane.canvas for pane in panes.panes[:3])
    before = view_of(image)
    zoom(measurement, 0.4)
    assert view_of(misfit) == pytest.approx(view_of(measurement), rel=0.02)
    assert view_of(image) == pytest.approx(before)


def test_a_source_that_is_chosen_looks_where_the_others_do(panes):
    panes.set_pictures({"truth": ramp(), "estimate": ramp(), "state": ramp()})
    settle()
    zoom(pane_on(panes, "truth").canvas, 0.25)
    expected = view_of(pane_on(panes, "truth").canvas)
    pane = panes.panes[3]
    pane.show_source("state")
    settle()
    assert view_of(pane.canvas) == pytest.approx(expected, rel=0.02)


def test_twelve_panes_stay_put_under_thirty_resizes(panes):
    while panes.add_pane("estimate") is not None:
        pass
    panes.set_pictures({key: ramp() for key in ("truth", "baseline", "estimate", "difference")})
    settle()
    zoom(panes.panes[0].canvas)
    x, y, scale = view_of(panes.panes[0].canvas)
    for i in range(30):
        panes.resize(900 + 31 * (i % 7), 640 + 23 * (i % 5))
        settle()
    for pane in panes.panes:
        assert view_of(pane.canvas) == pytest.approx((x, y, scale), rel=0.03)


def test_fit_shows_everything_again_everywhere(panes):
    panes.set_pictures({key: ramp() for key in ("truth", "baseline", "estimate", "difference")})
    settle()
    zoom(panes.panes[0].canvas, 0.2)
    panes.fit()
    for pane in panes.panes:
        rect = pane.canvas.box.viewRect()
        assert rect.left() <= 0
        assert rect.top() <= 0
        assert rect.right() >= 60
        assert rect.bottom() >= 40


def test_keys_zoom_and_pan(panes):
    panes.set_pictures({"truth": ramp(), "estimate": ramp()})
    settle()
    canvas = pane_on(panes, "truth").canvas
    x, _, scale = view_of(canvas)
    QTest.keyClick(canvas, Qt.Key.Key_Plus)
    assert view_of(canvas)[2] == pytest.approx(scale / 1.25)
    QTest.keyClick(canvas, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert view_of(canvas)[0] > x
    assert view_of(pane_on(panes, "estimate").canvas) == pytest.approx(view_of(canvas), rel=0.02)


# -- cursor -------------------------------------------------------------------------------------------------


def test_one_cursor_in_all_panes_of_a_lattice(panes):
    panes.set_pictures({"truth": ramp(), "estimate": ramp(2.0), "measurement": ramp(rows=20, columns=96)})
    panes.panes[1].show_source("measurement")
    settle()
    hover(pane_on(panes, "truth").canvas, 20.5, 10.5)
    found = {source.key: text for source, text in panes.values_at(10, 20)}
    assert found == {"truth": "620", "estimate": "1240"}
    for pane in panes.panes:
        assert pane.canvas._lines[0].isVisible() == (pane.source in ("truth", "estimate"))
    hover(pane_on(panes, "measurement").canvas, 50.5, 3.5)
    assert {source.key for source, _ in panes.values_at(3, 50)} == {"measurement"}
    pane_on(panes, "measurement").show_source("truth")
    assert not any(pane.canvas._lines[0].isVisible() for pane in panes.panes)


def test_the_status_bar_says_place_values_tile_and_step(window, drive, phantom_path, prior_path):
    drive(open_both(window.session, phantom_path, prior_path))
    window.session.method.set_solver_setting("steps", 3)

    async def go():
        window.session.start()
        await until(lambda: window.session.shown.result is not None)
        await painted(window.display, 3)

    drive(go())
    window.panes.point_at(30, 20)
    text = window.cursor_text.text()
    tile, distance = window.display.frame.partition.tile_at(30, 20)
    for part in (
        "x 20, y 30 px", f"Truth {value_text(window.panes.pixels('truth'), 30, 20)} HU", "FBP", "x̂₀", "x̂₀ − truth",
        f"tile {tile + 1} of {len(window.display.frame.partition.boxes)}, {distance} px to the nearest seam",
        "step 3 of 3, σ",
    ):  # fmt: skip
        assert part in text


# -- levels -------------------------------------------------------------------------------------------------


def test_levels_are_in_common_and_never_move_by_themselves(panes):
    panes.picture_set.propose_levels({"image": (0.0, 100.0)})
    panes.set_pictures({"truth": ramp(), "estimate": ramp(50), "difference": ramp(9)})
    settle()
    for _ in range(3):
        panes.set_pictures({"estimate": ramp(1e4), "difference": ramp(1e4)})
    assert tuple(pane_on(panes, "truth").item.levels) == (0, 100)
    assert tuple(pane_on(panes, "estimate").item.levels) == (0, 100)
    assert tuple(pane_on(panes, "difference").item.levels) == (-10, 10)


def test_a_pane_with_levels_of_its_own_keeps_them(panes):
    panes.picture_set.propose_levels({"image": (0.0, 100.0)})
    panes.set_pictures({"truth": ramp(), "estimate": ramp()})
    own, common = pane_on(panes, "truth"), pane_on(panes, "estimate")
    panes.set_own_levels(own, True)
    common.set_levels((5, 6))
    assert tuple(own.item.levels) == (0, 100)
    own.set_levels((1, 2))
    assert tuple(common.item.levels) == (5, 6)
    panes.set_own_levels(own, False)
    assert tuple(own.item.levels) == (5, 6)


def test_a_magnitude_keeps_the_levels_of_its_first_picture(panes):
    panes.register_source(SEAMS)
    panes.panes[0].show_source("seams")
    panes.set_pictures({"seams": flat(4)})
    panes.set_pictures({"seams": flat(400)})
    assert tuple(panes.panes[0].item.levels) == (0, 4)
    panes.set_pictures({"seams": None})
    panes.set_pictures({"seams": flat(400)})
    assert tuple(panes.panes[0].item.levels) == (0, 400)


@pytest.fixture
def levels(panes):
    made = LevelsPanel(panes)
    made.resize(300, 500)
    made.show()
    panes.picture_set.describe("HU", None, (-1000.0, 1000.0))
    panes.picture_set.propose_levels({"image": (0.0, 100.0)})
    panes.set_pictures({"truth": ramp(), "estimate": ramp(2.0), "difference": ramp(1, -1000)})
    settle()
    yield made
    made.close()
    made.deleteLater()


def test_levels_follow_the_framed_pane(panes, levels):
    panes.set_active(pane_on(panes, "difference"))
    assert levels.title.text().startswith("Difference")
    assert (levels.low.value(), levels.high.value()) == (-10, 10)
    assert levels.colours.count() == len(SIGNED)
    panes.set_active(pane_on(panes, "truth"))
    assert (levels.low.value(), levels.high.value()) == (0, 100)
    assert levels.colours.count() == len(SEQUENTIAL)


def test_numbers_that_are_typed_become_levels_of_all(panes, levels):
    levels.low.setValue(-50)
    levels.high.setValue(700)
    for key in ("truth", "estimate"):
        assert tuple(pane_on(panes, key).item.levels) == (-50, 700)
    assert tuple(levels.region.getRegion()) == (-50, 700)


def test_levels_in_the_wrong_order_are_not_taken(panes, levels):
    levels.low.setValue(500)
    assert tuple(pane_on(panes, "truth").item.levels) == (0, 100)


def test_the_region_of_the_histogram_sets_levels(panes, levels):
    levels.region.setRegion((20, 60))
    wait_for(lambda: levels.low.value() == 20)
    assert tuple(pane_on(panes, "estimate").item.levels) == (20, 60)
    assert (levels.low.value(), levels.high.value()) == (20, 60)


def test_levels_of_differences_stay_about_zero(panes, levels):
    panes.set_active(pane_on(panes, "difference"))
    levels.high.setValue(300)
    assert tuple(pane_on(panes, "difference").item.levels) == (-300, 300)
    levels.region.setRegion((-40, 300))
    wait_for(lambda: levels.low.value() == -40)
    assert tuple(pane_on(panes, "difference").item.levels) == (-40, 40)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Full", (0.0, 4798.0)),
        ("Match", (0.0, 2399.0)),
        ("1–99 %", (47.98, 4750.02)),
        ("Auto", (8.4, 4789.6)),
    ],
)
def test_proposals(panes, levels, name, expected):
    panes.set_active(pane_on(panes, "estimate"))
    levels.proposals[name].click()
    assert tuple(pane_on(panes, "estimate").item.levels) == pytest.approx(expected, abs=0.2)


def test_a_sinogram_cannot_match_the_truth(panes, levels):
    panes.set_pictures({"measurement": ramp()})
    wait_for(levels.proposals["Match"].isEnabled)
    pane_on(panes, "truth").show_source("measurement")
    assert not levels.proposals["Match"].isEnabled()
    assert levels.proposals["Full"].isEnabled()


def test_presets_are_there_for_hounsfield_units_only(panes, levels):
    assert levels._presets.isVisible()
    button = next(b for b in levels._presets.children() if getattr(b, "text", str)() == "Lung")
    button.click()
    assert tuple(pane_on(panes, "truth").item.levels) == HU_PRESETS["Lung"]
    panes.picture_set.describe("", None, (0.0, 1.0))
    assert not levels._presets.isVisible()


def test_the_histogram_is_drawn_at_most_four_times_a_second(panes, levels, monkeypatch):
    drawn = []
    original = levels.bars.setData
    monkeypatch.setattr(levels.bars, "setData", lambda *args: (drawn.append(1), original(*args)))
    began = time.monotonic()
    for i in range(30):
        panes.set_pictures({"truth": ramp(1 + i)})
        settle()
    wait_for(lambda: drawn)
    assert len(drawn) <= 1 + (time.monotonic() - began) / 0.2  # Qt's timer is as much as 5 % early


def test_levels_chosen_by_hand_outlast_another_problem(window, drive, phantom_path, prior_path):
    drive(open_both(window.session, phantom_path, prior_path))
    pane = window.panes.panes[0]
    pane.set_levels((-77.0, 88.0))
    assert window.levels.currentIndex() == -1  # none of the list's
    window.problem.form.editors["views"].setValue(31)
    drive(until(lambda: window.panes.pixels("measurement") is not None))
    assert window.panes.pixels("measurement").shape[0] == 31
    assert tuple(pane.item.levels) == (-77, 88)
    window.levels.setCurrentText("Soft tissue")
    assert tuple(pane.item.levels) == HU_PRESETS["Soft tissue"]


# -- colours and what is not a number -----------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted({*SEQUENTIAL, *SIGNED}))
def test_every_colour_map_has_256_colours(name):
    table = lookup(name)
    assert table is None or (table.shape[0] == 256 and table.dtype == np.uint8)


def test_diverging_maps_are_alike_at_both_ends_of_zero():
    for name in SIGNED[:-1]:
        light = lookup(name)[:, :3].mean(axis=1)
        middle = light[126:130].mean()
        assert (middle > light[[0, -1]]).all() or (middle < light[[0, -1]]).all()


def test_inverted_grey_shows_the_brightest_black(panes):
    panes.picture_set.propose_levels({"image": (0.0, 1.0)})
    panes.set_pictures({"truth": flat(1)})
    pane = pane_on(panes, "truth")
    assert colour_at(pane.canvas, 30, 20).lightness() == 255
    pane.set_colours("Inverted grey")
    assert colour_at(pane.canvas, 30, 20).lightness() == 0


def test_nan_and_infinity_are_coloured_and_counted(panes):
    picture = flat(0.5)
    picture[10:20, 10:20] = np.nan
    picture[10:20, 30:40] = np.inf
    panes.picture_set.propose_levels({"image": (0.0, 1.0)})
    panes.set_captions({"truth": "HU"})
    panes.set_pictures({"truth": picture})
    pane = pane_on(panes, "truth")
    assert pane.caption.text() == "100 NaN, 100 Inf  HU"
    assert colour_at(pane.canvas, 15, 15).getRgb() == NAN_COLOUR
    assert colour_at(pane.canvas, 35, 15).getRgb() == INF_COLOUR
    assert colour_at(pane.canvas, 50, 30).lightness() == pytest.approx(127, abs=2)
    assert np.isnan(picture[15, 15])  # the picture itself is as it was
    panes.set_pictures({"truth": flat(0.5)})
    assert pane.caption.text() == "HU"
    assert colour_at(pane.canvas, 15, 15).lightness() == pytest.approx(127, abs=2)


def test_a_picture_that_is_all_nan_breaks_nothing(panes, levels):
    panes.set_pictures({"truth": flat(np.nan)})
    for button in levels.proposals.values():
        button.click()
    settle()
    assert pane_on(panes, "truth").caption.text().startswith("2400 NaN")


# -- saved and restored -------------------------------------------------------------------------------------


def test_the_arrangement_comes_back(panes, styled):
    from padis_gui.gui.panes.pane_grid import PaneGrid

    panes.add_pane("misfit")
    panes.panes[0].show_source("state")
    panes.panes[1].link.click()
    panes.panes[1].set_colours("Magma")
    panes.panes[2].set_colours("Inverted grey")
    panes.set_active(panes.panes[3])
    panes.act.ellipse.trigger()
    panes.compare_with("wipe", "baseline", "denoised")
    panes.compare_with(None)
    state = json.loads(json.dumps(arrangement_of(panes)))
    other = PaneGrid()
    rearrange(other, state)
    assert arrangement_of(other) == state
    assert other.tools.tool == "ellipse"
    assert other.compare.keys == ("baseline", "denoised")
    other.deleteLater()


@pytest.mark.parametrize(
    "state",
    [
        None, [], "x", {}, {"panes": 3}, {"panes": [1, None, {"source": "no such"}, {"source": []}]},
        {"active": 99, "maximised": "yes", "tool": "hammer", "colours": {"image": "no such"}},
        {"compare": {"mode": "x", "rate": "fast", "first": 3, "open": True}}, {"panes": [{}] * 500},
        {"colours": {"image": 4}, "active": True, "compare": []},
    ],
)  # fmt: skip
def test_a_state_that_cannot_be_used_changes_no_pane(panes, state):
    before = arrangement_of(panes)
    rearrange(panes, state)
    assert arrangement_of(panes)["panes"] == before["panes"]
    assert arrangement_of(panes)["colours"] == before["colours"]


def test_the_window_opens_with_the_panes_it_was_left_with(window):
    window.panes.add_pane("misfit")
    keep_window(window, window.reconstruct, window.preferences)
    kept = window.preferences.window("panes")
    window.panes.remove_pane(window.panes.panes[-1])
    rearrange(window.panes, json.loads(kept))
    assert [pane.source for pane in window.panes.panes][-1] == "misfit"


# -- saving -------------------------------------------------------------------------------------------------


def test_the_menu_offers_what_a_pane_can_do(panes):
    panes.set_pictures({"truth": ramp(), "estimate": ramp(2.0)})
    menu = QMenu()
    fill_menu(menu, panes, pane_on(panes, "estimate"))
    texts = [action.text() for action in menu.actions()]
    for wanted in (
        "Maximise pane", "Close pane", "Linked view", "Own levels and colours", "Levels", "Colours", "Compare with",
        "Copy view", "Save view as PNG…", "Save values as TIFF…",
    ):  # fmt: skip
        assert wanted in texts
    against = next(a.menu() for a in menu.actions() if a.text() == "Compare with")
    assert [a.text() for a in against.actions()] == ["Truth"]
    against.actions()[0].trigger()
    assert panes.comparing
    assert panes.compare.keys == ("estimate", "truth")
    menu.deleteLater()


def test_nothing_to_see_is_nothing_to_save(panes):
    menu = QMenu()
    fill_menu(menu, panes, panes.panes[0])
    enabled = {action.text(): action.isEnabled() for action in menu.actions()}
    assert not enabled["Save view as PNG…"]
    assert not enabled["Save values as TIFF…"]
    menu.deleteLater()


def test_what_is_said_in_twelve_panes_is_said_in_a_few_at_a_time(panes, monkeypatch):
    """Events pass between them; and in the end all panes say it."""
    while panes.add_pane() is not None:
        pass
    settle()
    refreshed = []
    for pane in panes.panes:
        monkeypatch.setattr(
            pane, "refresh", lambda pane=pane, do=pane.refresh: (refreshed.append(pane), do())
        )
    panes.picture_set.set_empty_texts(dict.fromkeys((pane.source for pane in panes.panes), "later"))
    assert len(refreshed) < MOST / 2
    wait_for(lambda: len(refreshed) == MOST)
    assert {pane.canvas.empty.text() for pane in panes.panes} == {"later"}
    refreshed.clear()
    panes.picture_set.set_empty_texts(dict.fromkeys((pane.source for pane in panes.panes), "later"))
    panes.register_source(SEAMS)  # which none of them shows
    settle()
    assert refreshed == []


def test_a_source_that_comes_leaves_the_others_in_their_rows(panes):
    """Each pane's choice would look for its own again: a list is not made anew for one more."""
    resets, came = [], []
    panes.model.modelAboutToBeReset.connect(lambda: resets.append(True))
    panes.model.rowsInserted.connect(lambda _parent, first, last: came.extend(range(first, last + 1)))
    before = [panes.model.item(row).text() for row in range(panes.model.rowCount())]
    panes.register_source(SEAMS)
    after = [panes.model.item(row).text() for row in range(panes.model.rowCount())]
    assert [text for row, text in enumerate(after) if row not in came] == before
    assert [after[row] for row in came] == [Origin.LABORATORY.value, SEAMS.label]
    assert resets == []
    panes.unregister_source(SEAMS.key)
    assert [panes.model.item(row).text() for row in range(panes.model.rowCount())] == before


def test_the_view_is_copied_as_it_is_seen(panes):
    panes.picture_set.propose_levels({"image": (0.0, 1.0)})
    panes.set_pictures({"truth": flat(1)})
    pane = pane_on(panes, "truth")
    panes.copy_view(pane)
    image = QGuiApplication.clipboard().image()
    assert image.size() == pane.canvas.size() * pane.canvas.devicePixelRatio()
    assert image.pixelColor(place_of(pane.canvas, 30, 20)).lightness() == 255


def test_values_are_saved_as_float_tiff_with_the_recipe_and_the_view_as_png(
    window, drive, tmp_path, phantom_path, prior_path
):
    drive(open_both(window.session, phantom_path, prior_path))
    window.session.method.set_solver_setting("steps", 2)
    tiff, png = tmp_path / "values.tif", tmp_path / "view.png"
    saving = window.views.saving

    async def go():
        window.session.start()
        await until(lambda: window.session.shown.result is not None)
        await until(lambda: window.panes.pixels("estimate") is not None)
        saving.write_values(tiff, key="estimate")
        pane = pane_on(window.panes, "estimate")
        saving.write_view(png, key="estimate", image=window.panes.view_image(pane))
        await until(lambda: tiff.exists() and png.exists())
        saving.write_values(tmp_path / "no" / "such" / "folder.tif", key="truth")
        await until(lambda: window.messages.level == "error")

    drive(go())
    saved = tifffile.imread(tiff)
    assert saved.dtype == np.float32
    np.testing.assert_array_equal(saved, window.panes.pixels("estimate"))
    recipe, _ = read_recipe(tiff)
    assert recipe.seed == window.session.shown.result.recipe.seed
    assert not QImage(str(png)).isNull()
    assert "choose another name" in window.messages.text.text()


# -- other runs ---------------------------------------------------------------------------------------------


def test_other_runs_are_sources_and_two_of_them_are_compared(window, drive, phantom_path, prior_path):
    drive(open_both(window.session, phantom_path, prior_path))
    session = window.session
    session.method.set_solver_setting("steps", 2)

    async def go():
        for seed in (1, 2):
            session.method.set_seed(seed)
            session.start()
            await until(lambda: not session.run.active)
        await until(lambda: len(session.runs.records) == 2)

    drive(go())
    first, second = session.runs.records
    pane = window.panes.panes[1]
    pane.show_source(f"run:{first.id}")
    np.testing.assert_array_equal(pane.canvas.pixels, first.result.pixels[0])
    session.runs.rename(first.id, "Mine")
    assert pane.choice.currentText() == "Mine"
    session.runs.compare.emit(first, second)
    assert window.panes.comparing
    assert window.panes.compare.keys == (f"run:{first.id}", f"run:{second.id}")
    window.panes.compare_with(None)
    session.runs.delete([first.id])
    assert pane.source == "estimate"


def test_a_lattice_is_more_than_a_size(panes):
    """A sinogram that happens to have the image's size is still not the image."""
    panes.set_pictures({"truth": ramp(), "measurement": ramp()})
    panes.panes[1].show_source("measurement")
    settle()
    assert panes.panes[0].group[0] == Lattice.IMAGE.value
    assert panes.panes[1].group[0] == Lattice.MEASUREMENT.value


def test_a_right_click_opens_the_menu(window):
    pane = window.panes.panes[1]
    QTest.mouseClick(
        pane.canvas.viewport(), Qt.MouseButton.RightButton, pos=pane.canvas.viewport().rect().center()
    )
    (menu,) = [m for m in window.panes.findChildren(QMenu) if m.isVisible()]
    assert "Compare with" in [action.text() for action in menu.actions()]
    assert window.panes.active is pane
    menu.close()
