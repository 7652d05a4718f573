"""Time: a slider over the kept iterates of the shown run, with buttons to step, play, and go back to the live one."""

import math
from collections.abc import Callable

from PySide6.QtCore import QSignalBlocker, Qt, QTimer
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QSizePolicy, QWidget

from padis_gui.gui.kit.actions import panel_action
from padis_gui.gui.kit.forms import Slider
from padis_gui.gui.kit.theme import icon
from padis_gui.gui.kit.widgets import ElidedLabel, action_button, row
from padis_gui.viewmodels.session.session import Session

# Playing takes about this long, however many iterates there are, but no faster and no slower than these intervals
_WORDS = 150  # px for them at least
_PLAY_MS, _FASTEST_MS, _SLOWEST_MS = 6000, 40, 250


class Timeline(QWidget):
    """Scrubs through the history of the shown run. ``keys_in`` is the widget within which the arrow keys do so."""

    def __init__(self, session: Session, keys_in: QWidget) -> None:
        super().__init__()
        self._session = session
        self._steps: tuple[int, ...] = ()
        self._clock = QTimer(self)
        self._clock.timeout.connect(self._play_on)
        self.first = self._action("First iterate", "Home", "first", self._go_first, keys_in)
        self.back = self._action("Previous iterate", "Left", "previous", lambda: self._move(-1), keys_in)
        self.play = self._action("Play the iterates", "Shift+Space", "run", self._play_or_stop, None)
        self.forward = self._action("Next iterate", "Right", "next", lambda: self._move(1), keys_in)
        self.last = self._action("Last iterate", "End", "last", self._go_last, keys_in)
        self.live = self._action("Live", "Ctrl+L", "", lambda: session.shown.go_to(None), None)
        self.live.setCheckable(True)
        self.live.setToolTip("Show the latest iterate, and those that follow (Ctrl+L)")
        self._icons = icon("run"), icon("pause")
        self.slider = Slider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Shown iterate")
        self.slider.setToolTip("The iterate that the panes show; arrow keys, Home and End move it too")
        self.slider.setTracking(True)
        self.slider.setPageStep(10)
        self.slider.valueChanged.connect(self._slid)
        self.where = ElidedLabel()
        self.where.setMinimumWidth(_WORDS)
        self.where.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        layout = row(self, spacing=2, margins=(8, 0, 8, 4))
        for action in (self.first, self.back, self.play, self.forward, self.last):
            layout.addWidget(action_button(action))
        layout.addWidget(self.slider, 1)
        layout.addSpacing(6)
        layout.addWidget(self.where)
        layout.addWidget(action_button(self.live))
        session.shown.changed.connect(self.refresh)
        session.run.changed.connect(self.refresh)
        self.refresh()

    def menu(self) -> QMenu:
        """A menu of the actions."""
        menu = QMenu("T&ime", self)
        menu.setToolTipsVisible(True)
        menu.addActions([self.first, self.back, self.play, self.forward, self.last, self.live])
        return menu

    def _action(
        self,
        text: str,
        key: str,
        picture: str,
        slot: Callable[[], None],
        within: QWidget | None,
    ) -> QAction:
        """An action; ``within`` a widget its key works in that one only, else in the whole window."""
        action = panel_action(self, text.lower().replace(" ", "_"), text, text, key, slot, within)
        if picture:
            action.setIcon(icon(picture))
        return action

    # From the session -----------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show which iterates there are and which one is seen."""
        shown = self._session.shown
        self._steps = shown.history.steps
        frame = shown.frame()
        at = len(self._steps) - 1
        if shown.step is not None and shown.step in self._steps:
            at = self._steps.index(shown.step)
        with QSignalBlocker(self.slider):
            self.slider.setRange(0, max(0, len(self._steps) - 1))
            self.slider.setValue(max(0, at))
        some = len(self._steps) > 1
        self.slider.setEnabled(some)
        for action in (self.first, self.back, self.forward, self.last, self.play):
            action.setEnabled(some)
        self.live.setChecked(shown.live)
        running = self._session.run.active and shown.history is self._session.run.history
        self.live.setText("Live" if running or shown.record is None else "Result")
        self.live.setEnabled(frame is not None)
        self.where.setText(self._words())
        if not some:
            self._stop()

    def _words(self) -> str:
        shown = self._session.shown
        frame, point, record = shown.frame(), shown.point(), shown.record
        if frame is None:
            return ""
        if record is not None and record.recipe.sample_seeds:
            return f"mean of {len(record.recipe.sample_seeds)} samples"
        words = f"{frame.step_text}   {frame.noise_text}"
        if point is not None and math.isfinite(point.psnr):
            words += f"   {point.psnr:.2f} dB"
        return words if shown.history.last is not None else f"{words}   (the last one is kept)"

    # From the user --------------------------------------------------------------------------------

    def _slid(self, index: int) -> None:
        if 0 <= index < len(self._steps):
            self._session.shown.go_to(self._steps[index])

    def _move(self, by: int) -> None:
        self._stop()
        self._session.shown.move(by)

    def _go_first(self) -> None:
        self._move(-len(self._steps))

    def _go_last(self) -> None:
        self._move(len(self._steps))

    def _play_or_stop(self) -> None:
        if self._clock.isActive():
            self._stop()
            return
        shown, steps = self._session.shown, self._session.shown.history.steps
        if len(steps) < 2:
            return
        if shown.step is None or shown.step >= steps[-1]:
            shown.go_to(steps[0])
        self._clock.setInterval(min(max(_PLAY_MS // len(steps), _FASTEST_MS), _SLOWEST_MS))
        self._clock.start()
        self.play.setIcon(self._icons[1])
        self.play.setText("Stop playing")

    def _play_on(self) -> None:
        shown, steps = self._session.shown, self._session.shown.history.steps
        if shown.step is None or not steps or shown.step >= steps[-1]:
            self._stop()
        else:
            shown.move(1)

    def _stop(self) -> None:
        if self._clock.isActive():
            self._clock.stop()
            self.play.setIcon(self._icons[0])
            self.play.setText("Play the iterates")
