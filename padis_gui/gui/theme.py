"""Colours and style: Fusion in the system's light or dark scheme; image panes are dark in both."""

import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication

PANE_BACKGROUND = "#101214"
TILE = "#ffb000"
BORDER = "#4fb3ff"
CURSOR = "#57d38c90"
CURVE = {"psnr": "#3aa675", "residual": "#d9822b", "sigma": "#5b8def"}
BASELINE = "#9aa0a6"
LEVEL_COLOURS = {"info": "#2f6fb3", "warning": "#b07a00", "error": "#b3382f"}
SCHEMES = ("System", "Light", "Dark")
_DARK = {
    "Window": "#1e2124", "WindowText": "#e6e6e6", "Base": "#16181b", "AlternateBase": "#1e2124", "Text": "#e6e6e6",
    "Button": "#2b2f34", "ButtonText": "#e6e6e6", "BrightText": "#ffffff", "Highlight": "#3d7bd9",
    "HighlightedText": "#ffffff", "ToolTipBase": "#2b2f34", "ToolTipText": "#e6e6e6", "Link": "#6ea8fe",
    "PlaceholderText": "#9aa0a6", "Light": "#3a3f45", "Midlight": "#33383d", "Mid": "#25292d", "Dark": "#121416",
    "Shadow": "#000000",
}  # fmt: skip
_DARK_DISABLED = "#6d7278"


def configure(app: QApplication) -> None:
    """Set style and pyqtgraph's options; call before the first plot item is made."""
    pg.setConfigOptions(imageAxisOrder="row-major")
    app.setStyle("Fusion")
    set_scheme("System")
    app.setStyleSheet(
        "QToolTip { padding: 3px; }"
        "QToolButton[heading='true'] { font-weight: 600; border: none; padding: 3px 0px; }"
        "QLabel[muted='true'] { color: palette(placeholder-text); }"
    )


def set_scheme(name: str) -> None:
    """Follow the system, or be light or dark whatever the platform knows about schemes."""
    app = QApplication.instance()
    if not isinstance(app, QApplication):
        raise RuntimeError("colours are set once there is an application")
    dark = name == "Dark" or (name == "System" and app.styleHints().colorScheme() is Qt.ColorScheme.Dark)
    app.setPalette(_dark_palette() if dark else app.style().standardPalette())


def _dark_palette() -> QPalette:
    palette = QPalette()
    for role, colour in _DARK.items():
        palette.setColor(QPalette.ColorRole[role], QColor(colour))
    for role in ("WindowText", "Text", "ButtonText", "HighlightedText"):
        palette.setColor(QPalette.ColorGroup.Disabled, QPalette.ColorRole[role], QColor(_DARK_DISABLED))
    return palette


def plot_colours(palette: QPalette) -> tuple[QColor, QColor]:
    """Background and foreground for plots under this palette."""
    return palette.color(QPalette.ColorRole.Base), palette.color(QPalette.ColorRole.Text)
