"""Whether the open file is one slice of a series or of numbered images: then all of them can be opened instead."""

from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from padis_gui.core.files.formats._j_folder__core_data_folder import Whole, folder_of_series
from padis_gui.core.images._j_image__core_data_reading import ReadingSettings
from padis_gui.viewmodels.session._j_session__viewmodels_session import Session


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
