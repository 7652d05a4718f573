"""Starts runs by hand or from the queue, one after the other, and makes records of what comes of them."""

import logging
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, QTimer

from padis_gui.core.data.about import pixels_sha256
from padis_gui.core.device import usable_cores
from padis_gui.core.differences import compared, differences
from padis_gui.core.errors import PadisError
from padis_gui.core.queue_file import QueuedRun, queue_as_json, read_queue
from padis_gui.core.recipe import new_seed
from padis_gui.core.solvers import find_solver
from padis_gui.viewmodels.frames import Prepared, Result
from padis_gui.viewmodels.queue import ItemState, Queue, QueueItem, label_of, label_of_recipe
from padis_gui.viewmodels.reopen import job_of, recipe_of
from padis_gui.viewmodels.run import Failure, RunState
from padis_gui.viewmodels.runs import RunRecord, record_of
from padis_gui.viewmodels.samples import gather, new_group, sample_seeds
from padis_gui.viewmodels.workspace import Workspace

log = logging.getLogger(__name__)

MOST_SAMPLES = 200


class Runner(QObject):
    """Works at one workspace; ``queue`` is what waits."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self._workspace = workspace
        self.queue = Queue(self)
        self._gathering = 0
        self._soon = QTimer(self, singleShot=True, interval=0)
        self._soon.timeout.connect(self._start_next)
        self.queue.changed.connect(self._soon.start)
        workspace.occupied_changed.connect(self._soon.start)

    # What the user asks for -------------------------------------------------------------------------

    def add_to_queue(self) -> bool:
        """Put the present choices at the end of the queue; False, and a message, where they are not complete."""
        job = self._workspace.wanted_job()
        if job is None:
            return False
        seed = new_seed() if self._workspace.method.seed is None else self._workspace.method.seed
        self.queue.add(QueueItem(job, seed, self._workspace.runs.next_name(), label_of(job)))
        return True

    def draw_samples(self, count: int) -> bool:
        """Queue ``count`` runs of the present choices that differ in the solver's seed only."""
        workspace = self._workspace
        job = workspace.wanted_job()
        if job is None:
            return False
        solver = find_solver(job.solver)
        if not solver.diffusion:
            workspace.message.emit(
                "warning", f"Samples are draws from the posterior, and {solver.label} gives the same image each time; "
                "choose a diffusion solver.", "",
            )  # fmt: skip
            return False
        count = min(max(count, 2), MOST_SAMPLES)
        prepared, start = (
            workspace.preparation.prepared,
            new_seed() if workspace.method.seed is None else workspace.method.seed,
        )
        shown = prepared is not None and prepared.job.same_problem(job) and workspace.method.seed is None
        measured_with = prepared.seed if prepared is not None and shown else start  # what is seen is sampled
        job, group = replace(job, measurement_seed=measured_with), new_group()
        self.queue.add(
            *(
                QueueItem(job, seed, f"Sample {number} of {count}", label_of(job), group=group)
                for number, seed in enumerate(sample_seeds(start, count), 1)
            )
        )
        return True

    async def repeat(self, record: RunRecord) -> bool:
        """Queue a run's recipe again, or each of its samples, live changes included; its end says if it is the same."""
        workspace, recipe = self._workspace, record.recipe
        seeds = recipe.sample_seeds
        single = recipe.model_copy(update={"sample_seeds": ()})
        job = await workspace.compute(job_of, single, workspace.prior.device, workspace.job())
        if job is None:
            return False
        label, group = label_of_recipe(recipe), new_group() if seeds else None
        names = [f"Sample {n} of {len(seeds)}, repeated" for n in range(1, len(seeds) + 1)]
        self.queue.add(
            *(
                QueueItem(job, seed, name, label, group=group, repeats=record.id)
                for seed, name in zip(
                    seeds or (recipe.seed,), names or (f"Repeat of {record.name}",), strict=True
                )
            )
        )
        return True

    async def save_queue(self, path: Path) -> bool:
        """Write what runs and waits as a file for `padis-gui queue`, or for another window."""
        items = [(item.name, item.job, item.seed) for item in self.queue.items if item.job is not None]

        def make_data() -> bytes:
            threads = usable_cores()  # of the compute thread; this one has its own
            found = (
                (name, recipe_of(job, seed).model_copy(update={"threads": job.threads or threads}))
                for name, job, seed in items
            )
            return queue_as_json(QueuedRun(name=name, recipe=recipe) for name, recipe in found)

        return await self._workspace.write_file(path, make_data, f"A queue of {len(items)} runs")

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
            job = await workspace.compute(job_of, run.recipe, workspace.prior.device, workspace.job())
            if job is not None:
                self.queue.add(QueueItem(job, run.recipe.seed, run.name, label_of_recipe(run.recipe)))
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

    def record(self, result: Result, state: RunState) -> RunRecord:
        """The record of the run that has just ended, named and grouped as its item in the queue says."""
        item, runs = self.queue.running, self._workspace.runs
        record = record_of(
            result,
            self._workspace.run.history,
            name=item.name if item else runs.next_name(),
            state=state.value,
        )
        if item is not None:
            record.group = item.group
            if item.repeats is not None and item.group is None:
                record.note = self._verdict(runs.find(item.repeats), record)
        return record

    def ended(self, state: RunState, record: RunRecord | None, failure: Failure | None) -> None:
        """The run has ended: say so in the queue, and go on."""
        item = self.queue.running
        if item is None:
            self._soon.start()
            return
        states = {RunState.CANCELLED: ItemState.CANCELLED, RunState.FAILED: ItemState.FAILED}
        sentence = failure.sentence if failure is not None else record.note if record is not None else ""
        self.queue.end(
            item, states.get(state, ItemState.DONE), sentence, None if record is None else record.id
        )
        if item.repeats is not None and item.group is None and record is not None:
            self._workspace.message.emit("info", f"{record.name}: {record.note}", "")
        if item.group is not None:
            self._close_group(item.group)

    def _start_next(self) -> None:
        workspace = self._workspace
        if workspace.closed or workspace.occupied_by or self._gathering:
            return
        item = self.queue.take()
        if item is not None and item.job is not None:
            workspace.begin(item.job, item.seed)

    def _close_group(self, group: str) -> None:
        """Once the last sample of a set has ended, make the set's record, before anything else starts."""
        items = self.queue.members(group)
        if all(item.state.ended for item in items) and any(item.record for item in items):
            self._gathering += 1
            self._workspace.spawn(self._gather(group, self._workspace.preparation.prepared))

    async def _gather(self, group: str, prepared: Prepared | None) -> None:
        workspace = self._workspace
        try:
            record = await workspace.compute(gather, group, workspace.runs.members(group), prepared)
        finally:
            self._gathering -= 1
            self._soon.start()
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
