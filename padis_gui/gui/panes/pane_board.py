"""Panes in a grid: added, closed, maximised, one of them framed, linked; and the slim bar above them."""

import math
from collections.abc import Sequence

from PySide6.QtCore import QPoint, QSize, Signal
from PySide6.QtGui import QAction, QResizeEvent
from PySide6.QtWidgets import QApplication, QFrame, QHBoxLayout, QToolButton, QWidget

from padis_gui.gui.kit.actions import PaneActions
from padis_gui.gui.kit.focus import order_tabs
from padis_gui.gui.kit.widgets import action_button, grid, row
from padis_gui.gui.panes.image_pane import ImagePane, SourceModel, column_count
from padis_gui.gui.panes.links import DrawingTools, Links
from padis_gui.viewmodels.pictures.pictures import PictureSet


class PaneBar(QWidget):
    """Buttons of the view actions; widgets of others can join at its right end."""

    def __init__(self, act: PaneActions) -> None:
        super().__init__()
        self._row: QHBoxLayout = row(self, spacing=1)
        for index, group in enumerate(([act.add], act.tools.actions(), act.modes.actions())):
            if index:
                self._row.addWidget(_divider())
            for action in group:
                self._row.addWidget(_button(action))
        self._row.addStretch(1)

    def add(self, widget: QWidget) -> None:
        """Put a widget at the right end."""
        self._row.addWidget(widget)


def _button(action: QAction) -> QToolButton:
    button = action_button(action)
    button.setIconSize(QSize(16, 16))
    return button


def _divider() -> QFrame:
    line = QFrame()
    line.setFrameShape(QFrame.Shape.VLine)
    line.setFrameShadow(QFrame.Shadow.Sunken)
    line.setContentsMargins(3, 3, 3, 3)
    return line


MOST = 12
DEFAULT = ("truth", "baseline", "estimate", "difference")
# What a further pane shows first: the earliest of these that no pane shows
_NEXT = (*DEFAULT, "measurement", "misfit", "state", "denoised", "measured", "deviation")


class PaneBoard(QWidget):
    """One to twelve panes. ``arranged`` comes when they or their sources are others, ``regrouped`` when one shows
    other pixels than before, ``menu_wanted`` with a pane and a global position."""

    active_changed = Signal()
    arranged = Signal()
    regrouped = Signal(object)
    picked = Signal(str, int, int)
    menu_wanted = Signal(object, QPoint)

    def __init__(
        self, picture_set: PictureSet, model: SourceModel, links: Links, tools: DrawingTools
    ) -> None:
        super().__init__()
        self._picture_set, self._model, self._links, self._tools = picture_set, model, links, tools
        self.panes: list[ImagePane] = []
        self.maximised: ImagePane | None = None
        self._active: ImagePane | None = None
        self._columns = 0
        self._cells = grid(self, spacing=4)
        for source in DEFAULT:
            self.add_pane(source)
        self.set_active(self.panes[0])
        app = QApplication.instance()
        if isinstance(app, QApplication):
            app.focusChanged.connect(self._follow_focus)

    def connect_actions(self, act: PaneActions) -> None:
        """Do what the actions of the panes say, and enable them as there is room."""
        act.add.triggered.connect(lambda: self.add_pane())
        act.close.triggered.connect(lambda: self.remove_pane(self.active))
        act.maximise.triggered.connect(lambda: self.toggle_maximised(self.active))
        act.link.triggered.connect(lambda: self.active.link.toggle())
        self.arranged.connect(lambda: act.add.setEnabled(len(self.panes) < MOST))
        self.arranged.connect(lambda: act.close.setEnabled(len(self.panes) > 1))

    # One more, one less ---------------------------------------------------------------------------

    def add_pane(self, source: str | None = None) -> ImagePane | None:
        """One more pane, on a source that is not shown yet where none is named; None where there are enough."""
        if len(self.panes) >= MOST:
            return None
        shown = {pane.source for pane in self.panes}
        key = source or next((key for key in _NEXT if key not in shown), "estimate")
        pane = ImagePane(self._picture_set, self._model, key)
        pane.source_chosen.connect(lambda: self._source_changed(pane))
        pane.regrouped.connect(lambda: self._regroup(pane))
        pane.link_toggled.connect(lambda linked: self._set_linked(pane, linked))
        pane.maximise_wanted.connect(lambda: self.toggle_maximised(pane))
        pane.close_wanted.connect(lambda: self.remove_pane(pane))
        pane.menu_wanted.connect(lambda where: self._open_menu(pane, where))
        pane.canvas.focused.connect(lambda: self.set_active(pane))
        pane.canvas.picked.connect(lambda row, column: self._pick(pane, row, column))
        self._links.join(pane.canvas)
        self._tools.join(pane.canvas)
        self.panes.append(pane)
        self.maximise(None)
        self.arrange()
        pane.refresh()
        return pane

    def remove_pane(self, pane: ImagePane) -> None:
        """Take a pane away; the last one stays."""
        if len(self.panes) == 1:
            return
        self.panes.remove(pane)
        self._links.leave(pane.canvas)
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

    def toggle_maximised(self, pane: ImagePane) -> None:
        """Show this pane alone, or all of them again."""
        self.maximise(None if self.maximised else pane)

    def arrange(self) -> None:
        """Put the panes into the grid that shows them largest."""
        shown = self.panes if self.maximised is None else [self.maximised]
        self._columns = column_count(len(shown), max(self.width(), 1), max(self.height(), 1))
        for pane in self.panes:
            self._cells.removeWidget(pane)
        for index, pane in enumerate(shown):
            line, at = divmod(index, self._columns)
            last = index == len(shown) - 1
            self._cells.addWidget(pane, line, at, 1, self._columns - at if last else 1)  # no cell is empty
        for line in range(MOST):
            self._cells.setRowStretch(line, int(line * self._columns < len(shown)))
            self._cells.setColumnStretch(line, int(line < self._columns))
        for pane in self.panes:
            pane.setVisible(pane in shown)
            pane.set_maximised(self.maximised is not None)
            pane.set_closable(len(self.panes) > 1)
        order_tabs(*self.panes)
        self._frame_active()
        self.arranged.emit()

    def _source_changed(self, pane: ImagePane) -> None:
        if pane not in self.panes:  # it was taken away, and its source after it
            return
        self._regroup(pane)
        self.set_active(pane)
        self.active_changed.emit()
        self.arranged.emit()

    def _regroup(self, pane: ImagePane) -> None:
        if pane not in self.panes:
            return
        self._links.place(pane.canvas, pane.group)
        self.regrouped.emit(pane)

    def set_linked_view(self, pane: ImagePane, linked: bool) -> None:
        """Pan and zoom a pane with the others, or by itself."""
        self._links.set_linked(pane.canvas, linked)
        pane.say_link()

    def _set_linked(self, pane: ImagePane, linked: bool) -> None:
        self._links.set_linked(pane.canvas, linked)
        self.active_changed.emit()

    def _open_menu(self, pane: ImagePane, where: QPoint) -> None:
        self.set_active(pane)
        self.menu_wanted.emit(pane, where)

    def _pick(self, pane: ImagePane, row: int, column: int) -> None:
        if row >= 0 and self._tools.tool == "move":
            self.picked.emit(pane.source, row, column)

    def show_sources(self, keys: Sequence[str]) -> None:
        """Exactly these, in this order."""
        self.maximise(None)
        while len(self.panes) > len(keys):
            self.remove_pane(self.panes[-1])
        for pane, key in zip(self.panes, keys, strict=False):
            pane.show_source(key)
        for key in keys[len(self.panes) :]:
            self.add_pane(key)

    # The framed one -------------------------------------------------------------------------------

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

    def _follow_focus(self, _old: QWidget | None, new: QWidget | None) -> None:
        pane = next((p for p in self.panes if new is not None and p.isAncestorOf(new)), None)
        if pane is not None:
            self.set_active(pane)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        shown = 1 if self.maximised else len(self.panes)
        if column_count(shown, max(self.width(), 1), max(self.height(), 1)) != self._columns:
            self.arrange()

    def minimumSizeHint(self) -> QSize:
        """That of the arrangement nearest to a square: a moment in which the window is narrow must not make it tall."""
        sizes = [pane.minimumSizeHint() for pane in self.panes if not pane.isHidden()]
        if not sizes:
            return super().minimumSizeHint()
        columns = math.ceil(math.sqrt(len(sizes)))
        rows, gap = -(-len(sizes) // columns), self._cells.spacing()
        wide, high = (max(getattr(size, side)() for size in sizes) for side in ("width", "height"))
        return QSize(columns * (wide + gap) - gap, rows * (high + gap) - gap)
