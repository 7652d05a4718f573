"""The frame around the viewers: what it remembers, how it is arranged, what it says when something goes wrong."""

import asyncio
import gc
import logging
import os
import shutil
import subprocess
import sys
import threading
from base64 import b64encode

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QPalette
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog, QDockWidget, QInputDialog, QLabel, QWidget

from padis_gui.core.settings.machine import DeviceChoice
from padis_gui.gui.dialogs.help import ReportDialog
from padis_gui.gui.frame.app import CrashReporter, tell_of_crash
from padis_gui.gui.frame.main_window import MainWindow
from padis_gui.gui.kit import theme
from padis_gui.gui.kit.focus import takes_tab
from padis_gui.gui.runs import transport as plan
from padis_gui.gui.runs.transport import PlanLine
from padis_gui.viewmodels.session.report import Logbook
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.session.store import Store
from padis_gui.viewmodels.state.preferences import Preferences
from tests.qt import open_both, settled, until
from tests.viewmodels.test_store import killed_in_a_run


@pytest.fixture
def opened(drive):
    """Opens windows that share one set of preferences; `leave` closes one as the user does."""
    made = []

    def make(preferences, store=None):
        async def go():
            window = MainWindow(Session("cpu", store=store), preferences)
            window.show()
            return window

        made.append(drive(go()))
        return made[-1]

    def leave(window):
        async def go():
            window.close()
            await window.closed.wait()

        drive(go())
        window.deleteLater()
        made.remove(window)

    make.leave = leave
    yield make
    for window in list(made):
        leave(window)
    QApplication.processEvents()
    gc.collect()


def dock(window, name):
    return window.findChild(QDockWidget, name)


def area(window, name):
    return window.reconstruct.dockWidgetArea(dock(window, name))


# -- arrangement --------------------------------------------------------------------------------------------


def test_the_window_comes_back_as_it_was_left(opened, tmp_path):
    first = opened(Preferences(tmp_path))
    first.resize(1000, 640)  # the platform's screen is 800 px wide and high, so only the height can come back
    first.reconstruct.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, dock(first, "curves"))
    dock(first, "setup").hide()
    first.solver.fold(True)
    first.preferences.set_option("scheme", "Dark")
    opened.leave(first)
    second = opened(Preferences(tmp_path))
    assert second.height() == 640
    assert area(second, "curves") is Qt.DockWidgetArea.LeftDockWidgetArea
    assert not dock(second, "setup").isVisible()
    assert second.solver.is_folded
    assert not second.prior.is_folded
    assert second.palette().color(QPalette.ColorRole.Window).lightness() < 80
    second.preferences.set_option("scheme", "System")


def test_reset_puts_every_panel_back(opened):
    window = opened(Preferences())
    docks = window.findChildren(QDockWidget)
    before = {d.objectName(): (area(window, d.objectName()), d.isVisible()) for d in docks}
    for moved in docks:
        moved.setFloating(True)
    dock(window, "setup").hide()
    window.act.reset_layout.trigger()
    assert {d.objectName(): (area(window, d.objectName()), d.isVisible()) for d in docks} == before
    assert not any(d.isFloating() for d in docks)


def test_reset_leaves_the_window_as_large_as_it_is(opened):
    window = opened(Preferences())
    window.resize(1280, 720)
    QApplication.processEvents()
    window.act.reset_layout.trigger()
    QApplication.processEvents()
    assert (window.width(), window.height()) == (1280, 720)


@pytest.mark.parametrize("state", ["%%%", b64encode(b"nonsense" * 9).decode(), b64encode(b"").decode()])
def test_a_broken_arrangement_is_the_default_one(opened, state):
    preferences = Preferences()
    preferences.keep_window(geometry=state, layout=state, folded="None such")
    window = opened(preferences)
    assert area(window, "setup") is Qt.DockWidgetArea.LeftDockWidgetArea
    assert area(window, "curves") is Qt.DockWidgetArea.RightDockWidgetArea
    assert dock(window, "setup").isVisible()
    assert not window.messages.isVisible()


def test_docks_can_be_moved_floated_hidden_and_tabbed(opened):
    window = opened(Preferences())
    features = QDockWidget.DockWidgetFeature
    wanted = features.DockWidgetMovable | features.DockWidgetFloatable | features.DockWidgetClosable
    for each in window.findChildren(QDockWidget):
        assert each.features() & wanted == wanted
        assert each.allowedAreas() == Qt.DockWidgetArea.AllDockWidgetAreas
    toggle = next(a for a in window.docks.toggles if a.text() == "&Curves")
    toggle.trigger()
    assert not dock(window, "curves").isVisible()
    toggle.trigger()
    assert dock(window, "curves").isVisible()


def test_the_menu_brings_a_panel_to_the_front_with_the_keyboard_in_it_or_hides_it(opened, drive):
    """Also one that lies behind another tab, or was hidden: it is not seen, whatever Qt calls it."""
    window = opened(Preferences())
    window.activateWindow()
    for toggle in window.docks.toggles:
        each = dock(window, toggle.text().replace("&", "").lower())
        for _ in range(2):
            assert toggle.isChecked() is (each.isVisible() and each.widget().isVisible()), toggle.text()
            if not toggle.isChecked():
                toggle.trigger()
            drive(until(lambda each=each: each.widget().isVisible()))
            assert toggle.isChecked()
        toggle.trigger()
        assert not toggle.isChecked()
        assert not each.isVisible()
        toggle.trigger()
        drive(settled(window.docks))
        assert each.widget().isVisible(), toggle.text()
        takes = [
            w for w in each.widget().findChildren(QWidget) if takes_tab(w) and w.isVisible() and w.isEnabled()
        ]
        assert not takes or each.widget().isAncestorOf(window.focusWidget()), toggle.text()


def test_everything_fits_into_1280_by_720(opened, drive, phantom_path, prior_path):
    window = opened(Preferences())
    drive(open_both(window.session, phantom_path, prior_path))
    window.resize(1280, 720)
    drive(settled())
    assert (window.width(), window.height()) == (1280, 720)  # no panel asks for more
    for each in window.docks.all:
        window.docks.bring(each)
        drive(settled())
        assert (window.width(), window.height()) == (1280, 720), each.windowTitle()
    window.act.reset_layout.trigger()
    drive(settled())
    for label in window.reconstruct.left.findChildren(QLabel):
        assert not label.isVisible() or label.height() >= label.heightForWidth(label.width()), label.text()
    for button in (
        window.findChild(object, f"{n}_button") for n in ("run", "pause", "step", "finish", "cancel")
    ):
        assert button.isVisible()
        assert window.rect().contains(button.mapTo(window, button.rect().bottomRight()))
    assert window.panes.width() > 500


def test_the_colours_follow_the_system_while_the_window_is_open(opened, styled, monkeypatch):
    window = opened(Preferences())
    hints = styled.styleHints()

    def lightness():
        """Of the window, and of the text of a label that the style sheet names."""
        QApplication.processEvents()
        label = window.data.details
        return (
            window.palette().color(QPalette.ColorRole.Window).lightness(),
            label.palette().color(label.foregroundRole()).lightness(),
        )

    light = lightness()
    try:
        monkeypatch.setattr(theme, "_system_is_dark", lambda: True)
        hints.colorSchemeChanged.emit(Qt.ColorScheme.Dark)
        dark = lightness()
        assert dark[0] < 80 < light[0]
        assert dark[1] > 120 > light[1]
        window.preferences.set_option("scheme", "Light")
        hints.colorSchemeChanged.emit(Qt.ColorScheme.Dark)  # a choice stays, whatever the system does
        assert lightness() == light
    finally:
        monkeypatch.undo()
        window.preferences.set_option("scheme", "System")
        hints.colorSchemeChanged.emit(Qt.ColorScheme.Light)


# -- recent files -------------------------------------------------------------------------------------------


def test_opened_files_are_offered_again(opened, drive, tmp_path, phantom_path, prior_path):
    first = opened(Preferences(tmp_path))
    drive(open_both(first.session, phantom_path, prior_path))
    opened.leave(first)
    second = opened(Preferences(tmp_path))
    offered = second.menus.recent["image"].actions()[0]
    assert offered.toolTip() == str(phantom_path)

    async def go():
        offered.trigger()
        second.menus.recent["prior"].actions()[0].trigger()
        await until(lambda: second.session.data.image is not None and second.session.prior.loaded is not None)

    drive(go())
    assert second.session.data.path == phantom_path
    assert second.session.prior.path == prior_path


def test_a_recent_file_that_is_gone_is_one_sentence(opened, drive, tmp_path):
    preferences = Preferences()
    preferences.opened("image", tmp_path / "gone.tif")
    window = opened(preferences)

    async def go():
        window.menus.recent["image"].actions()[0].trigger()
        await until(window.messages.isVisible)

    drive(go())
    assert "gone.tif" in window.messages.text.text()


def test_the_bundled_demo_is_not_a_recent_file(opened, drive):
    window = opened(Preferences())
    drive(window.session.open_demo())
    assert window.preferences.recent("image") == ()
    assert window.preferences.recent("prior") == ()


def test_settings_are_kept_as_a_preset_and_chosen_again(opened, drive, tmp_path, monkeypatch):
    monkeypatch.setattr("padis_gui.core.runs.presets.user_files", lambda: tmp_path)
    window = opened(Preferences())
    session, box = window.session, window.problem.preset

    async def saved(name):
        window.act.save_preset.trigger()
        asked = shown_dialog(window, QInputDialog)
        asked.setTextValue(name)
        asked.accept()
        await until(lambda: any(name in text for _, text in said))

    said = []
    session.message.connect(lambda level, text, _details: said.append((level, text)))

    async def go():
        session.method.set_solver("dds")
        session.method.set_solver_setting("cg_steps", 7)
        session.method.set_problem("views", 11)
        assert session.method.preset is None
        wanted = session.method.now
        await saved("No Name")
        assert said[-1][0] == "error"
        await saved("eleven")
        assert said[-1][0] == "info"
        assert box.currentText() == "eleven"
        session.method.apply_preset("ct-8")
        assert session.method.now.solver == "fast"
        box.unfolding.emit()
        at = box.findData("eleven")
        box.setCurrentIndex(at)
        box.activated.emit(at)
        await until(lambda: session.method.preset == "eleven")
        now = session.method.now
        assert (now.physics, now.problem, now.solver, now.settings) == (
            wanted.physics, wanted.problem, wanted.solver, wanted.settings
        )  # fmt: skip
        session.method.set_problem("views", 12)
        assert session.method.preset is None
        assert (
            session.method.now.settings == wanted.settings
        )  # nothing that was saved is given up for another problem

    drive(go())


def test_bundled_priors_and_recent_ones_are_chosen_from_a_list(opened, drive, prior_path, tmp_path):
    """A prior trained in a folder of its own has the folder's name; a file that is gone leaves what was open."""
    window = opened(Preferences())
    choice = window.prior.choice
    trained = tmp_path / "mine" / "prior.safetensors"
    trained.parent.mkdir()
    shutil.copy(prior_path, trained)
    assert [choice.itemText(i) for i in range(choice.count())] == [
        "ct-small",
        "ct-medium",
        "photos-small",
        "photos-colour",
        "general",
    ]
    assert choice.currentIndex() == -1

    def choose(name):
        choice.setCurrentIndex(choice.findText(name))
        choice.activated.emit(choice.currentIndex())

    async def go():
        await window.session.prior.open(trained)
        assert choice.currentText() == "mine"
        choose("ct-medium")
        await until(lambda: window.session.prior.path.stem == "ct-medium")
        await window.session.choose_preset("ct-8")  # of the same kind: it stays
        assert choice.currentText() == "ct-medium"
        await window.session.choose_preset("deblur")
        assert choice.currentText() == "photos-small"
        assert [choice.itemText(i) for i in range(choice.count())][5:] == ["mine"]
        trained.unlink()
        choose("mine")
        await until(lambda: "does not exist" in window.messages.text.text())
        assert choice.currentText() == "photos-small"

    drive(go())


# -- dialogs ------------------------------------------------------------------------------------------------


def shown_dialog(window, kind=QDialog):
    return next((d for d in window.findChildren(kind) if d.isVisible()), None)


@pytest.mark.parametrize("key", [Qt.Key.Key_F1, Qt.Key.Key_Question])
def test_the_sheet_of_keys_opens_by_its_keys_and_closes_by_escape(opened, key):
    window = opened(Preferences())
    window.activateWindow()
    QTest.keyClick(window, key)
    sheet = shown_dialog(window)
    assert sheet.windowTitle() == "Keys and mouse"
    QTest.keyClick(sheet, Qt.Key.Key_Escape)
    assert not sheet.isVisible()


def test_preferences_act_at_once(opened):
    window = opened(Preferences())
    window.act.preferences.trigger()
    form = shown_dialog(window).form
    assert not form.editors["every_steps"].isVisible()
    form.editors["cadence"].setCurrentText("steps")
    form.editors["every_steps"].setValue(9)
    assert window.preferences.options.every_steps == 9
    assert window.session.run.frame_every == 9
    assert form.editors["every_steps"].isVisible()


# -- errors -------------------------------------------------------------------------------------------------


def test_an_error_has_a_report_with_traceback_versions_settings_and_log(opened, drive, tmp_path):
    window = opened(Preferences())
    book = Logbook(tmp_path)
    book.open()
    window.help.logbook = book
    reporter = CrashReporter()
    reporter.crashed.connect(
        lambda sentence, details: window.messages.show_message("error", sentence, details)
    )

    async def go():
        loop = asyncio.get_running_loop()
        tests_own = loop.get_exception_handler()
        reporter.install(loop)
        try:

            async def broken():
                raise LookupError("nobody expected this")

            window.session.spawn(broken())
            await until(window.messages.isVisible)
        finally:
            reporter.uninstall()
            loop.set_exception_handler(tests_own)

    drive(go())
    assert "LookupError: nobody expected this" in window.messages.text.text()
    window.messages.details.click()
    dialog = shown_dialog(window, ReportDialog)
    dialog.copy.click()
    report = QGuiApplication.clipboard().text()
    for part in (
        "Traceback",
        "in broken",
        "torch: ",
        "PySide6-Essentials: ",
        f'"solver": "{window.session.method.solver}"',
        "Unhandled: ",
    ):
        assert part in report
    dialog._save(tmp_path / "report.txt")
    assert (tmp_path / "report.txt").read_text(encoding="utf-8") == report
    dialog._save(tmp_path)  # a folder
    assert "cannot be written" in dialog.outcome.text()
    book.close()


def test_an_exception_in_a_thread_or_a_slot_comes_to_the_window(opened, drive):
    reporter, seen = CrashReporter(), []
    reporter.crashed.connect(lambda sentence, _details: seen.append((sentence, threading.current_thread())))

    def fail():
        raise ZeroDivisionError("in a thread")

    async def go():
        loop = asyncio.get_running_loop()
        tests_own = loop.get_exception_handler()
        reporter.install(loop)
        try:
            thread = threading.Thread(target=fail)
            thread.start()
            thread.join()
            await until(lambda: seen)
        finally:
            reporter.uninstall()
            loop.set_exception_handler(tests_own)

    logging.disable(logging.CRITICAL)
    try:
        drive(go())
    finally:
        logging.disable(logging.NOTSET)
    sentence, thread = seen[0]
    assert "ZeroDivisionError: in a thread" in sentence
    assert thread is threading.main_thread()


KILLED = """
import os, sys
from pathlib import Path
from padis_gui.viewmodels.session.report import Logbook
book = Logbook(Path(sys.argv[1])); book.open()
assert not book.crashed
import logging; logging.getLogger("x").warning("the last words")
os._exit(9)
"""


def test_the_log_knows_of_an_unclean_end_and_of_a_second_window(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, env=os.environ)
    book = Logbook(tmp_path)
    assert book.crashed
    assert "the last words" in book.tail()
    second = Logbook(tmp_path)
    assert not second.first
    assert not second.crashed
    second.close()
    book.close()
    after = Logbook(tmp_path)
    assert not after.crashed
    after.close()


def test_the_log_turns_over(tmp_path):
    book = Logbook(tmp_path)
    book.open()
    logger = logging.getLogger("padis_gui.turning")
    for _ in range(45):
        logger.warning("x" * 100_000)
    book.close()
    files = list(tmp_path.glob("padis_gui.log*"))
    assert len(files) == 4
    assert all(f.stat().st_size <= 2**20 + 200_000 for f in files)


# -- before Run ---------------------------------------------------------------------------------------------


def test_what_run_will_take_stands_above_it(opened, drive, phantom_path, prior_path):
    window = opened(Preferences())
    line = window.findChild(PlanLine)

    async def go():
        await open_both(window.session, phantom_path, prior_path)
        await until(lambda: line.text().startswith(("about", "less")))
        window.session.method.set_solver_setting("steps", 33)
        await until(lambda: "33 denoiser calls" in line.text())

    drive(go())
    assert "memory" in line.text()
    assert "tiles through the network" in line.toolTip()
    window.planner.free_mb = 1.0
    line.refresh()
    assert "only 1 MB free" in line.text()


def test_the_device_is_shown_and_what_cannot_be_used_says_why(
    opened, drive, phantom_path, prior_path, monkeypatch
):
    monkeypatch.setattr(plan, "device_choices", lambda: (
        DeviceChoice("cpu", "CPU, 2 threads"), DeviceChoice("cuda", "GPU (CUDA)", "torch sees none"),
    ))  # fmt: skip
    window = opened(Preferences())
    drive(open_both(window.session, phantom_path, prior_path))
    assert "CPU" in window.device.text()
    assert "in use" in window.device.text()
    choices = window.device.choices
    assert choices["cpu"].isChecked()
    assert choices["cpu"].isEnabled()
    assert not choices["cuda"].isEnabled()
    assert "torch sees none" in choices["cuda"].text()
    assert drive(window.session.prior.use_device("cuda:7")) is False
    assert "torch sees" in window.messages.text.text()
    assert window.session.prior.device.type == "cpu"


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_after_a_crash_the_next_start_says_where_the_log_is_and_offers_the_session(
    opened, drive, phantom_path, prior_path, tmp_path
):
    killed_in_a_run(phantom_path, prior_path, tmp_path / "sessions")
    window = opened(Preferences(), Store(tmp_path / "sessions"))
    book = Logbook(tmp_path)
    tell_of_crash(window, book)
    said = window.messages
    assert said.isVisible()
    assert str(book.path) in said.text.text()
    assert [offer.text() for offer in said.offers] == ["Restore"]

    async def go():
        act.trigger()
        await until(lambda: len(window.session.runs.records) == 2)
        await until(lambda: window.session.method.problem.views == 17)
        await until(lambda: dock(window, "runs").isVisible())

    window.messages.show_message("info", "The next message takes the place of the first")
    act = window.act.restore_session
    assert act.isEnabled(), "it is offered in the menu as well"
    drive(go())
    assert not act.isEnabled()
    book.close()
    opened.leave(window)
