"""The values along a line in every pane, with the tiling's seams, to see, to copy and to save."""

from html import escape

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication, QShowEvent
from PySide6.QtWidgets import QDoubleSpinBox, QHBoxLayout, QLabel, QSizePolicy, QWidget

from padis_gui.gui.layouts import column, row, small_button
from padis_gui.gui.numbers import WholeBox
from padis_gui.gui.theme import SEAM_LINE, SERIES, plot_colours
from padis_gui.gui.viewers.pane_grid import PaneGrid
from padis_gui.viewmodels.profiles import Line, Profile, profile, profiles_as_csv, seam_positions, warm_up
from padis_gui.viewmodels.sources import Lattice

_FOLLOW_MS, _DRAG_MS = 250, 33
_HINT = "Choose the tool Line profile (L) and drag a line on a pane"
_WIDEST = 99


class ProfilePanel(QWidget):
    """``save_wanted`` carries the profiles as CSV."""

    save_wanted = Signal(str)

    def __init__(self, panes: PaneGrid) -> None:
        super().__init__()
        self._panes = panes
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
        self._soon = QTimer(self, singleShot=True)
        self._soon.timeout.connect(self.refresh)
        panes.tools.changed.connect(lambda: self._later(_DRAG_MS))
        panes.gallery.changed.connect(lambda _keys: self._later(_FOLLOW_MS))
        panes.gallery.listed.connect(lambda: self._later(_FOLLOW_MS))
        panes.arranged.connect(lambda: self._later(_DRAG_MS))
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
        self.ends = [self._number(name, tip) for name, tip in (
            ("x₁", "Where the line begins: column, in px"), ("y₁", "Where the line begins: row, in px"),
            ("x₂", "Where the line ends: column, in px"), ("y₂", "Where the line ends: row, in px"),
        )]  # fmt: skip
        self.width_box = WholeBox(1, _WIDEST)
        self.width_box.setPrefix("width ")
        self.width_box.setSuffix(" px")
        self.width_box.setAccessibleName("Width of the line")
        self.width_box.setToolTip("Values are averaged over so many pixels across the line")
        self.width_box.setKeyboardTracking(False)
        self.width_box.valueChanged.connect(lambda _v: self._take_numbers())
        self.copy, self.save, self.clear = (small_button(text) for text in ("Copy CSV", "Save CSV…", "Clear"))
        self.copy.setToolTip("Put the profiles on the clipboard, one column a picture")
        self.save.setToolTip("Write the profiles to a file, one column a picture")
        self.clear.setToolTip("Remove the line")
        self.copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.csv()))
        self.save.clicked.connect(lambda: self.save_wanted.emit(self.csv()))
        self.clear.clicked.connect(lambda: self._panes.tools.set_line(None))
        controls = row()
        for box, name in zip(self.ends, ("x₁", "y₁", "x₂", "y₂"), strict=True):
            label = QLabel(name)
            label.setBuddy(box)
            controls.addWidget(label)
            controls.addWidget(box)
        controls.addWidget(self.width_box)
        controls.addStretch(1)
        for button in (self.copy, self.save, self.clear):
            controls.addWidget(button)
        return controls

    def _number(self, name: str, tip: str) -> QDoubleSpinBox:
        box = QDoubleSpinBox(minimum=-10_000, maximum=100_000, decimals=1)
        box.setKeyboardTracking(False)
        box.setAccessibleName(name)
        box.setToolTip(tip)
        box.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        box.setMaximumWidth(56)
        box.valueChanged.connect(lambda _v: self._take_numbers())
        return box

    # Showing what is ------------------------------------------------------------------------------

    def _later(self, milliseconds: int) -> None:
        """Refresh soon, while somebody can see it; an earlier wish is not put off."""
        if self.isVisible() and (not self._soon.isActive() or self._soon.remainingTime() > milliseconds):
            self._soon.start(milliseconds)

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
        for box, value in zip(self.ends, (*line.start, *line.end), strict=True):
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
        spacing = self._panes.gallery.spacing if self._on_image() else None
        millimetres = f" ({line.length_mm(spacing):.1f} mm)" if spacing is not None else ""
        seams = f", {len(self.seams)} seams" if self.seams else ""
        self.length.setText(f"{line.length:.1f} px{millimetres}{seams}")

    def _on_image(self) -> bool:
        group = self._panes.tools.group
        return group is not None and group[0] == Lattice.IMAGE.value

    def csv(self) -> str:
        """What is plotted, as text; empty where nothing is."""
        line = self._panes.tools.line
        if line is None or not self.profiles:
            return ""
        spacing = self._panes.gallery.spacing if self._on_image() else None
        return profiles_as_csv(self.profiles, self.seams, spacing, line)

    # From the user --------------------------------------------------------------------------------

    def _take_numbers(self) -> None:
        x0, y0, x1, y1 = (box.value() for box in self.ends)
        tools = self._panes.tools
        if tools.group is None:
            tools.adopt(self._panes.active.group)
        if tools.group is not None and (x0, y0) != (x1, y1):
            tools.set_line(Line((x0, y0), (x1, y1), self.width_box.value()))

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
        super().showEvent(event)
        warm_up()
        self.refresh()
