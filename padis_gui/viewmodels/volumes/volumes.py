"""A volume in the window: what is wanted of it, and the process that makes it, ``padis-gui volume … --events``.

The process and this window share the folder of finished slices only: either may die, and nothing is lost.
"""

import logging
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from padis_gui.core.physics.registry import find_physics
from padis_gui.core.runs.inputs import check_run_outputs, inputs_of
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import Opened
from padis_gui.core.runs.recipe import make_recipe, new_seed
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import InputError, PadisError, SettingError
from padis_gui.core.volumes.cluster import parse_workers
from padis_gui.core.volumes.parts import Parts
from padis_gui.core.volumes.request import (
    VolumeRequest,
    VolumeSettings,
    make_request,
    pages_text,
    parse_pages,
)
from padis_gui.core.volumes.run import earlier_seed
from padis_gui.viewmodels.session.planner import Planner
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.state.background import Check, Failure
from padis_gui.viewmodels.state.process import ChildProcess, ProcessFailure, ProcessState


@dataclass
class VolumeProgress:
    """What has been told so far; ``psnr`` and ``residual`` are by page, of the latest pass.

    ``kept`` slices were there before, and say nothing of the pace.
    """

    pages: tuple[int, ...] = ()
    done: int = 0
    total: int = 0
    kept: int = 0
    current: str = ""
    smoothing: bool = False
    psnr: dict[int, float] = field(default_factory=dict)
    residual: dict[int, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    seconds_left: float = math.nan
    mean_psnr: float = math.nan
    unsmoothed_psnr: float = math.nan
    _since: float = math.nan
    _made: int = 0

    def take(self, event: dict[str, Any]) -> None:
        """Take an event in. Raises :class:`KeyError`, :class:`TypeError` or :class:`ValueError` for one that is none."""
        name = event.get("event")
        if name == "volume":
            self.pages = tuple(int(page) for page in event["pages"])
            self.total, self.kept = int(event["total"]), int(event["done"])
            self._since = time.monotonic()
        elif name == "step":
            self.current = f"page {int(event['page']) + 1}, step {int(event['step'])} of {int(event['of'])}"
        elif name == "slice":
            self._take_slice(event)
        elif name == "failed":
            self.failures.append(f"page {int(event['page']) + 1}: {event['trouble']}")
        elif name == "writing":
            self.current, self.seconds_left = "writing the volume", math.nan
        elif name == "done":
            means = [event["metrics"].get(name) for name in ("psnr", "psnr_unsmoothed")]
            self.mean_psnr, self.unsmoothed_psnr = (math.nan if m is None else float(m) for m in means)
            self.current = "it was finished already" if event["kept"] else ""

    def _take_slice(self, event: dict[str, Any]) -> None:
        page, smooth = int(event["page"]), bool(event["smooth"])
        self.done, self.total = int(event["done"]), int(event["total"])
        if smooth and not self.smoothing:
            self.smoothing, self._made, self._since = True, 0, time.monotonic()  # another pace
            self.psnr.clear()
            self.residual.clear()
        for found, name in ((self.psnr, "psnr"), (self.residual, "residual")):
            value = event["metrics"].get(name)
            if value is not None:
                found[page] = float(value)
        self.current = f"page {page + 1}" + (" smoothed" if smooth else "")
        if not event["kept"]:
            self._made += 1
            left = self.total - self.done
            if not smooth and self.total > len(self.pages):
                left -= len(self.pages)  # the second pass takes next to nothing
            self.seconds_left = (time.monotonic() - self._since) / self._made * left


log = logging.getLogger(__name__)

_MANY = 100_000  # pages, where there is no file to count them in
_WORDS = {
    ProcessState.IDLE: "Ready", ProcessState.STARTING: "Starting", ProcessState.RUNNING: "Reconstructing",
    ProcessState.PAUSED: "Paused", ProcessState.STOPPING: "Stopping", ProcessState.DONE: "Done",
    ProcessState.STOPPED: "Stopped; Start goes on", ProcessState.FAILED: "Ended early; Start goes on",
}  # fmt: skip


class Volumes(QObject):
    """One volume at a time. ``changed`` is for what is wanted and the state, ``progressed`` for what has come of it."""

    changed = Signal()
    progressed = Signal()
    pictured = Signal()

    def __init__(self, session: Session, planner: Planner) -> None:
        super().__init__(session)
        self._session, self._planner = session, planner
        self.settings = VolumeSettings()
        self.workers = "1"
        self.out: Path | None = None
        self.restart = False
        self.progress = VolumeProgress()
        self.picture: NDArray[np.uint8] | None = None
        self.picture_page = 0
        self.result: Path | None = None
        self._preparing, self._closed = False, False
        self.process = ChildProcess("volume", "the finished slices are kept, and Start goes on", self)
        self.process.news.connect(self.progressed)
        self.process.changed.connect(self._follow_state)
        self.process.spoke.connect(self._hear)
        self.process.ended.connect(self._end)
        for signal in (
            session.data.changed,
            session.prior.changed,
            session.method.changed,
            planner.changed,
        ):
            signal.connect(self.changed)

    # What is wanted ---------------------------------------------------------------------------------

    def set(self, name: str, value: Any) -> None:
        """Change a setting; a bad value is told, and what was there stays."""
        try:
            changed = make(VolumeSettings, self.settings.model_dump() | {name: value})
            if name == "pages":
                parse_pages(changed.pages, self._pages_there)
            self.settings = changed
        except PadisError as error:
            self._session.message.emit("error", str(error), "")
        self.changed.emit()

    def set_pages(self, text: str) -> None:
        """Which pages, as people count them: from 1. What cannot be read is told, and what was there stays."""
        try:
            pages = parse_pages(text, self._pages_there, first=1) if text.strip() else ()
        except PadisError as error:
            self._session.message.emit("error", str(error), "")
            self.changed.emit()
            return
        self.set("pages", pages_text(pages))

    @property
    def _pages_there(self) -> int:
        image = self._session.data.image
        return _MANY if image is None else image.pages

    @property
    def pages_from_1(self) -> str:
        """The chosen pages, as people count them; empty for all."""
        text = self.settings.pages
        return pages_text([page + 1 for page in parse_pages(text, _MANY)]) if text.strip() else ""

    def set_workers(self, text: str) -> None:
        """A number of processes, or the address of a dask scheduler."""
        try:
            parse_workers(text)
            self.workers = text.strip()
        except SettingError as error:
            self._session.message.emit("error", str(error), "")
        self.changed.emit()

    def set_out(self, path: Path | None) -> None:
        """Where the volume goes."""
        if path is not None and path.suffix.lower() not in (".tif", ".tiff"):
            path = path.with_name(path.name + ".tif")
        self.out = path
        self.changed.emit()

    def set_restart(self, restart: bool) -> None:
        """Throw away what an earlier attempt at the same file has finished."""
        self.restart = restart
        self.changed.emit()

    @property
    def proposed_name(self) -> str:
        path = self._session.data.path
        return f"{'volume' if path is None else path.stem}-volume.tif"

    @property
    def count(self) -> int:
        """How many slices are wanted; 0 where the pages are not in the open file."""
        image = self._session.data.image
        if image is None:
            return 0
        try:
            return len(parse_pages(self.settings.pages, image.pages))
        except SettingError:
            return 0

    def obstacle(self) -> str:
        """Why it cannot start; empty where it can."""
        session = self._session
        if self.active:
            return "One volume at a time: this one is under way."
        if session.data.image is None or session.data.path is None:
            return "Open a file with several pages or slices first (Ctrl+O)."
        if find_physics(session.method.physics).imageless:
            return "Generated samples have no slices: choose another problem in the left column."
        if session.opened() is None:
            return "Open a prior first (Ctrl+P)."
        if self.count == 0:
            return f"These pages are not in the file, which has pages 1 to {session.data.image.pages}."
        return ""

    @property
    def seconds(self) -> float | None:
        """About how long all of it takes on this machine; None where nothing is known yet, or others do the work."""
        plan = self._planner.plan
        if plan is None or plan.seconds is None or not self.workers.isdecimal():
            return None
        return plan.seconds * self.count

    # The process ------------------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Whether a volume is under way, or about to be."""
        return self._preparing or self.process.active

    @property
    def state(self) -> ProcessState:
        """Where its process stands."""
        return ProcessState.STARTING if self._preparing else self.process.state

    @property
    def state_text(self) -> str:
        return _WORDS[self.state]

    def start(self) -> None:
        """Make what is wanted, or go on with it; says why where it cannot."""
        opened, method, out = self._session.opened_slice(), self._session.method.now, self.out
        obstacle = self.obstacle() or ("" if out else "Choose where the volume goes first.")
        if self._closed:
            return
        if obstacle or opened is None or out is None:
            self._session.message.emit("warning", obstacle, "")
            return
        settings, seed, restart = self.settings, self._session.method.seed, self.restart
        self._preparing = True

        def work(check: Check) -> VolumeRequest:
            check()
            return prepare(opened, method, settings, out, seed, restart=restart)

        self._session.io_requests.ask("volume", work, self._launch)
        self.changed.emit()

    def _launch(self, request: object) -> None:
        self._preparing = False
        if isinstance(request, Failure):
            self._session.message.emit("error", request.sentence, request.details)
        elif isinstance(request, VolumeRequest) and not self._closed:
            self.progress = VolumeProgress(pages=request.pages)
            self.picture = self.result = None
            restart = ("--restart",) if self.restart else ()
            self.restart = False  # once; after an interruption Start goes on
            self.process.start("volume", "--resume", str(request.folder), "--workers", self.workers, *restart)
            self.progressed.emit()
            self.pictured.emit()
        self.changed.emit()

    def pause(self) -> None:
        """Hold after the patch batch in hand."""
        self.process.pause()

    def go_on(self) -> None:
        """Go on after a pause."""
        self.process.resume()

    def stop(self) -> None:
        """Stop; the finished slices are kept."""
        self.process.stop()

    async def open_result(self) -> bool:
        """Show the volume's first page in the panes, as a file like any other."""
        return self.result is not None and await self._session.data.open(self.result)

    async def close(self) -> None:
        """Stop, and wait for the process to end."""
        self._closed = True
        self.process.stop()
        await self.process.wait()

    # What it says -----------------------------------------------------------------------------------

    def _hear(self, event: dict[str, Any]) -> None:
        try:
            self.progress.take(event)
            if event.get("event") == "slice" and not event["kept"]:
                self._ask_picture(int(event["page"]), bool(event["smooth"]), Path(event["file"]).parent)
            elif event.get("event") == "done":
                self.result = Path(event["out"])
        except (KeyError, TypeError, ValueError, AttributeError):
            log.debug("The volume's process said something that means nothing here.", exc_info=True)

    def _ask_picture(self, page: int, smooth: bool, folder: Path) -> None:
        def work(check: Check) -> NDArray[np.uint8] | None:
            check()
            try:
                pixels = Parts(folder).pixels(page, smooth=smooth)
            except InputError:  # the volume has been written meanwhile
                return None
            shown = (np.clip(np.nan_to_num(pixels), 0, 1) * 255).round().astype(np.uint8)
            return shown[0] if len(shown) == 1 else np.moveaxis(shown, 0, 2)

        def done(picture: object) -> None:
            if isinstance(picture, np.ndarray):
                self.picture, self.picture_page = picture, page
                self.pictured.emit()

        self._session.io_requests.ask("volume picture", work, done)

    def _follow_state(self) -> None:
        if self.process.state is ProcessState.PAUSED:
            self.progress.seconds_left = math.nan
        self.changed.emit()

    def _end(self, failure: object) -> None:
        self.progress.seconds_left = math.nan
        if isinstance(failure, ProcessFailure):
            self._session.message.emit("error", failure.sentence, failure.details)
        elif self.process.state is ProcessState.DONE and not self._closed and self.result is not None:
            self._session.say_written(f"The volume is {self.result}", self.result)
        self.progressed.emit()
        self.changed.emit()


def prepare(
    opened: Opened, method: Method, settings: VolumeSettings, out: Path, seed: int | None, *, restart: bool
) -> VolumeRequest:
    """Resolve what is wanted, and leave it in the folder of the volume for the process. Hashes files: not in the UI.

    Raises :class:`~padis_gui.core.settings.errors.PadisError`.
    """
    image, data_path = opened.image, opened.data_path
    if image is None or data_path is None:
        raise InputError("A file of slices was wanted, but none is open; open one.")
    if seed is None and not restart:
        seed = earlier_seed(out)
    recipe = make_recipe(opened, method, new_seed() if seed is None else seed)
    check_run_outputs(inputs_of(recipe), [out])
    request = make_request(recipe, opened.prior, settings, out, image)
    parts = Parts(request.folder)
    if restart:
        parts.clear()
    parts.open(request)
    return request
