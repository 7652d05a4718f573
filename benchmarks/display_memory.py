"""`padis-gui bench display --runs N`: memory, threads, widgets and other objects after many runs in one window."""

import gc
import statistics
import threading
from dataclasses import asdict, dataclass
from itertools import combinations

from PySide6.QtCore import QEvent, QObject
from PySide6.QtWidgets import QApplication, QGraphicsView
from rich.console import Console

from benchmarks.display_scenes import Watch, one_run
from padis_gui.core.settings.machine import memory_in_use_mb
from padis_gui.gui.frame.main_window import MainWindow

_EVERY = 20
_GOAL_KB = 64.0  # a run; one 256 x 256 picture takes four times as much
# Results and iterates fill their budgets first: the slope is that of the runs after these
_FILLING = 0.5


@dataclass(frozen=True, slots=True)
class Census:
    """What there is in the process: resident memory in kB, and counts. ``items`` are those of graphics scenes."""

    runs: int
    resident_kb: float
    kept_kb: float
    threads: int
    widgets: int
    objects: int
    items: int

    @property
    def things(self) -> tuple[int, int, int, int]:
        """The counts, which must not grow."""
        return self.threads, self.widgets, self.objects, self.items


@dataclass(frozen=True, slots=True)
class Growth:
    """A census every so many runs; ``slope_kb`` is the fitted growth of resident memory a run in the second half."""

    found: tuple[Census, ...]
    slope_kb: float
    longest_block_ms: float

    @property
    def steady(self) -> bool:
        """Whether no thread, widget or object was left behind in the second half."""
        second = self.found[int(len(self.found) * _FILLING) :]
        return len({census.things for census in second}) <= 1

    @property
    def flat(self) -> bool:
        """Whether memory stays, within what a few numbers a run take."""
        return self.slope_kb <= _GOAL_KB


def census(window: MainWindow, runs: int = 0) -> Census:
    """Count after everything that may go has gone."""
    for _ in range(2):
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        gc.collect()
    session, widgets = window.session, QApplication.allWidgets()
    views = [w for w in widgets if isinstance(w, QGraphicsView) and w.scene() is not None]
    return Census(
        runs=runs, resident_kb=1024 * memory_in_use_mb(session.prior.device), kept_kb=session.runs.nbytes / 1024,
        threads=threading.active_count(), widgets=len(widgets),
        objects=sum(len(root.findChildren(QObject)) for root in (window, session)),
        items=sum(len(view.scene().items()) for view in views),
    )  # fmt: skip


async def measure_memory(window: MainWindow, runs: int) -> Growth:
    """Do so many runs, with a census after every twentieth, or after more of them where there are fewer."""
    every = max(1, min(_EVERY, runs // 8))
    watch = Watch()
    found = []
    for done in range(1, runs + 1):
        watch.start()
        await one_run(window.session)
        watch.stop()
        if done % every == 0:
            found.append(census(window, done))
    second = found[int(len(found) * _FILLING) :]
    return Growth(tuple(found), _slope(second), watch.blocks.longest)


def _slope(found: list[Census]) -> float:
    """kB a run, as Theil and Sen fit it: the median over all pairs, since what is only borrowed comes and goes."""
    pairs = [
        (after.resident_kb - before.resident_kb) / (after.runs - before.runs)
        for before, after in combinations(found, 2)
    ]
    return statistics.median(pairs) if pairs else 0.0


def print_memory(growth: Growth, console: Console) -> None:
    """A table of the counts, and the verdict."""
    names = list(asdict(growth.found[0])) if growth.found else []
    console.print("".join(f" {name:>11}" for name in names), highlight=False)
    for row in growth.found:
        console.print("".join(f" {value:11.0f}" for value in asdict(row).values()), highlight=False)
    steady = "the same" if growth.steady else "GROWING"
    console.print(
        f"second half: {growth.slope_kb:+.0f} kB a run (goal: at most {_GOAL_KB:.0f}: "
        f"{'flat' if growth.flat else 'GROWING'}), threads, widgets and objects {steady}; "
        f"longest block {growth.longest_block_ms:.0f} ms", highlight=False,
    )  # fmt: skip
