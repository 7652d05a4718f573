"""`padis-gui bench display`: what the live display costs a run, and the longest block of the UI thread."""

import argparse
import asyncio
import dataclasses
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from benchmarks.display_memory import measure_memory, print_memory
from benchmarks.display_scenes import SCENES, Watch, one_run, set_scene, until
from benchmarks.options import keep
from padis_gui.core.runs.presets import DEFAULT_PRESET
from padis_gui.core.settings.errors import PadisError
from padis_gui.gui.frame.app import collect_garbage_here, make_application, make_loop
from padis_gui.gui.frame.main_window import MainWindow
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.session.store import Store

_PAIRS = 10
_SETTLED = 0.3  # s
_GOAL_SLOWDOWN, _GOAL_BLOCK_MS = 0.05, 50.0
# The preset's own solver, and one whose runs are longer
_SOLVERS: tuple[tuple[str | None, int | None], ...] = ((None, None), ("diffpir", 40))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the display cost the runs of one solver in one state of the window.

    ``off`` and ``on`` are seconds of a run without and with it, in turns; ``slowdown`` is the median of the ratio of each
    pair, less 1, and ``longest_block_ms`` the median of the longest block of each run, its beginning and its end with it;
    ``busiest_block_ms`` is of the UI thread's own work in a block. ``share`` is what the window itself
    said the display took, the largest; ``work`` the UI thread's own share of the time, whether it kept the solver waiting
    or not.
    """

    scene: str
    solver: str
    off: tuple[float, ...]
    on: tuple[float, ...]
    slowdown: float
    share: float
    work: float
    longest_block_ms: float
    busiest_block_ms: float
    mean_block_ms: float

    @property
    def good(self) -> bool:
        """Whether both goals are met."""
        return self.slowdown <= _GOAL_SLOWDOWN and self.longest_block_ms <= _GOAL_BLOCK_MS


async def _measure(window: MainWindow, scene: str) -> Cost:
    """Runs without and with display after one of each that warms up: in turns, so that another load hits both."""
    session, display = window.session, window.display
    off, on, shares, work, blocks = [], [], [], [], []
    for turn in range(_PAIRS + 1):
        session.run.frames_wanted = False
        display.timer.blockSignals(True)  # nothing is painted, and the curves stand still
        seconds = await one_run(session)
        session.run.frames_wanted = True
        display.timer.blockSignals(False)
        if turn == 0:
            await one_run(session)
            continue
        off.append(seconds)
        await asyncio.sleep(_SETTLED)  # the end of the run before is drawn by then
        watch = Watch()
        watch.start()
        before = time.thread_time()
        on.append(await one_run(session))
        work.append((time.thread_time() - before) / on[-1])
        await asyncio.sleep(_SETTLED)  # and that of this one
        watch.stop()
        blocks.append(watch.blocks)
        shares.append(display.share or 0.0)
    return Cost(
        scene=scene, solver=session.method.solver, off=tuple(off), on=tuple(on),
        slowdown=statistics.median(a / b for a, b in zip(on, off, strict=True)) - 1,
        share=max(shares), work=statistics.median(work),
        longest_block_ms=statistics.median(found.longest for found in blocks),
        busiest_block_ms=statistics.median(found.busiest for found in blocks),
        mean_block_ms=statistics.fmean(found.mean for found in blocks),
    )  # fmt: skip


async def _measure_all(window: MainWindow, options: argparse.Namespace, console: Console) -> list[Cost]:
    session = window.session
    solvers = (
        _SOLVERS if options.solver is None and options.steps is None else ((options.solver, options.steps),)
    )
    scenes: list[str] = list(SCENES) if options.window is None else [options.window]
    head = ("window", "solver", "off s", "on s", "slowdown", "says", "UI work", "longest", "own", "mean")
    console.print("{:<11}{:<9}{:>7}{:>7}{:>10}{:>7}{:>9}{:>8}{:>6}{:>6}".format(*head), highlight=False)
    found = []
    for scene in scenes:  # the fuller one comes last: nothing is closed again
        await set_scene(window, scene)
        for solver, steps in solvers:
            _choose(session, solver, steps)
            cost = await _measure(window, scene)
            found.append(cost)
            console.print(
                f"{scene:<11}{cost.solver:<9}{statistics.median(cost.off):7.2f}{statistics.median(cost.on):7.2f}"
                f"{cost.slowdown:+10.1%}{cost.share:7.1%}{cost.work:9.1%}{cost.longest_block_ms:8.0f}"
                f"{cost.busiest_block_ms:6.0f}{cost.mean_block_ms:6.1f}", highlight=False,
            )  # fmt: skip
    verdict = "met" if all(cost.good for cost in found) else "missed"
    console.print(
        f"goal: slowdown at most {_GOAL_SLOWDOWN:.0%}, longest block at most {_GOAL_BLOCK_MS:.0f} ms: {verdict}"
    )
    return found


def _choose(session: Session, solver: str | None, steps: int | None) -> None:
    session.method.apply_preset(DEFAULT_PRESET)
    if solver is not None:
        session.method.set_solver(solver)
    if steps is not None:
        session.method.set_solver_setting("steps", int(steps))


def _in_window(work: Callable[[MainWindow], Awaitable[dict[str, Any]]], seed: int) -> dict[str, Any]:
    """Do this in the real window with the demo open, as the program has it but for a session folder of its own."""
    app = make_application([])
    loop = make_loop(app)
    with TemporaryDirectory(prefix="padis-gui-bench-") as folder, loop:
        session = Session(store=Store(Path(folder)))
        window = MainWindow(session)
        collector = collect_garbage_here()
        problems: list[str] = []
        session.message.connect(
            lambda level, text, _details: problems.append(text) if level == "error" else None
        )

        async def go() -> dict[str, Any]:
            window.show()
            try:
                await session.open_demo()
                session.method.set_seed(seed)
                await until(lambda: session.preparation.prepared is not None or bool(problems))
                found = await work(window) if not problems else {}
            finally:
                for _ in range(2):  # also in the middle of a run: who closes twice means it
                    window.close()
                await window.closed.wait()
            if problems:
                raise PadisError(problems[0])
            return found

        figures: dict[str, Any] = loop.run_until_complete(go())
        collector.timer.stop()
    return figures


def main(options: argparse.Namespace) -> int:
    """Open the real window with the demo and measure it; prints one table, writes JSON where asked."""
    console = Console()

    async def cost(window: MainWindow) -> dict[str, Any]:
        return {
            "display": [dataclasses.asdict(found) for found in await _measure_all(window, options, console)]
        }

    async def memory(window: MainWindow) -> dict[str, Any]:
        await set_scene(window, options.window or "everything")
        _choose(window.session, options.solver, 2 if options.steps is None else options.steps)
        found = await measure_memory(window, options.runs)
        print_memory(found, console)
        return {"memory": dataclasses.asdict(found)}

    figures = _in_window(
        cost if options.runs is None else memory, 0 if options.seed is None else options.seed
    )
    if options.json is not None:
        return keep(options.json, figures)
    return 0
