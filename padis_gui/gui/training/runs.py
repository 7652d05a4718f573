"""Earlier trainings side by side: a list with what they achieved, and the curves of those that are ticked."""

import math
import time
from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Qt, QUrl
from PySide6.QtGui import QColor, QDesktopServices, QIcon, QPixmap
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QSplitter,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from padis_gui.core.training.history import TrainingFolder
from padis_gui.gui.kit.files import choose_folder
from padis_gui.gui.kit.forms import ChoiceBox
from padis_gui.gui.kit.lists import plain_tree
from padis_gui.gui.kit.plot import DrawQueue, Line, Plot
from padis_gui.gui.kit.theme import SERIES
from padis_gui.gui.kit.widgets import clock, column, muted, push_button, row, throttled
from padis_gui.viewmodels.training.trainer import Trainer

_COLUMNS = ("Training", "State", "Steps", "Time", "Validation", "PSNR", "Last change", "Folder")
_REFRESH_MS = 1000
_COLOURS = SERIES[1:]  # the first is for what others are measured against


class TrainingRuns(QWidget):
    """The list, its buttons, and three plots."""

    def __init__(self, trainer: Trainer) -> None:
        super().__init__()
        self._trainer = trainer
        self._items: list[QTreeWidgetItem] = []
        queue = DrawQueue(self)
        self.plots = {
            "average": Plot(
                "Loss", logarithmic=True, legend="none", queue=queue,
                tip="Running average of the training loss; it only compares trainings with the same patch sizes "
                "and noise levels",
            ),
            "validation": Plot(
                "Validation loss", logarithmic=True, legend="none", queue=queue,
                tip="The error on images that were kept aside",
            ),
            "psnr": Plot("Reconstruction PSNR [dB]", legend="none", queue=queue, tip="The quick reconstructions"),
        }  # fmt: skip
        self.axis = ChoiceBox()
        self.axis.addItem("over steps", "steps")
        self.axis.addItem("over minutes", "minutes")
        self.axis.setAccessibleName("Horizontal axis")
        self.axis.setToolTip("Compare at the same number of steps, or after the same time")
        self.axis.currentIndexChanged.connect(self._draw)
        plots = QWidget()
        across = row(spacing=10)
        for plot in self.plots.values():
            plot.setMinimumWidth(140)
            plot.set_empty_text("Tick trainings below to lay their curves over each other")
            across.addWidget(plot, 1)
        above = row(margins=(0, 4, 0, 0))
        above.addWidget(QLabel("Ticked trainings"))
        above.addWidget(self.axis)
        above.addStretch(1)
        upper = column(plots, spacing=4, margins=(8, 0, 8, 0))
        upper.addLayout(above)
        upper.addLayout(across, 1)
        self.list = self._make_list()
        below = QWidget()
        lower = column(below, spacing=4, margins=(8, 4, 8, 8))
        self.hint = muted(wordWrap=True)
        lower.addWidget(self.hint)
        lower.addWidget(self.list, 1)
        lower.addLayout(self._make_buttons())
        self.splitter = QSplitter(Qt.Orientation.Vertical)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.addWidget(plots)
        self.splitter.addWidget(below)
        self.splitter.setStretchFactor(0, 1)
        self.splitter.setSizes([300, 200])
        column(self).addWidget(self.splitter)
        self._refresh = throttled(self, _REFRESH_MS, self.refresh)
        trainer.trainings_changed.connect(self.refresh)
        trainer.progressed.connect(self._ask)
        self.refresh()

    def _make_list(self) -> QTreeWidget:
        tip = "Tick trainings to lay their curves over each other; a double click shows one"
        tree = plain_tree("Trainings", tip, _COLUMNS)
        tree.setAllColumnsShowFocus(True)
        tree.setUniformRowHeights(True)
        tree.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        tree.header().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        tree.header().setStretchLastSection(True)
        tree.itemChanged.connect(self._ticked)
        tree.itemSelectionChanged.connect(self._allow)
        tree.itemActivated.connect(lambda _item, _column: self._show())
        return tree

    def _make_buttons(self) -> QHBoxLayout:
        trainer = self._trainer
        self.show_button = push_button("Show", "Its curves and looks (also by a double click)", self._show)
        self.resume = push_button(
            "Resume", "Go on from the last checkpoint", lambda: self._spawn(trainer.resume)
        )
        self.prolong = push_button(
            "Train longer", "Go on for as long as the left column says", lambda: self._spawn(trainer.prolong)
        )
        self.use = push_button(
            "Use this prior", "Open its prior in the reconstruction view", lambda: self._spawn(trainer.use)
        )
        self.open = push_button("Open folder", "Show its files in the file manager", self._open)
        self.add = push_button(
            "Add a folder…", "List a training that lies elsewhere",
            lambda: choose_folder(
                self, "Folder of a training", lambda path: trainer.session.spawn(trainer.add_folder(path)),
                trainer.plan.root,
            ),
        )  # fmt: skip
        line = row(spacing=6)
        for button in (self.show_button, self.resume, self.prolong, self.use):
            line.addWidget(button)
        line.addStretch(1)
        line.addWidget(self.open)
        line.addWidget(self.add)
        return line

    @property
    def selected(self) -> TrainingFolder | None:
        items = self.list.selectedItems()
        return self._at(items[0]) if items else None

    def _at(self, item: QTreeWidgetItem) -> TrainingFolder | None:
        path = item.data(0, Qt.ItemDataRole.UserRole)
        return next((t for t in self._trainer.trainings if t.path == path), None)

    def _ask(self) -> None:
        if self.isVisible():
            self._refresh.throttle()

    def refresh(self) -> None:
        """List what is known, keeping selection and ticks; and draw."""
        trainer, selected = self._trainer, self.selected
        trainings = trainer.trainings
        chosen = trainer.shown if selected is None else selected.path
        with QSignalBlocker(self.list):
            while len(self._items) > len(trainer.trainings):
                self.list.takeTopLevelItem(len(self._items) - 1)
                self._items.pop()
            while len(self._items) < len(trainer.trainings):
                self._items.append(QTreeWidgetItem(self.list))
            for item, training in zip(self._items, trainer.trainings, strict=True):
                self._fill(item, training)
                item.setSelected(training.path == chosen)
        self.hint.setVisible(not trainings)
        self.hint.setText(
            f"No training in {trainer.plan.root} yet: they are listed here, and those that you add."
        )
        self._allow()
        self._draw()

    def _fill(self, item: QTreeWidgetItem, training: TrainingFolder) -> None:
        trainer = self._trainer
        history = trainer.history_of(training)
        running = trainer.active and training.path == trainer.running
        state = trainer.state.value if running else "Done" if history.finished else "Can be resumed"
        total = history.total or training.total
        validation = [loss for _, loss in history.validation if math.isfinite(loss)]
        looks = [look.psnr for look in history.looks if math.isfinite(look.psnr)]
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(training.changed))
        texts = (
            training.name, state, f"{history.step:,} of {total:,}" if total else f"{history.step:,}",
            clock(history.seconds[-1]) if history.seconds else "–",
            f"{min(validation):.4f}" if validation else "–", f"{looks[-1]:.1f} dB" if looks else "–", when,
            str(training.path),
        )  # fmt: skip
        for number, text in enumerate(texts):
            item.setText(number, text)
        item.setToolTip(len(texts) - 1, str(training.path))
        item.setData(0, Qt.ItemDataRole.UserRole, training.path)
        ticked = training.path in trainer.compared
        item.setCheckState(0, Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)
        item.setIcon(0, _swatch(self._colour(training.path)) if ticked else QIcon())

    def _colour(self, path: Path) -> str:
        ticked = [t.path for t in self._trainer.trainings if t.path in self._trainer.compared]
        return _COLOURS[ticked.index(path) % len(_COLOURS)]

    def _draw(self) -> None:
        over_minutes = self.axis.currentData() == "minutes"
        lines: dict[str, list[Line]] = {name: [] for name in self.plots}
        last = 1.0
        for training in self._trainer.trainings:
            if training.path not in self._trainer.compared:
                continue
            history, colour, name = (
                self._trainer.history_of(training),
                self._colour(training.path),
                str(training.path),
            )
            series = {
                "average": list(zip(history.steps, history.average, strict=True)),
                "validation": history.validation,
                "psnr": [(look.step, look.psnr) for look in history.looks],
            }
            for key, points in series.items():
                steps = [step for step, _ in points]
                x = history.minutes_at(steps) if over_minutes else steps
                lines[key].append(Line(name, colour, x, [y for _, y in points], dots=key != "average"))
                last = max([last, *(value for value in x if math.isfinite(value))])
        for key, plot in self.plots.items():
            plot.set_lines(lines[key])
            plot.set_x_range(0, last)

    def _ticked(self, item: QTreeWidgetItem, number: int) -> None:
        training = self._at(item)
        if number == 0 and training is not None:
            self._trainer.compare(training.path, item.checkState(0) is Qt.CheckState.Checked)

    def _allow(self) -> None:
        training, active = self.selected, self._trainer.active
        for button in (self.show_button, self.open):
            button.setEnabled(training is not None)
        self.resume.setEnabled(training is not None and not active and training.resumable)
        self.prolong.setEnabled(training is not None and not active and training.history.finished)
        self.use.setEnabled(training is not None and training.has_prior)

    def _spawn(self, what: object) -> None:
        if self.selected is not None:
            self._trainer.session.spawn(what(self.selected.path))  # type: ignore[operator]

    def _show(self) -> None:
        if self.selected is not None:
            self._trainer.show(self.selected.path)
            self._trainer.brought.emit()

    def _open(self) -> None:
        if self.selected is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.selected.path)))


def _swatch(colour: str) -> QIcon:
    pixmap = QPixmap(12, 12)
    pixmap.fill(QColor(colour))
    return QIcon(pixmap)
