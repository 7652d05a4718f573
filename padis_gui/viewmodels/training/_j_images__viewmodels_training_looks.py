"""Which look at a training is shown: the latest, or one that was chosen; pictures come from the I/O thread."""

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from torch import Tensor

from padis_gui.core.settings.errors import PadisError
from padis_gui.core.training._j_looks__core_training_sheet import contact_sheet
from padis_gui.core.training._j_looks__core_training_sight import load_look
from padis_gui.core.training.history import TrainingHistory
from padis_gui.viewmodels.session._j_session__viewmodels_session import Session
from padis_gui.viewmodels.training._j_images__viewmodels_training_data import Picture

log = logging.getLogger(__name__)

_KEPT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class LookPictures:
    """One look at a prior in training; what it does not have is None."""

    step: int
    levels: tuple[float, ...]
    noisy: tuple[Picture, ...]
    denoised: tuple[Picture, ...]
    clean: Picture
    sample: Picture | None
    baseline: Picture | None
    reconstruction: Picture | None
    problem: str
    trouble: str  # what had to be left out, and why
    baseline_name: str
    psnr: float
    baseline_psnr: float


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


def load_look_pictures(path: Path) -> LookPictures:
    """A look that a training has left on the disk. Raises :class:`InputError` for a file that is none."""
    look = load_look(path)

    def picture(image: Tensor) -> Picture:
        return contact_sheet([image], 1)

    def optional(image: Tensor | None) -> Picture | None:
        return None if image is None else picture(image)

    return LookPictures(
        step=look.step,
        levels=tuple(look.levels),
        noisy=tuple(picture(image) for image in look.noisy),
        denoised=tuple(picture(image) for image in look.denoised),
        clean=picture(look.clean[0]),
        sample=optional(look.sample),
        baseline=optional(look.baseline),
        reconstruction=optional(look.reconstruction),
        problem=look.problem,
        trouble=look.trouble,
        baseline_name=look.baseline_name,
        psnr=look.psnr,
        baseline_psnr=look.baseline_psnr,
    )
