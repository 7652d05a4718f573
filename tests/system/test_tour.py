"""The README's tour through the real window, by mouse and keyboard alone, as a new user would take it."""

import json

import numpy as np
import pytest
import tifffile
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QTabBar

from padis_gui.core.exports.about import read_recipe
from padis_gui.core.runs.control import RunState
from padis_gui.core.runs.presets import DEMO_IMAGE, resource
from padis_gui.gui.dialogs.export import ExportDialog
from padis_gui.viewmodels.laboratory.seam_maps import SEAMS
from tests.gui.user import pane
from tests.qt import ended, prepared, until
from tests.system.hand import Hand

STEPS = 8  # enough to be better than the baseline, and no more than a test can wait for
PATIENCE = 300.0  # the tour takes some 30 s where nothing else runs


@pytest.fixture
def own_picture(tmp_path):
    """A picture of the user's own: the middle of a bundled slice as PNG, small enough to be quick."""
    slice_ = tifffile.imread(resource(DEMO_IMAGE))[0][72:184, 72:184].astype(float)
    path = tmp_path / "mine.png"
    Image.fromarray(((slice_ + 1000) / 2000 * 255).clip(0, 255).astype(np.uint8)).save(path)
    return path


def state(window):
    return window.session.run.snapshot().state


async def take_few_steps(window, hand):
    await hand.type(window.solver.forms[window.session.method.solver].editors["steps"], STEPS)


async def choose_preset(window, hand, label, name):
    await hand.choose(window.problem.preset, label)
    await until(lambda: window.session.method.preset == name)
    await prepared(window)


async def look(window, hand):
    """Four panes; other pictures in them, zoom, pan, fit, values under the cursor."""
    assert [p.source for p in window.panes.panes[:4]] == ["truth", "baseline", "estimate", "difference"]
    await hand.choose(pane(window, "difference").choice, "Sinogram y")
    assert window.panes.panes[3].source == "measurement"
    await hand.choose(window.panes.panes[3].choice, "Difference x̂₀ − truth")
    first, second = (p.canvas for p in window.panes.panes[:2])
    middle = first.viewport().rect().center()
    whole = first.box.viewRect().width()
    await hand.wheel(first.viewport(), middle, 3)
    assert first.box.viewRect().width() == whole  # the wheel is for the picture that has the keyboard
    await hand.click(first.viewport(), middle)
    await hand.wheel(first.viewport(), middle, 3)
    await until(lambda: first.box.viewRect().width() < whole)
    assert second.box.viewRect().width() == pytest.approx(first.box.viewRect().width(), rel=0.02)
    before = first.box.viewRect().center()
    await hand.drag(first.viewport(), middle, middle + QPoint(40, 25))
    assert (first.box.viewRect().center() - before).manhattanLength() > 1
    assert second.box.viewRect().center().x() == pytest.approx(first.box.viewRect().center().x(), abs=0.5)
    await hand.key(Qt.Key.Key_F)
    assert first.box.viewRect().width() == pytest.approx(whole, rel=0.05)
    await hand.point(first.viewport(), middle)
    await until(lambda: "Truth" in window.cursor_text.text() and "FBP" in window.cursor_text.text())


async def open_own(window, hand, path):
    """An own picture, by the dialog, and its problem."""
    await hand.ctrl(Qt.Key.Key_O)
    await hand.answer_file_dialog(str(path))
    await until(lambda: window.session.data.image.name == path.name)
    await choose_preset(window, hand, "CT, 20 views", "ct-20")
    assert window.menus.recent["image"].actions()[0].toolTip() == str(path)


async def run(window, hand):
    """Nothing starts by itself; Run; the tiling is drawn and goes with T; the curves grow."""
    assert window.session.shown.result is None
    await take_few_steps(window, hand)
    await hand.ctrl(Qt.Key.Key_R)
    await until(lambda: state(window) is RunState.RUNNING)
    await until(lambda: pane(window, "estimate").canvas.overlay.partition is not None)
    await ended(window)
    assert state(window) is RunState.DONE
    result = window.session.shown.result
    assert result.metrics["psnr"] > result.metrics["psnr_baseline"] + 2
    assert len(window.session.run.points()) == window.transport.bar.value()
    await hand.key(Qt.Key.Key_T)
    assert pane(window, "estimate").canvas.overlay.partition is None
    await hand.key(Qt.Key.Key_T)


async def interrupt(window, hand):
    """Pause, go on, one step, keep what there is; and a run that leaves nothing behind."""
    await hand.click(window.findChild(object, "run_button"))
    await until(lambda: window.session.run.snapshot().step >= 1)
    await hand.key(Qt.Key.Key_Space)
    await until(lambda: state(window) is RunState.PAUSED)
    held = window.session.run.snapshot().step
    await hand.key(Qt.Key.Key_N)
    await until(lambda: window.session.run.snapshot().step == held + 1 and state(window) is RunState.PAUSED)
    await hand.key(Qt.Key.Key_Space)
    await hand.ctrl(Qt.Key.Key_Return)
    await ended(window)
    assert state(window) is RunState.FINISHED
    kept = window.session.shown.result
    await hand.ctrl(Qt.Key.Key_R)
    await until(lambda: window.session.run.snapshot().step >= 1)
    await hand.key(Qt.Key.Key_Escape)
    await ended(window)
    assert state(window) is RunState.CANCELLED
    assert window.session.shown.result is kept


async def compare(window, hand):
    """A divider between the baseline and the estimate, and back; another run stands in the list."""
    await hand.click(window.panes.panes[0].canvas.viewport())
    await hand.key(Qt.Key.Key_W)
    compared = window.panes.compare
    assert compared.isVisible()
    assert compared.mode == "wipe"
    await hand.choose(compared.bar.first, "FBP")
    await until(lambda: compared.keys == ("baseline", "estimate"))
    await hand.click(compared.bar.leave)
    assert not compared.isVisible()


async def find_the_seam(window, hand):
    """The laboratory's tab, and its map in the framed pane."""
    bars = {
        bar.tabText(i): (bar, i)
        for bar in window.reconstruct.findChildren(QTabBar)
        for i in range(bar.count())
    }
    bar, at = bars["Laboratory"]
    await hand.click(bar, bar.tabRect(at).center())
    await hand.click(window.laboratory.panel.show_map[SEAMS])
    framed = pane(window, SEAMS)
    await until(lambda: window.panes.pixels(SEAMS) is not None)
    await until(lambda: window.laboratory.model.values().get("seam_ratio", 0) > 1)
    await hand.choose(framed.choice, "Truth")


async def change(window, hand):
    """Fewer views make the result stale; fixed tiling shows a seam; a chosen seed is kept."""
    await choose_preset(window, hand, "CT, 8 views", "ct-8")
    assert "Stale" in window.verdict.text()
    await choose_preset(window, hand, "CT, 20 views", "ct-20")
    await hand.choose(window.tiling.tiling, "Fixed grid")
    await hand.type(window.solver.seed, 7)
    await take_few_steps(window, hand)
    await hand.ctrl(Qt.Key.Key_R)
    assert window.session.run.active
    await ended(window)
    assert "Stale" not in window.verdict.text()
    offsets = {
        window.session.shown.history.frame_at(step).partition.offset
        for step in window.session.shown.history.steps
    }
    assert len(offsets) == 1  # the grid never moved
    await find_the_seam(window, hand)
    await hand.choose(window.tiling.tiling, "Random (PaDIS)")
    assert "Stale" in window.verdict.text()
    await hand.ctrl(Qt.Key.Key_R)
    assert window.session.run.active
    await ended(window)


async def export(window, hand, path):
    """Export a TIFF: float32, with the settings and the seed that were used."""
    await hand.ctrl(Qt.Key.Key_S)
    await until(lambda: window.findChild(ExportDialog))
    await hand.click(window.findChild(ExportDialog).export)
    await hand.answer_file_dialog(str(path))
    await until(path.exists)
    await until(lambda: "Exported" in window.messages.text.text())
    assert tifffile.imread(path).dtype == np.float32
    recipe, _ = read_recipe(path)
    assert recipe.seed == 7
    assert recipe.problem["views"] == 20
    assert json.loads(recipe.model_dump_json())["tiling"]["strategy"] == "random"


async def keyboard(window, hand):
    """Everything is reached by keyboard: the sheet of keys, the menus, another colour scheme, the layout."""
    await hand.key(Qt.Key.Key_F1)
    sheet = next(iter(window.help._open.values()))
    assert sheet.isVisible()
    await hand.key(Qt.Key.Key_F1)
    window.help.close()
    await hand.menu("View", "Colours", "Dark")
    assert window.preferences.options.scheme == "Dark"
    await hand.menu("View", "Colours", "System")
    await hand.menu("View", "Reset layout")
    await hand.menu("Help", "Report a problem…")
    await until(lambda: "report" in window.help._open)
    window.help.close()


def test_the_tour_of_the_readme(window, drive, own_picture, tmp_path):
    hand = Hand(window)

    async def go():
        await window.session.open_demo()
        await prepared(window)
        window.activateWindow()
        for stop, *more in (
            (look,), (open_own, own_picture), (run,), (compare,), (interrupt,), (change,),
            (export, tmp_path / "mine.tif"), (keyboard,),
        ):  # fmt: skip
            await stop(window, hand, *more)

    drive(go(), 2 * PATIENCE)
