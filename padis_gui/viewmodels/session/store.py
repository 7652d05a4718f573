"""The session on disk: choices and runs, written as they come, read again at the next start.

Each start of the program has a folder of its own under ``root``: ``session.json`` (choices, order of the runs),
and for each run ``<id>.tif``, float32 with its recipe, and ``<id>.json``. Every file is there whole or not at all,
and none that is damaged stops the program: it is left out. While a session goes on its folder is locked and holds
the file ``open``; one that is found unlocked with it did not end as it should.
"""

import contextlib
import logging
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from PySide6.QtCore import QLockFile

from padis_gui.core.exports.about import About
from padis_gui.core.exports.tiff import save_result
from padis_gui.core.settings.files import remove_all_leftovers, write_atomically
from padis_gui.core.settings.untrusted import read_json
from padis_gui.viewmodels.runs.runs import RunRecord
from padis_gui.viewmodels.session.saved import SavedChoices, SavedItem, SavedRun, saved_from

log = logging.getLogger(__name__)

DISK_BUDGET = 2**30
_FOLDERS_KEPT = 3
_IDENTITY = re.compile(r"[0-9a-f]{12}")
_SESSION, _OPEN, _LOCK = "session.json", "open", "lock"


class _Content(BaseModel):
    """The file ``session.json``."""

    model_config = ConfigDict(frozen=True)

    format: str = "padis-gui session"
    version: int = 1
    choices: SavedChoices
    order: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    count: int = 0
    queue: tuple[dict[str, Any], ...] = ()  # of :class:`SavedItem`; a damaged one costs itself only


@dataclass(frozen=True)
class SavedSession:
    """What a session folder holds; ``damaged`` names what could not be used."""

    choices: SavedChoices | None
    records: tuple[RunRecord, ...]
    count: int
    damaged: tuple[str, ...]
    queue: tuple[SavedItem, ...] = ()


class Store:
    """Saves one session under ``root`` and finds the last one there; ``budget`` bounds its runs' bytes on disk.

    All methods may raise :class:`OSError` where the disk does; use them from one thread at a time.
    """

    def __init__(self, root: Path, budget: int = DISK_BUDGET) -> None:
        self.root, self.budget = Path(root), budget
        self._locks: dict[Path, QLockFile] = {}
        self.previous = self._find_previous()
        self.was_clean = self.previous is None or not (self.previous / _OPEN).exists()
        self._own: Path | None = None

    @property
    def folder(self) -> Path:
        """The folder of this session, made when it is first wanted."""
        if self._own is None:
            stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
            self._take(self.root / f"{stamp}-{os.getpid()}")
        assert self._own is not None  # _take has set it or raised
        return self._own

    # Reading ----------------------------------------------------------------------------------------

    def load(self) -> SavedSession | None:
        """The last session, which is gone on with from here; None where there is none."""
        previous, self.previous = self.previous, None
        if previous is None:
            return None
        if self._own is None:
            self._take(previous)
            folder = previous
        else:  # this one has begun already: the runs move in
            folder = self._own
            for file in previous.iterdir():
                if file.suffix in (".tif", ".json") and _IDENTITY.fullmatch(file.stem):
                    os.replace(file, folder / file.name)
        content, damaged = self._content(previous / _SESSION)
        if folder is not previous:
            self._discard(previous)
        deleted = content.deleted if content else ()
        self.remove_runs(deleted)
        found = {}
        for file in sorted(folder.glob("*.json")):
            if _IDENTITY.fullmatch(file.stem):
                record = self._record(file)
                if record is None:
                    damaged.append(file.name)
                else:
                    found[record.id] = record
        queue = []
        for number, values in enumerate(content.queue if content else (), start=1):
            try:
                queue.append(SavedItem.model_validate(values))
            except ValidationError as error:
                log.warning("Run %d of the queue cannot be used: %s", number, _brief(error))
                damaged.append(f"run {number} of the queue")
        order = [identity for identity in (content.order if content else ()) if identity in found]
        rest = sorted((r for r in found.values() if r.id not in order), key=lambda record: record.when)
        records = [found[identity] for identity in order] + rest
        return SavedSession(
            choices=None if content is None else content.choices,
            records=tuple(records),
            count=max(len(records), content.count if content else 0),
            damaged=tuple(damaged),
            queue=tuple(queue),
        )

    # Writing ----------------------------------------------------------------------------------------

    def save(
        self,
        choices: SavedChoices,
        order: Iterable[str],
        deleted: Iterable[str],
        count: int,
        queue: Iterable[SavedItem] = (),
    ) -> None:
        """Write what is chosen, in which order the runs are, which are deleted though their files are there, what waits."""
        content = _Content(
            choices=choices, order=tuple(order), deleted=tuple(deleted), count=count,
            queue=tuple(item.model_dump(mode="json") for item in queue),
        )  # fmt: skip
        write_atomically(self.folder / _SESSION, content.model_dump_json(indent=1).encode())

    def save_run(self, record: RunRecord) -> tuple[str, ...]:
        """Write a run, or what has changed of it; returns the ids of old runs that had to go for the budget.

        From then on the record reads its result from here where it is no longer in memory.
        """
        picture = self.folder / f"{record.id}.tif"
        if not picture.exists():
            result = record.result
            if result is None:
                return ()
            save_result(picture, result, About(sha256=result.sha256))
        saved = SavedRun.of(record)
        write_atomically(self.folder / f"{record.id}.json", saved.model_dump_json().encode())
        record.load = saved_from(saved, picture).load
        return self._make_room(record.id)

    def remove_runs(self, identities: Iterable[str]) -> None:
        """Delete the files of runs."""
        for identity in identities:
            if _IDENTITY.fullmatch(identity) and self._own is not None:
                for suffix in (".json", ".tif"):
                    (self._own / f"{identity}{suffix}").unlink(missing_ok=True)

    def close(self) -> None:
        """The session ends as it should."""
        if self._own is not None:
            with contextlib.suppress(OSError):
                (self._own / _OPEN).unlink(missing_ok=True)
        for lock in self._locks.values():
            lock.unlock()
        self._locks.clear()

    # Folders ----------------------------------------------------------------------------------------

    def _find_previous(self) -> Path | None:
        """The newest session folder, unless another running program has it; the oldest ones are deleted."""
        if not self.root.is_dir():
            return None
        newest: Path | None = None
        taken = False
        with contextlib.suppress(OSError):
            folders = sorted((f for f in self.root.iterdir() if f.is_dir()), reverse=True)
            for number, folder in enumerate(folders):
                if not self._lock(folder):
                    taken = True
                    continue
                remove_all_leftovers(folder)
                if newest is None and not taken and _holds_something(folder):
                    newest = folder
                elif number >= _FOLDERS_KEPT:
                    self._discard(folder)
                else:
                    self._locks.pop(folder).unlock()
        return newest

    def _lock(self, folder: Path) -> bool:
        lock = QLockFile(str(folder / _LOCK))
        lock.setStaleLockTime(0)  # only a dead process makes a lock stale, however old it is
        if not lock.tryLock(0):
            return False
        self._locks[folder] = lock
        return True

    def _take(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if folder not in self._locks and not self._lock(folder):
            raise OSError(f"{folder} cannot be locked")
        (folder / _OPEN).touch()
        self._own = folder

    def _discard(self, folder: Path) -> None:
        lock = self._locks.pop(folder, None)
        if lock is not None:
            lock.unlock()
        shutil.rmtree(folder, ignore_errors=True)

    # Files ------------------------------------------------------------------------------------------

    def _content(self, path: Path) -> tuple[_Content | None, list[str]]:
        try:
            return _Content.model_validate(read_json(path)), []
        except FileNotFoundError:  # it was killed before its first choice was saved
            return None, []
        except (OSError, ValueError) as error:
            log.warning("%s cannot be used: %s", path, _brief(error))
            return None, [path.name]

    def _record(self, path: Path) -> RunRecord | None:
        try:
            saved = SavedRun.model_validate(read_json(path))
            picture = path.with_suffix(".tif")
            if saved.id != path.stem or not picture.exists():
                raise ValueError("its picture is not there")
            return saved_from(saved, picture)
        except Exception as error:  # whatever has happened to the file: the other runs are still good
            log.warning("%s cannot be used: %s", path, _brief(error))
            return None

    def _make_room(self, newest: str) -> tuple[str, ...]:
        """Delete the oldest runs that are not pinned until all fit; the newest one stays."""
        files = [f for f in self.folder.glob("*.tif") if _IDENTITY.fullmatch(f.stem)]
        taken = sum(file.stat().st_size for file in files)
        if taken <= self.budget:
            return ()
        gone = []
        for file in sorted(files, key=lambda f: f.stat().st_mtime):
            if taken <= self.budget:
                break
            record = self._record(file.with_suffix(".json"))
            if file.stem != newest and (record is None or not record.pinned):
                taken -= file.stat().st_size
                gone.append(file.stem)
        self.remove_runs(gone)
        return tuple(gone)


def _holds_something(folder: Path) -> bool:
    """Whether there is something to bring back: a session that was killed early may have runs only."""
    return any(file.name == _SESSION or _IDENTITY.fullmatch(file.stem) for file in folder.glob("*.json"))


def _brief(error: Exception) -> str:
    return f"{error.error_count()} errors" if isinstance(error, ValidationError) else str(error)[:200]
