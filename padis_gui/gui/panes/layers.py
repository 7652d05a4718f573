"""What lies on a canvas: the picture with its colour map and a legend, pixels that are no numbers, line and region."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QImage, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QGraphicsItem, QGraphicsObject, QLabel, QStyleOptionGraphicsItem, QWidget

from padis_gui.core.images.image import Mask, Pixels
from padis_gui.gui.kit.theme import CROSSHAIR, LINE, MASK, REGION, SEAM_LINE, STALE
from padis_gui.viewmodels.pictures.levels import NonFinite, non_finite
from padis_gui.viewmodels.pictures.pictures import DIVERGING, GREY, INVERTED, RAMP, Appearance
from padis_gui.viewmodels.pictures.profiles import Line, Region, handles

# Perceptually even; the names are those of pyqtgraph's collection
_MAPS = {
    RAMP: "viridis",
    "Cividis": "cividis",
    "Magma": "magma",
    "Inferno": "inferno",
    "Heat": "CET-L3",
    DIVERGING: "CET-D1",
    "Blue, black, red": "CET-D8",
    "Purple, white, green": "CET-D2",
}
SEQUENTIAL = (GREY, INVERTED, RAMP, "Cividis", "Magma", "Inferno", "Heat")
SIGNED = (DIVERGING, "Purple, white, green", "Blue, black, red", GREY)


@cache
def lookup(name: str) -> NDArray[np.uint8] | None:
    """256 colours from dark to bright; None for plain grey, which needs none."""
    if name not in _MAPS:
        return (
            np.repeat(np.arange(255, -1, -1, dtype=np.uint8)[:, None], 3, axis=1)
            if name == INVERTED
            else None
        )
    table: NDArray[np.uint8] = pg.colormap.get(_MAPS[name]).getLookupTable(0.0, 1.0, 256)
    return table


def is_known(name: str) -> bool:
    """Whether a map has this name."""
    return name in SEQUENTIAL or name in SIGNED


@cache
def swatch(name: str) -> NDArray[np.uint8]:
    """256 colours (256, 3) for a legend, grey included."""
    table = lookup(name)
    return np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1) if table is None else table[:, :3]


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
        self._hatch: pg.ImageItem | None = None
        self.missing: Mask | None = None
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

    def show_missing(self, missing: Mask | None) -> None:
        """Hatch the pixels that were not measured; a mask of another size than the picture's is left out."""
        if missing is not None and (self.pixels is None or missing.shape != self.pixels.shape[:2]):
            missing = None
        if missing is self.missing:
            return
        self.missing = missing
        if missing is not None:
            if self._hatch is None:
                self._hatch = pg.ImageItem(autoLevels=False, levels=(0, 255))
                self._hatch.setParentItem(self)
                self._hatch.setZValue(2)
            self._hatch.setImage(hatch(missing), autoLevels=False)
        if self._hatch is not None:
            self._hatch.setVisible(missing is not None)

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


_HATCH, _STRIPE = 8, 3  # px of the picture: from one stripe to the next, and how wide one is
_TINT, _STRIPES = 70, 190  # opacity of what lies between and of the stripes


def hatch(missing: Mask) -> NDArray[np.uint8]:
    """Colours (rows, columns, 4) for pixels that were not measured: striped in the mask's colour."""
    rows, columns = np.indices(missing.shape)
    colour = pg.mkColor(MASK)
    colours = np.zeros((*missing.shape, 4), dtype=np.uint8)
    colours[missing, :3] = colour.red(), colour.green(), colour.blue()
    striped = (rows + columns) % _HATCH < _STRIPE
    colours[..., 3] = missing * np.where(striped, _STRIPES, _TINT)
    return colours


class Badge(QLabel):
    """A band at the upper edge of a canvas, which says that its picture is not what is chosen now."""

    def __init__(self, canvas: QWidget) -> None:
        super().__init__("", canvas, alignment=Qt.AlignmentFlag.AlignCenter)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setStyleSheet(f"background: {STALE}; color: #141414; font-weight: 600;")
        self.hide()

    def say(self, text: str) -> None:
        """Say this; nothing hides the band."""
        if text != self.text() or self.isHidden() == bool(text):
            self.setText(text)
            self.setToolTip(text)
            self.setVisible(bool(text))
            self.place()

    def place(self) -> None:
        """Lie over the whole width; a text that is wider is cut at its end."""
        canvas = self.parentWidget()
        if canvas is not None:
            self.setGeometry(0, 0, canvas.width(), self.fontMetrics().height() + 4)


_STRIP, _LEAST_STRIP, _MARGIN, _GAP = 72, 16, 6, 5
_BACKGROUND, _TEXT = QColor(16, 18, 20, 190), QColor("#e6e6e6")


class Legend(QWidget):
    """Belongs to the canvas that it is made on, and lets the mouse through."""

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._look: Appearance | None = None
        self._strip, self._strip_width = QImage(), _STRIP
        font = self.font()
        font.setPointSizeF(max(7.0, font.pointSizeF() * 0.85))
        self.setFont(font)
        self.hide()

    def show_look(self, look: Appearance | None) -> None:
        """Show these colours and levels; None shows nothing."""
        if look != self._look:
            self._look = look
            if look is not None:
                colours = swatch(look.colours)
                row = colours.reshape(1, 256, 3).copy()
                self._strip = QImage(row.data, 256, 1, 768, QImage.Format.Format_RGB888).copy()
            self.place()
        self.setVisible(look is not None)

    def place(self) -> None:
        """Sit in the lower left corner of the canvas."""
        if self._look is None:
            return
        metrics = self.fontMetrics()
        taken = 2 * _GAP + 2 * _MARGIN + sum(map(metrics.horizontalAdvance, self._ends()))
        self._strip_width = max(_LEAST_STRIP, min(_STRIP, self._canvas.width() - 12 - taken))
        width = self._strip_width + taken
        height = metrics.height() + 4
        self.setGeometry(6, self._canvas.height() - height - 6, width, height)
        self.update()

    def _ends(self) -> tuple[str, str]:
        if self._look is None:
            return "", ""
        low, high = map(_text, self._look.levels)
        return low, high

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(_BACKGROUND)
        painter.drawRoundedRect(self.rect(), 4, 4)
        low, high = self._ends()
        painter.setPen(_TEXT)
        inside = self.rect().adjusted(_MARGIN, 0, -_MARGIN, 0)
        painter.drawText(inside, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, low)
        painter.drawText(inside, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, high)
        left = inside.left() + self.fontMetrics().horizontalAdvance(low) + _GAP
        painter.drawImage(QRectF(left, self.height() / 2 - 4, self._strip_width, 8), self._strip)


def _text(value: float) -> str:
    """Three digits, or all before the point where there are more."""
    return (f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}").replace("-", "−")


_GAP_PX, _ARM = 7.0, 1.1  # screen pixels: half of what is left free in the middle, and how wide a line is
_GAP_SHADOW = "#00000090"


class CrosshairItem(QGraphicsObject):
    """Two lines through the middle of a pixel, all over the picture but for that pixel's surroundings; and the borders of
    groups of slices, as lines across it."""

    def __init__(self) -> None:
        super().__init__()
        self._place: tuple[int, int] | None = None
        self._rect = QRectF()
        self._borders: tuple[float, ...] = ()
        self.setZValue(25)

    @property
    def is_there(self) -> bool:
        """Whether a place is marked."""
        return self._place is not None

    @property
    def place(self) -> tuple[int, int] | None:
        """The (row, column) that is marked."""
        return self._place

    def mark(self, place: tuple[int, int] | None, shape: tuple[int, ...]) -> None:
        """Mark a (row, column) of a picture of ``shape``; None removes the mark."""
        rect = QRectF(0, 0, shape[1], shape[0]) if place is not None else QRectF()
        if (place, rect) != (self._place, self._rect):
            self.prepareGeometryChange()
            self._place, self._rect = place, rect
            self.update()

    @property
    def borders(self) -> tuple[float, ...]:
        """Heights at which groups of slices meet, in rows of the picture."""
        return self._borders

    def draw_borders(self, at: Sequence[float]) -> None:
        """Draw a line across at each of these heights."""
        if tuple(at) != self._borders:
            self._borders = tuple(at)
            self.update()

    def boundingRect(self) -> QRectF:
        return self._rect

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None
    ) -> None:
        if self._place is None:
            return
        rect, transform = self._rect, painter.worldTransform()
        pen = QPen(pg.mkColor(SEAM_LINE), 1.0)
        pen.setCosmetic(True)
        painter.setPen(pen)
        for height in self._borders:
            painter.drawLine(QPointF(rect.left(), height), QPointF(rect.right(), height))
        x, y = self._place[1] + 0.5, self._place[0] + 0.5
        gap_x, gap_y = _GAP_PX / abs(transform.m11() or 1.0), _GAP_PX / abs(transform.m22() or 1.0)
        arms = (
            (QPointF(rect.left(), y), QPointF(max(x - gap_x, rect.left()), y)),
            (QPointF(min(x + gap_x, rect.right()), y), QPointF(rect.right(), y)),
            (QPointF(x, rect.top()), QPointF(x, max(y - gap_y, rect.top()))),
            (QPointF(x, min(y + gap_y, rect.bottom())), QPointF(x, rect.bottom())),
        )
        for colour, width in ((_GAP_SHADOW, 3.0), (CROSSHAIR, _ARM)):
            pen = QPen(pg.mkColor(colour), width)
            pen.setCosmetic(True)
            pen.setCapStyle(Qt.PenCapStyle.FlatCap)
            painter.setPen(pen)
            for start, end in arms:
                painter.drawLine(start, end)


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
