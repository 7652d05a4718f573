"""Starts runs by hand or from the queue, one after the other, and makes records of what comes of them."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer

from padis_gui.core.runs.control import RunState
from padis_gui.core.runs.differences import compared, differences
from padis_gui.core.runs.opened import Prepared
from padis_gui.core.runs.queue import QueuedRun, queue_as_json, read_queue
from padis_gui.core.runs.recipe import Recipe, new_seed, sealed
from padis_gui.core.runs.repeat import MOST_SAMPLES, as_here, open_recipe, sample_seeds
from padis_gui.core.settings.errors import PadisError
from padis_gui.core.settings.files import pixels_sha256
from padis_gui.core.solvers.registry import find_solver
from padis_gui.viewmodels.runs.queue import ItemState, Queue, QueueItem
from padis_gui.viewmodels.runs.run import Ended, Task
from padis_gui.viewmodels.runs.runs import RunRecord, record_of
from padis_gui.viewmodels.runs.samples import gather, new_group
from padis_gui.viewmodels.session.saved import SavedItem
from padis_gui.viewmodels.session.workspace import Workspace

log = logging.getLogger(__name__)


class Runner(QObject):
    """Works at one workspace; ``queue`` is what waits."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self._workspace = workspace
        self.queue = Queue(self)
        self._gathering: set[asyncio.Task[None]] = set()
        self._soon = QTimer(self, singleShot=True, interval=0)
        self._soon.timeout.connect(self._start_next)
        self.queue.changed.connect(self._soon.start)
        workspace.occupied_changed.connect(self._soon.start)

    # What the user asks for -------------------------------------------------------------------------

    def add_to_queue(self) -> bool:
        """Put the present choices at the end of the queue; False, and a message, where they are not complete."""
        volume = self._workspace.volume
        if volume.on and volume.image is None and self._workspace.opened() is not None:
            self._workspace.spawn(self._add_volume(volume.load()))
            return True
        task = self._workspace.wanted(self._seed())
        if task is not None:
            self.enqueue(task)
        return task is not None

    async def _add_volume(self, loaded: Coroutine[Any, Any, bool]) -> None:
        """A volume waits in memory, as an image does."""
        if await loaded:
            self.add_to_queue()

    def enqueue(self, task: Task) -> str:
        """Put a task at the end of the queue; returns in a sentence when it will begin."""
        item = QueueItem.of(task, self._workspace.runs.next_name())
        self.queue.add(item)
        if self.queue.held:
            return f"{item.name} waits in the queue, which is held: Start in the panel Queue lets it go on."
        before = len(self.queue.waiting) - 1
        rest = f" and {before} more" if before else ""
        return f"{item.name} is in the queue: it begins after what is under way{rest}."

    def draw_samples(self, count: int) -> bool:
        """Queue ``count`` runs of the present choices that differ in the solver's seed only."""
        workspace, preparation, start = self._workspace, self._workspace.preparation, self._seed()
        if workspace.volume.on:
            workspace.message.emit(
                "warning", "Samples are drawn of one slice; choose Slice in the data section.", ""
            )
            return False
        prepared, seed = preparation.prepared, workspace.method.seed
        shown = prepared is not None and seed is None  # what is seen is sampled
        measured_with = prepared.seed if prepared is not None and shown else start
        task = workspace.wanted(start, measurement_seed=measured_with)
        if task is None:
            return False
        solver = find_solver(task.method.solver)
        if not solver.diffusion:
            workspace.message.emit(
                "warning", f"Samples are draws from the posterior, and {solver.label} gives the same image each time; "
                "choose a diffusion solver.", "",
            )  # fmt: skip
            return False
        count = min(max(count, 2), MOST_SAMPLES)
        names = [f"Sample {number} of {count}" for number in range(1, count + 1)]
        self._add_each(task, dict(zip(names, sample_seeds(start, count), strict=True)), new_group())
        return True

    async def repeat(self, record: RunRecord, *, at_once: bool = False) -> bool:
        """Queue a run's recipe again, or each of its samples, live changes included; its end says if it is the same.

        ``at_once``: also while the queue is held.
        """
        recipe = record.recipe
        task = await self._task_of(recipe)
        if task is None:
            return False
        seeds = recipe.sample_seeds
        if seeds:
            names = [f"Sample {n} of {len(seeds)}, repeated" for n in range(1, len(seeds) + 1)]
            wanted, group = dict(zip(names, seeds, strict=True)), new_group()
        else:
            wanted, group = {f"Repeat of {record.name}": recipe.seed}, None
        self._add_each(task, wanted, group, record.id, at_once=at_once)
        return True

    def _add_each(
        self,
        task: Task,
        seeds: Mapping[str, int],
        group: str | None,
        repeats: str | None = None,
        *,
        at_once: bool = False,
    ) -> None:
        """Queue a task once for each seed, under its name."""
        for name, seed in seeds.items():
            seeded = replace(task, recipe=task.recipe.model_copy(update={"seed": seed}))
            item = QueueItem.of(seeded, name, group=group, repeats=repeats)
            item.at_once = at_once
            self.queue.add(item)

    async def _task_of(self, recipe: Recipe) -> Task | None:
        """A recipe to be run again here; None, and a message, where what it was made of is not what it was."""
        workspace = self._workspace
        device, near = workspace.prior.device, workspace.opened()
        if near is not None and workspace.volume.on and workspace.volume.image is None:
            near = replace(near, image=None, data_path=None)  # none of its pixels are there

        def work() -> Task:
            opened = open_recipe(recipe, device, near)
            return Task(recipe=as_here(recipe, opened), opened=opened, method=recipe.method)

        return await workspace.read(work)  # reads and checks files: not beside what computes

    def _seed(self) -> int:
        seed = self._workspace.method.seed
        return new_seed() if seed is None else seed

    def unfinished(self) -> tuple[tuple[QueueItem, Task], ...]:
        """What runs and waits, with its task: what a session keeps of the queue."""
        return tuple((item, item.task) for item in self.queue.items if item.task is not None)

    async def restore_queue(self, saved: Sequence[SavedItem]) -> None:
        """Put the queue of the last session at the end of this one, and hold it: nothing begins by itself."""
        if not saved:
            return
        self.queue.hold(True)
        back = 0
        for each in saved:
            task = await self._task_of(each.recipe)
            if task is not None:
                self.queue.add(QueueItem.of(task, each.name, group=each.group, repeats=each.repeats))
                back += 1
        self._workspace.message.emit(
            "info", f"{back} of {len(saved)} runs of the last session's queue are back; Start in the panel Queue lets "
            "them go on.", "",
        )  # fmt: skip

    async def save_queue(self, path: Path) -> bool:
        """Write what runs and waits as a file for `padis-gui queue`, or for another window."""
        tasks = self.unfinished()

        def make_data() -> bytes:
            return queue_as_json(
                QueuedRun(name=item.name, recipe=sealed(task.recipe)) for item, task in tasks
            )

        return await self._workspace.write_file(path, make_data, f"A queue of {len(tasks)} runs")

    async def open_queue(self, path: Path) -> bool:
        """Put the runs of a file at the end of the queue; those that cannot be run here are left out, with a reason."""
        workspace = self._workspace
        try:
            runs = await workspace.io(read_queue, path)
        except PadisError as error:
            workspace.message.emit("error", str(error), "")
            return False
        added = 0
        for run in runs:
            task = await self._task_of(run.recipe)
            if task is not None:
                self.queue.add(QueueItem.of(task, run.name))
                added += 1
        return added > 0

    def cancel(self, identity: str) -> None:
        """Take an item back, whether it waits or runs."""
        running = self.queue.running
        if running is not None and running.id == identity:
            self._workspace.run.cancel()
        else:
            self.queue.cancel(identity)
            item = self.queue.find(identity)
            if item is not None and item.group is not None:
                self._close_group(item.group)

    def cancel_waiting(self) -> None:
        """Take back everything that waits."""
        groups = {item.group for item in self.queue.waiting if item.group is not None}
        self.queue.clear_waiting()
        for group in groups:
            self._close_group(group)

    # How it goes on -----------------------------------------------------------------------------------

    def end(self, ended: Ended) -> None:
        """A run has ended: put what came of it into the list and the queue, and go on."""
        workspace, outcome = self._workspace, ended.outcome
        if workspace.closed and outcome.result is None:
            return  # cancelled since the window closes: it is in the queue that comes back
        item = None if ended.item is None else self.queue.find(ended.item)
        record = None
        if outcome.result is not None:
            name = item.name if item else workspace.running_name
            record = record_of(outcome.result, ended.history, name=name, state=outcome.state.value)
            if item is not None:
                record.group = item.group
                if item.repeats is not None and item.group is None:
                    record.note = self._verdict(workspace.runs.find(item.repeats), record)
            workspace.runs.add(record)
        if item is None:
            if record is None:
                workspace.runs.take_back(workspace.running_name)
            return
        states = {RunState.CANCELLED: ItemState.CANCELLED, RunState.FAILED: ItemState.FAILED}
        sentence = outcome.sentence or ("" if record is None else record.note)
        self.queue.end(
            item, states.get(outcome.state, ItemState.DONE), sentence, None if record is None else record.id
        )
        if item.repeats is not None and item.group is None and record is not None:
            workspace.message.emit("info", f"{record.name}: {record.note}", "")
        if item.group is not None:
            self._close_group(item.group)

    def _start_next(self) -> None:
        workspace = self._workspace
        if workspace.closed or workspace.occupied_by or self._gathering:
            return
        item = self.queue.take()
        if item is not None and item.task is not None:
            workspace.begin(item.task, item=item.id)

    def _close_group(self, group: str) -> None:
        """Once the last sample of a set has ended, make the set's record, before anything else starts."""
        items = self.queue.members(group)
        if all(item.state.ended for item in items) and any(item.record for item in items):
            task = self._workspace.spawn(self._gather(group, self._prepared_for(group)))
            self._gathering.add(task)
            task.add_done_callback(self._gathered)

    def _gathered(self, task: asyncio.Task[None]) -> None:
        self._gathering.discard(task)
        if not self._workspace.closed:
            self._soon.start()

    async def gathered(self) -> None:
        """Wait until the sets whose last sample has ended have their records."""
        await asyncio.gather(*self._gathering, return_exceptions=True)

    def _prepared_for(self, group: str) -> Prepared | None:
        """What a set of samples was drawn for, where it is in memory: the last run prepared it, or it is still open."""
        recipe = next(record.recipe for record in self._workspace.runs.members(group))
        for pictures in (self._workspace.run.pictures, self._workspace.preparation.pictures):
            if pictures is not None and recipe.is_of_prepared(pictures.prepared):
                return pictures.prepared
        return None

    async def _gather(self, group: str, prepared: Prepared | None) -> None:
        workspace = self._workspace
        record = await workspace.compute(gather, group, workspace.runs.members(group), prepared)
        if record is not None:
            repeats = next((item.repeats for item in self.queue.members(group) if item.repeats), None)
            if repeats is not None:
                record.note = self._verdict(workspace.runs.find(repeats), record)
                workspace.message.emit("info", f"{record.name}: {record.note}", "")
            following = workspace.shown.live and workspace.shown.record is None
            workspace.runs.add(record)
            if following:
                workspace.shown.show(record)

    @staticmethod
    def _verdict(first: RunRecord | None, again: RunRecord) -> str:
        """Whether a repeated run gave the same bits, and if not, by how much and why it may be so."""
        result, repeated = None if first is None else first.result, again.result
        if first is None or result is None or repeated is None:
            return "repeated; the first result is gone, so there is nothing to compare with"
        other = differences(first.recipe, again.recipe)
        same, words = compared(first.name, result.pages, repeated.pages, unit=result.image.unit, other=other)
        if not same and result.sha256 == pixels_sha256(repeated.pixels):  # what was stored was not exact
            return f"identical to {first.name}, bit for bit"
        return words
