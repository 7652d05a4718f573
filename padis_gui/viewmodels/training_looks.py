"""Which look at a training is shown: the latest, or one that was chosen; pictures come from the I/O thread."""

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from padis_gui.core.errors import PadisError
from padis_gui.core.training.history import TrainingHistory
from padis_gui.viewmodels.session import Session
from padis_gui.viewmodels.training_pictures import LookPictures, load_look_pictures

log = logging.getLogger(__name__)

_KEPT = 64


class LookChoice(QObject):
    """``look`` is what is shown now; None while there is nothing, or it is being read."""

    changed = Signal()

    def __init__(self, session: Session, io: ThreadPoolExecutor) -> None:
        super().__init__(session)
        self._session, self._io = session, io
        self.look: LookPictures | None = None
        self._folder: Path | None = None
        self._history = TrainingHistory()
        self._known: dict[Path, LookPictures] = {}
        self._index: int | None = None  # None follows the latest
        self._wanted: Path | None = None

    @property
    def follows_latest(self) -> bool:
        """Whether each new look is shown as it comes."""
        return self._index is None

    def show(self, folder: Path, history: TrainingHistory) -> None:
        """Show the looks of this training, the latest first."""
        self._folder, self._history = folder, history
        self.look, self._index = None, None
        self.changed.emit()
        self.refresh()

    def choose(self, index: int | None) -> None:
        """Show an earlier look by its index, or follow the latest (None)."""
        self._index = index
        self.changed.emit()
        self.refresh()

    def refresh(self) -> None:
        """See whether there is a newer look to show."""
        looks = self._history.looks
        if not looks or self._folder is None:
            return
        index = len(looks) - 1 if self._index is None else min(self._index, len(looks) - 1)
        path = self._folder / looks[index].file
        self._wanted = path
        if path in self._known:
            self._present(path)
        else:
            self._session.spawn(self._load(path))

    async def _load(self, path: Path) -> None:
        pictures = await self._session.attempt(self._io, _look_or_none, path)
        if pictures is not None:
            self._known[path] = pictures
            while len(self._known) > _KEPT:
                del self._known[next(iter(self._known))]
            self._present(path)

    def _present(self, path: Path) -> None:
        if path == self._wanted and self.look is not self._known[path]:
            self.look = self._known[path]
            self.changed.emit()


def _look_or_none(path: Path) -> LookPictures | None:
    """A look that is gone or damaged is not worth a message: the others are still there."""
    try:
        return load_look_pictures(path)
    except PadisError as error:
        log.info("%s", error)
        return None
