"""Run, Pause, Step, Finish now, Cancel; progress and time left."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from padis_gui.core.runs.engine import RunState
from padis_gui.gui.kit._j_actions__gui_actions import Actions
from padis_gui.gui.kit._j_widgets__gui_layouts import clock, column, grid, progress_bar, steering_button
from padis_gui.viewmodels.runs.run import Progress


class Transport(QWidget):
    """Buttons for the run's actions, and where the run stands."""

    def __init__(self, act: Actions, plan: QWidget) -> None:
        """``plan`` says what a run will take; it stands above the buttons."""
        super().__init__()
        layout = column(self, spacing=6, margins=(8, 6, 8, 8))
        buttons = grid()
        places = ((0, 0, 1, 3), (1, 0, 1, 1), (1, 1, 1, 1), (1, 2, 1, 1), (1, 3, 1, 1), (0, 3, 1, 1))
        for place, action in zip(places, [*act.steering, act.enqueue], strict=True):
            button = steering_button(action.objectName(), action, main=action is act.run)
            if action is act.enqueue:  # as tall as Run beside it
                button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
                button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
            buttons.addWidget(button, *place)
        self.bar = progress_bar("Progress of the run", "Steps of the run so far")
        self.state, self.time = QLabel("Ready"), QLabel()
        layout.addWidget(plan)
        layout.addLayout(buttons)
        layout.addWidget(self.bar)
        for label in (self.state, self.time):
            layout.addWidget(label)

    def show_snapshot(self, snapshot: Progress, display_share: float | None) -> None:
        """Show the step counter, the time left, which stands still while paused, and what the display costs."""
        self.bar.setUpdatesEnabled(False)  # else Qt paints the bar, and all that waits with it, here and now
        self.bar.setMaximum(max(1, snapshot.total))
        self.bar.setValue(snapshot.step)
        self.bar.setFormat(f"step {snapshot.step} of {snapshot.total}" if snapshot.total else "")
        self.bar.setUpdatesEnabled(True)
        sigma = f", σ = {snapshot.sigma:.3g}" if snapshot.step else ""
        self.state.setText(f"{snapshot.state.value}{sigma}")
        pace = snapshot.seconds_per_step
        if pace is None:
            self.time.setText("timing the first steps…" if snapshot.state is RunState.RUNNING else " ")
        else:
            rest = f"{clock(snapshot.eta)} left, " if snapshot.eta is not None else ""
            display = f", display {display_share:.1%}" if display_share is not None else ""
            self.time.setText(f"{rest}{pace * 1000:.0f} ms a step{display}")
