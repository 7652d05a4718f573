"""What may be written: never an input, another output, or what is no ordinary file; and it is known before a run."""

import os
import socket
import sys
from pathlib import Path

import pytest

from padis_gui.core.settings import files
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.files import (
    failures_said,
    remove_all_leftovers,
    write_atomically,
    writing_atomically,
)
from padis_gui.core.settings.outputs import check_outputs, elsewhere

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs links, pipes and names as on Unix")


def refused(inputs: list[Path], *outputs: Path) -> str:
    """The sentence of the refusal."""
    with pytest.raises(InputError) as found:
        check_outputs(inputs, outputs)
    return str(found.value)


@posix
def test_an_input_is_known_by_whatever_leads_to_it(tmp_path: Path) -> None:
    given = tmp_path / "given.tif"
    given.write_bytes(b"of the user")
    (tmp_path / "folder").mkdir()
    hard, soft, through = tmp_path / "hard.tif", tmp_path / "soft.tif", tmp_path / "linked"
    os.link(given, hard)
    soft.symlink_to(given)
    through.symlink_to(tmp_path)
    for path in (given, hard, soft, through / "given.tif", tmp_path / "folder" / ".." / "given.tif"):
        assert "is the input" in refused([given], path)
        assert "is the input" in refused([path], given)
    check_outputs([given], [tmp_path / "other.tif"])
    assert given.read_bytes() == b"of the user"


def test_a_file_in_a_folder_that_is_read_stays(tmp_path: Path) -> None:
    (tmp_path / "series" / "below").mkdir(parents=True)
    slice_ = tmp_path / "series" / "below" / "1.dcm"
    slice_.touch()
    assert "one of the input's files" in refused([tmp_path / "series"], slice_)
    check_outputs([tmp_path / "series"], [tmp_path / "series" / "new.tif", tmp_path / "1.dcm"])


@pytest.mark.parametrize("other", ["a.tif", "A.TIF", "./a.tif", "folder/../a.tif"])
def test_two_outputs_are_two_files_on_every_system(tmp_path: Path, other: str) -> None:
    (tmp_path / "folder").mkdir()
    assert "is the result already" in refused([], tmp_path / "a.tif", tmp_path / other)
    check_outputs([], [tmp_path / "a.tif", None, tmp_path / "folder" / "a.tif"])


@posix
def test_what_is_no_ordinary_file_is_neither_replaced_nor_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to_pipe").symlink_to(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(tmp_path)  # such addresses are short
        listening.bind("socket")
    for name in ("pipe", "to_pipe", "socket"):
        assert "is a pipe, a socket or a device" in refused([], tmp_path / name)
        before = os.lstat(tmp_path / name)
        with pytest.raises(OSError, match="no ordinary file"):
            write_atomically(tmp_path / name, b"")
        assert os.lstat(tmp_path / name) == before
    assert "a device" in refused([], Path("/dev/null"))
    assert "is a folder" in refused([], tmp_path)


@posix
def test_names_that_cannot_be_are_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "file").touch()
    assert "a symbolic link that leads to itself" in refused([], tmp_path / "a")
    assert "a symbolic link that leads to itself" in refused([], tmp_path / "a" / "out.tif")
    assert "folder that does not exist" in refused([], tmp_path / "missing" / "out.tif")
    assert "folder that does not exist" in refused([], tmp_path / "file" / "out.tif")
    assert "null byte" in refused([], tmp_path / "nul\0.tif")
    assert r"o\udcff.tif is none" in refused([], tmp_path / os.fsdecode(b"o\xff.tif"))


@posix
@pytest.mark.parametrize("letter", ["L", "é", "語"])
def test_a_name_has_room_for_its_temporary_one_in_bytes(tmp_path: Path, letter: str) -> None:
    room = os.pathconf(tmp_path, "PC_NAME_MAX") - len(".tif")
    fits = letter * ((room - 10) // len(letter.encode()))
    check_outputs([], [tmp_path / f"{fits}.tif"])
    write_atomically(tmp_path / f"{fits}.tif", b"whole")
    for count in (len(fits) + 1, room // len(letter.encode()), 3000):
        assert "has too long a name" in refused([], tmp_path / f"{letter * count}.tif")
    assert [path.name for path in tmp_path.iterdir()] == [f"{fits}.tif"]  # the trial leaves nothing


def test_what_a_killed_writer_left_goes_at_the_next_start_and_what_is_written_stays(tmp_path: Path) -> None:
    path, of_another = tmp_path / "out.tif", tmp_path / ".another.tif.0123abcd"
    for stale in (tmp_path / ".out.tif.0123abcd", of_another, tmp_path / ".out.tif.old-copy"):
        stale.write_bytes(b"half")
    with writing_atomically(path) as file:
        file.write(b"whole")
        check_outputs([], [path])
        remove_all_leftovers(tmp_path)
        left = {one.name for one in tmp_path.iterdir()}
        assert len(left) == 2  # what is being written, and what no writer of ours would call so
        assert ".out.tif.old-copy" in left
    assert {one.name for one in tmp_path.iterdir()} == {"out.tif", ".out.tif.old-copy"}
    assert path.read_bytes() == b"whole"


def test_leftovers_of_other_outputs_stay(tmp_path: Path) -> None:
    other = tmp_path / ".another.tif.0123abcd"
    other.write_bytes(b"half")
    check_outputs([], [tmp_path / "out.tif"])
    assert other.exists()


@posix
def test_a_writer_whose_new_file_was_taken_for_a_leftover_makes_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, honest, taken = tmp_path / "out.tif", files._lock, []

    def lock(file: object) -> bool:
        if not taken:  # somebody cleans between making and locking
            taken.extend(tmp_path.iterdir())
            taken[0].unlink()
        return honest(file)

    monkeypatch.setattr(files, "_lock", lock)
    write_atomically(path, b"whole")
    assert taken
    assert path.read_bytes() == b"whole"


def test_an_error_without_a_reason_gets_the_systems(tmp_path: Path) -> None:
    """As numpy's, where a disk is full: 4096 requested and 100 written."""

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    def write() -> None:
        with failures_said("The result", tmp_path / "a.tif"), writing_atomically(tmp_path / "a.tif") as file:
            file.seek = full  # type: ignore[method-assign]
            raise OSError("4096 requested and 100 written")

    with pytest.raises(InputError) as found:
        write()
    assert "(No space left on device); make room, or choose another place." in str(found.value)
    assert found.value.remedy == "elsewhere"
    with (
        pytest.raises(InputError, match=r"\(12 requested and 1 written\); choose another place"),
        failures_said("It", tmp_path),
    ):
        raise OSError("12 requested and 1 written")


def test_another_place_has_a_new_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-kept.tif").touch()
    beside, *_, last = elsewhere(tmp_path / "a.tif")
    assert beside == tmp_path / "a-kept-2.tif"
    assert not last.exists()
    gone = next(elsewhere(tmp_path / "gone" / ("é" * 200 + ".tif")))
    assert gone.parent == tmp_path
    write_atomically(gone, b"")


def test_an_input_whose_name_holds_a_zero_is_none_of_the_outputs(tmp_path: Path) -> None:
    """A recipe of a stranger may name one; that there is no such file is said where it is opened."""
    check_outputs([Path("a\0b"), tmp_path / "\0"], [tmp_path / "out.tif"])
    with pytest.raises(InputError, match="no name that can be"):
        check_outputs([], [tmp_path / "a\0.tif"])
