"""The A/B page: on the left what is compared and how it goes, on the right both pictures, their difference, curves."""

import math
import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QCheckBox, QLayout, QWidget

from padis_gui.core.images.image import Pixels
from padis_gui.core.runs.control import RunState
from padis_gui.gui.kit.actions import Actions
from padis_gui.gui.kit.forms import ChoiceBox, Slider
from padis_gui.gui.kit.plot import Line, Plot
from padis_gui.gui.kit.theme import LEVEL_COLOURS, SIDES
from padis_gui.gui.kit.widgets import ElidedLabel, column, grid, row, scrolled
from padis_gui.gui.laboratory.ab_controls import ABControls
from padis_gui.gui.panes.canvas import Picture
from padis_gui.gui.panes.links import Links
from padis_gui.viewmodels.laboratory.ab import NAMES, PICTURES, SEAM_MAP, ABRun
from padis_gui.viewmodels.laboratory.export import export
from padis_gui.viewmodels.laboratory.laboratory import Overlay
from padis_gui.viewmodels.laboratory.seam_maps import SEAM_SHARE
from padis_gui.viewmodels.pictures.frames import IteratePictures
from padis_gui.viewmodels.pictures.levels import SIGNED_SHARE, Range, automatic
from padis_gui.viewmodels.pictures.pictures import DIVERGING, GREY, Appearance, value_text
from padis_gui.viewmodels.pictures.sources import Scale
from padis_gui.viewmodels.session.session import Session

_SHARE, _FASTEST_MS, _SLOWEST_MS = 0.03, 33, 500  # of the clock that painting may take, as for the panes
_PARTS = 1000  # of the way, for the slider
_SIGNED = ("difference", SEAM_MAP)
_TILED = ("estimate", "denoised", "state")


class ABPage(QWidget):
    """``levels`` are the panes' for images. ``pointed`` carries the values under the cursor in words."""

    pointed = Signal(str)

    def __init__(self, session: Session, ab: ABRun, levels: Callable[[], Range], act: Actions) -> None:
        super().__init__()
        self._session, self._ab, self._levels, self._tiling = session, ab, levels, act.tiling
        self._busy_before = time.thread_time()
        self._painted: tuple[IteratePictures | None, ...] = ()
        self._whole = 1  # what the step axis of the curves spans
        self.pictures = [Picture(name, f"Side {name}") for name in NAMES]
        self.difference = Picture("B − A", "The estimate of B minus that of A")
        self.links = Links(self)
        for picture in (*self.pictures, self.difference):
            self.links.join(picture.canvas)
        self.links.pointed.connect(self._read)
        self.plots = {
            "psnr": Plot("PSNR [dB]", tip="Of both estimates against the truth, over their steps"),
            "seam_ratio": Plot("Seam ratio", tip="Of both estimates over their steps; 1 is no seam"),
        }
        self.plots["seam_ratio"].set_level(1.0)
        for plot in self.plots.values():
            plot.clicked.connect(self._go_to)
        self.view = QWidget()
        self.controls = ABControls(session, ab, act, self.view, self._export)
        self._lay_out()
        self.timer = QTimer(self, singleShot=True, interval=_FASTEST_MS)
        self.timer.timeout.connect(self._paint)
        ab.dirty.connect(self._ask_for_paint)
        ab.mapped.connect(self._ask_for_paint)
        ab.changed.connect(self._ask_for_paint)
        act.tiling.toggled.connect(self._repaint)
        self._paint()

    @property
    def regions(self) -> list[QWidget]:
        """The parts of the page, as F6 goes through them."""
        return [self.controls, self.view]

    def _lay_out(self) -> None:
        left = scrolled(self.controls)
        left.setFixedWidth(330)
        curves = QWidget()
        stacked = column(curves, spacing=4)
        for plot in self.plots.values():
            stacked.addWidget(plot, 1)
        cells = grid(self.view, spacing=6, margins=(4, 2, 6, 4))
        for index, widget in enumerate((*self.pictures, self.difference, curves)):
            cells.addWidget(widget, index // 2, index % 2)
        for line in (0, 1):
            cells.setRowStretch(line, 1)
            cells.setColumnStretch(line, 1)
        right = column()
        right.addLayout(self._bar())
        right.addWidget(self.view, 1)
        outer = row(self, spacing=0)
        outer.addWidget(left)
        outer.addLayout(right, 1)

    def _bar(self) -> QLayout:
        self.kind = ChoiceBox()
        for key, label in PICTURES.items():
            self.kind.addItem(label, key)
        self.kind.setAccessibleName("Picture of both sides")
        self.kind.setToolTip("What both pictures show")
        self.kind.currentIndexChanged.connect(self._repaint)
        self.own_levels = QCheckBox("Stretch difference")
        self.own_levels.setChecked(True)
        self.own_levels.setToolTip(
            "Show B − A with levels of its own; else with a tenth of the pictures' levels"
        )
        self.own_levels.toggled.connect(self._repaint)
        self.slider = Slider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _PARTS)
        self.slider.setValue(_PARTS)
        self.slider.setAccessibleName("Part of the way that is shown")
        self.slider.setToolTip("Look at earlier iterates of both sides; the right end shows the latest")
        self.slider.valueChanged.connect(self._slide)
        self.whose = ElidedLabel()
        self.whose.setStyleSheet(f"color: {LEVEL_COLOURS['warning']};")
        self.whose.hide()
        bar = row(spacing=8, margins=(4, 4, 8, 2))
        for widget, stretch in ((self.kind, 0), (self.own_levels, 0), (self.whose, 1), (self.slider, 1)):
            bar.addWidget(widget, stretch)
        return bar

    # Painting -------------------------------------------------------------------------------------

    def _ask_for_paint(self) -> None:
        if not self._ab.state.active:
            self.timer.start(0)
        elif not self.timer.isActive():
            self.timer.start()

    def _repaint(self) -> None:
        self._painted = ()
        self._paint()

    def _paint(self) -> None:
        """Everything as it stands; the next one waits until this one is a small share of the time."""
        if not self.isVisible():
            return
        now = time.thread_time()
        wait = round(1000 * (now - self._busy_before) / _SHARE)
        self._busy_before = now
        self.timer.setInterval(min(max(wait, _FASTEST_MS), _SLOWEST_MS))
        ab, kind = self._ab, self.kind.currentData()
        frames = tuple(ab.frame(side) for side in range(len(NAMES)))
        for side, picture in enumerate(self.pictures):
            frame, pixels = frames[side], ab.picture(side, kind)
            picture.show_pixels(pixels, self._look(kind, pixels), legend=kind in _SIGNED)
            picture.canvas.set_empty_text("" if pixels is not None else self._empty_text(kind, frame))
            tiled = frame is not None and self._tiling.isChecked() and kind in _TILED
            picture.canvas.set_overlay(
                Overlay(partition=frame.partition, outside=True)
                if tiled and frame and frame.partition
                else None
            )
            self._place(picture, pixels)
            picture.title.setText(self._title(side))
        self.whose.setText(ab.whose)
        self.whose.setVisible(bool(ab.whose))
        self._show_difference()
        if frames != self._painted or not ab.state.active:
            self._painted = frames
            self._show_curves()
        self.controls.refresh()

    def _look(self, kind: str, pixels: Pixels | None) -> Appearance:
        prepared = self._ab.prepared if self._ab.whose else None  # the panes' levels are of what is open
        low, high = self._levels() if prepared is None else prepared.image.window
        if kind in _SIGNED:
            reach = (SEAM_SHARE if kind == SEAM_MAP else SIGNED_SHARE) * (high - low)
            return Appearance((-reach, reach), DIVERGING)
        return Appearance((low, high), GREY)

    def _show_difference(self) -> None:
        pixels = self._ab.difference()
        look = self._look("difference", pixels)
        if pixels is not None and self.own_levels.isChecked():
            look = Appearance(automatic(pixels, Scale.SIGNED), DIVERGING)
        if pixels is not None and pixels.ndim == 3:
            pixels = pixels.mean(axis=2, dtype=pixels.dtype)
        self.difference.show_pixels(pixels, look, legend=True)
        self.difference.canvas.set_empty_text("" if pixels is not None else "What B makes different")
        self._place(self.difference, pixels)
        rms = self._ab.difference_rms()
        self.difference.title.setText(
            "B − A" if math.isnan(rms) else f"B − A of x̂₀   rms {rms:.3g}{self._unit()}"
        )

    def _place(self, picture: Picture, pixels: Pixels | None) -> None:
        self.links.place(picture.canvas, None if pixels is None else ("image", *pixels.shape[:2]))

    def _title(self, side: int) -> str:
        """The side, how far it is and how good."""
        frame, point = self._ab.frame(side), self._ab.point(side)
        badge = f"<b style='color:{SIDES[side]}'>{NAMES[side]}</b>&nbsp; {self._ab.label(side)}"
        if frame is None or point is None:
            return badge
        quality = "" if math.isnan(point.psnr) else f", {point.psnr:.2f} dB"
        seams = "" if math.isnan(point.seam_ratio) else f", seam ratio {point.seam_ratio:.2f}"
        return f"{badge} &nbsp;<span style='color:gray'>step {frame.step}{quality}{seams}</span>"

    def _empty_text(self, kind: str, frame: IteratePictures | None) -> str:
        if frame is not None and kind == "difference":
            return "There is no truth to compare with"
        if frame is not None and kind == SEAM_MAP:
            return "Without tiles there are no seams" if frame.partition is None else ""
        if self._ab.sides() is None:
            return "Open an image and a prior on the Reconstruct page"
        return "Choose what differs on the left and press Run A/B,\nor one of the faults"

    def _show_curves(self) -> None:
        """Both sides over their steps; where they have not equally many, over the percent of them that are done."""
        histories = self._ab.histories
        totals = [max(1, history.total) for history in histories]
        same = totals[0] == totals[1]
        whole = totals[0] if same else 100
        for key, plot in self.plots.items():
            plot.set_x_range(0, whole)
            plot.set_labels(bottom="" if same else "% of the steps")
            plot.set_marker(None if self._ab.at is None else whole * self._ab.at)
            lines = []
            for name, colour, history, total in zip(NAMES, SIDES, histories, totals, strict=True):
                steps = [whole * p.step / total for p in history.points]
                values = [getattr(p, key) for p in history.points]
                lines.append(Line.through_known(name, colour, steps, values))
            plot.set_lines(lines)
        self._whole = whole

    def _unit(self) -> str:
        prepared = self._ab.prepared
        return f" {prepared.image.unit}" if prepared is not None and prepared.image.unit else ""

    # From the user --------------------------------------------------------------------------------

    def _slide(self, value: int) -> None:
        self._ab.go_to(None if value == _PARTS else value / _PARTS)

    def _go_to(self, step: float) -> None:
        self.slider.setValue(round(min(max(step / self._whole, 0.0), 1.0) * _PARTS))

    def _read(self, at_row: int, at_column: int) -> None:
        if at_row < 0:
            self.pointed.emit("")
            return
        parts = [f"x {at_column}, y {at_row} px"]
        for name, picture in zip((*NAMES, "B − A"), (*self.pictures, self.difference), strict=True):
            pixels = picture.canvas.pixels
            if pixels is not None and (text := value_text(pixels, at_row, at_column)):
                parts.append(f"{name} {text}{self._unit()}")
        for side, name in enumerate(NAMES):
            frame = self._ab.frame(side)
            found = (
                None
                if frame is None or frame.partition is None
                else frame.partition.tile_at(at_row, at_column)
            )
            if found is not None:
                parts.append(f"{name}: tile {found[0] + 1}, {found[1]} px to the nearest seam")
        self.pointed.emit("   ".join(parts))

    def _export(self, path: Path) -> None:
        export(self._session, path, self._ab.pages())

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.pointed.emit("")
        self._repaint()
        state = self._ab.state
        if not state.active and state is RunState.IDLE:
            with QSignalBlocker(self.slider):
                self.slider.setValue(_PARTS)
