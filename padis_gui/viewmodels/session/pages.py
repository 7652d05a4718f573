"""The pages of the open file, and the series around it.

Whether the open file is one slice of a series or of numbered images: then all of them can be opened instead.

Small pictures of the open file's pages, made when they are looked at; the file is opened once for all of them.
"""

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from padis_gui.core.files.formats.folder import Whole, folder_of_series
from padis_gui.core.files.formats.open import open_pages, read_page
from padis_gui.core.files.formats.pages import Pages
from padis_gui.core.files.read import read_image
from padis_gui.core.images.image import Image, ReadingSettings
from padis_gui.core.settings.errors import PadisError
from padis_gui.viewmodels.runs.runs import thumbnail
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.state.background import Check, Failure


class SeriesAround(QObject):
    """Looks for the series in the I/O thread whenever a single file is opened."""

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._path: Path | None = None
        self.found: Whole | None = None
        session.data.changed.connect(self._look)

    def _look(self) -> None:
        image, path = self._session.data.image, self._session.data.path
        if path == self._path:
            return
        self._path, self.found = path, None
        self.changed.emit()
        if path is not None and image is not None and image.pages == 1:
            self._session.io_requests.ask(
                "series", lambda check: folder_of_series(path), lambda it: self._take(path, it)
            )

    def _take(self, path: Path, found: Any) -> None:
        if path == self._path and isinstance(found, Whole):
            self.found = found
            self.changed.emit()

    async def open(self) -> bool:
        """Open the series at the slice that is open."""
        if self.found is None:
            return False
        reading = ReadingSettings(dataset=self.found.dataset)
        return await self._session.data.open(self.found.folder, self.found.page, reading)


class PageTurner(QObject):
    """Turns the pages of the open file one after the other: of those that are asked for meanwhile only the latest counts.

    ``wanted`` is the page that is on its way, None where there is none. ``arrived`` comes when none is any more.
    """

    arrived = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._path: Path | None = None
        self._turning = False
        self.wanted: int | None = None

    def turn(self, page: int) -> None:
        """Open a page soon, the first or the last one where there is none of that number."""
        image = self._session.data.image
        if image is None or self._session.closed:
            return
        self.wanted, self._path = min(max(page, 0), image.pages - 1), self._session.data.path
        if not self._turning:
            self._turning = True
            self._session.spawn(self._go_on())

    async def _go_on(self) -> None:
        data = self._session.data
        try:
            while (page := self.wanted) is not None and data.path == self._path and data.image is not None:
                if page != data.image.page:
                    await data.open_page(page)
                if self.wanted == page:  # nothing else was asked for while it was read
                    self.wanted = None
        finally:
            self._turning, self.wanted = False, None
            self.arrived.emit()


_KEPT = 600  # thumbnails, some 20 kB each
_MOST_WANTED = 60
_SCAN_SIDE = 96

Thumbnail = NDArray[np.uint8]


class Slices(QObject):
    """The pages of what the session has open. Pictures are made in the I/O thread, the latest asked for first."""

    changed = Signal()  # another file, or another reading of it
    came = Signal(int)  # the picture of this page is there

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._made: OrderedDict[int, Thumbnail | None] = OrderedDict()
        self._wanted: list[int] = []
        self._source = _Source()
        self._of: tuple[Path, ReadingSettings] | None = None
        session.data.changed.connect(self._follow)
        session.closing.connect(self._forget)

    @property
    def count(self) -> int:
        """How many pages there are; 0 while nothing is open."""
        image = self._session.data.image
        return 0 if image is None else image.pages

    def picture(self, page: int) -> Thumbnail | None:
        """The small picture of a page, (rows, columns) or (rows, columns, 3); None until it came, or where it cannot."""
        if page in self._made:
            self._made.move_to_end(page)
            return self._made[page]
        if page not in self._wanted and 0 <= page < self.count:
            self._wanted.append(page)
            del self._wanted[:-_MOST_WANTED]  # who scrolls on does not wait for what has gone out of sight
            self._ask()
        return None

    def _follow(self) -> None:
        image, path = self._session.data.image, self._session.data.path
        of = None if image is None or path is None else (path, image.reading)
        if of != self._of:
            self._forget()
            self._of = of
            self.changed.emit()

    def _forget(self) -> None:
        self._made.clear()
        self._wanted.clear()
        self._of = None
        self._session.submit_io(self._source.close)  # not a request: those are dropped at the end

    def _ask(self) -> None:
        if not self._wanted or self._of is None or self._session.data.image is None:
            return
        page, of, example = self._wanted[-1], self._of, self._session.data.image

        def work(check: Check) -> Thumbnail | None:
            return self._source.thumbnail(of[0], of[1], page, example)

        self._session.io_requests.ask("slices", work, lambda found: self._keep(of, page, found))

    def _keep(self, of: tuple[Path, ReadingSettings], page: int, found: Any) -> None:
        if of != self._of:
            return
        if page in self._wanted:
            self._wanted.remove(page)
        self._made[page] = None if isinstance(found, Failure) else found
        while len(self._made) > _KEPT:
            self._made.popitem(last=False)
        self.came.emit(page)
        self._ask()


class _Source:
    """Used by the I/O thread alone: the file, kept open from one page to the next."""

    def __init__(self) -> None:
        self._pages: Pages | None = None
        self._of: tuple[Path, str] | None = None

    def thumbnail(self, path: Path, reading: ReadingSettings, page: int, example: Image) -> Thumbnail | None:
        """A picture of a page in the window of ``example``, which is a page of the same file; None if it can't be."""
        try:
            if example.is_scan:
                pitch = reading.pixel_pitch  # as many mm on fewer pixels
                wider = None if pitch is None else pitch * example.shape[1] / _SCAN_SIDE
                small = reading.model_copy(update={"image_size": _SCAN_SIDE, "pixel_pitch": wider})
                found = read_image(path, page, small)
                # without lengths the unit is that of the image's own pixels, which are larger here
                return thumbnail(found if example.unit == "1/px" else found.with_window(example.window))
            of = (path, reading.dataset)
            if self._pages is None or self._of != of:
                self.close()
                self._pages, self._of = open_pages(*of), of
            pixels = read_page(self._pages, page, reading).pixels
        except PadisError:
            return None
        return thumbnail(replace(example, pixels=pixels, measured=None))

    def close(self) -> None:
        """Let go of the file."""
        if self._pages is not None:
            self._pages.close()
        self._pages = self._of = None
