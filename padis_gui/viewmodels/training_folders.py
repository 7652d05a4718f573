"""The folders that trainings have left on the disk: what they are, how far they came, how good they are."""

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from padis_gui.core.errors import InputError
from padis_gui.core.training.log import LOG_FILE
from padis_gui.core.training.request import REQUEST_FILE, TrainingRequest, load_request, save_request
from padis_gui.core.training.train import PRIOR_FILE, STATE_FILE
from padis_gui.viewmodels.training_log import TrainingHistory, read_history

# Trainings log every few seconds, but a look may take a while
_QUIET_SECONDS = 20.0
_FILES = (REQUEST_FILE, LOG_FILE, STATE_FILE, PRIOR_FILE)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFolder:
    """One training at rest. ``total`` is 0 where nobody knows; ``changed`` is a time as in :func:`time.time`."""

    path: Path
    name: str
    history: TrainingHistory
    total: int
    has_prior: bool
    has_request: bool
    changed: float

    @property
    def step(self) -> int:
        """How far it came."""
        return self.history.step

    @property
    def active_elsewhere(self) -> bool:
        """Whether some process seems to be training in it: its log has just grown, and does not end."""
        return not self.history.finished and time.time() - self.changed < _QUIET_SECONDS

    @property
    def resumable(self) -> bool:
        """Whether a training can go on in it: it says what was wanted, and is not at its end."""
        return self.has_request and (not self.history.finished)


class FolderReader:
    """Reads training folders; a log that has not changed since is not read again. For one thread."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, int], TrainingHistory]] = {}

    def read(self, folder: Path) -> TrainingFolder | None:
        """The training in a folder, or None where there is none."""
        folder = Path(folder)
        present = {name: (folder / name).is_file() for name in _FILES}
        if not (present[REQUEST_FILE] or present[STATE_FILE]):
            return None
        request: TrainingRequest | None = None
        if present[REQUEST_FILE]:
            with suppress(InputError):  # damaged, or of another version: it is still listed
                request = load_request(folder)
        history = self._history(folder)
        return TrainingFolder(
            path=folder,
            name=(request.name if request is not None else "") or folder.name,
            history=history,
            total=request.training.steps if request is not None else history.total,
            has_prior=present[PRIOR_FILE],
            has_request=request is not None,
            changed=_changed(folder),
        )

    def read_all(self, root: Path, others: Iterable[Path] = ()) -> list[TrainingFolder]:
        """The trainings in the folders of ``root`` and in ``others``, the latest first."""
        try:
            inside = [path for path in Path(root).iterdir() if path.is_dir()]
        except OSError:
            inside = []
        found = (self.read(path) for path in dict.fromkeys((*inside, *others)))
        return sorted((f for f in found if f is not None), key=lambda f: f.changed, reverse=True)

    def _history(self, folder: Path) -> TrainingHistory:
        try:
            status = (folder / LOG_FILE).stat()
        except OSError:
            return TrainingHistory()
        stamp = (status.st_mtime_ns, status.st_size)
        known = self._known.get(folder)
        if known is None or known[0] != stamp:
            known = self._known[folder] = (stamp, read_history(folder))
        return known[1]


def free_folder(root: Path, name: str) -> Path:
    """A folder of that name in ``root`` in which no training lies: ``name``, or ``name-2``, ``name-3`` …"""
    stem = "".join(c if c.isalnum() or c in "-_. " else "-" for c in name).strip(" .-") or "prior"
    folder, number = Path(root) / stem, 1
    while _occupied(folder):
        number += 1
        folder = Path(root) / f"{stem}-{number}"
    return folder


def holds_a_training(folder: Path) -> bool:
    """Whether a training has begun in a folder."""
    return any((Path(folder) / name).exists() for name in _FILES)


def begin_folder(folder: Path, request: TrainingRequest) -> bool:
    """Make the folder and write what is wanted into it, for the process to read.

    Raises :class:`InputError` where that cannot be done.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"A folder for the training was wanted, but {folder} cannot be made ({error.strerror}); choose another."
        ) from None
    save_request(request, folder)
    return True


def _occupied(folder: Path) -> bool:
    return holds_a_training(folder) or (folder.exists() and not folder.is_dir())


def _changed(folder: Path) -> float:
    times = []
    for name in (LOG_FILE, STATE_FILE, REQUEST_FILE):
        with suppress(OSError):
            times.append((folder / name).stat().st_mtime)
    return max(times, default=0.0)
