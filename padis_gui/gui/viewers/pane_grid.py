"""The panes: any number in a grid, linked pan, zoom, levels and cursor, drawing tools, and the comparison."""

from collections.abc import Iterator, Mapping
from typing import Any

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QGuiApplication, QImage, QResizeEvent
from PySide6.QtWidgets import QApplication, QMenu, QStackedWidget, QWidget

from padis_gui.core.partition import Partition
from padis_gui.gui.layouts import column, grid
from padis_gui.gui.viewers.arrangement import MOST, arrangement_of, rearrange
from padis_gui.gui.viewers.canvas import Canvas, Group
from padis_gui.gui.viewers.compare import CompareView, Mode
from padis_gui.gui.viewers.drawing import DrawingTools
from padis_gui.gui.viewers.image_pane import ImagePane, column_count
from padis_gui.gui.viewers.links import Links
from padis_gui.gui.viewers.pane_menu import fill_menu
from padis_gui.gui.viewers.source_choice import SourceModel
from padis_gui.gui.viewers.view_actions import ViewActions
from padis_gui.gui.viewers.view_bar import ViewBar
from padis_gui.viewmodels.gallery import Gallery, Picture, Pixels, value_text
from padis_gui.viewmodels.overlay import Overlay
from padis_gui.viewmodels.sources import Source

_DEFAULT = ("truth", "baseline", "estimate", "difference")
# What a further pane shows first: the earliest of these that no pane shows
_NEXT = (*_DEFAULT, "measurement", "misfit", "state", "denoised", "measured", "deviation")


class PaneGrid(QWidget):
    """Panes on the gallery's sources. ``hovered`` and ``picked`` carry the (row, column) under the cursor and of a
    click, in the pixels of ``links.group``; ``save_values`` and ``save_view`` what the user wants written.
    """

    hovered = Signal(int, int)
    picked = Signal(str, int, int)  # source, row, column
    active_changed = Signal()
    arranged = Signal()
    save_values = Signal(str)  # source
    save_view = Signal(str, object)  # source, QImage

    def __init__(self, gallery: Gallery | None = None) -> None:
        super().__init__()
        self.gallery = gallery or Gallery(self)
        self.panes: list[ImagePane] = []
        self.maximised: ImagePane | None = None
        self._active: ImagePane | None = None
        self._overlay: Overlay | None = None
        self._tiling_shown = True
        self.model = SourceModel(self.gallery, self)
        self.links = Links(self)
        self.tools = DrawingTools(self.links)
        self.act = ViewActions(self)
        self._board = QWidget()
        self._board.setMinimumSize(0, 0)
        self._cells = grid(self._board, spacing=4)
        self._columns = 0
        self.compare = CompareView(self.gallery, self.model, self.links)
        for canvas in self.compare.canvases:
            self._enlist(canvas)
        self._stack = QStackedWidget()
        self._stack.addWidget(self._board)
        self._stack.addWidget(self.compare)
        layout = column(self, spacing=4, margins=(6, 4, 6, 6))
        layout.addWidget(ViewBar(self.act))
        layout.addWidget(self._stack, 1)
        self._connect()
        for source in _DEFAULT:
            self.add_pane(source)
        self.set_active(self.panes[0])

    def _connect(self) -> None:
        gallery, act = self.gallery, self.act
        gallery.changed.connect(self._refresh)
        gallery.restyled.connect(self.refresh_all)
        gallery.listed.connect(self.refresh_all)
        self.links.pointed.connect(self.hovered)
        self.compare.left.connect(lambda: self.compare_with(None))
        self.compare.shown_changed.connect(self._redraw_overlays)
        act.add.triggered.connect(lambda: self.add_pane())
        act.close.triggered.connect(lambda: self.remove_pane(self.active))
        act.maximise.triggered.connect(lambda: self.maximise(None if self.maximised else self.active))
        act.link.triggered.connect(lambda: self.active.link.toggle())
        act.tools.triggered.connect(lambda action: self.tools.set_tool(action.data()))
        act.modes.triggered.connect(
            lambda action: self.compare_with(action.data() if action.isChecked() else None)
        )
        app = QApplication.instance()
        if isinstance(app, QApplication):
            app.focusChanged.connect(self._follow_focus)

    # Panes ----------------------------------------------------------------------------------------

    @property
    def active(self) -> ImagePane:
        """The framed pane: keys and levels act on it."""
        return self._active or self.panes[0]

    def set_active(self, pane: ImagePane) -> None:
        """Frame this pane."""
        if pane is not self._active:
            self._active = pane
            self._frame_active()
            self.active_changed.emit()

    def _frame_active(self) -> None:
        for pane in self.panes:
            pane.set_active(pane is self._active and len(self.panes) > 1 and self.maximised is None)

    def add_pane(self, source: str | None = None) -> ImagePane | None:
        """One more pane, on a source that is not shown yet where none is named; None where there are enough."""
        if len(self.panes) >= MOST:
            return None
        shown = {pane.source for pane in self.panes}
        key = source or next((key for key in _NEXT if key not in shown), "estimate")
        pane = ImagePane(self.gallery, self.model, key)
        pane.source_chosen.connect(lambda: self._source_changed(pane))
        pane.regrouped.connect(lambda: self._regroup(pane))
        pane.link_toggled.connect(lambda linked: self._set_linked(pane, linked))
        pane.maximise_wanted.connect(lambda: self.maximise(None if self.maximised else pane))
        pane.close_wanted.connect(lambda: self.remove_pane(pane))
        pane.menu_wanted.connect(lambda where: self._open_menu(pane, where))
        pane.canvas.focused.connect(lambda: self.set_active(pane))
        pane.canvas.picked.connect(lambda row, column: self._pick(pane, row, column))
        self._enlist(pane.canvas)
        self.panes.append(pane)
        self.maximise(None)
        self.arrange()
        pane.refresh()
        return pane

    def _enlist(self, canvas: Canvas) -> None:
        self.links.join(canvas)
        self.tools.join(canvas)

    def remove_pane(self, pane: ImagePane) -> None:
        """Take a pane away; the last one stays."""
        if len(self.panes) == 1:
            return
        self.panes.remove(pane)
        self.links.leave(pane.canvas)
        self._cells.removeWidget(pane)
        pane.hide()
        pane.deleteLater()
        if self._active is pane:
            self._active = None
            self.set_active(self.panes[0])
        if self.maximised is pane:
            self.maximised = None
        self.arrange()

    def maximise(self, pane: ImagePane | None) -> None:
        """Show this pane alone; None shows all of them."""
        if pane is self.maximised:
            return
        self.maximised = pane
        if pane is not None:
            self.set_active(pane)
        self.arrange()

    def arrange(self) -> None:
        """Put the panes into the grid that shows them largest."""
        shown = self.panes if self.maximised is None else [self.maximised]
        self._columns = column_count(len(shown), max(self._board.width(), 1), max(self._board.height(), 1))
        for pane in self.panes:
            self._cells.removeWidget(pane)
        for index, pane in enumerate(shown):
            self._cells.addWidget(pane, index // self._columns, index % self._columns)
        for line in range(MOST):
            self._cells.setRowStretch(line, int(line * self._columns < len(shown)))
            self._cells.setColumnStretch(line, int(line < self._columns))
        for pane in self.panes:
            pane.setVisible(pane in shown)
            pane.set_maximised(self.maximised is not None)
            pane.set_closable(len(self.panes) > 1)
        self.act.add.setEnabled(len(self.panes) < MOST)
        self.act.close.setEnabled(len(self.panes) > 1)
        self._frame_active()
        self.arranged.emit()

    def _source_changed(self, pane: ImagePane) -> None:
        self._regroup(pane)
        self.set_active(pane)
        self.active_changed.emit()
        self.arranged.emit()

    def _regroup(self, pane: ImagePane) -> None:
        self.links.place(pane.canvas, pane.group)
        self._redraw_overlays()

    def set_linked_view(self, pane: ImagePane, linked: bool) -> None:
        """Pan and zoom a pane with the others, or by itself."""
        self.links.set_linked(pane.canvas, linked)
        pane.say_link()

    def set_own_levels(self, pane: ImagePane, own: bool) -> None:
        """Give a pane levels and colours of its own, or those in common."""
        pane.set_own_levels(own)
        self.active_changed.emit()

    def _set_linked(self, pane: ImagePane, linked: bool) -> None:
        self.links.set_linked(pane.canvas, linked)
        self.active_changed.emit()

    def _open_menu(self, pane: ImagePane, where: QPoint) -> None:
        self.set_active(pane)
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        fill_menu(menu, self, pane)
        menu.popup(where)

    def _follow_focus(self, _old: QWidget | None, new: QWidget | None) -> None:
        pane = next((p for p in self.panes if new is not None and p.isAncestorOf(new)), None)
        if pane is not None:
            self.set_active(pane)

    def _pick(self, pane: ImagePane, row: int, column: int) -> None:
        if row >= 0 and self.tools.tool == "move":
            self.picked.emit(pane.source, row, column)

    # What they show -------------------------------------------------------------------------------

    def register_source(self, source: Source) -> None:
        """Offer another source; give its picture with :meth:`set_pictures`."""
        self.gallery.register(source)

    def unregister_source(self, key: str) -> None:
        """Take a registered source away again."""
        self.gallery.unregister(key)

    def set_pictures(self, pictures: Mapping[str, Picture | None]) -> None:
        """Replace these sources' pictures, or what makes them when somebody looks; None clears one."""
        self.gallery.set_pictures(pictures)

    def pixels(self, source: str) -> Pixels | None:
        """What there is to see of a source now."""
        return self.gallery.pixels(source)

    def set_captions(self, captions: Mapping[str, str]) -> None:
        """A short text beside the name of each source."""
        self.gallery.set_captions(captions)

    def set_partition(self, partition: Partition | None) -> None:
        """The tiling of the shown step."""
        self.set_overlay(None if partition is None else Overlay(partition=partition))

    def set_overlay(self, overlay: Overlay | None) -> None:
        """The tiling of the shown step, with what else is drawn of it."""
        self._overlay = overlay
        self._redraw_overlays()

    @property
    def partition(self) -> Partition | None:
        """The tiling of the shown step."""
        return None if self._overlay is None else self._overlay.partition

    def show_tiling(self, shown: bool) -> None:
        """Switch the tiling overlay on or off."""
        self._tiling_shown = shown
        self._redraw_overlays()

    def _redraw_overlays(self) -> None:
        overlay = self._overlay if self._tiling_shown else None
        for pane in self.panes:
            pane.canvas.set_overlay(overlay if pane.record.tiled else None)
        self.compare.set_overlay(overlay)

    def _refresh(self, keys: tuple[str, ...]) -> None:
        for pane in self.panes:
            if pane.source in keys:
                pane.refresh()

    def refresh_all(self) -> None:
        """Show everything as the gallery has it now."""
        for pane in self.panes:
            pane.refresh()

    def fit(self) -> None:
        """Show the whole image in every pane."""
        self.links.fit()

    def point_at(self, row: int, column: int) -> None:
        """Put the shared cursor on this image pixel; a negative row hides it."""
        group = next((p.group for p in self.panes if p.group is not None and p.group[0] == "image"), None)
        self.links.point_at(group, row, column)

    def shown_on(self, group: Group | None) -> Iterator[tuple[Source, Pixels]]:
        """The pictures on these pixels that panes or the comparison show, each source once."""
        seen: set[str] = set()
        comparing = self._stack.currentWidget() is self.compare
        keys = self.compare.keys if comparing else [pane.source for pane in self.panes]
        for key in keys:
            if key in seen or key not in self.gallery.sources:
                continue
            seen.add(key)
            source, pixels = self.gallery.sources[key], self.gallery.pixels(key)
            if pixels is not None and group == (source.lattice.value, *pixels.shape[:2]):
                yield source, pixels

    def values_at(self, row: int, column: int) -> list[tuple[Source, str]]:
        """What is shown under the cursor: each source once, with its value as text."""
        found = [
            (source, value_text(pixels, row, column)) for source, pixels in self.shown_on(self.links.group)
        ]
        if self.comparing and self.compare.difference is not None:
            found.append((self.compare.as_source, value_text(self.compare.difference, row, column)))
        return [(source, text) for source, text in found if text]

    @property
    def looked_at(self) -> set[str]:
        """The sources that panes or the comparison are set to."""
        return {pane.source for pane in self.panes} | set(self.compare.keys)

    # Comparison -----------------------------------------------------------------------------------

    def compare_with(self, mode: Mode | None, first: str | None = None, second: str | None = None) -> None:
        """Compare two sources, by default the last two or the framed pane and the truth; None leaves."""
        for action in self.act.modes.actions():
            action.setChecked(action.data() == mode)
        if mode is None:
            self._stack.setCurrentWidget(self._board)
            self.arrange()
        else:
            self.compare.show_mode(mode, first, second)
            self._stack.setCurrentWidget(self.compare)
        self.arranged.emit()

    @property
    def comparing(self) -> bool:
        """Whether two pictures are compared now."""
        return self._stack.currentWidget() is self.compare

    # Saving ---------------------------------------------------------------------------------------

    def view_image(self, pane: ImagePane) -> QImage:
        """The pane as it is seen, with what is drawn over it."""
        return QWidget.grab(pane.canvas).toImage()

    def copy_view(self, pane: ImagePane) -> None:
        """Put the pane as it is seen on the clipboard."""
        QGuiApplication.clipboard().setImage(self.view_image(pane))

    def state(self) -> dict[str, Any]:
        """The arrangement as plain JSON, for :meth:`restore`."""
        return arrangement_of(self)

    def restore(self, state: object) -> None:
        """Arrange the panes as :meth:`state` said; what cannot be read is left as it is."""
        rearrange(self, state)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        shown = 1 if self.maximised else len(self.panes)
        wanted = column_count(shown, max(self._board.width(), 1), max(self._board.height(), 1))
        if wanted != self._columns and not self.comparing:
            self.arrange()
