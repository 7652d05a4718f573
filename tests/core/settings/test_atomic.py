"""A file is there whole or not at all, whatever goes wrong while it is written."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from padis_gui.core.settings import files as atomic
from padis_gui.core.settings.files import remove_leftovers, write_atomically


def _full_disk(*_: object) -> Any:
    raise OSError(28, "No space left on device")


class _FullHalfway(io.FileIO):
    """A file on a disk with room for half of what is written."""

    def write(self, data: Any) -> int:
        super().write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("failing", ["write", "fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "file.bin"
    write_atomically(path, b"old")
    if failing == "write":
        monkeypatch.setattr(Path, "open", lambda path, mode: _FullHalfway(path, mode.replace("b", "")))
    else:
        monkeypatch.setattr(atomic.os, failing, _full_disk)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]  # no litter
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_folder_that_cannot_be_flushed_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = os.open

    def no_folders(path: Any, flags: int, *more: Any) -> int:
        return _full_disk() if Path(path).is_dir() else honest(path, flags, *more)

    monkeypatch.setattr(atomic.os, "open", no_folders)
    write_atomically(tmp_path / "file.bin", b"new")
    assert (tmp_path / "file.bin").read_bytes() == b"new"


def test_written_files_are_ordinary_ones(tmp_path: Path) -> None:
    ordinary, ours = tmp_path / "a", tmp_path / "b"
    ordinary.write_bytes(b"")
    write_atomically(ours, b"")
    assert ours.stat().st_mode == ordinary.stat().st_mode


_KILLED = """
import os, signal, sys
from pathlib import Path
from padis_gui.core.settings import files as atomic
atomic.os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
atomic.write_atomically(Path(sys.argv[1]), b"half")
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")
def test_what_a_killed_writer_leaves_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "file [1].bin"
    write_atomically(path, b"old")
    for name in (".file [1].bin.short", ".other.bin.12345678", "file [1].bin.12345678"):
        (tmp_path / name).write_bytes(b"of others")
    (tmp_path / ".file [1].bin.abcdefgh").mkdir()
    before = set(tmp_path.iterdir())
    root = Path(__file__).resolve().parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    found = subprocess.run([sys.executable, "-c", _KILLED, str(path)], env=environment, check=False)
    assert found.returncode == -signal.SIGKILL
    assert len(set(tmp_path.iterdir()) - before) == 1
    remove_leftovers(path)
    assert set(tmp_path.iterdir()) == before
    assert path.read_bytes() == b"old"
