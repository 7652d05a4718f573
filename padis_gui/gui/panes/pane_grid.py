"""The panes and what belongs to them: pictures, overlay, drawing tools, the comparison of two."""

from collections.abc import Iterable, Iterator, Mapping

from PySide6.QtCore import QPoint, QTimer, Signal
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtWidgets import QStackedWidget, QWidget

from padis_gui.core.images.image import Pixels
from padis_gui.core.prior.partition import Partition
from padis_gui.gui.kit.actions import PaneActions
from padis_gui.gui.kit.widgets import column
from padis_gui.gui.panes.canvas import Group
from padis_gui.gui.panes.compare import CompareView, Mode
from padis_gui.gui.panes.image_pane import ImagePane, SourceModel
from padis_gui.gui.panes.links import DrawingTools, Links
from padis_gui.gui.panes.pane_board import PaneBar, PaneBoard
from padis_gui.viewmodels.laboratory.laboratory import Overlay
from padis_gui.viewmodels.pictures.pictures import LazyPicture, PictureSet, value_text
from padis_gui.viewmodels.pictures.sources import PaneSource

# Panes that are painted in one go, and the pause before the next: twelve at once would hold up clicks and keys
_AT_ONCE, _BETWEEN_MS = 3, 15


class PaneGrid(QWidget):
    """Panes on the sources there are, in ``board``. ``hovered`` and ``picked`` carry the (row, column) under the
    cursor and of a click, in the pixels of ``links.group``; ``save_values`` and ``save_view`` what the user wants
    written; ``active_changed``, ``arranged`` and ``menu_wanted`` are the board's.
    """

    hovered = Signal(int, int)
    picked = Signal(str, int, int)  # source, row, column
    active_changed = Signal()
    arranged = Signal()
    menu_wanted = Signal(object, QPoint)  # pane, place on the screen
    save_values = Signal(str)  # source
    save_view = Signal(str, object)  # source, QImage

    def __init__(self, picture_set: PictureSet | None = None) -> None:
        super().__init__()
        self.picture_set = picture_set or PictureSet(self)
        self._overlay: Overlay | None = None
        self._tiling_shown = True
        self._stale: list[ImagePane] = []
        self._next = QTimer(self, singleShot=True, interval=_BETWEEN_MS)
        self._next.timeout.connect(self._refresh_some)
        self.model = SourceModel(self.picture_set, self)
        self.links = Links(self)
        self.tools = DrawingTools(self.links)
        self.act = PaneActions(self)
        self.board = PaneBoard(self.picture_set, self.model, self.links, self.tools)
        self.compare = CompareView(self.picture_set, self.model, self.links)
        for canvas in self.compare.canvases:
            self.links.join(canvas)
            self.tools.join(canvas)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.board)
        self._stack.addWidget(self.compare)
        layout = column(self, spacing=4, margins=(6, 4, 6, 6))
        layout.addWidget(PaneBar(self.act))
        layout.addWidget(self._stack, 1)
        self._connect()

    def _connect(self) -> None:
        picture_set, act, board = self.picture_set, self.act, self.board
        picture_set.changed.connect(self._refresh)
        picture_set.captioned.connect(self._refresh_captions)
        picture_set.restyled.connect(self.refresh_all)
        picture_set.told.connect(lambda: self._follow(self.panes))
        picture_set.listed.connect(lambda: self._follow(pane for pane in self.panes if pane.is_otherwise))
        self.links.pointed.connect(self.hovered)
        board.connect_actions(act)
        board.active_changed.connect(self.active_changed)
        board.arranged.connect(self.arranged)
        board.picked.connect(self.picked)
        board.regrouped.connect(self._draw_overlay)
        board.menu_wanted.connect(self.menu_wanted)
        self.compare.left.connect(lambda: self.compare_with(None))
        self.compare.shown_changed.connect(self._redraw_overlays)
        act.tools.triggered.connect(lambda action: self.tools.set_tool(action.data()))
        act.modes.triggered.connect(
            lambda action: self.compare_with(action.data() if action.isChecked() else None)
        )

    @property
    def first_focus(self) -> QWidget:
        """What takes the keyboard that comes to the pictures: the framed one, or the first of two that are compared."""
        return self.compare.canvases[0] if self.comparing else self.active.canvas

    # The board ------------------------------------------------------------------------------------

    @property
    def panes(self) -> list[ImagePane]:
        """The panes, in their order."""
        return self.board.panes

    @property
    def maximised(self) -> ImagePane | None:
        """The pane that is shown alone."""
        return self.board.maximised

    @property
    def active(self) -> ImagePane:
        """The framed pane: keys and levels act on it."""
        return self.board.active

    def set_active(self, pane: ImagePane) -> None:
        """Frame this pane."""
        self.board.set_active(pane)

    def add_pane(self, source: str | None = None) -> ImagePane | None:
        """One more pane, on a source that is not shown yet where none is named; None where there are enough."""
        return self.board.add_pane(source)

    def remove_pane(self, pane: ImagePane) -> None:
        """Take a pane away; the last one stays."""
        self.board.remove_pane(pane)

    def maximise(self, pane: ImagePane | None) -> None:
        """Show this pane alone; None shows all of them."""
        self.board.maximise(pane)

    def set_own_levels(self, pane: ImagePane, own: bool) -> None:
        """Give a pane levels and colours of its own, or those in common."""
        pane.set_own_levels(own)
        self.active_changed.emit()

    def set_linked_view(self, pane: ImagePane, linked: bool) -> None:
        """Pan and zoom a pane with the others, or by itself."""
        self.board.set_linked_view(pane, linked)

    # What they show -------------------------------------------------------------------------------

    def register_source(self, source: PaneSource) -> None:
        """Offer another source; give its picture with :meth:`set_pictures`."""
        self.picture_set.register(source)

    def unregister_source(self, key: str) -> None:
        """Take a registered source away again."""
        self.picture_set.unregister(key)

    def set_pictures(self, pictures: Mapping[str, LazyPicture | None]) -> None:
        """Replace these sources' pictures, or what makes them when somebody looks; None clears one."""
        self.picture_set.set_pictures(pictures)

    def pixels(self, source: str) -> Pixels | None:
        """What there is to see of a source now."""
        return self.picture_set.pixels(source)

    def set_captions(self, captions: Mapping[str, str]) -> None:
        """A short text beside the name of each source."""
        self.picture_set.set_captions(captions)

    def set_partition(self, partition: Partition | None) -> None:
        """The tiling of the shown step."""
        self.set_overlay(None if partition is None else Overlay(partition=partition))

    def show_frame(self, pictures: Mapping[str, LazyPicture | None], overlay: Overlay | None) -> None:
        """Another step: its pictures and its tiling, which each pane shows together."""
        self._overlay = overlay
        self._mark(pane for pane in self.panes if pane.record.tiled)
        self.compare.set_overlay(self._shown_overlay)
        self.set_pictures(pictures)

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

    @property
    def _shown_overlay(self) -> Overlay | None:
        return self._overlay if self._tiling_shown else None

    def _redraw_overlays(self) -> None:
        for pane in self.panes:
            self._draw_overlay(pane)
        self.compare.set_overlay(self._shown_overlay)

    def _draw_overlay(self, pane: ImagePane) -> None:
        pane.canvas.set_overlay(self._shown_overlay if pane.record.tiled else None)

    def _refresh(self, keys: tuple[str, ...]) -> None:
        """Panes that show these follow."""
        self._follow(pane for pane in self.panes if pane.source in keys)

    def _follow(self, panes: Iterable[ImagePane]) -> None:
        """A few at once, and others after those are painted, so that events pass."""
        self._mark(panes)
        if self._stale and not self._next.isActive():
            self._refresh_some()

    def _mark(self, panes: Iterable[ImagePane]) -> None:
        self._stale.extend(pane for pane in panes if pane not in self._stale)

    def _refresh_captions(self, keys: tuple[str, ...]) -> None:
        for pane in self.panes:
            if pane.source in keys and pane.isVisible():
                pane.show_caption()

    def _refresh_some(self) -> None:
        self._stale = [pane for pane in self._stale if pane in self.panes]  # others were closed meanwhile
        now, self._stale = self._stale[:_AT_ONCE], self._stale[_AT_ONCE:]
        for pane in now:
            pane.refresh()
            self._draw_overlay(pane)
        if self._stale:
            self._next.start()

    def refresh_all(self) -> None:
        """Show everything as the picture set has it now."""
        for pane in self.panes:
            pane.refresh()

    def fit(self) -> None:
        """Show the whole image in every pane."""
        self.links.fit()

    def point_at(self, row: int, column: int) -> None:
        """Put the shared cursor on this image pixel; a negative row hides it."""
        group = next((p.group for p in self.panes if p.group is not None and p.group[0] == "image"), None)
        self.links.point_at(group, row, column)

    def shown_on(self, group: Group | None) -> Iterator[tuple[PaneSource, Pixels]]:
        """The pictures on these pixels that panes or the comparison show, each source once."""
        seen: set[str] = set()
        keys = self.compare.keys if self.comparing else [pane.source for pane in self.panes]
        for key in keys:
            if key in seen or key not in self.picture_set.sources:
                continue
            seen.add(key)
            source, pixels = self.picture_set.sources[key], self.picture_set.pixels(key)
            if pixels is not None and group == (source.lattice.value, *pixels.shape[:2]):
                yield source, pixels

    def values_at(self, row: int, column: int) -> list[tuple[PaneSource, str]]:
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
            self._stack.setCurrentWidget(self.board)
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
