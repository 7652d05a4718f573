"""The curves of a run: PSNR, data residual, noise level; they grow while it runs."""

import math

import pyqtgraph as pg
from PySide6.QtCore import QEvent, QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QWidget

from padis_gui.gui.layouts import row
from padis_gui.gui.theme import BASELINE, CURVE, plot_colours
from padis_gui.viewmodels.frames import Point

_TITLES = {"psnr": "PSNR [dB]", "residual": "Residual ‖Ax̂−y‖/‖y‖", "sigma": "Noise level σ"}
_LOGARITHMIC = ("residual", "sigma")
_FLOOR = 1e-12
_BETWEEN_PLOTS_MS = 10


class _DecadeAxis(pg.AxisItem):  # type: ignore[misc]
    """Labels the decades of a logarithmic axis, and 2 and 5 between them where there are few: more would overlap."""

    def logTickValues(
        self, low: float, high: float, size: float, levels: object
    ) -> list[tuple[float | None, list[float]]]:
        decades = range(math.floor(low), math.ceil(high) + 1)
        factors = (1,) if high - low > 3 else (1, 2, 5)
        ticks = [d + math.log10(f) for d in decades for f in factors]
        return [(1.0, [t for t in ticks if low <= t <= high])]


class Curves(QWidget):
    """Three plots over the step, stacked or side by side as the dock is tall or wide."""

    def __init__(self) -> None:
        super().__init__()
        self._layout = row(self, spacing=6, margins=(6, 0, 6, 6))
        self.plots: dict[str, pg.PlotWidget] = {}
        self.lines: dict[str, pg.PlotDataItem] = {}
        self._points: list[Point] = []
        self._waiting: list[str] = []
        self._total = 0
        self._next = QTimer(self, singleShot=True, interval=_BETWEEN_PLOTS_MS)
        self._next.timeout.connect(self._draw_next)
        for key, title in _TITLES.items():
            axes = {"left": _DecadeAxis("left")} if key in _LOGARITHMIC else {}
            plot = pg.PlotWidget(axisItems=axes)
            plot.setMinimumHeight(110)
            plot.setMenuEnabled(False)
            plot.hideButtons()
            plot.setMouseEnabled(x=False, y=False)
            plot.setTitle(title, size="9pt")
            plot.showGrid(x=True, y=True, alpha=0.15)
            plot.setLogMode(y=key in _LOGARITHMIC)
            plot.getAxis("left").setWidth(54)
            plot.getAxis("left").enableAutoSIPrefix(False)
            # one pixel wide and without symbols: Qt draws wide lines and markers many times slower
            self.lines[key] = plot.plot(pen=pg.mkPen(CURVE[key], width=1), antialias=True)
            self.plots[key] = plot
            self._layout.addWidget(plot, 1)
        self._baseline = pg.InfiniteLine(
            angle=0, pen=pg.mkPen(BASELINE, style=pg.QtCore.Qt.PenStyle.DashLine), label="FBP",
            labelOpts={"position": 0.98, "color": BASELINE, "anchors": [(1.0, 1.05), (1.0, 1.05)]},
        )  # fmt: skip
        self._baseline.hide()
        self.plots["psnr"].addItem(self._baseline)
        self._colour()
        self._show_what_is_known()

    def _show_what_is_known(self) -> None:
        """No PSNR without a truth, no residual without a measurement: their plots go; all stay while empty."""
        for key, plot in self.plots.items():
            values = [getattr(point, key) for point in self._points]
            plot.setVisible(not values or any(math.isfinite(v) and v > 0 for v in values))
            for axis in ("left", "bottom"):  # numbers on the axes of an empty plot would mean nothing
                plot.getAxis(axis).setStyle(showValues=bool(values))

    def set_points(self, points: list[Point], total: int) -> None:
        """Show these points; the step axis spans the whole run. One plot at a time, so that events pass between."""
        if bool(points) != bool(self._points) or len(points) == 1:
            self._points = points
            self._show_what_is_known()
        self._points, self._total = points, total
        self._waiting = list(self.plots)
        self._next.start()

    def _draw_next(self) -> None:
        key = self._waiting.pop(0)
        plot, line = self.plots[key], self.lines[key]
        plot.setXRange(0, max(self._total, 1), padding=0.02)
        values = [getattr(point, key) for point in self._points]
        if key in _LOGARITHMIC:
            values = [max(value, _FLOOR) for value in values]
        line.setData([point.step for point in self._points], values)
        if self._waiting:
            self._next.start()

    def set_baseline(self, psnr: float | None, name: str) -> None:
        """A dashed line at the PSNR of the baseline called ``name``; none where there is none or it is infinite."""
        shown = psnr is not None and math.isfinite(psnr)
        self._baseline.setVisible(shown)
        if shown:
            self._baseline.setPos(psnr)
            self._baseline.label.setFormat(name)

    def _colour(self) -> None:
        background, foreground = plot_colours(self.palette())
        for plot in self.plots.values():
            plot.setBackground(background)
            for name in ("left", "bottom"):
                plot.getAxis(name).setPen(foreground)
                plot.getAxis(name).setTextPen(foreground)
            plot.getPlotItem().titleLabel.setText(plot.getPlotItem().titleLabel.text, color=foreground.name())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        tall = self.height() > self.width()
        self._layout.setDirection(
            QBoxLayout.Direction.TopToBottom if tall else QBoxLayout.Direction.LeftToRight
        )

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and self.plots:
            self._colour()
