"""Statistics of a rectangle or an ellipse in every pane, to see, to copy and to save.

The panels of a drawn line and of a drawn region share the numbers to set it by, and a table to take away.
"""

from collections.abc import Mapping
from typing import TypeVar

from PySide6.QtCore import QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication, QShowEvent
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QHeaderView,
    QLabel,
    QWidget,
)

from padis_gui.core.images.image import Pixels
from padis_gui.gui.kit.forms import ChoiceBox, NumberBox, WholeBox
from padis_gui.gui.kit.lists import cell, plain_table, say_when_empty
from padis_gui.gui.kit.widgets import ElidedLabel, Flow, column, row, small_button, throttled
from padis_gui.gui.panes.pane_grid import PaneGrid
from padis_gui.viewmodels.pictures.profiles import (
    STATISTICS_HEAD,
    Region,
    statistics,
    statistics_as_csv,
    statistics_row,
)
from padis_gui.viewmodels.pictures.sources import PaneSource, Scale

_FOLLOW_MS, _DRAG_MS = 250, 33
_FIELD_WIDTH = 56
LARGEST = 100_000  # px from the image's corner that a field takes

Box = TypeVar("Box", NumberBox, WholeBox)


class DrawnPanel(QWidget):
    """Follows the shape that is drawn on the panes, and their pictures, while somebody can see it.

    ``save_wanted`` carries what is shown as CSV.
    """

    save_wanted = Signal(str)

    def __init__(self, panes: PaneGrid, what: str, shape: str) -> None:
        """``what`` is shown here, of a ``shape``: two words for tooltips."""
        super().__init__()
        self._panes = panes
        self.copy = small_button(
            "Copy CSV", f"Put the {what} on the clipboard, to paste into a spreadsheet",
            lambda: QGuiApplication.clipboard().setText(self.csv()),
        )  # fmt: skip
        self.save = small_button(
            "Save CSV…", f"Write the {what} to a file", lambda: self.save_wanted.emit(self.csv())
        )
        self.clear = small_button("Clear", f"Remove the {shape}", self._remove)
        drag, follow = (throttled(self, wait, self._refresh_seen) for wait in (_DRAG_MS, _FOLLOW_MS))
        panes.tools.changed.connect(drag.throttle)
        panes.arranged.connect(drag.throttle)
        panes.picture_set.changed.connect(lambda _keys: follow.throttle())
        panes.picture_set.listed.connect(follow.throttle)

    # What a panel does in its own way -------------------------------------------------------------

    def refresh(self) -> None:
        """Measure what the shape covers, and show it."""
        raise NotImplementedError

    def csv(self) -> str:
        """What is shown as text; empty where nothing is."""
        raise NotImplementedError

    def _remove(self) -> None:
        raise NotImplementedError

    def _take_numbers(self) -> None:
        """Draw the shape that the fields say."""
        raise NotImplementedError

    # What all do alike ----------------------------------------------------------------------------

    @property
    def _spacing(self) -> tuple[float, float] | None:
        """Pixel pitch in mm, (rows, columns), where it is known and the shape lies on the image."""
        group = self._panes.tools.group
        return None if group is None else self._panes.picture_set.pitch(group[0])

    @property
    def _framed_shape(self) -> tuple[int, int]:
        """(rows, columns) of the framed pane's picture; 0 where it has none."""
        group = self._panes.active.group
        return (0, 0) if group is None else group[1:]

    def _find_group(self) -> bool:
        """Whether a shape set by numbers has pixels to lie on; before the first one is drawn, the active pane's."""
        tools = self._panes.tools
        if tools.group is None:
            tools.adopt(self._panes.active.group)
        return tools.group is not None

    def _field(self, box: Box, name: str, tip: str) -> Box:
        """Make a box a small field of the shape's place."""
        box.setAccessibleName(name)
        box.setToolTip(tip)
        box.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
        box.setMaximumWidth(_FIELD_WIDTH)
        box.valueChanged.connect(lambda _v: self._take_numbers())
        return box

    @staticmethod
    def _add_fields(layout: Flow, fields: Mapping[str, QWidget]) -> None:
        for name, field in fields.items():
            both, label = QWidget(), QLabel(name)
            label.setBuddy(field)
            beside = row(both)
            beside.addWidget(label)
            beside.addWidget(field)
            layout.addWidget(both)

    def _add_buttons(self, layout: Flow) -> None:
        for button in (self.copy, self.save, self.clear):
            layout.addWidget(button)

    def _refresh_seen(self) -> None:
        if self.isVisible():
            self.refresh()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.refresh()


_HINT = "Choose the tool Rectangle (R) or Ellipse (E) and drag on a pane, or type its place"


class RegionPanel(DrawnPanel):
    """One row of the table for each picture."""

    def __init__(self, panes: PaneGrid) -> None:
        super().__init__(panes, "table", "region")
        self.rows: list[tuple[str, ...]] = []
        self._found: list[tuple[str, ...]] = []
        self._waiting: list[tuple[PaneSource, Pixels]] = []
        self._each = QTimer(self, singleShot=True, interval=0)
        self._each.timeout.connect(self._measure_next)
        tip = "Of the finite pixels in the region; PSNR against the truth, within the region"
        self.table = plain_table("Statistics of the region", tip, STATISTICS_HEAD)
        self.table.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 6)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        layout = column(self, spacing=2, margins=(6, 2, 6, 6))
        layout.addWidget(self.table, 1)
        layout.addLayout(self._make_controls())
        self.refresh()

    def _make_controls(self) -> Flow:
        self.shape = ChoiceBox()
        self.shape.addItem("Rectangle", "rectangle")
        self.shape.addItem("Ellipse", "ellipse")
        self.shape.setAccessibleName("Shape of the region")
        self.shape.setToolTip("A rectangle, or the ellipse inside it")
        self.shape.activated.connect(lambda _i: self._take_numbers())
        self.places = {
            name: self._field(WholeBox(least, LARGEST), name, tip)
            for name, tip, least in (
                ("x", "From the picture's left edge to its own, in px", -LARGEST),
                ("y", "From the picture's upper edge to its own, in px", -LARGEST),
                ("w", "Its width, in px", 1), ("h", "Its height, in px", 1),
            )
        }  # fmt: skip
        self.empty = say_when_empty(self.table, _HINT)
        self.hint = ElidedLabel(muted=True)
        controls = Flow()
        controls.addWidget(self.shape)
        self._add_fields(controls, self.places)
        controls.addWidget(self.hint)
        self._add_buttons(controls)
        return controls

    # Showing what is ------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Measure the region in every shown picture that has its pixels: one after the other, so that events pass."""
        tools = self._panes.tools
        self._waiting = [] if tools.region is None else list(self._panes.shown_on(tools.group))
        self._found = []
        self._measure_next()

    def _measure_next(self) -> None:
        region, picture_set = self._panes.tools.region, self._panes.picture_set
        if region is None or not self._waiting:
            self.rows = self._found
            self._fill()
            self._show_region(region)
            return
        source, pixels = self._waiting.pop(0)
        comparable = source.scale is Scale.IMAGE and source.key != "truth"
        truth = picture_set.pixels("truth") if comparable else None
        found = statistics(pixels, region, truth, picture_set.window)
        if found is not None:
            self._found.append(statistics_row(source.label, found))
        self._each.start()

    def _fill(self) -> None:
        self.table.setRowCount(len(self.rows))
        for i, cells in enumerate(self.rows):
            for j, text in enumerate(cells):
                item = cell(self.table, i, j)
                if item.text() != text:
                    side = Qt.AlignmentFlag.AlignLeft if j == 0 else Qt.AlignmentFlag.AlignRight
                    item.setTextAlignment(side | Qt.AlignmentFlag.AlignVCenter)
                    item.setText(text)

    def _show_region(self, region: Region | None) -> None:
        for button in (self.copy, self.save):
            button.setEnabled(bool(self.rows))
        self.clear.setEnabled(region is not None)
        self.empty.setVisible(region is None)
        proposed = region or self._middle()
        self.shape.setCurrentIndex(self.shape.findData(proposed.shape))
        values = (proposed.left, proposed.top, proposed.width, proposed.height)
        for box, value in zip(self.places.values(), values, strict=True):
            with QSignalBlocker(box):
                box.setValue(round(value))
        if region is None:
            self.hint.setText("")
        elif self._spacing is not None:
            rows, columns = self._spacing
            self.hint.setText(f"{region.width * columns:.1f} × {region.height * rows:.1f} mm")
        else:
            self.hint.setText("" if self.rows else "The region lies outside the pictures")

    def _middle(self) -> Region:
        """What a region that is not drawn by hand begins with: the middle of the framed picture, of the tool's shape."""
        rows, columns = self._framed_shape
        return Region(
            shape="ellipse" if self._panes.tools.tool == "ellipse" else "rectangle",
            left=columns // 4, top=rows // 4, width=columns // 2, height=rows // 2,
        )  # fmt: skip

    def csv(self) -> str:
        """The table as text; empty where there is none."""
        return statistics_as_csv(self.rows) if self.rows else ""

    @property
    def first_focus(self) -> QWidget:
        """Where the region begins."""
        return self.places["x"]

    def begin(self) -> None:
        """Mark a region to begin with, unless there is one, and take the keyboard."""
        if self._panes.tools.region is None:
            self._show_region(None)
            self._take_numbers()
        self.first_focus.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _take_numbers(self) -> None:
        left, top, width, height = (box.value() for box in self.places.values())
        if self._find_group():
            shape = self.shape.currentData()
            self._panes.tools.set_region(Region(shape=shape, left=left, top=top, width=width, height=height))

    def _remove(self) -> None:
        self._panes.tools.set_region(None)
