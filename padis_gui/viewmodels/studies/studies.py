"""The Studies page's state: what is planned, the study under way, what the shown one has come to, and earlier ones."""

import math
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from padis_gui.core.exports.about import read_result
from padis_gui.core.files.read import read_image
from padis_gui.core.images.image import Image
from padis_gui.core.settings.errors import PadisError
from padis_gui.core.settings.files import failures_said, write_atomically
from padis_gui.core.studies.experiment import GridResult
from padis_gui.core.studies.grid import ImagePage
from padis_gui.core.studies.page import as_text
from padis_gui.core.studies.request import TABLES, load_study, save_study, studies_in
from padis_gui.core.studies.standing import Standing, StudyReader
from padis_gui.core.studies.table import names_of
from padis_gui.viewmodels.runs.runs import thumbnail
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.state.background import ended
from padis_gui.viewmodels.state.process import ChildProcess, ProcessFailure, ProcessState
from padis_gui.viewmodels.studies.plan import DEFAULT_ROOT, StudyPlan

_SIDE = 192  # px of a picture on the contact sheet


@dataclass(frozen=True, slots=True)
class Earlier:
    """A study in a folder, and what is known of it without its results."""

    folder: Path
    title: str
    question: str
    changed: float


@dataclass(frozen=True, slots=True, eq=False)
class SheetPicture:
    """A picture of the contact sheet: the truth where it has no ``result``, else what that run came to.

    ``pixels`` are bytes, (rows, columns) or (rows, columns, 3); None where no picture was kept.
    """

    caption: str
    pixels: NDArray[np.uint8] | None
    result: GridResult | None = None


class Studies(QObject):
    """Starts, steers and follows one study at a time, and knows the earlier ones."""

    state_changed = Signal()
    progressed = Signal()  # the shown study has more results, or another one is shown
    sheet_changed = Signal()
    listed = Signal()  # the list of studies is another
    brought = Signal()  # the shown study was asked for: bring its results to the front
    run_opened = Signal()  # a run of the study is shown as any run

    def __init__(self, session: Session, root: Path = DEFAULT_ROOT) -> None:
        super().__init__(session)
        self.session = session
        self._io = ThreadPoolExecutor(1, thread_name_prefix="io-studies")
        self.plan = StudyPlan(session, self._io, root)
        self.process = ChildProcess("study", "Resume goes on with what is left", self)
        self.process.spoke.connect(self._hear)
        self.process.news.connect(self._ask)
        self.process.changed.connect(self.state_changed)
        self.process.ended.connect(self._ended)
        self.standing: Standing | None = None  # of the shown study
        self.running: Path | None = None
        self.done = self.total = self.failed = 0  # of the study under way
        self.note = ""
        self.earlier: list[Earlier] = []
        self.sheet: tuple[SheetPicture, ...] = ()
        self.sheet_page: ImagePage | None = None
        self._pictures: dict[Path, NDArray[np.uint8]] = {}  # of the sheet, and of the one before
        self._before = self._pictures
        self._reader: StudyReader | None = None
        self._reading = self._again = False
        self._began: tuple[float, int] | None = None
        self._closed = False

    # The study under way ----------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Whether a study is under way."""
        return self.process.active

    @property
    def state(self) -> ProcessState:
        """Where its process stands."""
        return self.process.state

    @property
    def seconds_left(self) -> float:
        """For the runs that are left, at the pace since the start; NaN where nobody knows."""
        if self._began is None or not self.active:
            return math.nan
        began, before = self._began
        new = self.done - before
        return (time.monotonic() - began) / new * (self.total - self.done) if new else math.nan

    async def start(self) -> bool:
        """Begin what is planned, in its own folder and its own process."""
        obstacle = self.plan.obstacle()
        if self.active or self._closed:
            return False
        if obstacle:
            self.session.message.emit("warning", obstacle, "")
            return False
        folder = self.plan.folder
        if await self.session.attempt(self._io, save_study, self.plan.wanted(), folder) is None:
            return False
        return await self.resume(folder)

    async def resume(self, folder: Path) -> bool:
        """Begin, or go on with, the study in a folder; what succeeded is not run again."""
        if self.active or self._closed or not await self.show(folder):
            return False
        if self.active or self._closed:
            return False
        self.running = folder
        self.done, self.total, self.failed, self.note, self._began = 0, 0, 0, "", None
        self.process.start("study", "--resume", str(folder))
        self.plan.propose_folder()
        self.plan.changed.emit()
        return True

    def pause(self) -> None:
        """Hold after the step in hand."""
        self.process.pause()

    def go_on(self) -> None:
        """Go on after a pause."""
        self._began = None
        self.process.resume()

    def stop(self) -> None:
        """Stop; the run in hand is lost, all others are kept."""
        self.process.stop()

    def _hear(self, event: Mapping[str, Any]) -> None:
        if event.get("event") != "case":
            return
        self.done, self.total, self.failed = (int(event.get(name, 0)) for name in ("done", "total", "failed"))
        self.note = str(event.get("note", ""))
        if self._began is None:
            self._began = time.monotonic(), self.done

    def _ended(self, failure: ProcessFailure | None) -> None:
        if failure is not None:
            self.session.message.emit("error", failure.sentence, failure.details)
        elif self.state is ProcessState.DONE and self.running is not None:
            self.session.message.emit(
                "info", f"The study is done; its table and its report are in {self.running}", ""
            )
        if not self._closed:
            self._ask()
            self.session.spawn(self.refresh_list())
        self.state_changed.emit()

    # What is shown ----------------------------------------------------------------------------------

    async def show(self, folder: Path) -> bool:
        """Show what the study in a folder has come to."""
        reader = await self.session.attempt(self._io, StudyReader, folder)
        if reader is None:
            return False
        found = await self.session.attempt(self._io, reader.read)
        if found is None:
            return False
        self._reader = reader
        self._take(found)
        if self.sheet_page not in self.sheet_pages:
            self.sheet_page = next(iter(self.sheet_pages), None)
        await self._read_sheet()
        self.brought.emit()
        return True

    def _ask(self) -> None:
        """Read again what there is, once at a time."""
        if self._reader is None or self._closed:
            return
        self._again = True
        if not self._reading:
            self.session.spawn(self._read())

    async def _read(self) -> None:
        self._reading = True
        while self._again and not self._closed:
            self._again, reader = False, self._reader
            if reader is None:
                break
            found = await self.session.attempt(self._io, reader.read)
            if found is not None and reader is self._reader:
                self._take(found)
                await self._read_sheet()
        self._reading = False

    def _take(self, found: Standing) -> None:
        self.standing = found
        self.progressed.emit()

    # The contact sheet ------------------------------------------------------------------------------

    @property
    def sheet_pages(self) -> list[ImagePage]:
        """The images of the shown study that have results."""
        results = self.standing.results if self.standing is not None else ()
        return list(dict.fromkeys((result.point.data, result.point.page) for result in results))

    def show_page(self, page: ImagePage | None) -> None:
        """Fill the contact sheet with the runs on this image."""
        self.sheet_page = page
        self.session.spawn(self._read_sheet())

    async def _read_sheet(self) -> None:
        standing = self.standing
        if standing is None:
            return
        page = self.sheet_page
        if page is None and self.sheet_pages:
            page = self.sheet_page = self.sheet_pages[0]
        results = [r for r in standing.results if (r.point.data, r.point.page) == page]
        found = await self.session.attempt(self._io, self._read_pictures, standing, page, results)
        if found is not None and page == self.sheet_page:
            self.sheet = tuple(found)
            self.sheet_changed.emit()

    def _read_pictures(
        self, standing: Standing, page: ImagePage | None, results: list[GridResult]
    ) -> list[SheetPicture]:
        """In the I/O thread; pictures of the sheet that was read before are kept."""
        if page is None:
            return []
        self._pictures, self._before = {}, self._pictures
        found = [SheetPicture("Truth", self._picture(page[0], page[1]))]
        several = len({result.point.seed for result in results}) > 1
        names = dict(zip((row.group for row in standing.rows), names_of(standing.rows), strict=True))
        for result in results:
            path = standing.picture(result)
            psnr = result.metrics.get("psnr", math.nan)
            value = "failed" if result.error else f"{psnr:.2f} dB" if math.isfinite(psnr) else ""
            seed = f", seed {result.point.seed}" if several else ""
            pixels = None if path is None else self._picture(path, None)
            found.append(SheetPicture(f"{names[result.point.group]}{seed}\n{value}", pixels, result))
        return found

    def _picture(self, path: Path, page: int | None) -> NDArray[np.uint8] | None:
        """Of a page of an image, or of a result."""
        key = path if page is None else path / str(page)
        pixels = self._before.get(key)
        if pixels is None:
            try:
                image = read_image(path, page) if page is not None else _result_image(path)
            except PadisError:  # its run says what it came to all the same
                return None
            pixels = thumbnail(image, _SIDE)
        self._pictures[key] = pixels
        return pixels

    async def open_run(self, result: GridResult) -> bool:
        """Bring back a run of the study: its image, prior and settings, and its result in the list of runs."""
        path = None if self.standing is None else self.standing.picture(result)
        if path is None:
            why = result.error or "its picture was not kept; keep pictures, or set the same by hand"
            self.session.message.emit("warning", f"This run cannot be shown: {why}", "")
            return False
        restored = await self.session.restore(path)
        self.run_opened.emit()
        return restored

    # Earlier studies --------------------------------------------------------------------------------

    async def refresh_list(self) -> None:
        """Read again which studies there are."""
        found = await self.session.attempt(self._io, _list, self.plan.root)
        if found is not None and not self._closed:
            self.earlier = found
            self.listed.emit()

    async def write_report(self) -> Path | None:
        """Write the tables and the page of the shown study as it stands, beside its results; returns the page."""
        standing = self.standing
        if standing is None:
            return None
        return await self.session.attempt(self._io, _write_tables, standing)

    async def close(self) -> None:
        """Let the study end, then the thread."""
        self._closed = True
        self.process.stop()
        await self.process.wait()
        await ended(self._io)


def _result_image(path: Path) -> Image:
    found = read_result(path)
    return Image(pixels=found.estimate, window=found.about.window or (0.0, 1.0), unit=found.about.unit)


def _list(root: Path) -> list[Earlier]:
    found = []
    for folder in studies_in(root):
        try:
            request = load_study(folder)
        except PadisError:
            continue
        found.append(Earlier(folder, request.title, request.question, folder.stat().st_mtime))
    return found


def _write_tables(standing: Standing) -> Path:
    request, paths = standing.request, [standing.folder / name for name in TABLES]
    again = f"padis-gui study --resume {standing.folder}"
    for path in paths:
        text = as_text(
            standing.rows,
            path.suffix,
            title=f"Study: {request.title}",
            question=request.question,
            again=again,
        )
        with failures_said("The report", path):
            write_atomically(path, text.encode())
    return paths[0]
