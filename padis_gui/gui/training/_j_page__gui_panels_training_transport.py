"""Start, pause, resume and stop a training; how far it is and how long it will take."""

import math

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QLabel, QSizePolicy, QStyle, QToolButton, QWidget

from padis_gui.gui.kit._j_actions__gui_actions import panel_action
from padis_gui.gui.kit._j_widgets__gui_layouts import clock, column, grid, progress_bar, steering_button
from padis_gui.viewmodels.state.process import ProcessState
from padis_gui.viewmodels.training.trainer import Trainer

_Icons = QStyle.StandardPixmap


class TrainingTransport(QWidget):
    """Buttons for the training's actions, and where it stands."""

    def __init__(self, trainer: Trainer, page: QWidget) -> None:
        super().__init__()
        self._trainer = trainer
        self.start = panel_action(
            self, "training_start", "Start training", "Train on these images with these settings", "Ctrl+R",
            self._start, page,
        )  # fmt: skip
        self.pause = panel_action(
            self,
            "training_pause",
            "Pause",
            "Hold after the step in hand; again to go on",
            "",
            self._pause,
            page,
        )
        self.stop = panel_action(
            self,
            "training_stop",
            "Stop",
            "Save and stop; the training can be resumed later",
            "",
            trainer.stop,
            page,
        )
        for action, picture in (
            (self.start, _Icons.SP_MediaPlay), (self.pause, _Icons.SP_MediaPause), (self.stop, _Icons.SP_MediaStop),
        ):  # fmt: skip
            action.setIcon(self.style().standardIcon(picture))
        layout = column(self, spacing=6, margins=(8, 6, 8, 8))
        buttons = grid()
        self.buttons: dict[str, QToolButton] = {}
        for place, (name, action) in zip(
            ((0, 0, 1, 2), (1, 0, 1, 1), (1, 1, 1, 1)),
            (("start", self.start), ("pause", self.pause), ("stop", self.stop)),
            strict=True,
        ):
            button = steering_button(f"training_{name}", action, main=name == "start")
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            button.setIconSize(QSize(16, 16))
            self.buttons[name] = button
            buttons.addWidget(button, *place)
        self.bar = progress_bar("Progress of the training", "Steps done, of all")
        self.state, self.time = QLabel("Ready"), QLabel(" ")
        for label in (self.state, self.time):  # long texts are cut; the column doesn't widen for them
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        layout.addLayout(buttons)
        layout.addWidget(self.bar)
        layout.addWidget(self.state)
        layout.addWidget(self.time)
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
        self.start.setEnabled(not state.active and not obstacle)
        self.start.setToolTip(
            "One training at a time: stop this one first" if state.active else obstacle
            or "Train on these images with these settings (Ctrl+R)"
        )  # fmt: skip
        self.pause.setEnabled(state in (ProcessState.RUNNING, ProcessState.PAUSED))
        paused = state is ProcessState.PAUSED
        self.pause.setText("Resume" if paused else "Pause")
        self.pause.setIcon(self.style().standardIcon(_Icons.SP_MediaPlay if paused else _Icons.SP_MediaPause))
        self.stop.setEnabled(state.active and state is not ProcessState.STOPPING)
        if trainer.running is None:
            self.bar.setFormat("")
            self.state.setText(
                "Choose images first" if obstacle and not trainer.plan.data.sources else "Ready"
            )
            return
        # no range while it is starting: the bar shows that something happens
        known = standing.total > 0
        self.bar.setRange(0, standing.total if known else int(not state.active))
        self.bar.setValue(standing.step)
        self.bar.setFormat(f"step {standing.step:,} of {standing.total:,}" if known else "")
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
