"""The values along a line in every pane, with the tiling's seams, to see, to copy and to save."""

from html import escape

import numpy as np
from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from padis_gui.gui.kit.forms import NumberBox, WholeBox
from padis_gui.gui.kit.plot import Line as Curve
from padis_gui.gui.kit.plot import Plot
from padis_gui.gui.kit.theme import SERIES
from padis_gui.gui.kit.widgets import Flow, column, row
from padis_gui.gui.panes.pane_grid import PaneGrid
from padis_gui.gui.panes.regions import LARGEST, DrawnPanel
from padis_gui.viewmodels.pictures.profiles import (
    Line,
    Profile,
    profile,
    profiles_as_csv,
    seam_positions,
    warm_up,
)
from padis_gui.viewmodels.pictures.sources import Lattice

_HINT = "Choose the tool Line profile (L) and drag a line on a pane, or type its ends"
_WIDEST = 99


class ProfilePanel(DrawnPanel):
    """One column of the table for each picture."""

    def __init__(self, panes: PaneGrid) -> None:
        super().__init__(panes, "profiles", "line")
        self.profiles: dict[str, Profile] = {}
        self.seams: list[float] = []
        self._colours: dict[str, str] = {}  # a picture keeps its colour whatever stands beside it
        self.plot = Plot("Line profile", legend="none", movable=True)
        self.plot.set_empty_text(_HINT)
        self.plot.heading.hide()
        self.plot.hovered.connect(self._point)
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

    def _make_controls(self) -> Flow:
        left, upper = "px from the picture's left edge", "px from its upper edge"
        self.ends = {
            name: self._field(_place(), name, f"Where the line {does}: {whence}")
            for name, does, whence in (
                ("x₁", "begins", left), ("y₁", "begins", upper), ("x₂", "ends", left), ("y₂", "ends", upper),
            )
        }  # fmt: skip
        self.width_box = WholeBox(1, _WIDEST)
        self.width_box.setPrefix("width ")
        self.width_box.setSuffix(" px")
        self.width_box.setAccessibleName("Width of the line")
        self.width_box.setToolTip("Values are averaged over so many pixels across the line")
        self.width_box.valueChanged.connect(lambda _v: self._take_numbers())
        controls = Flow()
        self._add_fields(controls, self.ends)
        controls.addWidget(self.width_box)
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
        length = max((found.distance[-1] for found in self.profiles.values()), default=1.0)
        self.plot.set_x_range(0.0, float(length))
        self.plot.set_seams(self.seams)
        self.plot.set_lines(
            [
                Curve(name, self._colour(name), found.distance, found.values)
                for name, found in self.profiles.items()
            ]
        )

    def _show_line(self, line: Line | None) -> None:
        there = line is not None
        for button in (self.copy, self.save):
            button.setEnabled(bool(self.profiles))
        self.clear.setEnabled(there)
        self.length.setVisible(there)
        proposed = line or self._middle_row()
        for box, value in zip(self.ends.values(), (*proposed.start, *proposed.end), strict=True):
            with QSignalBlocker(box):
                box.setValue(value)
        with QSignalBlocker(self.width_box):
            self.width_box.setValue(proposed.width)
        if line is None:
            self.legend.setText(_HINT)
        else:
            self._say_length(line)

    def _middle_row(self) -> Line:
        """Where a line that is not drawn by hand begins: across the framed picture."""
        rows, columns = self._framed_shape
        return Line((0.0, rows / 2), (float(columns), rows / 2))

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

    @property
    def first_focus(self) -> QWidget:
        """Where the line begins."""
        return self.ends["x₁"]

    def begin(self) -> None:
        """Draw a line to begin with, unless there is one, and take the keyboard."""
        if self._panes.tools.line is None:
            self._take_numbers()
        self.first_focus.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _take_numbers(self) -> None:
        x0, y0, x1, y1 = (box.value() for box in self.ends.values())
        if (x0, y0) != (x1, y1) and self._find_group():
            self._panes.tools.set_line(Line((x0, y0), (x1, y1), self.width_box.value()))

    def _remove(self) -> None:
        self._panes.tools.set_line(None)

    def _point(self, place: float | None) -> None:
        """Mark the point under the mouse on the panes, and say the values there."""
        first = next(iter(self.profiles.values()), None)
        line = self._panes.tools.line
        if place is None or first is None or line is None:
            self._unpoint(line)
            return
        at = int(np.abs(first.distance - place).argmin())
        self.plot.set_marker(float(first.distance[at]))
        self._panes.tools.mark((float(first.x[at]), float(first.y[at])))
        entries = (self._entry(name, f" {found.values[at]:.4g}") for name, found in self.profiles.items())
        self.legend.setText("&nbsp;&nbsp; ".join(entries))
        self.length.setText(f"at {first.distance[at]:.1f} px")

    def _unpoint(self, line: Line | None) -> None:
        if self.plot.marker is not None:
            self.plot.set_marker(None)
            self._panes.tools.mark(None)
            if line is not None:
                self._say_length(line)

    def showEvent(self, event: QShowEvent) -> None:
        warm_up()
        super().showEvent(event)


def _place() -> NumberBox:
    box = NumberBox(-LARGEST, LARGEST)
    box.setDecimals(1)
    return box
