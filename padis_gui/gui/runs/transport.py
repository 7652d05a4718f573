"""Run, pause, step, finish and cancel; what a run will take, and on which device.

What Run will take, in a line above it; the device in use, its memory, and the choice of another one.

Run, Pause, Step, Finish now, Cancel; progress and time left.
"""

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QLabel, QMenu, QSizePolicy, QToolButton, QWidget

from padis_gui.core.runs.control import RunState
from padis_gui.core.settings.machine import device_choices, memory_in_use_mb
from padis_gui.gui.kit.actions import Actions
from padis_gui.gui.kit.focus import FocusKeys
from padis_gui.gui.kit.theme import LEVEL_COLOURS
from padis_gui.gui.kit.widgets import (
    ElidedLabel,
    allow,
    clock,
    column,
    grid,
    progress_bar,
    push_button,
    row,
    steering_button,
)
from padis_gui.viewmodels.runs.queue import label_of
from padis_gui.viewmodels.runs.run import Progress
from padis_gui.viewmodels.session.planner import Planner
from padis_gui.viewmodels.session.session import Session

_EVERY_MS = 1000
_PARTS = 100  # of a step, in the bar of a run whose steps take long
_LONG_STEP = 10.0  # seconds


def duration(seconds: float) -> str:
    """About so many seconds, in words that are no more exact than an estimate is."""
    if seconds < 1:
        return "less than 1 s"
    if seconds < 100:
        return f"about {seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"about {minutes} min" if minutes < 90 else f"about {minutes // 60} h {minutes % 60:02d} min"


def size(megabytes: float) -> str:
    """MiB in words."""
    return f"{megabytes / 1024:.1f} GB" if megabytes >= 1000 else f"{max(1, round(megabytes))} MB"


_WITHOUT_MATRIX = ", without a matrix: it would be too large, or the setting System matrix says so"


class PlanLine(QLabel):
    """The estimate; in the colour of a warning where memory will not do."""

    def __init__(self, planner: Planner) -> None:
        super().__init__(wordWrap=True)
        self.setAccessibleName("What Run will take")
        self._planner = planner
        planner.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the present estimate."""
        planner, plan = self._planner, self._planner.plan
        if plan is None:
            self.setText("")
            self.setToolTip("")
            return
        ram, kept = plan.memory_mb + planner.history_mb, planner.kept_whole
        unknown = "measuring this machine…" if planner.measures else "time not known during a run"
        parts = [unknown if plan.seconds is None else duration(plan.seconds)]
        if plan.calls:
            parts.append(f"{plan.calls} denoiser calls")
        parts.append(f"+{size(ram)} memory" if planner.on_cpu else f"+{size(plan.memory_mb)} on the GPU")
        if planner.matrix_free:
            parts.append("matrix-free")
        if planner.short:
            helps = (
                "fewer views, a smaller image or a smaller patch"
                if kept is None
                else "fewer slices, or a crop"
            )
            parts.append(f"only {size(planner.free_mb)} free: {helps}")
        elif kept == 1:
            parts.append("only the latest iterate is kept")
        self.setText(" · ".join(parts))
        self.setStyleSheet(f"color: {LEVEL_COLOURS['warning']};" if planner.short else "")
        self.setToolTip(
            f"Before Run: {plan.calls} denoiser calls, {plan.tiles} tiles through the network, "
            f"{plan.products} products with A at most"
            f"{_WITHOUT_MATRIX if planner.matrix_free else ''}.\n"
            f"Memory: {size(plan.memory_mb)} (scan {size(plan.scan_mb)}, patch batch {size(plan.batch_mb)}, "
            f"the rest images), {size(planner.history_mb)} for the kept iterates; {size(planner.free_mb)} free.\n"
            f"{'' if kept is None else f'Of a volume the estimates are kept whole, {kept} of them at most.{chr(10)}'}"
            "The time of one tile is measured once on this machine, and every run corrects it."
        )


class DeviceButton(QToolButton):
    """Names the device; its menu has the others, and says of those that cannot be used why."""

    def __init__(self, session: Session, chosen: Callable[[str], None]) -> None:
        super().__init__(autoRaise=True)
        self._session = session
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setAccessibleName("Device")
        self._menu = QMenu(self)
        self._menu.setToolTipsVisible(True)
        group = QActionGroup(self)
        self.choices: dict[str, QAction] = {}
        self._usable: set[str] = set()
        for choice in device_choices():
            text = f"{choice.label}: {choice.why_not}" if choice.why_not else choice.label
            action = QAction(text, self, checkable=True)
            action.setToolTip(f"Compute on {choice.label}" if not choice.why_not else choice.why_not)
            action.setEnabled(not choice.why_not)
            if not choice.why_not:
                self._usable.add(choice.name)
            action.triggered.connect(partial(self._choose, chosen, choice.name))
            group.addAction(action)
            self._menu.addAction(action)
            self.choices[choice.name] = action
        self.setMenu(self._menu)
        self._timer = QTimer(self, interval=_EVERY_MS)
        self._timer.timeout.connect(self.refresh)
        session.run.changed.connect(self._follow)
        for signal in (
            session.prior.changed, session.prior.refused, session.prior.device_changed, session.occupied_changed,
        ):  # fmt: skip
            signal.connect(self.refresh)
        self.refresh()

    def device_menu(self, parent: QWidget) -> QMenu:
        """The choices as a menu for the menu bar."""
        menu = QMenu("&Device", parent)
        menu.setToolTipsVisible(True)
        menu.addActions(list(self.choices.values()))
        return menu

    @staticmethod
    def _choose(chosen: Callable[[str], None], name: str, _checked: bool = False) -> None:
        chosen(name)

    def _follow(self) -> None:
        active = self._session.run.active
        self._timer.start() if active else self._timer.stop()
        self.refresh()

    def refresh(self) -> None:
        """Show the device and the memory in use."""
        device = self._session.prior.device
        used = memory_in_use_mb(device)
        memory = f" · {size(used)} in use" if used else ""
        self.setText(f"{self._session.prior.device_text}{memory}")
        self.setToolTip("Where the network computes, its precision, and the memory in use; click for others")
        name = str(device) if device.type == "cpu" else f"cuda:{device.index or 0}"
        if name in self.choices:
            self.choices[name].setChecked(True)
        busy = self._session.occupied_by
        for choice in self._usable:
            why_not = f"{busy} computes there; the device is changed when it has ended." if busy else ""
            allow(self.choices[choice], why_not)


class RunningLine(QWidget):
    """Names the run under way, where it is not what is open and chosen; a button shows it."""

    def __init__(self, session: Session, act: Actions) -> None:
        super().__init__()
        self.setObjectName("running_line")
        self._session = session
        self.text = ElidedLabel(muted=True)
        self.text.setAccessibleName("The run under way")
        show = push_button("Show", act.show_running.toolTip(), act.show_running.trigger)
        show.setAccessibleName("Show the run under way")
        act.show_running.enabledChanged.connect(show.setVisible)
        show.hide()
        line = row(self)
        line.addWidget(self.text, 1)
        line.addWidget(show)
        for signal in (
            session.occupied_changed, session.method.changed, session.data.changed, session.prior.changed,
        ):  # fmt: skip
            signal.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what runs, unless the left column says it."""
        session, task = self._session, self._session.running
        opened = session.opened()
        other = task is not None and not (
            opened is not None and task.opened.same_as(opened) and task.method == session.method.now
        )
        self.text.setText(f"Running: {label_of(task.recipe)}" if other and task is not None else "")
        self.setVisible(other)


class Transport(QWidget):
    """Buttons for the run's actions, and where the run stands."""

    def __init__(self, act: Actions, plan: QWidget, running: QWidget) -> None:
        """``plan`` says what a run will take, ``running`` what runs.

        Both come and go above the buttons, so that these never move away under the mouse.
        """
        super().__init__()
        layout = column(self, spacing=6, margins=(8, 6, 8, 8))
        buttons = grid()
        self.buttons: dict[str, QToolButton] = {}
        places = ((0, 0, 1, 3), (1, 0, 1, 1), (1, 1, 1, 1), (1, 2, 1, 1), (1, 3, 1, 1), (0, 3, 1, 1))
        for place, action in zip(places, [*act.steering, act.enqueue], strict=True):
            button = steering_button(action.objectName(), action, main=action is act.run)
            FocusKeys.spare(button)
            if action is act.enqueue:  # as tall as Run beside it
                button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
                button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
            buttons.addWidget(button, *place)
            self.buttons[action.objectName()] = button
        self.bar = progress_bar("Progress of the run", "Steps of the run so far")
        self.state, self.time = QLabel("Ready"), QLabel()
        layout.addWidget(running)
        layout.addWidget(plan)
        layout.addLayout(buttons)
        layout.addWidget(self.bar)
        for label in (self.state, self.time):
            layout.addWidget(label)

    @property
    def first_focus(self) -> QWidget:
        """Where the keyboard goes first: Run."""
        return self.buttons["run"]

    def show_snapshot(self, snapshot: Progress, display_share: float | None) -> None:
        """Show the step counter, the time left, which stands still while paused, and what the display costs."""
        self.bar.setUpdatesEnabled(False)  # else Qt paints the bar, and all that waits with it, here and now
        within = snapshot.within
        parts = 1 if within is None else _PARTS
        self.bar.setMaximum(max(1, snapshot.total) * parts)
        self.bar.setValue(snapshot.step * parts + round((within or 0.0) * parts))
        text = f"step {snapshot.step} of {snapshot.total}" if snapshot.total else ""
        self.bar.setFormat(text if within is None else f"{text}, {within:.0%} of the next")
        if snapshot.preparing is not None:
            self.bar.setMaximum(100)
            self.bar.setValue(round(100 * snapshot.preparing[0]))
            self.bar.setFormat(f"{snapshot.preparing[1]}, {snapshot.preparing[0]:.0%}")
        self.bar.setUpdatesEnabled(True)
        sigma = f", σ = {snapshot.sigma:.3g}" if snapshot.step else ""
        then = ", then paused" if snapshot.pausing else ""
        self.state.setText(f"{snapshot.state.value}{then}{sigma}")
        pace = snapshot.seconds_per_step
        if pace is None:
            self.time.setText("timing the first steps…" if snapshot.state is RunState.RUNNING else " ")
        else:
            rest = f"{clock(snapshot.eta)} left, " if snapshot.eta is not None else ""
            display = f", display {display_share:.1%}" if display_share is not None else ""
            took = f"{pace * 1000:.0f} ms" if pace < _LONG_STEP else f"{pace:.1f} s"
            self.time.setText(f"{rest}{took} a step{display}")
