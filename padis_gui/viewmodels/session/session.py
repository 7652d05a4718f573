"""The session behind the window: runs are started, waited for, kept, restored, exported and saved."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from padis_gui.core.exports.registry import ExportSettings
from padis_gui.core.runs.recipe import new_seed
from padis_gui.viewmodels.runs.queue import Queue
from padis_gui.viewmodels.runs.run import Ended
from padis_gui.viewmodels.runs.runs import RunRecord
from padis_gui.viewmodels.runs.shown import Seen
from padis_gui.viewmodels.session.exporting import export_run, export_runs, shown_run
from padis_gui.viewmodels.session.restoring import Restorer
from padis_gui.viewmodels.session.runner import Runner
from padis_gui.viewmodels.session.saver import Saver
from padis_gui.viewmodels.session.screen import Screen
from padis_gui.viewmodels.session.store import Store
from padis_gui.viewmodels.session.workspace import Workspace

_SOURCE = "padis_gui.core.prior.prior"


class _Handler(logging.Handler):
    def __init__(self, say: Callable[[str], object]) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(record.getMessage())


class Warnings(QObject):
    """Turns the prior's log of warnings (memory ran out, smaller batches go on) into messages of a session, until it
    closes."""

    _said = Signal(str)

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self._workspace = workspace
        self._said.connect(self._say)  # in the window's thread, wherever it was said
        handler = _Handler(self._said.emit)
        logger = logging.getLogger(_SOURCE)
        logger.addHandler(handler)
        workspace.closing.connect(lambda: logger.removeHandler(handler))

    def _say(self, text: str) -> None:
        self._workspace.message.emit("warning", text, "")


class Session(Workspace):
    """The window's state, and what works with it."""

    def __init__(
        self, device: str = "auto", store: Store | None = None, parent: QObject | None = None
    ) -> None:
        """``store`` is where the session is saved; without one it is not."""
        super().__init__(device, parent)
        self.screen = Screen(self)
        self._seen_before = Seen()  # when the run under way was begun
        self.runner = Runner(self)
        self.restorer = Restorer(self)
        self.warnings = Warnings(self)
        self.saver = None if store is None else Saver(self, self.runner, store)

    # Runs -----------------------------------------------------------------------------------------

    def start(self, *, paused: bool = False) -> None:
        """Run the present choices; ``paused`` stops after the first step.

        Where something is under way they go to the end of the queue, unless ``paused``: only one can be stepped.
        """
        if self.volume.on and self.volume.image is None and self.opened() is not None:
            self.spawn(self._start_volume(self.volume.load(), paused=paused))
            return
        with self.screen.at_once():
            self._start(paused=paused)

    def _start(self, *, paused: bool) -> None:
        seed = self.method.seed
        task = self.wanted(new_seed() if seed is None else seed)
        if task is None:
            return
        if not self.occupied_by:
            self._seen_before = self.shown.seen
            self.shown.clear()  # whatever was looked at: the user wants to see this run
        restored = None if paused else self.restorer.wanted(task, seed)
        if restored is not None:
            self.spawn(self.runner.repeat(restored, at_once=not self.occupied_by))
        elif not self.occupied_by:
            self.begin(task, paused=paused)
        elif not paused:
            self.message.emit("info", self.runner.enqueue(task), "")

    async def _start_volume(self, loaded: Coroutine[Any, Any, bool], *, paused: bool) -> None:
        """All slices are read first, which is no work of the compute thread."""
        if await loaded:
            self.start(paused=paused)

    async def finish(self) -> None:
        """Finish the run under way, let what comes of it be kept, and begin no other one of the queue."""
        self.queue.hold(True)
        await self.run.finished()
        await self.runner.gathered()

    def _run_ended(self, ended: Ended) -> None:
        with self.screen.at_once():
            self._end(ended)

    def _end(self, ended: Ended) -> None:
        super()._run_ended(ended)
        self.runner.end(ended)
        self.occupy("")
        before, self._seen_before = self._seen_before, Seen()
        if ended.outcome.result is None and not self.shown.anything and before.result is not None:
            self.shown.again(before)  # what was looked at when the run was begun
            if not self.screen.of_open:
                self.shown.clear()

    @property
    def queue(self) -> Queue:
        """The runs that wait, and what has become of earlier ones."""
        return self.runner.queue

    def restore(self, path: Path) -> Coroutine[Any, Any, bool]:
        """Bring back the run that made an exported TIFF, or the JSON beside one; False where something is missing."""
        return self.restorer.restore(path)

    # Files ----------------------------------------------------------------------------------------

    async def export(self, path: Path, settings: ExportSettings | None = None) -> bool:
        """Write what is shown of the last result; by default the result as float32 TIFF with its recipe."""
        run = shown_run(self)
        if run is None:
            self.message.emit("warning", "There is no result to export yet; press Run first.", "")
            return False
        chosen = settings or ExportSettings()
        return await self.write(path, lambda to: export_run(run, to, chosen))

    async def export_runs(
        self, named: Sequence[tuple[RunRecord, Path]], settings: ExportSettings | None = None
    ) -> bool:
        """Write runs of the list, each to its path, as :meth:`export` does."""
        chosen = settings or ExportSettings()
        if len(named) == 1:
            return await self.write(named[0][1], lambda to: export_runs([(named[0][0], to)], self, chosen))

        def write(folder: Path) -> str:
            return export_runs([(record, folder / path.name) for record, path in named], self, chosen)

        return await self.write(named[0][1].parent, write)

    async def close(self) -> None:
        """Cancel the run, let the threads end, and forget what was planned."""
        self._closed = True
        self.preparation.stop()
        self.closing.emit()
        self.compute_requests.stop()
        self.io_requests.stop()
        self.plane_requests.stop()
        self.run.cancel()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._io, self.run.wait)
        if self.saver is not None:
            await self.saver.close()
        await self.end_threads()
