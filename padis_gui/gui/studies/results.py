"""What a study has come to: its table, a plot with intervals, its pictures; and the studies that there are."""

import math
import time
from functools import partial
from html import escape
from pathlib import Path

from PySide6.QtCore import QSignalBlocker, QSize, Qt, QUrl
from PySide6.QtGui import QDesktopServices, QIcon, QPixmap, QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QTreeWidgetItem,
    QWidget,
)

from padis_gui.core.studies.grid import ImagePage
from padis_gui.core.studies.table import Series, axes_of, series_of, table_of
from padis_gui.gui.kit.files import PNGS, choose_folder, choose_to_write, png_of, show_in_folder
from padis_gui.gui.kit.forms import ChoiceBox
from padis_gui.gui.kit.lists import SelectOnFocus, cell, plain_table, plain_tree, say_when_empty
from padis_gui.gui.kit.picture_wall import pixmap_of
from padis_gui.gui.kit.plot import Line, Plot
from padis_gui.gui.kit.theme import SERIES
from padis_gui.gui.kit.widgets import ElidedLabel, column, muted, push_button, row
from padis_gui.viewmodels.studies.studies import Studies

_SHEET = QSize(150, 150)
_COLOURS = SERIES[1:]
_PLOTTED = {
    "difference": "PSNR against the first [dB]", "psnr": "PSNR [dB]", "ssim": "SSIM", "nrmse": "NRMSE",
}  # fmt: skip
_LETTERS = 22  # that a choice above a picture shows
_NOTHING = "Start a study, or choose one of the list: its results appear here as they come"


class StudyTable(QWidget):
    """Means over images and seeds, with their confidence, and paired differences."""

    def __init__(self, studies: Studies) -> None:
        super().__init__()
        self._studies = studies
        self.title = QLabel(wordWrap=True)
        tip = "± is half the 95 % confidence interval of the mean over images; Δ is to the first row of the same problem"
        self.table = plain_table("Results of the study", tip, ())
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        SelectOnFocus(self.table)
        self.empty = say_when_empty(self.table, _NOTHING)
        self.remark = muted(wordWrap=True)
        self.report = push_button(
            "Open report", "Write table and plots as a page, CSV and Markdown, and open the page",
            lambda: studies.session.spawn(self._report()),
        )  # fmt: skip
        self.folder = push_button("Open folder", "Show its files in the file manager", self._open)
        line = row(spacing=6)
        line.addWidget(self.title, 1)
        line.addWidget(self.report)
        line.addWidget(self.folder)
        layout = column(self, spacing=4, margins=(8, 6, 8, 8))
        layout.addLayout(line)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.remark)
        studies.progressed.connect(self.refresh)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.refresh()

    def refresh(self) -> None:
        """Show what there is, where it is seen."""
        if not self.isVisible():
            return
        standing = self._studies.standing
        for button in (self.report, self.folder):
            button.setEnabled(standing is not None)
        rows = standing.rows if standing is not None else []
        self.empty.setVisible(not rows)
        if standing is None:
            self.title.setText("")
            return
        failed = f", {standing.failed} failed" if standing.failed else ""
        self.title.setText(
            f"<b>{escape(standing.request.title)}</b>: {len(standing.results)} of {standing.total} runs{failed}"
        )
        found = table_of(rows)
        if not rows:
            self.table.setRowCount(0)
            return
        self.table.setColumnCount(len(found.heads))
        self.table.setHorizontalHeaderLabels(found.heads)
        self.table.setRowCount(len(found.cells))
        for at, cells in enumerate(found.cells):
            for place, text in enumerate(cells):
                item = cell(self.table, at, place)
                item.setText(text)
                side = Qt.AlignmentFlag.AlignLeft if place < found.words else Qt.AlignmentFlag.AlignRight
                item.setTextAlignment(side | Qt.AlignmentFlag.AlignVCenter)
        errors = dict.fromkeys(result.error for result in standing.results if result.error)
        self.remark.setText("\n".join(f"Failed: {error}" for error in list(errors)[:3]))
        self.remark.setVisible(bool(errors))

    async def _report(self) -> None:
        page = await self._studies.write_report()
        if page is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(page)))

    def _open(self) -> None:
        if (standing := self._studies.standing) is not None:
            show_in_folder(standing.folder)


class StudyPlot(QWidget):
    """Means with the ends of their intervals, along a setting that is varied or row by row."""

    def __init__(self, studies: Studies) -> None:
        super().__init__()
        self._studies = studies
        self.axis, self.measure = ChoiceBox(), ChoiceBox()
        self.axis.setToolTip("What the horizontal axis shows")
        self.axis.setAccessibleName("Horizontal axis")
        self.measure.setToolTip("What the vertical axis shows")
        self.measure.setAccessibleName("Vertical axis")
        for name, label in _PLOTTED.items():
            self.measure.offer(label, name)
        for box in (self.axis, self.measure):
            box.setMinimumContentsLength(_LETTERS)
        self._chosen: str | None = None  # by the user
        self.axis.activated.connect(self._choose)
        self.measure.activated.connect(self.refresh)
        self.plot = Plot(
            "Results of the study", whole=False, tip="Means over images; dashed are 95 % confidence intervals"
        )
        self.plot.set_empty_text(_NOTHING)
        self.save = push_button(
            "Save plot…", "Write the plot as it is seen, as PNG",
            lambda: choose_to_write(self, "Save the plot", PNGS, "study.png", self.write_png),
        )  # fmt: skip
        line = row(spacing=6)
        line.addWidget(self.measure)
        line.addWidget(QLabel("along"))
        line.addWidget(self.axis)
        line.addStretch(1)
        line.addWidget(self.save)
        layout = column(self, spacing=4, margins=(8, 6, 8, 8))
        layout.addLayout(line)
        layout.addWidget(self.plot, 1)
        studies.progressed.connect(self.refresh)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.refresh()

    def write_png(self, path: Path) -> None:
        """Write the plot as it is seen now."""
        session = self._studies.session
        make_data = partial(png_of, self.plot.grab().toImage())
        session.spawn(session.write_file(path, make_data, "The plot of the study"))

    def _choose(self, index: int) -> None:
        self._chosen = self.axis.itemData(index)
        self.refresh()

    def refresh(self) -> None:
        """Draw what there is, where it is seen."""
        if not self.isVisible():
            return
        standing = self._studies.standing
        rows = standing.rows if standing is not None else []
        axes = axes_of(rows)
        if [self.axis.itemData(at) for at in range(self.axis.count())] != [*axes, None]:
            self.axis.clear()
            for name in axes:
                self.axis.offer(name, name)
            self.axis.offer("rows of the table", None)
            self.axis.setCurrentIndex(axes.index(self._chosen) if self._chosen in axes else 0)
        axis, metric = self.axis.currentData(), self.measure.currentData()
        found = series_of(rows, axis, metric)
        lines = [line for at, each in enumerate(found) for line in _lines(each, _COLOURS[at % len(_COLOURS)])]
        self.plot.set_labels(bottom=axis or "row of the table", left="")
        self.plot.view.show_whole_numbers(axis is None)
        self.plot.set_title(self.measure.currentText())
        self.plot.set_lines(lines)
        places = [x for each in found for x in each.x]
        if places:
            low, high = min(places), max(places)
            room = 0.05 * (high - low) or 0.5
            self.plot.set_x_range(low - room, high + room)


def _lines(series: Series, colour: str) -> list[Line]:
    """The means, and an upright dashed stroke for each interval."""
    x: list[float] = []
    y: list[float] = []
    for at, mean, half in zip(series.x, series.means, series.half_widths, strict=True):
        if math.isfinite(half):
            x += [at, at, math.nan]
            y += [mean - half, mean + half, math.nan]
    found = [Line(series.name, colour, series.x, series.means, dots=True)]
    if x:
        found.append(Line(f"{series.name} ±", colour, x, y, dashed=True, named=False))
    return found


class ContactSheet(QWidget):
    """The truth and what every run made of it; a chosen picture opens as its run."""

    def __init__(self, studies: Studies) -> None:
        super().__init__()
        self._studies = studies
        self.page = ChoiceBox()
        self.page.setAccessibleName("Image")
        self.page.setToolTip("The image whose runs are shown")
        self.page.setMinimumContentsLength(_LETTERS)
        self.page.activated.connect(lambda at: studies.show_page(self.page.itemData(at)))
        self.list = QListWidget()
        self.list.setAccessibleName("Pictures of the study")
        self.list.setToolTip("Return or a double click opens a picture as its run")
        self.list.setViewMode(QListWidget.ViewMode.IconMode)
        self.list.setResizeMode(QListWidget.ResizeMode.Adjust)
        self.list.setMovement(QListWidget.Movement.Static)
        self.list.setIconSize(_SHEET)
        self.list.setSpacing(6)
        self.list.setWordWrap(True)
        self.list.itemActivated.connect(self._open)
        SelectOnFocus(self.list)
        self.empty = say_when_empty(self.list, _NOTHING)
        line = row(spacing=6)
        line.addWidget(QLabel("Image"))
        line.addWidget(self.page)
        line.addWidget(ElidedLabel("Double-click a picture to open its run", muted=True), 1)
        layout = column(self, spacing=4, margins=(8, 6, 8, 8))
        layout.addLayout(line)
        layout.addWidget(self.list, 1)
        studies.sheet_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the pictures that there are."""
        studies, pages = self._studies, self._studies.sheet_pages
        if [self.page.itemData(at) for at in range(self.page.count())] != pages:
            self.page.clear()
            for page in pages:
                self.page.offer(_name(page, pages), page, str(page[0]))
        if studies.sheet_page in pages:
            self.page.setCurrentIndex(pages.index(studies.sheet_page))
        self.page.setEnabled(len(pages) > 1)
        self.empty.setVisible(not studies.sheet)
        with QSignalBlocker(self.list):
            while self.list.count() > len(studies.sheet):
                self.list.takeItem(self.list.count() - 1)
            while self.list.count() < len(studies.sheet):
                QListWidgetItem(self.list)
            for at, picture in enumerate(studies.sheet):
                item = self.list.item(at)
                item.setText(picture.caption)
                pixmap = QPixmap(_SHEET)
                pixmap.fill(self.palette().alternateBase().color())
                if picture.pixels is not None:
                    pixmap = pixmap_of(picture.pixels).scaled(
                        _SHEET,
                        Qt.AspectRatioMode.KeepAspectRatio,
                        Qt.TransformationMode.SmoothTransformation,
                    )
                item.setIcon(QIcon(pixmap))
                item.setSizeHint(
                    QSize(_SHEET.width() + 16, _SHEET.height() + 4 * self.fontMetrics().height())
                )
                item.setToolTip(picture.caption)

    def _open(self, item: QListWidgetItem) -> None:
        picture = self._studies.sheet[self.list.row(item)]
        if picture.result is not None:
            self._studies.session.spawn(self._studies.open_run(picture.result))


class StudyList(QWidget):
    """All studies of the folder of studies: looked at, gone on with."""

    def __init__(self, studies: Studies) -> None:
        super().__init__()
        self._studies = studies
        self.tree = plain_tree(
            "Studies", "A double click shows one", ("Study", "Last change", "Question", "Folder")
        )
        self.tree.header().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.tree.itemActivated.connect(lambda _item, _column: self._show())
        self.tree.itemSelectionChanged.connect(self._allow)
        SelectOnFocus(self.tree)
        self.empty = say_when_empty(self.tree, "")
        self.show_button = push_button("Show", "Its results (also by a double click)", self._show)
        self.resume = push_button("Resume", "Run what is left of it", self._resume)
        self.add = push_button(
            "Another folder…", "Show a study that lies elsewhere",
            lambda: choose_folder(
                self, "Folder of a study", lambda path: studies.session.spawn(studies.show(path)), studies.plan.root
            ),
        )  # fmt: skip
        line = row(spacing=6)
        line.addWidget(self.show_button)
        line.addWidget(self.resume)
        line.addStretch(1)
        line.addWidget(self.add)
        layout = column(self, spacing=4, margins=(8, 6, 8, 8))
        layout.addWidget(self.tree, 1)
        layout.addLayout(line)
        studies.listed.connect(self.refresh)
        studies.state_changed.connect(self._allow)
        self.refresh()

    def refresh(self) -> None:
        """List what there is."""
        selected = self.selected
        with QSignalBlocker(self.tree):
            self.tree.clear()
            for study in self._studies.earlier:
                when = time.strftime("%Y-%m-%d %H:%M", time.localtime(study.changed))
                item = QTreeWidgetItem(self.tree, [study.title, when, study.question, str(study.folder)])
                item.setData(0, Qt.ItemDataRole.UserRole, study.folder)
                item.setSelected(study.folder == selected)
        self.empty.setText(
            f"No study in {self._studies.plan.root} yet: those that are started here are listed"
        )
        self.empty.setVisible(not self._studies.earlier)
        self._allow()

    @property
    def selected(self) -> Path | None:
        """The folder of the chosen study."""
        items = self.tree.selectedItems()
        return items[0].data(0, Qt.ItemDataRole.UserRole) if items else None

    def _allow(self) -> None:
        chosen = self.selected is not None
        self.show_button.setEnabled(chosen)
        self.resume.setEnabled(chosen and not self._studies.active)

    def _show(self) -> None:
        if (folder := self.selected) is not None:
            self._studies.session.spawn(self._studies.show(folder))

    def _resume(self) -> None:
        if (folder := self.selected) is not None:
            self._studies.session.spawn(self._studies.resume(folder))


def _name(page: ImagePage, pages: list[ImagePage]) -> str:
    """An image as people count: its file, and which page where there are several."""
    path, number = page
    several = sum(other == path for other, _ in pages) > 1 or number > 0
    return f"{path.name}, page {number + 1}" if several else path.name
