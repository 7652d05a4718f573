"""Brings the boundary laboratory into the window: overlay, maps in the panes, its panels, the A/B page."""

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QDockWidget, QMainWindow, QMenu, QToolButton, QWidget

from padis_gui.core.prior.partition import Box
from padis_gui.gui.frame.display import RunDisplay
from padis_gui.gui.kit.actions import Actions
from padis_gui.gui.kit.focus import AskedByKey, give_keyboard
from padis_gui.gui.laboratory.ab import ABPage
from padis_gui.gui.laboratory.panel import LaboratoryPanel, overlay_menu
from padis_gui.gui.laboratory.tile_inspector import TileInspector
from padis_gui.gui.panes.pane_grid import PaneGrid
from padis_gui.viewmodels.laboratory.ab import ABRun
from padis_gui.viewmodels.laboratory.inspector import Inspector
from padis_gui.viewmodels.laboratory.laboratory import Laboratory
from padis_gui.viewmodels.laboratory.seam_maps import COVERAGE, MAPS, SOURCES
from padis_gui.viewmodels.pictures.levels import Range
from padis_gui.viewmodels.session.session import Session

_INSPECTOR_WIDTH, _INSPECTOR_SHARE = 430, 0.24  # px, and of the window's width, that its pictures want


class LaboratoryInWindow(QObject):
    """Makes the view models and their widgets; :meth:`join` ties them to the finished window.

    ``panel`` and ``tile`` are for docks, ``page`` for a page of its own.
    """

    def __init__(self, window: QMainWindow, session: Session, act: Actions, panes: PaneGrid) -> None:
        super().__init__(window)
        self._session, self._panes = session, panes
        self._cursor = (-1, -1)
        self.model, self.inspector, self.ab = Laboratory(session), Inspector(session), ABRun(session)
        for source in SOURCES:
            panes.register_source(source)
        self.panel = LaboratoryPanel(session, self.model, panes, self._show_source)
        self.tile = TileInspector(session, self.inspector, self._image_levels)
        self.page = ABPage(session, self.ab, self._image_levels, act)
        act.fit.triggered.connect(self.page.links.fit)
        self.menu = overlay_menu(self.model, window)
        self.inspect = QAction("Inspect ti&le", window)
        self.inspect.setObjectName("inspect")
        self.inspect.setShortcut("I")
        self.inspect.setToolTip("Show what the network gets and gives for the tile under the cursor (I)")
        self.inspect.triggered.connect(self._inspect)
        AskedByKey(self.inspect, lambda: give_keyboard(self.tile))
        window.addAction(self.inspect)

    def join(self, display: RunDisplay, view_menu: QMenu, tiling_button: QWidget | None) -> None:
        """Tie overlay and maps to what is painted, and put the overlay's menu where the tiling is switched."""
        panes, model = self._panes, self.model
        model.inspected = self._inspected
        display.overlay_of = model.overlay
        model.overlay_changed.connect(display.redraw_overlay)
        model.maps_changed.connect(self._show_maps)
        model.measured.connect(self._show_maps)
        display.progressed.connect(self.panel.refresh)
        self._session.shown.changed.connect(self._show_maps)
        self.inspector.selected.connect(display.redraw_overlay)
        panes.arranged.connect(self._want_maps)
        panes.picked.connect(self._pick)
        panes.hovered.connect(self._remember_cursor)
        for widget in (self.panel, self.tile):
            dock = widget.parentWidget()
            if isinstance(dock, QDockWidget):
                dock.visibilityChanged.connect(widget.set_seen)
        view_menu.addSeparator()
        view_menu.addMenu(self.menu)
        view_menu.addAction(self.inspect)
        if isinstance(tiling_button, QToolButton):
            tiling_button.setMenu(self.menu)
            tiling_button.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)

    # The A/B page ---------------------------------------------------------------------------------

    def steer(self, name: str) -> bool:
        """Do what the action of that name says with the comparison, where its page is in front; else False."""
        if not self.page.isVisible():
            return False
        button = self.page.controls.buttons[name]
        if button.isEnabled():
            button.click()
        return True

    def allow(self, act: Actions) -> None:
        """Enable for the page in front what its own buttons can do now."""
        if self.page.isVisible():
            for name, button in self.page.controls.buttons.items():
                getattr(act, name).setEnabled(button.isEnabled())
            act.offer_run("")  # the button of the page says what it does, and why not
            act.pause.setText(f"&{self.page.controls.buttons['pause'].text()}")

    # Maps and overlay -----------------------------------------------------------------------------

    def _image_levels(self) -> Range:
        """The levels that the panes have in common for images."""
        picture_set = self._panes.picture_set
        return picture_set.look(picture_set.sources["estimate"]).levels

    def _show_source(self, key: str) -> None:
        """Put a map into a pane: the one that has it, or the framed one, or another that shows neither map nor estimate."""
        panes = self._panes
        if any(pane.source == key for pane in panes.panes):
            return
        free = [p for p in (panes.active, *reversed(panes.panes)) if p.source not in (*MAPS, "estimate")]
        (free[0] if free else panes.active).show_source(key)

    def _want_maps(self) -> None:
        self.model.want({pane.source for pane in self._panes.panes} & set(MAPS))

    def _show_maps(self) -> None:
        self._panes.set_pictures({key: self.model.maps.get(key) for key in MAPS})
        self._panes.set_captions(self.model.captions())
        coverage = self.model.coverage
        if coverage is not None:
            self._panes.picture_set.propose_levels({COVERAGE: (0.0, max(1.0, coverage.most))})

    # The tile inspector ---------------------------------------------------------------------------

    def _inspected(self) -> Box | None:
        return self.inspector.box if self.inspector.watched else None

    def _remember_cursor(self, row: int, column: int) -> None:
        if row >= 0:
            self._cursor = row, column

    def _pick(self, source: str, row: int, column: int) -> None:
        if self.inspector.watched and self._panes.picture_set.sources[source].tiled:
            self.inspector.pick(row, column)

    def _inspect(self) -> None:
        """Look at the tile under the cursor; the panel comes to the front, wide enough for its pictures."""
        dock = self.tile.parentWidget()
        if isinstance(dock, QDockWidget):
            dock.show()
            dock.raise_()
            host = dock.parent()
            if isinstance(host, QMainWindow) and not dock.isFloating():
                wanted = max(_INSPECTOR_WIDTH, round(_INSPECTOR_SHARE * host.width()))
                if dock.width() < wanted:
                    host.resizeDocks([dock], [wanted], Qt.Orientation.Horizontal)
        self.inspector.pick(*self._cursor)
