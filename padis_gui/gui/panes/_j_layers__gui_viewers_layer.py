"""One picture of a canvas: its pixels, and in signal colours those that are no numbers."""

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter, QPainterPath
from PySide6.QtWidgets import QGraphicsItem, QGraphicsObject, QStyleOptionGraphicsItem, QWidget

from padis_gui.gui.panes._j_layers__gui_viewers_colormaps import lookup
from padis_gui.viewmodels.pictures._j_frames__viewmodels_frames import Pixels
from padis_gui.viewmodels.pictures._j_levels__viewmodels_levels import NonFinite, non_finite
from padis_gui.viewmodels.pictures.pictures import Appearance

NAN_COLOUR, INF_COLOUR = (255, 0, 200, 255), (0, 225, 255, 255)


class Layer(QGraphicsObject):
    """Never changes what it is given; can be clipped at a column."""

    def __init__(self) -> None:
        super().__init__()
        self.pixels: Pixels | None = None
        self.look: Appearance | None = None
        self.trouble: NonFinite | None = None
        self.nan_colour = NAN_COLOUR
        self.item = pg.ImageItem(autoLevels=False)
        self.item.setParentItem(self)
        self._flags: pg.ImageItem | None = None
        self._from: float | None = None

    def show_pixels(self, pixels: Pixels | None, look: Appearance) -> bool:
        """Show (rows, columns[, 3]) pixels; returns whether anything changed."""
        if pixels is self.pixels and look == self.look:
            return False
        if pixels is not self.pixels:
            self.prepareGeometryChange()
            self.pixels = pixels
            self.trouble = None if pixels is None else non_finite(pixels)
            self._flag()
        self.look = look
        if pixels is None:
            self.item.clear()
            return True
        low, high = look.levels
        finite = pixels if self.trouble is None else np.nan_to_num(pixels, nan=low, posinf=high, neginf=low)
        self.item.setLookupTable(lookup(look.colours) if pixels.ndim == 2 else None, update=False)
        self.item.setImage(finite, autoLevels=False, levels=look.levels)
        return True

    def _flag(self) -> None:
        """Colour what is not a number; the item for it is made when it is first needed."""
        if self.trouble is None:
            if self._flags is not None:
                self._flags.hide()
            return
        if self._flags is None:
            self._flags = pg.ImageItem(autoLevels=False, levels=(0, 255))
            self._flags.setParentItem(self)
            self._flags.setZValue(1)
        colours = np.zeros((*self.trouble.nan.shape, 4), dtype=np.uint8)
        colours[self.trouble.nan], colours[self.trouble.infinite] = self.nan_colour, INF_COLOUR
        self._flags.setImage(colours, autoLevels=False)
        self._flags.show()

    def clip_from(self, column: float | None) -> None:
        """Show only what lies to the right of this column; None shows everything."""
        self.prepareGeometryChange()
        self._from = column
        self.setFlag(QGraphicsItem.GraphicsItemFlag.ItemClipsChildrenToShape, column is not None)
        self.update()

    def boundingRect(self) -> QRectF:
        if self.pixels is None:
            return QRectF()
        rows, columns = self.pixels.shape[:2]
        left = 0.0 if self._from is None else min(max(self._from, 0.0), columns)
        return QRectF(left, 0, columns - left, rows)

    def shape(self) -> QPainterPath:
        path = QPainterPath()
        path.addRect(self.boundingRect())
        return path

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None
    ) -> None:
        """The items inside do the painting."""
