"""Small pictures side by side in columns and rows, each as large as the room allows; one can be looked at alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import (
    QFocusEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPixmap,
    QResizeEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from padis_gui.gui.kit.theme import PANE_BACKGROUND

_GAP, _GROUP_GAP, _LARGEST = 6, 22, 320


def pixmap_of(pixels: NDArray[np.uint8]) -> QPixmap:
    """A pixmap with its own copy of (rows, columns) or (rows, columns, 3) bytes."""
    rows, columns = pixels.shape[:2]
    colour = pixels.ndim == 3
    kind = QImage.Format.Format_RGB888 if colour else QImage.Format.Format_Grayscale8
    pixels = np.ascontiguousarray(pixels)
    return QPixmap.fromImage(QImage(pixels.data, columns, rows, pixels.strides[0], kind).copy())


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """A picture and what is said of it; ``tip`` says more. One that ``fills`` its tile has no aspect to be kept."""

    caption: str
    picture: NDArray[np.uint8] | None
    tip: str = ""
    fills: bool = False


class PictureTile(QWidget):
    """One picture with its caption below; ``chosen`` by a click, Return or the space bar."""

    chosen = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.tile = Tile("", None)
        self._pixmap = QPixmap()

    @property
    def caption_height(self) -> int:
        """Room for the caption in pixels."""
        return self.fontMetrics().height() + 3

    def set_tile(self, tile: Tile) -> None:
        """Show this."""
        if tile.picture is not self.tile.picture:
            self._pixmap = QPixmap() if tile.picture is None else pixmap_of(tile.picture)
        self.tile = tile
        self.setAccessibleName(tile.caption)
        self.setToolTip(tile.tip or tile.caption)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        frame = QRect(0, 0, self.width(), self.height() - self.caption_height)
        painter.fillRect(frame, PANE_BACKGROUND)
        if not self._pixmap.isNull():
            keep = (
                Qt.AspectRatioMode.IgnoreAspectRatio
                if self.tile.fills
                else Qt.AspectRatioMode.KeepAspectRatio
            )
            place = QRect(QPoint(0, 0), self._pixmap.size().scaled(frame.size(), keep))
            place.moveCenter(frame.center())
            painter.drawPixmap(place, self._pixmap)
        if self.hasFocus():
            painter.setPen(self.palette().highlight().color())
            painter.drawRect(frame.adjusted(0, 0, -1, -1))
        painter.setPen(self.palette().text().color())
        below = QRect(0, frame.bottom() + 1, self.width(), self.caption_height)
        text = self.fontMetrics().elidedText(self.tile.caption, Qt.TextElideMode.ElideRight, self.width())
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignVCenter, text)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.setFocus()
        self.chosen.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.chosen.emit()
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.update()


class PictureWall(QWidget):
    """Columns of tiles; columns of one group stand together. A chosen tile fills the wall until it is chosen again."""

    def __init__(self) -> None:
        super().__init__()
        self.tiles: list[PictureTile] = []
        self._columns: list[list[PictureTile]] = []
        self._breaks: set[int] = set()
        self._alone: PictureTile | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(150)

    def set_groups(self, groups: Sequence[Sequence[Sequence[Tile]]]) -> None:
        """Show groups of columns of tiles; the arrangement is kept where it stays the same."""
        columns = [list(column) for group in groups for column in group]
        if [len(column) for column in columns] != [len(column) for column in self._columns]:
            self._rebuild([len(column) for column in columns])
        self._breaks = set(np.cumsum([len(group) for group in groups])[:-1].tolist())
        for tiles, described in zip(self._columns, columns, strict=True):
            for widget, tile in zip(tiles, described, strict=True):
                widget.set_tile(tile)
        self._arrange()

    def _rebuild(self, heights: list[int]) -> None:
        for tile in self.tiles:
            tile.setParent(None)
            tile.deleteLater()
        self._alone = None
        self._columns = [[PictureTile(self) for _ in range(height)] for height in heights]
        self.tiles = [tile for column in self._columns for tile in column]
        for tile in self.tiles:
            tile.chosen.connect(lambda tile=tile: self._choose(tile))

    def _choose(self, tile: PictureTile) -> None:
        self._alone = None if self._alone is tile else tile
        self._arrange()

    def _arrange(self) -> None:
        if not self.tiles:
            return
        if self._alone is not None:
            for tile in self.tiles:
                tile.setVisible(tile is self._alone)
            self._alone.setGeometry(self.rect())
            return
        caption = self.tiles[0].caption_height
        rows, count = max(len(column) for column in self._columns), len(self._columns)
        gaps = (count - 1) * _GAP + len(self._breaks) * (_GROUP_GAP - _GAP)
        wide = (self.width() - gaps) // count
        high = (self.height() - (rows - 1) * _GAP) // rows - caption
        side = max(16, min(wide, high, _LARGEST))
        x = max(0, (self.width() - gaps - count * side) // 2)
        for index, column in enumerate(self._columns):
            if index:
                x += _GROUP_GAP if index in self._breaks else _GAP
            for row, tile in enumerate(column):
                tile.setGeometry(x, row * (side + caption + _GAP), side, side + caption)
                tile.setVisible(True)
            x += side

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self._alone is not None:
            self._choose(self._alone)
        else:
            super().keyPressEvent(event)

    def sizeHint(self) -> QSize:
        return QSize(640, 320)
