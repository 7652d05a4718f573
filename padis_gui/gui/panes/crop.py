"""Choosing the region of the picture that is to be reconstructed: a strip of numbers and buttons, a box on the panes."""

from collections.abc import Callable

from PySide6.QtCore import QSignalBlocker
from PySide6.QtWidgets import QAbstractSpinBox, QLabel, QWidget

from padis_gui.core.images.size import LARGEST, SMALLEST, Box, region_in_file
from padis_gui.gui.kit.focus import AskedByKey, LeftByEscape
from padis_gui.gui.kit.forms import WholeBox
from padis_gui.gui.kit.widgets import ElidedLabel, row, small_button
from padis_gui.gui.panes.pane_grid import PaneGrid
from padis_gui.viewmodels.pictures.profiles import Region
from padis_gui.viewmodels.session.sizing import Sizing

_HINT = "Drag a box on a pane, or type its place; its corners and the box itself can be moved"
_FIELD_WIDTH = 58


class CropTool(QWidget):
    """The strip; it is there while a region is chosen. Nothing is read before one of its buttons is pressed."""

    def __init__(self, sizing: Sizing, panes: PaneGrid) -> None:
        super().__init__()
        self._sizing, self._panes = sizing, panes
        self.action = panes.act.crop
        self._make_strip()
        self.action.toggled.connect(self._toggle)
        AskedByKey(self.action, self.places["x"].setFocus)
        LeftByEscape(self, panes.act.move.trigger)
        panes.tools.crop_changed.connect(self._show_region)
        sizing.changed.connect(self._follow)
        self.allow()
        self.hide()

    def _make_strip(self) -> None:
        layout = row(self, spacing=4, margins=(8, 3, 8, 3))
        self.places = {
            name: self._field(name, tip, least)
            for name, tip, least in (
                ("x", "First column of the region, in px of the shown picture", 0),
                ("y", "First row of the region, in px of the shown picture", 0),
                ("w", "Width of the region, in px of the shown picture", SMALLEST),
                ("h", "Height of the region, in px of the shown picture", SMALLEST),
            )
        }  # fmt: skip
        for name, box in self.places.items():
            label = QLabel(name)
            label.setBuddy(box)
            layout.addWidget(label)
            layout.addWidget(box)
        self.says = ElidedLabel(muted=True)
        layout.addWidget(self.says, 1)
        self.apply = small_button(
            "Crop", "Take this region and nothing else; Whole picture undoes it", lambda: self._take(self._sizing.crop)
        )  # fmt: skip
        self.preview = small_button(
            "Preview", "Run on this region first; Run at full size then goes back to all of it",
            lambda: self._take(self._sizing.preview_region),
        )  # fmt: skip
        self.whole = small_button(
            "Whole picture", "Take all of the picture, at the size that it has in its file", self._take_whole
        )
        cancel = small_button(
            "Cancel", "Leave the picture as it is (Esc, or V)", self._panes.act.move.trigger
        )
        for button in (self.apply, self.preview, self.whole, cancel):
            layout.addWidget(button)

    def _field(self, name: str, tip: str, least: int) -> WholeBox:
        box = WholeBox(least, LARGEST)
        box.setAccessibleName(f"Crop {name}")
        box.setToolTip(tip)
        box.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
        box.setMaximumWidth(_FIELD_WIDTH)
        box.valueChanged.connect(lambda _value: self._take_numbers())
        return box

    # Beginning and ending -------------------------------------------------------------------------

    def allow(self) -> None:
        """Offer it exactly where there is a picture."""
        self.action.setEnabled(self._sizing.croppable)
        if not self.action.isEnabled() and self.action.isChecked():
            self._panes.act.move.trigger()

    def _toggle(self, chosen: bool) -> None:
        image = self._sizing.image
        if not chosen and self.isAncestorOf(self.focusWidget() or self):
            self._panes.board.active.canvas.setFocus()  # else Qt gives the keyboard to whatever comes next
        self.setVisible(chosen)
        self._panes.tools.choose_crop(image.shape if chosen and image is not None else None)

    def _follow(self) -> None:
        """Another image, or another part of it: what was being chosen was a region of the one before."""
        if self.action.isChecked():
            self._panes.act.move.trigger()
        self.allow()

    # The region -----------------------------------------------------------------------------------

    @property
    def region(self) -> Box | None:
        """The chosen region in px of the shown picture: left, top, width, height."""
        crop = self._panes.tools.crop
        if crop is None:
            return None
        left, top, width, height = (round(v) for v in (crop.left, crop.top, crop.width, crop.height))
        return left, top, width, height

    def _show_region(self) -> None:
        image, region = self._sizing.image, self.region
        usable = region is not None and min(region[2:]) >= SMALLEST
        for button in (self.apply, self.preview):
            button.setEnabled(usable)
        self.whole.setEnabled(not self._sizing.is_whole)
        if image is None:
            return
        rows, columns = image.shape
        for box, value in zip(self.places.values(), region or (0, 0, columns, rows), strict=True):
            with QSignalBlocker(box):
                box.setValue(value)
        if region is None:
            self.says.setText(_HINT)
            return
        left, top, width, height = in_file = region_in_file(image, region)
        small = "" if usable else f"; at least {SMALLEST} px a side"
        more = "" if in_file == region else f": {width} × {height} at {left}, {top} of the file"
        self.says.setText(f"of {columns} × {rows} px{small}{more}")

    def _take_numbers(self) -> None:
        left, top, width, height = (box.value() for box in self.places.values())
        region = Region(shape="rectangle", left=left, top=top, width=width, height=height)
        self._panes.tools.choose_crop(self._panes.tools.crop_shape, region)

    def _take(self, do: Callable[[Box], None]) -> None:
        region = self.region
        if region is not None:
            self._panes.act.move.trigger()
            do(region)

    def _take_whole(self) -> None:
        self._panes.act.move.trigger()
        self._sizing.take_whole()
