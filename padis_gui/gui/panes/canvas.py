"""A picture one can pan and zoom: pixels, pixels that are no numbers, the tiling, the cursor, drawn shapes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from pyqtgraph.GraphicsScene.mouseEvents import MouseClickEvent, MouseDragEvent
from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QLabel, QPushButton, QSizePolicy, QWidget

from padis_gui.core.images.image import Pixels
from padis_gui.gui.kit.theme import CURSOR, PANE_BACKGROUND
from padis_gui.gui.kit.widgets import column
from padis_gui.gui.panes.layers import Badge, CrosshairItem, Layer, Legend, ShapesItem
from padis_gui.gui.panes.tiling_overlay import TilingOverlay
from padis_gui.viewmodels.laboratory.laboratory import Overlay
from padis_gui.viewmodels.pictures.pictures import Appearance
from padis_gui.viewmodels.pictures.profiles import Line, Region

_MARGIN = 2.0
_KEY_ZOOM, _KEY_PAN = 1.25, 0.1


# Canvases with the same kind of pixels, and as many rows and columns, can look at the same place
Group = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class View:
    """Where a canvas looks: the centre in image coordinates, and image pixels per screen pixel along x and y."""

    x: float
    y: float
    scale_x: float
    scale_y: float


class _Box(pg.ViewBox):  # type: ignore[misc]
    """Pans and zooms, unless a tool wants the left button's drags."""

    drawn = Signal(QPointF, QPointF, bool, bool)  # from, to, whether it begins, whether it ends
    clicked = Signal(QPointF)
    fit_wanted = Signal()
    menu_wanted = Signal(QPoint)

    def __init__(self) -> None:
        super().__init__(lockAspect=True, invertY=True, enableMenu=False, defaultPadding=0)
        self.drawing = False

    def mouseDragEvent(self, event: MouseDragEvent, axis: int | None = None) -> None:
        if not (self.drawing and axis is None and event.button() is Qt.MouseButton.LeftButton):
            super().mouseDragEvent(event, axis)
            return
        event.accept()
        start, now = (QPointF(self.mapToView(p)) for p in (event.buttonDownPos(), event.pos()))
        self.drawn.emit(start, now, event.isStart(), event.isFinish())

    def mouseClickEvent(self, event: MouseClickEvent) -> None:
        event.accept()
        if event.button() is Qt.MouseButton.RightButton:
            self.menu_wanted.emit(event.screenPos().toPoint())
        elif event.double():
            self.fit_wanted.emit()
        elif event.button() is Qt.MouseButton.LeftButton:
            self.clicked.emit(QPointF(self.mapToView(event.pos())))


class Canvas(pg.GraphicsView):  # type: ignore[misc]
    """Shows what it is given and never changes it.

    ``moved`` carries a View, or None for "fit", when the user pans or zooms; ``hovered`` and ``picked`` the
    (row, column) under the mouse, (-1, -1) outside; ``drawn`` the two ends of a drag with a tool in image
    coordinates, whether it begins and whether it ends.
    """

    moved = Signal(object)
    stepped = Signal(int)  # one plane on or back, by keyboard
    hovered = Signal(int, int)
    picked = Signal(int, int)
    drawn = Signal(QPointF, QPointF, bool, bool)
    menu_wanted = Signal(QPoint)
    focused = Signal()
    offer_taken = Signal()

    def __init__(self, name: str) -> None:
        super().__init__(background=PANE_BACKGROUND)
        self.setAccessibleName(name)
        self.setMinimumSize(96, 96)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.view: View | None = None
        self.group: Group | None = None
        self.linked = True
        self._cursor = (0, 0)
        self._square, self._aspect = True, 1.0
        self.box = _Box()
        self.setCentralItem(self.box)
        self.layer = Layer()
        self.overlay = TilingOverlay()
        self.shapes = ShapesItem()
        self._lines = [pg.InfiniteLine(angle=angle, pen=pg.mkPen(CURSOR, width=1)) for angle in (0, 90)]
        for line in self._lines:
            line.setZValue(30)
        self.crosshair = CrosshairItem()
        for child in (self.layer, self.overlay, self.shapes, self.crosshair, *self._lines):
            self.box.addItem(child, ignoreBounds=True)
        self.legend, self.badge = Legend(self), Badge(self)
        self.empty = QLabel("", self, alignment=Qt.AlignmentFlag.AlignCenter, wordWrap=True)
        self.empty.setStyleSheet("color: #9aa0a6; background: transparent; padding: 12px;")
        self.empty.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.offer = QPushButton(self)
        self.offer.setAccessibleName("Make this picture")
        self.offer.setToolTip("Compute the picture that belongs here now")
        self.offer.setCursor(Qt.CursorShape.ArrowCursor)
        self.offer.hide()
        self.offer.clicked.connect(self.offer_taken)
        self.set_cursor(-1, -1)
        self._settle = QTimer(self, singleShot=True, interval=0)
        self._settle.timeout.connect(self._apply_view)
        self.box.sigRangeChangedManually.connect(self._moved_by_hand)
        self.box.drawn.connect(self.drawn)
        self.box.menu_wanted.connect(self.menu_wanted)
        self.box.fit_wanted.connect(lambda: self.look_at(None))
        self.box.clicked.connect(lambda point: self.picked.emit(*self._pixel(point)))
        self.scene().sigMouseMoved.connect(self._hover)

    @property
    def pixels(self) -> Pixels | None:
        """What is shown, (rows, columns[, 3])."""
        return self.layer.pixels

    # What is shown --------------------------------------------------------------------------------

    def set_picture(
        self,
        pixels: Pixels | None,
        look: Appearance,
        *,
        square: bool = True,
        aspect: float = 1.0,
        legend: bool = False,
    ) -> None:
        """Show (rows, columns[, 3]) pixels; NaN and infinity in signal colours. Does nothing where nothing changed.

        ``square`` pixels keep their ``aspect``, width by height; others fill the canvas. ``legend`` shows colours and
        levels in a corner.
        """
        if pixels is None and self.pixels is not None:
            self.viewport().update()  # all of it in one go, with the text that stands there instead
        self.legend.show_look(look if legend and pixels is not None else None)
        shape = None if self.pixels is None else self.pixels.shape
        self.layer.show_pixels(pixels, look)
        kept = square, aspect
        if pixels is not None and (pixels.shape != shape or kept != (self._square, self._aspect)):
            self._square, self._aspect = kept
            self.box.setAspectLocked(square, aspect)
            self._apply_view()

    def set_empty_text(self, text: str, offer: str = "") -> None:
        """What to do next, shown while there is nothing to see; and the words of a button that does it, if any does."""
        if text != self.empty.text() or self.empty.isHidden() == bool(text):
            self.empty.setText(text)
            self.empty.setVisible(bool(text))
        if offer != self.offer.text() or self.offer.isHidden() == bool(offer):
            self.offer.setText(offer)
            self.offer.setVisible(bool(offer))
        if offer:
            self._place_offer()

    def _place_offer(self) -> None:
        """The button stands below the text."""
        self.offer.adjustSize()
        below = (self.height() + max(self.empty.heightForWidth(self.width()), 0)) // 2
        x = (self.width() - self.offer.width()) // 2
        self.offer.move(max(x, 0), min(below, self.height() - self.offer.height()))

    def set_overlay(self, overlay: Overlay | None) -> None:
        """Draw this tiling over the image; None hides it."""
        self.overlay.set_overlay(overlay)

    def set_shapes(self, shapes: Sequence[Line | Region]) -> None:
        """Draw these shapes."""
        self.shapes.set_shapes(shapes)

    def set_marker(self, point: tuple[float, float] | None) -> None:
        """Mark a point of the drawn line; None removes the mark."""
        self.shapes.set_marker(point)

    def set_cursor(self, row: int, column: int) -> None:
        """Draw the cursor through the middle of that pixel; a negative row hides it."""
        if (row, column) == self._cursor:
            return
        self._cursor = row, column
        for line, position in zip(self._lines, (row + 0.5, column + 0.5), strict=True):
            line.setVisible(row >= 0)
            line.setPos(position)

    def set_drawing(self, drawing: bool) -> None:
        """Whether drags with the left button draw instead of panning."""
        self.box.drawing = drawing
        self.viewport().setCursor(Qt.CursorShape.CrossCursor if drawing else Qt.CursorShape.ArrowCursor)

    # Where it looks -------------------------------------------------------------------------------

    def set_view(self, view: View | None) -> None:
        """Look there; None shows everything."""
        self.view = view
        self._apply_view()

    def look_at(self, view: View | None) -> None:
        """Look there on the user's behalf: others that are linked follow."""
        self.set_view(view)
        self.moved.emit(view)

    def reach(self, screen_pixels: float) -> float:
        """That many screen pixels in image pixels."""
        return screen_pixels * float(max(self.box.viewPixelSize()))

    def _apply_view(self) -> None:
        if self.pixels is None:
            return
        rows, columns = self.pixels.shape[:2]
        if self.view is None:
            margin = _MARGIN if self._square else 0.0
            whole = QRectF(-margin, -margin, columns + 2 * margin, rows + 2 * margin)
            self.box.setRange(whole, padding=0, disableAutoRange=True)
            return
        view, width, height = self.view, max(1.0, self.box.width()), max(1.0, self.box.height())
        half_x, half_y = view.scale_x * width / 2, view.scale_y * height / 2
        corners = QPointF(view.x - half_x, view.y - half_y), QPointF(view.x + half_x, view.y + half_y)
        self.box.setRange(QRectF(*corners), padding=0, disableAutoRange=True)

    def _moved_by_hand(self) -> None:
        self.view = self._present_view()
        self.moved.emit(self.view)

    def _present_view(self) -> View:
        rect = self.box.viewRect()
        width, height = max(1.0, self.box.width()), max(1.0, self.box.height())
        centre = rect.center()
        return View(centre.x(), centre.y(), rect.width() / width, rect.height() / height)

    # Events ---------------------------------------------------------------------------------------

    def _pixel(self, point: QPointF) -> tuple[int, int]:
        if self.pixels is None:
            return -1, -1
        row, column = int(np.floor(point.y())), int(np.floor(point.x()))
        inside = 0 <= row < self.pixels.shape[0] and 0 <= column < self.pixels.shape[1]
        return (row, column) if inside else (-1, -1)

    def _hover(self, position: QPointF) -> None:
        inside = self.box.sceneBoundingRect().contains(position)
        self.hovered.emit(*(self._pixel(self.box.mapSceneToView(position)) if inside else (-1, -1)))

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom where this picture has the keyboard, or with Ctrl; else the wheel is for what scrolls around it."""
        if self.hasFocus() or event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            super().wheelEvent(event)
            event.accept()
        else:
            event.ignore()

    def leaveEvent(self, event: QEvent) -> None:
        self.hovered.emit(-1, -1)
        super().leaveEvent(event)

    def focusInEvent(self, event: object) -> None:
        self.focused.emit()
        super().focusInEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Plus and minus zoom, Shift and an arrow key pan; up and down go through the planes of a volume."""
        key, view = Qt.Key(event.key()), self._present_view()
        zoom = {Qt.Key.Key_Plus: 1 / _KEY_ZOOM, Qt.Key.Key_Equal: 1 / _KEY_ZOOM, Qt.Key.Key_Minus: _KEY_ZOOM}
        pan = {
            Qt.Key.Key_Left: (-1, 0), Qt.Key.Key_Right: (1, 0), Qt.Key.Key_Up: (0, -1), Qt.Key.Key_Down: (0, 1)
        }  # fmt: skip
        if key in zoom:
            self.look_at(View(view.x, view.y, view.scale_x * zoom[key], view.scale_y * zoom[key]))
        elif key in pan and event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            (right, down), seen = pan[key], self.box.viewRect()
            x, y = view.x + right * _KEY_PAN * seen.width(), view.y + down * _KEY_PAN * seen.height()
            self.look_at(View(x, y, view.scale_x, view.scale_y))
        elif key in (Qt.Key.Key_Up, Qt.Key.Key_Down) and self.crosshair.is_there:
            self.stepped.emit(1 if key == Qt.Key.Key_Up else -1)
        else:
            event.ignore()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if not hasattr(self, "empty"):  # pyqtgraph resizes while it is made
            return
        self.empty.setGeometry(self.rect())
        self._place_offer()
        self.legend.place()
        self.badge.place()
        self._settle.start()  # after the layout has settled: pyqtgraph's own linking runs away here (#1348)


class Picture(QWidget):
    """Shows pixels under a title; its tooltip says what they are."""

    def __init__(self, title: str, tip: str) -> None:
        super().__init__()
        self.title = QLabel(title)
        self.title.setToolTip(tip)
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.canvas = Canvas(title)
        layout = column(self, spacing=1)
        layout.addWidget(self.title)
        layout.addWidget(self.canvas, 1)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def show_pixels(self, pixels: Pixels | None, look: Appearance, *, legend: bool) -> None:
        """Show these pixels; None shows nothing."""
        self.canvas.set_picture(pixels, look, legend=legend)
