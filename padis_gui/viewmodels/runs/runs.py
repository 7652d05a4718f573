"""The list of runs: each with its recipe, result, curves and kept iterates, within a memory budget."""

import logging
import math
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import torch
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from padis_gui.core.images.image import Image
from padis_gui.core.images.metrics import Calibration
from padis_gui.core.runs.engine import Result
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.solvers.registry import find_solver
from padis_gui.viewmodels.pictures.frames import DEFAULT_BUDGET, History, IteratePictures, for_display
from padis_gui.viewmodels.pictures.volumes import frame_of_result

log = logging.getLogger(__name__)

THUMBNAIL_SIDE = 56
_PIXELS_A_SIDE = 16  # of the image, in one of its thumbnail
RESULTS_BUDGET = 16 * 2**20  # of results that are on disk too: one of 2048 x 2048, 64 of 256 x 256
_UNDOABLE = 20  # deletions that can be taken back


def thumbnail(image: Image, side: int = THUMBNAIL_SIDE) -> NDArray[np.uint8]:
    """A small picture of an image in its window, at most ``side`` px long: (rows, columns) or (rows, columns, 3), 0 to
    255."""
    if image.is_volume:  # its middle slice
        middle = image.channels // 2
        image = replace(image, pixels=image.pixels[middle : middle + 1], slices=())
    scale = min(1.0, side / max(image.shape))
    # a picture of 12 million pixels takes no longer than a small one
    every = max(1, int(1 / scale) // _PIXELS_A_SIDE)
    seen = image.pixels[: 3 if image.channels >= 3 else 1, ::every, ::every]
    channels = replace(image, pixels=np.ascontiguousarray(seen), measured=None).to_unit()
    size = (max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale)))
    small = torch.nn.functional.interpolate(channels[None], size=size, mode="area")[0]
    small = torch.nan_to_num(small)
    pixels: NDArray[np.uint8] = (for_display(small.numpy()) * 255).round().astype(np.uint8)
    return pixels


@dataclass(eq=False)
class RunRecord:
    """One run that ended with an estimate.

    ``state`` says how it ended, ``when`` in UTC: with the estimate of ``step`` of ``total`` steps at noise level
    ``sigma``, which has ``seam_ratio``; 0 and NaN are not known. Its pixels have ``shape`` (C, rows, columns), of a volume
    (slices, rows, columns), None where
    an earlier version did not write that, and ``unit``. ``history`` keeps its curves' points and, while there is memory,
    its iterates. ``group`` is the id of the set of samples that it belongs to; the set itself has ``calibration`` where
    the truth is known. ``note`` is what else is known of it. ``load`` reads the result again where it is no longer in
    memory.
    """

    id: str
    name: str
    recipe: Recipe
    metrics: dict[str, float]
    seconds: float
    evaluations: int
    when: datetime
    state: str
    thumbnail: NDArray[np.uint8]
    history: History
    step: int = 0
    total: int = 0
    sigma: float = math.nan
    seam_ratio: float = math.nan
    shape: tuple[int, int, int] | None = None
    unit: str = ""
    pinned: bool = False
    group: str | None = None
    note: str = ""
    calibration: Calibration | None = None
    load: Callable[[], Result] | None = None
    _result: Result | None = field(default=None, repr=False)

    @property
    def result(self) -> Result | None:
        """The result, read from its file where it is no longer in memory; None where it is gone."""
        if self._result is None and self.load is not None:
            try:
                self._result = self.load()
            except Exception as error:  # whatever has happened to the file in the meantime
                log.warning("The result of %s cannot be read again: %s", self.name, error)
                self.load = None
        return self._result

    @property
    def solver_label(self) -> str:
        """The method's name as the form has it."""
        return find_solver(self.recipe.solver).label

    @property
    def nbytes(self) -> int:
        """Memory that the result takes now."""
        return 0 if self._result is None else self._result.nbytes

    @property
    def forgettable(self) -> bool:
        """Whether the result is in memory and can be read again from a file."""
        return self._result is not None and self.load is not None

    def forget(self) -> None:
        """Let go of the result's pixels; :attr:`result` reads them again."""
        self._result = None

    def final_frame(self) -> IteratePictures | None:
        """The result as a frame, for where no iterate is kept."""
        result = self.result
        return None if result is None else frame_of(result, self.step, self.total, self.sigma)


def frame_of(result: Result, step: int, total: int, sigma: float) -> IteratePictures:
    """A result as the iterate that it was."""
    if result.image.is_volume:
        return frame_of_result(result.image, step=step, total=total, sigma=sigma)
    spread = result.deviation
    return IteratePictures(
        step=step, total=total, sigma=sigma, estimate=for_display(result.pixels),
        deviation=None if spread is None else for_display(spread),
    )  # fmt: skip


def shape_of(result: Result) -> tuple[int, int, int]:
    """(C, rows, columns) of its pixels."""
    channels, rows, columns = result.pixels.shape
    return channels, rows, columns


def record_of(result: Result, history: History, *, name: str, state: str) -> RunRecord:
    """A new record of a run that has just ended."""
    return RunRecord(
        id=uuid.uuid4().hex[:12],
        name=name,
        recipe=result.recipe,
        metrics=result.metrics,
        seconds=result.seconds,
        evaluations=result.evaluations,
        when=datetime.now(UTC),
        state=state,
        thumbnail=thumbnail(result.image),
        history=history,
        step=result.step,
        total=result.total,
        sigma=result.sigma,
        seam_ratio=history.seam_ratio,
        shape=shape_of(result),
        unit=result.unit,
        _result=result,
    )


class Runs(QObject):
    """The records, the oldest first. ``history_budget`` and ``results_budget`` bound what they keep in memory.

    ``changed`` is emitted when a record comes, goes or is another, ``edited`` with the one that is another or new;
    ``compare`` with two of them that are to be
    seen against each other.
    """

    changed = Signal()
    edited = Signal(object)
    selection_changed = Signal()
    ticked_changed = Signal()
    removed = Signal(object)  # ids whose files are to go, since nothing can bring them back
    compare = Signal(object, object)

    def __init__(
        self,
        history_budget: int = DEFAULT_BUDGET,
        results_budget: int = RESULTS_BUDGET,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.history_budget, self.results_budget = history_budget, results_budget
        self._records: dict[str, RunRecord] = {}
        self._deleted: list[list[RunRecord]] = []
        self._selected: tuple[str, ...] = ()
        self._ticked: set[str] = set()
        self._count = 0

    # What there is ----------------------------------------------------------------------------------

    @property
    def records(self) -> tuple[RunRecord, ...]:
        """All records, in the order in which they came."""
        return tuple(self._records.values())

    def find(self, identity: str) -> RunRecord | None:
        """The record with that id."""
        return self._records.get(identity)

    def members(self, group: str) -> tuple[RunRecord, ...]:
        """The samples of a set."""
        return tuple(record for record in self._records.values() if record.group == group)

    def next_name(self) -> str:
        """A name for the next record, never given twice."""
        self._count += 1
        return f"Run {self._count}"

    def take_back(self, name: str) -> None:
        """The latest name was given to something that came to nothing: it is the next one again."""
        if name == f"Run {self._count}":
            self._count -= 1

    def add(self, record: RunRecord) -> None:
        """Put a record at the end of the list."""
        self._records[record.id] = record
        self._hold_to_budgets()
        self.edited.emit(record)
        self.changed.emit()

    def restore(self, records: Iterable[RunRecord], count: int) -> None:
        """Put the records of an earlier session before those of this one."""
        self._records = {record.id: record for record in records} | self._records
        self._count = max(self._count, count)
        self._hold_to_budgets()
        self.changed.emit()

    @property
    def count(self) -> int:
        """How many names have been given."""
        return self._count

    # What the user does -----------------------------------------------------------------------------

    @property
    def selected(self) -> tuple[RunRecord, ...]:
        """The selected records, in the order in which they were selected."""
        return tuple(self._records[identity] for identity in self._selected if identity in self._records)

    def select(self, identities: Iterable[str]) -> None:
        """Select these records."""
        chosen = tuple(identities)
        if chosen != self._selected:
            self._selected = chosen
            self.selection_changed.emit()

    @property
    def ticked(self) -> tuple[RunRecord, ...]:
        """The ticked records, in the order in which they came; deleted ones are ticked again once they are back."""
        return tuple(record for record in self._records.values() if record.id in self._ticked)

    @property
    def ticked_ids(self) -> frozenset[str]:
        """Their ids."""
        return frozenset(self._ticked)

    def tick(self, identities: Iterable[str], ticked: bool) -> None:
        """Tick records, or take their ticks away: those that are ticked are exported together."""
        before = set(self._ticked)
        if ticked:
            self._ticked |= set(identities)
        else:
            self._ticked -= set(identities)
        if self._ticked != before:
            self.ticked_changed.emit()

    def rename(self, identity: str, name: str) -> None:
        """Call a record otherwise; an empty name changes nothing."""
        record = self._records.get(identity)
        if record is not None and name.strip() and name.strip() != record.name:
            record.name = name.strip()[:200]
            self.edited.emit(record)
            self.changed.emit()

    def pin(self, identity: str, pinned: bool) -> None:
        """Pinned records are not deleted, and not the first to go where memory or disk are short."""
        record = self._records.get(identity)
        if record is not None and record.pinned != pinned:
            record.pinned = pinned
            self.edited.emit(record)
            self.changed.emit()

    def remark(self, identity: str, note: str) -> None:
        """Say what else is known of a record."""
        record = self._records.get(identity)
        if record is not None and record.note != note:
            record.note = note
            self.edited.emit(record)
            self.changed.emit()

    def delete(self, identities: Iterable[str]) -> int:
        """Delete records and the samples of deleted sets, pinned ones excepted; returns how many went."""
        chosen = set(identities)
        gone = [
            record
            for record in self._records.values()
            if (record.id in chosen or record.group in chosen) and not record.pinned
        ]
        if not gone:
            return 0
        for record in gone:
            del self._records[record.id]
        self._deleted.append(gone)
        while len(self._deleted) > _UNDOABLE:
            self._let_go(self._deleted.pop(0))
        self._hold_to_budgets()
        self.changed.emit()
        return len(gone)

    @property
    def can_undo(self) -> bool:
        """Whether a deletion can be taken back."""
        return bool(self._deleted)

    def undo_delete(self) -> int:
        """Bring back what the last deletion took, to where it was; returns how many came."""
        if not self._deleted:
            return 0
        back = self._deleted.pop()
        together = sorted([*self._records.values(), *back], key=lambda record: record.when)
        self._records = {record.id: record for record in together}
        self.changed.emit()
        return len(back)

    @property
    def deleted(self) -> tuple[RunRecord, ...]:
        """The deleted records that can still be brought back."""
        return tuple(record for batch in self._deleted for record in batch)

    def drop(self, identities: Iterable[str]) -> None:
        """Records whose files had to go: they are gone for good."""
        for identity in identities:
            self._records.pop(identity, None)
        self.changed.emit()

    def empty_bin(self) -> None:
        """Deletions cannot be taken back any more."""
        while self._deleted:
            self._let_go(self._deleted.pop())

    def compare_selected(self) -> bool:
        """Ask for the comparison of the two selected records; False unless two are selected."""
        if len(self.selected) != 2:
            return False
        self.compare.emit(*self.selected)
        return True

    # Memory -----------------------------------------------------------------------------------------

    @property
    def nbytes(self) -> int:
        """Memory of all kept iterates and results, deleted ones included."""
        return sum(record.history.nbytes + record.nbytes for record in self._all())

    def make_room(self) -> int:
        """Thin the kept iterates of old runs to half of the budget; returns what a new run may take."""
        self._thin_histories(self.history_budget // 2)
        return self.history_budget - sum(record.history.nbytes for record in self._all())

    def _all(self) -> list[RunRecord]:
        return [*self._records.values(), *self.deleted]

    def _hold_to_budgets(self) -> None:
        self._thin_histories(self.history_budget)
        records = self._all()
        taken = sum(record.nbytes for record in records)
        for record in records:
            if taken <= self.results_budget:
                break
            if record.forgettable:
                taken -= record.nbytes
                record.forget()

    def _thin_histories(self, budget: int) -> None:
        """Halve the largest history, an earlier one first, until all together fit."""
        sizes = {record.id: (record.history.nbytes, record) for record in self._all()}
        taken = sum(size for size, _ in sizes.values())
        while taken > budget:
            size, record = max(sizes.values(), key=lambda entry: entry[0])
            record.history.halve()
            sizes[record.id] = (record.history.nbytes, record)
            taken += record.history.nbytes - size

    def _let_go(self, records: Iterable[RunRecord]) -> None:
        self.removed.emit([record.id for record in records])
