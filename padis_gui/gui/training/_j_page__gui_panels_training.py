"""The Training page: from a folder of images to a prior, without leaving the window."""

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QShowEvent
from PySide6.QtWidgets import QSplitter, QTabWidget, QWidget

from padis_gui.gui.kit._j_widgets__gui_layouts import column, scrolled
from padis_gui.gui.training._j_page__gui_panels_training_transport import TrainingTransport
from padis_gui.gui.training.images import TrainingImages
from padis_gui.gui.training.progress import TrainingProgress
from padis_gui.gui.training.runs import TrainingRuns
from padis_gui.gui.training.setup import TrainingSetup
from padis_gui.viewmodels.training.trainer import Trainer

_LEFT = 330


class TrainingPage(QWidget):
    """The choices on the left in the order of the work; on the right the images, the progress, all trainings."""

    def __init__(self, trainer: Trainer) -> None:
        super().__init__()
        self._trainer = trainer
        self.setAcceptDrops(True)
        self.setup = TrainingSetup(trainer.plan, self._open_prior)
        self.transport = TrainingTransport(trainer, self)
        self.images = TrainingImages(trainer.plan.data, self.setup.data.folder)
        self.progress, self.runs = TrainingProgress(trainer), TrainingRuns(trainer)
        self.tabs = QTabWidget(documentMode=True)
        for widget, title, tip in (
            (self.images, "Images", "What the network will see"),
            (self.progress, "Progress", "Curves and looks of one training"),
            (self.runs, "Trainings", "All trainings, to compare, resume and use"),
        ):
            self.tabs.addTab(widget, title)
            self.tabs.setTabToolTip(self.tabs.count() - 1, tip)
        left = QWidget()
        left.setMinimumWidth(_LEFT)
        stacked = column(left)
        stacked.addWidget(scrolled(self.setup), 1)
        stacked.addWidget(self.transport)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.addWidget(left)
        self.splitter.addWidget(self.tabs)
        self.splitter.setStretchFactor(1, 1)
        self.splitter.setSizes([_LEFT, 3 * _LEFT])
        column(self).addWidget(self.splitter)
        trainer.plan.data.progressed.connect(self._show_images)
        trainer.brought.connect(lambda: self.tabs.setCurrentWidget(self.progress))
        trainer.session.prior.changed.connect(self.setup.method.refresh)
        trainer.state_changed.connect(lambda: self.setup.note.setVisible(trainer.active))
        self._was_loading = False

    def _open_prior(self) -> Path | None:
        return self._trainer.session.prior.path

    def _show_images(self) -> None:
        """New images are looked at first."""
        loading = self._trainer.plan.data.loading is not None
        if loading and not self._was_loading:
            self.tabs.setCurrentWidget(self.images)
        self._was_loading = loading

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._trainer.session.spawn(self._trainer.refresh_trainings())

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = tuple(Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile())
        if paths:
            self._trainer.plan.choose_data(paths)
            event.acceptProposedAction()
