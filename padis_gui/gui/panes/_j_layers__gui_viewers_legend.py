"""A strip of the colour map with the levels at its ends, in the corner of a canvas."""

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from padis_gui.gui.panes._j_layers__gui_viewers_colormaps import swatch
from padis_gui.viewmodels.pictures.pictures import Appearance

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
