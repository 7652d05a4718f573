"""The line profile and region tools: drawn with the mouse or typed, the same in every pane, copied and saved."""

import csv
import io
import time

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest

from padis_gui.gui.panes.profile import ProfilePanel
from padis_gui.gui.panes.regions import RegionPanel
from padis_gui.viewmodels.pictures.profiles import Line, Region, profile, seam_positions
from tests.gui.pictures import drag, ramp, settle, wait_for
from tests.qt import open_both, until
from tests.viewmodels.test_profiles import partition


@pytest.fixture
def shown(panes):
    panes.set_pictures({"truth": ramp(), "baseline": ramp(2.0), "estimate": ramp(3.0, 5)})
    settle()
    return panes


def panel_of(kind, panes):
    made = kind(panes)
    made.resize(700, 200)
    made.show()
    settle()
    return made


@pytest.fixture
def profiles(shown):
    made = panel_of(ProfilePanel, shown)
    yield made
    made.close()
    made.deleteLater()


@pytest.fixture
def regions(shown):
    made = panel_of(RegionPanel, shown)
    yield made
    made.close()
    made.deleteLater()


def choose(panes, key):
    panes.activateWindow()
    wait_for(panes.isActiveWindow)
    QTest.keyClick(panes, key)


def near(found, expected, pixels=0.6):
    return np.abs(np.array(found) - np.array(expected)).max() < pixels


def test_a_line_is_dragged_and_seen_in_every_pane_of_its_pixels(shown, profiles):
    choose(shown, Qt.Key.Key_L)
    drag(shown.panes[1].canvas, (10, 8), (50, 30))
    line = shown.tools.line
    assert near(line.start, (10, 8))
    assert near(line.end, (50, 30))
    drawn = [pane.source for pane in shown.panes if pane.canvas.shapes.shapes == (line,)]
    assert drawn == ["truth", "baseline", "estimate"]  # there is no difference yet
    expected = profile(ramp(2.0), line).values
    # profiles of the line on its way come first
    wait_for(lambda: len(profiles.profiles) == 3 and len(profiles.profiles["FBP"].values) == len(expected))
    np.testing.assert_allclose(profiles.profiles["FBP"].values, expected)


def test_an_end_of_the_line_is_dragged(shown, profiles):
    choose(shown, Qt.Key.Key_L)
    shown.tools.adopt(shown.panes[0].group)
    shown.tools.set_line(Line((10, 10), (40, 10), width=3))
    drag(shown.panes[0].canvas, (40, 10), (45, 30))
    assert near(shown.tools.line.start, (10, 10))
    assert near(shown.tools.line.end, (45, 30))
    assert shown.tools.line.width == 3


def test_a_drag_pans_again_without_a_tool(shown):
    choose(shown, Qt.Key.Key_L)
    choose(shown, Qt.Key.Key_V)
    before = shown.panes[0].canvas.box.viewRect().center()
    drag(shown.panes[0].canvas, (10, 10), (30, 20))
    assert shown.tools.line is None
    assert shown.panes[0].canvas.box.viewRect().center() != before


def test_a_line_on_the_sinogram_belongs_to_the_sinogram(shown, profiles):
    shown.set_pictures({"measurement": ramp(rows=20, columns=96), "misfit": ramp(rows=20, columns=96)})
    shown.panes[2].show_source("measurement")
    shown.panes[3].show_source("misfit")
    settle()
    choose(shown, Qt.Key.Key_L)
    drag(shown.panes[2].canvas, (10, 5), (80, 15))
    wait_for(lambda: set(profiles.profiles) == {"Measurement y", "Data residual A x̂₀ − y"})
    assert shown.panes[0].canvas.shapes.shapes == ()


def test_seams_of_the_shown_tiling_are_marked(shown, profiles):
    shown.set_pictures({key: ramp(rows=64, columns=64) for key in ("truth", "estimate")})
    tiling = partition()
    shown.set_partition(tiling)
    settle()
    shown.tools.adopt(shown.panes[0].group)
    line = Line((1, 2), (60, 50))
    shown.tools.set_line(line)
    wait_for(lambda: profiles.seams)
    assert profiles.seams == seam_positions(line, tiling)
    wait_for(lambda: profiles.plot.is_drawn)
    assert profiles.plot.seams == pytest.approx(profiles.seams)
    shown.set_partition(None)
    profiles.refresh()
    wait_for(lambda: not profiles.plot.seams)


def test_a_line_is_typed(shown, profiles):
    shown.set_active(shown.panes[0])
    for box, value in zip(profiles.ends.values(), (3.0, 4.0, 33.0, 4.0), strict=True):
        box.setValue(value)
    profiles.width_box.setValue(2)
    assert shown.tools.line == Line((3, 4), (33, 4), 2)


def test_profiles_follow_the_frames_but_not_every_one(shown, profiles, monkeypatch):
    shown.tools.adopt(shown.panes[0].group)
    shown.tools.set_line(Line((1, 1), (50, 30)))
    wait_for(lambda: profiles.profiles)
    refreshed = []
    original = profiles._draw
    monkeypatch.setattr(profiles, "_draw", lambda: (refreshed.append(1), original()))
    began = time.monotonic()
    for i in range(30):
        shown.set_pictures({"estimate": ramp(i)})
        settle()
    wait_for(lambda: np.nanmax(profiles.profiles["Estimate x̂₀"].values) > 29 * 1000)
    assert len(refreshed) <= 1 + (time.monotonic() - began) / 0.2  # Qt's timer is as much as 5 % early


def test_profiles_are_copied_and_saved_as_csv(window, drive, tmp_path, phantom_path, prior_path):
    drive(open_both(window.session, phantom_path, prior_path))
    panes, panel, path = window.panes, window.views.profile, tmp_path / "profile.csv"

    async def go():
        window.act.fit.trigger()
        panes.act.profile.trigger()
        await until(panel.isVisible)  # the dock comes with the tool
        panes.tools.adopt(panes.panes[0].group)
        panes.tools.set_line(Line((5.5, 30.5), (60.5, 30.5)))
        await until(lambda: len(panel.profiles) == 2)
        panel.copy.click()
        window.views.saving.write_csv(path, name="profile", text=panel.csv())
        await until(lambda: "profile.csv" in window.messages.text.text())

    drive(go())
    text = QGuiApplication.clipboard().text()
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0][-2:] == ["Truth", "FBP"]
    np.testing.assert_allclose(
        [float(row[-2]) for row in rows[1:]], panes.pixels("truth")[30, 5:61], rtol=1e-5
    )
    assert path.read_text(encoding="utf-8-sig") == text


def test_names_in_the_legend_are_text_and_not_markup(shown, profiles):
    shown.picture_set.rename({"truth": "<img src=x>"})
    shown.tools.adopt(shown.panes[0].group)
    shown.tools.set_line(Line((1, 1), (9, 9)))
    wait_for(lambda: profiles.profiles)
    assert "<img" not in profiles.legend.text()
    assert "&lt;img" in profiles.legend.text()


def test_a_point_of_the_plot_is_marked_on_the_panes(shown, profiles):
    shown.tools.adopt(shown.panes[0].group)
    shown.tools.set_line(Line((0.5, 10.5), (50.5, 10.5)))
    wait_for(lambda: profiles.profiles)
    wait_for(lambda: profiles.plot.is_drawn)
    settle()
    view, box = profiles.plot.view, profiles.plot.view.box
    view.scene().sigMouseMoved.emit(box.mapViewToScene(QPointF(20.2, box.viewRect().center().y())))
    for pane in shown.panes[:3]:
        assert pane.canvas.shapes._marker == pytest.approx((20.5, 10.5))
    assert "620" in profiles.legend.text()
    view.scene().sigMouseMoved.emit(QPointF(-50, -50))
    assert shown.panes[0].canvas.shapes._marker is None


def test_clearing_takes_the_line_from_everywhere(shown, profiles):
    shown.tools.adopt(shown.panes[0].group)
    shown.tools.set_line(Line((1, 1), (9, 9)))
    wait_for(lambda: profiles.profiles)
    profiles.clear.click()
    wait_for(lambda: not profiles.profiles)
    assert profiles.csv() == ""
    assert not profiles.copy.isEnabled()
    assert all(pane.canvas.shapes.shapes == () for pane in shown.panes)


# -- regions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "shape"), [(Qt.Key.Key_R, "rectangle"), (Qt.Key.Key_E, "ellipse")])
def test_a_region_is_dragged_onto_whole_pixels(shown, regions, key, shape):
    choose(shown, key)
    drag(shown.panes[0].canvas, (10.2, 5.1), (29.9, 24.8))
    region = shown.tools.region
    assert region == Region(shape=shape, left=10, top=5, width=20, height=20)
    wait_for(lambda: len(regions.rows) == 3)
    assert [row[0] for row in regions.rows] == ["Truth", "FBP", "Estimate x̂₀"]
    assert regions.shape.currentData() == shape


def test_the_table_says_what_the_region_holds(shown, regions):
    shown.tools.adopt(shown.panes[0].group)
    shown.tools.set_region(Region(shape="rectangle", left=10, top=5, width=20, height=8))
    wait_for(lambda: regions.table.rowCount() == 3)
    part = ramp()[5:13, 10:30]
    cells = [regions.table.item(0, i).text() for i in range(regions.table.columnCount())]
    assert cells[:2] == ["Truth", "160"]
    assert float(cells[2]) == pytest.approx(part.mean(), rel=1e-5)
    assert float(cells[3]) == pytest.approx(part.std(), rel=1e-5)
    assert cells[-1] == ""  # the truth against itself says nothing
    assert regions.table.item(1, 7).text() != ""


def test_a_region_is_typed_moved_and_cleared(shown, regions):
    shown.set_active(shown.panes[0])
    for box, value in zip(regions.places.values(), (4, 6, 12, 9), strict=True):
        box.setValue(value)
    assert shown.tools.region == Region(shape="rectangle", left=4, top=6, width=12, height=9)
    choose(shown, Qt.Key.Key_R)
    drag(shown.panes[1].canvas, (10, 10), (20, 20))
    moved = shown.tools.region
    assert (moved.left, moved.top, moved.width, moved.height) == (14, 16, 12, 9)
    regions.clear.click()
    wait_for(lambda: not regions.rows)
    assert not regions.save.isEnabled()


def test_a_region_outside_is_said_to_be_outside(shown, regions):
    shown.tools.adopt(shown.panes[0].group)
    shown.tools.set_region(Region(shape="rectangle", left=500, top=5, width=20, height=8))
    wait_for(lambda: "outside" in regions.hint.text())
    assert regions.csv() == ""


def test_statistics_are_copied_as_csv(shown, regions):
    shown.tools.adopt(shown.panes[0].group)
    shown.tools.set_region(Region(shape="ellipse", left=1, top=1, width=9, height=9))
    wait_for(lambda: regions.rows)
    regions.copy.click()
    rows = list(csv.reader(io.StringIO(QGuiApplication.clipboard().text())))
    assert rows[0][0] == "Picture"
    assert [row[0] for row in rows[1:]] == ["Truth", "FBP", "Estimate x̂₀"]


def test_another_image_lets_the_shapes_of_the_last_one_go(shown, profiles):
    shown.tools.adopt(shown.panes[0].group)
    shown.tools.set_line(Line((1, 1), (9, 9)))
    shown.set_pictures({key: ramp(rows=20, columns=20) for key in ("truth", "baseline", "estimate")})
    settle()
    assert all(pane.canvas.shapes.shapes == () for pane in shown.panes)
    profiles.refresh()
    assert profiles.profiles == {}
