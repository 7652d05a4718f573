"""Preferences survive a restart, and a broken file of them never stops the program."""

import json
from pathlib import Path

import pytest

from padis_gui.core.settings.errors import SettingError
from padis_gui.viewmodels.state.preferences import (
    HOME_VARIABLE,
    RECENT_FILES,
    Options,
    Preferences,
    user_folder,
)


def test_everything_comes_back_after_a_restart(qapp, tmp_path: Path) -> None:
    first = Preferences(tmp_path)
    first.set_option("scheme", "Dark")
    first.set_option("every_steps", 7)
    first.set_device("cpu")
    first.opened("image", tmp_path / "a" / "slice.tif")
    first.keep_window(layout="abc")
    first.save()
    again = Preferences(tmp_path)
    assert again.trouble == ""
    assert again.options == Options(scheme="Dark", every_steps=7)
    assert again.device == "cpu"
    assert again.recent("image") == (tmp_path / "a" / "slice.tif",)
    assert again.folder_of("image") == str(tmp_path / "a")
    assert again.recent("prior") == ()
    assert again.window("layout") == "abc"


def test_recent_files_have_the_latest_first_once_and_an_end(qapp, tmp_path: Path) -> None:
    preferences = Preferences()
    for number in range(RECENT_FILES + 3):
        preferences.opened("image", tmp_path / f"{number}.png")
    preferences.opened("image", tmp_path / "5.png")
    recent = preferences.recent("image")
    assert recent[0] == tmp_path / "5.png"
    assert len(recent) == len(set(recent)) == RECENT_FILES
    preferences.forget_recent("image")
    assert preferences.recent("image") == ()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"version": 2}', b"\xff\xfe", b'{"recent": {"image": 5}}', b" " * 2_000_000],
)
def test_a_broken_file_is_put_aside_and_the_defaults_are_back(qapp, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "preferences.json"
    file.write_bytes(content)
    preferences = Preferences(tmp_path)
    assert preferences.options == Options()
    assert "the defaults are back" in preferences.trouble
    assert (tmp_path / "preferences.broken.json").read_bytes() == content
    preferences.set_option("scheme", "Light")
    preferences.save()
    assert Preferences(tmp_path).options.scheme == "Light"


def test_a_bad_option_in_the_file_costs_only_itself(qapp, tmp_path: Path, caplog) -> None:
    options = {"scheme": "Dark", "every_ms": -5, "from a later version": True}
    (tmp_path / "preferences.json").write_text(json.dumps({"options": options, "newer": 1}))
    assert Preferences(tmp_path).options == Options(scheme="Dark")
    assert "every_ms" in caplog.text


def test_a_bad_option_is_refused(qapp) -> None:
    preferences = Preferences()
    with pytest.raises(SettingError, match="History must be 16 to"):
        preferences.set_option("history_mb", 1)
    assert preferences.options == Options()


def test_a_folder_that_cannot_be_written_is_no_disaster(qapp, tmp_path: Path, caplog) -> None:
    (tmp_path / "file").touch()
    preferences = Preferences(tmp_path / "file" / "below")
    preferences.set_option("scheme", "Dark")
    preferences.save()
    assert "cannot be written" in caplog.text


def test_the_environment_moves_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "here"))
    assert user_folder() == tmp_path / "here"
    monkeypatch.delenv(HOME_VARIABLE)
    assert user_folder().name == "padis_gui"
