"""The boundary laboratory as a user drives it: keys, clicks, drags, in the real window."""

import json

import numpy as np
import pytest
import tifffile
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDockWidget

from padis_gui.core.exports.about import read_recipe
from padis_gui.core.runs.control import RunState
from padis_gui.core.runs.engine import solve
from padis_gui.gui.kit.files import SaveButtons
from padis_gui.viewmodels.laboratory.seam_maps import COVERAGE, DISAGREEMENT, SEAMS
from tests.gui.pictures import click_at
from tests.gui.user import click, pane
from tests.qt import LONG, compared, delivered, open_both, ran, settled, until


@pytest.fixture
def ready(window, drive, phantom_path, prior_path):
    """The window with the phantom and the tiny prior, a short diffusion and small random tiles."""
    drive(open_both(window.session, phantom_path, prior_path))
    session = window.session
    session.method.set_solver("diffpir")
    session.method.set_solver_setting("steps", 5)
    session.method.set_solver_setting("cg_steps", 3)
    session.method.set_tiling("strategy", "random")
    session.method.set_tiling("patch", 16)
    session.method.set_seed(3)
    return window


async def paused(window):
    """A run that waits after its first step."""
    window.session.method.set_solver_setting("steps", LONG)
    window.session.start(paused=True)
    await until(lambda: window.session.run.snapshot().state is RunState.PAUSED)
    await until(lambda: window.display.frame is not None)


def dock_of(widget):
    dock = widget.parentWidget()
    assert isinstance(dock, QDockWidget)
    return dock


async def bring(widget):
    """Put a panel in front of the others of its place."""
    dock_of(widget).show()
    dock_of(widget).raise_()
    await settled()


def on_screen(canvas, row, column):
    """Where an image pixel lies on a canvas."""
    point = canvas.mapFromScene(canvas.box.mapViewToScene(QPointF(column + 0.5, row + 0.5)))
    return QPoint(point.x(), point.y())


# -- overlay ----------------------------------------------------------------------------------------------


def test_the_overlays_menu_and_form_are_one_and_t_hides_everything(ready, drive):
    lab = ready.laboratory
    drive(ran(ready))
    overlay = pane(ready, "estimate").overlay
    menu = {action.text().replace("&", ""): action for action in lab.menu.actions()}
    menu["Tile numbers"].trigger()
    menu["Trails of 3 steps"].trigger()
    assert overlay.shown.numbers
    assert len(overlay.shown.trail) == 3
    assert lab.panel.form.editors["numbers"].isChecked()
    assert lab.panel.form.editors["trails"].value() == 3
    lab.panel.form.editors["trails"].setValue(0)
    assert menu["No trails"].isChecked()
    assert overlay.shown.trail == ()
    ready.activateWindow()
    QTest.keyClick(ready, Qt.Key.Key_T)
    assert overlay.shown is None
    QTest.keyClick(ready, Qt.Key.Key_T)
    assert overlay.shown.numbers
    assert pane(ready, "truth").overlay.shown is None


def test_everything_that_an_overlay_can_draw_is_painted(ready, drive):
    """Numbers, trails, heat, offset and an inspected tile change the picture, each by itself."""
    lab = ready.laboratory
    canvas = pane(ready, "estimate").canvas

    def seen():
        QApplication.processEvents()
        return canvas.grab().toImage()

    async def go():
        await ran(ready)
        plain = seen()
        for name, value, back in (
            ("numbers", True, False),
            ("trails", 4, 0),
            ("heat", True, False),
            ("offset", True, False),
        ):
            lab.model.set_overlay(name, value)
            if name == "heat":
                await until(lambda: canvas.overlay.shown.heat is not None)
            assert seen() != plain, name
            lab.model.set_overlay(name, back)
            assert seen() == plain, name

    drive(go())


def test_numbers_hide_where_tiles_are_too_small(ready, drive):
    canvas = pane(ready, "estimate").canvas
    lab = ready.laboratory

    async def go():
        await ran(ready)
        canvas.box.scaleBy((12, 12))
        await settled()
        without = canvas.grab().toImage()
        lab.model.set_overlay("numbers", True)
        QApplication.processEvents()
        assert canvas.grab().toImage() == without

    drive(go())


# -- maps and measures ------------------------------------------------------------------------------------


def test_a_map_goes_into_the_framed_pane_and_follows_the_shown_step(ready, drive):
    lab = ready.laboratory

    async def go():
        await ran(ready)
        await bring(lab.panel)
        ready.panes.set_active(pane(ready, "difference"))
        click(lab.panel.show_map[SEAMS])
        assert pane(ready, SEAMS)
        await until(lambda: ready.panes.pixels(SEAMS) is not None)
        last = ready.panes.pixels(SEAMS)
        ready.session.shown.go_to(2)
        await until(lambda: not np.array_equal(ready.panes.pixels(SEAMS), last))
        await until(lambda: "seam ratio" in pane(ready, SEAMS).caption.text())
        ready.panes.set_active(pane(ready, "baseline"))
        click(lab.panel.show_map[COVERAGE])
        await until(lambda: ready.panes.pixels(COVERAGE) is not None)
        assert "of 2 steps" in pane(ready, COVERAGE).caption.text()
        assert ready.panes.pixels(COVERAGE).max() <= 2

    drive(go())


def test_measure_now_while_paused_fills_map_number_and_curve(ready, drive):
    lab = ready.laboratory

    async def go():
        await paused(ready)
        await bring(lab.panel)
        assert lab.panel.values["disagreement"].text() == "–"
        click(lab.panel.measure)
        assert not lab.panel.measure.isEnabled()
        await until(lambda: lab.panel.measure.isEnabled())
        await until(lambda: lab.panel.values["disagreement"].text() != "–")
        assert float(lab.panel.values["disagreement"].text()) > 0
        assert float(lab.panel.values["seam_ratio"].text()) > 0
        await until(lambda: list(lab.panel.spread.points("rms of the window")[0]) == [1])
        click(lab.panel.show_map[DISAGREEMENT])
        assert ready.panes.pixels(DISAGREEMENT).shape == (64, 64)
        assert ready.session.run.snapshot().state is RunState.PAUSED
        ready.session.run.cancel()
        await until(lambda: not ready.session.run.active)

    drive(go())


def test_a_click_on_a_seam_curve_goes_to_its_step(ready, drive):
    lab = ready.laboratory

    async def go():
        await ran(ready)
        await bring(lab.panel)
        lab.panel.refresh()
        plot = lab.panel.ratios
        await until(lambda: plot.is_drawn)
        assert plot.points("x̂₀")[0][-1] == 5
        click_at(plot, 2)
        await until(lambda: ready.session.shown.step == 2)
        await until(lambda: plot.marker == 2)

    drive(go())


def test_the_error_by_frequency_is_drawn_of_the_shown_step(ready, drive):
    panel = ready.laboratory.panel

    async def go():
        await ran(ready)
        await bring(panel)
        await until(lambda: panel.spectrum.names == ["x̂₀ − truth"] and panel.spectrum.is_drawn)
        last = panel.spectrum.points("x̂₀ − truth")[1]
        ready.session.shown.go_to(1)
        await until(lambda: len(panel.spectrum.points("x̂₀ − truth")[1]) == len(last)
                    and not np.allclose(panel.spectrum.points("x̂₀ − truth")[1], last))  # fmt: skip
        assert panel.spectrum.points("x̂₀ − truth")[0].max() <= 0.5

    drive(go())


def test_a_panel_behind_another_makes_nothing(ready, drive):
    lab = ready.laboratory

    async def go():
        await bring(lab.tile)
        assert lab.inspector.watched
        await until(lambda: lab.inspector.result is not None)
        before = lab.inspector.result
        await bring(ready.curves)
        assert not lab.inspector.watched
        await bring(lab.panel)
        await ran(ready)
        assert not lab.inspector.watched
        assert lab.inspector.result is before
        ready.pages.setCurrentWidget(lab.page)
        await settled()
        assert not lab.panel._seen

    drive(go())


# -- the tile inspector -----------------------------------------------------------------------------------


def test_a_click_on_a_tile_inspects_it(ready, drive):
    lab = ready.laboratory

    async def go():
        await ran(ready)
        await bring(lab.tile)
        canvas = pane(ready, "estimate").canvas
        partition = ready.display.frame.partition
        QTest.mouseClick(canvas.viewport(), Qt.MouseButton.LeftButton, pos=on_screen(canvas, 40, 20))
        expected = partition.tile_at(40, 20)[0]
        await until(lambda: lab.inspector.tile == expected)
        assert lab.tile.tile.value() == expected + 1
        await until(
            lambda: (
                lab.inspector.result is not None and lab.inspector.result.home == partition.boxes[expected]
            )
        )
        assert lab.tile.pictures["denoised"].canvas.pixels is lab.inspector.result.pictures["denoised"]
        assert canvas.overlay.shown.inspected == partition.boxes[expected]
        assert lab.tile.coefficients["c_skip"].text() == f"{lab.inspector.result.tile.c_skip:.4g}"
        truth = pane(ready, "truth").canvas  # shows no tiling
        QTest.mouseClick(truth.viewport(), Qt.MouseButton.LeftButton, pos=on_screen(truth, 5, 5))
        await delivered(ready)
        assert lab.inspector.tile == expected

    drive(go())


def test_arrow_keys_drags_and_boxes_shift_the_tile(ready, drive):
    lab = ready.laboratory

    async def go():
        await ran(ready)
        await bring(lab.tile)
        lab.tile.tile.setValue(7)
        await until(lambda: lab.inspector.result is not None)
        step = ready.session.shown.step
        overview = lab.tile.overview
        overview.setFocus()
        QTest.keyClick(overview, Qt.Key.Key_Right)
        QTest.keyClick(overview, Qt.Key.Key_Down, Qt.KeyboardModifier.ControlModifier)
        assert lab.inspector.shift == (8, 1)
        assert ready.session.shown.step == step  # the timeline's arrow keys kept out
        await until(lambda: lab.inspector.result.tile.box == lab.inspector.box)
        assert "Shifted by +8 rows, +1 columns" in lab.tile.said.text()
        pad, home = ready.display.frame.partition.pad, lab.inspector.home
        lab.tile.row.setValue(home.row - pad[0] + 1)
        lab.tile.column.setValue(home.column - pad[1] + 1)
        assert lab.inspector.shift == (0, 0)
        first = home.row - pad[0], home.column - pad[1]
        start, end = (on_screen(overview, first[0] + 4 + by, first[1] + 4 + by) for by in (0, 10))
        QTest.mousePress(overview.viewport(), Qt.MouseButton.LeftButton, pos=start)
        for part in (1, 2, 3):
            QTest.mouseMove(overview.viewport(), start + (end - start) * part / 3)
            await settled()
        QTest.mouseRelease(overview.viewport(), Qt.MouseButton.LeftButton, pos=end)
        assert lab.inspector.shift == pytest.approx((10, 10), abs=3)
        assert lab.tile.home.isEnabled()
        click(lab.tile.home)
        assert lab.inspector.shift == (0, 0)

    drive(go())


def test_the_key_i_inspects_what_lies_under_the_cursor(ready, drive):
    lab = ready.laboratory

    async def go():
        await ran(ready)
        await bring(ready.curves)
        ready.panes.point_at(50, 12)
        ready.activateWindow()
        QTest.keyClick(ready, Qt.Key.Key_I)
        await until(lambda: lab.inspector.watched)
        assert lab.inspector.tile == ready.display.frame.partition.tile_at(50, 12)[0]
        await until(lambda: lab.inspector.result is not None)

    drive(go())


def test_other_noise_levels_and_inputs_from_the_form(ready, drive):
    lab = ready.laboratory

    async def go():
        await bring(lab.tile)
        await until(lambda: lab.inspector.result is not None)  # before any run: truth and noise
        assert lab.tile.input.currentData() == "truth"
        lab.tile.sigma.setValue(0.05)
        await until(lambda: lab.inspector.result.tile.sigma == 0.05)
        await ran(ready)
        await until(lambda: lab.inspector.result.step == 5)
        assert lab.tile.input.currentData() == "step"
        lab.tile.sigma.setValue(0)
        call = ready.display.frame.call
        await until(lambda: lab.inspector.result.tile.sigma == call.sigma)
        assert "(step)" in lab.tile.sigma.text()

    drive(go())


# -- A/B --------------------------------------------------------------------------------------------------


async def show_page(window):
    window.activateWindow()
    QTest.keyClick(window, Qt.Key.Key_2, Qt.KeyboardModifier.ControlModifier)
    await until(lambda: window.laboratory.page.isVisible())


def test_a_fault_at_one_click(ready, drive):
    lab = ready.laboratory

    async def go():
        await show_page(ready)
        click(lab.page.controls.faults["fixed"])
        assert not ready.act.run.isEnabled()
        assert "under way" in ready.verdict.text()
        await compared(ready)
        page, ab = lab.page, lab.ab
        for side in (0, 1):
            np.testing.assert_array_equal(page.pictures[side].canvas.pixels, ab.results[side].pixels[0])
            assert "step 5" in page.pictures[side].title.text()
            for plot in page.plots.values():
                await until(lambda plot=plot: plot.is_drawn)
                assert list(plot.points("AB"[side])[0]) == [1, 2, 3, 4, 5]
        np.testing.assert_array_equal(page.difference.canvas.pixels, ab.difference())
        assert page.controls.choices["strategy"].currentData() == "fixed"
        found = [page.controls.numbers["psnr", side].text() for side in (0, 1)]
        assert found == [f"{r.metrics['psnr']:.2f}" for r in ab.results]
        assert ready.act.run.isEnabled()
        page.kind.setCurrentIndex(page.kind.findData("seams"))
        await until(lambda: page.pictures[1].canvas.pixels is not None)
        assert page.pictures[1].canvas.overlay.shown is None
        page.slider.setValue(400)
        assert [ab.frame(side).step for side in (0, 1)] == [2, 2]

    drive(go())


def test_a_comparison_follows_another_that_stood_at_the_same_step(ready, drive):
    """Two different frames of one step are two, not a question that arrays cannot answer."""

    async def go():
        await show_page(ready)
        ab, page = ready.laboratory.ab, ready.laboratory.page
        seen = []
        for patch in (16, 32):
            ready.session.method.set_tiling("patch", patch)
            ab.choose("strategy", "fixed")
            ab.start(paused=True)
            await until(lambda: ab.state is RunState.PAUSED)
            await until(lambda: page._painted == tuple(ab.frame(side) for side in (0, 1)))
            assert [frame.step for frame in page._painted] == [1, 1]
            seen.append(page.pictures[0].canvas.pixels)
            ab.cancel()
            await compared(ready)
        assert not np.array_equal(*seen)

    drive(go())


def test_keys_steer_the_comparison_while_its_page_is_in_front(ready, drive):
    lab = ready.laboratory
    buttons = lab.page.controls.buttons

    async def go():
        ready.session.method.set_solver_setting("steps", LONG)
        await show_page(ready)
        QTest.keyClick(ready, Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)
        await until(lambda: lab.ab.frame(1) is not None)
        QTest.keyClick(ready, Qt.Key.Key_Space)
        await until(lambda: lab.ab.state is RunState.PAUSED)
        await until(lambda: buttons["pause"].text() == "Resume")
        held = [lab.ab.frame(side).step for side in (0, 1)]
        QTest.keyClick(ready, Qt.Key.Key_N)
        await until(lambda: sum(lab.ab.frame(side).step for side in (0, 1)) == sum(held) + 2)
        await until(lambda: lab.ab.state is RunState.PAUSED)
        click(buttons["pause"])
        await until(lambda: lab.ab.state is RunState.RUNNING)
        QTest.keyClick(ready, Qt.Key.Key_Escape)
        await compared(ready)
        assert lab.ab.state is RunState.CANCELLED
        assert not ready.session.run.active
        assert ready.session.shown.result is None

    drive(go())


def test_b_is_chosen_in_the_form_and_both_are_kept(ready, drive):
    lab = ready.laboratory
    controls = lab.page.controls

    async def go():
        await show_page(ready)
        lab.ab.choose("strategy", None)
        assert not controls.buttons["run"].isEnabled()
        assert "same" in controls.b.text()
        patch = controls.choices["patch"]
        assert [patch.itemData(i) for i in range(patch.count())] == [None, 32, 16]
        patch.setCurrentIndex(1)
        patch.activated.emit(1)
        assert "32 px" in controls.b.text()
        click(controls.buttons["run"])
        await compared(ready)
        assert [r.recipe.tiling.patch for r in lab.ab.results] == [16, 32]
        before = len(ready.session.runs.records)
        click(controls.keep)
        assert len(ready.session.runs.records) == before + 2
        assert not controls.keep.isEnabled()

    drive(go())


def test_closing_during_a_comparison_ends_its_thread(ready, drive):
    async def go():
        ready.session.method.set_solver_setting("steps", LONG)
        await show_page(ready)
        click(ready.laboratory.page.controls.faults["no-positions"])
        await until(lambda: ready.laboratory.ab.frame(0) is not None)
        ready.close()
        assert "A/B comparison" in ready.question.text.text()
        ready.close()
        await ready.closed.wait()

    drive(go())  # the window fixture looks for threads


# -- export -----------------------------------------------------------------------------------------------


def test_everything_is_exported_with_its_recipe(ready, drive, tmp_path):
    lab = ready.laboratory

    async def written(path):
        await until(path.exists)
        await delivered(ready)
        with tifffile.TiffFile(path) as file:
            return file.asarray(), file.imagej_metadata

    async def go():
        await ran(ready)
        await bring(lab.panel)
        for key in (SEAMS, COVERAGE):
            click(lab.panel.show_map[key])
            await until(lambda key=key: ready.panes.pixels(key) is not None)
        lab.panel._export(tmp_path / "maps.tif")
        pages, meta = await written(tmp_path / "maps.tif")
        assert pages.dtype == np.float32
        assert sorted(meta["Labels"]) == [COVERAGE, SEAMS] or meta["Labels"]
        np.testing.assert_array_equal(pages[meta["Labels"].index(SEAMS)], lab.model.maps[SEAMS])
        assert read_recipe(tmp_path / "maps.tif")[0] == ready.session.shown.result.recipe
        await bring(lab.tile)
        await until(lambda: lab.inspector.result is not None)
        lab.tile._export(tmp_path / "tile.tif")
        pages, meta = await written(tmp_path / "tile.tif")
        found = lab.inspector.result
        np.testing.assert_array_equal(pages[meta["Labels"].index("denoised")], found.pictures["denoised"])
        info = json.loads(meta["Info"])
        assert info["metrics"]["c_skip"] == pytest.approx(found.tile.c_skip)
        assert info["laboratory"]["row"] == found.tile.box.row
        await show_page(ready)
        click(lab.page.controls.faults["no-padding"])
        await compared(ready)
        lab.page._export(tmp_path / "ab.tif")
        pages, meta = await written(tmp_path / "ab.tif")
        assert meta["Labels"] == ["A", "B", "B − A"]
        np.testing.assert_array_equal(pages[1], lab.ab.results[1].pixels[0])
        recipe, _ = read_recipe(tmp_path / "ab.tif")
        *_, last = solve(recipe, ready.session.preparation.prepared.problem, ready.session.prior.loaded)
        np.testing.assert_array_equal(
            ready.session.preparation.prepared.image.from_unit(last.estimate)[0], pages[0]
        )
        assert json.loads(meta["Info"])["laboratory"]["recipe_b"]["tiling"]["strategy"] == "inside"

    drive(go())


def test_views_are_saved_as_png_and_a_bad_place_is_said(ready, drive, tmp_path):
    async def go():
        await ran(ready)
        saves = ready.findChildren(SaveButtons)
        assert len(saves) == 3
        for index, save in enumerate(saves):
            path = tmp_path / f"{index}.png"
            save.write_png(path)
            await until(lambda path=path: path.name in ready.messages.text.text())
            assert path.read_bytes()[:4] == b"\x89PNG"
        saves[0].write_png(tmp_path / "missing" / "x.png")
        await until(lambda: ready.messages.level == "error")
        assert "in a folder that does not exist" in ready.messages.text.text()
        ready.messages.hide()
        ready.laboratory.panel._export(tmp_path / "missing" / "x.tif")
        await until(
            lambda: (
                "in a folder that does not exist" in ready.messages.text.text()
                or "nothing to export" in ready.messages.text.text()
            )
        )

    drive(go())
