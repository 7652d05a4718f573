"""What a training step takes on this machine: measured when it is first asked for, and learned from trainings."""

from PySide6.QtCore import QObject, QTimer, Signal

from padis_gui.core.prior._j_network__core_network import NetworkSettings
from padis_gui.core.settings._j_machine__core_device import fastest_precision
from padis_gui.core.training._j_run__core_training_pace import seconds_a_step
from padis_gui.core.training._j_settings__core_training_settings import TrainingSettings
from padis_gui.core.training.history import TrainingHistory
from padis_gui.viewmodels.session._j_session__viewmodels_session import Session

PaceKey = tuple[
    NetworkSettings, int, int
]  # what a step's time depends on: network, image size, pixels a step
_SETTLE_MS = 400
_ENOUGH_STEPS = 20  # of a training, to know what a step takes


class TrainingPaces(QObject):
    """Seconds a step for each key. Nothing is measured while a run or a training would spoil it."""

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._known: dict[PaceKey, float] = {}
        self._wanted: tuple[PaceKey, TrainingSettings] | None = None
        self._measuring = False
        self.busy = False  # a training is under way
        self._soon = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._soon.timeout.connect(self._measure)

    def of(self, key: PaceKey) -> float | None:
        """Seconds a step, where they are known."""
        return self._known.get(key)

    def want(self, key: PaceKey, settings: TrainingSettings) -> None:
        """Measure it, when no other wish comes for a moment."""
        if key not in self._known:
            self._wanted = (key, settings)
            self._soon.start()

    def learn(self, key: PaceKey, history: TrainingHistory) -> None:
        """Take it from a training, which knows better than any measurement beforehand."""
        if len(history.steps) > 2:
            steps, seconds = history.step - history.steps[0], history.seconds[-1] - history.seconds[0]
            if steps >= _ENOUGH_STEPS and seconds > 0:
                self._known[key] = seconds / steps
                self.changed.emit()

    def close(self) -> None:
        """Measure no more."""
        self.busy = True
        self._soon.stop()

    def _measure(self) -> None:
        if self._wanted is not None and not (self.busy or self._measuring or self._session.run.active):
            self._session.spawn(self._time_steps(*self._wanted))

    async def _time_steps(self, key: PaceKey, settings: TrainingSettings) -> None:
        self._measuring = True
        device = self._session.prior.device
        measured = await self._session.compute(
            seconds_a_step, settings, key[0], key[1], device, fastest_precision(device)
        )
        self._measuring = False
        if measured is not None:
            self._known[key] = measured
            self.changed.emit()
