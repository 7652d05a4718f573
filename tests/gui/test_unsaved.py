"""What the disk refuses is said, kept, and offered to another place; the window does not go with it unasked."""

import numpy as np
import pytest
from PySide6.QtWidgets import QFileDialog

from padis_gui.core.exports.about import read_export, read_pages
from padis_gui.gui.dialogs.export import ExportDialog
from padis_gui.gui.frame.main_window import MainWindow
from padis_gui.gui.frame.messages import UnsavedNote
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.session.store import Store
from padis_gui.viewmodels.state.preferences import Preferences
from tests.gui.user import click, dialog
from tests.qt import open_both, ran, until
from tests.viewmodels.test_store import fake_record


def full(*_):
    raise OSError(28, "No space left on device")


@pytest.fixture
def keeping(drive, tmp_path):
    """A window whose session is saved."""

    async def make():
        made = MainWindow(Session("cpu", Store(tmp_path / "sessions")), Preferences(None))
        made.appear()
        return made

    made = drive(make())
    yield made

    async def leave():
        if not made.closed.is_set():
            made.leaving._may_lose = True
            made.close()
        await made.closed.wait()

    drive(leave())
    made.deleteLater()


async def refused(window, disk, name="Run 1"):
    """A run that the disk refuses."""
    disk.setattr("padis_gui.viewmodels.session.store.write_atomically", full)
    record = fake_record("a" * 12)
    record.name = name
    window.session.runs.add(record)
    await window.session.saver.flush()
    return record


def test_the_window_says_which_runs_are_not_saved_until_they_are(keeping, drive, monkeypatch):
    (note,) = keeping.findChildren(UnsavedNote)

    async def go():
        assert note.isHidden()
        with monkeypatch.context() as disk:
            await refused(keeping, disk)
            assert note.isVisible()
            assert note.text() == "1 run not saved"
            assert "Run 1" in note.toolTip()
            assert keeping.messages.level == "warning"
            assert "No space left on device" in keeping.messages.text.text()
            click(note)
            await until(lambda: dialog(keeping, ExportDialog))
            dialog(keeping, ExportDialog).reject()
        await keeping.session.saver.flush()
        assert note.isHidden()
        assert "is saved again" in keeping.messages.text.text()

    drive(go())


def answer(window, text):
    (button,) = [one for one in window.question.answers if one.text().startswith(text)]
    return button


def test_a_window_with_runs_that_are_not_saved_asks_before_it_goes(keeping, drive, monkeypatch):
    async def go():
        with monkeypatch.context() as disk:
            await refused(keeping, disk)
            keeping.close()
            await until(lambda: keeping.question.isVisible())
            assert "Run 1 is not saved" in keeping.question.text.text()
            click(answer(keeping, "Stay"))
            assert keeping.isVisible()
            keeping.close()
            await until(lambda: keeping.question.isVisible())
            click(answer(keeping, "Try again"))
            await until(lambda: keeping.question.isVisible())
            click(answer(keeping, "Save elsewhere"))
            await until(lambda: dialog(keeping, ExportDialog))
            dialog(keeping, ExportDialog).reject()
            assert not keeping.closed.is_set()
        keeping.close()  # there is room again
        await until(keeping.closed.is_set)

    drive(go())


def test_a_window_goes_without_what_the_user_gives_up(keeping, drive, monkeypatch):
    async def go():
        with monkeypatch.context() as disk:
            await refused(keeping, disk)
            keeping.close()
            await until(lambda: keeping.question.isVisible())
            click(answer(keeping, "Lose and close"))
            await until(keeping.closed.is_set)

    drive(go())


def test_an_export_that_cannot_be_written_is_offered_another_place(
    window, drive, phantom_path, prior_path, tmp_path
):
    """The same, with the settings that were chosen; a place inside the run's own data is none."""

    async def go():
        await open_both(window.session, phantom_path, prior_path)
        await ran(window)
        before = phantom_path.read_bytes()
        for bad, why in ((tmp_path / "no" / "a.tif", "does not exist"), (phantom_path, "is the input")):
            assert not await window.session.export(bad)
            assert why in window.messages.text.text()
            (offer,) = window.messages.offers
            assert offer.text() == "Save elsewhere…"
            await until(offer.isVisible)
            click(offer)
            await until(lambda: dialog(window, QFileDialog))
            chosen = dialog(window, QFileDialog)
            good = tmp_path / f"{bad.parent.name}.tif"
            chosen.fileSelected.emit(str(good))
            chosen.close()
            await until(lambda: "Exported" in window.messages.text.text())
            pixels = read_pages(read_export(good))[0][0]
            np.testing.assert_array_equal(pixels, window.session.shown.result.pixels)
        assert phantom_path.read_bytes() == before

    drive(go(), 60)


def test_several_exports_go_to_another_folder(window, drive, tmp_path):
    async def go():
        records = [fake_record("a" * 12), fake_record("b" * 12)]
        for record in records:
            window.session.runs.add(record)
        named = [(record, tmp_path / "no" / f"{record.id[0]}.tif") for record in records]
        assert not await window.session.export_runs(named)
        assert [offer.text() for offer in window.messages.offers] == ["Save elsewhere…"]
        offered = []
        window.session.elsewhere_wanted.connect(lambda path, write: offered.append((path, write)))
        assert not await window.session.export_runs(named)
        ((path, write),) = offered
        assert path == tmp_path / "no"
        write(tmp_path)
        await until(lambda: "Exported 2 files" in window.messages.text.text())
        assert {one.name for one in tmp_path.glob("*.tif")} == {"a.tif", "b.tif"}

    drive(go())


def test_views_and_queues_are_not_written_over_what_is_open(window, drive, phantom_path, prior_path):
    async def go():
        session = window.session
        await open_both(session, phantom_path, prior_path)
        for path in (phantom_path, prior_path):
            before = path.read_bytes()
            assert not await session.write_file(path, lambda: b"a view", "The view")
            assert "is the input" in window.messages.text.text()
            assert path.read_bytes() == before
        session.queue.hold(True)
        session.runner.add_to_queue()
        assert not await session.runner.save_queue(prior_path)
        assert path.read_bytes() == before

    drive(go())
