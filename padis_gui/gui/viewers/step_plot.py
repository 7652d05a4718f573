"""One plot of several lines over the steps, with a legend in its title, a marker, and a click that goes to a step."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyqtgraph as pg
from PySide6.QtCore import QEvent, Qt, Signal

from padis_gui.gui.theme import BASELINE, MARKER, plot_colours
from padis_gui.gui.viewers.axes import DecadeAxis, show_axis_numbers

_FLOOR = 1e-12
_FEW = 12  # points that are marked, as a line through them would hardly show; Qt draws markers slowly


@dataclass(frozen=True, slots=True)
class Drawn:
    """A line of the plot: its name in the legend and its colour; ``dashed`` ones are of lesser weight."""

    label: str
    colour: str
    dashed: bool = False


class StepPlot(pg.PlotWidget):  # type: ignore[misc]
    """``clicked`` carries the step under the mouse, a float."""

    clicked = Signal(float)

    def __init__(
        self, title: str, lines: Mapping[str, Drawn], *, logarithmic: bool = False, level: float | None = None
    ) -> None:
        super().__init__(axisItems={"left": DecadeAxis("left")} if logarithmic else {}, enableMenu=False)
        self._logarithmic, self._title, self._drawn = logarithmic, title, dict(lines)
        self._known: dict[str, list[tuple[float, float]]] = {}
        self.setAccessibleName(title)
        self.setMinimumHeight(96)
        self.hideButtons()
        self.setMouseEnabled(x=False, y=False)
        self.showGrid(x=True, y=True, alpha=0.15)
        self.setLogMode(y=logarithmic)
        self.getAxis("left").setWidth(46)
        self.getAxis("left").enableAutoSIPrefix(False)
        # one pixel wide and without symbols: Qt draws wide lines and markers many times slower
        self.lines = {
            key: self.plot(pen=self._pen(line), antialias=not line.dashed) for key, line in lines.items()
        }
        if level is not None:
            dashes = pg.mkPen(BASELINE, style=Qt.PenStyle.DashLine)
            self.addItem(pg.InfiniteLine(level, angle=0, pen=dashes))
        self.marker = pg.InfiniteLine(angle=90, pen=pg.mkPen(MARKER, width=1))
        self.marker.hide()
        self.addItem(self.marker, ignoreBounds=True)
        self.scene().sigMouseClicked.connect(self._click)
        self._colour()
        show_axis_numbers(self, shown=False)

    @staticmethod
    def _pen(line: Drawn) -> object:
        return pg.mkPen(
            line.colour, width=1, style=Qt.PenStyle.DotLine if line.dashed else Qt.PenStyle.SolidLine
        )

    def set_line(self, key: str, steps: Sequence[float], values: Sequence[float]) -> None:
        """Draw a line through the finite ones among these values."""
        known = [(x, y) for x, y in zip(steps, values, strict=True) if math.isfinite(y)]
        if self._logarithmic:
            known = [(x, max(y, _FLOOR)) for x, y in known]
        if known == self._known.get(key):
            return
        self._known[key] = known
        few = len(known) <= _FEW
        self.lines[key].setData(
            [x for x, _ in known], [y for _, y in known], symbol="o" if few else None, symbolSize=4,
            symbolPen=None, symbolBrush=self._drawn[key].colour,
        )  # fmt: skip
        show_axis_numbers(
            self, shown=any(line.xData is not None and len(line.xData) for line in self.lines.values())
        )

    def set_range(self, total: float, label: str = "") -> None:
        """The step axis spans 0 to ``total``; ``label`` says what it counts where that is not steps."""
        self.setXRange(0, max(total, 1), padding=0.02)
        if label != self.getAxis("bottom").labelText:
            self.setLabel("bottom", label)
            self.getAxis("bottom").showLabel(bool(label))

    def set_marker(self, step: float | None) -> None:
        """Mark this step; None marks none."""
        self.marker.setVisible(step is not None)
        if step is not None:
            self.marker.setPos(step)

    def _click(self, event: object) -> None:
        box, position = self.getPlotItem().vb, event.scenePos()  # type: ignore[attr-defined]
        if box.sceneBoundingRect().contains(position):
            self.clicked.emit(float(box.mapSceneToView(position).x()))

    def _colour(self) -> None:
        background, foreground = plot_colours(self.palette())
        self.setBackground(background)
        for name in ("left", "bottom"):
            self.getAxis(name).setPen(foreground)
            self.getAxis(name).setTextPen(foreground)
        legend = "".join(
            f"&nbsp;&nbsp;<span style='color:{line.colour}'>{'┄' if line.dashed else '—'} {line.label}</span>"
            for line in self._drawn.values()
        )
        self.setTitle(f"{self._title}{legend}", size="9pt", color=foreground.name())

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "marker"):
            self._colour()
