"""The geometry of a scan, drawn from the settings as they are: source, detector, angles, turn, units."""

import math

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent, QPalette, QPen, QPolygonF, QWheelEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QWidget

from padis_gui.core.images.image import Image
from padis_gui.core.physics.cone import ConeBeamSettings
from padis_gui.core.physics.geometry import Point, Shape, Sketch, make_sketch
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.physics.scanner import ScannerSettings
from padis_gui.core.settings.errors import PadisError
from padis_gui.gui.kit.forms import Slider, WholeBox
from padis_gui.gui.kit.theme import BORDER, GEOMETRY
from padis_gui.gui.kit.widgets import column, debounced, row
from padis_gui.viewmodels.runs.runs import thumbnail
from padis_gui.viewmodels.session.session import Session

CONVENTION = (
    "x points to the right, y upwards. At 0° the rays run upwards and the bins count from left to right. Angles grow "
    "counter-clockwise: the scanner turns, the image stays."
)
UNKNOWN_SCALE = "The size of a pixel is not known, so lengths are in px; state it under Data, Pixel size."
_MARGIN = 26
_SETTLE_MS = 60
_NO_SHAPE = (256, 256)


class GeometrySketch(QWidget):
    """Draws a :class:`Sketch`: all sources and detectors faintly, one view in full."""

    def __init__(self) -> None:
        super().__init__()
        self.sketch: Sketch | None = None
        self.picture: QImage | None = None
        self.view = 0
        self.setMinimumSize(180, 180)
        self.setAccessibleName("Sketch of the scan")
        self.setToolTip(CONVENTION)

    def show_sketch(self, sketch: Sketch | None, view: int) -> None:
        """Draw this scan, with that view in full."""
        self.sketch, self.view = sketch, view
        self.update()

    def place(self, point: Point) -> QPointF:
        """Where a point of the scan, in pixels from the axis with y upwards, lies in the widget."""
        scale = self._scale
        below = self.height() - self._beside_height
        return QPointF(self.width() / 2 + scale * point[0], below / 2 - scale * point[1])

    def place_beside(self, point: Point) -> QPointF:
        """Where a point of a cone beam seen from the side lies: along its middle ray from the axis, and z.

        The first slice is the lowest line, as in the planes of a volume.
        """
        scale, sketch = self._scale, self.sketch
        assert sketch is not None, "what is drawn"
        last = max(-sketch.upright[1], sketch.height / 2)
        above = self.height() - self._beside_height
        middle = 0.5 * (sketch.geometry.detector_distance - sketch.geometry.source_distance)
        return QPointF(self.width() / 2 + scale * (point[0] - middle), above + scale * (last + point[1]))

    @property
    def _tall(self) -> float:
        """How high a cone beam is that is seen from the side, in pixels of the image; 0 of other beams."""
        sketch = self.sketch
        if sketch is None or sketch.geometry.beam != "cone":
            return 0.0
        top, bottom = sketch.upright
        return max(top, sketch.height / 2) - min(bottom, -sketch.height / 2)

    @property
    def _scale(self) -> float:
        reach, tall = self.sketch.reach if self.sketch is not None else 1.0, self._tall
        room = self.height() - (_MARGIN if tall else 0)
        return (
            max(1.0, min(self.width() - 2 * _MARGIN, (room - 2 * _MARGIN) / (1 + tall / (2 * reach))))
            / 2
            / reach
        )

    @property
    def _beside_height(self) -> float:
        """The strip below for the cone beam seen from the side, in pixels of the screen."""
        return self._scale * self._tall + _MARGIN if self._tall else 0.0

    def paintEvent(self, event: QPaintEvent) -> None:
        sketch = self.sketch
        if sketch is None:
            return
        text = self.palette().color(QPalette.ColorRole.WindowText)
        muted = self.palette().color(QPalette.ColorRole.PlaceholderText)
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            self._paint_object(painter, sketch, text, muted)
            self._paint_all_views(painter, sketch)
            self._paint_view(painter, sketch)
            if sketch.geometry.beam == "cone":
                self._paint_beside(painter, sketch, text, muted)
            self._paint_turn(painter, sketch, text)
            self._paint_scale(painter, sketch, text)

    def _circle(self, painter: QPainter, radius: float) -> None:
        length = self._scale * radius
        painter.drawEllipse(self.place((0.0, 0.0)), length, length)

    def _paint_object(self, painter: QPainter, sketch: Sketch, text: QColor, muted: QColor) -> None:
        rows, columns = sketch.shape
        corner = self.place((-columns / 2, rows / 2))
        square = QRectF(corner.x(), corner.y(), self._scale * columns, self._scale * rows)
        if self.picture is not None:
            painter.setOpacity(0.55)
            painter.drawImage(square, self.picture)
            painter.setOpacity(1.0)
        faint = QColor(text)
        faint.setAlpha(28)
        painter.setPen(QPen(muted, 1))
        painter.setBrush(faint)
        painter.drawRect(square)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        colour = GEOMETRY["seen"] if sketch.sees_everything else GEOMETRY["unseen"]
        painter.setPen(QPen(QColor(colour), 1.4, Qt.PenStyle.DashLine))
        self._circle(painter, min(sketch.field_of_view, sketch.reach))
        axis = self.place((0.0, 0.0))
        painter.setPen(QPen(text, 1.2))
        painter.drawLine(axis - QPointF(4, 0), axis + QPointF(4, 0))
        painter.drawLine(axis - QPointF(0, 4), axis + QPointF(0, 4))

    def _paint_all_views(self, painter: QPainter, sketch: Sketch) -> None:
        pale = QColor(BORDER)
        pale.setAlpha(70 if len(sketch.views) <= 60 else 25)
        painter.setPen(QPen(pale, 1))
        for view in sketch.views:
            painter.drawLine(*(self.place(p) for p in view.detector))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(GEOMETRY["source"]))
        for view in sketch.views:
            middle = tuple((a + b) / 2 for a, b in zip(*view.sources, strict=True))
            painter.drawEllipse(self.place((middle[0], middle[1])), 1.7, 1.7)

    def _paint_view(self, painter: QPainter, sketch: Sketch) -> None:
        view = sketch.views[min(self.view, len(sketch.views) - 1)]
        ends, sources = ([self.place(p) for p in points] for points in (view.detector, view.sources))
        rays = QColor(GEOMETRY["source"])
        rays.setAlpha(38)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(rays)
        painter.drawPolygon(QPolygonF([sources[0], ends[0], ends[1], sources[1]]))
        rays.setAlpha(150)
        painter.setPen(QPen(rays, 1))
        count = 9
        for number in range(count):
            share = number / (count - 1)
            source = sources[0] + (sources[1] - sources[0]) * share
            end = ends[0] + (ends[1] - ends[0]) * share
            painter.drawLine(source, end)
            _arrow(painter, source, end, 0.93)
        painter.setPen(_thick(BORDER))
        painter.drawLine(ends[0], ends[1])
        painter.setPen(_thick(GEOMETRY["source"]))
        painter.setBrush(QColor(GEOMETRY["source"]))
        if sketch.geometry.beam != "parallel":
            painter.drawEllipse(sources[0], 3.5, 3.5)
        else:
            painter.drawLine(sources[0], sources[1])
        painter.setPen(self.palette().color(QPalette.ColorRole.WindowText))
        painter.drawText(_beside(ends[0], ends[1], 9), "1")
        painter.drawText(_beside(ends[1], ends[0], 9), str(sketch.geometry.bins))

    def _paint_beside(self, painter: QPainter, sketch: Sketch, text: QColor, muted: QColor) -> None:
        """The view in full from the side, at the same scale: the source to the left, its rays to the detector's rows."""
        geometry, (top, bottom) = sketch.geometry, sketch.upright
        behind = geometry.detector_distance
        source, low, high = (
            self.place_beside(p) for p in ((-geometry.source_distance, 0.0), (behind, top), (behind, bottom))
        )
        wide = sketch.across_view(min(self.view, len(sketch.views) - 1))
        faint = QColor(text)
        faint.setAlpha(28)
        painter.setPen(QPen(muted, 1))
        painter.setBrush(faint)
        painter.drawRect(
            QRectF(
                self.place_beside((-wide, -sketch.height / 2)), self.place_beside((wide, sketch.height / 2))
            )
        )
        painter.setPen(QPen(muted, 1, Qt.PenStyle.DashLine))
        painter.drawLine(
            self.place_beside((0.0, sketch.height / 2 + 4 / self._scale)),
            self.place_beside((0.0, -sketch.height / 2 - 4 / self._scale)),
        )
        rays = QColor(GEOMETRY["source"])
        rays.setAlpha(38)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(rays)
        painter.drawPolygon(QPolygonF([source, high, low]))
        rays.setAlpha(150)
        painter.setPen(QPen(rays, 1))
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            end = high + (low - high) * share
            painter.drawLine(source, end)
            _arrow(painter, source, end, 0.93)
        painter.setPen(_thick(BORDER))
        painter.drawLine(high, low)
        painter.setPen(_thick(GEOMETRY["source"]))
        painter.setBrush(QColor(GEOMETRY["source"]))
        painter.drawEllipse(source, 3.5, 3.5)
        painter.setPen(text)
        apart = max(0.0, painter.fontMetrics().height() - (high.y() - low.y()) - 10) / 2  # of a low detector
        painter.drawText(low + QPointF(6, -apart), "1")
        painter.drawText(high + QPointF(6, 10 + apart), str(geometry.rows))

    def _paint_turn(self, painter: QPainter, sketch: Sketch, text: QColor) -> None:
        """An arrow the way the views go, from the first one on, about the axis."""
        first = math.degrees(sketch.views[0].angle) - 90  # where the source is at angle 0: below
        sweep = min(sketch.arc, 300.0) * (-1 if sketch.geometry.turn == "clockwise" else 1)
        length = 0.45 * self._scale * min(sketch.shape)
        axis = self.place((0.0, 0.0))
        box = QRectF(axis.x() - length, axis.y() - length, 2 * length, 2 * length)
        halo = self.palette().color(QPalette.ColorRole.Window)
        for pen in (QPen(halo, 4), QPen(text, 1.6)):
            painter.setPen(pen)
            painter.drawArc(box, round(16 * first), round(16 * sweep))
        end = math.radians(first + sweep)
        tangent = end + math.copysign(math.pi / 2, sweep)
        tip = axis + QPointF(math.cos(end), -math.sin(end)) * length
        _arrow(painter, tip - QPointF(math.cos(tangent), -math.sin(tangent)) * 8.0, tip, 1.0, 5.0)

    def _paint_scale(self, painter: QPainter, sketch: Sketch, text: QColor) -> None:
        """A bar of a round length, in mm where the size of a pixel is known."""
        unit = "px" if sketch.pixel_size is None else "mm"
        one = self._scale / (sketch.pixel_size or 1.0)  # of the unit, on the screen
        wanted = self.width() / 5 / one
        power = 10 ** math.floor(math.log10(wanted))
        length = max(f * power for f in (1, 2, 5) if f * power <= wanted)
        left, bottom = 8.0, self.height() - self._beside_height - 8.0
        painter.setPen(QPen(text, 1.4))
        painter.drawLine(QPointF(left, bottom), QPointF(left + length * one, bottom))
        painter.drawText(QPointF(left, bottom - 5), f"{length:g} {unit}")

    def sizeHint(self) -> QSize:
        return QSize(300, 300)


def _thick(colour: str) -> QPen:
    return QPen(QColor(colour), 4, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap)


def _beside(point: QPointF, other: QPointF, length: float) -> QPointF:
    """A little beyond ``point``, seen from ``other``, for a short text."""
    way = point - other
    norm = math.hypot(way.x(), way.y()) or 1.0
    return point + way * (length / norm) + QPointF(-4, 4)


def _arrow(painter: QPainter, start: QPointF, end: QPointF, share: float, size: float = 4.0) -> None:
    """An arrow head on the line from start to end, at that share of it."""
    way = end - start
    norm = math.hypot(way.x(), way.y())
    if norm < 1:
        return
    along, across = way / norm, QPointF(-way.y(), way.x()) / norm
    tip = start + way * share
    back, aside = tip - along * size, across * (size / 2)
    painter.drawPolyline([back + aside, tip, back - aside])


def facts(sketch: Sketch) -> str:
    """The scan in numbers, with units; mm only where the size of a pixel is known."""
    mm, geometry = sketch.pixel_size, sketch.geometry

    def also(*lengths: float) -> str:
        """Lengths in px once more in mm, in brackets."""
        return "" if mm is None else f" ({' × '.join(f'{length * mm:.4g}' for length in lengths)} mm)"

    rows, columns = sketch.shape
    lines = [
        f"{geometry.views} views over {sketch.arc:g}°, {geometry.turn} from {geometry.start:g}°",
        f"{geometry.bins} bins of {geometry.bin_width:.4g} px{also(geometry.bin_width)}",
        f"image {columns} × {rows} px{also(columns, rows)}",
        UNKNOWN_SCALE if mm is None else f"{mm:.4g} mm a pixel",
    ]
    seen = f"field of view {2 * sketch.field_of_view:.4g} px{also(2 * sketch.field_of_view)}"
    lines.append(seen if sketch.sees_everything else f"{seen}: the image's corners are cut off")
    if geometry.beam == "cone":
        lines[1] = (
            f"{geometry.bins} × {geometry.rows} bins of {geometry.bin_width:.4g} × {geometry.row_height:.4g} px"
            f"{also(geometry.bin_width, geometry.row_height)}"
        )
        lines[2] += f", {sketch.height:.4g} px{also(sketch.height)} high"
    if geometry.beam != "parallel":
        distance = geometry.source_distance
        lines.append(
            f"source at {distance:.4g} px{also(distance)}, magnification {geometry.magnification:.3g}"
        )
    return "\n".join(lines)


def sketch_of(
    problem: ScannerSettings, shape: Shape, spacing: tuple[float, float] | None, volume: Image | None
) -> Sketch:
    """Of a scan of images of ``shape`` (rows, columns), or of a volume; raises :class:`PadisError` where it cannot be."""
    if not isinstance(problem, ConeBeamSettings):
        return make_sketch(problem.geometry(shape), shape, problem.known_pixel(spacing))
    slices = 1
    if volume is not None:
        problem, slices = problem.for_image(volume), volume.channels
    height = slices * problem.height_of_voxels()
    return make_sketch(problem.geometry((slices, *shape)), shape, problem.known_pixel(spacing), height)


class GeometryPanel(QWidget):
    """The sketch, a slider over the views, the numbers, and the convention."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.sketch = GeometrySketch()
        self.slider = Slider(Qt.Orientation.Horizontal)
        self.number = WholeBox(prefix="view ")
        for control in (self.slider, self.number):
            control.setAccessibleName("View that is drawn in full")
            control.setToolTip(
                "Which view is drawn in full; with Ctrl the wheel over the sketch changes it too"
            )
            control.valueChanged.connect(self._choose)
        self.angle, self.facts = QLabel(), QLabel(wordWrap=True)
        self.convention = QLabel(CONVENTION, wordWrap=True)
        self.empty = QLabel(wordWrap=True, alignment=Qt.AlignmentFlag.AlignCenter)
        for label in (self.convention, self.empty):
            label.setProperty("muted", True)
        self.facts.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        layout = column(self, spacing=4, margins=(8, 4, 8, 8))
        layout.addWidget(self.empty, 1)
        layout.addWidget(self.sketch, 1)
        layout.addLayout(self._chooser())
        layout.addWidget(self.facts)
        layout.addWidget(self.convention)
        self._settled = debounced(self, _SETTLE_MS, self.refresh)
        self._drawn: tuple[object, ...] = ()
        session.method.changed.connect(self._settled.throttle)
        session.data.changed.connect(self._show_picture)
        session.volume.changed.connect(self._settled.throttle)
        self._show_picture()
        self.refresh()

    def _chooser(self) -> QHBoxLayout:
        chooser = row(spacing=6)
        chooser.addWidget(self.slider, 1)
        chooser.addWidget(self.number)
        chooser.addWidget(self.angle)
        return chooser

    def _show_picture(self) -> None:
        image = self._session.data.image
        if image is not None:
            pixels = thumbnail(image)
            rows, columns, *colours = pixels.shape
            layout = QImage.Format.Format_RGB888 if colours else QImage.Format.Format_Grayscale8
            picture = QImage(pixels.tobytes(), columns, rows, pixels[0].nbytes, layout)
            self.sketch.picture = picture.copy()  # the bytes go
        self._settled.throttle()

    def refresh(self) -> None:
        """Draw the present settings."""
        session = self._session
        image = session.data.image
        shape, spacing = (_NO_SHAPE, None) if image is None else (image.shape, image.spacing)
        volume = session.volume.subject if session.volume.on else None
        slices = 1 if volume is None else volume.channels
        scan = (session.method.physics, session.method.problem, shape, spacing, slices, self.sketch.picture)
        if scan == self._drawn:
            return  # it was another setting that changed
        self._drawn = scan
        sketch, trouble = None, ""
        if isinstance(problem := session.method.problem, ScannerSettings):
            try:
                sketch = sketch_of(problem, shape, spacing, volume)
            except PadisError as error:
                trouble = str(error)
        label = find_physics(session.method.physics).label
        self.empty.setText(
            trouble or f"{label} has no scanner. Choose a CT physics to see source, detector and angles."
        )
        self.empty.setVisible(sketch is None)
        for widget in (self.sketch, self.slider, self.number, self.angle, self.facts, self.convention):
            widget.setVisible(sketch is not None)
        if sketch is None:
            self.sketch.show_sketch(None, 0)
            return
        views = len(sketch.views)
        for control in (self.slider, self.number):
            control.blockSignals(True)
            control.setRange(1, views)
            control.blockSignals(False)
        self.number.setSuffix(f" of {views}")
        self.facts.setText(facts(sketch))
        self._show(sketch, min(self.number.value(), views))

    def _choose(self, number: int) -> None:
        if self.sketch.sketch is not None:
            self._show(self.sketch.sketch, number)

    def _show(self, sketch: Sketch, number: int) -> None:
        """Draw the view of this number, from 1."""
        view = number - 1
        for control in (self.slider, self.number):
            control.blockSignals(True)
            control.setValue(number)
            control.blockSignals(False)
        self.angle.setText(f"θ = {math.degrees(sketch.views[view].angle):.4g}°")
        self.sketch.show_sketch(sketch, view)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """With Ctrl to the next view or the one before; else the wheel changes nothing."""
        ctrl = event.modifiers() & Qt.KeyboardModifier.ControlModifier
        if ctrl and self.sketch.sketch is not None and event.angleDelta().y():
            self.number.stepBy(1 if event.angleDelta().y() < 0 else -1)
            event.accept()
        else:
            event.ignore()
