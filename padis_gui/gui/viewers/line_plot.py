"""One plot of several named lines, with a legend above it that never lies on the curves."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, Qt, QTimer
from PySide6.QtGui import QPalette, QShowEvent
from PySide6.QtWidgets import QFrame, QLabel, QSizePolicy, QWidget

from padis_gui.gui.layouts import column, grid
from padis_gui.gui.theme import plot_colours
from padis_gui.gui.viewers.axes import DecadeAxis, WholeAxis, show_axis_numbers

# More points than pixels cost time and show nothing: lines are thinned to their extremes
_MOST_POINTS = 1200
_TURN_MS = 25


@dataclass(frozen=True, slots=True)
class Line:
    """One line: NaN breaks it. ``dots`` marks each point, for values that are measured now and then."""

    name: str
    colour: str
    x: Sequence[float]
    y: Sequence[float]
    dots: bool = False
    dashed: bool = False


class LinePlot(QWidget):
    """Lines over a common axis. What it is given replaces what it showed; it never moves by the mouse.

    It is made and drawn when it can be seen, a moment later; plots side by side take ``turn`` 0, 1, 2 …, so that a
    row of them never holds the window for longer than one of them takes.
    """

    def __init__(
        self,
        title: str,
        *,
        logarithmic: bool = False,
        tip: str = "",
        legend: bool = True,
        ordered: bool = False,
        turn: int = 0,
    ) -> None:
        """Where the lines are ``ordered`` the legend names the first and the last, and shows the colours between."""
        super().__init__()
        self._ordered, self._logarithmic = ordered, logarithmic
        self._lines: tuple[Line, ...] = ()
        self._range = (0.0, 1.0)
        self._items: dict[str, pg.PlotDataItem] = {}
        self._plot: pg.PlotWidget | None = None
        self.heading = QLabel(title)
        self.legend = QLabel()
        self.legend.setProperty("muted", True)
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setVisible(legend)
        for label in (self.heading, self.legend):  # long ones are cut; the plot doesn't widen for them
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.area = QFrame()
        self.area.setMinimumHeight(90)
        self.area.setAutoFillBackground(True)
        self.area.setBackgroundRole(QPalette.ColorRole.Base)
        self._inside = grid(self.area)
        self.empty = QLabel("", self.area, alignment=Qt.AlignmentFlag.AlignCenter, wordWrap=True)
        self.empty.setProperty("muted", True)
        self._inside.addWidget(self.empty, 0, 0)  # over the plot, which gets the same cell
        self.setAccessibleName(title)
        self.setToolTip(tip)
        layout = column(self, spacing=1)
        layout.addWidget(self.heading)
        layout.addWidget(self.legend)
        layout.addWidget(self.area, 1)
        self._soon = QTimer(self, singleShot=True, interval=turn * _TURN_MS)
        self._soon.timeout.connect(self._render)

    @property
    def names(self) -> list[str]:
        """The lines that are shown now."""
        return [line.name for line in self._lines]

    @property
    def is_drawn(self) -> bool:
        """Whether what was given last is on the screen."""
        return self._plot is not None and not self._soon.isActive()

    def shown(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The points of a line as they are drawn."""
        item = self._items[name]
        return np.asarray(item.xData, dtype=np.float64), np.asarray(item.yData, dtype=np.float64)

    def set_empty_text(self, text: str) -> None:
        """What to expect here, shown while there is nothing to see."""
        self.empty.setText(text)

    def set_x_range(self, low: float, high: float) -> None:
        """The horizontal axis from here to there, whatever the lines."""
        self._range = (low, max(high, low + 1e-9))
        self._ask()

    def set_lines(self, lines: Sequence[Line]) -> None:
        """Show exactly these lines."""
        self._lines = tuple(lines)
        visible = any(np.isfinite(np.asarray(line.y, dtype=np.float64)).any() for line in lines)
        self.empty.setVisible(not visible)
        self.legend.setText(self._legend_of(lines) if visible else "")
        self._ask()

    def _ask(self) -> None:
        if self.isVisible() and not self._soon.isActive():
            self._soon.start()

    def _render(self) -> None:
        if self._plot is None:
            self._build()
            self._soon.start()
        else:
            self._draw(self._plot)

    def _build(self) -> None:
        axes: dict[str, pg.AxisItem] = {"bottom": WholeAxis("bottom")}
        if self._logarithmic:
            axes["left"] = DecadeAxis("left")
        plot = pg.PlotWidget(axisItems=axes, enableMenu=False)
        plot.setAccessibleName(self.heading.text())
        plot.hideButtons()
        plot.setMouseEnabled(x=False, y=False)
        plot.showGrid(x=True, y=True, alpha=0.15)
        plot.setLogMode(y=self._logarithmic)
        plot.getAxis("left").setWidth(44)
        for axis in ("left", "bottom"):
            plot.getAxis(axis).enableAutoSIPrefix(False)
        self._plot = plot
        self._inside.addWidget(plot, 0, 0)
        self.empty.raise_()
        self._colour(plot)

    def _draw(self, plot: pg.PlotWidget) -> None:
        plot.setXRange(*self._range, padding=0.02)
        wanted = {line.name: line for line in self._lines}
        for name in [name for name in self._items if name not in wanted]:
            plot.removeItem(self._items.pop(name))
        for name, line in wanted.items():
            if name not in self._items:
                self._items[name] = plot.plot(connect="finite", antialias=True)
            item = self._items[name]
            style = Qt.PenStyle.DashLine if line.dashed else Qt.PenStyle.SolidLine
            # one pixel wide: Qt draws wide lines many times slower
            item.setPen(pg.mkPen(line.colour, width=1, style=style))
            item.setSymbol("o" if line.dots else None)
            if line.dots:
                item.setSymbolSize(5)
                item.setSymbolPen(None)
                item.setSymbolBrush(line.colour)
            x, y = np.asarray(line.x, dtype=np.float64), np.asarray(line.y, dtype=np.float64)
            if self._logarithmic:
                y = np.where(y > 0, y, np.nan)
            item.setData(*_thinned(x, y))
        show_axis_numbers(plot, shown=self.empty.isHidden())

    def _legend_of(self, lines: Sequence[Line]) -> str:
        swatches = [f'<span style="color:{line.colour}">━</span>' for line in lines]
        names = [escape(line.name) for line in lines]
        if self._ordered and len(lines) > 2:
            return f"{names[0]} {''.join(swatches)} {names[-1]}"
        return "&nbsp;&nbsp; ".join(f"{mark} {name}" for mark, name in zip(swatches, names, strict=True))

    def _colour(self, plot: pg.PlotWidget) -> None:
        background, foreground = plot_colours(self.palette())
        plot.setBackground(background)
        for name in ("left", "bottom"):
            plot.getAxis(name).setPen(foreground)
            plot.getAxis(name).setTextPen(foreground)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        plot: pg.PlotWidget | None = getattr(
            self, "_plot", None
        )  # Qt calls this before there are attributes, too
        if event.type() == QEvent.Type.PaletteChange and plot is not None:
            self._colour(plot)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._soon.start()


def _thinned(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most some thousand of the points: the least and the greatest of each stretch, and the last one."""
    if len(x) <= _MOST_POINTS:
        return x, y
    stretch = -(-2 * len(x) // _MOST_POINTS)
    whole = len(x) // stretch * stretch
    blocks = np.nan_to_num(y[:whole], nan=0.0).reshape(-1, stretch)
    start = np.arange(0, whole, stretch)
    picked = np.unique(np.concatenate([start + blocks.argmin(1), start + blocks.argmax(1), [len(x) - 1]]))
    return x[picked], y[picked]
