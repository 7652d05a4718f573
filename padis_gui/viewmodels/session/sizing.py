"""The size of what is reconstructed: a part of the picture, fewer pixels, a preview first, and what helps where memory
is short or pixels are no numbers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from padis_gui.core.images.image import Image, ReadingSettings
from padis_gui.core.images.size import SMALLEST, Box, region_in_file, smaller
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.state.opened import Tried


@dataclass(frozen=True, slots=True)
class Full:
    """What a preview was made of: the file, its page, how it was read, and the size in words, width × height."""

    path: Path
    page: int
    reading: ReadingSettings
    size: str


class Sizing(QObject):
    """``changed`` comes with another image and when a preview begins or ends.

    ``full`` is what :meth:`run_full` goes back to while a preview is open, else None.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self.full: Full | None = None
        self._preview: ReadingSettings | None = None
        session.data.changed.connect(self._follow)

    # What there is --------------------------------------------------------------------------------

    @property
    def image(self) -> Image | None:
        """The open image."""
        return self._session.data.image

    @property
    def croppable(self) -> bool:
        """Whether a region of the open image can be taken: of a picture; cropping a scan would only cut its field off."""
        return self.image is not None and not self.image.is_scan

    @property
    def is_whole(self) -> bool:
        """Whether all pixels of the picture are there as they lie in its file."""
        return self.image is None or not self.image.reading.reduces

    def size_by(self, by: int) -> str | None:
        """Width × height with 1/``by`` of the sides; None where that is too small."""
        image = self.image
        if image is None or min(image.shape) // by < SMALLEST:
            return None
        return f"{image.shape[1] // by} × {image.shape[0] // by}"

    # Changing it ----------------------------------------------------------------------------------

    def crop(self, region: Box) -> None:
        """Take this region (left, top, width, height in px of the shown picture) and nothing else."""
        if self.image is not None:
            self._read({"crop": region_in_file(self.image, region)})

    def take_whole(self) -> None:
        """The whole picture at the size that it has in its file."""
        self._read({"crop": (), "pixel_binning": 1, "longest_side": None})

    def reduce(self, by: int) -> None:
        """1/``by`` of the sides over the same field of view."""
        if self.image is not None:
            self._read(smaller(self.image, by))

    def preview_reduced(self, by: int) -> None:
        """Run at 1/``by`` of the sides, with a way back."""
        if self.image is not None:
            self._start_preview(smaller(self.image, by))

    def preview_region(self, region: Box) -> None:
        """Run on this region of the shown picture, with a way back."""
        if self.image is not None:
            self._start_preview({"crop": region_in_file(self.image, region)})

    def run_full(self) -> None:
        """End the preview: read everything again, and run with the method as it is now."""
        if self.full is not None:
            self._session.spawn(self._run_full(self.full))

    def replace_in(self, tried: Tried) -> None:
        """Open what was refused for pixels that are no numbers, with others in their place."""
        self._open(tried, {"not_finite": "replace"})

    def follow_links_in(self, tried: Tried) -> None:
        """Open what was refused for data in other files, with the links to those of its folder followed."""
        self._open(tried, {"linked_files": "own-folder"})

    def open_smaller(self, tried: Tried, by: int) -> None:
        """Open what found no memory with that binning."""
        self._open(tried, {"pixel_binning": tried.reading.pixel_binning * by})

    def _open(self, tried: Tried, changes: Mapping[str, Any]) -> None:
        reading = tried.reading.model_copy(update=dict(changes))
        self._session.spawn(self._session.data.open(tried.path, tried.page, reading))

    def _read(self, changes: Mapping[str, Any]) -> None:
        self._session.spawn(self._session.data.set_reading(changes))

    # Previews -------------------------------------------------------------------------------------

    def _start_preview(self, changes: Mapping[str, Any]) -> None:
        self._session.spawn(self._run_preview(changes))

    async def _run_preview(self, changes: Mapping[str, Any]) -> None:
        session, data, image = self._session, self._session.data, self.image
        if image is None or data.path is None:
            return
        before = self.full or Full(
            data.path, image.page, image.reading, f"{image.shape[1]} × {image.shape[0]}"
        )
        earlier, self._preview = self._preview, image.reading.model_copy(update=dict(changes))
        if not await data.set_reading(changes):
            self._preview = earlier
            return
        if not self._shows_preview():
            return  # something else has been opened meanwhile
        self.full = before
        self.changed.emit()
        session.start()

    async def _run_full(self, full: Full) -> None:
        if await self._session.data.open(full.path, full.page, full.reading):
            self._session.start()

    def _shows_preview(self) -> bool:
        return self.image is not None and self.image.reading == self._preview

    def _follow(self) -> None:
        if self.full is not None and not (
            self._shows_preview() and self._session.data.path == self.full.path
        ):
            self.full = None
        self.changed.emit()


def factor_that_fits(needed_mb: float, fixed_mb: float, free_mb: float) -> int | None:
    """By what the sides must be divided for a run to fit into memory: ``fixed_mb`` of what is needed does not shrink.

    None where that alone does not fit.
    """
    room = free_mb - fixed_mb
    if room <= 0:
        return None
    return max(2, math.ceil(math.sqrt(max(needed_mb - fixed_mb, 0.0) / room)))
