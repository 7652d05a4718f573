"""The queue: runs that wait for their turn in the one compute thread, and what has become of earlier ones."""

import uuid
from dataclasses import dataclass, field
from enum import Enum

from PySide6.QtCore import QObject, Signal

from padis_gui.core.physics.registry import find_physics
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.solvers.registry import find_solver
from padis_gui.viewmodels.runs.run import Task

_ENDED_KEPT = 100


class ItemState(Enum):
    """Where an item of the queue stands."""

    WAITING = "Waiting"
    RUNNING = "Running"
    DONE = "Done"
    FAILED = "Failed"
    CANCELLED = "Cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self in (ItemState.DONE, ItemState.FAILED, ItemState.CANCELLED)


@dataclass(eq=False)
class QueueItem:
    """One run that was asked for.

    ``task``, of which ``seed`` and ``label`` tell, is let go of once it has ended. ``group`` is the id of the set of
    samples that it belongs to, ``repeats`` that of the record that it is to repeat; ``sentence`` says why it failed;
    ``record`` is the id of what came of it. One that is wanted ``at_once`` begins also while the queue is held.
    """

    task: Task | None
    name: str
    seed: int = 0
    label: str = ""
    group: str | None = None
    repeats: str | None = None
    state: ItemState = ItemState.WAITING
    sentence: str = ""
    record: str | None = None
    at_once: bool = False
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    @classmethod
    def of(
        cls, task: Task, name: str, *, group: str | None = None, repeats: str | None = None
    ) -> "QueueItem":
        """A task that is to wait for its turn under this name."""
        recipe = task.recipe
        return cls(task, name, recipe.seed, label_of(recipe), group=group, repeats=repeats)


def label_of(recipe: Recipe) -> str:
    """What a run is, in a line: image with its page from 1, physics, solver."""
    data = "" if recipe.data is None else f"{recipe.data.file.rsplit('/', 1)[-1]} p{recipe.data.page + 1}, "
    views = recipe.problem.get("views")
    physics = find_physics(recipe.physics).label + (f", {views} views" if views else "")
    return f"{data}{physics}, {find_solver(recipe.solver).label}"


class Queue(QObject):
    """Items in the order in which they run. While it is ``held`` no further one starts: runs are only collected."""

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._items: list[QueueItem] = []
        self._held = False
        self._ended = 0  # since the queue was empty

    @property
    def items(self) -> tuple[QueueItem, ...]:
        """All items, ended ones first in the order in which they ran, then those that run and wait."""
        return tuple(self._items)

    @property
    def waiting(self) -> tuple[QueueItem, ...]:
        """The items that have not begun, the next one first."""
        return tuple(item for item in self._items if item.state is ItemState.WAITING)

    @property
    def running(self) -> QueueItem | None:
        """The item that runs."""
        return next((item for item in self._items if item.state is ItemState.RUNNING), None)

    @property
    def held(self) -> bool:
        """Whether no further item starts."""
        return self._held

    @property
    def place(self) -> tuple[int, int]:
        """Which item runs, from 1, or ran last, and how many there are, counted since the queue was empty."""
        unfinished = len(self.waiting) + (self.running is not None)
        return self._ended + (self.running is not None), self._ended + unfinished

    def hold(self, held: bool) -> None:
        """Let no further item start, or let them start again."""
        if held != self._held:
            self._held = held
            self.changed.emit()

    def find(self, identity: str) -> QueueItem | None:
        """The item with that id."""
        return next((item for item in self._items if item.id == identity), None)

    def members(self, group: str) -> tuple[QueueItem, ...]:
        """The items of a set of samples."""
        return tuple(item for item in self._items if item.group == group)

    def add(self, *items: QueueItem) -> None:
        """Put items at the end."""
        if not self.waiting and self.running is None:
            self._ended = 0
        self._items.extend(items)
        self.changed.emit()

    def move(self, identity: str, by: int) -> None:
        """Let a waiting item run that many places later, or earlier; never before those that have begun."""
        waiting = list(self.waiting)
        item = next((item for item in waiting if item.id == identity), None)
        if item is None:
            return
        at = waiting.index(item)
        to = min(max(at + by, 0), len(waiting) - 1)
        if to == at:
            return
        waiting.insert(to, waiting.pop(at))
        self._items = [item for item in self._items if item.state is not ItemState.WAITING] + waiting
        self.changed.emit()

    def cancel(self, identity: str) -> None:
        """Take back an item that waits; one that runs is cancelled through the run."""
        item = self.find(identity)
        if item is not None and item.state is ItemState.WAITING:
            self.end(item, ItemState.CANCELLED)

    def clear_waiting(self) -> None:
        """Take back all that waits."""
        for item in self.waiting:
            item.state, item.task = ItemState.CANCELLED, None
        self._tidy()

    def clear_ended(self) -> None:
        """Forget what has ended."""
        self._items = [item for item in self._items if not item.state.ended]
        self.changed.emit()

    def take(self) -> QueueItem | None:
        """The next item, which now runs; None while the queue is held, runs, or has none."""
        ready = [item for item in self.waiting if item.at_once or not self._held]
        if self.running is not None or not ready:
            return None
        item = ready[0]
        item.state = ItemState.RUNNING
        self.changed.emit()
        return item

    def end(self, item: QueueItem, state: ItemState, sentence: str = "", record: str | None = None) -> None:
        """Say what has become of an item."""
        self._ended += item.state is ItemState.RUNNING
        item.state, item.sentence, item.record, item.task = state, sentence, record, None
        self._tidy()

    def _tidy(self) -> None:
        """Ended items first, and only the last of them."""
        ended = [item for item in self._items if item.state.ended]
        rest = [item for item in self._items if not item.state.ended]
        self._items = ended[-_ENDED_KEPT:] + rest
        self.changed.emit()
