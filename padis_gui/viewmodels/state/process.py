"""Long work as a process of its own: ``padis-gui train|volume|study … --events``, read and steered through its pipes.

The window and the work can't take each other down. The words ``pause``, ``resume`` and ``stop`` go in, one JSON event
a line comes out. Work whose window has died reads the end of its input, saves and stops.
"""

import asyncio
import json
import logging
import os
import sys
from dataclasses import dataclass
from enum import Enum

from PySide6.QtCore import QObject, QProcess, QTimer, Signal

log = logging.getLogger(__name__)

# Stopping saves, which takes as long as the step or the look in hand and writing the state: be patient, then firm.
STOP_SECONDS, TERMINATE_SECONDS = 90, 30
_NICENESS = 5  # the window and a reconstruction come first where cores are few
_KEPT_LINES = 40
_LONGEST_LINE = 64 * 2**20
_NEWS_MS = 150  # fast work has more news than eyes
_ALIVE = ("step", "slice", "volume", "case", "resumed")  # events that show that it is under way


class ProcessState(Enum):
    """Where the process stands; the words are those of a training."""

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
        return self in _ACTIVE


_ACTIVE = (ProcessState.STARTING, ProcessState.RUNNING, ProcessState.PAUSED, ProcessState.STOPPING)


@dataclass(frozen=True, slots=True)
class ProcessFailure:
    """A sentence for the user, and what the process said on its way out."""

    sentence: str
    details: str = ""


def command_line(*arguments: str) -> list[str]:
    """The program on the command line, in this interpreter, or frozen."""
    program = [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, "-m", "padis_gui"]
    return [*program, *arguments]


class ChildProcess(QObject):
    """Runs one process at a time. Its state follows the events, not the clicks."""

    changed = Signal()
    spoke = Signal(dict)  # one event
    news = Signal()  # it has spoken, several times a second at most
    ended = Signal(object)  # a ProcessFailure, or None

    def __init__(self, work: str, goes_on: str, parent: QObject | None = None) -> None:
        """``work`` names what it does, as in "the training's process"; ``goes_on`` says what to do after a crash."""
        super().__init__(parent)
        self._work, self._goes_on = work, goes_on
        self.state = ProcessState.IDLE
        self._idle = asyncio.Event()
        self._idle.set()
        self._process: QProcess | None = None
        self._finished = False
        self._complaints: list[str] = []
        self._patience = QTimer(self, singleShot=True)
        self._patience.timeout.connect(self._press)
        self._news = QTimer(self, singleShot=True, interval=_NEWS_MS)
        self._news.timeout.connect(self.news)

    @property
    def active(self) -> bool:
        return self.state.active

    def start(self, *arguments: str) -> None:
        """Start ``padis-gui`` with these arguments and ``--events``; ignored while there is a process."""
        if self.active:
            return
        program, *rest = command_line(*arguments, "--events")
        process = QProcess(self)
        process.setProgram(program)
        process.setArguments(rest)
        process.readyReadStandardOutput.connect(self._read_events)
        process.readyReadStandardError.connect(self._read_complaints)
        process.started.connect(self._give_way)
        process.finished.connect(self._end)
        process.errorOccurred.connect(self._fail_to_start)
        self._process, self._finished, self._complaints = process, False, []
        self._idle.clear()
        self._become(ProcessState.STARTING)
        process.start()

    def pause(self) -> None:
        """Hold after the step in hand."""
        if self.state in (ProcessState.STARTING, ProcessState.RUNNING):
            self._say("pause")

    def resume(self) -> None:
        """Go on after a pause."""
        if self.state is ProcessState.PAUSED:
            self._say("resume")

    def stop(self) -> None:
        """Save and stop; firmer after a while, in case the process hangs."""
        if not self.active or self.state is ProcessState.STOPPING or self._process is None:
            return
        self._say("stop")
        self._process.closeWriteChannel()
        self._become(ProcessState.STOPPING)
        self._patience.start(STOP_SECONDS * 1000)

    async def wait(self) -> None:
        """Until there is no process."""
        await self._idle.wait()

    def _press(self) -> None:
        """SIGTERM, which saves too; then the end. The checkpoint on the disk is whole at any moment."""
        process = self._process
        if process is None:
            return
        if self._patience.property("firm"):
            log.warning("The %s's process did not end when told to; it was killed.", self._work)
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
                log.debug("The %s's process keeps its priority.", self._work, exc_info=True)

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
                if not self._news.isActive():
                    self._news.start()
            else:
                self._complain(line)
        if process.bytesAvailable() > _LONGEST_LINE:
            process.readAllStandardOutput()

    def _follow(self, name: str) -> None:
        """What an event says of the state; while stopping, only the end changes it."""
        if name == "done":
            self._finished = True
        if self.state is ProcessState.STOPPING:
            return
        if name == "paused":
            self._become(ProcessState.PAUSED)
        elif name in _ALIVE and self.state is not ProcessState.RUNNING:
            self._become(ProcessState.RUNNING)

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
                ProcessState.FAILED,
                ProcessFailure(f"The {self._work}'s process could not be started ({said}); try again."),
            )

    def _end(self, code: int, status: QProcess.ExitStatus) -> None:
        if self._process is None:
            return
        self._read_events()
        self._read_complaints()
        asked = self.state is ProcessState.STOPPING
        crashed = status is QProcess.ExitStatus.CrashExit
        details = "\n".join(self._complaints)
        if self._finished and not crashed:
            self._leave(ProcessState.DONE, None)
        elif asked or code in (0, 130):
            self._leave(ProcessState.STOPPED, None)
        elif crashed or code not in (1, 2):
            self._leave(
                ProcessState.FAILED,
                ProcessFailure(
                    f"The {self._work}'s process ended unexpectedly, perhaps for lack of memory; {self._goes_on}.",
                    details or f"exit code {code}",
                ),
            )
        else:  # the command line's own sentence
            prefix = "padis-gui: "
            told = [line.removeprefix(prefix) for line in self._complaints if line.startswith(prefix)]
            sentence = told[-1] if told else f"The {self._work} stopped without saying why; copy the report."
            self._leave(ProcessState.FAILED, ProcessFailure(sentence, "" if told else details))

    def _leave(self, state: ProcessState, failure: ProcessFailure | None) -> None:
        self._patience.stop()
        self._patience.setProperty("firm", False)
        if self._process is not None:
            self._process.deleteLater()
            self._process = None
        self._become(state)
        self._idle.set()
        self.ended.emit(failure)

    def _become(self, state: ProcessState) -> None:
        if state is not self.state:
            self.state = state
            self.changed.emit()
