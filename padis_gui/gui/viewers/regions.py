"""Statistics of a rectangle or an ellipse in every pane, to see, to copy and to save."""

from PySide6.QtCore import QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication, QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from padis_gui.gui.elided import ElidedLabel
from padis_gui.gui.layouts import column, row, small_button
from padis_gui.gui.numbers import WholeBox
from padis_gui.gui.viewers.pane_grid import PaneGrid
from padis_gui.viewmodels.gallery import Pixels
from padis_gui.viewmodels.profiles import (
    STATISTICS_HEAD,
    Region,
    statistics,
    statistics_as_csv,
    statistics_row,
)
from padis_gui.viewmodels.sources import Lattice, Scale, Source

_FOLLOW_MS, _DRAG_MS = 250, 33
_HINT = "Choose the tool Rectangle (R) or Ellipse (E) and drag on a pane"
_LARGEST = 100_000


class RegionPanel(QWidget):
    """``save_wanted`` carries the table as CSV."""

    save_wanted = Signal(str)

    def __init__(self, panes: PaneGrid) -> None:
        super().__init__()
        self._panes = panes
        self.rows: list[tuple[str, ...]] = []
        self._found: list[tuple[str, ...]] = []
        self._waiting: list[tuple[Source, Pixels]] = []
        self._each = QTimer(self, singleShot=True, interval=0)
        self._each.timeout.connect(self._measure_next)
        self.table = QTableWidget(0, len(STATISTICS_HEAD))
        self.table.setAccessibleName("Statistics of the region")
        self.table.setToolTip("Of the finite pixels in the region; PSNR against the truth, within the region")
        self.table.setHorizontalHeaderLabels(STATISTICS_HEAD)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setAlternatingRowColors(True)
        self.table.setShowGrid(False)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 6)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        layout = column(self, spacing=2, margins=(6, 2, 6, 6))
        layout.addWidget(self.table, 1)
        layout.addLayout(self._make_controls())
        self._soon = QTimer(self, singleShot=True)
        self._soon.timeout.connect(self.refresh)
        panes.tools.changed.connect(lambda: self._later(_DRAG_MS))
        panes.gallery.changed.connect(lambda _keys: self._later(_FOLLOW_MS))
        panes.gallery.listed.connect(lambda: self._later(_FOLLOW_MS))
        panes.arranged.connect(lambda: self._later(_DRAG_MS))
        self.refresh()

    def _make_controls(self) -> QHBoxLayout:
        self.shape = QComboBox()
        self.shape.addItem("Rectangle", "rectangle")
        self.shape.addItem("Ellipse", "ellipse")
        self.shape.setAccessibleName("Shape of the region")
        self.shape.setToolTip("A rectangle, or the ellipse inside it")
        self.shape.activated.connect(lambda _i: self._take_numbers())
        self.places = {
            name: self._number(name, tip, least)
            for name, tip, least in (
                ("x", "Its first column, in px", -_LARGEST), ("y", "Its first row, in px", -_LARGEST),
                ("w", "Its width, in px", 1), ("h", "Its height, in px", 1),
            )
        }  # fmt: skip
        self.empty = QLabel(_HINT, alignment=Qt.AlignmentFlag.AlignCenter)
        self.empty.setProperty("muted", True)
        column(self.table.viewport()).addWidget(self.empty)
        self.hint = ElidedLabel()
        self.hint.setProperty("muted", True)
        self.copy, self.save, self.clear = (small_button(text) for text in ("Copy CSV", "Save CSV…", "Clear"))
        self.copy.setToolTip("Put the table on the clipboard")
        self.save.setToolTip("Write the table to a file")
        self.clear.setToolTip("Remove the region")
        self.copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.csv()))
        self.save.clicked.connect(lambda: self.save_wanted.emit(self.csv()))
        self.clear.clicked.connect(lambda: self._panes.tools.set_region(None))
        controls = row()
        controls.addWidget(self.shape)
        for name, box in self.places.items():
            label = QLabel(name)
            label.setBuddy(box)
            controls.addWidget(label)
            controls.addWidget(box)
        controls.addSpacing(6)
        controls.addWidget(self.hint, 1)
        for button in (self.copy, self.save, self.clear):
            controls.addWidget(button)
        return controls

    def _number(self, name: str, tip: str, least: int) -> WholeBox:
        box = WholeBox(least, _LARGEST)
        box.setKeyboardTracking(False)
        box.setAccessibleName(name)
        box.setToolTip(tip)
        box.setButtonSymbols(WholeBox.ButtonSymbols.NoButtons)
        box.setMaximumWidth(56)
        box.valueChanged.connect(lambda _v: self._take_numbers())
        return box

    # Showing what is ------------------------------------------------------------------------------

    def _later(self, milliseconds: int) -> None:
        """Refresh soon, while somebody can see it; an earlier wish is not put off."""
        if self.isVisible() and (not self._soon.isActive() or self._soon.remainingTime() > milliseconds):
            self._soon.start(milliseconds)

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
                item = self.table.item(i, j)
                if item is None:
                    item = QTableWidgetItem()
                    side = Qt.AlignmentFlag.AlignLeft if j == 0 else Qt.AlignmentFlag.AlignRight
                    item.setTextAlignment(side | Qt.AlignmentFlag.AlignVCenter)
                    self.table.setItem(i, j, item)
                if item.text() != text:
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
        spacing, group = self._panes.gallery.spacing, self._panes.tools.group
        if spacing is not None and group is not None and group[0] == Lattice.IMAGE.value:
            self.hint.setText(f"{region.width * spacing[1]:.1f} × {region.height * spacing[0]:.1f} mm")
        else:
            self.hint.setText("" if self.rows else "The region lies outside the pictures")

    def csv(self) -> str:
        """The table as text; empty where there is none."""
        return statistics_as_csv(self.rows) if self.rows else ""

    def _take_numbers(self) -> None:
        left, top, width, height = (box.value() for box in self.places.values())
        tools = self._panes.tools
        if tools.group is None:
            tools.adopt(self._panes.active.group)
        if tools.group is not None:
            tools.set_region(
                Region(shape=self.shape.currentData(), left=left, top=top, width=width, height=height)
            )

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.refresh()
