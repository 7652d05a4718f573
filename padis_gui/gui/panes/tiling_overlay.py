"""The tiling of the shown step, drawn over an image: tiles, padding border, numbers, earlier tilings, heat map."""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QGraphicsObject, QStyleOptionGraphicsItem, QWidget

from padis_gui.core.prior.partition import Partition
from padis_gui.gui.kit.theme import BORDER, INSPECTED, TILE
from padis_gui.viewmodels.laboratory.laboratory import Overlay

_NUMBER_SIZE = 11  # px on the screen
_ROOM_FOR_NUMBERS = 30.0  # px on the screen between the centres of two tiles
_TRAIL_STRONGEST, _TRAIL_WEAKEST = 130, 20  # opacity of the latest and of the oldest
_HEAT_OPACITY = 215
_MARGIN = 0.04  # of the image's side: where lines that are to stay outside may be seen in it


class _Same:
    """An array that is the same only as itself, to remember what was made of it."""

    def __init__(self, array: NDArray[np.float32]) -> None:
        self.array = array

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.array is self.array

    def __hash__(self) -> int:
        return id(self.array)


@lru_cache(maxsize=1)  # several panes draw the same
def _heat_image(same: _Same) -> QImage:
    """Shares in [0, 1] as colours from nothing over red to white."""
    heat = same.array
    table = pg.colormap.get("inferno").getLookupTable(0.35, 1.0, 256, alpha=True).astype(np.uint8)
    table[:, 3] = np.linspace(0.35, 1.0, 256) * _HEAT_OPACITY
    table[0] = 0
    colours = np.ascontiguousarray(table[np.clip(heat * 255, 0, 255).astype(np.uint8)])
    rows, columns = heat.shape
    return QImage(colours.data, columns, rows, 4 * columns, QImage.Format.Format_RGBA8888).copy()


class TilingOverlay(QGraphicsObject):
    """Draws exactly the boxes of a partition, in image coordinates, and what else an :class:`Overlay` asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: Overlay | None = None
        self._tiles = QPen(pg.mkColor(TILE), 0)
        self._edge = QPen(pg.mkColor(BORDER), 0, Qt.PenStyle.DashLine)
        self._inspected = QPen(pg.mkColor(INSPECTED), 2)
        self._inspected.setCosmetic(True)
        self.setZValue(10)

    @property
    def partition(self) -> Partition | None:
        """The tiling that is drawn."""
        return None if self.shown is None else self.shown.partition

    def set_partition(self, partition: Partition | None) -> None:
        """Draw this partition and its padding border; None draws nothing."""
        self.set_overlay(None if partition is None else Overlay(partition=partition))

    def set_overlay(self, overlay: Overlay | None) -> None:
        """Draw this from now on; None draws nothing."""
        if overlay is self.shown:
            return
        self.prepareGeometryChange()
        self.shown = overlay
        self.update()

    def boundingRect(self) -> QRectF:
        if self.shown is None:
            return QRectF()
        rect = QRectF()
        for partition in (self.shown.partition, *self.shown.trail):
            rect = rect.united(_padded(partition))
        return rect

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None
    ) -> None:
        shown = self.shown
        if shown is None:
            return
        partition = shown.partition
        top, left = partition.pad
        if shown.heat is not None:
            rows, columns = partition.image_shape
            painter.drawImage(QRectF(0, 0, columns, rows), _heat_image(_Same(shown.heat)))
        painter.save()
        if shown.outside:
            painter.setClipPath(_around(partition), Qt.ClipOperation.IntersectClip)
        for pen, lines in _trails(shown):
            painter.setPen(pen)
            painter.drawLines(lines)
        if shown.border:
            painter.setPen(self._edge)
            painter.drawRect(_padded(partition))
        painter.setPen(self._tiles)
        painter.drawRects(
            [QRectF(box.column - left, box.row - top, box.size, box.size) for box in partition.boxes]
        )
        painter.restore()
        if (box := shown.inspected) is not None:
            painter.setPen(self._inspected)
            painter.drawRect(QRectF(box.column - left, box.row - top, box.size, box.size))
        if shown.numbers:
            self._write_numbers(painter, partition)
        if shown.offset:
            text = f"(a, b) = ({partition.offset[0]}, {partition.offset[1]})"
            _write(painter, [(QPointF(0, partition.image_shape[0]), text)], centred=False)

    @staticmethod
    def _write_numbers(painter: QPainter, partition: Partition) -> None:
        scale = abs(painter.worldTransform().m11())
        if (partition.stride or partition.patch) * scale < _ROOM_FOR_NUMBERS:
            return
        (top, left), half = partition.pad, partition.patch / 2
        places = [QPointF(box.column - left + half, box.row - top + half) for box in partition.boxes]
        _write(painter, ((place, str(number)) for number, place in enumerate(places, start=1)), centred=True)


@lru_cache(maxsize=1)
def _trails(overlay: Overlay) -> list[tuple[QPen, list[QLineF]]]:
    """Pens and lines of the earlier tilings, the oldest and faintest first."""
    colour, count = QColor(TILE), max(1, len(overlay.trail) - 1)
    found = []
    for age, partition in enumerate(overlay.trail):
        colour.setAlpha(round(_TRAIL_WEAKEST + (_TRAIL_STRONGEST - _TRAIL_WEAKEST) * age / count))
        found.append((QPen(colour, 0), _lines(partition)))
    return found


def _padded(partition: Partition) -> QRectF:
    (rows, columns), (top, left) = partition.padded_shape, partition.pad
    return QRectF(-left, -top, columns, rows)


def _around(partition: Partition) -> QPainterPath:
    """The padding, and of the image a margin."""
    rows, columns = partition.image_shape
    margin = max(rows, columns) * _MARGIN
    path = QPainterPath()
    path.addRect(_padded(partition))
    inside = QPainterPath()
    inside.addRect(QRectF(margin, margin, columns - 2 * margin, rows - 2 * margin))
    return path.subtracted(inside)


def _lines(partition: Partition) -> list[QLineF]:
    """The borders of the tiles as lines across the grid: many times fewer than its boxes have sides."""
    side = partition.patch
    rows, columns = (
        {start - pad for grid in partition.starts(axis) for start in grid}
        for axis, pad in enumerate(partition.pad)
    )
    low_y, high_y, low_x, high_x = min(rows), max(rows) + side, min(columns), max(columns) + side
    across = [QLineF(low_x, y, high_x, y) for y in sorted(rows | {y + side for y in rows})]
    down = [QLineF(x, low_y, x, high_y) for x in sorted(columns | {x + side for x in columns})]
    return across + down


def _write(painter: QPainter, texts: Iterable[tuple[QPointF, str]], *, centred: bool) -> None:
    """Texts of one size on the screen, whatever the zoom, at points of the image; dark behind, to be read on white."""
    transform = painter.worldTransform()
    painter.save()
    painter.resetTransform()
    font = QFont(painter.font())
    font.setPixelSize(_NUMBER_SIZE)
    font.setBold(True)
    painter.setFont(font)
    metrics = QFontMetricsF(font)
    for point, text in texts:
        place = transform.map(point)
        rect = metrics.boundingRect(text).adjusted(-3, -1, 3, 1)
        if centred:
            rect.moveCenter(place)
        else:
            rect.moveBottomLeft(place + QPointF(3, -3))
        painter.fillRect(rect, QColor(0, 0, 0, 150))
        painter.setPen(QColor(TILE))
        painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, text)
    painter.restore()
