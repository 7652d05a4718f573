"""The images that a training learns from, what becomes of them, and the looks that it leaves.

The latest look is shown, or one that was chosen; pictures come from the I/O thread.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer, Signal
from torch import Tensor

from padis_gui.core.settings.errors import Interrupted, PadisError
from padis_gui.core.training.dataset import load_training_data
from padis_gui.core.training.history import TrainingHistory
from padis_gui.core.training.looks import contact_sheet, load_look
from padis_gui.core.training.settings import DataSettings
from padis_gui.core.training.sources import Skipped, find_sources, read_pages
from padis_gui.viewmodels.session.session import Session

_SETTLE_MS = 400
_PROGRESS_MS = 100
_PREVIEWS, _PREVIEW_SIDE = 60, 160
_SMALLEST, _MULTIPLE = 32, 8  # sides that the settings allow and that networks like

Picture = NDArray[np.uint8]  # (rows, columns) or (rows, columns, 3)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Preview:
    """What the network will see: some of the images, and what the rest amounts to."""

    pictures: tuple[Picture, ...]
    names: tuple[str, ...]
    images: int
    subjects: int
    aside: int  # images kept for validation
    skipped: tuple[Skipped, ...]
    window: tuple[float, float]
    unit: str
    channels: int
    image_size: int


class TrainingDataChoice(QObject):
    """Files and their settings. What is chosen is read at once, in the I/O thread; newer choices overtake older ones."""

    changed = Signal()  # files, settings or the preview
    progressed = Signal()  # more of the files has been read

    def __init__(self, session: Session, io: ThreadPoolExecutor) -> None:
        super().__init__(session)
        self._session, self._io = session, io
        self.sources: tuple[Path, ...] = ()
        self.settings = DataSettings()
        self.preview: Preview | None = None
        self.loading: tuple[int, int] | None = None  # (read, in all) while files are being read
        self._size_is_free = True  # nobody has asked for an image size: it follows the images
        self._token = threading.Event()
        self._reload = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._reload.timeout.connect(self._load)

    def choose(self, sources: tuple[Path, ...]) -> None:
        """Learn from these files and folders."""
        self.sources = tuple(Path(source).absolute() for source in sources)
        self._load()
        self.changed.emit()

    def use(self, settings: DataSettings) -> None:
        """Read the files so; the preview follows when no more changes come."""
        if settings == self.settings:
            return
        self._size_is_free &= settings.image_size == self.settings.image_size
        self.settings = settings
        if self.sources:
            self._reload.start()
        self.changed.emit()

    def obstacle(self) -> str:
        """Why these images can't be trained on, in one sentence; empty where they can."""
        if not self.sources:
            return "Choose the images to learn from first: a folder, or files."
        if self.loading is not None or self._reload.isActive():
            return "The images are still being read; wait for their preview."
        return "" if self.preview is not None else "None of these images can be used; choose others."

    def close(self) -> None:
        """Stop reading."""
        self._token.set()
        self._reload.stop()

    def _load(self) -> None:
        self._token.set()  # whatever is being read belongs to older choices
        self._token = threading.Event()
        self.loading, self.preview = (0, 0), None
        self.progressed.emit()
        self._session.spawn(self._read(self._token))

    async def _read(self, token: threading.Event) -> None:
        latest = [(0, 0)]

        def report(done: int, total: int) -> None:
            if token.is_set():
                raise Interrupted
            latest[0] = (done, total)

        def show() -> None:
            if self.loading != latest[0] and not token.is_set():
                self.loading = latest[0]
                self.progressed.emit()

        poll = QTimer(self, interval=_PROGRESS_MS)
        poll.timeout.connect(show)
        poll.start()
        if self._size_is_free:
            largest = DataSettings().image_size
            native = await self._session.attempt(self._io, native_size, self.sources, self.settings.dataset)
            if native is not None and not token.is_set():
                self.settings = self.settings.model_copy(update={"image_size": min(native, largest)})
        preview = await self._session.attempt(self._io, load_preview, self.sources, self.settings, report)
        poll.stop()
        poll.deleteLater()
        if not token.is_set():
            self.loading, self.preview = None, preview
            self.progressed.emit()
            self.changed.emit()


def native_size(sources: Sequence[Path], dataset: str) -> int | None:
    """The side of the square in the first image, a multiple of 8; None where no image can be read."""
    found, _ = find_sources(list(sources), dataset)
    for page in read_pages(found):
        if page.page is not None:
            side = int(min(page.page.pixels.shape[1:]))
            return max(_SMALLEST, side // _MULTIPLE * _MULTIPLE)
    return None


def load_preview(
    sources: Sequence[Path],
    settings: DataSettings,
    progress: Callable[[int, int], None],
) -> Preview | None:
    """Read all the data as a training would, and keep some of it to show; None when ``progress`` interrupts.

    Raises :class:`InputError` where nothing can be used.
    """
    try:
        data = load_training_data(list(sources), settings, progress=progress)
    except Interrupted:
        return None
    kept = data.split(settings.validation)[1]
    picked = torch.linspace(0, len(data.images) - 1, min(_PREVIEWS, len(data.images))).round().long()
    return Preview(
        pictures=tuple(contact_sheet([data.images[index]], 1, _PREVIEW_SIDE) for index in picked),
        names=tuple(data.names[index] for index in picked) if data.names else ("",) * len(picked),
        images=len(data.images),
        subjects=len(data.subjects),
        aside=0 if kept is None else len(kept.images),
        skipped=data.skipped,
        window=data.window,
        unit=data.unit,
        channels=data.channels,
        image_size=data.image_size,
    )


log = logging.getLogger(__name__)

_KEPT = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
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
