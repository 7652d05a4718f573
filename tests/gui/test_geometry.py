"""The geometry panel draws the settings as they are."""

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QWheelEvent
from PySide6.QtWidgets import QApplication

from padis_gui.gui.kit.theme import BORDER, GEOMETRY
from padis_gui.gui.setup.geometry import UNKNOWN_SCALE
from tests.qt import open_both, settled


@pytest.fixture
def panel(window, drive, phantom_path, prior_path):
    drive(open_both(window.session, phantom_path, prior_path))
    dock = next(d for d in window.docks.all if d.windowTitle() == "Geometry")
    window.docks.bring(dock)
    drive(settled(window.geometry_panel))
    return window.geometry_panel


def change(panel, drive, **settings):
    async def go():
        for name, value in settings.items():
            panel._session.method.set_problem(name, value)
        await settled(panel)

    drive(go())


def like(a, b):
    return all(abs(x - y) < 40 for x, y in zip(a.getRgb()[:3], QColor(b).getRgb()[:3], strict=True))


def test_it_follows_the_settings_and_names_units(panel, drive):
    assert panel.isVisible()
    assert "20 views over 180°, counter-clockwise from 0°" in panel.facts.text()
    change(panel, drive, views=6, turn="clockwise", arc=90.0, start=45.0)
    assert "6 views over 90°, clockwise from 45°" in panel.facts.text()
    assert (panel.slider.minimum(), panel.slider.maximum()) == (1, 6)
    assert "counter-clockwise" in panel.convention.text()


def test_lengths_are_in_mm_only_where_the_size_of_a_pixel_is_known(panel, drive):
    session = panel._session
    assert session.data.image.spacing is None
    for physics in ("ct-parallel", "ct-fan"):
        change(panel, drive, views=6) if physics == "ct-parallel" else drive(chosen(panel, physics))
        said = panel.facts.text().replace(UNKNOWN_SCALE, "")
        assert UNKNOWN_SCALE in panel.facts.text()
        assert "px" in said
        assert "mm" not in said

    async def state_the_size():
        assert await session.data.set_reading({"pixel_pitch": 0.5})
        await settled(panel)

    drive(state_the_size())
    rows, columns = session.data.image.shape
    assert f"image {columns} × {rows} px ({columns / 2:g} × {rows / 2:g} mm)" in panel.facts.text()
    assert "0.5 mm a pixel" in panel.facts.text()


async def chosen(panel, physics):
    panel._session.method.set_physics(physics)
    await settled(panel)


def test_source_and_detector_are_painted_where_the_scan_has_them(panel, drive):
    async def go():
        panel._session.method.set_physics("ct-fan")
        await settled(panel)

    drive(go())
    panel.number.setValue(6)
    QApplication.processEvents()
    sketch = panel.sketch
    view = sketch.sketch.views[5]
    assert panel.angle.text() == "θ = 90°"
    assert view.sources[0][0] > 0  # a quarter of a turn: to the right
    picture = sketch.grab().toImage()
    source = sketch.place(view.sources[0]).toPoint()
    middle = tuple((a + b) / 2 for a, b in zip(*view.detector, strict=True))
    assert like(picture.pixelColor(source), GEOMETRY["source"])
    assert like(picture.pixelColor(sketch.place(middle).toPoint()), BORDER)


def test_a_cone_beam_is_drawn_from_above_and_from_the_side_at_one_scale(panel, drive):
    """Nothing of the one lies on the other, and the numbers are those of the settings."""
    drive(chosen(panel, "ct-cone"))
    change(panel, drive, bins=40, detector_rows=30, bin_width=2.0, row_height=3.0, source_distance=300.0)
    change(panel, drive, detector_distance=150.0, centre_row=4.0)
    assert "40 × 30 bins of 2 × 3 px" in panel.facts.text()
    assert "magnification 1.5" in panel.facts.text()
    sketch = panel.sketch
    view = sketch.sketch.views[0]
    source, above = sketch.place_beside((-300.0, 0.0)), sketch.place(view.sources[0])
    first, last = (sketch.place_beside((150.0, z)) for z in sketch.sketch.upright)
    one, other = (sketch.place(p) for p in view.detector)
    scale = (other.x() - one.x()) / 80
    assert first.y() - last.y() == pytest.approx(90 * scale)
    assert first.x() - source.x() == pytest.approx(450 * scale)
    # the source's plane is seen 4 rows towards the last one, which is drawn above
    assert (first.y() + last.y()) / 2 - source.y() == pytest.approx(12 * scale)
    assert above.y() < last.y() - 10
    assert first.y() < sketch.height()
    picture = sketch.grab().toImage()
    assert like(picture.pixelColor(source.toPoint()), GEOMETRY["source"])
    assert like(picture.pixelColor(((first + last) / 2).toPoint()), BORDER)


def test_the_wheel_goes_through_the_views(panel):
    """With Ctrl; alone it changes nothing."""
    assert panel.number.value() == 1
    plain, ctrl = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier
    for turn, keys in ((-120, plain), (-120, ctrl), (-120, ctrl), (120, ctrl)):
        event = QWheelEvent(
            QPointF(50, 50), QPointF(50, 50), QPoint(), QPoint(0, turn), Qt.MouseButton.NoButton,
            keys, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(panel, event)
    assert panel.number.value() == 2
    assert panel.slider.value() == 2


def test_what_is_no_scan_says_so_and_a_bad_scan_says_why(panel, drive):
    async def go():
        panel._session.method.set_physics("deblur")
        await settled(panel)
        assert "no scanner" in panel.empty.text()
        assert not panel.sketch.isVisible()
        panel._session.method.set_physics("ct-fan")
        panel._session.method.set_problem("source_distance", 5.0)
        await settled(panel)
        assert "farther from the axis" in panel.empty.text()

    drive(go())
