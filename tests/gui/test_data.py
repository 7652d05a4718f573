"""The Data section of the real window: pages by their pictures, and another reading of the open file."""

import numpy as np
import pytest
import tifffile
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from padis_gui.core.files.scans import hdf5 as scans_in_hdf5
from padis_gui.core.images.image import ReadingSettings
from padis_gui.gui.dialogs.opening import DatasetChooser, SliceChooser
from padis_gui.viewmodels.session.sizing import side_by_side
from tests.gui.user import click
from tests.qt import open_both, settled, until
from tests.scan_files import counts_of, parallel, write_exchange


@pytest.fixture
def stack(tmp_path):
    """Ten pages, each brighter than the one before."""
    path = tmp_path / "stack.tif"
    pages = np.stack([np.full((32, 32), 25 * page, dtype=np.uint8) for page in range(10)])
    tifffile.imwrite(path, pages, photometric="minisblack")
    return path


def test_a_page_is_chosen_by_its_picture_with_the_keyboard(window, drive, stack):
    session, slices = window.session, window.opening.slices

    async def go():
        assert not window.act.slices.isEnabled()
        assert await session.data.open(stack, 2)
        assert window.act.slices.isEnabled()
        window.act.slices.trigger()
        sheet = window.findChild(SliceChooser)
        await until(lambda: sheet.isVisible() and sheet.view.currentIndex().row() == 2)
        assert sheet.model.rowCount() == 10
        await until(lambda: all(slices.picture(page) is not None for page in range(10)))
        assert [int(slices.picture(page).mean()) for page in range(10)] == [25 * page for page in range(10)]
        QTest.keyClick(sheet.view, Qt.Key.Key_Right)
        QTest.keyClick(sheet.view, Qt.Key.Key_Return)
        await until(lambda: session.data.image.page == 3)
        assert window.data.page.value() == 4  # from 1
        window.act.slices.trigger()
        assert len(window.findChildren(SliceChooser)) == 1
        sheet.close()

    drive(go())


def test_a_page_that_cannot_be_read_leaves_its_picture_blank(window, drive, tmp_path):
    path = tmp_path / "holes.tif"
    pages = np.ones((3, 32, 32), dtype=np.float32)
    pages[1, 4, 4] = np.nan
    tifffile.imwrite(path, pages, photometric="minisblack")
    slices, came = window.opening.slices, []
    slices.came.connect(came.append)

    async def go():
        assert await window.session.data.open(path)
        for page in range(3):
            slices.picture(page)
        await until(lambda: sorted(came) == [0, 1, 2])
        assert slices.picture(1) is None
        assert slices.picture(2) is not None

    drive(go())


def test_a_colour_picture_says_what_becomes_of_its_colours(window, drive, tmp_path, prior_path):
    path = tmp_path / "colour.tif"
    tifffile.imwrite(
        path, np.random.default_rng(1).integers(0, 255, (32, 32, 3), np.uint8), photometric="rgb"
    )
    session, said = window.session, window.data.details

    async def go():
        await open_both(session, path, prior_path)
        assert "its colours become grey for this problem" in said.text()
        session.method.set_physics("super-resolution")
        assert "in colour" in said.text()

    drive(go())


def test_a_degraded_picture_is_reconstructed_as_it_is(window, drive, phantom_path, prior_path):
    session, data = window.session, window.data

    async def go():
        await open_both(session, phantom_path, prior_path)
        size = session.data.image.shape[0]
        role = data.reading.editors["role"]
        role.setCurrentIndex(role.findData("measurement"))
        await until(lambda: session.data.image.measured is not None)
        assert "degraded picture" in data.details.text()
        assert [pane.source for pane in window.panes.panes] == [
            "measurement",
            "baseline",
            "estimate",
            "misfit",
        ]
        session.method.set_physics("super-resolution")
        session.method.set_problem("factor", 2)
        await until(lambda: session.preparation.prepared)
        assert session.preparation.pictures.truth is None
        assert session.preparation.pictures.baseline.shape == (2 * size, 2 * size)
        assert session.preparation.pictures.measurement.shape == (size, size)
        session.method.set_solver_setting("steps", 2)
        session.start()
        await until(lambda: session.shown.result is not None)
        assert session.shown.result.pixels.shape == (1, 2 * size, 2 * size)
        assert session.shown.result.recipe.data.reading.role == "measurement"
        assert "psnr" not in session.shown.result.metrics
        kept = session.runs.records[-1]
        role.setCurrentIndex(role.findData("image"))
        await until(lambda: session.data.image.measured is None)
        assert [pane.source for pane in window.panes.panes] == ["truth", "baseline", "estimate", "difference"]
        await session.use_run(kept)
        assert session.data.image.measured is not None

    drive(go())


def test_the_scaling_is_set_by_hand_and_a_bad_one_is_refused(window, drive, phantom_path):
    session, data, said = window.session, window.data, []
    session.message.connect(lambda *message: said.append(message))

    async def go():
        assert await session.data.open(phantom_path)
        low, high = session.data.image.window
        white = data.reading.editors["scale_high"]
        white.setValue(high + 1)
        await until(lambda: session.data.image.window == (low, high + 1))
        assert f"to {high + 1:g}" in data.details.text()
        data.reading.editors["scale_low"].setValue(high + 5)
        await until(lambda: said)
        assert "White above black" in said[0][1]
        assert session.data.image.window == (low, high + 1)
        await until(lambda: data.reading.editors["scale_low"].text() == "automatic")

    drive(go())


def test_a_reading_survives_the_session(window, drive, stack):

    session = window.session

    async def go():
        reading = ReadingSettings(role="measurement", scale_high=300.0)
        assert await session.data.open(stack, 4, reading)
        kept = session.choices()
        assert await session.data.open(stack, 0)
        await session.use(kept)
        assert (session.data.image.page, session.data.image.reading) == (4, reading)
        assert session.data.image.window == (0.0, 300.0)

    drive(go())


def test_the_centre_of_a_scan_is_moved_beside_it(window, drive, tmp_path, prior_path):
    session, data = window.session, window.data

    async def go():
        await open_both(session, write_exchange(tmp_path / "scan.h5", parallel()), prior_path)
        assert session.method.physics == "ct-parallel"
        assert data.centre.isVisible()
        assert data.notes.text()
        assert "scan of" in data.details.text()
        slices, page = window.opening.slices, session.data.image.page + 1
        slices.picture(page)
        await until(lambda: slices.picture(page) is not None)  # a row's own reconstruction
        before, first = session.method.problem.centre, session.preparation.pictures
        data.centre.stepUp()
        assert session.method.problem.centre == before + 0.25
        await until(lambda: session.preparation.pictures)
        assert not np.array_equal(session.preparation.pictures.baseline, first.baseline)
        data.scan.editors["take_views"].setValue(6)
        await until(lambda: session.data.image.reading.take_views == 6)
        assert len(session.method.problem.angles) == 6
        assert session.method.problem.centre == before + 0.25
        data.found.click()
        assert session.method.problem.centre == before
        assert not data.found.isEnabled()

    drive(go())


def test_the_line_above_the_pictures_names_the_prior_that_knows_such_images(window, drive, tmp_path):
    """The section that offers it may lie below what a small screen shows of the left column."""
    session, section = window.session, window.reconstruct.prior
    picture = tmp_path / "picture.tif"
    tifffile.imwrite(picture, np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) // 16)

    async def go() -> None:
        await session.open_demo()
        await session.data.open(picture)
        await settled()
        assert section.better.text() == "Use photos-small"
        assert window.verdict.text() == f"⚠ Use photos-small: {session.unfit}"
        click(section.better)
        await until(lambda: session.prior.path.stem == "photos-small")
        await settled()
        assert window.verdict.text() == "Ready: press Run"

    drive(go())


def test_a_scan_under_a_bundled_prior_offers_the_one_for_anything_scanned(
    window, drive, tmp_path, prior_path
):
    session, section = window.session, window.reconstruct.prior

    async def go() -> None:
        await session.open_demo()
        await settled()
        assert not section.better.isVisible()
        await session.data.open(write_exchange(tmp_path / "scan.h5", parallel()))
        await until(lambda: section.better.isVisible())
        assert session.unfit == ""
        assert section.better.text() == "Use general"
        click(section.better)
        await until(lambda: session.prior.path.stem == "general")
        await until(lambda: not section.better.isVisible())
        assert not section.misfit.isVisible()
        # what the user has chosen is not questioned
        await session.prior.open(prior_path)
        await settled()
        assert not section.better.isVisible()

    drive(go())


def test_one_of_several_data_sets_is_chosen_from_a_list(window, drive, tmp_path):
    path = tmp_path / "both.npz"
    first, second = np.full((2, 20, 24), 3.0), np.arange(40 * 30, dtype=np.float32).reshape(40, 30)
    np.savez(path, before=first, after=second, name=np.array("scan"))
    session = window.session

    async def go():
        assert not await session.data.open(path)
        await until(lambda: window.findChild(DatasetChooser))
        chooser = window.findChild(DatasetChooser)
        rows = [chooser.list.topLevelItem(n) for n in range(chooser.list.topLevelItemCount())]
        assert {row.text(0): row.text(1) for row in rows if not row.isDisabled()} == {
            "before": "2 of 24 × 20", "after": "30 × 40"
        }  # fmt: skip
        chooser.list.setCurrentItem(next(row for row in rows if row.text(0) == "after"))
        QTest.keyClick(chooser.list, Qt.Key.Key_Return)
        await until(lambda: session.data.image is not None)
        np.testing.assert_array_equal(session.data.image.pixels[0], second)
        await until(lambda: window.findChild(DatasetChooser) is None)
        window.act.datasets.trigger()
        await until(lambda: window.findChild(DatasetChooser))
        window.findChild(DatasetChooser).choose.click()
        await until(lambda: session.data.image.pages == 2)

    drive(go())


def test_a_slice_leads_to_its_series(window, drive, shared):
    session, data = window.session, window.data
    files = sorted((shared / "data" / "dicom").glob("*.dcm"))

    async def go():
        assert await session.data.open(files[3])
        assert session.data.image.pages == 1
        await until(data.series.isVisible)
        assert "10 slices" in data.series.text()
        alone = session.data.image.pixels
        data.series.click()
        await until(lambda: session.data.image.pages == 10)
        np.testing.assert_array_equal(session.data.image.pixels, alone)
        assert (session.data.image.unit, session.data.image.slice_spacing) == ("HU", 5.0)
        assert not data.series.isVisible()
        window.act.slices.trigger()
        slices = window.opening.slices
        for page in range(10):
            slices.picture(page)
        await until(lambda: all(slices.picture(page) is not None for page in range(10)))

    drive(go())


# -- the slider beside the panes ------------------------------------------------------------------------------


def wheel(widget, notches):
    """Turn the wheel over a widget; down is negative."""
    middle = QPointF(widget.rect().center())
    event = QWheelEvent(
        middle, QPointF(widget.mapToGlobal(middle.toPoint())), QPoint(), QPoint(0, 120 * notches),
        Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(widget, event)


def test_the_slider_is_there_for_several_pages_and_turns_them_by_wheel_and_keys(
    window, drive, stack, phantom_path
):
    session, beside = window.session, window.reconstruct.slices

    async def at(page):
        await until(lambda: session.data.image.page == page and beside.turner.wanted is None)
        assert beside.where.text() == f"{page + 1}\nof 10"
        assert beside.slider.value() == page

    async def go():
        assert await session.data.open(phantom_path)
        assert not beside.isVisible()
        assert not window.reconstruct.slices.next.isEnabled()
        assert await session.data.open(stack, 2)
        assert beside.isVisible()
        await at(2)
        wheel(beside.slider, -1)
        await at(3)
        beside.slider.setFocus()
        QTest.keyClick(beside.slider, Qt.Key.Key_Down)
        await at(4)
        QTest.keyClick(beside.slider, Qt.Key.Key_Home)
        await at(0)
        QTest.keyClick(beside.slider, Qt.Key.Key_End)
        await at(9)
        window.activateWindow()
        window.panes.active.canvas.setFocus()
        await until(window.isActiveWindow)
        QTest.keyClick(window.panes.active.canvas, Qt.Key.Key_PageUp)
        await at(8)
        assert await session.data.open_page(5)
        await at(5)

    drive(go())


def test_dragging_shows_small_pictures_and_opens_the_page_at_which_it_ends(window, drive, stack):
    session, beside = window.session, window.reconstruct.slices
    opened = []

    async def go():
        assert await session.data.open(stack)
        session.data.changed.connect(lambda: opened.append(session.data.image.page))
        beside.slider.setSliderDown(True)
        for page in range(1, 8):
            beside.slider.setSliderPosition(page)
        preview = beside._preview
        assert preview.isVisible()
        assert preview.words.text() == "page 8"
        await until(lambda: not preview.picture.pixmap().isNull())
        await until(lambda: opened == [7])  # the hand rests
        beside.slider.setSliderPosition(3)
        beside.slider.setSliderDown(False)
        await until(lambda: opened == [7, 3])
        assert not preview.isVisible()

    drive(go())


def test_pages_that_nobody_waits_for_any_more_are_not_read(window, drive, stack):
    session, turner = window.session, window.reconstruct.slices.turner
    opened = []

    async def go():
        assert await session.data.open(stack)
        session.data.changed.connect(lambda: opened.append(session.data.image.page))
        for page in range(1, 10):
            turner.turn(page)
        await until(lambda: turner.wanted is None)
        assert opened[-1] == 9
        assert len(opened) <= 2

    drive(go())


def test_a_page_that_cannot_be_read_leaves_the_slider_where_it_was(window, drive, tmp_path):
    path = tmp_path / "holes.tif"
    pages = np.ones((3, 32, 32), dtype=np.float32)
    pages[1, 4, 4] = np.nan
    tifffile.imwrite(path, pages, photometric="minisblack")
    beside = window.reconstruct.slices

    async def go():
        assert await window.session.data.open(path)
        beside.slider.setValue(1)
        await until(lambda: beside.turner.wanted is None and window.messages.isVisible())
        assert beside.slider.value() == 0
        assert beside.where.text() == "1\nof 3"

    drive(go())


def faulty_scan(path, level=0.5):
    """A scan with zingers in it, which are proposed to be taken out."""
    truth = parallel(views=60)
    values = counts_of(truth)
    values[5:50:9, 0, 10:90:8] *= 1 + level  # a brighter reading
    return write_exchange(path, truth, rows=1, data=values[:, :1])


def test_the_corrections_of_a_scan_are_proposed_compared_and_used(
    window, drive, tmp_path, stack, monkeypatch
):
    """What is on the screen is what is open, also in this section; to compare, nothing is read again."""
    session, section = window.session, window.reconstruct.corrections
    row_of, rows = scans_in_hdf5.row_of, []
    monkeypatch.setattr(scans_in_hdf5, "row_of", lambda *a: rows.append(a[0].name) or row_of(*a))
    path = faulty_scan(tmp_path / "a.h5")
    clean = write_exchange(tmp_path / "clean.h5", parallel(views=60), rows=1)

    async def go():
        assert section.isHidden()
        assert await session.data.open(stack)
        assert section.isHidden()  # a picture
        assert await session.data.open(path, 0, ReadingSettings(image_size=32))
        assert not section.isHidden()
        [proposal] = session.data.image.measured.proposals
        assert (proposal.name, proposal.value) == ("zingers", True)
        assert section.brief.text() == "proposed"
        await until(lambda: section.corrections.comparison is not None)
        read = list(rows)
        assert len(read) == len(set(read)) > 0
        comparison = section.corrections.comparison
        assert comparison.proposed
        assert 0 < comparison.sinogram_changes < 1
        before, after = comparison.sinograms
        assert before.shape == after.shape
        assert [tile.tile.caption for tile in section.wall.tiles] == [
            "sinogram before", "FBP before", "sinogram after", "FBP after",
        ]  # fmt: skip
        assert [tile.tile.fills for tile in section.wall.tiles] == [True, False, True, False]
        section.corrections.take(section.corrections.proposals)
        await until(lambda: session.data.image.reading.zingers)
        assert section.form.editors["zingers"].isChecked()
        assert section.brief.text() == "zingers"
        assert section.corrections.proposals == ()
        mended = session.data.image.measured.values
        assert section.corrections.comparison is not comparison  # that was of another reading
        await until(lambda: section.corrections.comparison is not None)
        assert rows == 2 * read
        assert not section.corrections.comparison.proposed
        assert section.corrections.comparison.sinogram_changes == comparison.sinogram_changes
        section.form.editors["zingers"].click()
        await until(lambda: not session.data.image.reading.zingers)
        assert not np.array_equal(session.data.image.measured.values, mended)
        assert await session.data.open(clean, 0, ReadingSettings(image_size=32))
        assert section.corrections.comparison is None
        assert not section.corrections.comparing
        assert section.wall.isHidden()

    drive(go())


def test_one_reading_is_seen_in_a_small_picture():
    before = np.zeros((1000, 900), dtype=np.float32)
    after = before.copy()
    after[501, 77] = 1.0
    one, two = side_by_side(before + np.linspace(0, 1, 900), after + np.linspace(0, 1, 900))
    assert max(one.shape) <= 320
    assert np.count_nonzero(one != two) == 1
