"""Colours and style: Fusion in the system's light or dark scheme; image panes are dark in both."""

import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont, QFontInfo, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

PANE_BACKGROUND = "#101214"
TILE = "#ffb000"
BORDER = "#4fb3ff"
INSPECTED = "#7dff9b"
SIDES = ("#3b9eff", "#ff7a45")  # A and B of a comparison
CURSOR = "#57d38c90"
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
GEOMETRY = {"source": "#e08a1e", "seen": "#3aa675", "unseen": "#d2503c"}
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
    "QLabel[key='true'] { border: 1px solid palette(mid); border-radius: 3px; padding: 1px 5px; }"
)
_chosen = "System"


def configure(app: QApplication) -> None:
    """Set style and pyqtgraph's options, and follow the system; call before the first plot item is made."""
    pg.setConfigOptions(imageAxisOrder="row-major")
    app.setStyle("Fusion")
    app.setFont(with_hats(app.font()))
    app.styleHints().colorSchemeChanged.connect(lambda _scheme: set_scheme(_chosen))
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
