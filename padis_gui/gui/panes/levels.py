"""Levels of the framed pane: a histogram with a region to drag, numbers to type, proposals, presets, colours.

The window's short list has the image's window, the truth's 1 to 99 %, Hounsfield presets, or levels by hand.
"""

from functools import partial

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QObject, QSignalBlocker, QSize, Qt, QTimer
from PySide6.QtGui import QIcon, QImage, QPixmap, QShowEvent
from PySide6.QtWidgets import QCheckBox, QComboBox, QGridLayout, QPushButton, QSizePolicy, QWidget

from padis_gui.gui.kit.forms import ChoiceBox, NumberBox
from padis_gui.gui.kit.plot_view import PlotView
from padis_gui.gui.kit.widgets import ElidedLabel, column, form, grid, muted, row, throttled
from padis_gui.gui.panes.image_pane import ImagePane
from padis_gui.gui.panes.layers import SEQUENTIAL, SIGNED, swatch
from padis_gui.gui.panes.menu import can_propose, propose_to
from padis_gui.gui.panes.pane_grid import PaneGrid
from padis_gui.viewmodels.pictures.levels import (
    AUTO,
    FULL,
    HU_PRESETS,
    MATCH,
    PROPOSALS,
    ROBUST,
    Range,
    histogram,
)
from padis_gui.viewmodels.pictures.pictures import PictureSet
from padis_gui.viewmodels.pictures.sources import Scale
from padis_gui.viewmodels.session.screen import Subject
from padis_gui.viewmodels.session.session import Session

FULL_WINDOW, ROBUST_TRUTH, BY_HAND = "Full range", "1–99 % of truth", "By hand"
_IMAGE = Scale.IMAGE.value


class LevelsChoice(QObject):
    """Fills a box with what fits the open image, and sets the levels in common. They never move by themselves."""

    def __init__(self, session: Session, picture_set: PictureSet, box: QComboBox) -> None:
        super().__init__(box)
        self._session, self._picture_set, self._box = session, picture_set, box
        self._scale: tuple[str, Range] | None = None
        self._physics: str | None = None
        box.setPlaceholderText(BY_HAND)
        box.currentIndexChanged.connect(self._choose)
        picture_set.restyled.connect(self._follow)
        session.screen.changed.connect(self._propose)
        self._propose()

    def _offer(self, subject: Subject) -> None:
        """Images of another scale; levels set by hand hold on where numbers mean the same."""
        image = subject.image
        scale = ("", (0.0, 1.0)) if image is None else (image.unit, image.window)
        if scale == self._scale:
            return
        self._scale, unit = scale, scale[0]
        with QSignalBlocker(self._box):
            self._box.clear()
            self._box.addItems([FULL_WINDOW, ROBUST_TRUTH, *(HU_PRESETS if unit == "HU" else ())])
            self._box.setCurrentIndex(0)
        self._picture_set.propose_levels({}, forget=[scale.value for scale in Scale])

    def _propose(self) -> None:
        """What is on the screen may be another: its image's levels, and those of its measurement."""
        subject = self._session.screen.subject
        self._offer(subject)
        if subject.image is None:
            return
        proposals = {_IMAGE: self._wanted(subject)}
        measurement = None if subject.pictures is None else subject.pictures.measurement
        if measurement is not None and measurement.size:
            proposals[Scale.MEASURED.value] = (min(0.0, float(measurement.min())), float(measurement.max()))
        physics = subject.method.physics
        other, self._physics = physics != self._physics, physics
        self._picture_set.propose_levels(
            proposals, forget=(Scale.MEASURED.value, Scale.MISFIT.value) if other else ()
        )

    def _wanted(self, subject: Subject) -> Range:
        name = self._box.currentText()
        if name in HU_PRESETS:
            return HU_PRESETS[name]
        if name == ROBUST_TRUTH and subject.robust_range is not None:
            return subject.robust_range
        return (0.0, 1.0) if subject.image is None else subject.image.window

    def _choose(self, index: int) -> None:
        subject = self._session.screen.subject
        if index >= 0 and subject.image is not None:
            self._picture_set.propose_levels({_IMAGE: self._wanted(subject)}, forget=(_IMAGE,))

    def _follow(self) -> None:
        """Somebody has set levels by hand: none of the list's."""
        if self._box.currentIndex() >= 0 and _IMAGE in self._picture_set.levels.by_hand:
            with QSignalBlocker(self._box):
                self._box.setCurrentIndex(-1)


_HISTOGRAM_MS, _DRAG_MS = 250, 33
_TIPS = {
    AUTO: "Saturate 0.35 % of the pixels",
    ROBUST: "From the 1st to the 99th percentile of this picture",
    FULL: "From the lowest to the highest value of this picture",
    MATCH: "The truth's range from end to end, whatever this picture holds; a tenth of it for differences",
}
_BARS = "#7f8ea3"
_NO_HISTOGRAM = "The histogram of the framed pane, once there is a picture in it"


def _swatch_icon(name: str) -> QIcon:
    colours = np.ascontiguousarray(np.repeat(swatch(name)[None], 12, axis=0))
    image = QImage(colours.data, 256, 12, 768, QImage.Format.Format_RGB888)
    return QIcon(QPixmap.fromImage(image.scaled(48, 12)))


class LevelsPanel(QWidget):
    """Acts on the framed pane: on the levels in common with others, or on its own where it has some."""

    def __init__(self, panes: PaneGrid) -> None:
        super().__init__()
        self._panes = panes
        self.title = ElidedLabel()
        self.own = QCheckBox("Own levels")
        self.own.setToolTip("This pane keeps levels and colours of its own")
        self.own.toggled.connect(lambda own: panes.set_own_levels(self._pane, own))
        head = row()
        head.addWidget(self.title, 1)
        head.addWidget(self.own)
        self._make_plot()
        self.low, self.high = self._number("Darkest"), self._number("Brightest")
        self.width_text = ElidedLabel(muted=True)
        numbers = form()
        ends = row(spacing=6)
        ends.addWidget(self.low, 1)
        ends.addWidget(self.high, 1)
        numbers.addRow("Levels", ends)
        self.colours = ChoiceBox()
        self.colours.setAccessibleName("Colours")
        self.colours.setToolTip("The colour map of this pane, and of those with the same levels")
        self.colours.setIconSize(QSize(48, 12))
        self.colours.activated.connect(lambda _i: self._pane.set_colours(self.colours.currentText()))
        numbers.addRow("Colours", self.colours)
        self.proposals: dict[str, QPushButton] = {}
        layout = column(self, spacing=6, margins=(8, 4, 8, 8))
        layout.addLayout(head)
        layout.addWidget(self.plot, 10)
        layout.addWidget(self.empty, 10)
        layout.addWidget(self.width_text)
        layout.addLayout(self._make_buttons())
        layout.addLayout(numbers)
        self._presets = QWidget()
        layout.addWidget(self._presets)
        self._make_presets()
        layout.addStretch(1)
        self._refresh = throttled(self, _HISTOGRAM_MS, self.refresh)
        self._dragged = QTimer(self, singleShot=True, interval=_DRAG_MS)
        self._dragged.timeout.connect(self._take_region)
        panes.active_changed.connect(self.refresh)
        panes.picture_set.restyled.connect(self._show_levels)
        panes.picture_set.listed.connect(self._show_levels)
        panes.picture_set.changed.connect(self._follow)
        self.refresh()

    @property
    def _pane(self) -> ImagePane:
        return self._panes.active

    # Making it ------------------------------------------------------------------------------------

    def _make_plot(self) -> None:
        self.plot = PlotView("Histogram")
        self.empty = muted(_NO_HISTOGRAM, alignment=Qt.AlignmentFlag.AlignCenter, wordWrap=True)
        self.plot.setToolTip("Drag the region or one of its edges")
        self.plot.setMinimumHeight(90)
        self.plot.setMaximumHeight(340)
        self.plot.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.plot.showGrid(x=False, y=False)
        self.plot.hideAxis("left")
        self.bars = self.plot.plot(stepMode="center", fillLevel=0, brush=_BARS, pen=None)
        self.region = pg.LinearRegionItem(
            brush=(90, 150, 240, 50), hoverBrush=(90, 150, 240, 80), pen=pg.mkPen("#5b8def", width=2)
        )
        self.region.setZValue(10)
        self.region.sigRegionChanged.connect(lambda: self._dragged.isActive() or self._dragged.start())
        self.plot.addItem(self.region)

    def _number(self, name: str) -> NumberBox:
        box = NumberBox()
        box.setAccessibleName(name)
        box.setToolTip(f"The value that is shown {name.lower()}")
        box.setButtonSymbols(NumberBox.ButtonSymbols.NoButtons)  # the arrow keys step it
        box.valueChanged.connect(self._take_numbers)
        return box

    def _make_buttons(self) -> QGridLayout:
        buttons = grid()
        for place, name in enumerate(PROPOSALS):
            button = QPushButton(name)
            button.setMinimumWidth(30)
            button.setAccessibleName(f"{name} levels".replace("1–99 %", "1 to 99 percent"))
            button.setToolTip(_TIPS[name])
            button.clicked.connect(partial(self._propose, name))
            buttons.addWidget(button, 0, place)
            self.proposals[name] = button
        return buttons

    def _make_presets(self) -> None:
        presets = grid(self._presets)
        for place, (name, (low, high)) in enumerate(HU_PRESETS.items()):
            button = QPushButton(name)
            button.setMinimumWidth(30)
            button.setToolTip(f"{low:g} to {high:g} HU: window {high - low:g}, level {(low + high) / 2:g}")
            button.clicked.connect(partial(self._preset, (low, high)))
            presets.addWidget(button, place // 2, place % 2)

    # Showing what is ------------------------------------------------------------------------------

    def _follow(self, keys: tuple[str, ...]) -> None:
        if self._pane.source in keys and self.isVisible():
            self._refresh.throttle()

    def refresh(self) -> None:
        """Show the framed pane's levels and histogram as they are now."""
        if self.isVisible():
            self._show_levels()
            self._draw_histogram()

    def _show_levels(self) -> None:
        pane = self._pane
        if not self.isVisible() or pane.source not in self._panes.picture_set.sources:
            return
        source, look = pane.record, pane.look
        unit = self._panes.picture_set.unit
        in_unit = f" {unit}" if unit and source.scale not in (Scale.MEASURED, Scale.MISFIT) else ""
        low, high = look.levels
        self.title.setText(source.label)
        self.width_text.setText(f"Window {high - low:.5g}{in_unit}, level {(low + high) / 2:.5g}{in_unit}")
        with QSignalBlocker(self.own), QSignalBlocker(self.low), QSignalBlocker(self.high):
            self.own.setChecked(pane.own is not None)
            self.low.setValue(low)
            self.high.setValue(high)
        if not self._dragged.isActive():
            with QSignalBlocker(self.region):
                self.region.setRegion((low, high))
        self._presets.setVisible(unit == "HU" and source.scale is Scale.IMAGE)
        for name, button in self.proposals.items():
            button.setEnabled(can_propose(self._panes, pane, name))
        self._show_colours(SIGNED if source.scale.signed else SEQUENTIAL, look.colours)

    def _show_colours(self, names: tuple[str, ...], chosen: str) -> None:
        if [self.colours.itemText(i) for i in range(self.colours.count())] != list(names):
            self.colours.clear()
            for name in names:
                self.colours.addItem(_swatch_icon(name), name)
        self.colours.setCurrentText(chosen)

    def _draw_histogram(self) -> None:
        pixels = self._panes.picture_set.pixels(self._pane.source) if self.isVisible() else None
        found = None if pixels is None else histogram(pixels)
        self.plot.setVisible(found is not None)
        self.empty.setVisible(found is None)
        low, high = self._pane.look.levels
        if found is not None:
            # square roots, so that an image that is mostly air shows more than one bar
            self.bars.setData(found.edges, np.sqrt(found.counts))
            low, high = min(low, found.edges[0]), max(high, found.edges[-1])
        self.plot.setXRange(low, high, padding=0.04)

    # From the user --------------------------------------------------------------------------------

    def _take_region(self) -> None:
        low, high = self.region.getRegion()
        self._set((float(low), float(high)))

    def _take_numbers(self) -> None:
        if self.low.value() < self.high.value():
            self._set((self.low.value(), self.high.value()))

    def _set(self, levels: Range) -> None:
        pane = self._pane
        if pane.record.scale.signed:  # about 0: the end that was moved counts
            old = pane.look.levels
            reach = max(abs(levels[0]), abs(levels[1]))
            if abs(levels[0]) != abs(old[0]):
                reach = abs(levels[0])
            elif abs(levels[1]) != abs(old[1]):
                reach = abs(levels[1])
            levels = (-reach, reach)
        pane.set_levels(levels)
        self._show_levels()

    def _propose(self, name: str, _checked: bool = False) -> None:
        propose_to(self._panes, self._pane, name)
        self.refresh()

    def _preset(self, levels: Range, _checked: bool = False) -> None:
        self._pane.set_levels(levels)
        self.refresh()

    # Events ---------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.refresh()
