"""Keeps the session on disk as it goes on, in the I/O thread, and brings the last one back.

What the disk refuses is kept and tried again, and it is known which runs are not saved.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from PySide6.QtCore import QObject, QTimer, Signal

from padis_gui.core.runs.recipe import Recipe, sealed
from padis_gui.core.settings.errors import InputError, PadisError
from padis_gui.core.settings.files import reason
from padis_gui.viewmodels.runs.runs import RunRecord
from padis_gui.viewmodels.session.runner import Runner
from padis_gui.viewmodels.session.saved import SavedChoices, SavedItem
from padis_gui.viewmodels.session.store import Store
from padis_gui.viewmodels.session.workspace import Workspace

log = logging.getLogger(__name__)

T = TypeVar("T")
_State = tuple[SavedChoices, tuple[str, ...], tuple[str, ...], int, tuple[SavedItem, ...]]

_DELAY_MS = 1000
_AGAIN_MS = 20_000  # from a disk that refused to the next attempt


class _Refused(Exception):  # noqa: N818 - what was to be written is not lost
    """The disk does not take it now."""


class Saver(QObject):
    """Saves what is on a workspace to one store a moment after something has changed.

    ``unsaved_changed`` is emitted when other runs than before are :attr:`unsaved`.
    """

    unsaved_changed = Signal()

    def __init__(self, workspace: Workspace, runner: Runner, store: Store) -> None:
        super().__init__(workspace)
        self._workspace, self._runner, self._store = workspace, runner, store
        self._waiting: dict[str, RunRecord] = {}
        self._refused: dict[str, RunRecord] = {}
        self._gone: list[str] = []
        self._written: _State | None = None
        self._sealed: dict[str, Recipe] = {}  # by the ids of the queue's items
        self._lock = asyncio.Lock()
        self._trouble = ""
        self._complained = False
        self._timer = QTimer(self, singleShot=True, interval=_DELAY_MS)
        self._again = QTimer(self, singleShot=True, interval=_AGAIN_MS)
        for timer in (self._timer, self._again):
            timer.timeout.connect(lambda: workspace.spawn(self.flush()))
        workspace.runs.edited.connect(self._edited)
        workspace.runs.removed.connect(self._removed)
        for signal in (
            workspace.method.changed,
            workspace.data.changed,
            workspace.prior.changed,
            workspace.runs.changed,
            runner.queue.changed,
        ):
            signal.connect(self._soon)

    @property
    def was_clean(self) -> bool:
        """Whether the last session ended as it should."""
        return self._store.was_clean

    @property
    def has_previous(self) -> bool:
        """Whether there is a last session that can be restored."""
        return self._store.previous is not None

    @property
    def unsaved(self) -> tuple[RunRecord, ...]:
        """The runs that the disk has refused: they are in memory only, and tried again."""
        return tuple(self._refused.values())

    async def restore(self) -> bool:
        """Bring back the choices and runs of the last session; False where there is nothing to bring back."""
        workspace = self._workspace
        async with self._lock:
            try:
                saved = await self._disk(self._store.load)
            except _Refused:
                saved = None
            self._say()
        if saved is None:
            return False
        workspace.runs.restore(saved.records, saved.count)
        if saved.choices is not None:
            await workspace.use(saved.choices)
        await self._runner.restore_queue(saved.queue)
        if saved.damaged:
            workspace.message.emit(
                "warning", f"Of the last session {len(saved.damaged)} files or runs were damaged and are left out.",
                "\n".join(saved.damaged),
            )  # fmt: skip
        return saved.choices is not None or bool(saved.records)

    async def flush(self) -> None:
        """Write what has changed, and what the disk refused before."""
        self._timer.stop()
        self._again.stop()
        async with self._lock:
            before, self._trouble = self.unsaved, ""
            await self._save_runs()
            await self._remove_runs()
            await self._save_state()
            if self._trouble and not self._workspace.closed:
                self._again.start()
            self._say()
            if self.unsaved != before:
                self.unsaved_changed.emit()

    async def _save_runs(self) -> None:
        self._waiting = self._refused | self._waiting
        refused: dict[str, RunRecord] = {}
        while self._waiting:
            record = self._waiting.pop(next(iter(self._waiting)))
            try:
                gone = await self._disk(self._store.save_run, record)
            except _Refused:
                refused[record.id] = record
                continue
            if gone:
                self._workspace.runs.drop(gone)
                self._workspace.message.emit(
                    "info", f"The oldest {len(gone)} runs were let go: a session keeps "
                    f"{self._store.budget / 2**30:.3g} GB of runs. Pinned ones stay.", "",
                )  # fmt: skip
        self._refused = {identity: one for identity, one in refused.items() if identity not in self._gone}

    async def _remove_runs(self) -> None:
        gone, self._gone = self._gone, []
        if gone:
            try:
                await self._disk(self._store.remove_runs, tuple(gone))
            except _Refused:
                self._gone = gone + self._gone

    async def _save_state(self) -> None:
        runs = self._workspace.runs
        with contextlib.suppress(_Refused):
            state: _State = (
                self._workspace.choices(), tuple(r.id for r in runs.records), tuple(r.id for r in runs.deleted),
                runs.count, await self._unfinished(),
            )  # fmt: skip
            if state != self._written:
                await self._disk(self._store.save, *state)
                self._written = state

    async def _unfinished(self) -> tuple[SavedItem, ...]:
        """The queue, each recipe with the hashes of its files: what waits is later run on the same data, or not at all."""
        before, self._sealed = self._sealed, {}
        for item, task in self._runner.unfinished():
            recipe = before.get(item.id) or await self._disk(_sealed, task.recipe) or task.recipe
            self._sealed[item.id] = recipe
        return tuple(
            SavedItem(name=item.name, recipe=self._sealed[item.id], group=item.group, repeats=item.repeats)
            for item, _ in self._runner.unfinished()
            if item.id in self._sealed
        )

    async def close(self) -> None:
        """Write what is left, and that the session ended as it should."""
        self._workspace.runs.empty_bin()
        await self.flush()
        with contextlib.suppress(_Refused):
            await self._disk(self._store.close)

    def _edited(self, record: RunRecord) -> None:
        self._waiting[record.id] = record
        self._soon()

    def _removed(self, identities: list[str]) -> None:
        self._gone.extend(identities)
        known = self.unsaved
        for identity in identities:
            self._waiting.pop(identity, None)
            self._refused.pop(identity, None)
        if self.unsaved != known:
            self.unsaved_changed.emit()
        self._soon()

    def _soon(self) -> None:
        """An earlier wish is not put off: short runs, one after the other, would never be saved."""
        if not self._workspace.closed and not self._timer.isActive():
            self._timer.start()

    async def _disk(self, function: Callable[..., T], *arguments: Any) -> T | None:
        """Call in the I/O thread; raises :class:`_Refused` where the disk does not take it now.

        None where it never will, since the fault is not the disk's.
        """
        try:
            return await self._workspace.io(function, *arguments)
        except (OSError, ValueError, PadisError) as error:
            log.warning("The session cannot be saved: %s", error)
            if isinstance(error, OSError) or getattr(error, "remedy", "") == "elsewhere":
                self._trouble = reason(error) if isinstance(error, OSError) else str(error)
                raise _Refused from None
            self._workspace.message.emit("warning", f"A part of the session cannot be saved: {error}", "")
            return None

    def _say(self) -> None:
        """That the disk refuses, once, and once that it takes all again: the session goes on meanwhile."""
        if bool(self._trouble) == self._complained:
            return
        self._complained = not self._complained
        if self._complained:
            self._workspace.message.emit(
                "warning", f"The session cannot be saved under {self._store.root} ({self._trouble}); its runs are kept "
                "until the window is closed, and saving is tried again. Make room there, or export what you need.", "",
            )  # fmt: skip
        else:
            self._workspace.message.emit("info", "The session is saved again, with all of its runs.", "")


def _sealed(recipe: Recipe) -> Recipe:
    try:
        return sealed(recipe)
    except InputError:  # its run will say so
        return recipe
