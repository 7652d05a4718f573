"""One image pane: pixels, levels, a cursor, and a view that can be linked to others."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QMouseEvent, QResizeEvent
from PySide6.QtWidgets import QComboBox, QLabel, QSizePolicy, QWidget

from padis_gui.core.partition import Partition
from padis_gui.gui.layouts import column, row
from padis_gui.gui.theme import CURSOR, PANE_BACKGROUND
from padis_gui.gui.viewers.tiling_overlay import TilingOverlay

_MARGIN = 2.0


@dataclass(frozen=True, slots=True)
class View:
    """Where a pane looks: the centre in image coordinates and image pixels per screen pixel."""

    x: float
    y: float
    scale: float


class ImagePane(QWidget):
    """Shows one of several sources. It never changes what it is given.

    ``source_chosen`` is emitted when the user picks another source in the header, ``moved`` (a View, or None
    for "fit") when the user pans or zooms, ``hovered`` with (row, column) or (-1, -1).
    """

    source_chosen = Signal()
    moved = Signal(object)
    hovered = Signal(int, int)

    def __init__(self, sources: dict[str, str], source: str) -> None:
        super().__init__()
        self.pixels: NDArray[np.float32] | None = None
        self._linked = True
        self._view: View | None = None
        self.choice = QComboBox()
        self.choice.setToolTip("What this pane shows")
        self.choice.setAccessibleName("Pane source")
        for key, label in sources.items():
            self.choice.addItem(label, key)
        self.choice.setCurrentIndex(self.choice.findData(source))
        self.choice.currentIndexChanged.connect(self.source_chosen)
        self.caption = QLabel()
        self.caption.setProperty("muted", True)
        header = row()
        header.addWidget(self.choice)
        header.addWidget(self.caption, 1)
        self.graphics = pg.GraphicsView(background=PANE_BACKGROUND)
        self.graphics.setMinimumSize(120, 120)
        self.graphics.setAccessibleName("Picture")
        self.box = pg.ViewBox(lockAspect=True, invertY=True, enableMenu=False, defaultPadding=0)
        self.graphics.setCentralItem(self.box)
        self.item = pg.ImageItem(autoLevels=False)
        self.overlay = TilingOverlay()
        self._lines = [pg.InfiniteLine(angle=angle, pen=pg.mkPen(CURSOR, width=1)) for angle in (0, 90)]
        for child in (self.item, self.overlay, *self._lines):
            self.box.addItem(child, ignoreBounds=True)
        self.empty = QLabel("", self.graphics, alignment=Qt.AlignmentFlag.AlignCenter, wordWrap=True)
        self.empty.setStyleSheet("color: #9aa0a6; background: transparent;")
        self.set_cursor(-1, -1)
        layout = column(self, spacing=2)
        layout.addLayout(header)
        layout.addWidget(self.graphics, 1)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.box.sigRangeChangedManually.connect(self._moved_by_hand)
        self.graphics.scene().sigMouseMoved.connect(self._hover)
        self._settle = QTimer(self, singleShot=True, interval=0)
        self._settle.timeout.connect(self._apply_view)

    @property
    def source(self) -> str:
        """The key of the shown source."""
        return str(self.choice.currentData())

    def set_pixels(
        self,
        pixels: NDArray[np.float32] | None,
        levels: tuple[float, float],
        lookup: NDArray[np.uint8] | None,
        *,
        linked: bool = True,
    ) -> None:
        """Show (rows, columns[, 3]) pixels; a NaN or infinity shows as the lowest level."""
        shape = None if self.pixels is None else self.pixels.shape
        self.pixels = pixels
        if pixels is None:
            self.item.clear()
            return
        finite = (
            pixels if np.isfinite(pixels).all() else np.nan_to_num(pixels, nan=levels[0], posinf=levels[1])
        )
        self.item.setImage(finite, autoLevels=False, levels=levels)
        self.item.setLookupTable(lookup)
        if pixels.shape != shape or linked != self._linked:
            self._linked = linked
            self.box.setAspectLocked(linked)
            self._view = None
            self._apply_view()

    def rename(self, names: Mapping[str, str]) -> None:
        """Other names for these sources in the header."""
        for source, name in names.items():
            self.choice.setItemText(self.choice.findData(source), name)

    def set_empty_text(self, text: str) -> None:
        """What to do next, shown while there is nothing to see."""
        self.empty.setText(text)
        self.empty.setVisible(bool(text))

    def set_partition(self, partition: Partition | None) -> None:
        """Draw this tiling over the image; None hides it."""
        self.overlay.set_partition(partition)

    def set_view(self, view: View | None) -> None:
        """Look there; None fits the image. Panes that are not linked stay."""
        if self._linked:
            self._view = view
            self._apply_view()

    def set_cursor(self, row: int, column: int) -> None:
        """Draw the shared cursor through the middle of that pixel; a negative row hides it."""
        shown = self._linked and row >= 0
        for line, position in zip(self._lines, (row + 0.5, column + 0.5), strict=True):
            line.setVisible(shown)
            line.setPos(position)

    def value_text(self, row: int, column: int) -> str:
        """The value under the cursor as text, empty outside."""
        pixels = self.pixels
        if (
            pixels is None
            or not self._linked
            or not (0 <= row < pixels.shape[0] and 0 <= column < pixels.shape[1])
        ):
            return ""
        value = pixels[row, column]
        return f"{value:.4g}" if np.ndim(value) == 0 else "/".join(f"{v:.3g}" for v in value)

    def _apply_view(self) -> None:
        if self.pixels is None:
            return
        rows, columns = self.pixels.shape[:2]
        if self._view is None or not self._linked:
            margin = _MARGIN if self._linked else 0.0
            whole = QRectF(-margin, -margin, columns + 2 * margin, rows + 2 * margin)
            self.box.setRange(whole, padding=0, disableAutoRange=True)
            return
        width, height = max(1.0, self.box.width()), max(1.0, self.box.height())
        half_x, half_y = self._view.scale * width / 2, self._view.scale * height / 2
        x, y = self._view.x, self._view.y
        self.box.setRange(
            QRectF(QPointF(x - half_x, y - half_y), QPointF(x + half_x, y + half_y)),
            padding=0,
            disableAutoRange=True,
        )

    def _moved_by_hand(self) -> None:
        if not self._linked:
            return
        rect = self.box.viewRect()
        centre = rect.center()
        self._view = View(centre.x(), centre.y(), rect.width() / max(1.0, self.box.width()))
        self.moved.emit(self._view)

    def _hover(self, position: QPointF) -> None:
        if self.pixels is None or not self._linked or not self.box.sceneBoundingRect().contains(position):
            self.hovered.emit(-1, -1)
            return
        point = self.box.mapSceneToView(position)
        row, column = int(np.floor(point.y())), int(np.floor(point.x()))
        inside = 0 <= row < self.pixels.shape[0] and 0 <= column < self.pixels.shape[1]
        self.hovered.emit(row if inside else -1, column if inside else -1)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.moved.emit(None)
        super().mouseDoubleClickEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.empty.setGeometry(self.graphics.rect())
        self._settle.start()  # after the layout has settled: pyqtgraph's own linking runs away here (#1348)

    def sizeHint(self) -> QSize:
        return QSize(360, 380)
