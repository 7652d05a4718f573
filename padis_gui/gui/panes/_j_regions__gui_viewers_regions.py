"""Statistics of a rectangle or an ellipse in every pane, to see, to copy and to save."""

from PySide6.QtCore import QSignalBlocker, Qt, QTimer
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QHeaderView,
)

from padis_gui.gui.kit._j_forms__gui_numbers import WholeBox
from padis_gui.gui.kit._j_widgets__gui_elided import ElidedLabel
from padis_gui.gui.kit._j_widgets__gui_layouts import column, row
from padis_gui.gui.kit.lists import cell, plain_table, say_when_empty
from padis_gui.gui.panes._j_regions__gui_viewers_drawn_panel import LARGEST, DrawnPanel
from padis_gui.gui.panes.pane_grid import PaneGrid
from padis_gui.viewmodels.pictures._j_frames__viewmodels_frames import Pixels
from padis_gui.viewmodels.pictures.profiles import (
    STATISTICS_HEAD,
    Region,
    statistics,
    statistics_as_csv,
    statistics_row,
)
from padis_gui.viewmodels.pictures.sources import PaneSource, Scale

_HINT = "Choose the tool Rectangle (R) or Ellipse (E) and drag on a pane"


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

    def _make_controls(self) -> QHBoxLayout:
        self.shape = QComboBox()
        self.shape.addItem("Rectangle", "rectangle")
        self.shape.addItem("Ellipse", "ellipse")
        self.shape.setAccessibleName("Shape of the region")
        self.shape.setToolTip("A rectangle, or the ellipse inside it")
        self.shape.activated.connect(lambda _i: self._take_numbers())
        self.places = {
            name: self._field(WholeBox(least, LARGEST), name, tip)
            for name, tip, least in (
                ("x", "Its first column, in px", -LARGEST), ("y", "Its first row, in px", -LARGEST),
                ("w", "Its width, in px", 1), ("h", "Its height, in px", 1),
            )
        }  # fmt: skip
        self.empty = say_when_empty(self.table, _HINT)
        self.hint = ElidedLabel(muted=True)
        controls = row()
        controls.addWidget(self.shape)
        self._add_fields(controls, self.places)
        controls.addSpacing(6)
        controls.addWidget(self.hint, 1)
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
        region, gallery = self._panes.tools.region, self._panes.gallery
        if region is None or not self._waiting:
            self.rows = self._found
            self._fill()
            self._show_region(region)
            return
        source, pixels = self._waiting.pop(0)
        comparable = source.scale is Scale.IMAGE and source.key != "truth"
        truth = gallery.pixels("truth") if comparable else None
        found = statistics(pixels, region, truth, gallery.window)
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
        if region is None:
            self.hint.setText("")
            return
        self.shape.setCurrentIndex(self.shape.findData(region.shape))
        values = (region.left, region.top, region.width, region.height)
        for box, value in zip(self.places.values(), values, strict=True):
            with QSignalBlocker(box):
                box.setValue(round(value))
        if self._spacing is not None:
            rows, columns = self._spacing
            self.hint.setText(f"{region.width * columns:.1f} × {region.height * rows:.1f} mm")
        else:
            self.hint.setText("" if self.rows else "The region lies outside the pictures")

    def csv(self) -> str:
        """The table as text; empty where there is none."""
        return statistics_as_csv(self.rows) if self.rows else ""

    def _take_numbers(self) -> None:
        left, top, width, height = (box.value() for box in self.places.values())
        if self._find_group():
            shape = self.shape.currentData()
            self._panes.tools.set_region(Region(shape=shape, left=left, top=top, width=width, height=height))

    def _remove(self) -> None:
        self._panes.tools.set_region(None)
