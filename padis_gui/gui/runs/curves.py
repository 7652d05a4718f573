"""The curves of a run over its steps: they grow while it runs, mark the shown step, and take the user to another."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QBoxLayout, QMenu, QToolButton, QWidget

from padis_gui.gui.kit.plot import DrawQueue, Line, Plot
from padis_gui.gui.kit.theme import COMPARED, CURVE, icon
from padis_gui.gui.kit.widgets import ElidedLabel, column, row
from padis_gui.viewmodels.pictures.frames import AdaptationPoint, CurvePoint

THIS_RUN, COMPARED_RUN = "this run", "compared"


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


def _line(name: str, colour: str, points: Sequence[CurvePoint], kind: _Kind) -> Line:
    usable = points[1:] if kind.key == "milliseconds" else points
    values = [getattr(point, kind.key) for point in usable]
    return Line.through_known(name, colour, [point.step for point in usable], values)


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
        self._points: Sequence[CurvePoint] = ()
        self._compared: Sequence[CurvePoint] = ()
        self._total = 0
        outer = column(self, margins=(6, 0, 6, 6))
        outer.addLayout(self._make_header())
        self._layout = row(spacing=6)
        outer.addLayout(self._layout, 1)
        queue = DrawQueue(self)
        self.plots = {
            kind.key: Plot(kind.title, tip=kind.tip, logarithmic=kind.logarithmic, legend="none", queue=queue)
            for kind in _KINDS
        }
        for plot in self.plots.values():
            plot.clicked.connect(self._clicked)
            self._layout.addWidget(plot, 1)
        self.adaptation = Plot(
            "Adaptation: residual of the rays",
            tip="How well a reconstruction explains the rays that the adaptation uses, and those that it keeps "
            "aside, over its gradient steps; where those kept aside rise, it stops",
            logarithmic=True, queue=queue,
        )  # fmt: skip
        self.adaptation.hide()
        self._layout.addWidget(self.adaptation, 1)
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
        self.empty = ElidedLabel("grow with a run (Ctrl+R)", muted=True)
        self.legend = ElidedLabel()
        self.legend.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.close_compared = QToolButton(autoRaise=True)
        self.close_compared.setIcon(icon("close"))
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
        anything = bool(self._points or self._compared)
        self.empty.setVisible(not anything)
        self.legend.setVisible(anything)
        for kind in _KINDS:
            plot = self.plots[kind.key]
            wanted = self.choices[kind.key].isChecked()
            plot.setVisible(wanted and (not self._points or _is_known(self._points, kind)))

    def set_points(self, points: Sequence[CurvePoint], total: int) -> None:
        """Show these points; the step axis spans the whole run."""
        if points == self._points and total == self._total:
            return
        another = not self._points or len(points) < len(self._points) or points[0] is not self._points[0]
        if another or len(points) < 2:
            self._points = points
            self._show_what_is_known()
        self._points, self._total = points, total
        self._redraw()

    def set_adaptation(self, points: Sequence[AdaptationPoint]) -> None:
        """Both residuals over the gradient steps of the run's adaptation; no plot where it has none."""
        self.adaptation.setVisible(bool(points))
        if points:
            steps = [point.step for point in points]
            self.adaptation.set_x_range(0, points[-1].total)
            self.adaptation.set_lines([
                Line("used", CURVE["residual"], steps, [point.training for point in points]),
                Line("kept aside", CURVE["sigma"], steps, [point.aside for point in points]),
            ])  # fmt: skip

    def set_compared(self, points: Sequence[CurvePoint], name: str = "") -> None:
        """Draw another run's curves thin behind; no points draw none."""
        self._compared = points
        self.legend.setText(f"— {name}" if points else "")
        self.legend.setStyleSheet(f"color: {COMPARED};")
        self.close_compared.setVisible(bool(points))
        self._show_what_is_known()
        self._redraw()

    def set_marker(self, step: int | None) -> None:
        """Mark the shown step; None marks none."""
        for plot in self.plots.values():
            plot.set_marker(step)

    def set_baseline(self, psnr: float | None, name: str) -> None:
        """A dashed line at the PSNR of the baseline called ``name``; none where there is none or it is infinite."""
        self.plots["psnr"].set_level(psnr, name)

    def _redraw(self) -> None:
        if not self.isVisible():
            return
        last = max(self._total, self._compared[-1].step if self._compared else 0, 1)
        for kind in _KINDS:
            plot = self.plots[kind.key]
            if not plot.isHidden():
                plot.set_x_range(0, last)
                behind = _line(COMPARED_RUN, COMPARED, self._compared, kind)
                plot.set_lines([behind, _line(THIS_RUN, CURVE[kind.key], self._points, kind)])

    def _clicked(self, at: float) -> None:
        """The step of the nearest point, if there is one."""
        if self._points:
            self.step_chosen.emit(min(self._points, key=lambda point: abs(point.step - at)).step)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._redraw()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        tall = self.height() > self.width()
        self._layout.setDirection(
            QBoxLayout.Direction.TopToBottom if tall else QBoxLayout.Direction.LeftToRight
        )
