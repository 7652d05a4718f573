"""The Training page: from a folder of images to a prior, without leaving the window; started, paused, resumed, stopped.

A line in the status bar says how the training under way is, wherever in the window one is.
"""

import math
from pathlib import Path

from PySide6.QtGui import QAction, QShowEvent
from PySide6.QtWidgets import QWidget

from padis_gui.gui.kit.process import ProcessNote, ProcessPage, ProcessTransport
from padis_gui.gui.kit.widgets import clock
from padis_gui.gui.training.images import TrainingImages
from padis_gui.gui.training.progress import TrainingProgress
from padis_gui.gui.training.runs import TrainingRuns
from padis_gui.gui.training.setup import TrainingSetup
from padis_gui.viewmodels.state.process import ProcessState
from padis_gui.viewmodels.training.trainer import Trainer


class TrainingTransport(ProcessTransport):
    """Buttons for the training's actions, and where it stands."""

    def __init__(self, trainer: Trainer, page: QWidget) -> None:
        super().__init__(
            "training", page,
            start=("Start training", "Train on these images with these settings", self._start),
            pause=("Hold after the step in hand; again to go on", self._pause),
            stop=("Save and stop; the training can be resumed later", trainer.stop),
            bar=("Progress of the training", "Steps done, of all"),
        )  # fmt: skip
        self._trainer = trainer
        for signal in (
            trainer.state_changed,
            trainer.progressed,
            trainer.plan.changed,
            trainer.plan.data.progressed,
        ):
            signal.connect(self.refresh)
        self.refresh()

    def _start(self) -> None:
        self._trainer.session.spawn(self._trainer.start())

    def _pause(self) -> None:
        paused = self._trainer.state is ProcessState.PAUSED
        self._trainer.go_on() if paused else self._trainer.pause()

    def refresh(self) -> None:
        """Show where the training stands; the time left stands still while it is paused."""
        trainer, standing = self._trainer, self._trainer.standing()
        state = standing.state
        obstacle = trainer.plan.obstacle()
        self.allow(
            state, "One training at a time: stop this one first" if state.active else obstacle,
            "Train on these images with these settings (Ctrl+R)",
        )  # fmt: skip
        if trainer.running is None:
            self.bar.setFormat("")
            self.state.setText(
                "Choose images first" if obstacle and not trainer.plan.data.sources else "Ready"
            )
            return
        self.show_progress(standing.step, standing.total, state, "step")
        self.state.setText(f"{trainer.running.name}: {state.value.lower()}")
        parts = []
        if math.isfinite(standing.eta):
            parts.append(f"{clock(standing.eta)} left")
        elif state is ProcessState.RUNNING:
            parts.append("timing…")
        if math.isfinite(standing.patches_a_second):
            parts.append(f"{standing.patches_a_second:,.0f} patches/s")
        if standing.memory:
            parts.append(f"{standing.memory / 2**30:.1f} GiB")
        self.time.setText(", ".join(parts) or " ")
        self.time.setToolTip("Time left with the looks to come, patches a second, largest memory so far")


class TrainingNote(ProcessNote):
    """How far the training is."""

    def __init__(self, trainer: Trainer, page: QAction) -> None:
        super().__init__("training", page)
        self._trainer = trainer
        trainer.state_changed.connect(self.refresh)
        trainer.progressed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show where the training stands; nothing without one."""
        trainer, standing = self._trainer, self._trainer.standing()
        if not trainer.active or trainer.running is None:
            self.say("")
            return
        share = f", {100 * standing.step // standing.total} %" if standing.total else ""
        left = f", {clock(standing.eta)} left" if math.isfinite(standing.eta) else ""
        self.say(f"{standing.state.value} {trainer.running.name}{share}{left}")


class TrainingPage(ProcessPage):
    """On the right the images, the progress, all trainings."""

    def __init__(self, trainer: Trainer) -> None:
        super().__init__()
        self._trainer = trainer
        self.setup = TrainingSetup(trainer.plan, self._open_prior)
        self.transport = TrainingTransport(trainer, self)
        self.images = TrainingImages(trainer.plan.data, self.setup.data.folder)
        self.progress, self.runs = TrainingProgress(trainer), TrainingRuns(trainer)
        self._lay_out(self.setup, self.transport, (
            (self.images, "Images", "What the network will see"),
            (self.progress, "Progress", "Curves and looks of one training"),
            (self.runs, "Trainings", "All trainings, to compare, resume and use"),
        ))  # fmt: skip
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

    def take(self, paths: tuple[Path, ...]) -> None:
        """Learn from them."""
        self._trainer.plan.choose_data(paths)
