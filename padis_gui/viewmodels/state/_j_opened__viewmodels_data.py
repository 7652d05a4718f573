"""The open image or measurement: one page of a file, read in one way."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from padis_gui.core.files.formats.open import list_datasets
from padis_gui.core.files.read import read_image
from padis_gui.core.images._j_image__core_data_image import Image
from padis_gui.core.images._j_image__core_data_reading import ReadingSettings
from padis_gui.core.settings._j_declarations__core_settings import make
from padis_gui.core.settings.errors import PadisError
from padis_gui.viewmodels.state._j_background__viewmodels_background import Background
from padis_gui.viewmodels.state._j_opened__viewmodels_prior import OpenPrior


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
