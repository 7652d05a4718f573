"""The menu of a pane: maximise and close, levels, colours, comparison, saving."""

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu

from padis_gui.gui.panes._j_image_pane__gui_viewers_image_pane import ImagePane
from padis_gui.gui.panes._j_layers__gui_viewers_colormaps import SEQUENTIAL, SIGNED
from padis_gui.gui.panes.pane_grid import PaneGrid
from padis_gui.viewmodels.pictures._j_levels__viewmodels_levels import MATCH, MATCHABLE, PROPOSALS, propose


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
    for source in grid.gallery.sources:
        if source.key != pane.source and grid.gallery.has(source.key):
            _choice(
                against, source.label, partial(grid.compare_with, grid.compare.mode, pane.source, source.key)
            )
    against.setEnabled(not against.isEmpty())
    menu.addSeparator()
    there = grid.gallery.has(pane.source)
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
    pixels, truth = grid.gallery.pixels(pane.source), grid.gallery.pixels("truth")
    if pixels is not None:
        pane.set_levels(propose(name, pixels, pane.record.scale, truth))


def can_propose(grid: PaneGrid, pane: ImagePane, name: str) -> bool:
    """Whether there is a picture, and for a match one that has the truth's unit, and a truth."""
    if name == MATCH and (pane.record.scale not in MATCHABLE or not grid.gallery.has("truth")):
        return False
    return grid.gallery.has(pane.source)


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
