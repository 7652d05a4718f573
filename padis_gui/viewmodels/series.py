"""Whether the open DICOM slice is one of a series in its folder: then the series can be opened instead."""

from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from padis_gui.core.data.folder import Neighbours, series_around
from padis_gui.core.data.reading import ReadingSettings
from padis_gui.viewmodels.session import Session


class SeriesAround(QObject):
    """Looks for the series in the I/O thread whenever a single file is opened."""

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._path: Path | None = None
        self.found: Neighbours | None = None
        session.data_changed.connect(self._look)

    def _look(self) -> None:
        image, path = self._session.image, self._session.data_path
        if path == self._path:
            return
        self._path, self.found = path, None
        self.changed.emit()
        if path is not None and image is not None and image.pages == 1:
            self._session.chores.ask(
                "series", lambda check: series_around(path), lambda it: self._take(path, it)
            )

    def _take(self, path: Path, found: Any) -> None:
        if path == self._path and isinstance(found, Neighbours):
            self.found = found
            self.changed.emit()

    async def open(self) -> bool:
        """Open the series at the slice that is open."""
        if self.found is None or self._path is None:
            return False
        reading = ReadingSettings(dataset=self.found.series)
        return await self._session.open_image(self._path.parent, self.found.page, reading)
