"""The dialog of a volume: from the menu to the finished stack, by hand, and what it says on the way."""

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from padis_gui.gui.dialogs.volume import VolumeDialog
from padis_gui.viewmodels.state.process import ProcessState, command_line
from tests.gui.controls import nameless, unexplained
from tests.qt import LONG, open_both, until
from tests.volumes import write_stack


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    return write_stack(tmp_path / "stack.tif", 3)


def opened(window) -> VolumeDialog:
    window.act.volume.trigger()
    return window.findChild(VolumeDialog)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may be busy: one thread does not wait for another."""
    monkeypatch.setattr(
        "padis_gui.viewmodels.state.process.command_line",
        lambda *words: command_line(*words, "--threads", "1"),
    )


async def ready(window, stack: Path, prior_path: Path, steps: int = 2) -> VolumeDialog:
    session = window.session
    await open_both(session, stack, prior_path)
    for name, value in (("views", 12), ("bins", 48)):
        session.method.set_problem(name, value)
    session.method.set_solver("dds")
    session.method.set_solver_setting("steps", steps)
    session.method.set_solver_setting("cg_steps", 2)
    return opened(window)


def test_it_says_what_is_missing(window, drive, stack, prior_path):
    dialog = opened(window)
    assert dialog.isVisible()
    assert not dialog.isModal()
    assert "Open a file" in dialog.about.text()
    assert not dialog.start.isEnabled()
    assert "Open a file" in dialog.start.toolTip()

    async def go():
        await ready(window, stack, prior_path)
        assert dialog.start.isEnabled()
        assert "3 pages" in dialog.about.text()
        assert dialog.plan.text().startswith("3 slices")
        assert opened(window) is dialog  # one of them

    drive(go())
    assert nameless(window) == []
    assert unexplained(window) == []


def test_a_volume_by_hand(window, drive, stack, prior_path, tmp_path):
    """Pages typed, a result named, Start; then its slices, their curve, a picture, and the result in the panes."""

    async def go():
        dialog = await ready(window, stack, prior_path)
        pages = dialog.form.editors["pages"]
        assert dialog.focusWidget() is pages
        QTest.keyClicks(pages, "1-2")
        QTest.keyClick(pages, Qt.Key.Key_Return)
        assert dialog.plan.text().startswith("2 slices")
        dialog.out.line.setText(str(tmp_path / "v.tif"))
        dialog.out.line.editingFinished.emit()
        QTest.mouseClick(dialog.start, Qt.MouseButton.LeftButton)
        volumes = window.run_tools.volumes
        assert volumes.active
        assert not dialog.start.isEnabled()
        assert not dialog.form.isEnabled()
        await until(lambda: volumes.state is ProcessState.DONE)
        await until(lambda: dialog.bar.value() == 2 and dialog.wall.isVisible())
        assert dialog.curve.names == ["slices"]
        assert "mean PSNR" in dialog.state.text()
        assert dialog.bar.text() == "2 of 2"
        assert dialog.open_result.isEnabled()
        QTest.mouseClick(dialog.open_result, Qt.MouseButton.LeftButton)
        await until(lambda: window.session.data.image.name == "v.tif")
        assert window.session.data.image.pages == 2

    drive(go())


def test_pause_stop_and_closing_the_dialog(window, drive, stack, prior_path, tmp_path):
    async def go():
        dialog = await ready(window, stack, prior_path, steps=LONG)
        volumes = window.run_tools.volumes
        volumes.set_out(tmp_path / "v.tif")
        dialog.start.click()
        await until(lambda: volumes.state is ProcessState.RUNNING)
        dialog.pause.click()
        await until(lambda: volumes.state is ProcessState.PAUSED)
        assert dialog.pause.text() == "&Resume"
        assert "Paused" in dialog.state.text()
        dialog.close()  # what is under way is left alone
        assert volumes.active
        assert opened(window).isVisible()
        dialog.pause.click()
        await until(lambda: volumes.state is ProcessState.RUNNING)
        dialog.stop.click()
        await until(lambda: not volumes.active)
        assert "Start goes on" in dialog.state.text()
        assert dialog.start.isEnabled()

    drive(go())
    assert (tmp_path / "v.tif.parts").is_dir()


def test_closing_the_window_ends_the_process(window, drive, stack, prior_path, tmp_path):
    async def go():
        dialog = await ready(window, stack, prior_path, steps=LONG)
        window.run_tools.volumes.set_out(tmp_path / "v.tif")
        dialog.start.click()
        await until(lambda: window.run_tools.volumes.state is ProcessState.RUNNING)

    drive(go())
    # the fixture closes the window, and fails where a process or a thread is left


def test_start_asks_where_to(window, drive, stack, prior_path, tmp_path, monkeypatch):
    from padis_gui.gui.dialogs import volume as module

    asked = []

    def choose(parent, title, kinds, proposal, chosen, start=""):
        asked.append(proposal)
        chosen(tmp_path / "there.tif")

    monkeypatch.setattr(module, "choose_to_write", choose)

    async def go():
        dialog = await ready(window, stack, prior_path)
        monkeypatch.setattr(window.run_tools.volumes, "start", lambda: asked.append("started"))
        dialog.start.click()
        assert dialog.out.line.text() == str(tmp_path / "there.tif")
        dialog.out.button.click()

    drive(go())
    assert asked == ["stack-volume.tif", "started", "stack-volume.tif"]


def test_failed_slices_are_named(window, drive, stack, prior_path, tmp_path):
    import numpy as np
    import tifffile

    pages = tifffile.imread(stack).astype(np.float32)
    pages[1, 0, 0] = np.nan
    tifffile.imwrite(stack, pages, photometric="minisblack")

    async def go():
        dialog = await ready(window, stack, prior_path)
        window.run_tools.volumes.set_out(tmp_path / "v.tif")
        dialog.start.click()
        await until(lambda: window.run_tools.volumes.state is ProcessState.FAILED)
        await until(lambda: dialog.failures.isVisible())
        assert "page 2" in dialog.failures.text()

    drive(go())
