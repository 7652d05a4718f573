"""What is to be trained: data, size, budget, settings, name and folder; and what is known of them before the start.

What a step takes on this machine is measured when it is first asked for, and learned from trainings.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from PySide6.QtCore import QObject, QTimer, Signal

from padis_gui.core.prior.checkpoint import PriorRecord, read_record
from padis_gui.core.prior.network_settings import NetworkSettings
from padis_gui.core.settings.declarations import S, make
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.settings.machine import fastest_precision
from padis_gui.core.settings.outputs import free_folder
from padis_gui.core.training.history import TrainingHistory, holds_a_training
from padis_gui.core.training.looks import SightSettings
from padis_gui.core.training.plan import TrainingRequest, settings_for_prior
from padis_gui.core.training.run import seconds_a_step
from padis_gui.core.training.settings import (
    DataSettings,
    TrainingSettings,
    find_size,
    fitted_to,
    look_interval,
    steps_within,
)
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.training.images import TrainingDataChoice

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


TrainingBudget = Literal["minutes", "steps"]
DEFAULT_ROOT = Path.home() / "padis_gui" / "trainings"
# Fine-tuning starts from weights that are good already: a third of the rate moves them without losing them
_FINE_TUNING_RATE = 0.3
_GUESSED_PACE = {"cpu": 0.3, "cuda": 0.03}  # seconds a step, until it has been measured


@dataclass(frozen=True, slots=True)
class TrainingTime:
    """How long the plan takes: steps, and seconds a step where they have been measured on this machine."""

    steps: int
    seconds_a_step: float | None


class TrainingPlan(QObject):
    """The choices of the next training. Setters check, keep what was there where a value is bad, and say why."""

    changed = Signal()

    def __init__(self, session: Session, io: ThreadPoolExecutor, root: Path = DEFAULT_ROOT) -> None:
        super().__init__(session)
        self._session, self._io = session, io
        self.root = Path(root)
        self.data = TrainingDataChoice(session, io)
        self.size: str | None = "small" if session.prior.device.type == "cpu" else "medium"
        self.network = self._network_of(self.size)
        self.budget: TrainingBudget = "minutes"
        self.minutes, self.steps = 20.0, 5000
        self.name = ""
        self.start_from: Path | None = None
        self.start_record: PriorRecord | None = None
        self._folder: Path | None = None  # chosen by hand
        self._folder_is_taken = False
        self._proposed = self.root / "prior"
        self._training_edits: dict[str, Any] = {}
        self._sight_edits: dict[str, Any] = {}
        self.paces = TrainingPaces(session)
        self._of_its_own: tuple[NetworkSettings, str | None, DataSettings] | None = (
            None  # before a prior's were used
        )
        self.paces.changed.connect(self.changed)
        self.changed.connect(self._want_pace)
        self.data.changed.connect(self._follow_data)

    # What follows from the choices ------------------------------------------------------------------

    @property
    def training(self) -> TrainingSettings:
        """The settings of the training: fitted to budget and images, except for what was set by hand."""
        fitted = fitted_to(self._base(), self.estimate.steps, self.data.settings.image_size, self.pace)
        return make(TrainingSettings, fitted.model_dump() | self._training_edits | {"steps": fitted.steps})

    @property
    def sight(self) -> SightSettings:
        """How often and at what the training looks, except for what was set by hand a dozen times in all."""
        every = {"look_every": look_interval(self.estimate.steps)}
        return make(SightSettings, every | self._sight_edits)

    @property
    def pace(self) -> float | None:
        """Seconds a step, where they are known."""
        return self.paces.of(self.pace_key)

    @property
    def estimate(self) -> TrainingTime:
        """How many steps it will be. A budget of minutes needs the pace: until that is known, a guess."""
        if self.budget == "steps":
            return TrainingTime(self.steps, self.pace)
        guess = _GUESSED_PACE.get(self._session.prior.device.type, 0.3)
        return TrainingTime(steps_within(60 * self.minutes, self.pace or guess), self.pace)

    @property
    def folder(self) -> Path:
        """Where the training goes."""
        return self._folder or self._proposed

    def obstacle(self) -> str:
        """What stands against a start, in one sentence; empty where nothing does."""
        if self._folder is not None and self._folder_is_taken:
            return f"{self._folder} holds a training already; resume that one, or choose another folder."
        return self.data.obstacle()

    def request(self) -> TrainingRequest:
        """The plan as the training's process reads it."""
        return TrainingRequest(
            data=self.data.sources, data_settings=self.data.settings, training=self.training, network=self.network,
            sight=self.sight, name=self.name, device=str(self._session.prior.device), start_from=self.start_from,
        )  # fmt: skip

    # Choices ----------------------------------------------------------------------------------------

    def choose_data(self, sources: tuple[Path, ...]) -> None:
        """Learn from this folder, or from these files; name and folder follow."""
        if not sources:
            return
        self.name, self._folder = Path(sources[0]).stem or "prior", None
        self.propose_folder()
        self.data.choose(sources)

    def set_data(self, name: str, value: Any) -> None:
        """Change what becomes of the images; the preview follows."""
        self._set(lambda: self.data.use(_with(self.data.settings, name, value)))

    def set_size(self, name: str) -> None:
        """Choose one of the measured networks."""

        def change() -> None:
            self.network = self._network_of(find_size(name).name)
            self.size = name

        self._set(change)

    def set_budget(self, unit: TrainingBudget, amount: float) -> None:
        """Train for so many minutes, or steps."""

        def change() -> None:
            if unit == "minutes":
                self.minutes = max(1.0, float(amount))
            else:
                self.steps = max(1, int(amount))
            self.budget = unit

        self._set(change)

    def set_training(self, name: str, value: Any) -> None:
        """Set one training setting by hand; it no longer follows budget and images."""

        def change() -> None:
            edit = {name: value}
            if name == "patch_sizes":  # the sizes and how often each is drawn only make sense together
                sizes = tuple(int(size) for size in value)
                edit["patch_probabilities"] = _probabilities(sizes)
            checked = make(TrainingSettings, self.training.model_dump() | edit)
            self._training_edits |= {key: getattr(checked, key) for key in edit}

        self._set(change)

    def set_sight(self, name: str, value: Any) -> None:
        """Set by hand how the training is looked at."""

        def change() -> None:
            _with(self.sight, name, value)
            self._sight_edits[name] = value

        self._set(change)

    def set_network(self, name: str, value: Any) -> None:
        """Change the network's shape by hand."""

        def change() -> None:
            self.network = _with(self.network, name, value)
            self.size = None

        self._set(change)

    def set_name(self, name: str) -> None:
        """Call the prior so; its folder follows, unless that was chosen."""
        self.name = name.strip() or "prior"
        self.propose_folder()
        self.changed.emit()

    def propose_folder(self) -> None:
        """A folder of the prior's name in which no training lies yet."""
        self._proposed = free_folder(self.root, self.name, holds_a_training)

    def set_folder(self, folder: Path | None) -> None:
        """Write into this folder; None follows the name again."""
        self._folder = folder
        self._folder_is_taken = folder is not None and holds_a_training(folder)
        self.changed.emit()

    def start_fresh(self) -> None:
        """Begin with a network that knows nothing, on data as they were read before a prior had its say."""

        def change() -> None:
            self.start_from = self.start_record = None
            if self._of_its_own is not None:
                self.network, self.size, data = self._of_its_own
                self._of_its_own = None
                self.data.use(data)

        self._set(change)

    def begin_with(self, prior: Path) -> None:
        """Fine-tune this prior; it is read in the background."""
        self._session.spawn(self.start_at(prior))

    async def start_at(self, prior: Path) -> bool:
        """Fine-tune this prior: its network, image size, colour, window and patch sizes are kept."""
        record = await self._session.attempt(self._io, read_record, prior)
        data = None
        if record is not None:
            data = await self._session.attempt(self._io, settings_for_prior, self.data.settings, prior)
        if record is None or data is None:
            self.changed.emit()  # the choice shown goes back to what it was
            return False

        def change() -> None:
            if not isinstance(record.network, NetworkSettings):
                raise SettingError(
                    f"A prior that padis-gui trained was wanted, but {prior.name} has a published network; it can "
                    "be used, not trained on."
                )
            self._of_its_own = self._of_its_own or (self.network, self.size, self.data.settings)
            self.network, self.size = record.network, None
            self.data.use(data)
            self.start_from, self.start_record = prior, record
            self._training_edits.pop("patch_sizes", None)
            self._training_edits.pop("patch_probabilities", None)

        self._set(change)
        return self.start_from == prior

    # Behind the choices -------------------------------------------------------------------------------

    def set_busy(self, busy: bool) -> None:
        """While a training is under way nothing is timed."""
        self.paces.busy = busy
        if not busy:
            self.propose_folder()  # the last one is taken now
            self._folder = None
            self.changed.emit()

    def close(self) -> None:
        """Stop reading and timing."""
        self.data.close()
        self.paces.close()

    def _base(self) -> TrainingSettings:
        """The defaults; when fine-tuning, those that belong to the prior."""
        if self.start_record is None:
            return TrainingSettings()
        base, sizes = TrainingSettings(), self.start_record.conventions.patch_sizes
        changes = {
            "patch_sizes": sizes,
            "patch_probabilities": _probabilities(sizes),
            "learning_rate": _FINE_TUNING_RATE * base.learning_rate,
        }
        return base.model_copy(update=changes)

    def _network_of(self, size: str) -> NetworkSettings:
        channels = {"image_channels": self.data.settings.channels}
        return make(NetworkSettings, dict(find_size(size).network) | channels)

    def _set(self, change: Any) -> None:
        data, kept = self.data.settings, (self.network, dict(self._training_edits), dict(self._sight_edits))
        try:
            change()
            self._match_channels()
            _ = self.training, self.sight  # contradictions between settings come to light here
        except SettingError as error:
            self.network, self._training_edits, self._sight_edits = kept
            self.data.use(data)
            self._session.message.emit("error", str(error), "")
        self.changed.emit()

    def _match_channels(self) -> None:
        channels = self.data.settings.channels
        if self.network.image_channels != channels:
            self.network = _with(self.network, "image_channels", channels)

    def _follow_data(self) -> None:
        self._match_channels()
        self.changed.emit()

    @property
    def pace_key(self) -> PaceKey:
        """What the time of a step depends on, as planned."""
        return (
            self.network,
            self.data.settings.image_size,
            int(self._training_edits.get("pixels", TrainingSettings().pixels)),
        )

    def _want_pace(self) -> None:
        if self.data.preview is not None:
            self.paces.want(self.pace_key, self.training)


def _probabilities(sizes: tuple[int, ...]) -> tuple[float, ...]:
    """How often patches of these sizes are drawn: as by default where it knows them, else evenly."""
    base = TrainingSettings()
    known = dict(zip(base.patch_sizes, base.patch_probabilities, strict=True))
    if all(size in known for size in sizes):
        return tuple(known[size] for size in sizes)
    return (1 / max(1, len(sizes)),) * len(sizes)


def _with(settings: S, name: str, value: Any) -> S:
    """The settings with another value of one of them; raises :class:`SettingError` where that does not fit."""
    return make(type(settings), settings.model_dump() | {name: value})
