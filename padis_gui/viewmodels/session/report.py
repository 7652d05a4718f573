"""The log, whether the last start ended as it should, and a report of how things stand, to read, copy and send."""

import faulthandler
import logging
import platform
from collections import deque
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, TextIO

from pydantic_core import to_json
from PySide6.QtCore import QLockFile, qVersion

from padis_gui import __version__
from padis_gui.core.settings.machine import describe_device
from padis_gui.viewmodels.session.session import Session

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


_PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "astra-toolbox",
    "PySide6-Essentials",
    "pyqtgraph",
    "qasync",
    "pydantic",
)


def versions() -> dict[str, str]:
    """Of the program, of what it stands on, and of the system."""
    found = {"padis_gui": __version__, "Python": platform.python_version(), "Qt": qVersion()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found | {"system": platform.platform(), "processor": platform.machine()}


def choices(session: Session) -> dict[str, Any]:
    """What is open and chosen in a session."""
    return {
        "device": describe_device(session.prior.device),
        "data": None if session.data.path is None else str(session.data.path),
        "page": None if session.data.image is None else session.data.image.page,
        "shape": None if session.data.image is None else session.data.image.shape,
        "prior": None if session.prior.path is None else str(session.prior.path),
        "preset": session.method.preset,
        "physics": session.method.physics,
        "problem": session.method.problem.model_dump(mode="json"),
        "tiling": session.method.tiling.model_dump(mode="json"),
        "solver": session.method.solver,
        "settings": session.method.settings.model_dump(mode="json"),
        "adaptation": session.method.adaptation.model_dump(mode="json") if session.method.adapts else None,
        "seed": session.method.seed,
        "run": session.run.snapshot().state.value,
        "step": session.run.snapshot().step,
    }


def report_text(session: Session, sentence: str, details: str, log_tail: str) -> str:
    """The report as plain text: what happened, where, with which versions and settings, and the end of the log."""
    parts = [f"padis_gui report, {datetime.now().astimezone():%Y-%m-%d %H:%M:%S %z}"]
    if sentence:
        parts.append(sentence)
    if details:
        parts.append(f"== Details ==\n{details.rstrip()}")
    table = "\n".join(f"{name}: {value}" for name, value in versions().items())
    parts.append(f"== Versions ==\n{table}")
    parts.append(f"== Settings ==\n{to_json(choices(session), indent=2).decode()}")
    parts.append(f"== End of the log ==\n{log_tail.rstrip() or 'empty'}")
    return "\n\n".join(parts) + "\n"
