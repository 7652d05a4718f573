"""`padis-gui bench display`: what the live display costs a run, and the longest block of the UI thread."""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Callable

from PySide6.QtCore import QTimer
from rich.console import Console

from padis_gui.core.errors import PadisError
from padis_gui.gui.app import collect_garbage_here, make_application, make_loop
from padis_gui.gui.main_window import MainWindow
from padis_gui.viewmodels.session import Session

_PAIRS = 3
_GOAL_SLOWDOWN, _GOAL_BLOCK_MS = 0.05, 50.0


class _Watch:
    """The longest time between two ticks of a timer that asks for one every millisecond."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._then = time.perf_counter()
        self._timer = QTimer(interval=1)
        self._timer.timeout.connect(self._tick)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.longest = max(self.longest, now - self._then)
        self._then = now

    def start(self) -> None:
        """Watch from now on."""
        self._then = time.perf_counter()
        self._timer.start()

    def stop(self) -> float:
        """The longest block so far, in milliseconds."""
        self._timer.stop()
        return self.longest * 1000


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


async def _one_run(session: Session) -> float:
    session.start()
    began = time.perf_counter()
    await _until(lambda: not session.run.active)
    return time.perf_counter() - began


async def _measure(window: MainWindow) -> tuple[list[float], list[float], float]:
    """Seconds of runs without and with display, in turn after one warm-up, and the longest block in ms."""
    session = window.session
    await _until(lambda: session.prepared is not None)
    await _one_run(session)
    off, on = [], []
    watch = _Watch()
    for _ in range(_PAIRS):
        session.run.frames_wanted = False
        off.append(await _one_run(session))
        session.run.frames_wanted = True
        watch.start()
        on.append(await _one_run(session))
        watch.stop()
    return off, on, watch.stop()


def main(options: argparse.Namespace) -> int:
    """Open the real window with the demo and measure it; prints one table, writes JSON where asked."""
    app = make_application([])
    loop = make_loop(app)
    session = Session()
    window = MainWindow(session)
    collector = collect_garbage_here()
    problems: list[str] = []
    session.message.connect(lambda level, text, _details: problems.append(text) if level == "error" else None)

    async def work() -> tuple[list[float], list[float], float]:
        window.show()
        await session.open_demo()
        if options.solver is not None:
            session.set_solver(options.solver)
        if options.steps is not None:
            session.set_solver_setting("steps", int(options.steps))
        session.set_seed(0 if options.seed is None else int(options.seed))
        try:
            if problems:
                raise PadisError(problems[0])
            return await _measure(window)
        finally:
            window.close()
            await window.closed.wait()

    with loop:
        off, on, block = loop.run_until_complete(work())
    collector.timer.stop()
    slowdown = statistics.median(b / a for a, b in zip(off, on, strict=True)) - 1
    console = Console()
    console.print(f"display off  {statistics.median(off):8.2f} s a run (median of {len(off)})")
    console.print(f"display on   {statistics.median(on):8.2f} s a run")
    console.print(f"slowdown     {slowdown:+8.1%}  (goal: at most {_GOAL_SLOWDOWN:.0%})")
    console.print(f"longest block of the UI thread {block:.0f} ms  (goal: at most {_GOAL_BLOCK_MS:.0f} ms)")
    if options.json is not None:
        figures = {"off_seconds": off, "on_seconds": on, "slowdown": slowdown, "longest_block_ms": block}
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=2)
    return 0
