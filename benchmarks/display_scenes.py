"""What the benchmarks of the display share: two states of the window, runs to their end, a watch on the UI thread."""

import asyncio
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QTimer

from padis_gui.gui.frame.main_window import MainWindow
from padis_gui.viewmodels.laboratory.seam_maps import COVERAGE, SEAMS, SEAMS_DENOISED
from padis_gui.viewmodels.pictures.profiles import Line, Region
from padis_gui.viewmodels.session.session import Session

# As many panes as there can be, each on another source
ALL_SOURCES = (
    "truth", "baseline", "measurement", "estimate", "state", "denoised", "difference", "measured", "misfit",
    SEAMS, SEAMS_DENOISED, COVERAGE,
)  # fmt: skip
_TRAILS = 10
_TICK_MS = 4  # rare enough to cost nothing that matters
_WORK_MS = 6.0  # the timer's own rhythm is no block


@dataclass(frozen=True, slots=True)
class Blocks:
    """How long the UI thread kept its events waiting, in milliseconds; ``mean`` of all times above 6 ms, ``busiest`` the
    most that it worked itself meanwhile: the rest it waited for a core, or for another thread of Python.
    """

    longest: float
    mean: float
    busiest: float


class Watch:
    """Times between two ticks of a timer that asks for one every four milliseconds."""

    def __init__(self) -> None:
        self._found: list[float] = []
        self._then = self._worked = self._busiest = 0.0
        self._timer = QTimer(interval=_TICK_MS)
        self._timer.timeout.connect(self._tick)

    def _tick(self) -> None:
        now, worked = time.perf_counter(), time.thread_time()
        block = 1000 * (now - self._then)
        if block > _WORK_MS:
            self._found.append(block)
        self._busiest = max(self._busiest, 1000 * (worked - self._worked))
        self._then, self._worked = now, worked

    def start(self) -> None:
        """Watch from now on; what was seen before counts on."""
        self._then, self._worked = time.perf_counter(), time.thread_time()
        self._timer.start()

    def stop(self) -> None:
        """Stop watching."""
        self._timer.stop()

    @property
    def blocks(self) -> Blocks:
        """What was seen so far."""
        return Blocks(max(self._found, default=0.0), statistics.fmean(self._found or [0.0]), self._busiest)


async def until(condition: Callable[[], bool]) -> None:
    """Let events pass until this holds."""
    while not condition():
        await asyncio.sleep(0.02)


async def one_run(session: Session) -> float:
    """Run the present choices to their end; returns the seconds."""
    ended = asyncio.Event()  # waiting for it costs the UI thread nothing, as asking now and then would
    connection = session.run.changed.connect(ended.set)
    began = time.perf_counter()
    session.start()
    while session.run.active:
        await ended.wait()
        ended.clear()
    session.run.changed.disconnect(connection)
    return time.perf_counter() - began


async def set_scene(window: MainWindow, scene: str) -> None:
    """Bring the window into a state of :data:`SCENES`, and let it settle."""
    SCENES[scene](window)
    await asyncio.sleep(1)


def _as_it_opens(window: MainWindow) -> None:
    """Four panes and the docks in front."""


def _everything(window: MainWindow) -> None:
    """Twelve panes, every part of the overlay, all curves, a line, a region, and every dock where it can be seen.

    Docks that would lie behind another become windows of their own; the tile inspector follows the run.
    """
    panes, laboratory = window.panes, window.laboratory.model
    while len(panes.panes) < len(ALL_SOURCES):
        panes.add_pane()
    for pane, source in zip(panes.panes, ALL_SOURCES, strict=True):
        pane.show_source(source)
    for name, value in {"trails": _TRAILS, "heat": True, "offset": True, "numbers": True}.items():
        laboratory.set_overlay(name, value)
    group = next(pane.group for pane in panes.panes if pane.source == "estimate")
    if group is not None:
        rows, columns = group[1:]
        panes.tools.adopt(group)
        panes.tools.set_line(Line((0.1 * columns, 0.2 * rows), (0.9 * columns, 0.7 * rows)))
        panes.tools.set_region(
            Region(shape="ellipse", left=columns // 4, top=rows // 4, width=columns // 2, height=rows // 3)
        )
    for dock in window.docks.all:
        if not dock.isVisible() or dock.visibleRegion().isEmpty():
            dock.setFloating(True)
        dock.show()
    window.curves.choose(window.curves.choices)


SCENES: dict[str, Callable[[MainWindow], None]] = {"default": _as_it_opens, "everything": _everything}
