"""A volume in the window: three planes, one crosshair, the slider, views in mm, and the way back to a slice."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from padis_gui.core.images.image import ReadingSettings
from padis_gui.core.runs.control import RunState
from padis_gui.viewmodels.pictures.planes import Place, Plane
from padis_gui.viewmodels.runs.columns import COLUMNS
from padis_gui.viewmodels.runs.samples import run_key
from padis_gui.viewmodels.session import volume as module
from tests.core.volumes.test_stack import across_file
from tests.gui.truth import Screen, rest
from tests.gui.user import click, pane, press
from tests.qt import open_both, until
from tests.volumes import write_stack

SHAPE = (6, 40, 32)


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """0.7 × 0.7 × 5 mm, HU, every voxel another number."""
    pages = np.random.default_rng(1).permutation(np.prod(SHAPE)).reshape(SHAPE) % 1900 - 950
    tifffile.imwrite(
        tmp_path / "stack.tif", pages.astype(np.int16), imagej=True, resolution=(1 / 0.7, 1 / 0.7),
        metadata={"axes": "ZYX", "unit": "mm", "spacing": 5.0},
    )  # fmt: skip
    return tmp_path / "stack.tif"


async def seen(window, stack, prior=None, page=0):
    """Open it and press Volume."""
    if prior is None:
        assert await window.session.data.open(stack, page)
    else:
        await open_both(window.session, stack, prior)
    click(window.data.of_volume)
    await rest(window)


def at_pixel(canvas, row, column) -> QPoint:
    """Where on a canvas a pixel's middle is."""
    from PySide6.QtCore import QPointF

    return canvas.mapFromScene(canvas.box.mapViewToScene(QPointF(column + 0.5, row + 0.5)))


def test_a_stack_opens_as_a_slice_and_volume_is_one_click_away(window, drive, stack, tmp_path):
    session, screen = window.session, Screen(window)

    async def go():
        tifffile.imwrite(tmp_path / "one.tif", np.eye(32, dtype=np.float32))
        assert await session.data.open(tmp_path / "one.tif")
        assert not window.data.of_volume.isVisible()
        assert await session.data.open(stack, 2)
        assert window.data.of_slice.isChecked()
        assert not window.reconstruct.place.isVisible()
        before = [each.source for each in window.panes.panes]
        click(window.data.of_volume)
        await rest(window)
        assert window.data.of_volume.isChecked()
        assert [each.source for each in window.panes.panes] == ["truth", "truth.sagittal", "truth.coronal"]
        assert session.volume.place == Place(2, 20, 16)
        assert screen.wrongs(quiet=True) == []
        session.volume.step(Plane.AXIAL, 2)
        click(window.data.of_slice)
        await rest(window)
        assert session.data.image.page == 4  # the one that was looked at
        assert [each.source for each in window.panes.panes] == before
        assert screen.wrongs(quiet=True) == []
        click(window.data.of_volume)
        assert await session.data.open(tmp_path / "one.tif")
        await rest(window)
        assert [each.source for each in window.panes.panes] == before
        assert not window.reconstruct.place.isVisible()
        assert screen.wrongs(quiet=True) == []

    drive(go())


def test_a_click_and_a_drag_move_the_crosshair_in_all_three(window, drive, stack):
    volume, screen = window.session.volume, Screen(window)

    async def go():
        await seen(window, stack)
        canvas = pane(window, "truth").canvas
        left = Qt.MouseButton.LeftButton
        QTest.mouseClick(canvas.viewport(), left, pos=at_pixel(canvas, 30, 7))
        await rest(window)
        assert volume.place == Place(0, 30, 7)
        assert screen.wrongs(quiet=True) == []
        side = pane(window, "truth.sagittal").canvas
        assert side.crosshair.place == (5, 30)  # the first slice is the lowest line
        QTest.mousePress(side.viewport(), left, pos=at_pixel(side, 5, 30))
        for row, column in ((4, 25), (3, 20), (2, 12)):
            QTest.mouseMove(side.viewport(), at_pixel(side, row, column))
        QTest.mouseRelease(side.viewport(), left, pos=at_pixel(side, 2, 12))
        await rest(window)
        assert volume.place == Place(3, 12, 7)
        assert screen.wrongs(quiet=True) == []
        window.panes.act.move.trigger()
        QTest.mouseClick(canvas.viewport(), left, pos=at_pixel(canvas, 3, 3))
        assert volume.place == Place(3, 12, 7)

    drive(go())


def test_slider_keys_and_numbers_go_through_the_slices(window, drive, stack):
    volume, place = window.session.volume, window.reconstruct.place

    async def go():
        await seen(window, stack)
        slider = window.reconstruct.slices.slider
        assert not slider.invertedAppearance()  # up is up, as in the other planes
        slider.setValue(4)
        await rest(window)
        assert volume.place.slice == 4
        assert window.session.data.image.page == 0  # nothing else is opened for that
        canvas = pane(window, "truth.coronal").canvas
        canvas.setFocus()
        QTest.keyClick(canvas, Qt.Key.Key_Up)
        assert volume.place.row == 21
        QTest.keyClick(canvas, Qt.Key.Key_PageUp)
        assert volume.place.slice == 5
        assert slider.value() == 5
        place.boxes[Plane.SAGITTAL].setValue(3)
        assert volume.place == Place(5, 21, 2)
        await rest(window)
        assert place.says.text() == "1.4, 14.7, 25.0 mm"
        window.panes.point_at(3, 4)
        assert window.cursor_text.text().startswith("column 5, row 4, slice 6 (2.8, 2.1, 25.0 mm)")

    drive(go())


def test_voxels_look_as_large_as_they_are_and_planes_zoom_together(window, drive, stack):
    """A voxel of 0.7 × 0.7 × 5 mm is seven times as high as wide in the coronal plane, at any zoom."""

    def millimetres(canvas, plane):
        rect, rows, columns = canvas.box.viewRect(), *window.session.volume.grid.pitch(plane)
        return rect.width() * columns / canvas.box.width(), rect.height() * rows / canvas.box.height()

    async def go():
        await seen(window, stack)
        canvases = {plane: pane(window, plane.key("truth")).canvas for plane in Plane}
        for plane, canvas in canvases.items():
            across, down = millimetres(canvas, plane)
            assert across == pytest.approx(down, rel=1e-3)
        first = canvases[Plane.AXIAL]
        first.setFocus()
        for _ in range(3):
            QTest.keyClick(first, Qt.Key.Key_Plus)
        await rest(window)
        wanted = millimetres(first, Plane.AXIAL)[0]
        for plane, canvas in canvases.items():
            assert millimetres(canvas, plane) == pytest.approx((wanted, wanted), rel=1e-3)
        QTest.keyClick(first, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
        await rest(window)
        centre = first.box.viewRect().center()
        assert canvases[Plane.CORONAL].box.viewRect().center().x() == pytest.approx(centre.x())
        assert canvases[Plane.SAGITTAL].box.viewRect().center().x() == pytest.approx(centre.y())
        window.act.fit.trigger()
        assert canvases[Plane.CORONAL].view is None

    drive(go())


def test_lines_and_regions_lie_in_any_plane(window, drive, stack):
    from padis_gui.viewmodels.pictures.profiles import Line

    tools = window.panes.tools

    async def go():
        await seen(window, stack)
        coronal = pane(window, "truth.coronal")
        window.panes.set_active(coronal)
        window.panes.act.profile.trigger()
        tools.adopt(coronal.group)
        tools.set_line(Line((0.0, 1.5), (32.0, 1.5)))
        await rest(window)
        panel = window.views.profile
        panel.refresh()
        assert list(panel.profiles) == ["Truth, coronal"]
        assert "22.4 mm" in panel.length.text()
        assert coronal.canvas.shapes.shapes
        assert not pane(window, "truth").canvas.shapes.shapes

    drive(go())


def test_a_stack_that_is_not_held_is_read_while_it_says_so(window, drive, tmp_path, monkeypatch):
    """Of a stack larger than the budget the planes come from a thread; what is no longer at the crosshair goes."""
    import threading

    with h5py.File(tmp_path / "large.h5", "w") as file:
        file["slices"] = np.random.default_rng(2).integers(0, 900, (30, 64, 48)).astype(np.uint16)
    reader, gate = module.StackReader, threading.Event()

    def small(path, example, pages):
        made = reader(path, example, pages, whole=0, slab=4 * 30 * 64)
        parts = made._source.parts

        def held(page, wanted):
            if page == 20 and len(wanted) == 1:
                assert gate.wait(30)
            return parts(page, wanted)

        made._source.parts = held
        return made

    monkeypatch.setattr(module, "StackReader", small)
    volume, screen = window.session.volume, Screen(window)

    async def go():
        assert await window.session.data.open(tmp_path / "large.h5", 3)
        click(window.data.of_volume)
        gate.set()
        await rest(window)
        assert screen.wrongs(quiet=True) == []
        gate.clear()
        volume.move(volume.place.moved(Plane.CORONAL, 5))
        canvas = pane(window, "truth.coronal").canvas
        await until(lambda: canvas.pixels is None)  # what was there goes, soon
        assert "Reading row 6" in canvas.empty.text()
        assert "reading" in window.reconstruct.place.says.text()
        assert screen.wrongs(quiet=False) == []
        await until(lambda: "%" in canvas.empty.text())
        volume.move(volume.place.moved(Plane.AXIAL, 9))
        gate.set()
        await rest(window)
        assert volume._reader.nbytes <= 2 * 4 * 30 * 64
        assert screen.wrongs(quiet=True) == []
        gate.clear()
        volume.move(Place(9, 30, 30))  # and nobody waits for it: the window closes

    drive(go())
    gate.set()


def test_it_is_said_why_there_is_no_volume(window, drive, tmp_path):
    from tests.scan_files import parallel, write_exchange

    write_exchange(tmp_path / "scan.h5", parallel(views=12), rows=3)
    stack = np.random.default_rng(0).random((3, 32, 32)).astype(np.float32)
    tifffile.imwrite(tmp_path / "pages.tif", stack, photometric="minisblack")

    async def go():
        assert await window.session.data.open(tmp_path / "scan.h5")
        assert not window.data.of_volume.isEnabled()
        assert "scan's rows" in window.data.of_volume.toolTip()
        assert await window.session.data.open(tmp_path / "pages.tif", 0, ReadingSettings(role="measurement"))
        assert not window.data.of_volume.isEnabled()
        assert await window.session.data.open(tmp_path / "pages.tif", 0)
        assert window.data.of_volume.isEnabled()

    drive(go())


def test_the_next_start_has_the_panes_of_a_slice(window, drive, stack):
    from padis_gui.gui.frame.reconstruct import arrangement_of

    async def go():
        before = [each.source for each in window.panes.panes]
        await seen(window, stack)
        kept = window.reconstruct.volume.arrangement(arrangement_of(window.panes))
        assert [each["source"] for each in kept["panes"]] == before

    drive(go())


# A run ----------------------------------------------------------------------------------------------------------


def chosen(window, steps=3):
    session = window.session
    for name, value in (("views", 12), ("bins", 48)):
        session.method.set_problem(name, value)
    session.method.set_solver("dds")
    for name, value in (("steps", steps), ("cg_steps", 2)):
        session.method.set_solver_setting(name, value)


def test_a_run_on_a_volume_is_a_run_in_the_window(window, drive, tmp_path, prior_path):
    """Run, a pause in mid-run with six planes, the crosshair moved in it, the end, the list; and the law all along."""
    session, screen = window.session, Screen(window)
    stack = write_stack(tmp_path / "stack.tif", 4)

    async def go():
        await seen(window, stack, prior_path)
        chosen(window)
        await rest(window)
        assert "all 4 slices" in screen.reason("estimate")
        press(window, "step")
        await until(lambda: session.run.state is RunState.PAUSED)
        await rest(window)
        sources = [each.source for each in window.panes.panes]
        assert sources[:3] == ["estimate", "estimate.sagittal", "estimate.coronal"]
        assert sources[3:] == ["truth", "truth.sagittal", "truth.coronal"]
        assert all(each.canvas.pixels is not None for each in window.panes.panes)
        assert pane(window, "estimate").canvas.overlay.isVisible()
        assert screen.wrongs(quiet=True) == []
        session.volume.move(Place(3, 10, 20))
        await rest(window)
        assert screen.wrongs(quiet=True) == []
        press(window, "pause")  # Resume
        await until(lambda: session.runs.records)
        await rest(window)
        assert "PSNR" in window.verdict.text()
        assert screen.wrongs(quiet=True) == []
        row = [column.text(session.runs.records[0]) for column in COLUMNS]
        assert "stack.tif, slices 1 to 4" in row
        window.timeline.slider.setValue(window.timeline.slider.minimum())
        await rest(window)
        assert screen.wrongs(quiet=True) == []
        window.panes.panes[0].show_source("misfit")
        assert "Of earlier steps" in screen.reason("misfit")
        session.shown.go_to(None)
        for source in ("measurement", "misfit", "baseline", "difference.coronal"):
            window.panes.panes[0].show_source(source)
            await rest(window)
            assert window.panes.panes[0].canvas.pixels is not None
        key, result = run_key(session.runs.records[0].id), session.runs.records[0].result
        for at in (1, 3):  # the list's runs are sources: of a volume the plane at the crosshair
            window.panes.panes[0].show_source(key)
            session.volume.move(Place(at, 5, 5))
            await rest(window)
            assert np.array_equal(window.panes.panes[0].canvas.pixels, result.pixels[at])
        click(window.data.of_slice)
        await rest(window)
        assert screen.wrongs(quiet=True) == []
        window.run_tools.list.select(session.runs.records[0])
        window.run_tools.list.show_run.trigger()
        await rest(window)
        assert screen.is_of_another
        assert screen.wrongs(quiet=True) == []
        session.screen.take_offer()  # Open its data
        await rest(window)
        assert window.data.of_volume.isChecked()
        assert not screen.is_of_another
        assert screen.wrongs(quiet=True) == []

    drive(go())


def test_groups_of_slices_are_lines_across_the_other_planes(window, drive, tmp_path, prior_path):
    session = window.session
    stack = write_stack(tmp_path / "stack.tif", 6)

    async def go():
        await seen(window, stack, prior_path)
        chosen(window)
        assert window.reconstruct.across.isVisible()
        assert not window.reconstruct.across.form.isVisible()
        assert await session.prior.open_across(across_file(tmp_path, "all"))
        assert window.reconstruct.across.form.isVisible()
        session.method.set_stack("across_above", 0.0)
        press(window, "step")
        await until(lambda: session.run.state is RunState.PAUSED)
        await rest(window)
        crosshair = pane(window, "estimate.coronal").canvas.crosshair
        assert crosshair.borders
        assert all(0 < at < 6 for at in crosshair.borders)
        assert not pane(window, "truth.coronal").canvas.crosshair.borders
        window.act.tiling.trigger()
        assert not crosshair.borders
        press(window, "cancel")
        await rest(window)
        click(window.data.of_slice)
        await rest(window)
        assert not window.reconstruct.across.isVisible()

    drive(go())


def test_only_some_slices_are_the_volume(window, drive, stack):
    data, volume = window.data, window.session.volume

    async def go():
        await seen(window, stack, page=3)
        assert (data.first.value(), data.last.value()) == (1, 6)
        data.last.setValue(5)
        data.first.setValue(3)
        await rest(window)
        assert list(volume.pages) == [2, 3, 4]
        assert volume.place.slice == 1  # page 4, as before
        assert window.reconstruct.slices.where.text() == "2\nof 3"
        assert "slices 3 to 5 of 6" in window.windowTitle()
        assert Screen(window).wrongs(quiet=True) == []
        volume.step(Plane.AXIAL, 1)
        click(data.of_slice)
        await rest(window)
        assert window.session.data.image.page == 4

    drive(go())


def test_slices_without_a_unit_are_seen_and_solved_in_one_window(window, drive, tmp_path, prior_path):
    """Each slice has its own lowest and highest value: a grey value means the same in all of them, before and in a run."""
    session, screen = window.session, Screen(window)
    pages = np.random.default_rng(4).integers(0, 300, (4, 32, 32)) * np.array([1, 3, 9, 27])[:, None, None]
    tifffile.imwrite(tmp_path / "grey.tif", pages.astype(np.uint16), photometric="minisblack")

    async def go():
        await seen(window, tmp_path / "grey.tif", prior_path)
        assert session.volume.window == (pages.min(), pages.max())
        assert screen.wrongs(quiet=True) == []
        chosen(window)
        press(window, "run")
        await until(lambda: session.runs.records)
        await rest(window)
        assert session.shown.result.window == (pages.min(), pages.max())
        session.volume.move(Place(1, 4, 5))
        await rest(window)
        assert screen.wrongs(quiet=True) == []

    drive(go())
