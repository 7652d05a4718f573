"""Which run and which of its iterates the window shows: the run under way, or an earlier one, live or at a step."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from padis_gui.core.images.image import Image
from padis_gui.core.runs.engine import Result
from padis_gui.core.runs.recipe import Recipe
from padis_gui.viewmodels.pictures.frames import CurvePoint, History, IteratePictures, ProblemPictures
from padis_gui.viewmodels.pictures.planes import VoxelGrid
from padis_gui.viewmodels.pictures.volumes import VolumeFrame, grid_of
from padis_gui.viewmodels.runs.run import Ended, Task
from padis_gui.viewmodels.runs.runs import RunRecord, frame_of


@dataclass(frozen=True, kw_only=True)
class Seen:
    """All that says which run is shown."""

    history: History = field(default_factory=lambda: History(0))
    record: RunRecord | None = None
    result: Result | None = None
    made_of: Task | None = None
    pictures: ProblemPictures | None = None


class Shown(QObject):
    """``changed`` is emitted when another run or another step is to be shown, not when the live run goes on, and
    ``result_changed`` when :attr:`result` is another one: what is exported.

    ``history`` keeps the shown run's iterates. ``record`` is the run of the list that is shown, None for one that was
    followed from its beginning; ``made_of`` is what that one was made of, and ``pictures`` what it measured, once that
    is prepared. ``step`` is None where the latest iterate is shown, whatever comes.
    """

    changed = Signal()
    result_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.history = History(0)
        self.record: RunRecord | None = None
        self.step: int | None = None
        self.result: Result | None = None
        self.made_of: Task | None = None
        self.pictures: ProblemPictures | None = None
        self._final: IteratePictures | None = (
            None  # the shown record's result as a frame, once it was asked for
        )

    def follow(self, history: History, task: Task, pictures: ProblemPictures | None = None) -> None:
        """Show a run that is under way, live; ``pictures`` are what it measures, where that is prepared."""
        self.again(Seen(history=history, made_of=task, pictures=pictures))

    def end(self, ended: Ended) -> None:
        """A run has ended; ignored unless it is the shown one. One that has no result is shown no longer."""
        outcome = ended.outcome
        if self.history is not ended.history or self.record is not None:
            return
        if outcome.result is None:
            self.clear()
            return
        self.result = outcome.result
        if outcome.error is None:
            self.made_of = replace(ended.task, method=ended.last_method)
        self.result_changed.emit()

    def show(self, record: RunRecord) -> None:
        """Put an earlier run's result in the panes; what is exported is then that one."""
        self.again(Seen(history=record.history, record=record, result=record.result))

    def clear(self) -> None:
        """Show no run at all."""
        if self.anything:
            self.again(Seen())

    def take_pictures(self, history: History, pictures: ProblemPictures) -> None:
        """A run has prepared what it measures; ignored unless it is shown live."""
        if self.history is history and self.record is None and pictures is not self.pictures:
            self.pictures = pictures
            self.changed.emit()

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
    def seen(self) -> Seen:
        """What is shown now, for :meth:`again`."""
        return Seen(
            history=self.history, record=self.record, result=self.result, made_of=self.made_of, pictures=self.pictures
        )  # fmt: skip

    def again(self, seen: Seen) -> None:
        """Show this, at its latest iterate."""
        other = seen.result is not self.result
        self.history, self.record, self.step, self._final = seen.history, seen.record, None, None
        self.result, self.made_of, self.pictures = seen.result, seen.made_of, seen.pictures
        self.changed.emit()
        if other:
            self.result_changed.emit()

    # What it is of ----------------------------------------------------------------------------------

    @property
    def anything(self) -> bool:
        """Whether a run is shown."""
        return self.record is not None or self.made_of is not None

    @property
    def live(self) -> bool:
        """Whether the latest iterate is shown, whatever comes."""
        return self.step is None

    @property
    def recipe(self) -> Recipe | None:
        """Of the shown run; a draft while it is under way."""
        if self.result is not None:
            return self.result.recipe
        if self.record is not None:
            return self.record.recipe
        return None if self.made_of is None else self.made_of.recipe

    @property
    def grid(self) -> VoxelGrid | None:
        """The voxels of the shown run, where it is of a volume and that is known; None for an image."""
        if self.made_of is not None:
            image = None if self.made_of.method.imageless else self.made_of.opened.image
            return None if image is None or not image.is_volume else grid_of(image)
        frame = self.frame()
        return frame.grid if isinstance(frame, VolumeFrame) else None

    def is_of(self, image: Image | None, path: Path | None) -> bool:
        """Whether the shown run is of this image, as it was opened from that file."""
        made = None if self.made_of is None else self.made_of.opened.image
        volume = made is not None and made.is_volume  # which is read anew for each run
        if self.record is None and self.made_of is not None and not volume:
            return made is image
        recipe = self.recipe
        return recipe is not None and recipe.is_of_data(image, path)

    def frame(self) -> IteratePictures | None:
        """The shown iterate as it was kept; None while there is none."""
        if self.step is not None and (frame := self.history.frame_at(self.step)) is not None:
            return frame
        last = self.history.last
        if last is not None or self._final is not None:
            return last or self._final
        if self.record is not None:
            self._final = self.record.final_frame()
        elif (found := self.result) is not None:  # of its iterates none could be kept
            self._final = frame_of(found, found.step, found.total, found.sigma)
        return self._final

    def point(self) -> CurvePoint | None:
        """The shown iterate's numbers."""
        frame = self.frame()
        return None if frame is None else self.history.point_at(frame.step)
