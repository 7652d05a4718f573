"""Which run and which of its iterates the window shows: the run under way, or an earlier one, live or at a step."""

from dataclasses import replace

from PySide6.QtCore import QObject, Signal

from padis_gui.core.runs.engine import Result
from padis_gui.viewmodels.pictures.frames import CurvePoint, History, IteratePictures
from padis_gui.viewmodels.runs.run import Ended, Task
from padis_gui.viewmodels.runs.runs import RunRecord
from padis_gui.viewmodels.state.opened import Preparation


class Shown(QObject):
    """``changed`` is emitted when another run or another step is to be shown, not when the live run goes on, and
    ``result_changed`` when :attr:`result` is another one: what is exported.

    ``history`` keeps the shown run's iterates. ``record`` is the run of the list that is shown, None for one that was
    followed from its beginning; ``made_of`` is what that one was made of. ``step`` is None where the latest iterate is
    shown, whatever comes.
    """

    changed = Signal()
    result_changed = Signal()

    def __init__(self, preparation: Preparation, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._preparation = preparation
        self.history = History(0)
        self.record: RunRecord | None = None
        self.step: int | None = None
        self.result: Result | None = None
        self.made_of: Task | None = None

    def follow(self, history: History, task: Task) -> None:
        """Show a run that is beginning, live."""
        self.made_of = task
        self._show(history, None)

    def end(self, ended: Ended) -> None:
        """A run has ended; ignored unless it is the shown one and has a result."""
        outcome = ended.outcome
        if outcome.result is None or self.history is not ended.history:
            return
        self.result = outcome.result
        if outcome.error is None:
            self.made_of = replace(ended.task, method=ended.last_method)
        self.result_changed.emit()

    def show(self, record: RunRecord) -> None:
        """Put an earlier run's result in the panes; what is exported is then that one."""
        self.result, self.made_of = record.result, None
        self._show(record.history, record)
        self.result_changed.emit()

    def clear(self) -> None:
        """Show no run at all."""
        self._show(History(0), None)

    def go_to(self, step: int | None) -> None:
        """Show the kept iterate that is nearest to a step; None for the latest one, and those that follow."""
        if step is not None:
            frame = self.history.frame_at(step)
            step = None if frame is None else frame.step
        if step != self.step:
            self.step = step
            self.changed.emit()

    def move(self, by: int) -> None:
        """Go on by that many kept iterates, or back; stays within the first and the last."""
        steps = self.history.steps
        if not steps:
            return
        frame = self._frame()
        at = steps.index(frame.step) if frame is not None and frame.step in steps else len(steps) - 1
        self.go_to(steps[min(max(at + by, 0), len(steps) - 1)])

    @property
    def live(self) -> bool:
        """Whether the latest iterate is shown, whatever comes."""
        return self.step is None

    def frame(self) -> IteratePictures | None:
        """The shown iterate, with its difference to the truth where that is known; None while there is none."""
        frame, record, pictures = self._frame(), self.record, self._preparation.pictures
        if frame is None or frame.difference is not None or record is None or pictures is None:
            return frame
        same = record.recipe.is_of_data(pictures.prepared.opened)
        return frame.against(pictures.truth) if same else frame

    def _frame(self) -> IteratePictures | None:
        if self.step is not None and (frame := self.history.frame_at(self.step)) is not None:
            return frame
        last = self.history.last
        return self.record.final_frame() if last is None and self.record is not None else last

    def point(self) -> CurvePoint | None:
        """The shown iterate's numbers."""
        frame = self._frame()
        return None if frame is None else self.history.point_at(frame.step)

    def _show(self, history: History, record: RunRecord | None) -> None:
        self.history, self.record, self.step = history, record, None
        self.changed.emit()
