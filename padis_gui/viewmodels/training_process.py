"""A training as a process of its own: ``padis-gui train … --events``, read and steered through its pipes.

The window and the training can't take each other down. The words ``pause``, ``resume`` and ``stop`` go in, one JSON
event a line comes out. A training whose window has died reads the end of its input, saves and stops.
"""

import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from PySide6.QtCore import QObject, QProcess, QTimer, Signal

log = logging.getLogger(__name__)

# Stopping saves, which takes as long as the step or the look in hand and writing the state: be patient, then firm.
STOP_SECONDS, TERMINATE_SECONDS = 90, 30
_NICENESS = 5  # the window and a reconstruction come first where cores are few
_KEPT_LINES = 40
_LONGEST_LINE = 64 * 2**20


class TrainingState(Enum):
    """Where the training process stands."""

    IDLE = "Ready"
    STARTING = "Starting"
    RUNNING = "Training"
    PAUSED = "Paused"
    STOPPING = "Saving and stopping"
    STOPPED = "Stopped"
    DONE = "Done"
    FAILED = "Failed"

    @property
    def active(self) -> bool:
        """Whether there is a process."""
        return self in _ACTIVE


_ACTIVE = (TrainingState.STARTING, TrainingState.RUNNING, TrainingState.PAUSED, TrainingState.STOPPING)


@dataclass(frozen=True, slots=True)
class ProcessFailure:
    """A sentence for the user, and what the process said on its way out."""

    sentence: str
    details: str = ""


def train_command(arguments: Sequence[str]) -> list[str]:
    """The command line of ``padis-gui train`` in this interpreter, or in the frozen program."""
    return command_line("train", *arguments)


def command_line(*arguments: str) -> list[str]:
    """The program on the command line, in this interpreter, or frozen."""
    program = [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, "-m", "padis_gui"]
    return [*program, *arguments]


class TrainingProcess(QObject):
    """Runs one training at a time. Its state follows the events, not the clicks.

    Whatever else speaks like a training is followed by a subclass that says what it ``runs``, what ``goes_on`` after a
    crash, and which events show that it is ``alive``.
    """

    runs = "training"
    goes_on = "Resume goes on from its last checkpoint"
    alive: tuple[str, ...] = ("step", "resumed")

    changed = Signal()
    spoke = Signal(dict)  # one event
    ended = Signal(object)  # a ProcessFailure, or None

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.state = TrainingState.IDLE
        self._process: QProcess | None = None
        self._finished = False
        self._complaints: list[str] = []
        self._patience = QTimer(self, singleShot=True)
        self._patience.timeout.connect(self._press)

    @property
    def active(self) -> bool:
        """Whether there is a process."""
        return self.state.active

    def start(self, command: Sequence[str]) -> None:
        """Start the process; ignored while there is one."""
        if self.active:
            return
        process = QProcess(self)
        process.setProgram(command[0])
        process.setArguments(list(command[1:]))
        process.readyReadStandardOutput.connect(self._read_events)
        process.readyReadStandardError.connect(self._read_complaints)
        process.started.connect(self._give_way)
        process.finished.connect(self._end)
        process.errorOccurred.connect(self._fail_to_start)
        self._process, self._finished, self._complaints = process, False, []
        self._become(TrainingState.STARTING)
        process.start()

    def pause(self) -> None:
        """Hold after the step in hand."""
        if self.state in (TrainingState.STARTING, TrainingState.RUNNING):
            self._say("pause")

    def resume(self) -> None:
        """Go on after a pause."""
        if self.state is TrainingState.PAUSED:
            self._say("resume")

    def stop(self) -> None:
        """Save and stop; firmer after a while, in case the process hangs."""
        if not self.active or self.state is TrainingState.STOPPING or self._process is None:
            return
        self._say("stop")
        self._process.closeWriteChannel()
        self._become(TrainingState.STOPPING)
        self._patience.start(STOP_SECONDS * 1000)

    def _press(self) -> None:
        """SIGTERM, which saves too; then the end. The checkpoint on the disk is whole at any moment."""
        process = self._process
        if process is None:
            return
        if self._patience.property("firm"):
            log.warning("The %s's process did not end when told to; it was killed.", self.runs)
            process.kill()
            return
        self._patience.setProperty("firm", True)
        process.terminate()
        self._patience.start(TERMINATE_SECONDS * 1000)

    def _say(self, word: str) -> None:
        if self._process is not None:
            self._process.write(f"{word}\n".encode())

    def _give_way(self) -> None:
        if self._process is not None and hasattr(os, "setpriority"):
            try:
                os.setpriority(os.PRIO_PROCESS, int(self._process.processId()), _NICENESS)
            except OSError:  # a matter of courtesy only
                log.debug("The %s's process keeps its priority.", self.runs, exc_info=True)

    def _read_events(self) -> None:
        process = self._process
        if process is None:
            return
        process.setReadChannel(QProcess.ProcessChannel.StandardOutput)
        while process.canReadLine():
            line = bytes(process.readLine().data())
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                event = None
            if isinstance(event, dict):
                self._follow(str(event.get("event", "")))
                self.spoke.emit(event)
            else:
                self._complain(line)
        if process.bytesAvailable() > _LONGEST_LINE:
            process.readAllStandardOutput()

    def _follow(self, name: str) -> None:
        """What an event says of the state; while stopping, only the end changes it."""
        if name == "done":
            self._finished = True
        if self.state is TrainingState.STOPPING:
            return
        if name == "paused":
            self._become(TrainingState.PAUSED)
        elif name in self.alive and self.state is not TrainingState.RUNNING:
            self._become(TrainingState.RUNNING)

    def _read_complaints(self) -> None:
        if self._process is not None:
            for line in bytes(self._process.readAllStandardError().data()).splitlines():
                self._complain(line)

    def _complain(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").strip()
        if text:
            self._complaints = [*self._complaints[1 - _KEPT_LINES :], text[:2000]]

    def _fail_to_start(self, error: QProcess.ProcessError) -> None:
        if error is QProcess.ProcessError.FailedToStart and self._process is not None:
            said = self._process.errorString()
            self._leave(
                TrainingState.FAILED,
                ProcessFailure(f"The {self.runs}'s process could not be started ({said}); try again."),
            )

    def _end(self, code: int, status: QProcess.ExitStatus) -> None:
        if self._process is None:
            return
        self._read_events()
        self._read_complaints()
        asked = self.state is TrainingState.STOPPING
        crashed = status is QProcess.ExitStatus.CrashExit
        details = "\n".join(self._complaints)
        if self._finished and not crashed:
            self._leave(TrainingState.DONE, None)
        elif asked or code in (0, 130):
            self._leave(TrainingState.STOPPED, None)
        elif crashed or code not in (1, 2):
            self._leave(
                TrainingState.FAILED,
                ProcessFailure(
                    f"The {self.runs}'s process ended unexpectedly, perhaps for lack of memory; {self.goes_on}.",
                    details or f"exit code {code}",
                ),
            )
        else:  # the command line's own sentence
            prefix = "padis-gui: "
            told = [line.removeprefix(prefix) for line in self._complaints if line.startswith(prefix)]
            sentence = told[-1] if told else f"The {self.runs} stopped without saying why; copy the report."
            self._leave(TrainingState.FAILED, ProcessFailure(sentence, "" if told else details))

    def _leave(self, state: TrainingState, failure: ProcessFailure | None) -> None:
        self._patience.stop()
        self._patience.setProperty("firm", False)
        if self._process is not None:
            self._process.deleteLater()
            self._process = None
        self._become(state)
        self.ended.emit(failure)

    def _become(self, state: TrainingState) -> None:
        if state is not self.state:
            self.state = state
            self.changed.emit()
