"""Colours and style: Fusion in the system's light or dark scheme, panes dark in both, line icons in the text's colour."""

from collections.abc import Callable

import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontInfo,
    QGuiApplication,
    QIcon,
    QIconEngine,
    QPainter,
    QPainterPath,
    QPalette,
    QPen,
    QPixmap,
    QPixmapCache,
)
from PySide6.QtWidgets import QApplication

from padis_gui.gui.kit.focus import FocusKeys, FocusRing

PANE_BACKGROUND = "#101214"
TILE = "#ffb000"
BORDER = "#4fb3ff"
INSPECTED = "#7dff9b"
SIDES = ("#3b9eff", "#ff7a45")  # A and B of a comparison
CURSOR = "#57d38c90"
CROSSHAIR = "#4fc3f7"
LINE, REGION = "#ffd84d", "#ff8ad8"
SEAM_LINE = "#ffb000a0"
# Curves side by side, to be told apart on light and on dark
SERIES = (
    "#9aa0a6", "#3d8bfd", "#f28e2b", "#2ca58d", "#d1495b", "#9467bd",
    "#b8a12c", "#17a2c6", "#e377c2", "#8c6d46", "#6aa84f", "#c05a2e",
)  # fmt: skip
CURVE = {
    "psnr": "#3aa675", "ssim": "#2aa7b8", "residual": "#d9822b", "seam_ratio": "#c25fb0", "sigma": "#5b8def",
    "milliseconds": "#8a8f98",
}  # fmt: skip
COMPARED = "#b59b6a"
MARKER = "#e0b84c"
BASELINE = "#9aa0a6"
MASK = "#e0483c"
STALE = "#f0b429"
GEOMETRY = {"source": "#e08a1e", "seen": "#3aa675", "unseen": "#d2503c"}
MARKS = ("#c98a10", "#3aa675")  # of fields: for the next run, and for the one under way
RUN_BUTTON = (
    "QToolButton { background: #2e7d4f; color: white; font-weight: 600; padding: 6px;"
    " border-radius: 4px; } QToolButton:hover { background: #37945e; }"
    " QToolButton:disabled { background: #5b6b62; color: #c8d0cb; }"
)
LEVEL_COLOURS = {"info": "#2f6fb3", "warning": "#b07a00", "error": "#b3382f"}
_DARK = {
    "Window": "#1e2124", "WindowText": "#e6e6e6", "Base": "#16181b", "AlternateBase": "#1e2124", "Text": "#e6e6e6",
    "Button": "#2b2f34", "ButtonText": "#e6e6e6", "BrightText": "#ffffff", "Highlight": "#3d7bd9",
    "HighlightedText": "#ffffff", "ToolTipBase": "#2b2f34", "ToolTipText": "#e6e6e6", "Link": "#6ea8fe",
    "PlaceholderText": "#9aa0a6", "Light": "#3a3f45", "Midlight": "#33383d", "Mid": "#25292d", "Dark": "#121416",
    "Shadow": "#000000",
}  # fmt: skip
_DARK_DISABLED = "#6d7278"
_LIGHT = {
    "Window": "#f2f3f5", "WindowText": "#1b1d1f", "Base": "#ffffff", "AlternateBase": "#f5f6f8", "Text": "#1b1d1f",
    "Button": "#f7f8fa", "ButtonText": "#1b1d1f", "BrightText": "#ffffff", "Highlight": "#2f6fd0",
    "HighlightedText": "#ffffff", "ToolTipBase": "#ffffff", "ToolTipText": "#1b1d1f", "Link": "#1f5fc0",
    "PlaceholderText": "#676d74", "Light": "#ffffff", "Midlight": "#eceef1", "Mid": "#b9bec5", "Dark": "#9aa0a7",
    "Shadow": "#6a6f75",
}  # fmt: skip
_LIGHT_DISABLED = "#9aa0a6"


_STYLE = (
    "QToolTip { padding: 3px; }"
    "QToolButton[heading='true'] { font-weight: 600; border: none; padding: 3px 0px; }"
    "QLabel[heading='true'] { font-weight: 600; }"
    "QLabel[muted='true'] { color: palette(placeholder-text); }"
    # Fusion outlines an empty box darker than the window: in dark colours nobody sees it
    # with its indicator a box loses the margins that it has without, and the ring of the keyboard would lie on its text
    "QCheckBox { padding: 3px 4px 3px 2px; }"
    "QCheckBox::indicator:unchecked, QAbstractItemView::indicator:unchecked"
    " { border: 1px solid palette(placeholder-text); border-radius: 2px; background: palette(base); }"
    "QLabel[key='true'] { border: 1px solid palette(mid); border-radius: 3px; padding: 1px 5px; }"
)
_chosen = "System"
_focus: tuple[FocusRing, FocusKeys] | None = None  # of the application, for as long as there is one


def configure(app: QApplication) -> None:
    """Set style and pyqtgraph's options, and follow the system; call before the first plot item is made."""
    pg.setConfigOptions(imageAxisOrder="row-major")
    app.setStyle("Fusion")
    app.setFont(with_hats(app.font()))
    app.styleHints().colorSchemeChanged.connect(lambda _scheme: set_scheme(_chosen))
    global _focus
    _focus = FocusRing(app), FocusKeys(app)
    set_scheme("System")


def with_hats(font: QFont) -> QFont:
    """The font, so that x̂ has its hat: DejaVu Sans, the usual one on Linux, places that accent where x is not."""
    if QFontInfo(font).family() == "DejaVu Sans":
        font = QFont(font)
        font.setFeature(QFont.Tag("mark"), 0)  # Qt then places accents itself
    return font


def set_scheme(name: str) -> None:
    """Follow the system, also when it changes, or be light or dark whatever the platform knows about schemes."""
    global _chosen
    app = QApplication.instance()
    if not isinstance(app, QApplication):
        raise RuntimeError("colours are set once there is an application")
    _chosen = name
    dark = name == "Dark" or (name == "System" and _system_is_dark())
    palette = _palette(_DARK, _DARK_DISABLED) if dark else _palette(_LIGHT, _LIGHT_DISABLED)
    if palette != app.palette():
        app.setStyleSheet("")  # widgets keep the palette that a style sheet was resolved with
        app.setPalette(palette)
        app.setStyleSheet(_STYLE)


def _system_is_dark() -> bool:
    return QGuiApplication.styleHints().colorScheme() is Qt.ColorScheme.Dark


def _palette(colours: dict[str, str], disabled: str) -> QPalette:
    palette = QPalette()
    for role, colour in colours.items():
        palette.setColor(QPalette.ColorRole[role], QColor(colour))
    for role in ("WindowText", "Text", "ButtonText", "HighlightedText"):
        palette.setColor(QPalette.ColorGroup.Disabled, QPalette.ColorRole[role], QColor(disabled))
    return palette


def ramp(count: int) -> list[str]:
    """Colours from blue to red for what has an order, readable on light and dark."""
    hues = [round(222 - 214 * n / max(1, count - 1)) for n in range(count)]
    return [QColor.fromHsl(hue, 165, 138).name() for hue in hues]


def plot_colours(palette: QPalette) -> tuple[QColor, QColor]:
    """Background and foreground for plots under this palette."""
    return palette.color(QPalette.ColorRole.Base), palette.color(QPalette.ColorRole.Text)


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
        "crop": _lines(((4.5, 1), (4.5, 11.5), (15, 11.5)), ((1, 4.5), (11.5, 4.5), (11.5, 15))),
        "crosshair": _with(_lines(((8, 1), (8, 5.5)), ((8, 10.5), (8, 15)), ((1, 8), (5.5, 8)), ((10.5, 8), (15, 8))),
                           _dots((8, 8), radius=0.5)),
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
        "waiting": _with(_lines(((8, 4.5), (8, 8), (10.5, 9.5))), _dots((8, 8), radius=6.3)),
        "warning": _with(_lines(((8, 2), (14.5, 13.5), (1.5, 13.5), (8, 2)), ((8, 6.5), (8, 9.5))),
                         _dots((8, 11.4), radius=0.4)),
        "compare": _with(_lines(((2, 13.5), (13.5, 2))), _box(1.5, 1.5, 13, 13)),
    }  # fmt: skip


class _Engine(QIconEngine):
    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    @staticmethod
    def _colour(mode: QIcon.Mode) -> QColor:
        group = QPalette.ColorGroup.Disabled if mode is QIcon.Mode.Disabled else QPalette.ColorGroup.Normal
        return QApplication.palette().color(group, QPalette.ColorRole.ButtonText)

    def paint(self, painter: QPainter, rect: object, mode: QIcon.Mode, state: QIcon.State) -> None:
        box = QRectF(rect)  # type: ignore[call-overload]
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.translate(box.topLeft())
        painter.scale(box.width() / _GRID, box.height() / _GRID)
        pen = QPen(self._colour(mode), 1.25)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        painter.drawPath(_paths()[self._name])
        painter.restore()

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        colour = self._colour(mode).rgba()
        key = f"padis-gui {self._name} {size.width()}x{size.height()} {colour:x}"
        pixmap = QPixmap()
        if QPixmapCache.find(key, pixmap):
            return pixmap
        pixmap = QPixmap(size)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        self.paint(painter, pixmap.rect(), mode, state)
        painter.end()
        QPixmapCache.insert(key, pixmap)
        return pixmap

    def clone(self) -> "QIconEngine":
        return _Engine(self._name)


def icon(name: str) -> QIcon:
    return QIcon(_Engine(name))
