"""The Studies page: a question to many images, run in a process of its own, with its results as they come."""

import math
from pathlib import Path

from PySide6.QtGui import QAction, QShowEvent
from PySide6.QtWidgets import QWidget

from padis_gui.gui.kit.process import ProcessNote, ProcessPage, ProcessTransport
from padis_gui.gui.kit.widgets import clock
from padis_gui.gui.studies.results import ContactSheet, StudyList, StudyPlot, StudyTable
from padis_gui.gui.studies.setup import StudySetup
from padis_gui.viewmodels.state.process import ProcessState
from padis_gui.viewmodels.studies.studies import Studies

_WORDS = {
    ProcessState.RUNNING: "running", ProcessState.STOPPING: "stopping",
}  # fmt: skip


def state_text(state: ProcessState) -> str:
    """Where a study stands, in a word."""
    return _WORDS.get(state, state.value.lower())


class StudyTransport(ProcessTransport):
    """Buttons for the study's actions, and where it stands."""

    def __init__(self, studies: Studies, page: QWidget) -> None:
        super().__init__(
            "study", page,
            start=("Start study", "Run every combination on every image", self._start),
            pause=("Hold after the step in hand; again to go on", self._pause),
            stop=("Stop; finished runs are kept, and the study can be resumed later", studies.stop),
            bar=("Progress of the study", "Runs done, of all"),
        )  # fmt: skip
        self._studies = studies
        for signal in (studies.state_changed, studies.process.news, studies.plan.changed):
            signal.connect(self.refresh)
        self.refresh()

    def _start(self) -> None:
        self._studies.session.spawn(self._studies.start())

    def _pause(self) -> None:
        paused = self._studies.state is ProcessState.PAUSED
        self._studies.go_on() if paused else self._studies.pause()

    def refresh(self) -> None:
        """Show where the study stands, or what is planned."""
        studies, plan = self._studies, self._studies.plan
        state, obstacle = studies.state, plan.obstacle()
        why_not = "One study at a time: stop this one first" if state.active else obstacle
        self.allow(state, why_not, f"Run every combination: {plan.size()} (Ctrl+R)")
        if studies.running is None or (not state.active and studies.total == 0):
            self.bar.setFormat("")
            self.state.setText("Choose images first" if not plan.request.images else obstacle or plan.size())
            self.state.setToolTip(obstacle)
            return
        self.show_progress(studies.done, studies.total, state, "run")
        failed = f", {studies.failed} failed" if studies.failed else ""
        training = studies.note if studies.note.startswith("training ") else ""
        self.state.setText(f"{studies.running.name}: {training or state_text(state)}{failed}")
        self.state.setToolTip(studies.note)
        left = studies.seconds_left
        planned = f"Next: {plan.size()}" if not state.active and not obstacle else " "
        self.time.setText(f"{clock(left)} left" if math.isfinite(left) else planned)


class StudyNote(ProcessNote):
    """How far the study is."""

    def __init__(self, studies: Studies, page: QAction) -> None:
        super().__init__("study", page)
        self._studies = studies
        studies.state_changed.connect(self.refresh)
        studies.process.news.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show where the study stands; nothing without one."""
        studies = self._studies
        if not studies.active or studies.running is None:
            self.say("")
            return
        share = f", {studies.done} of {studies.total} runs" if studies.total else ""
        self.say(f"Study {studies.running.name}{share}")


class StudiesPage(ProcessPage):
    """On the right table, plot, pictures and all studies."""

    def __init__(self, studies: Studies) -> None:
        super().__init__()
        self._studies = studies
        self.setup = StudySetup(studies.plan)
        self.transport = StudyTransport(studies, self)
        self.table, self.plot = StudyTable(studies), StudyPlot(studies)
        self.sheet, self.list = ContactSheet(studies), StudyList(studies)
        self._lay_out(self.setup, self.transport, (
            (self.table, "Table", "Means, their confidence, and paired differences"),
            (self.plot, "Plot", "The same, drawn"),
            (self.sheet, "Pictures", "What each run made of an image"),
            (self.list, "Studies", "All studies, to look at and to go on with"),
        ))  # fmt: skip
        studies.brought.connect(self._bring)
        studies.session.prior.changed.connect(self.setup.methods.refresh)
        studies.session.data.changed.connect(self.setup.images.refresh)
        studies.state_changed.connect(lambda: self.setup.note.setVisible(studies.active))

    def _bring(self) -> None:
        """A study is shown: from the list to its table."""
        if self.tabs.currentWidget() is self.list:
            self.tabs.setCurrentWidget(self.table)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._studies.session.spawn(self._studies.refresh_list())

    def take(self, paths: tuple[Path, ...]) -> None:
        """Compare on them."""
        self._studies.plan.choose_images(paths)
