"""Exporting from the window: every kind of file, asked for in one dialog, written beside the UI thread."""

import csv
import shutil
import threading

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog

from padis_gui.core.exports import tiff
from padis_gui.core.exports.about import read_export, read_pages
from padis_gui.core.exports.registry import ExportSettings
from padis_gui.gui.dialogs.export import ExportDialog
from padis_gui.gui.frame import main_window
from padis_gui.gui.kit import files
from padis_gui.gui.kit.forms import show_value
from tests.gui.controls import nameless, unexplained
from tests.gui.test_run_list import runs
from tests.gui.user import click, dialog, drop
from tests.qt import delivered, open_both, settled, until


@pytest.fixture
def ready(window, drive, phantom_path, prior_path):
    """The window after a run of four steps."""

    async def go():
        await open_both(window.session, phantom_path, prior_path)
        window.session.method.set_solver("diffpir")
        window.session.method.set_solver_setting("steps", 4)
        await runs(window, 7)

    drive(go())
    return window


async def exported(window, path, **settings):
    """Ctrl+S, choose, and name the file; waits until the window says that it is there."""
    window.messages.hide()
    window.activateWindow()
    await until(window.isActiveWindow)
    QTest.keyClick(window, Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier)
    await until(lambda: dialog(window, ExportDialog))
    asked = dialog(window, ExportDialog)
    assert asked.windowTitle().startswith("Export Run ")
    for name, value in settings.items():
        editor = asked.form.editors[name]
        show_value(editor, value)
        asked.form.edited.emit(name, value)
    asked.export.click()
    await until(lambda: dialog(window, QFileDialog))
    where = dialog(window, QFileDialog)
    proposed = where.selectedFiles()[0]
    where.fileSelected.emit(str(path))
    where.close()
    await until(lambda: window.messages.isVisible())
    await settled()
    return proposed


@pytest.mark.parametrize("tiff", ["ImageJ", "OME"])
def test_the_result_and_its_sidecar(ready, drive, tmp_path, tiff):
    path = tmp_path / "a.tif"
    proposed = drive(exported(ready, path, tiff=tiff, sidecar=True))
    assert proposed.endswith("phantom_p1_ct-parallel_20views_diffpir.tif")
    assert "float32, with the recipe" in ready.messages.text.text()
    export = read_export(path)
    assert np.array_equal(read_pages(export)[0][0], ready.session.shown.result.pixels)
    assert read_export(tmp_path / "a.json").recipe == ready.session.shown.result.recipe == export.recipe
    assert (export.about.unit, export.about.window) == ("HU", (-1000, 1000))


def test_iterates_are_pages_with_step_noise_level_and_psnr(ready, drive, tmp_path):
    path = tmp_path / "a.tif"
    proposed = drive(exported(ready, path, what="iterates", picture="state"))
    assert proposed.endswith("_iterates.tif")
    assert "4 iterates" in ready.messages.text.text()
    export = read_export(path)
    history = ready.session.shown.history
    assert export.about.steps == history.steps == (1, 2, 3, 4)
    pages = read_pages(export)[0]
    for page, step in zip(pages, history.steps, strict=True):
        assert np.array_equal(page[0], history.frame_at(step).state)
    with tifffile.TiffFile(path) as file:
        labels = file.imagej_metadata["Labels"]
    last = history.points[-1]
    assert labels[-1] == f"step 4 of 4, σ {last.sigma:.4g}, {last.psnr:.2f} dB"


def test_the_last_iterate_is_the_result(ready, drive, tmp_path):
    drive(exported(ready, tmp_path / "a.tif", what="iterates"))
    assert np.array_equal(
        read_pages(read_export(tmp_path / "a.tif"))[0][-1], ready.session.shown.result.pixels
    )


def test_animation_curves_and_report(ready, drive, tmp_path):
    drive(exported(ready, tmp_path / "a.gif", what="animation", frame_ms=50))
    with Pillow.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 4
    drive(exported(ready, tmp_path / "a.csv", what="curves", sidecar=True))
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()))
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4]
    assert read_export(tmp_path / "a.json").about.sha256
    drive(exported(ready, tmp_path / "a.html", what="report"))
    html = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert html.count("<img") == 4  # estimate, truth, baseline, difference
    assert html.count("<svg") >= 4


def test_what_was_chosen_is_remembered_and_used_for_the_list(ready, drive, tmp_path):
    async def go():
        await exported(ready, tmp_path / "a.tif", values="int16")
        await runs(ready, 8)
        panel = ready.run_tools.list
        panel.select(*ready.session.runs.records)
        panel.export.trigger()
        await until(lambda: dialog(ready, ExportDialog))
        asked = dialog(ready, ExportDialog)
        assert asked.settings.values == "int16"
        asked.names.go_to(tmp_path)
        asked.export.click()
        await until((tmp_path / "Run 2.tif").exists)
        await delivered(ready)

    drive(go())
    assert ready.preferences.export == ExportSettings(values="int16")
    for name in ("Run 1.tif", "Run 2.tif"):
        assert tifffile.imread(tmp_path / name).dtype == np.int16
    whole = tifffile.imread(tmp_path / "a.tif")
    assert np.abs(whole - ready.session.runs.records[0].result.pixels[0]).max() <= 0.5


def test_the_folder_is_offered_and_the_next_dialog_begins_there(ready, drive, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(main_window, "show_in_folder", lambda path: bool(shown.append(path)))
    drive(exported(ready, tmp_path / "a.tif"))
    (offer,) = ready.messages.offers
    assert offer.text() == "Show in folder"
    click(offer)
    assert shown == [tmp_path / "a.tif"]
    assert f"the file is {tmp_path / 'a.tif'}" in ready.messages.text.text()  # where no file manager is
    assert ready.messages.offers == []
    assert ready.preferences.folder_of("export") == str(tmp_path)

    async def again():
        ready.act.export.trigger()
        await until(lambda: dialog(ready, ExportDialog))
        dialog(ready, ExportDialog).export.click()
        await until(lambda: dialog(ready, QFileDialog))
        where = dialog(ready, QFileDialog)
        assert where.directory().path() == str(tmp_path)
        where.close()

    drive(again())


def test_every_dialog_begins_where_the_last_one_of_its_kind_ended(ready, drive, tmp_path):
    """Whoever opens it: one that asks for a file to read, one for a file to write, one for several, one for a folder."""
    ways = {
        "Read": lambda title: files.choose_to_open(ready.curves, title, files.ANY_FILE, print),
        "Write": lambda title: files.choose_to_write(ready.curves, title, files.CSVS, "a.csv", print),
        "Several": lambda title: files.choose_several_to_open(ready.curves, title, files.ANY_FILE, print),
        "Folder": lambda title: files.choose_folder(ready.curves, title, print),
    }
    for title, ask in ways.items():
        folder = tmp_path / title
        folder.mkdir()
        ask(title)
        first = dialog(ready, QFileDialog)
        chosen = folder if title == "Folder" else folder / "a.csv"
        first.filesSelected.emit([str(chosen)])
        first.fileSelected.emit(str(chosen))
        first.close()
        ask(title)
        assert dialog(ready, QFileDialog).directory().path() == str(folder)
        dialog(ready, QFileDialog).close()


def test_clipped_values_are_told(ready, drive, tmp_path):
    drive(exported(ready, tmp_path / "a.tif", values="uint8", map_low=-100.0, map_high=100.0))
    found = read_export(tmp_path / "a.tif").about.integer
    assert found.clipped > 0
    assert f"{found.clipped} values clipped" in ready.messages.text.text()


def test_it_is_written_beside_the_ui_thread(ready, drive, tmp_path, monkeypatch):
    threads = []
    honest = tiff.write_tiff

    def write(*arguments, **options):
        threads.append(threading.current_thread().name)
        return honest(*arguments, **options)

    monkeypatch.setattr(tiff, "write_tiff", write)
    drive(exported(ready, tmp_path / "a.tif", what="iterates"))
    assert threads
    assert all(name.startswith("io") for name in threads)


def test_iterates_that_are_gone_are_a_sentence(ready, drive, tmp_path):
    while ready.session.shown.history.steps:
        ready.session.shown.history.halve()
    drive(exported(ready, tmp_path / "a.tif", what="iterates"))
    assert "none of" in ready.messages.text.text()
    assert not list(tmp_path.glob("a*"))


def test_a_folder_that_is_gone_is_a_sentence(ready, drive, tmp_path):
    for what, name in (
        ("result", "a.tif"),
        ("animation", "a.gif"),
        ("curves", "a.csv"),
        ("report", "a.html"),
    ):
        drive(exported(ready, tmp_path / "no" / name, what=what))
        assert "in a folder that does not exist" in ready.messages.text.text()


def test_the_dialog_explains_itself_and_says_what_is_wrong(ready, drive):
    async def go():
        ready.act.export.trigger()
        await until(lambda: dialog(ready, ExportDialog))
        asked = dialog(ready, ExportDialog)
        assert not nameless(asked)
        assert not unexplained(asked)
        assert asked.form.editors["tiff"].isVisible()
        asked.form.edited.emit("what", "animation")
        assert not asked.form.editors["tiff"].isVisible()
        assert asked.form.editors["frame_ms"].isVisible()
        assert "4 iterates of 4 steps are kept" in asked.note.text()
        asked.form.edited.emit("frame_ms", 1)
        assert "Each iterate" in asked.trouble.text()
        asked.reject()

    drive(go())


# -- the way back ---------------------------------------------------------------------------------------------


def choose(window, path):
    """As the user does in the dialog of Open image."""
    window.act.open_image.trigger()
    dialog = window.findChild(QFileDialog)
    dialog.fileSelected.emit(str(path))
    dialog.close()


@pytest.mark.parametrize(("tiff", "bring"), [("ImageJ", drop), ("OME", drop), ("ImageJ", choose)])
def test_an_export_that_is_dropped_or_opened_is_restored_or_taken_as_an_image(
    ready, drive, tmp_path, tiff, bring
):
    path = tmp_path / "a.tif"

    async def go():
        session = ready.session
        assert await session.export(path, ExportSettings(tiff=tiff))
        result = session.shown.result
        session.method.set_seed(99)
        session.method.set_solver("dds")
        bring(ready, path)
        await until(ready.question.isVisible)
        assert "knows how it was made" in ready.question.text.text()
        assert session.method.solver == "dds"  # nothing happens before the answer
        ready.question.answers[0].click()
        await until(lambda: len(session.runs.records) == 2)
        await until(lambda: "Run repeats it" in ready.messages.text.text())
        assert (session.method.solver, session.method.seed) == ("diffpir", 7)
        assert np.array_equal(ready.panes.pixels("estimate"), result.pixels[0])
        ready.act.run.trigger()
        await until(lambda: len(session.runs.records) == 3)
        await until(lambda: "bit for bit" in ready.messages.text.text())
        bring(ready, path)
        await until(ready.question.isVisible)
        ready.question.answers[1].click()
        await until(lambda: session.data.path == path)
        assert session.data.image.unit == "HU"

    drive(go())


def test_a_restored_run_says_where_it_stood_and_its_seed_leaves_with_its_image(
    ready, drive, tmp_path, phantom_path
):
    other = tmp_path / "other.tif"
    shutil.copy(phantom_path, other)

    async def go():
        session = ready.session
        result = session.shown.result
        assert await session.export(tmp_path / "a.tif")
        session.method.set_seed(None)
        assert await session.restore(tmp_path / "a.tif")
        await settled()
        assert ready.timeline.where.text().startswith(f"step 4 of 4   σ {result.sigma:.3g}")
        assert ready.solver.seed.value() == 7
        assert ready.solver.seed_of.text() == "The seed of a.tif, until another image is opened"
        assert ready.solver.seed_of.isVisibleTo(ready.solver)
        assert await session.data.open(other)
        assert ready.solver.seed.text() == "new"
        assert not ready.solver.seed_of.isVisibleTo(ready.solver)
        assert "7 was that of a.tif" in ready.messages.text.text()

    drive(go())


def test_other_files_are_opened_without_a_question(ready, drive, tmp_path):
    plain = tmp_path / "plain.tif"
    tifffile.imwrite(plain, np.zeros((64, 64), np.int16))

    async def go():
        drop(ready, plain)
        await until(lambda: ready.session.data.path == plain)
        assert not ready.question.isVisible()

    drive(go())


def test_a_dropped_sidecar_and_the_menu_restore(ready, drive, tmp_path):
    async def go():
        session = ready.session
        assert await session.export(tmp_path / "a.tif", ExportSettings(sidecar=True))
        session.method.set_seed(99)
        drop(ready, tmp_path / "a.json")
        await until(lambda: session.method.seed == 7)
        await until(lambda: len(session.runs.records) == 2)
        session.method.set_seed(99)
        ready.act.restore.trigger()
        await until(lambda: dialog(ready, QFileDialog))
        where = dialog(ready, QFileDialog)
        where.fileSelected.emit(str(tmp_path / "a.tif"))
        where.close()
        await until(lambda: len(session.runs.records) == 3)
        assert session.method.seed == 7

    drive(go())


def test_a_broken_file_is_one_sentence(ready, drive, tmp_path):
    async def go():
        assert await ready.session.export(tmp_path / "a.tif")
        whole = (tmp_path / "a.tif").read_bytes()
        (tmp_path / "a.tif").write_bytes(whole[: len(whole) // 3])
        ready.messages.hide()
        ready.opening.restore(tmp_path / "a.tif")
        await until(ready.messages.isVisible)
        assert "a.tif" in ready.messages.text.text()

    drive(go())
