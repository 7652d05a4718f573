"""Send to napari, Send to ImageJ: another program is found, or said and chosen once, and is started on files that stay."""

import os
import sys
import time

import pytest
from PySide6.QtWidgets import QFileDialog

from padis_gui import GIVEN_ENVIRONMENT
from padis_gui.core.exports.about import read_export
from padis_gui.core.settings.errors import InputError
from padis_gui.viewmodels.session import sending
from padis_gui.viewmodels.session.sending import IMAGEJ, NAPARI, found, outbox, start
from tests.gui.test_exporting import ready  # noqa: F401
from tests.gui.user import dialog
from tests.qt import until
from tests.waiting import wait_for


def program(folder, name):
    """A program that writes down what it was given."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(
        f"#!{sys.executable}\nimport os, sys, pathlib\n"
        f"target = pathlib.Path({str(folder / 'told')!r})\n"
        "target.with_suffix('.environment').write_text('\\n'.join(os.environ))\n"
        "target.with_suffix('.new').write_text('\\n'.join(sys.argv[1:]))\ntarget.with_suffix('.new').rename(target)\n"
    )
    path.chmod(0o755)
    return path


@pytest.fixture
def nothing_on_path(monkeypatch, tmp_path):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    return tmp_path


posix = pytest.mark.skipif(os.name != "posix", reason="programs there have other names")


@posix
def test_it_is_found_on_path_or_where_it_was_chosen(nothing_on_path, monkeypatch):
    tmp_path = nothing_on_path
    assert (found(NAPARI), found(IMAGEJ)) == ("", "")
    chosen = program(tmp_path / "own", "any-name")
    assert found(IMAGEJ, str(chosen)) == str(chosen)
    chosen.chmod(0o644)
    assert found(IMAGEJ, str(chosen)) == ""
    there = program(tmp_path / "bin", "fiji")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert found(IMAGEJ, str(chosen)) == str(there)


@posix
def test_the_result_and_its_iterates_are_sent(ready, drive, monkeypatch, tmp_path):  # noqa: F811
    program(tmp_path / "bin", "napari")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    async def go():
        await until(ready.act.send_napari.isEnabled)
        ready.act.send_napari.trigger()
        await until(lambda: ready.messages.text.text())
        assert "to napari" in ready.messages.text.text()

    drive(go())
    told = tmp_path / "bin" / "told"
    wait_for(told.exists)
    files = told.read_text().splitlines()
    assert [read_export(file).about.kind for file in map(type(tmp_path), files)] == ["result", "iterates"]
    assert all(type(tmp_path)(file).is_relative_to(outbox()) for file in files)
    assert len(read_export(type(tmp_path)(files[1])).about.tilings) == 4


@posix
def test_one_that_is_not_found_is_said_and_chosen_once(ready, drive, nothing_on_path):  # noqa: F811
    tmp_path = nothing_on_path
    chosen = program(tmp_path / "own", "my-viewer")
    plain = tmp_path / "no-program.txt"
    plain.write_text("x")

    async def go():
        await until(ready.act.send_imagej.isEnabled)
        for path in (plain, chosen):
            ready.act.send_imagej.trigger()
            assert "ImageJ was wanted" in ready.messages.text.text()
            await until(lambda: dialog(ready, QFileDialog))
            where = dialog(ready, QFileDialog)
            where.fileSelected.emit(str(path))
            where.close()
            wanted = "none that can be run" if path is plain else "to ImageJ"
            await until(lambda wanted=wanted: wanted in ready.messages.text.text())
        ready.act.send_imagej.trigger()  # no question any more
        await until(lambda: "-2.tif to ImageJ" in ready.messages.text.text())

    drive(go())


@posix
def test_a_program_gets_the_environment_that_this_one_was_given(monkeypatch, tmp_path):
    """What this program sets for its own Qt and threads would be wrong for another's: napari refuses to start so."""
    for name in ("QT_API", "PADIS_GUI_OWN"):
        monkeypatch.setenv(name, "pyside6")
        assert name not in GIVEN_ENVIRONMENT
    start(NAPARI, str(program(tmp_path / "bin", "napari")), [tmp_path / "a.tif"])
    told = tmp_path / "bin" / "told"
    wait_for(told.exists)
    names = set(told.with_suffix(".environment").read_text().splitlines())
    assert "PATH" in names
    assert not names & {"QT_API", "PADIS_GUI_OWN"}


def test_a_system_that_refuses_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match="does not run"):
        start(NAPARI, str(tmp_path / "none"), [tmp_path / "a.tif"])


def test_what_was_sent_long_ago_is_removed(tmp_path):
    for number in range(sending._KEPT + 5):
        path = tmp_path / f"{number:02}.tif"
        path.touch()
        os.utime(path, (time.time() + number, time.time() + number))
    sending._tidy(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir())[0] == "05.tif"
    assert len(list(tmp_path.iterdir())) == sending._KEPT
