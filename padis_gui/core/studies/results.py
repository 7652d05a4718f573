"""The file of an experiment's results: lines of JSON, which any number of processes read and append to at once.

Each case is claimed before it is run, by a lock beside the file that the system takes back from a process that ends,
also from one that is killed. What is in the file already is not run again.
"""

import contextlib
import logging
import math
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.files import failures_said
from padis_gui.core.settings.outputs import elsewhere
from padis_gui.core.settings.untrusted import MOST_JSON_BYTES, check_ordinary, parse_json

log = logging.getLogger(__name__)

Metrics = dict[str, float]
_WRITING = "0" * 8
_PATIENCE = 60.0  # seconds for the lines of others to be written


class Results:
    """What is known of the cases of an experiment, by their keys, and what is not written yet.

    ``metrics`` are those of the cases that succeeded, NaN where one was not finite; ``errors`` are of those that failed
    after this was made. Raises :class:`InputError` where the file cannot be read, or cannot be written at all. Whoever
    only looks ``writes`` nothing, and knows the earlier errors, too.
    """

    def __init__(self, path: Path, *, writes: bool = True) -> None:
        self.path = path
        self.metrics: dict[str, Metrics] = {}
        self.errors: dict[str, str] = {}
        self._end = 0  # bytes of the file that were read
        self._waiting = ""
        self._foreign = False
        self.read()
        if self._foreign and not self.metrics and not self.errors:
            raise self._unreadable()
        if not writes:
            return
        self.errors.clear()  # what failed before is tried again
        self._append("")  # what cannot be written is said before anything is computed

    def read(self) -> None:
        """Read what was appended since the last time. Lines that cannot be read are passed over, with a warning."""
        try:
            with self._locked(_WRITING, _PATIENCE):
                lines = list(self._new_lines())
        except OSError:
            raise self._unreadable() from None
        damaged = 0
        for line in lines:
            try:
                found = parse_json(line.decode())
                key, error = str(found["key"]), str(found["error"])
                metrics = {str(k): math.nan if v is None else float(v) for k, v in found["metrics"].items()}
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as fault:
                damaged += 1
                self._foreign |= isinstance(fault, UnicodeDecodeError)
                continue
            if error:
                self.errors[key] = error
            else:
                self.metrics[key] = metrics
        if damaged:
            log.warning("%d lines of %s cannot be read; their cases are run again.", damaged, self.path.name)

    def error_of(self, key: str) -> str:
        """Why a case failed; empty for one that has succeeded since."""
        return "" if key in self.metrics else self.errors.get(key, "")

    def _unreadable(self) -> InputError:
        return InputError(
            f"A file of results was wanted, but {self.path.name} cannot be read as one; choose another name."
        )

    def _new_lines(self) -> Iterator[bytes]:
        """Whole lines, which end at a newline and at nothing else that Unicode takes for an end."""
        if not self.path.exists():
            return
        check_ordinary(self.path)
        with self.path.open("rb") as file:
            file.seek(self._end)
            while line := file.readline(MOST_JSON_BYTES + 1):
                self._end = file.tell()
                if line.strip():
                    yield line

    @contextlib.contextmanager
    def claim(self, key: str, *, wait: bool) -> Iterator[bool]:
        """Keep a case from all others within the block; False where another process has it, for which ``wait`` waits.

        Where there can be no lock, everybody has every case.
        """
        with self._locked(key[: len(_WRITING)], -1 if wait else 0) as mine:
            yield mine

    @contextlib.contextmanager
    def _locked(self, name: str, patience: float) -> Iterator[bool]:
        """The name is that of a temporary file of the results: what a killed process leaves is removed as such."""
        if not self.path.parent.is_dir():  # which the lock would make
            yield True
            return
        lock = FileLock(self.path.parent / f".{self.path.name}.{name}")
        try:
            lock.acquire(timeout=patience)
        except Timeout:
            yield False
            return
        except (OSError, NotImplementedError) as error:
            log.debug("There is no lock for %s: %s", self.path, error)
            yield True
            return
        try:
            yield True
        finally:
            with contextlib.suppress(OSError):  # before another has it: whoever waits makes a new one
                os.unlink(lock.lock_file)
            lock.release()

    def add(self, line: str) -> None:
        """Append a line; where the disk does not take it, it is kept and tried again with the next one."""
        lines = self._waiting + line
        try:
            self._append(lines)
            self._waiting = ""
        except InputError as error:
            log.warning("%s The results are kept, and it is tried again.", error)
            self._waiting = lines

    def _append(self, lines: str) -> None:
        with self._locked(_WRITING, _PATIENCE):
            _append(self.path, lines)

    @property
    def unwritten(self) -> bool:
        """Whether there is what the disk has not taken."""
        return bool(self._waiting)

    def write_elsewhere(self) -> str:
        """Write what is still not written to another file; returns a sentence about it."""
        count = self._waiting.count("\n")
        for other in elsewhere(self.path):
            try:
                _append(other, self._waiting)
            except InputError:
                continue
            return (
                f"{count} results could not be written to {self.path} and are in {other}; make room, and add its lines "
                "there."
            )
        what = f"{count} results could not be written to {self.path} nor elsewhere"
        return f"{what}; make room, and run the same command again."


def _append(path: Path, lines: str) -> None:
    with failures_said("The results", path), path.open("a+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 1, 0))
        torn = size > 0 and file.read(1) != b"\n"  # the last write was cut short
        file.write(b"\n" * torn + lines.encode())
