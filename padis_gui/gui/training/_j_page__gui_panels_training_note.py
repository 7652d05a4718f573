"""A line in the status bar on the training under way, wherever in the window one is."""

import math

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QToolButton

from padis_gui.gui.kit._j_widgets__gui_layouts import clock
from padis_gui.viewmodels.training.trainer import Trainer


class TrainingNote(QToolButton):
    """Says how far the training is; a click brings its page."""

    def __init__(self, trainer: Trainer, page: QAction) -> None:
        """``page`` brings the Training page."""
        super().__init__()
        self._trainer = trainer
        self.setAutoRaise(True)
        self.setAccessibleName("Training under way")
        self.setToolTip(f"Show the training ({page.shortcut().toString()})")
        self.clicked.connect(page.trigger)
        trainer.state_changed.connect(self.refresh)
        trainer.progressed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show where the training stands; nothing without one."""
        trainer, standing = self._trainer, self._trainer.standing()
        self.setVisible(trainer.active)
        if not trainer.active or trainer.running is None:
            return
        share = f", {100 * standing.step // standing.total} %" if standing.total else ""
        left = f", {clock(standing.eta)} left" if math.isfinite(standing.eta) else ""
        self.setText(f"{standing.state.value} {trainer.running.name}{share}{left}")
