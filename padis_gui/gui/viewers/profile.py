"""The values along a line in every pane, with the tiling's seams, to see, to copy and to save."""

from html import escape

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, QSignalBlocker, Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy

from padis_gui.gui.layouts import column, row
from padis_gui.gui.numbers import NumberBox, WholeBox
from padis_gui.gui.theme import SEAM_LINE, SERIES, plot_colours
from padis_gui.gui.viewers.drawn_panel import LARGEST, DrawnPanel
from padis_gui.gui.viewers.pane_grid import PaneGrid
from padis_gui.viewmodels.profiles import Line, Profile, profile, profiles_as_csv, seam_positions, warm_up
from padis_gui.viewmodels.sources import Lattice

_HINT = "Choose the tool Line profile (L) and drag a line on a pane"
_WIDEST = 99


class ProfilePanel(DrawnPanel):
    """One column of the table for each picture."""

    def __init__(self, panes: PaneGrid) -> None:
        super().__init__(panes, "profiles", "line")
        self.profiles: dict[str, Profile] = {}
        self.seams: list[float] = []
        self._curves: dict[str, pg.PlotDataItem] = {}
        self._colours: dict[str, str] = {}  # a picture keeps its colour whatever stands beside it
        self._seam_lines: list[pg.InfiniteLine] = []
        self._make_plot()
        self.legend, self.length = QLabel(), QLabel()
        for label in (self.legend, self.length):
            label.setProperty("muted", True)
        self.legend.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        said = row(spacing=8)
        said.addWidget(self.legend, 1)
        said.addWidget(self.length)
        layout = column(self, spacing=2, margins=(6, 2, 6, 6))
        layout.addLayout(said)
        layout.addWidget(self.plot, 1)
        layout.addLayout(self._make_controls())
        self.refresh()

    def _make_plot(self) -> None:
        self.plot = pg.PlotWidget(enableMenu=False)
        self.plot.setAccessibleName("Line profile")
        self.plot.setMinimumHeight(80)
        self.plot.hideButtons()
        self.plot.showGrid(x=True, y=True, alpha=0.15)
        for axis in ("left", "bottom"):
            self.plot.getAxis(axis).enableAutoSIPrefix(False)
        self._pointer = pg.InfiniteLine(angle=90, pen=pg.mkPen("#9aa0a6", width=1))
        self._pointer.hide()
        self.plot.addItem(self._pointer, ignoreBounds=True)
        self.plot.scene().sigMouseMoved.connect(self._point)
        self._paint_plot()

    def _make_controls(self) -> QHBoxLayout:
        self.ends = {
            name: self._field(_place(), name, tip)
            for name, tip in (
                ("x₁", "Where the line begins: column, in px"), ("y₁", "Where the line begins: row, in px"),
                ("x₂", "Where the line ends: column, in px"), ("y₂", "Where the line ends: row, in px"),
            )
        }  # fmt: skip
        self.width_box = WholeBox(1, _WIDEST)
        self.width_box.setPrefix("width ")
        self.width_box.setSuffix(" px")
        self.width_box.setAccessibleName("Width of the line")
        self.width_box.setToolTip("Values are averaged over so many pixels across the line")
        self.width_box.valueChanged.connect(lambda _v: self._take_numbers())
        controls = row()
        self._add_fields(controls, self.ends)
        controls.addWidget(self.width_box)
        controls.addStretch(1)
        self._add_buttons(controls)
        return controls

    # Showing what is ------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Sample the line in every shown picture that has its pixels."""
        line, group = self._panes.tools.line, self._panes.tools.group
        self.profiles = {}
        self.seams = []
        if line is not None:
            shown = self._panes.shown_on(group)
            self.profiles = {source.label: profile(pixels, line) for source, pixels in shown}
            partition = self._panes.partition
            if partition is not None and group == (Lattice.IMAGE.value, *partition.image_shape):
                self.seams = seam_positions(line, partition)
        self._draw()
        self._show_line(line)

    def _draw(self) -> None:
        for name in [name for name in self._curves if name not in self.profiles]:
            self.plot.removeItem(self._curves.pop(name))
        for name, found in self.profiles.items():
            if name not in self._curves:
                self._curves[name] = self.plot.plot(antialias=True, connect="finite")
            self._curves[name].setPen(pg.mkPen(self._colour(name), width=1))
            self._curves[name].setData(found.distance, found.values)
        while len(self._seam_lines) < len(self.seams):
            seam = pg.InfiniteLine(angle=90, pen=pg.mkPen(SEAM_LINE, style=Qt.PenStyle.DashLine))
            self._seam_lines.append(seam)
            self.plot.addItem(seam, ignoreBounds=True)
        for number, seam in enumerate(self._seam_lines):
            seam.setVisible(number < len(self.seams))
            if number < len(self.seams):
                seam.setPos(self.seams[number])

    def _show_line(self, line: Line | None) -> None:
        there = line is not None
        for button in (self.copy, self.save):
            button.setEnabled(bool(self.profiles))
        self.clear.setEnabled(there)
        self.length.setVisible(there)
        if line is None:
            self.legend.setText(_HINT)
            return
        for box, value in zip(self.ends.values(), (*line.start, *line.end), strict=True):
            with QSignalBlocker(box):
                box.setValue(value)
        with QSignalBlocker(self.width_box):
            self.width_box.setValue(line.width)
        self._say_length(line)

    def _colour(self, name: str) -> str:
        return self._colours.setdefault(name, SERIES[len(self._colours) % len(SERIES)])

    def _entry(self, name: str, value: str = "") -> str:
        """A legend's entry, as rich text: names come from the user."""
        return f'<span style="color:{self._colour(name)}"><b>—</b></span>&nbsp;{escape(name)}{value}'

    def _say_length(self, line: Line) -> None:
        self.legend.setText("&nbsp;&nbsp; ".join(self._entry(name) for name in self.profiles))
        millimetres = "" if self._spacing is None else f" ({line.length_mm(self._spacing):.1f} mm)"
        seams = f", {len(self.seams)} seams" if self.seams else ""
        self.length.setText(f"{line.length:.1f} px{millimetres}{seams}")

    def csv(self) -> str:
        """What is plotted, as text; empty where nothing is."""
        line = self._panes.tools.line
        if line is None or not self.profiles:
            return ""
        return profiles_as_csv(self.profiles, self.seams, self._spacing, line)

    # From the user --------------------------------------------------------------------------------

    def _take_numbers(self) -> None:
        x0, y0, x1, y1 = (box.value() for box in self.ends.values())
        if (x0, y0) != (x1, y1) and self._find_group():
            self._panes.tools.set_line(Line((x0, y0), (x1, y1), self.width_box.value()))

    def _remove(self) -> None:
        self._panes.tools.set_line(None)

    def _point(self, position: QPointF) -> None:
        """Mark the point under the mouse on the panes, and say the values there."""
        view = self.plot.getPlotItem().vb
        first = next(iter(self.profiles.values()), None)
        line = self._panes.tools.line
        if first is None or line is None or not view.sceneBoundingRect().contains(position):
            self._unpoint(line)
            return
        at = int(np.abs(first.distance - view.mapSceneToView(position).x()).argmin())
        self._pointer.setPos(first.distance[at])
        self._pointer.show()
        self._panes.tools.mark((float(first.x[at]), float(first.y[at])))
        entries = (self._entry(name, f" {found.values[at]:.4g}") for name, found in self.profiles.items())
        self.legend.setText("&nbsp;&nbsp; ".join(entries))
        self.length.setText(f"at {first.distance[at]:.1f} px")

    def _unpoint(self, line: Line | None) -> None:
        if self._pointer.isVisible():
            self._pointer.hide()
            self._panes.tools.mark(None)
            if line is not None:
                self._say_length(line)

    # Events ---------------------------------------------------------------------------------------

    def _paint_plot(self) -> None:
        background, foreground = plot_colours(self.palette())
        self.plot.setBackground(background)
        for name in ("left", "bottom"):
            self.plot.getAxis(name).setPen(foreground)
            self.plot.getAxis(name).setTextPen(foreground)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "length"):
            self._paint_plot()

    def leaveEvent(self, event: QEvent) -> None:
        self._unpoint(self._panes.tools.line)
        super().leaveEvent(event)

    def showEvent(self, event: QShowEvent) -> None:
        warm_up()
        super().showEvent(event)


def _place() -> NumberBox:
    box = NumberBox(-LARGEST, LARGEST)
    box.setDecimals(1)
    return box
