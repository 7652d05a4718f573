"""The corrections of the open scan: what is on, what is proposed, and the scan before and after beside each other."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from padis_gui.core.files.read import read_image
from padis_gui.core.images.corrections import Proposal
from padis_gui.core.images.image import Image
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.state.background import Check, Failure

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
        image, path = self.image, self._session.data.path
        if image is self._of:
            return
        self._of, self.comparison, self.comparing = image, None, False
        self._session.io_requests.forget("corrections")
        if image is not None and path is not None and (_is_corrected(image) or self._previewed(image)):
            self.comparing = True
            self._session.io_requests.ask(
                "corrections",
                lambda check: self._compare(image, path, check),
                lambda it: self._take(image, it),
            )
        self.changed.emit()

    @staticmethod
    def _previewed(image: Image) -> dict[str, Any]:
        """What is proposed and leaves the detector's bins as they are."""
        proposals = () if image.measured is None else image.measured.proposals
        return {each.name: each.value for each in proposals if each.name != "crop_bins"}

    def _compare(self, image: Image, path: Path, check: Check) -> Comparison:
        """The open image beside the same without corrections; or, while none is on, with those that are proposed."""
        proposed = not _is_corrected(image)
        changes = self._previewed(image) if proposed else image.reading.uncorrected
        check()
        other = read_image(path, image.page, image.reading.model_copy(update=changes))
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
