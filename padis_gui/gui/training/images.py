"""What the network will see: a contact sheet of the loaded images, and the list of what could not be used."""

import re

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import (
    QLabel,
    QListView,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QStackedWidget,
    QTreeWidgetItem,
    QWidget,
)

from padis_gui.core.files.formats.recognise import readable
from padis_gui.gui.kit.lists import plain_tree
from padis_gui.gui.kit.picture_wall import pixmap_of
from padis_gui.gui.kit.widgets import column, muted, progress_bar, push_button, row
from padis_gui.viewmodels.training.images import Preview, TrainingDataChoice

_SIDE, _MOST_ROWS = 112, 6
_WELCOME = """
<h2>Train a prior on your own images</h2>
<p>A prior learns from a few dozen images what pictures of that kind look like. Reconstructions then use what it
knows.</p>
<table cellspacing="10">
<tr><td><b>1</b></td><td>Drop a folder of images here, or choose one.</td></tr>
<tr><td><b>2</b></td><td>Look at what the network will see. Twenty minutes on this machine make a usable prior.</td></tr>
<tr><td><b>3</b></td><td>Press <b>Start training</b>. Watch it learn, stop when you like, and use it.</td></tr>
</table>
"""


class TrainingImages(QWidget):
    """A welcome until there are images; then the images."""

    def __init__(self, data: TrainingDataChoice, choose_folder: QPushButton) -> None:
        super().__init__()
        self._data = data
        self._shown: Preview | None = None
        self.stack = QStackedWidget()
        self.stack.addWidget(self._make_welcome(choose_folder))
        self.stack.addWidget(self._make_sheet())
        column(self).addWidget(self.stack)
        data.progressed.connect(self.refresh)
        self.refresh()

    def _make_welcome(self, choose_folder: QPushButton) -> QWidget:
        page, text = QWidget(), QLabel(_WELCOME, wordWrap=True)
        text.setMaximumWidth(560)
        button = push_button("Choose folder…", choose_folder.toolTip(), choose_folder.click)
        kinds = muted(readable("and"))
        kinds.setWordWrap(True)
        kinds.setMaximumWidth(560)
        lines = column(spacing=12)
        lines.addStretch(1)
        lines.addWidget(text)
        lines.addWidget(button, 0, Qt.AlignmentFlag.AlignLeft)
        lines.addWidget(kinds)
        lines.addStretch(2)
        across = row(page, margins=(40, 0, 40, 0))
        across.addStretch(1)
        across.addLayout(lines, 4)
        across.addStretch(1)
        return page

    def _make_sheet(self) -> QWidget:
        page = QWidget()
        self.summary = QLabel(wordWrap=True)
        self.reading = progress_bar("Images read", "How many of the images have been read")
        self.sheet = QListWidget()
        self.sheet.setAccessibleName("What the network will see")
        self.sheet.setToolTip("The images after reading, scaling and windowing")
        self.sheet.setViewMode(QListView.ViewMode.IconMode)
        self.sheet.setMovement(QListView.Movement.Static)
        self.sheet.setResizeMode(QListView.ResizeMode.Adjust)
        self.sheet.setIconSize(QSize(_SIDE, _SIDE))
        self.sheet.setGridSize(QSize(_SIDE + 14, _SIDE + 14 + self.sheet.fontMetrics().height()))
        self.sheet.setUniformItemSizes(True)
        self.skipped = plain_tree(
            "Files that could not be used", "What was left out, and why", ("Left out", "Why")
        )
        layout = column(page, spacing=6, margins=(8, 8, 8, 8))
        layout.addWidget(self.summary)
        layout.addWidget(self.reading)
        layout.addWidget(self.sheet, 1)
        layout.addWidget(self.skipped)
        return page

    def refresh(self) -> None:
        """Show what is known of the data."""
        data = self._data
        self.stack.setCurrentIndex(int(bool(data.sources)))
        loading, preview = data.loading, data.preview
        self.reading.setVisible(loading is not None)
        if loading is not None:
            done, total = loading
            self.reading.setRange(0, total)
            self.reading.setValue(done)
            self.reading.setFormat(f"reading {done} of {total}" if total else "")
            self.summary.setText("Reading the images…")
            return
        if preview is None:
            self.summary.setText("None of these files can be used; the message above says why.")
            self.sheet.clear()
            self.skipped.hide()
        elif preview is not self._shown:
            self._show(preview)
        self._shown = preview

    def _show(self, preview: Preview) -> None:
        low, high = preview.window
        unit = f" {preview.unit}" if preview.unit else ""
        several = "" if preview.subjects == preview.images else f" of {preview.subjects} subjects"
        aside = f", {preview.aside} of them kept aside to measure on" if preview.aside else ""
        left_out = f" <b>{len(preview.skipped)} left out</b>, see below." if preview.skipped else ""
        kind = "colour" if preview.channels == 3 else "grey"
        shown = len(preview.pictures)
        some = f" {shown} of them are shown." if shown < preview.images else ""
        self.summary.setText(
            f"<b>{preview.images} images</b>{several}{aside}. {preview.image_size} × {preview.image_size} px, {kind}; "
            f"{low:g} to {high:g}{unit} is black to white.{some}{left_out}"
        )
        self.sheet.clear()
        for picture, found in zip(preview.pictures, preview.names, strict=True):
            name = re.sub(r" page (\d+)$", lambda page: f" page {int(page[1]) + 1}", found)  # here from 1
            item = QListWidgetItem(QIcon(pixmap_of(picture)), name)
            item.setToolTip(name)
            self.sheet.addItem(item)
        self.skipped.clear()
        for skipped in preview.skipped:
            line = QTreeWidgetItem([skipped.name, skipped.reason])
            line.setToolTip(1, skipped.reason)
            self.skipped.addTopLevelItem(line)
        self.skipped.resizeColumnToContents(0)
        row_height = self.skipped.sizeHintForRow(0) if preview.skipped else 0
        rows = min(len(preview.skipped), _MOST_ROWS) + 1
        self.skipped.setFixedHeight(self.skipped.header().sizeHint().height() + rows * row_height)
        self.skipped.setVisible(bool(preview.skipped))
