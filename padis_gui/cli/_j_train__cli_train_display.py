"""What one sees of a training on the command line: a progress bar, or its events as lines of JSON."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from padis_gui.cli._j_progress__cli_lines import Lines, Pacer
from padis_gui.core.training._j_log__core_training_events import (
    DataRead,
    Done,
    Looked,
    Looking,
    Stepped,
    TrainEvent,
)

_BAR = 20
_OTHER_COLUMNS = 50  # the bar, the steps and the time gone
_READING_SECONDS, _STEP_SECONDS = 0.2, 0.5  # between two lines of the same kind


class Display(Protocol):
    """Shows what happens. ``show`` returns False when nobody can see it any more."""

    def reading(self, done: int, total: int) -> None: ...

    def show(self, event: TrainEvent) -> bool: ...

    def note(self, name: str, step: int) -> None: ...


@contextmanager
def display(folder: Path, *, events: bool, silent: bool) -> Iterator[Display]:
    """Lines of JSON with ``events``, nothing where ``silent``, else a bar."""
    if silent:
        yield _Silent()
    elif events:
        yield _Lines()
    else:
        with _Bar(folder) as bar:
            yield bar


class _Silent:
    """The other processes of a world."""

    def reading(self, done: int, total: int) -> None:
        pass

    def show(self, event: TrainEvent) -> bool:
        return True

    def note(self, name: str, step: int) -> None:
        pass


class _Lines:
    """Every event a line on standard output: each that is logged, and a step twice a second."""

    def __init__(self) -> None:
        self._reading, self._stepping = Pacer(_READING_SECONDS), Pacer(_STEP_SECONDS)
        self._lines = Lines()

    def reading(self, done: int, total: int) -> None:
        if self._reading(always=done == total):
            self._lines.tell("reading", done=done, total=total)

    def show(self, event: TrainEvent) -> bool:
        if isinstance(event, Stepped) and not self._stepping(always=event.logged):
            return self._lines.open
        return self._lines.write(event.line())

    def note(self, name: str, step: int) -> None:
        self._lines.tell(name, step=step)


class _Bar:
    """A bar on standard error, silent where that is no terminal; sentences on standard output."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._console = Console(stderr=True)
        self._shared = sys.stdout.isatty()
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=_BAR), MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"), TimeElapsedColumn(), console=self._console,
            redirect_stdout=False,  # it may go to a file
            disable=not self._console.is_terminal,  # else the last state of the bar would be printed
        )  # fmt: skip
        self._task = self._progress.add_task("reading", total=None, note="")
        self._quality = ""

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def reading(self, done: int, total: int) -> None:
        self._progress.update(self._task, completed=done, total=total)

    def show(self, event: TrainEvent) -> bool:
        match event:
            case DataRead():
                self._begin(event)
            case Stepped():
                note = _fitting(_notes(event, self._quality), self._console.width - _OTHER_COLUMNS)
                self._progress.update(self._task, completed=event.step, note=note, description="training")
            case Looking():
                self._progress.update(self._task, description="looking ")
            case Looked(look=look) if look.reconstruction is not None:
                self._quality = f"{look.psnr:.1f} dB"
            case Done():
                early = f"{event.stopped} " if event.stopped else ""
                self._say(f"{early}The prior is {self._folder / event.prior}")
            case _:
                pass
        return True

    def note(self, name: str, step: int) -> None:
        pass

    def _begin(self, event: DataRead) -> None:
        self._say(
            f"{describe(event)}; {event.parameters:,} parameters, {event.device}, {event.precision}; checkpoints go "
            f"to {self._folder}"
        )
        self._progress.reset(self._task, total=event.total, completed=event.step, description="training")

    def _say(self, text: str) -> None:
        """A line on standard output; above the bar, where both are the same terminal."""
        if self._console.is_terminal and self._shared:
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)
        else:
            print(text, flush=True)


def describe(event: DataRead) -> str:
    """The data in words."""
    aside = f", {event.validation} more kept aside" if event.validation else ""
    skipped = f" ({len(event.skipped)} skipped)" if event.skipped else ""
    low, high = event.window
    kind = {1: "grey", 3: "colour"}.get(event.channels, f"{event.channels} channels")
    return (
        f"{event.images} images of {event.subjects} subjects{aside}{skipped}, {event.image_size} px, {kind}, "
        + f"{low:g} to {high:g} {event.unit}".rstrip()
    )


def _notes(event: Stepped, quality: str) -> list[str]:
    """What matters now, the most important first."""
    made = event.made
    return [
        text
        for text in (
            f"{_duration(event.left)} left",
            f"loss {made.average:.4f}",
            quality,
            f"{event.patches_per_second:.0f} patches/s",
            f"{made.memory / 2**30:.1f} GiB",
        )
        if text
    ]


def _fitting(parts: list[str], width: int) -> str:
    text = parts[0]
    for part in parts[1:]:
        if len(text) + 2 + len(part) > width:
            break
        text += f"  {part}"
    return text


def _duration(seconds: float) -> str:
    """A time to go, no finer than one can know it."""
    if seconds >= 36_000:
        return f"{seconds / 3600:.0f} h"
    if seconds >= 3600:
        return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"
    if seconds >= 120:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:.0f} s"
