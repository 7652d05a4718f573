"""Writes what the viewers show: a pane as seen, its values, profiles, statistics."""

import re
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject
from PySide6.QtGui import QImage

from padis_gui.core.exports.tiff import picture_as_tiff
from padis_gui.core.images._j_metrics__core_metrics import as_json
from padis_gui.gui.kit._j_files__gui_files import CSVS, PNGS, TIFFS, choose_to_write, png_of
from padis_gui.gui.panes.pane_grid import PaneGrid
from padis_gui.viewmodels.pictures.sources import Lattice, Origin
from padis_gui.viewmodels.runs._j_samples__viewmodels_run_sources import run_id
from padis_gui.viewmodels.session._j_session__viewmodels_session import Session
from padis_gui.viewmodels.state._j_preferences__viewmodels_preferences import Preferences


class Saving(QObject):
    """Asks where, and lets the session's I/O thread write."""

    def __init__(self, session: Session, panes: PaneGrid, preferences: Preferences) -> None:
        super().__init__(panes)
        self._session, self._panes, self._preferences = session, panes, preferences
        panes.save_values.connect(self._choose_values)
        panes.save_view.connect(self._choose_view)

    def choose_csv(self, name: str, text: str) -> None:
        """Ask where a table goes."""
        self._choose(f"Save {name}", CSVS, f"{name}.csv", partial(self.write_csv, name=name, text=text))

    def write_csv(self, path: Path, *, name: str, text: str) -> None:
        """Write a table; Excel takes it for UTF-8 because of the mark at its beginning."""
        self._write(path, lambda: text.encode("utf-8-sig"), f"The {name}")

    def _choose_values(self, key: str) -> None:
        self._choose("Save values", TIFFS, f"{self._file_name(key)}.tif", partial(self.write_values, key=key))

    def write_values(self, path: Path, *, key: str) -> None:
        """Write a source's picture as float32 TIFF, with where it comes from."""
        source, pixels = self._panes.gallery.sources[key], self._panes.gallery.pixels(key)
        if pixels is None:
            return
        on_image = source.lattice is Lattice.IMAGE
        spacing = self._panes.gallery.spacing if on_image else None
        info = self._provenance(key)
        self._write(path, lambda: picture_as_tiff(pixels, info, spacing=spacing), f"The {source.label}")

    def _choose_view(self, key: str, image: QImage) -> None:
        self._choose(
            "Save view", PNGS, f"{self._file_name(key)}.png", partial(self.write_view, key=key, image=image)
        )

    def write_view(self, path: Path, *, key: str, image: QImage) -> None:
        """Write a pane as it was seen."""
        self._write(path, partial(png_of, image), f"The view of {self._panes.gallery.sources[key].label}")

    def _write(self, path: Path, make_data: Any, what: str) -> None:
        self._preferences.went_to("export", path)
        self._session.spawn(self._session.write_file(path, make_data, what))

    def _choose(self, title: str, kinds: str, proposal: str, chosen: Any) -> None:
        start = self._preferences.folder_of("export")
        choose_to_write(self._panes.window(), title, kinds, proposal, chosen, start)

    def _file_name(self, key: str) -> str:
        """The data's name and the source's, with nothing in them that a file system minds."""
        image = self._session.data.image
        names = [] if image is None else [Path(image.name).stem]
        label = self._panes.gallery.sources[key].label
        return re.sub(r"[^\w.-]+", "_", "_".join([*names, label])).strip("_") or "picture"

    def _provenance(self, key: str) -> dict[str, Any]:
        """What a picture is, and the recipe of its run where that has ended."""
        gallery, shown, runs = self._panes.gallery, self._session.shown, self._session.runs
        source = gallery.sources[key]
        info: dict[str, Any] = {"source": source.label, "unit": gallery.unit}
        record = runs.find(run_id(key)) if source.origin is Origin.RUNS else None
        if source.origin is Origin.RUN:
            record = next((r for r in runs.records if r.history is shown.history), shown.record)
        if source.origin is Origin.RUN and (frame := shown.frame()) is not None:
            info |= {"step": frame.step, "steps": frame.total, "sigma": frame.sigma}
        if record is not None:
            info |= {"recipe": record.recipe.model_dump(mode="json"), "metrics": as_json(record.metrics)}
        return info
