"""The tiling of the shown step, drawn over an image: tiles, padding border, image edge."""

import pyqtgraph as pg
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPen
from PySide6.QtWidgets import QGraphicsObject, QStyleOptionGraphicsItem, QWidget

from padis_gui.core.partition import Partition
from padis_gui.gui.theme import BORDER, TILE


class TilingOverlay(QGraphicsObject):
    """Draws exactly the boxes of a partition, in image coordinates."""

    def __init__(self) -> None:
        super().__init__()
        self.partition: Partition | None = None
        self._tiles = QPen(pg.mkColor(TILE), 0)
        self._edge = QPen(pg.mkColor(BORDER), 0, Qt.PenStyle.DashLine)
        self.setZValue(10)

    def set_partition(self, partition: Partition | None) -> None:
        """Draw this partition from now on; None draws nothing."""
        self.prepareGeometryChange()
        self.partition = partition
        self.update()

    def boundingRect(self) -> QRectF:
        if self.partition is None:
            return QRectF()
        (rows, columns), (top, left) = self.partition.padded_shape, self.partition.pad
        return QRectF(-left, -top, columns, rows)

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None
    ) -> None:
        if self.partition is None:
            return
        top, left = self.partition.pad
        painter.setPen(self._edge)
        painter.drawRect(self.boundingRect())
        painter.setPen(self._tiles)
        painter.drawRects(
            [QRectF(box.column - left, box.row - top, box.size, box.size) for box in self.partition.boxes]
        )
