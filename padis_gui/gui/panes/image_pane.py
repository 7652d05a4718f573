"""One pane: a header that says and chooses what is shown, and the canvas below it."""

from PySide6.QtCore import QEvent, QObject, QPoint, QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import (
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
    QResizeEvent,
    QShowEvent,
    QStandardItem,
    QStandardItemModel,
    QWheelEvent,
)
from PySide6.QtWidgets import (
    QFrame,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QToolButton,
    QWidget,
)

from padis_gui.core.images.image import Pixels
from padis_gui.gui.kit.forms import ChoiceBox
from padis_gui.gui.kit.theme import icon
from padis_gui.gui.kit.widgets import ElidedLabel, column, row
from padis_gui.gui.panes.canvas import Canvas, Group
from padis_gui.gui.panes.tiling_overlay import TilingOverlay
from padis_gui.viewmodels.pictures.levels import Range
from padis_gui.viewmodels.pictures.pictures import Appearance, PictureSet
from padis_gui.viewmodels.pictures.sources import Lattice, PaneSource, Scale

FALLBACK = "estimate"
_KEY = Qt.ItemDataRole.UserRole


class SourceModel(QStandardItemModel):
    """The sources there are under their headings; ``renewed`` comes after they have changed."""

    renewed = Signal()
    settled = Signal()  # after every choice has found its source again, or another

    def __init__(self, picture_set: PictureSet, parent: QObject) -> None:
        super().__init__(parent)
        self._picture_set = picture_set
        self._rows: list[str] = []  # keys, and names of headings
        picture_set.listed.connect(self._follow)
        self._follow()

    def _follow(self) -> None:
        sources = list(self._picture_set.sources)
        self._make(sources)
        labels = {source.key: source for source in sources}
        for at in range(self.rowCount()):
            item = self.item(at)
            source = labels.get(item.data(_KEY))
            if source is not None and item.text() != source.label:
                item.setText(source.label)
                item.setToolTip(source.help)
        self.renewed.emit()
        self.settled.emit()

    def _make(self, sources: list[PaneSource]) -> None:
        """A row for each, below one for its heading. Rows that stay are kept: every pane follows those that come and go."""
        wanted: dict[str, PaneSource | None] = {}
        for source in sources:
            wanted |= {source.origin.value: None, source.key: source}
        for at, (name, found) in enumerate(wanted.items()):
            if name not in self._rows[at : at + 1]:
                self.insertRow(at, _heading(name) if found is None else _entry(found))
                self._rows.insert(at, name)
        self.setRowCount(len(wanted))
        del self._rows[len(wanted) :]


def _heading(text: str) -> QStandardItem:
    item = QStandardItem(text)
    item.setFlags(Qt.ItemFlag.NoItemFlags)
    font = item.font()
    font.setBold(True)
    item.setFont(font)
    return item


def _entry(source: PaneSource) -> QStandardItem:
    item = QStandardItem(source.label)
    item.setData(source.key, _KEY)
    item.setToolTip(source.help)
    return item


class SourceChoice(ChoiceBox):
    """``chosen`` carries the key of another source: the user has picked it, or the one before is gone.

    The wheel is for zooming, not for this.
    """

    chosen = Signal(str)

    def __init__(self, model: SourceModel, key: str, name: str) -> None:
        super().__init__()
        self.key, self._lost = key, False
        self.setModel(model)
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.setMaxVisibleItems(24)
        self.view().setMinimumWidth(230)
        model.renewed.connect(self._reselect)
        model.settled.connect(self._say_loss)
        self.activated.connect(self._choose)
        self._reselect()

    def select(self, key: str) -> None:
        """Show this source as the chosen one."""
        self.key = key
        self._reselect()

    def _reselect(self) -> None:
        if self.findData(self.key) < 0:
            self.key, self._lost = FALLBACK, True
        with QSignalBlocker(self):
            self.setCurrentIndex(self.findData(self.key))
        self.updateGeometry()
        self.setToolTip(str(self.currentData(Qt.ItemDataRole.ToolTipRole) or "What is shown here"))

    def _say_loss(self) -> None:
        if self._lost:
            self._lost = False
            self.chosen.emit(self.key)

    def sizeHint(self) -> QSize:
        """As wide as the chosen name, however long the others are."""
        hint, option = super().sizeHint(), QStyleOptionComboBox()
        self.initStyleOption(option)
        text = self.fontMetrics().size(0, self.currentText())
        wanted = self.style().sizeFromContents(QStyle.ContentsType.CT_ComboBox, option, text, self)
        return QSize(wanted.width() + 8, hint.height())

    def _choose(self, index: int) -> None:
        key = self.itemData(index)
        if isinstance(key, str) and key != self.key:
            self.select(key)
            self.chosen.emit(key)

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()


_WIDE = 380
_MOUSE = (
    "Drag pans. The wheel zooms the picture that was clicked or has the keyboard, and with Ctrl any other.\n"
    "A double click shows the whole image; on this bar, this pane alone."
)


def group_of(source: PaneSource, pixels: Pixels | None) -> Group | None:
    """Which canvases a picture of this source shares its view and its cursor with."""
    return None if pixels is None else (source.lattice.value, pixels.shape[0], pixels.shape[1])


def is_square(source: PaneSource) -> bool:
    """Whether a source's pixels are as wide as high; those of a sinogram are views by bins."""
    return source.lattice is Lattice.IMAGE or source.scale in (Scale.IMAGE, Scale.SIGNED)


class ImagePane(QFrame):
    """Shows one of the sources there are, with the levels in common or its own.

    ``source_chosen`` comes when another source is shown, ``regrouped`` when what it shows has other pixels than
    before, ``maximise_wanted``, ``link_toggled``, ``close_wanted`` and ``menu_wanted`` (a global position) from
    its header.
    """

    source_chosen = Signal()
    regrouped = Signal()
    maximise_wanted = Signal()
    link_toggled = Signal(bool)
    close_wanted = Signal()
    menu_wanted = Signal(QPoint)

    def __init__(self, picture_set: PictureSet, model: SourceModel, source: str) -> None:
        super().__init__()
        self._picture_set = picture_set
        self._waiting = True
        self._active = self._closable = False
        self._described: PaneSource | None = None  # what is shown, as it was described then
        self.group: Group | None = None
        self.own: Appearance | None = None  # levels and colours where they are not those in common
        self.choice = SourceChoice(model, source, "Pane source")
        self.choice.chosen.connect(lambda _key: self._show_other())
        self.caption = ElidedLabel(muted=True)
        self.link = self._button("linked", "Link", "", checkable=True)
        self.link.setChecked(True)
        self.link.toggled.connect(self._link)
        self.maximiser = self._button("maximise", "Maximise", "")
        self.maximiser.clicked.connect(self.maximise_wanted)
        self.more = self._button("menu", "Pane menu", "Levels, colours, comparison, saving")
        self.more.clicked.connect(
            lambda: self.menu_wanted.emit(self.more.mapToGlobal(QPoint(0, self.more.height())))
        )
        self.closer = self._button("close", "Close pane", "Close this pane")
        self.closer.clicked.connect(self.close_wanted)
        self.header = QWidget()
        self.header.setToolTip(_MOUSE)
        header = row(self.header, spacing=1, margins=(2, 2, 2, 2))
        header.addWidget(self.choice)
        header.addSpacing(4)
        header.addWidget(self.caption, 1)
        for button in (self.link, self.maximiser, self.more, self.closer):
            header.addWidget(button)
        self.canvas = Canvas("Picture")
        self.canvas.menu_wanted.connect(self.menu_wanted)
        self.canvas.offer_taken.connect(lambda: picture_set.wanted.emit(self.source))
        layout = column(self, margins=(2, 1, 2, 2))
        layout.addWidget(self.header)
        layout.addWidget(self.canvas, 1)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.say_link()
        self.set_maximised(False)

    def _button(self, name: str, title: str, tip: str, *, checkable: bool = False) -> QToolButton:
        button = QToolButton(autoRaise=True)
        button.setCheckable(checkable)
        button.setIcon(icon(name))
        button.setIconSize(QSize(13, 13))
        button.setAccessibleName(title)
        button.setToolTip(tip)
        return button

    # What it shows --------------------------------------------------------------------------------

    @property
    def source(self) -> str:
        """The key of the shown source."""
        return self.choice.key

    @property
    def record(self) -> PaneSource:
        """The shown source."""
        return self._picture_set.sources[self.source]

    @property
    def is_otherwise(self) -> bool:
        """Whether its source is another one than it shows, or is described otherwise."""
        return self.record != self._described

    @property
    def look(self) -> Appearance:
        """The levels and colours it is shown with."""
        return self.own or self._picture_set.look(self.record)

    def show_source(self, key: str) -> None:
        if key in self._picture_set.sources and key != self.source:
            self.choice.select(key)
            self._show_other()

    def _show_other(self) -> None:
        self.own = None  # it was the other picture's
        self.refresh()
        self.say_link()
        self.source_chosen.emit()

    def refresh(self) -> None:
        """Show what the picture set has now; waits until somebody can see it."""
        if not self.isVisible():
            self._waiting = True
            return
        self._waiting = False
        self._described = source = self.record
        pixels = self._picture_set.pixels(self.source)
        look = self.look
        legend = source.scale is not Scale.IMAGE or self.own is not None
        aspect = self._picture_set.aspect(source)
        self.canvas.set_picture(pixels, look, square=is_square(source), aspect=aspect, legend=legend)
        self.canvas.layer.show_missing(self._picture_set.missing(self.source))
        self.canvas.set_empty_text(
            self._picture_set.empty_text(self.source), self._picture_set.offer(self.source)
        )
        stale = self._picture_set.stale_text(self.source)
        self.canvas.badge.say(stale)
        self.caption.setEnabled(not stale)
        self.show_caption()
        group = group_of(source, pixels)
        if group != self.group:
            self.group = group
            self.regrouped.emit()

    def show_caption(self) -> None:
        """Say what the picture set says of the source, after a count of the pixels that are no numbers."""
        trouble = self.canvas.layer.trouble
        caption = self._picture_set.caption(self.source)
        self.caption.setText(f"{trouble.text}  {caption}" if trouble is not None else caption)

    @property
    def overlay(self) -> TilingOverlay:
        """The tiling over the picture."""
        return self.canvas.overlay

    @property
    def item(self) -> object:
        """pyqtgraph's item of the picture."""
        return self.canvas.layer.item

    # Levels of its own ----------------------------------------------------------------------------

    def set_own_levels(self, own: bool) -> None:
        """Keep the present levels and colours whatever the others do, or go back to those in common."""
        if own != (self.own is not None):
            self.own = self.look if own else None
            self.refresh()
            self.say_link()

    def set_levels(self, levels: Range) -> None:
        """Set its own levels, or those in common."""
        if self.own is None:
            self._picture_set.set_levels(self.record, levels)
        else:
            self.own = Appearance(levels, self.own.colours)
            self.refresh()

    def set_colours(self, name: str) -> None:
        """Set its own colour map, or that in common."""
        if self.own is None:
            self._picture_set.set_colours(self.record, name)
        else:
            self.own = Appearance(self.own.levels, name)
            self.refresh()

    # Header ---------------------------------------------------------------------------------------

    def _link(self, linked: bool) -> None:
        self.set_own_levels(not linked)
        self.link_toggled.emit(linked)
        self.say_link()

    def say_link(self) -> None:
        """Show in the header whether the pane goes with the others in everything."""
        linked = self.canvas.linked and self.own is None
        with QSignalBlocker(self.link):
            self.link.setChecked(linked)
        self.link.setIcon(icon("linked" if linked else "unlinked"))
        self.link.setToolTip(
            "Pans, zooms and takes its levels with the others; click to unlink (K)"
            if linked
            else "Has its own view and levels; click to link it with the others (K)"
        )

    def set_maximised(self, maximised: bool) -> None:
        """Show the button that undoes it."""
        self.maximiser.setIcon(icon("restore" if maximised else "maximise"))
        self.maximiser.setToolTip("Show all panes (M)" if maximised else "Show this pane alone (M)")

    def set_active(self, active: bool) -> None:
        """Frame the pane that keys and the levels act on."""
        if active != self._active:
            self._active = active
            self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if event.position().y() < self.canvas.y():
            self.maximise_wanted.emit()
        super().mouseDoubleClickEvent(event)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._waiting:
            self.refresh()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        role = QPalette.ColorRole.Highlight if self._active else QPalette.ColorRole.Mid
        painter.setPen(QPen(self.palette().color(role), 1.4 if self._active else 1.0))
        painter.drawRoundedRect(self.rect().toRectF().adjusted(0.7, 0.7, -0.7, -0.7), 4, 4)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._show_buttons()

    def set_closable(self, closable: bool) -> None:
        """Whether there are others left."""
        self._closable = closable
        self._show_buttons()

    def _show_buttons(self) -> None:
        """In a narrow header name and caption come first; keys, menu and double clicks do the same."""
        wide = self.width() >= _WIDE
        self.maximiser.setVisible(wide)
        self.closer.setVisible(wide and self._closable)

    def sizeHint(self) -> QSize:
        return QSize(360, 380)

    def contextMenuEvent(self, event: object) -> None:
        if event.pos().y() < self.canvas.y():  # type: ignore[attr-defined]
            self.menu_wanted.emit(event.globalPos())  # type: ignore[attr-defined]


def column_count(panes: int, width: int, height: int, header: int = 30) -> int:
    """In how many columns that many panes show the largest squares; fewer where that costs little, for the headers."""

    def side(columns: int) -> float:
        return min(width / columns, height / -(-panes // columns) - header)

    counts = range(1, max(panes, 1) + 1)
    best = max(side(c) for c in counts)
    return next(c for c in counts if side(c) >= 0.88 * best)
