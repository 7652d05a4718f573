"""What is open: the prior with the device on which it computes, and the image or measurement.

Opening is a transaction of which the latest wins: what was asked for earlier and comes later is dropped.
"""

from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from padis_gui.core.files.formats.open import list_datasets
from padis_gui.core.files.read import read_and_keep
from padis_gui.core.files.scans.scan import ScanFile
from padis_gui.core.images.image import Image, ReadingSettings
from padis_gui.core.prior.checkpoint import PriorRecord, load_prior, read_record
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import PadisError
from padis_gui.core.settings.machine import describe_device, fastest_precision, pick_device
from padis_gui.viewmodels.state.background import Background


class _Open(QObject):
    """What is open, of a kind of which one is open at a time; and of what was asked for, the latest.

    ``path`` is the file that is open, ``opening`` the one that is being opened; ``wishes`` counts how many times
    something was asked for.
    """

    def __init__(self, background: Background) -> None:
        super().__init__(background)
        self._background = background
        self.path: Path | None = None
        self.opening: Path | None = None
        self.wishes = 0

    @property
    def wanted(self) -> Path | None:
        """What is being opened; else what is open."""
        return self.opening or self.path

    def _ask(self, path: Path) -> int:
        """Open this from now on; returns which wish it is."""
        self.opening, self.wishes = Path(path), self.wishes + 1
        return self.wishes

    def _is_latest(self, wish: int) -> bool:
        """Whether nothing was asked for since."""
        return wish == self.wishes


class OpenPrior(_Open):
    """``changed`` is emitted when another prior is open, ``refused`` when one could not be: what was tried in a field
    is not what is open. ``record`` is what the checkpoint says of itself.

    Beside it a prior ``across`` slices may be open, for volumes; ``across_changed`` says that it is another one, or none.
    """

    changed = Signal()
    refused = Signal()
    device_changed = Signal()
    across_changed = Signal()

    def __init__(self, background: Background, device: str = "auto") -> None:
        super().__init__(background)
        self.device = pick_device(device)
        self.loaded: PatchPrior | None = None
        self.record: PriorRecord | None = None
        self.across: PatchPrior | None = None
        self.across_path: Path | None = None
        self._across_wishes = 0

    def open_across(self, path: Path | None) -> Coroutine[Any, Any, bool]:
        """Open a prior across slices, or close the one that is open; the latest of these wishes wins."""
        self._across_wishes += 1
        return self._open_across(self._across_wishes, path)

    async def _open_across(self, wish: int, path: Path | None) -> bool:
        found = None
        if path is not None:
            precision = fastest_precision(self.device)
            found = await self._background.beside(
                "prior across slices", load_prior, Path(path), self.device, precision
            )
            if wish != self._across_wishes:
                return False
            if found is not None and found.slices == 1:
                self._background.message.emit(
                    "error", f"A prior across slices was wanted, but {Path(path).name} is one of single slices; choose "
                    "another, or leave it out.", "",
                )  # fmt: skip
                found = None
            if found is None:
                self.across_changed.emit()  # what was tried is not what is open
                return False
        self.across, self.across_path = found, None if found is None else path
        self.across_changed.emit()
        return True

    def open(self, path: Path, training_image_size: int | None = None) -> Coroutine[Any, Any, bool]:
        """Open a checkpoint; what was open stays where it cannot be read. False also where another was asked for since.

        It is the wanted one from the call on, opened when what is returned is awaited. A run under way goes on with its
        own. ``training_image_size`` is for published snapshots, which may leave it open.
        """
        return self._open(self._ask(path), path, training_image_size)

    async def _open(self, wish: int, path: Path, training_image_size: int | None) -> bool:
        background = self._background
        prior = None
        record = await background.read(read_record, path, training_image_size)
        if record is not None and self._is_latest(wish):
            precision = fastest_precision(self.device)
            prior = await background.beside(
                "prior", load_prior, Path(path), self.device, precision, training_image_size
            )
        if not self._is_latest(wish):
            return False
        self.opening = None
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
        elif self.across_path is not None:
            await self.open_across(self.across_path)
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


@dataclass(frozen=True, slots=True)
class Tried:
    """A page of a file that could not be opened, and how it was to be read."""

    path: Path
    page: int
    reading: ReadingSettings


class OpenData(_Open):
    """``scan`` has the rows of which ``image`` was made, where it is of a scan; ``tried`` is what is being opened, or could
    not be opened last; None after something was.

    ``opened`` is emitted first when something else is open, with the image that was open before it or None;
    ``changed`` follows. ``refused`` says that a file could not be read as was asked: what was tried in a field is not
    what is open. ``loading`` is emitted when something begins to be opened, and when that has ended. ``dataset_wanted``
    carries a file's path and what it holds: one of these must be named.
    """

    opened = Signal(object)
    changed = Signal()
    refused = Signal()
    loading = Signal()
    dataset_wanted = Signal(object, object)

    def __init__(self, background: Background) -> None:
        super().__init__(background)
        self.image: Image | None = None
        self.scan: ScanFile | None = None
        self.tried: Tried | None = None

    def is_at(self, path: Path, page: int, reading: ReadingSettings) -> bool:
        """Whether that is open, or being opened."""
        there = self.wanted is not None and self.wanted.resolve() == Path(path).resolve()
        return there and (self._page, self._reading) == (page, reading)

    def open(
        self, path: Path, page: int = 0, reading: ReadingSettings | None = None
    ) -> Coroutine[Any, Any, bool]:
        """Open a page of an image or a measurement; what was open stays where it cannot be read.

        False also where something else was asked for since. It is the wanted one from the call on, read when what is
        returned is awaited.
        """
        wish = self._ask(path)
        self.tried = Tried(Path(path), page, reading or ReadingSettings())
        self.loading.emit()
        return self._open(wish, path, page, reading)

    async def _open(self, wish: int, path: Path, page: int, reading: ReadingSettings | None) -> bool:
        def read() -> tuple[Image, ScanFile | None] | None:
            return read_and_keep(path, page, reading) if self._is_latest(wish) else None

        found = await self._background.read(read)
        if not self._is_latest(wish):
            return False
        self.opening = None
        self.loading.emit()
        if found is None:
            if reading is None or not reading.dataset:
                await self.offer_datasets(Path(path))
            return False
        before, self.path, self.tried = self.image, Path(path), None
        self.image, self.scan = found
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
        """Open another page of the file that is open, or being opened."""
        if self.wanted is None:
            return False
        return await self.open(self.wanted, page, self._reading)

    async def set_reading(self, changes: Mapping[str, Any]) -> bool:
        """Read the open file in another way: settings of :class:`ReadingSettings` by name."""
        if self.wanted is None:
            return False
        page, reading = self._page, self._reading
        try:
            done = await self.open(
                self.wanted, page, make(ReadingSettings, reading.model_dump() | dict(changes))
            )
        except PadisError as error:
            self._background.message.emit("error", str(error), "")
            done = False
        if not done:
            self.refused.emit()
        return done

    @property
    def _page(self) -> int:
        """The page of what is being opened, else of what is open."""
        if self.opening is not None and self.tried is not None:
            return self.tried.page
        return 0 if self.image is None else self.image.page

    @property
    def _reading(self) -> ReadingSettings:
        """How what is being opened is read, else what is open."""
        if self.opening is not None and self.tried is not None:
            return self.tried.reading
        return ReadingSettings() if self.image is None else self.image.reading
