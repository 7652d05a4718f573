"""The Training page's state: what is planned, the training under way, what it has shown, and earlier trainings."""

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from padis_gui.core.training.history import FolderReader, TrainingFolder, TrainingHistory, read_history
from padis_gui.core.training.plan import save_request
from padis_gui.core.training.state import PRIOR_FILE
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.state.background import ended
from padis_gui.viewmodels.state.process import ChildProcess, ProcessFailure, ProcessState
from padis_gui.viewmodels.training.images import LookChoice
from padis_gui.viewmodels.training.plan import DEFAULT_ROOT, PaceKey, TrainingPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where the training under way stands. ``eta`` is in seconds; NaN is what nobody knows yet."""

    state: ProcessState
    step: int
    total: int
    eta: float
    patches_a_second: float
    memory: int


class Trainer(QObject):
    """Starts, steers and follows one training at a time, and knows the earlier ones."""

    state_changed = Signal()
    progressed = Signal()  # the shown history has grown, or another one is shown
    trainings_changed = Signal()
    brought = Signal()  # the shown training was asked for: bring its progress to the front
    prior_opened = Signal()  # a training's prior is open for reconstruction

    def __init__(self, session: Session, root: Path = DEFAULT_ROOT) -> None:
        super().__init__(session)
        self.session = session
        self._io = ThreadPoolExecutor(1, thread_name_prefix="io-training")
        self.plan = TrainingPlan(session, self._io, root)
        self.process = ChildProcess("training", "Resume goes on from its last checkpoint", self)
        self.process.spoke.connect(self._hear)
        self.process.news.connect(self.progressed)
        self.process.changed.connect(self.state_changed)
        self.process.ended.connect(self._ended)
        self.history = TrainingHistory()  # of the shown training
        self.shown: Path | None = None
        self.running: Path | None = None
        self._running_history = self.history
        self._pace_key: PaceKey | None = None  # of the training under way, where it was planned here
        self.trainings: list[TrainingFolder] = []
        self.compared: set[Path] = set()
        self._folders = FolderReader()
        self._elsewhere: set[Path] = set()
        self.looks = LookChoice(session, self._io)
        self._closed = False
        self._refresh = QTimer(self, singleShot=True, interval=200)
        self._refresh.timeout.connect(lambda: session.spawn(self.refresh_trainings()))

    # The training under way -------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Whether a training is under way."""
        return self.process.active

    @property
    def state(self) -> ProcessState:
        """Where its process stands."""
        return self.process.state

    def standing(self) -> Standing:
        """Progress now, of the training under way or of the one that ran last."""
        history = self._running_history
        return Standing(
            state=self.state,
            step=history.step,
            total=history.total,
            eta=history.left if self.active else math.nan,
            patches_a_second=history.patches_per_second,
            memory=history.memory,
        )

    async def start(self) -> bool:
        """Begin what is planned, in its own folder and its own process."""
        obstacle = self.plan.obstacle()
        if self.active or self._closed:
            return False
        if obstacle:
            self.session.message.emit("warning", obstacle, "")
            return False
        folder, request, key = self.plan.folder, self.plan.request(), self.plan.pace_key
        if await self.session.attempt(self._io, save_request, request, folder) is None:
            return False
        self._pace_key = key
        return self._launch(folder, TrainingHistory())

    async def resume(self, folder: Path, *, more: int = 0) -> bool:
        """Go on where a training stopped, from its last checkpoint; to its end, or for so many ``more`` steps."""
        if self.active or self._closed:
            return False
        found = await self.session.attempt(self._io, self._folders.read, folder)
        if found is None or not found.has_request:
            self.session.message.emit(
                "error", f"The folder of a training was wanted, but {folder} holds none that can be resumed; choose "
                "one with a training.json.", "",
            )  # fmt: skip
            return False
        if folder != self.running and found.active_elsewhere:
            self.session.message.emit(
                "warning", f"Another process has just written into {folder}; stop that training first, or wait until it "
                "has ended.", "",
            )  # fmt: skip
            return False
        self._pace_key = None
        self._elsewhere.add(folder)
        history = await self.session.attempt(self._io, read_history, folder)
        if history is None:
            return False
        longer = ("--steps", str(history.step + more)) if more else ()
        return self._launch(folder, history, *longer)

    async def prolong(self, folder: Path) -> bool:
        """Give a training as many more steps as are planned, and go on."""
        return await self.resume(folder, more=self.plan.estimate.steps)

    def _launch(self, folder: Path, history: TrainingHistory, *options: str) -> bool:
        if self.active or self._closed:
            return False
        self.running, self._running_history = folder, history
        history.finished, history.reason = False, ""
        self._show(folder, history)
        self.brought.emit()
        self.plan.set_busy(True)
        self.process.start("train", "--resume", str(folder), *options)
        return True

    def pause(self) -> None:
        """Hold after the step in hand; memory stays as it is, the processor is free."""
        self.process.pause()

    def go_on(self) -> None:
        """Go on after a pause."""
        self.process.resume()

    def stop(self) -> None:
        """Save and stop; it can be resumed."""
        self.process.stop()

    def _hear(self, event: Mapping[str, Any]) -> None:
        history = self._running_history
        name = history.take(event)
        if name == "warning":
            self.session.message.emit("warning", history.warnings[-1], "")
        elif name in ("look", "saved") and self.shown == self.running:
            self.looks.refresh()

    def _ended(self, failure: ProcessFailure | None) -> None:
        if not self._closed:
            if self._pace_key is not None:
                self.plan.paces.learn(self._pace_key, self._running_history)
            self.plan.set_busy(False)
            self._refresh.start()
        if failure is not None:
            self.session.message.emit("error", failure.sentence, failure.details)
        elif self.state is ProcessState.DONE and self.running is not None:
            why = f" {self._running_history.reason}" if self._running_history.reason else ""
            self.session.message.emit(
                "info", f"The training is done.{why} Its prior is {self.running / PRIOR_FILE}", ""
            )
        self.progressed.emit()
        self.state_changed.emit()

    # What is shown ----------------------------------------------------------------------------------

    def show(self, folder: Path) -> None:
        """Show the curves and looks of this training."""
        if folder == self.running:
            self._show(folder, self._running_history)
            return
        for found in self.trainings:
            if found.path == folder:
                self._show(folder, found.history)

    def _show(self, folder: Path, history: TrainingHistory) -> None:
        self.shown, self.history = folder, history
        self.looks.show(folder, history)
        self.progressed.emit()

    # Earlier trainings ------------------------------------------------------------------------------

    async def refresh_trainings(self) -> None:
        """Read again which trainings there are."""
        found = await self.session.attempt(
            self._io, self._folders.read_all, self.plan.root, set(self._elsewhere)
        )
        if found is not None:
            self.trainings = found
            self.compared &= {training.path for training in found}
            self.trainings_changed.emit()

    async def add_folder(self, folder: Path) -> bool:
        """List a training that lies elsewhere, and show it."""
        found = await self.session.attempt(self._io, self._folders.read, folder)
        if found is None:
            self.session.message.emit(
                "error", f"The folder of a training was wanted, but {folder} is none; choose one that padis-gui train "
                "wrote.", "",
            )  # fmt: skip
            return False
        self._elsewhere.add(folder)
        await self.refresh_trainings()
        self.show(folder)
        return True

    def compare(self, folder: Path, wanted: bool) -> None:
        """Lay this training's curves over the others', or take them away."""
        (self.compared.add if wanted else self.compared.discard)(folder)
        self.trainings_changed.emit()

    def history_of(self, training: TrainingFolder) -> TrainingHistory:
        """Its curves; those of the training under way grow."""
        return self._running_history if training.path == self.running else training.history

    async def use(self, folder: Path) -> bool:
        """Open the prior of a training for reconstruction."""
        path = folder / PRIOR_FILE
        if not path.is_file():
            self.session.message.emit(
                "warning",
                "This training has not saved a prior yet; wait for its first checkpoint, or stop it.",
                "",
            )
            return False
        if not await self.session.prior.open(path):
            return False
        self.session.message.emit("info", f"The open prior is now {path}", "")
        self.prior_opened.emit()
        return True

    async def close(self) -> None:
        """Let the training save and end, then the thread."""
        self._closed = True
        self._refresh.stop()
        self.plan.close()
        self.process.stop()
        await self.process.wait()
        await ended(self._io)
