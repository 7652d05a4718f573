"""All of a volume, read for a run in the thread of its planes; what cannot fit into the memory is not begun."""

import asyncio
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from padis_gui.core.images.image import Image
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.runs.estimate import volume_mb
from padis_gui.core.settings.errors import Interrupted
from padis_gui.core.settings.machine import free_memory_mb
from padis_gui.core.volumes.request import VolumeSettings
from padis_gui.core.volumes.whole import open_volume
from padis_gui.viewmodels.state.background import Background, Check, Failure
from padis_gui.viewmodels.state.stack import StackReader


class VolumeLoading(QObject):
    """One volume at a time; ``share`` of it is read, 0 to 1, None while none is. ``progressed`` comes with it."""

    progressed = Signal()
    _went = Signal(object, float)

    def __init__(self, background: Background) -> None:
        super().__init__(background)
        self._background = background
        self._wanted: asyncio.Future[Image | None] | None = None
        self.share: float | None = None
        self._went.connect(self._take)

    def begin(
        self, reader: StackReader, prior: PatchPrior, path: Path
    ) -> "asyncio.Future[Image | None] | None":
        """Read all that ``reader`` shows planes of; what comes is the volume, or None where it is given up or cannot be
        read, which is said. None at once while another one is read, and where a run on it has no memory.
        """
        if self._wanted is not None or self._lacks(reader, prior):
            return None
        settings = VolumeSettings(pages=f"{reader.pages.start}-{reader.pages.stop - 1}")
        self._wanted = future = asyncio.get_running_loop().create_future()
        self.share = 0.0

        def work(check: Check) -> Image:
            def tell(done: int, total: int) -> None:
                check()
                if self._wanted is not future:
                    raise Interrupted
                self._went.emit(future, done / total)

            return open_volume(path, settings, reader.example, prior, tell)

        def done(found: Any) -> None:
            if self._wanted is not future:
                return
            if isinstance(found, Failure):
                self._background.message.emit("error", found.sentence, found.details)
            self._end(found if isinstance(found, Image) else None)

        self._background.plane_requests.ask("all of the volume", work, done)
        return future

    def cancel(self) -> bool:
        """Give it up; returns whether one was being read."""
        was = self._wanted is not None
        self._end(None)
        return was

    def _end(self, image: Image | None) -> None:
        future, self._wanted, self.share = self._wanted, None, None
        if future is not None and not future.done():
            future.set_result(image)

    def _take(self, future: object, share: float) -> None:
        if future is self._wanted:
            self.share = share
            self.progressed.emit()

    def _lacks(self, reader: StackReader, prior: PatchPrior) -> bool:
        """Whether a run would take more memory than is free, which is said, with what helps."""
        slices, rows, columns = reader.shape[:3]
        wanted, free = volume_mb(slices, rows, columns), free_memory_mb(prior.device)
        if not free or wanted <= free:
            return False
        self._background.message.emit(
            "error", f"Memory for a run on the whole volume was wanted, but {slices} slices of {columns} × {rows} take at "
            f"least {wanted / 1024:.1f} GiB and {free / 1024:.1f} GiB are free; take fewer slices, crop them, or bin "
            "their pixels.", "",
        )  # fmt: skip
        self._background.remedy_wanted.emit("smaller")
        return True
