"""The line and the region that were drawn, over an image."""

from collections.abc import Sequence

import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QPainter, QPen
from PySide6.QtWidgets import QGraphicsObject, QStyleOptionGraphicsItem, QWidget

from padis_gui.gui.kit._j_theme__gui_theme import LINE, REGION
from padis_gui.viewmodels.pictures.profiles import Line, Region, handles

_HANDLE = 3.5
_SHADOW = "#000000a0"


class ShapesItem(QGraphicsObject):
    """Draws shapes in image coordinates with lines and handles of the same size at every zoom."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: tuple[Line | Region, ...] = ()
        self._marker: tuple[float, float] | None = None
        self.setZValue(20)
        # drawn once, not with every frame below it: smooth wide lines cost more than the picture does
        self.setCacheMode(QGraphicsObject.CacheMode.DeviceCoordinateCache)

    def set_shapes(self, shapes: Sequence[Line | Region]) -> None:
        """Draw these from now on."""
        if tuple(shapes) != self.shapes:
            self.prepareGeometryChange()
            self.shapes = tuple(shapes)
            self.update()

    def set_marker(self, point: tuple[float, float] | None) -> None:
        """Mark a point with a ring; None removes it."""
        if point != self._marker:
            self.prepareGeometryChange()
            self._marker = point
            self.update()

    def boundingRect(self) -> QRectF:
        points = [QPointF(*point) for shape in self.shapes for point in handles(shape)]
        if self._marker is not None:
            points.append(QPointF(*self._marker))
        if not points:
            return QRectF()
        xs, ys = [p.x() for p in points], [p.y() for p in points]
        width = max((shape.width for shape in self.shapes if isinstance(shape, Line)), default=0)
        margin = self._pixel() * (_HANDLE + 3) * 2 + width
        rect = QRectF(min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))
        return rect.adjusted(-margin, -margin, margin, margin)

    def _pixel(self) -> float:
        """A screen pixel in image pixels."""
        scene = self.scene()
        if scene is None or not scene.views():
            return 1.0
        length = abs(self.deviceTransform(scene.views()[0].viewportTransform()).m11())
        return 1 / length if length > 0 else 1.0

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None
    ) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for shape in self.shapes:
            colour = LINE if isinstance(shape, Line) else REGION
            for paint, width in ((_SHADOW, 3.0), (colour, 1.6)):
                pen = QPen(pg.mkColor(paint), width)
                pen.setCosmetic(True)
                painter.setPen(pen)
                painter.setBrush(Qt.BrushStyle.NoBrush)
                _outline(painter, shape)
            self._draw_handles(painter, shape, colour)
        if self._marker is not None:
            pen = QPen(pg.mkColor(LINE), 2.0)
            pen.setCosmetic(True)
            painter.setPen(pen)
            painter.setBrush(QBrush(pg.mkColor("#ffffff")))
            self._dot(painter, self._marker, 4.5)

    def _draw_handles(self, painter: QPainter, shape: Line | Region, colour: str) -> None:
        pen = QPen(pg.mkColor("#101214"), 1.0)
        pen.setCosmetic(True)
        painter.setPen(pen)
        painter.setBrush(QBrush(pg.mkColor(colour)))
        for number, point in enumerate(handles(shape)):
            # the start of a line is larger: profiles run from there
            self._dot(painter, point, _HANDLE + (1.2 if isinstance(shape, Line) and number == 0 else 0))

    def _dot(self, painter: QPainter, point: tuple[float, float], radius: float) -> None:
        transform = painter.worldTransform()
        width, height = radius / abs(transform.m11() or 1.0), radius / abs(transform.m22() or 1.0)
        painter.drawEllipse(QPointF(*point), width, height)


def _outline(painter: QPainter, shape: Line | Region) -> None:
    if isinstance(shape, Line):
        start, end = QPointF(*shape.start), QPointF(*shape.end)
        painter.drawLine(start, end)
        if shape.width > 1 and shape.length > 0:
            across = (end - start) * (shape.width / (2 * shape.length))
            side = QPointF(-across.y(), across.x())
            painter.drawPolygon([start + side, end + side, end - side, start - side])
        return
    rect = QRectF(shape.left, shape.top, shape.width, shape.height)
    painter.drawEllipse(rect) if shape.shape == "ellipse" else painter.drawRect(rect)
