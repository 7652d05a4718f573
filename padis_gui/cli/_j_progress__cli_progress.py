"""One progress bar for all verbs: steps, what matters now, time gone and time left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar on standard error; call what it yields with (done, total, note).

    It appears with the first call: what is refused before has only its sentence. Where that is no terminal, only its
    last state is written.
    """
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    bar = Progress(*columns, console=Console(stderr=True), transient=False)
    task = bar.add_task(title, total=None, note="")

    def update(done: int, total: int, note: str) -> None:
        bar.start()
        bar.update(task, completed=done, total=total, note=note)

    try:
        yield update
    finally:
        if bar.live.is_started:
            bar.stop()
