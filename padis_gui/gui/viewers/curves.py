"""The curves of a run over its steps: they grow while it runs, mark the shown step, and take the user to another."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyqtgraph as pg
from PySide6.QtCore import QEvent, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QMenu, QToolButton, QWidget

from padis_gui.gui.elided import ElidedLabel
from padis_gui.gui.layouts import column, row
from padis_gui.gui.theme import BASELINE, COMPARED, CURVE, MARKER, plot_colours
from padis_gui.gui.viewers.axes import DecadeAxis, show_axis_numbers
from padis_gui.viewmodels.frames import CurvePoint

_FLOOR = 1e-12
_BETWEEN_PLOTS_MS = 10
_FILLED, _ROOM = (
    0.5,
    0.15,
)  # of the vertical range that a curve takes at least; of the curve, left free above and below


@dataclass(frozen=True, slots=True)
class _Kind:
    """One curve: the attribute of a point, its title, what it says; ``shown`` at first."""

    key: str
    title: str
    tip: str
    logarithmic: bool = False
    shown: bool = True


_KINDS = (
    _Kind("psnr", "PSNR [dB]", "Peak signal-to-noise ratio of the estimate against the truth"),
    _Kind("ssim", "SSIM", "Structural similarity of the estimate to the truth", shown=False),
    _Kind("residual", "Residual ‖Ax̂−y‖/‖y‖", "How far the estimate is from the measurement", logarithmic=True),
    _Kind(
        "seam_ratio", "Seam ratio",
        "Steps across the tiles' borders over those elsewhere, relative to the truth where it is known; 1 is no seam",
    ),
    _Kind("sigma", "Noise level σ", "The noise level of the iterate", logarithmic=True),
    _Kind("milliseconds", "Time [ms a step]", "What each step took; the first, which warms up, is left out", shown=False),
)  # fmt: skip


def _drawn(points: Sequence[CurvePoint], kind: _Kind) -> tuple[list[int], list[float]]:
    """Steps and values of a curve, where they are known."""
    usable = points[1:] if kind.key == "milliseconds" else points
    pairs = [(point.step, float(getattr(point, kind.key))) for point in usable]
    known = [(step, value) for step, value in pairs if math.isfinite(value)]
    if kind.logarithmic:
        known = [(step, max(value, _FLOOR)) for step, value in known]
    return [step for step, _ in known], [value for _, value in known]


def _is_known(points: Sequence[CurvePoint], kind: _Kind) -> bool:
    return any(math.isfinite(v) and v > 0 for v in (getattr(point, kind.key) for point in points))


class Curves(QWidget):
    """Plots over the step, stacked or side by side as the dock is tall or wide; the user says which.

    ``step_chosen`` is emitted with the step of the point that was clicked at, ``choice_changed`` when another set
    of curves is to be shown, ``compared_closed`` when the other run's are no longer wanted.
    """

    step_chosen = Signal(int)
    choice_changed = Signal()
    compared_closed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.plots: dict[str, pg.PlotWidget] = {}
        self.lines: dict[str, pg.PlotDataItem] = {}
        self.compared_lines: dict[str, pg.PlotDataItem] = {}
        self.markers: dict[str, pg.InfiniteLine] = {}
        self._points: Sequence[CurvePoint] = ()
        self._compared: Sequence[CurvePoint] = ()
        self._waiting: list[_Kind] = []
        self._total = 0
        self._next = QTimer(self, singleShot=True, interval=_BETWEEN_PLOTS_MS)
        self._next.timeout.connect(self._draw_next)
        outer = column(self, margins=(6, 0, 6, 6))
        outer.addLayout(self._make_header())
        self._layout = row(spacing=6)
        outer.addLayout(self._layout, 1)
        for kind in _KINDS:
            self._add(kind)
        self._baseline = pg.InfiniteLine(
            angle=0, pen=pg.mkPen(BASELINE, style=Qt.PenStyle.DashLine), label="FBP",
            labelOpts={"position": 0.98, "color": BASELINE, "anchors": [(1.0, 1.05), (1.0, 1.05)]},
        )  # fmt: skip
        self._baseline.hide()
        self.plots["psnr"].addItem(self._baseline, ignoreBounds=True)
        self._colour()
        self._show_what_is_known()

    def _make_header(self) -> QBoxLayout:
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        self.choices: dict[str, QAction] = {}
        for kind in _KINDS:
            action = menu.addAction(kind.title)
            action.setCheckable(True)
            action.setChecked(kind.shown)
            action.setToolTip(kind.tip)
            action.toggled.connect(self._choose)
            self.choices[kind.key] = action
        self.chooser = QToolButton(autoRaise=True)
        self.chooser.setText("Curves")
        self.chooser.setAccessibleName("Which curves are shown")
        self.chooser.setToolTip("Choose which curves are shown. A click into a plot goes to that step")
        self.chooser.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.chooser.setMenu(menu)
        self.empty = ElidedLabel("grow with a run (Ctrl+R)")
        self.empty.setProperty("muted", True)
        self.legend = ElidedLabel()
        self.legend.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.close_compared = QToolButton(autoRaise=True)
        self.close_compared.setText("✕")
        self.close_compared.setAccessibleName("Show the curves of one run only")
        self.close_compared.setToolTip("Show the curves of one run only")
        self.close_compared.clicked.connect(self.compared_closed)
        self.close_compared.hide()
        header = row()
        header.addWidget(self.chooser)
        header.addWidget(self.empty, 1)
        header.addWidget(self.legend, 1)
        header.addWidget(self.close_compared)
        return header

    def _add(self, kind: _Kind) -> None:
        axes = {"left": DecadeAxis("left")} if kind.logarithmic else {}
        plot = pg.PlotWidget(axisItems=axes, enableMenu=False)
        plot.setAccessibleName(kind.title)
        plot.setToolTip(kind.tip)
        plot.setMinimumHeight(84)
        plot.hideButtons()
        plot.setMouseEnabled(x=False, y=False)
        plot.setTitle(kind.title, size="9pt")
        plot.showGrid(x=True, y=True, alpha=0.15)
        plot.setLogMode(y=kind.logarithmic)
        plot.getAxis("left").setWidth(54)
        plot.getAxis("left").enableAutoSIPrefix(False)
        # one pixel wide and without symbols: Qt draws wide lines and markers many times slower
        self.compared_lines[kind.key] = plot.plot(pen=pg.mkPen(COMPARED, width=1), antialias=True)
        self.lines[kind.key] = plot.plot(pen=pg.mkPen(CURVE[kind.key], width=1), antialias=True)
        marker = pg.InfiniteLine(angle=90, pen=pg.mkPen(MARKER, width=1))
        marker.hide()
        plot.addItem(marker, ignoreBounds=True)
        plot.scene().sigMouseClicked.connect(lambda event, plot=plot: self._clicked(plot, event))
        self.markers[kind.key] = marker
        self.plots[kind.key] = plot
        self._layout.addWidget(plot, 1)

    # What is shown --------------------------------------------------------------------------------

    @property
    def chosen(self) -> tuple[str, ...]:
        """The keys of the curves that the user wants to see."""
        return tuple(key for key, action in self.choices.items() if action.isChecked())

    def choose(self, keys: Iterable[str]) -> None:
        """Show these curves; unknown keys are left out, and none at all changes nothing."""
        wanted = set(keys) & set(self.choices)
        for key, action in self.choices.items():
            if wanted:
                action.setChecked(key in wanted)

    def _choose(self) -> None:
        if not self.chosen:  # the last one stays
            sender = self.sender()
            if isinstance(sender, QAction):
                sender.setChecked(True)
            return
        self._show_what_is_known()
        self._redraw()
        self.choice_changed.emit()

    def _show_what_is_known(self) -> None:
        """No PSNR without a truth, no residual without a measurement: their plots go; all stay while empty."""
        self.empty.setVisible(not self._points)
        self.legend.setVisible(bool(self._points))
        for kind in _KINDS:
            plot = self.plots[kind.key]
            wanted = self.choices[kind.key].isChecked()
            plot.setVisible(wanted and (not self._points or _is_known(self._points, kind)))

    def set_points(self, points: Sequence[CurvePoint], total: int) -> None:
        """Show these points; the step axis spans the whole run. One plot at a time, so that events pass between."""
        if len(points) < 2 or len(points) < len(self._points) or not self._points:
            self._points = points
            self._show_what_is_known()
        self._points, self._total = points, total
        self._redraw()

    def set_compared(self, points: Sequence[CurvePoint], name: str = "") -> None:
        """Draw another run's curves thin behind; no points draw none."""
        self._compared = points
        self.legend.setText(f"— {name}" if points else "")
        self.legend.setStyleSheet(f"color: {COMPARED};")
        self.close_compared.setVisible(bool(points))
        self._redraw()

    def set_marker(self, step: int | None) -> None:
        """Mark the shown step; None marks none."""
        for marker in self.markers.values():
            marker.setVisible(step is not None)
            if step is not None:
                marker.setPos(step)

    def set_baseline(self, psnr: float | None, name: str) -> None:
        """A dashed line at the PSNR of the baseline called ``name``; none where there is none or it is infinite."""
        shown = psnr is not None and math.isfinite(psnr)
        self._baseline.setVisible(shown)
        if shown:
            self._baseline.setPos(psnr)
            self._baseline.label.setFormat(name)

    # Drawing --------------------------------------------------------------------------------------

    def _redraw(self) -> None:
        self._waiting = [kind for kind in _KINDS if not self.plots[kind.key].isHidden()]
        if self._waiting:
            self._next.start()

    def _draw_next(self) -> None:
        kind = self._waiting.pop(0)
        others = self._compared[-1].step if self._compared else 0
        plot, behind, here = self.plots[kind.key], _drawn(self._compared, kind), _drawn(self._points, kind)
        plot.setXRange(0, max(self._total, others, 1), padding=0.02)
        self.compared_lines[kind.key].setData(*behind)
        self.lines[kind.key].setData(*here)
        show_axis_numbers(plot, shown=bool(self._points))
        self._make_room(kind, [*behind[1], *here[1]])
        if self._waiting:
            self._next.start()

    def _make_room(self, kind: _Kind, values: list[float]) -> None:
        """Keep the vertical range while the curves fit and fill half of it: another one redraws the axes, which costs
        more than all else.
        """
        if kind.key == "psnr" and self._baseline.isVisible():
            values.append(self._baseline.value())
        if not values:
            return
        low, high = min(values), max(values)
        if kind.logarithmic:
            low, high = math.log10(low), math.log10(high)
        box = self.plots[kind.key].getPlotItem().vb
        bottom, top = box.viewRange()[1]
        if not bottom <= low <= high <= top or high - low < _FILLED * (top - bottom):
            room = _ROOM * (high - low) or _ROOM * abs(high) or _ROOM
            box.setYRange(low - room, high + room, padding=0)

    def _clicked(self, plot: pg.PlotWidget, event: object) -> None:
        """The step of the nearest point, if there is one."""
        box = plot.getPlotItem().vb
        position = event.scenePos()  # type: ignore[attr-defined]
        if self._points and box.sceneBoundingRect().contains(position):
            at = box.mapSceneToView(position).x()
            self.step_chosen.emit(min(self._points, key=lambda point: abs(point.step - at)).step)

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
