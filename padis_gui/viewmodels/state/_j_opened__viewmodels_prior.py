"""The open prior, and the device on which it computes."""

from pathlib import Path

from PySide6.QtCore import QObject, Signal

from padis_gui.core.prior.checkpoint import PriorRecord, load_prior, read_record
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.settings._j_machine__core_device import describe_device, fastest_precision, pick_device
from padis_gui.core.settings.errors import PadisError
from padis_gui.viewmodels.state._j_background__viewmodels_background import Background


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
        if not background.free_for("A prior is changed between runs; finish or cancel this one first."):
            return False
        prior = None
        record = await background.read(read_record, path, training_image_size)
        if record is not None:
            precision = fastest_precision(self.device)
            prior = await background.compute(
                load_prior, Path(path), self.device, precision, training_image_size
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
