"""Which run and which of its iterates the window shows: the run under way, or an earlier one, live or at a step."""

from PySide6.QtCore import QObject, Signal

from padis_gui.viewmodels.frames import Frame, Point
from padis_gui.viewmodels.history import History
from padis_gui.viewmodels.runs import RunRecord


class Shown(QObject):
    """``changed`` is emitted when another run or another step is to be shown, not when the live run goes on."""

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.history = History(0)
        self.record: RunRecord | None = None
        self.step: int | None = None

    def follow(self, history: History) -> None:
        """Show a run that is beginning, live."""
        self._show(history, None)

    def show(self, record: RunRecord) -> None:
        """Show a run of the list, at its end."""
        self._show(record.history, record)

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
        frame = self.frame()
        at = steps.index(frame.step) if frame is not None and frame.step in steps else len(steps) - 1
        self.go_to(steps[min(max(at + by, 0), len(steps) - 1)])

    @property
    def live(self) -> bool:
        """Whether the latest iterate is shown, whatever comes."""
        return self.step is None

    def frame(self) -> Frame | None:
        """The shown iterate; None while there is none."""
        if self.step is not None and (frame := self.history.frame_at(self.step)) is not None:
            return frame
        last = self.history.last
        return self.record.final_frame() if last is None and self.record is not None else last

    def point(self) -> Point | None:
        """The shown iterate's numbers."""
        frame = self.frame()
        return None if frame is None else self.history.point_at(frame.step)

    def _show(self, history: History, record: RunRecord | None) -> None:
        self.history, self.record, self.step = history, record, None
        self.changed.emit()
