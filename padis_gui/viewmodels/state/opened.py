"""What is open: the data, the prior, and the problem prepared of them.

The open prior, and the device on which it computes.

The open image or measurement: one page of a file, read in one way.

The measurement of what is open and chosen, simulated or read, made a moment after either has changed.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from padis_gui.core.files.formats.open import list_datasets
from padis_gui.core.files.read import read_image
from padis_gui.core.images.image import Image, ReadingSettings
from padis_gui.core.prior.checkpoint import PriorRecord, load_prior, read_record
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import Opened, Prepared, prepare
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import PadisError
from padis_gui.core.settings.machine import describe_device, fastest_precision, pick_device
from padis_gui.viewmodels.pictures.frames import ProblemPictures, pictures_of_problem
from padis_gui.viewmodels.state.background import Background
from padis_gui.viewmodels.state.method import ChosenMethod


class OpenPrior(QObject):
    """``changed`` is emitted when another prior is open, ``refused`` when one could not be: what was tried in a field
    is not what is open. ``record`` is what the checkpoint says of itself.
    """

    changed = Signal()
    refused = Signal()
    device_changed = Signal()

    def __init__(self, background: Background, device: str = "auto") -> None:
        super().__init__(background)
        self._background = background
        self.device = pick_device(device)
        self.loaded: PatchPrior | None = None
        self.path: Path | None = None
        self.record: PriorRecord | None = None

    async def open(self, path: Path, training_image_size: int | None = None) -> bool:
        """Open a checkpoint; what was open stays where it cannot be read.

        ``training_image_size`` is for published snapshots, which may leave it open.
        """
        background = self._background
        prior = None
        record = await background.read(read_record, path, training_image_size)
        if record is not None:
            precision = fastest_precision(self.device)
            prior = await background.beside(
                "prior", load_prior, Path(path), self.device, precision, training_image_size
            )
        if prior is None:
            self.refused.emit()
            return False
        self.loaded, self.path, self.record = prior, Path(path), record
        self.changed.emit()
        return True

    async def use_device(self, name: str) -> bool:
        """Compute on another device from now on; the open prior moves there. Not while a run is under way."""
        if not self._background.free_for(
            "The device is changed between runs; finish or cancel this one first."
        ):
            return False
        try:
            device = pick_device(name)
        except PadisError as error:
            self._background.message.emit("error", str(error), "")
            return False
        if device == self.device:
            return True
        before, self.device = self.device, device
        if self.path is not None and not await self.open(self.path, self.image_size):
            self.device = before
        self.device_changed.emit()
        return self.device == device

    @property
    def image_size(self) -> int | None:
        """The side in pixels of the images that the prior was trained on; None where none is open."""
        return None if self.loaded is None else self.loaded.conventions.image_size

    @property
    def is_snapshot(self) -> bool:
        """Whether it is a published snapshot, which may leave its image size open."""
        return self.path is not None and self.path.suffix == ".pkl"

    @property
    def device_text(self) -> str:
        """The device in words."""
        precision = f", {self.loaded.precision}" if self.loaded else ""
        return describe_device(self.device) + precision


class OpenData(QObject):
    """``opened`` is emitted first when something else is open, with the image that was open before it or None;
    ``changed`` follows. ``refused`` says that a file could not be read as was asked: what was tried in a field is not
    what is open. ``dataset_wanted`` carries a file's path and what it holds: one of these must be named.
    """

    opened = Signal(object)
    changed = Signal()
    refused = Signal()
    dataset_wanted = Signal(object, object)

    def __init__(self, background: Background, prior: OpenPrior) -> None:
        super().__init__(background)
        self._background, self._prior = background, prior
        self.image: Image | None = None
        self.path: Path | None = None

    async def open(self, path: Path, page: int = 0, reading: ReadingSettings | None = None) -> bool:
        """Open a page of an image or a measurement; what was open stays where it cannot be read."""
        image = await self._background.read(read_image, path, page, reading)
        if image is None:
            if reading is None or not reading.dataset:
                await self.offer_datasets(Path(path))
            return False
        if self._prior.loaded is not None:
            try:
                image.with_channels(self._prior.loaded.channels)
            except PadisError as error:
                self._background.message.emit("error", str(error), "")
                return False
        before, self.image, self.path = self.image, image, Path(path)
        self.opened.emit(before)
        self.changed.emit()
        return True

    async def offer_datasets(self, path: Path) -> bool:
        """Ask which data set of a file is wanted, where it holds several."""
        try:
            found = await self._background.io(list_datasets, path)
        except PadisError:  # opening it has said why
            return False
        if sum(info.usable for info in found) < 2:
            return False
        self.dataset_wanted.emit(path, found)
        return True

    async def open_page(self, page: int) -> bool:
        """Open another page of the open file."""
        if self.path is None or self.image is None:
            return False
        return await self.open(self.path, page, self.image.reading)

    async def set_reading(self, changes: Mapping[str, Any]) -> bool:
        """Read the open file in another way: settings of :class:`ReadingSettings` by name."""
        if self.path is None or self.image is None:
            return False
        try:
            reading = make(ReadingSettings, self.image.reading.model_dump() | dict(changes))
            done = await self.open(self.path, self.image.page, reading)
        except PadisError as error:
            self._background.message.emit("error", str(error), "")
            done = False
        if not done:
            self.refused.emit()
        return done


_DELAY_MS = 250
# Above this many matrix rows times pixels a problem is prepared by Run only, not after every change.
_CHEAP = 256 * 256 * 128


class Preparation(QObject):
    """``changed`` is emitted when :attr:`prepared` is another one: that of the choices, or that of a run which begins.

    ``pictures`` are what is to be seen of it; ``opened`` gives what is open now, ``method`` what is chosen.
    """

    changed = Signal()

    def __init__(
        self, background: Background, opened: Callable[[], Opened | None], method: ChosenMethod
    ) -> None:
        super().__init__(background)
        self._background, self._opened, self._method = background, opened, method
        self.pictures: ProblemPictures | None = None
        self._waits = False  # something was changed while the compute thread was occupied
        self._timer = QTimer(self, singleShot=True, interval=_DELAY_MS)
        self._timer.timeout.connect(self._prepare)
        background.occupied_changed.connect(self._follow_thread)

    @property
    def prepared(self) -> Prepared | None:
        """The problem itself."""
        return None if self.pictures is None else self.pictures.prepared

    @property
    def is_current(self) -> bool:
        """Whether what is prepared is what is open and chosen, whatever the seed of the noise."""
        opened = self._opened()
        return opened is not None and self.is_of(opened, self._method.now)

    def is_of(self, opened: Opened, method: Method) -> bool:
        """Whether what is prepared is that, whatever the seed of the noise."""
        prepared = self.prepared
        if prepared is None:
            return False
        return prepared.opened.same_as(opened) and prepared.method.measures_as(method)

    def soon(self) -> None:
        """Prepare what is chosen, once it has not been changed for a moment."""
        self._timer.start(_DELAY_MS)

    def now(self) -> None:
        """Prepare what is chosen as soon as the compute thread is free."""
        self._timer.start(0)

    def stop(self) -> None:
        """Prepare nothing any more, until something changes."""
        self._timer.stop()

    def keep(self, pictures: ProblemPictures) -> None:
        """This is what is measured now."""
        if pictures is not self.pictures:
            self.pictures = pictures
            self.changed.emit()

    def _follow_thread(self) -> None:
        if self._waits and not self._background.occupied_by:
            self._waits = False
            self.soon()

    def _prepare(self) -> None:
        background, opened, method = self._background, self._opened(), self._method.now
        if background.closed or opened is None:
            return
        if background.occupied_by:
            self._waits = True
        elif not self.is_of(opened, method) and _is_quick(opened, method):
            background.spawn(self._work(opened, method, self._method.seed or 0))

    async def _work(self, opened: Opened, method: Method, seed: int) -> None:
        def work() -> ProblemPictures:
            return pictures_of_problem(prepare(opened, method, seed))

        pictures = await self._background.compute(work)
        now = self._opened()
        if pictures is None or now is None:
            return
        if now.same_as(opened) and self._method.now.measures_as(method):
            self.keep(pictures)


def _is_quick(opened: Opened, method: Method) -> bool:
    """Whether a problem is prepared after every change: it is small, or takes no product with its operator."""
    image = opened.image
    if image is None:
        return True
    if image.measured is not None and image.window[0] == 0:
        return True  # the FBP of a real scan
    rows, columns = image.shape
    return int(getattr(method.problem, "views", 1)) * rows * columns <= _CHEAP
