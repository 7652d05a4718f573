"""How every plot looks, and its axes: a logarithmic one has as many labels as there is room for, and never none."""

import math

import pyqtgraph as pg
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QWheelEvent

from padis_gui.gui.kit.theme import plot_colours

_LEAST_GAP = 14  # pixels between two labels
_FEWEST = 2
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class DecadeAxis(pg.AxisItem):  # type: ignore[misc]
    """Labels the decades, 2 and 5 between them where there is room, and even steps within less than a decade."""

    def logTickValues(
        self, low: float, high: float, size: float, levels: object
    ) -> list[tuple[float | None, list[float]]]:
        decades = range(math.floor(low), math.ceil(high) + 1)
        roomy = math.log10(2) * size >= _LEAST_GAP * (high - low)
        ticks = [d + math.log10(f) for d in decades for f in ((1, 2, 5) if roomy else (1,))]
        shown = [tick for tick in ticks if low <= tick <= high]
        if len(shown) < _FEWEST and high - low < 1:
            shown = _even_steps(low, high)
        return [(1.0, shown)]

    def logTickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        return [_text(scale * 10**value) for value in values]


class WholeAxis(pg.AxisItem):  # type: ignore[misc]
    """Ticks at whole numbers only, while it is ``whole``: steps and pages have nothing between them."""

    def __init__(self, side: str, *, whole: bool) -> None:
        super().__init__(side)
        self.whole = whole

    def tickSpacing(self, low: float, high: float, size: float) -> list[tuple[float, float]]:
        found: list[tuple[float, float]] = super().tickSpacing(low, high, size)
        if not self.whole:
            return found
        return [(spacing, offset) for spacing, offset in found if spacing >= 1] or [(1.0, 0.0)]


class PlotView(pg.PlotWidget):  # type: ignore[misc]
    """A plot as all look here: in the window's colours, with a faint grid, still under the mouse."""

    def __init__(self, name: str, *, logarithmic: bool = False, whole: bool = False) -> None:
        """``whole``: steps, pages and pixels on the horizontal axis have nothing between them."""
        axes: dict[str, pg.AxisItem] = {"left": DecadeAxis("left")} if logarithmic else {}
        self._horizontal = axes["bottom"] = WholeAxis("bottom", whole=whole)
        super().__init__(axisItems=axes, enableMenu=False)
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)  # keys do nothing here
        self.hideButtons()
        self.setMouseEnabled(x=False, y=False)
        self.showGrid(x=True, y=True, alpha=0.15)
        self.setLogMode(y=logarithmic)
        for side in ("left", "bottom"):
            self.getAxis(side).enableAutoSIPrefix(False)
        self.take_palette()

    @property
    def box(self) -> pg.ViewBox:
        """What is between the axes."""
        return self.getPlotItem().vb

    def show_whole_numbers(self, whole: bool) -> None:
        """Whether ticks of the horizontal axis stand at whole numbers only."""
        if whole != self._horizontal.whole:
            self._horizontal.whole = whole
            self._horizontal.picture = None  # drawn anew
            self._horizontal.update()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom a plot that can be zoomed where it has the keyboard, or with Ctrl; else scroll what it lies in."""
        wanted = self.hasFocus() or event.modifiers() & Qt.KeyboardModifier.ControlModifier
        if wanted and any(self.box.state["mouseEnabled"]):
            super().wheelEvent(event)
            event.accept()
        else:
            event.ignore()

    def take_palette(self) -> None:
        """Paint in the window's present colours."""
        background, foreground = plot_colours(self.palette())
        self.setBackground(background)
        for side in ("left", "bottom"):
            self.getAxis(side).setPen(foreground)
            self.getAxis(side).setTextPen(foreground)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        # Qt calls this before there are attributes, too; pyqtgraph looks for missing ones in what is missing then
        if event.type() == QEvent.Type.PaletteChange and self.__dict__.get("plotItem") is not None:
            self.take_palette()


def _even_steps(low: float, high: float) -> list[float]:
    """Logarithms of two to five multiples of a round number between 10^low and 10^high."""
    first, last = 10**low, 10**high
    if not last > first:
        return []
    power = 10.0 ** math.floor(math.log10(last - first))
    for step in (power, power / 2, power / 5, power / 10):
        numbers = range(math.ceil(first / step), math.floor(last / step) + 1)
        if len(numbers) >= _FEWEST:
            return [math.log10(n * step) for n in numbers if n > 0][:: 1 + len(numbers) // 6]
    return []


def _text(value: float) -> str:
    text = f"{value:.3g}"
    if "e" not in text:
        return text
    mantissa, exponent = text.split("e")
    power = "10" + str(int(exponent)).translate(_SUPERSCRIPTS)
    return power if mantissa == "1" else f"{mantissa}·{power}"
