"""Small line icons, drawn in the text colour of the present palette at any size."""

from collections.abc import Callable

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QIcon, QIconEngine, QPainter, QPainterPath, QPalette, QPen, QPixmap
from PySide6.QtWidgets import QApplication

# Every path is drawn on a grid of 16 by 16
_GRID = 16.0


def _lines(*strokes: tuple[tuple[float, float], ...]) -> QPainterPath:
    path = QPainterPath()
    for first, *rest in strokes:
        path.moveTo(*first)
        for point in rest:
            path.lineTo(*point)
    return path


def _with(path: QPainterPath, *shapes: Callable[[QPainterPath], None]) -> QPainterPath:
    for shape in shapes:
        shape(path)
    return path


def _box(x: float, y: float, width: float, height: float) -> Callable[[QPainterPath], None]:
    return lambda path: path.addRoundedRect(QRectF(x, y, width, height), 1.5, 1.5)


def _rounded(x: float, y: float, side: float, radius: float) -> Callable[[QPainterPath], None]:
    return lambda path: path.addRoundedRect(QRectF(x, y, side, side), radius, radius)


def _dots(*centres: tuple[float, float], radius: float) -> Callable[[QPainterPath], None]:
    def add(path: QPainterPath) -> None:
        for centre in centres:
            path.addEllipse(QPointF(*centre), radius, radius)

    return add


def _stroke(path: QPainterPath) -> None:
    """The bristles of a brush and what they leave."""
    path.moveTo(7.5, 8.5)
    path.cubicTo(4.5, 8.5, 5.5, 12.5, 2, 13.5)
    path.cubicTo(5, 14.5, 8.8, 12.8, 7.5, 8.5)


def _paths() -> dict[str, QPainterPath]:
    chain = _lines(((6.5, 9.5), (9.5, 6.5)))
    for x, y in ((1.8, 7.2), (7.2, 1.8)):
        _rounded(x, y, 7, 3)(chain)
    broken = _lines(((4, 4), (5.8, 5.8)), ((10.2, 10.2), (12, 12)))
    return {
        "linked": chain,
        "unlinked": _with(broken, *(_rounded(x, y, 5.6, 2.8) for x, y in ((1.2, 9.2), (9.2, 1.2)))),
        "maximise": _lines(((9.5, 2.5), (13.5, 2.5), (13.5, 6.5)), ((6.5, 13.5), (2.5, 13.5), (2.5, 9.5)),
                           ((13.5, 2.5), (9.3, 6.7)), ((2.5, 13.5), (6.7, 9.3))),
        "restore": _lines(((9.2, 2.5), (9.2, 6.8), (13.5, 6.8)), ((6.8, 13.5), (6.8, 9.2), (2.5, 9.2)),
                          ((9.2, 6.8), (13.5, 2.5)), ((6.8, 9.2), (2.5, 13.5))),
        "menu": _with(QPainterPath(), _dots((3, 8), (8, 8), (13, 8), radius=0.8)),
        "close": _lines(((4, 4), (12, 12)), ((12, 4), (4, 12))),
        "add": _with(_lines(((8, 5), (8, 11)), ((5, 8), (11, 8))), _box(1.5, 1.5, 13, 13)),
        "move": _lines(((8, 1.5), (8, 14.5)), ((1.5, 8), (14.5, 8)), ((6, 3.5), (8, 1.5), (10, 3.5)),
                       ((6, 12.5), (8, 14.5), (10, 12.5)), ((3.5, 6), (1.5, 8), (3.5, 10)),
                       ((12.5, 6), (14.5, 8), (12.5, 10))),
        "profile": _with(_lines(((4, 12), (12, 4))), _dots((3, 13), (13, 3), radius=1.5)),
        "rectangle": _with(QPainterPath(), _box(2, 3.5, 12, 9)),
        "ellipse": _with(QPainterPath(), lambda path: path.addEllipse(QRectF(1.5, 3.5, 13, 9))),
        "mask": _with(_lines(((13.5, 2.5), (7.5, 8.5))), _stroke),
        "eraser": _lines(((6, 13), (2.5, 9.5), (9.5, 2.5), (13.5, 6.5), (7, 13), (6, 13)),
                        ((6, 6), (10, 10)), ((6, 13), (13.5, 13))),
        "undo": _lines(((2.5, 6), (9.5, 6), (12, 7), (13.5, 9.5), (12, 12), (9.5, 13), (6, 13)),
                        ((5.5, 3), (2.5, 6), (5.5, 9))),
        "redo": _lines(((13.5, 6), (6.5, 6), (4, 7), (2.5, 9.5), (4, 12), (6.5, 13), (10, 13)),
                        ((10.5, 3), (13.5, 6), (10.5, 9))),
        "open": _lines(((1.5, 13), (1.5, 3), (6, 3), (7.5, 5), (13, 5), (13, 7)),
                        ((1.5, 13), (4, 7), (15, 7), (12.5, 13), (1.5, 13))),
        "prior": _with(_lines(((5, 5), (11, 5)), ((5, 8), (11, 8)), ((5, 11), (9, 11))), _box(2, 1.5, 12, 13)),
        "export": _lines(((2, 10), (2, 14), (14, 14), (14, 10)), ((8, 10.5), (8, 1.5)),
                        ((4.8, 7.3), (8, 10.5), (11.2, 7.3))),
        "run": _lines(((4, 2), (13, 8), (4, 14), (4, 2))),
        "pause": _lines(((5, 2.5), (5, 13.5)), ((11, 2.5), (11, 13.5))),
        "step": _lines(((3, 2.5), (10, 8), (3, 13.5), (3, 2.5)), ((13, 2.5), (13, 13.5))),
        "finish": _lines(((2.5, 8.5), (6.5, 12.5), (13.5, 3.5))),
        "cancel": _with(QPainterPath(), _box(3, 3, 10, 10)),
        "side": _with(QPainterPath(), _box(1.5, 3, 5.5, 10), _box(9, 3, 5.5, 10)),
        "wipe": _with(_lines(((8, 1), (8, 15))), _box(1.5, 3.5, 13, 9)),
        "blink": _with(QPainterPath(), _box(1.5, 1.5, 9, 9), _box(5.5, 5.5, 9, 9)),
        "subtract": _with(_lines(((5, 8), (11, 8))), _dots((8, 8), radius=6.3)),
        "swap": _lines(((2, 5.5), (13.5, 5.5)), ((10.5, 2.5), (13.5, 5.5)), ((14, 10.5), (2.5, 10.5)),
                       ((5.5, 13.5), (2.5, 10.5))),
        "first": _lines(((3, 3), (3, 13)), ((13, 3), (6, 8), (13, 13), (13, 3))),
        "previous": _lines(((11, 3), (4.5, 8), (11, 13), (11, 3))),
        "next": _lines(((5, 3), (11.5, 8), (5, 13), (5, 3))),
        "last": _lines(((13, 3), (13, 13)), ((3, 3), (10, 8), (3, 13), (3, 3))),
        "compare": _with(_lines(((2, 13.5), (13.5, 2))), _box(1.5, 1.5, 13, 13)),
    }  # fmt: skip


class _Engine(QIconEngine):
    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def paint(self, painter: QPainter, rect: object, mode: QIcon.Mode, state: QIcon.State) -> None:
        group = QPalette.ColorGroup.Disabled if mode is QIcon.Mode.Disabled else QPalette.ColorGroup.Normal
        colour = QApplication.palette().color(group, QPalette.ColorRole.ButtonText)
        box = QRectF(rect)  # type: ignore[call-overload]
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.translate(box.topLeft())
        painter.scale(box.width() / _GRID, box.height() / _GRID)
        pen = QPen(colour, 1.25)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        painter.drawPath(_paths()[self._name])
        painter.restore()

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        pixmap = QPixmap(size)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        self.paint(painter, pixmap.rect(), mode, state)
        painter.end()
        return pixmap

    def clone(self) -> "QIconEngine":
        return _Engine(self._name)


def icon(name: str) -> QIcon:
    """The icon of that name."""
    return QIcon(_Engine(name))
