"""The menu of a pane: maximise and close, levels, colours, comparison; and saving what it shows, as seen or as values."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QPoint, Qt
from PySide6.QtGui import QAction, QImage
from PySide6.QtWidgets import QMenu

from padis_gui.core.exports.tiff import picture_as_tiff
from padis_gui.core.images.metrics import as_json
from padis_gui.gui.kit.files import CSVS, PNGS, TIFFS, choose_to_write, png_of
from padis_gui.gui.panes.image_pane import ImagePane
from padis_gui.gui.panes.layers import SEQUENTIAL, SIGNED
from padis_gui.gui.panes.pane_grid import PaneGrid
from padis_gui.viewmodels.pictures.levels import MATCH, MATCHABLE, PROPOSALS, propose
from padis_gui.viewmodels.pictures.sources import Origin
from padis_gui.viewmodels.runs.samples import run_id
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.state.preferences import Preferences


def open_menu(grid: PaneGrid, pane: ImagePane, where: QPoint) -> None:
    """The menu of a pane at a place on the screen."""
    menu = QMenu(grid)
    menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    fill_menu(menu, grid, pane)
    menu.popup(where)


def fill_menu(menu: QMenu, grid: PaneGrid, pane: ImagePane) -> None:
    """Everything that can be done with one pane."""
    menu.setToolTipsVisible(True)
    for action in (grid.act.maximise, grid.act.add, grid.act.close):
        menu.addAction(action)
    menu.addSeparator()
    _toggle(menu, "Linked view", pane.canvas.linked, lambda on: grid.set_linked_view(pane, on))
    _toggle(menu, "Own levels and colours", pane.own is not None, lambda on: grid.set_own_levels(pane, on))
    levels = menu.addMenu("Levels")
    for name in PROPOSALS:
        _choice(levels, name, partial(propose_to, grid, pane, name), enabled=can_propose(grid, pane, name))
    colours = menu.addMenu("Colours")
    for name in SIGNED if pane.record.scale.signed else SEQUENTIAL:
        action = _choice(colours, name, partial(pane.set_colours, name))
        action.setCheckable(True)
        action.setChecked(name == pane.look.colours)
    against = menu.addMenu("Compare with")
    for source in grid.picture_set.sources:
        if source.key != pane.source and grid.picture_set.has(source.key):
            _choice(
                against, source.label, partial(grid.compare_with, grid.compare.mode, pane.source, source.key)
            )
    against.setEnabled(not against.isEmpty())
    menu.addSeparator()
    there = grid.picture_set.has(pane.source)
    _choice(menu, "Copy view", lambda: grid.copy_view(pane), enabled=there)
    _choice(
        menu,
        "Save view as PNG…",
        lambda: grid.save_view.emit(pane.source, grid.view_image(pane)),
        enabled=there,
    )
    _choice(menu, "Save values as TIFF…", lambda: grid.save_values.emit(pane.source), enabled=there)


def propose_to(grid: PaneGrid, pane: ImagePane, name: str) -> None:
    """Set a pane's levels to one of the proposals."""
    pixels, truth = grid.picture_set.pixels(pane.source), grid.picture_set.pixels("truth")
    if pixels is not None:
        pane.set_levels(propose(name, pixels, pane.record.scale, truth))


def can_propose(grid: PaneGrid, pane: ImagePane, name: str) -> bool:
    """Whether there is a picture, and for a match one that has the truth's unit, and a truth."""
    if name == MATCH and (pane.record.scale not in MATCHABLE or not grid.picture_set.has("truth")):
        return False
    return grid.picture_set.has(pane.source)


def _choice(menu: QMenu, text: str, act: Callable[[], object], *, enabled: bool = True) -> QAction:
    action = menu.addAction(text)
    action.setEnabled(enabled)
    action.triggered.connect(lambda _checked=False: act())
    return action


def _toggle(menu: QMenu, text: str, on: bool, act: Callable[[bool], object]) -> None:
    action = menu.addAction(text)
    action.setCheckable(True)
    action.setChecked(on)
    action.toggled.connect(act)


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
        source, pixels = self._panes.picture_set.sources[key], self._panes.picture_set.pixels(key)
        if pixels is None:
            return
        spacing = self._panes.picture_set.pitch(source.lattice.value)
        info = self._provenance(key)
        self._write(path, lambda: picture_as_tiff(pixels, info, spacing=spacing), f"The {source.label}")

    def _choose_view(self, key: str, image: QImage) -> None:
        self._choose(
            "Save view", PNGS, f"{self._file_name(key)}.png", partial(self.write_view, key=key, image=image)
        )

    def write_view(self, path: Path, *, key: str, image: QImage) -> None:
        """Write a pane as it was seen."""
        self._write(path, partial(png_of, image), f"The view of {self._panes.picture_set.sources[key].label}")

    def _write(self, path: Path, make_data: Any, what: str) -> None:
        self._preferences.went_to("export", path)
        self._session.spawn(self._session.write_file(path, make_data, what))

    def _choose(self, title: str, kinds: str, proposal: str, chosen: Any) -> None:
        start = self._preferences.folder_of("export")
        choose_to_write(self._panes.window(), title, kinds, proposal, chosen, start)

    def _file_name(self, key: str) -> str:
        """The data's name and the source's, with nothing in them that a file system minds."""
        image = self._session.screen.subject.image
        names = [] if image is None else [Path(image.name).stem]
        label = self._panes.picture_set.sources[key].label
        return re.sub(r"[^\w.-]+", "_", "_".join([*names, label])).strip("_") or "picture"

    def _provenance(self, key: str) -> dict[str, Any]:
        """What a picture is, and the recipe of its run where that has ended."""
        picture_set, shown, runs = self._panes.picture_set, self._session.shown, self._session.runs
        source = picture_set.sources[key]
        info: dict[str, Any] = {"source": source.label, "unit": picture_set.unit}
        record = runs.find(run_id(key)) if source.origin is Origin.RUNS else None
        if source.origin is Origin.RUN:
            record = next((r for r in runs.records if r.history is shown.history), shown.record)
        if source.origin is Origin.RUN and (frame := shown.frame()) is not None:
            info |= {"step": frame.step, "steps": frame.total, "sigma": frame.sigma}
        if record is not None:
            info |= {"recipe": record.recipe.model_dump(mode="json"), "metrics": as_json(record.metrics)}
        return info
