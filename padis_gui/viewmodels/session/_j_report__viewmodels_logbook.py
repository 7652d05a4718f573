"""The log file, and whether the last start of the program ended as it should."""

import faulthandler
import logging
from collections import deque
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TextIO

from PySide6.QtCore import QLockFile

LOG_FILE, FAULT_FILE, _LOCK_FILE = "padis_gui.log", "fault.txt", "running.lock"
_LARGEST, _BACKUPS = 2**20, 3
_FORMAT = "%(asctime)s %(levelname)s %(name)s [%(threadName)s] %(message)s"


class Logbook:
    """The program's log in ``folder``: 1 MB a file, three old ones kept; faults that kill Python in a file beside it.

    ``crashed`` says that the last program that wrote here did not end cleanly (and none is running now).
    """

    def __init__(self, folder: Path) -> None:
        """Raises :class:`OSError` where the folder cannot be made or written."""
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / LOG_FILE
        self._handler = RotatingFileHandler(
            self.path, maxBytes=_LARGEST, backupCount=_BACKUPS, encoding="utf-8", delay=True
        )
        self._handler.setFormatter(logging.Formatter(_FORMAT))
        self._lock = QLockFile(str(folder / _LOCK_FILE))
        self._lock.setStaleLockTime(0)  # only a dead process makes a lock stale, however old it is
        left_behind = Path(self._lock.fileName()).exists()
        self.first = self._lock.tryLock(0)  # False: another window of the program is open
        self.crashed = left_behind and self.first
        self._fault: TextIO | None = None
        fault = folder / FAULT_FILE
        self.last_fault = _tail(fault, 200) if self.crashed else ""
        if self.first:
            self._fault = fault.open("w", encoding="utf-8")

    def open(self) -> None:
        """Write what the program logs from now on."""
        root = logging.getLogger()
        root.addHandler(self._handler)
        if root.getEffectiveLevel() > logging.INFO:
            root.setLevel(logging.INFO)
        logging.captureWarnings(True)
        if self._fault is not None:
            faulthandler.enable(self._fault)

    def tail(self, lines: int = 200) -> str:
        """The end of the log."""
        return _tail(self.path, lines)

    def close(self) -> None:
        """The program ends as it should."""
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(self._handler)
        self._handler.close()
        if self._fault is not None:
            faulthandler.disable()
            self._fault.close()
        if self.first:
            self._lock.unlock()


def _tail(path: Path, lines: int) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return "".join(deque(file, maxlen=lines))
    except OSError:
        return ""
