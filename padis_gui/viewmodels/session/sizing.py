"""What is taken of the open file, and how it is mended.

The size of what is reconstructed: a part of the picture, fewer pixels, a preview first, and what helps where memory is
short or pixels are no numbers.

The corrections of a scan: what is on, what is proposed, and the scan before and after beside each other.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from padis_gui.core.files.read import image_of_row
from padis_gui.core.files.scans.scan import ScanFile
from padis_gui.core.images.corrections import Proposal
from padis_gui.core.images.image import Image, ReadingSettings
from padis_gui.core.images.size import SMALLEST, Box, region_in_file, smaller
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.state.background import Check, Failure
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


# Corrections of a scan ----------------------------------------------------------------------------

_SIDE = 320  # px of a picture at most
_CLIPPED = 0.5  # per cent of the values at either end

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Pictures (rows, columns) of sinogram and FBP, each before and after; and by how much they change, relatively."""

    sinograms: tuple[Picture, Picture]
    images: tuple[Picture, Picture]
    sinogram_changes: float
    image_changes: float
    proposed: bool  # after is with what is proposed; else with what is on


class Corrections(QObject):
    """``changed`` is emitted when another image is open, and when its comparison has come.

    The comparison is made in the I/O thread and dropped where something else is open by then.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._of: Image | None = None
        self.comparison: Comparison | None = None
        self.comparing = False
        session.data.changed.connect(self._follow)
        session.data.refused.connect(self.changed)

    @property
    def image(self) -> Image | None:
        """The open image, where it is a scan."""
        image = self._session.data.image
        return image if image is not None and image.is_scan else None

    @property
    def proposals(self) -> tuple[Proposal, ...]:
        """What the open scan asks for and what is off."""
        image = self.image
        return () if image is None or image.measured is None else image.measured.proposals

    def set(self, name: str, value: Any) -> None:
        """Change one setting, and read the scan again."""
        self._session.spawn(self._session.data.set_reading({name: value}))

    def take(self, proposals: tuple[Proposal, ...]) -> None:
        """Switch on what is proposed."""
        changes = {proposal.name: proposal.value for proposal in proposals}
        self._session.spawn(self._session.data.set_reading(changes))

    def _follow(self) -> None:
        image, scan = self.image, self._session.data.scan
        if image is self._of:
            return
        self._of, self.comparison, self.comparing = image, None, False
        self._session.io_requests.forget("corrections")
        if image is not None and scan is not None and (_is_corrected(image) or self._previewed(image)):
            self.comparing = True
            self._session.io_requests.ask(
                "corrections",
                lambda check: self._compare(image, scan, check),
                lambda it: self._take(image, it),
            )
        self.changed.emit()

    @staticmethod
    def _previewed(image: Image) -> dict[str, Any]:
        """What is proposed and leaves the detector's bins as they are."""
        proposals = () if image.measured is None else image.measured.proposals
        return {each.name: each.value for each in proposals if each.name != "crop_bins"}

    def _compare(self, image: Image, scan: ScanFile, check: Check) -> Comparison:
        """The open image beside the same without corrections; or, while none is on, with those that are proposed."""
        proposed = not _is_corrected(image)
        changes = self._previewed(image) if proposed else image.reading.uncorrected
        check()
        other = image_of_row(scan, image.page, image.reading.model_copy(update=changes))
        check()
        before, after = (image, other) if proposed else (other, image)
        one, two = (
            np.zeros((1, 1)) if it.measured is None else it.measured.values[0] for it in (before, after)
        )
        return Comparison(
            sinograms=side_by_side(one, two), images=side_by_side(before.pixels[0], after.pixels[0]),
            sinogram_changes=_relative(one, two), image_changes=_relative(before.pixels, after.pixels),
            proposed=proposed,
        )  # fmt: skip

    def _take(self, image: Image, found: Any) -> None:
        if image is not self._of:
            return
        self.comparing = False
        if isinstance(found, Comparison):
            self.comparison = found
        elif isinstance(found, Failure):
            self._session.message.emit("warning", found.sentence, found.details)
        self.changed.emit()


def _is_corrected(image: Image) -> bool:
    """Whether anything but a crop is on."""
    reading = image.reading
    return reading != reading.model_copy(update=reading.uncorrected)


def side_by_side(before: NDArray[Any], after: NDArray[Any]) -> tuple[Picture, Picture]:
    """Two arrays (rows, columns) of one size as small pictures with the same levels.

    Of the values that become one pixel, both show the one that changes most: a single reading is not lost.
    """
    rows, columns = before.shape
    down, across = -(-rows // _SIDE), -(-columns // _SIDE)
    fill = ((0, -rows % down), (0, -columns % across))
    blocks = [
        np.pad(each, fill, mode="edge")
        .reshape(-(-rows // down), down, -(-columns // across), across)
        .transpose(0, 2, 1, 3)
        .reshape(-(-rows // down), -(-columns // across), -1)
        for each in (before, after)
    ]
    most = np.abs(blocks[1] - blocks[0]).argmax(axis=2)[..., None]
    small = [np.take_along_axis(each, most, axis=2)[..., 0] for each in blocks]
    low, high = np.percentile(small[1], (_CLIPPED, 100 - _CLIPPED))
    scale = 255 / (high - low) if high > low else 0.0
    one, two = (((each - low) * scale).clip(0, 255).round().astype(np.uint8) for each in small)
    return one, two


def _relative(before: NDArray[Any], after: NDArray[Any]) -> float:
    """The norm of the difference, relative to that of what was before."""
    size = float(np.linalg.norm(before))
    return float(np.linalg.norm(after - before)) / size if size else 0.0
