"""A file's hash: the right one, remembered only while the file is what it was."""

import os
import time
from pathlib import Path

import pytest

from padis_gui.core.settings import files as hashing
from padis_gui.core.settings.files import file_sha256
from tests.waiting import wait_for

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were really read; the clock stands where the test's files are an hour old."""
    found: list[Path] = []
    real = hashing._sha256
    monkeypatch.setattr(hashing, "_sha256", lambda path: (found.append(path), real(path))[1])
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 3600 * 10**9)
    return found


def test_an_unchanged_file_is_read_once(tmp_path: Path, read: list[Path]) -> None:
    file = tmp_path / "abc"
    file.write_bytes(b"abc")
    assert [file_sha256(file) for _ in range(3)] == [ABC] * 3
    assert read == [file]


def test_whatever_changes_is_read_again(tmp_path: Path, read: list[Path]) -> None:
    """Also of the same size, with its time put back, and where another file takes its name."""
    file, other = tmp_path / "abc", tmp_path / "other"
    file.write_bytes(b"abc")
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    assert file_sha256(file) == ABC
    before = file.stat().st_ctime_ns
    file.write_bytes(b"abd")
    os.utime(file, ns=times)
    wait_for(lambda: file.stat().st_ctime_ns != before, lambda: os.utime(file, ns=times))  # its clock ticks
    changed = file_sha256(file)
    assert changed != ABC
    other.write_bytes(b"abe")
    os.utime(other, ns=times)
    other.replace(file)
    assert file_sha256(file) not in (ABC, changed)
    assert len(read) == 3


def test_a_file_that_has_just_been_written_is_not_relied_on(
    tmp_path: Path, read: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "abc"
    file.write_bytes(b"abc")
    written = file.stat().st_mtime_ns
    monkeypatch.setattr(time, "time_ns", lambda: written + 10**6)
    assert file_sha256(file) == file_sha256(file) == ABC
    assert len(read) == 2


def test_a_file_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        file_sha256(tmp_path / "none")
