"""The size of what is reconstructed, in the real window: said, cropped on a pane, previewed, and offered where memory is
short."""

import numpy as np
import pytest
import tifffile
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from padis_gui.core.exports.about import read_export
from padis_gui.core.settings.errors import SettingError
from padis_gui.viewmodels.session.sizing import factor_that_fits
from padis_gui.viewmodels.state import opened
from tests.gui.user import click
from tests.qt import open_both, settled, until
from tests.scan_files import parallel, write_exchange

RNG = np.random.default_rng(0)


@pytest.fixture
def picture(tmp_path):
    """96 × 64 px in 16 bits, its width the larger side."""
    path = tmp_path / "picture.tif"
    tifffile.imwrite(path, RNG.integers(0, 60_000, (64, 96), dtype=np.uint16), photometric="minisblack")
    return path


@pytest.fixture
def ready(window, drive, picture, prior_path):
    """The picture and a prior are open, a quick method is chosen, and its truth is in a pane."""
    session = window.session

    async def go():
        await open_both(session, picture, prior_path)
        session.method.set_physics("denoising")
        session.method.set_solver("fast")
        await until(lambda: session.preparation.prepared)
        await settled(window)

    drive(go())
    return window


def shape(window):
    return window.session.data.image.shape


async def result_of(session, wanted):
    """The result with these rows and columns, once its run has ended."""

    def there():
        result = session.shown.result
        return result is not None and result.pixels.shape[1:] == wanted and not session.run.active

    await until(there)
    return session.shown.result


def drag(canvas, start, end):
    """With the left button, from (x, y) to (x, y) in px of the picture."""
    places = [canvas.mapFromScene(canvas.box.mapViewToScene(QPoint(*p).toPointF())) for p in (start, end)]
    viewport = canvas.viewport()
    QTest.mousePress(viewport, Qt.MouseButton.LeftButton, pos=places[0])
    middle = (places[0] + places[1]) / 2
    for place in (middle, places[1]):
        QTest.mouseMove(viewport, place)
    QTest.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=places[1])


def test_the_size_is_stated_width_first_and_so_is_an_unknown_pixel_size(ready):
    assert ready.reconstruct.size_row.says.text() == "Full resolution 96 × 64 px"
    assert "pixels of unknown size" in ready.data.details.text()


def test_a_crop_is_dragged_on_a_pane_applied_and_undone(ready, drive):
    size, crop = ready.reconstruct.size_row, ready.reconstruct.crop
    canvas = ready.panes.panes[0].canvas

    async def go():
        click(size.crop)
        await settled(ready)
        assert crop.isVisible()
        assert not crop.apply.isEnabled()  # nothing is chosen yet
        drag(canvas, (10, 8), (58, 40))
        await until(lambda: crop.region is not None)
        left, top, width, height = crop.region
        assert abs(left - 10) <= 1
        assert abs(width - 48) <= 2
        crop.places["x"].setValue(12)
        crop.places["w"].setValue(40)
        assert (crop.region[0], crop.region[2]) == (12, 40)
        assert crop.says.text() == "of 96 × 64 px"
        crop.apply.setFocus()
        click(crop.apply)
        assert ready.focusWidget() is canvas  # not some button beside the bar that has gone
        await until(lambda: shape(ready) == (height, 40))
        assert not crop.isVisible()
        assert size.says.text() == f"Cropped to 40 × {height} px at 12, {top} of 96 × 64"
        click(size.whole)
        await until(lambda: shape(ready) == (64, 96))
        assert not size.whole.isVisible()

    drive(go())


def test_a_crop_stays_inside_the_picture(ready, drive):
    tools = ready.panes.tools

    async def go():
        ready.panes.act.crop.trigger()
        await settled(ready)
        crop = ready.reconstruct.crop
        drag(ready.panes.panes[0].canvas, (60, 20), (140, 200))
        await until(lambda: crop.region is not None)
        left, top, width, height = crop.region
        assert (left + width, top + height) == (96, 64)
        ready.panes.act.move.trigger()
        assert tools.crop is None
        assert shape(ready) == (64, 96)

    drive(go())


def test_a_preview_is_a_run_of_its_own_and_one_click_goes_back_to_full_size(ready, drive, tmp_path):
    session, offers = ready.session, ready.reconstruct.offers

    async def go():
        session.method.set_seed(5)
        assert not offers.isVisible()
        ready.reconstruct.size_row.reduced[2].trigger()
        preview = await result_of(session, (32, 48))
        assert preview.recipe.data.reading.pixel_binning == 2
        assert await session.export(tmp_path / "preview.tif")
        recipe = read_export(tmp_path / "preview.tif").recipe
        assert recipe.data.reading == preview.recipe.data.reading
        assert "Preview of 96 × 64" in offers.says.text()
        click(offers.full)
        full = await result_of(session, (64, 96))
        assert (full.recipe.solver, full.recipe.settings, full.recipe.seed) == (
            preview.recipe.solver, preview.recipe.settings, 5,
        )  # fmt: skip
        assert not offers.isVisible()

    drive(go())


def test_a_preview_of_a_region(ready, drive):
    session, crop = ready.session, ready.reconstruct.crop

    async def go():
        ready.panes.act.crop.trigger()
        crop.places["w"].setValue(32)
        crop.places["h"].setValue(32)
        click(crop.preview)
        await result_of(session, (32, 32))
        assert ready.reconstruct.offers.full.isVisible()

    drive(go())


def test_pixels_that_are_no_numbers_are_replaced_by_a_button_of_the_message(ready, drive, tmp_path):
    values = RNG.random((40, 40), dtype=np.float32)
    values[3, 5] = np.nan
    tifffile.imwrite(tmp_path / "holes.tif", values)
    session, messages = ready.session, ready.messages

    async def go():
        assert not await session.data.open(tmp_path / "holes.tif")
        await settled(ready)
        assert "1 NaN or infinite" in messages.text.text()
        assert shape(ready) == (64, 96)  # what was open stays
        click(messages.offers[0])
        await until(lambda: shape(ready) == (40, 40))
        assert np.isfinite(session.data.image.pixels).all()
        assert "1 number that was NaN" in ready.data.notes.text()
        assert not messages.isVisible()

    drive(go())


def test_where_memory_is_short_the_plan_and_the_message_offer_less(ready, drive, monkeypatch):
    session, planner, offers = ready.session, ready.planner, ready.reconstruct.offers

    async def go():
        await until(lambda: planner.plan is not None and planner.plan.seconds is not None)
        assert not offers.isVisible()
        plan = planner.plan
        room = plan.batch_mb + (plan.memory_mb - plan.batch_mb) / 3
        monkeypatch.setattr("padis_gui.gui.setup.size._USABLE", 1.0)
        monkeypatch.setattr("padis_gui.viewmodels.session.planner.free_memory_mb", lambda device: room)
        planner.refresh()
        assert offers.crop.isVisible()
        assert offers.reduce.text() == "Reduce to 48 × 32"

        def fails(*_arguments):
            raise SettingError("A system matrix that fits into memory was wanted.", remedy="smaller")

        await session.compute(fails)
        await settled(ready)
        assert [button.text() for button in ready.messages.offers] == ["Crop…", "Reduce to 48 × 32"]
        click(ready.messages.offers[1])
        await until(lambda: shape(ready) == (32, 48))

    drive(go())


def test_a_scan_is_previewed_on_fewer_pixels_of_the_same_field(ready, drive, tmp_path):
    session, size = ready.session, ready.reconstruct.size_row
    path = write_exchange(tmp_path / "scan.h5", parallel())

    async def go():
        assert await session.data.open(path)
        await settled(ready)
        assert not ready.panes.act.crop.isEnabled()  # it would cut the field of view off
        assert size.says.text() == "Image of 256 × 256 px"
        whole = session.data.image
        ready.reconstruct.sizing.reduce(2)
        await until(lambda: shape(ready) == (128, 128))
        assert session.data.image.spacing == pytest.approx([2 * pitch for pitch in whole.spacing])

    drive(go())


def test_the_factor_that_fits():
    assert factor_that_fits(1000, 100, 1000) == 2  # never less: it is offered where memory is short
    assert factor_that_fits(1000, 100, 200) == 3
    assert factor_that_fits(1000, 100, 90) is None


def test_an_opening_that_finds_no_memory_offers_less_of_the_file(ready, drive, monkeypatch, tmp_path):
    tifffile.imwrite(tmp_path / "large.tif", RNG.random((80, 60), dtype=np.float32))
    session, messages = ready.session, ready.messages
    reads = opened.read_and_keep

    def short(path, page, reading):
        if reading is None or reading.pixel_binning == 1:
            raise MemoryError
        return reads(path, page, reading)

    monkeypatch.setattr(opened, "read_and_keep", short)

    async def go():
        assert not await session.data.open(tmp_path / "large.tif")
        await settled(ready)
        assert "More memory was wanted" in messages.text.text()
        assert [b.text() for b in messages.offers] == [
            "Open at half of the size", "Open at a quarter of the size"
        ]  # fmt: skip
        click(messages.offers[0])
        await until(lambda: shape(ready) == (40, 30))

    drive(go())
