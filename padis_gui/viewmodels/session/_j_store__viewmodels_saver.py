"""Keeps the session on disk as it goes on, in the I/O thread, and brings the last one back."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from PySide6.QtCore import QObject, QTimer

from padis_gui.core.settings.errors import PadisError
from padis_gui.viewmodels.runs.runs import RunRecord
from padis_gui.viewmodels.session._j_saved__viewmodels_choices import SavedChoices
from padis_gui.viewmodels.session._j_store__viewmodels_store import Store
from padis_gui.viewmodels.session.workspace import Workspace

log = logging.getLogger(__name__)
T = TypeVar("T")

_DELAY_MS = 1000


class Saver(QObject):
    """Saves what is on a workspace to one store a moment after something has changed."""

    def __init__(self, workspace: Workspace, store: Store) -> None:
        super().__init__(workspace)
        self._workspace, self._store = workspace, store
        self._unsaved: dict[str, RunRecord] = {}
        self._gone: list[str] = []
        self._written: tuple[SavedChoices, tuple[str, ...], tuple[str, ...], int] | None = None
        self._lock = asyncio.Lock()
        self._complained = False
        self._timer = QTimer(self, singleShot=True, interval=_DELAY_MS)
        self._timer.timeout.connect(lambda: workspace.spawn(self.flush()))
        workspace.runs.edited.connect(self._edited)
        workspace.runs.removed.connect(self._removed)
        for signal in (
            workspace.method.changed,
            workspace.data.changed,
            workspace.prior.changed,
            workspace.runs.changed,
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

    async def restore(self) -> bool:
        """Bring back the choices and runs of the last session; False where there is nothing to bring back."""
        workspace = self._workspace
        async with self._lock:
            saved = await self._disk(self._store.load)
        if saved is None:
            return False
        workspace.runs.restore(saved.records, saved.count)
        if saved.choices is not None:
            await workspace.use(saved.choices)
        if saved.damaged:
            workspace.message.emit(
                "warning", f"Of the last session {len(saved.damaged)} files were damaged and are left out.",
                "\n".join(saved.damaged),
            )  # fmt: skip
        return saved.choices is not None or bool(saved.records)

    async def flush(self) -> None:
        """Write what has changed."""
        self._timer.stop()
        async with self._lock:
            while self._unsaved:
                record = self._unsaved.pop(next(iter(self._unsaved)))
                gone = await self._disk(self._store.save_run, record)
                if gone:
                    self._workspace.runs.drop(gone)
                    self._workspace.message.emit(
                        "info", f"The oldest {len(gone)} runs were let go: a session keeps "
                        f"{self._store.budget / 2**30:.3g} GB of runs. Pinned ones stay.", "",
                    )  # fmt: skip
            if self._gone:
                gone_now, self._gone = tuple(self._gone), []
                await self._disk(self._store.remove_runs, gone_now)
            runs = self._workspace.runs
            state = (
                self._workspace.choices(), tuple(r.id for r in runs.records), tuple(r.id for r in runs.deleted),
                runs.count,
            )  # fmt: skip
            if state != self._written:
                await self._disk(self._store.save, *state)
                self._written = state

    async def close(self) -> None:
        """Write what is left, and that the session ended as it should."""
        self._workspace.runs.empty_bin()
        await self.flush()
        await self._disk(self._store.close)

    def _edited(self, record: RunRecord) -> None:
        self._unsaved[record.id] = record
        self._soon()

    def _removed(self, identities: list[str]) -> None:
        self._gone.extend(identities)
        for identity in identities:
            self._unsaved.pop(identity, None)
        self._soon()

    def _soon(self) -> None:
        """An earlier wish is not put off: short runs, one after the other, would never be saved."""
        if not self._workspace.closed and not self._timer.isActive():
            self._timer.start()

    async def _disk(self, function: Callable[..., T], *arguments: Any) -> T | None:
        """Call in the I/O thread; where the disk refuses, say so once: the session goes on without."""
        try:
            return await self._workspace.io(function, *arguments)
        except (OSError, ValueError, PadisError) as error:
            log.warning("The session cannot be saved: %s", error)
            if not self._complained:
                self._complained = True
                self._workspace.message.emit(
                    "warning", f"The session cannot be saved under {self._store.root} ({error}); its runs are kept "
                    "until the window is closed, export what you need.", "",
                )  # fmt: skip
            return None
