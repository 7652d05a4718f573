"""What one sees of a volume on the command line: a progress bar, or its events as lines of JSON."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from padis_gui.cli._j_progress__cli_lines import Lines, Pacer
from padis_gui.cli._j_progress__cli_progress import progress_bar
from padis_gui.core.volumes.run import SliceDone, SliceFailed, VolumeBegan, VolumeEvent, Writing, as_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from padis_gui.core.runs.recipe import Recipe
    from padis_gui.core.solvers._j_iterate__core_solvers_iterate import Iterate

_STEP_SECONDS = 0.5  # between two lines or redrawings of steps


class Display(ABC):
    """Follows the events; ``failures`` are sentences, ``template`` the recipe of all slices once it is known."""

    def __init__(self) -> None:
        self.done = self.total = 0
        self.folder: Path | None = None
        self.failures: list[str] = []
        self.template: Recipe | None = None
        self._stepping = Pacer(_STEP_SECONDS)

    def show(self, event: VolumeEvent) -> bool:
        """Show an event; False when nobody can see it any more."""
        match event:
            case VolumeBegan():
                self.total, self.folder = event.total, event.folder
            case SliceDone():
                self.done = event.done
            case SliceFailed():
                self.failures.append(f"page {event.page}: {event.trouble}")
            case _:
                pass
        return self._show(event)

    def watch(self, page: int, iterate: "Iterate") -> None:
        """Show a step of the slice in hand, now and then."""
        if self._stepping():
            self._step(page, iterate)

    @abstractmethod
    def _show(self, event: VolumeEvent) -> bool: ...

    @abstractmethod
    def _step(self, page: int, iterate: "Iterate") -> None: ...

    @abstractmethod
    def note(self, name: str, step: int) -> None:
        """Something that is no event of the volume: paused, resumed, stopped."""


@contextmanager
def display(*, events: bool) -> Iterator[Display]:
    """Lines of JSON with ``events``, else a bar."""
    if events:
        yield _Lines()
        return
    with progress_bar("Volume") as bar:
        yield _Bar(bar)


class _Lines(Display):
    """Every event a line on standard output."""

    def __init__(self) -> None:
        super().__init__()
        self._lines = Lines()

    def _show(self, event: VolumeEvent) -> bool:
        return self._lines.write(as_line(event))

    def _step(self, page: int, iterate: "Iterate") -> None:
        self._lines.tell("step", page=page, step=iterate.step, of=iterate.total, sigma=iterate.sigma)

    def note(self, name: str, step: int) -> None:
        self._lines.tell(name, done=step)


class _Bar(Display):
    """Slices on a bar, with the last one's quality and the step of the one in hand."""

    def __init__(self, bar: "Callable[[int, int, str], None]") -> None:
        super().__init__()
        self._bar, self._quality = bar, ""

    def _show(self, event: VolumeEvent) -> bool:
        match event:
            case SliceDone():
                psnr = event.metrics.get("psnr")
                smoothed = " smoothed" if event.smooth else ""
                self._quality = f"page {event.page}{smoothed}" + ("" if psnr is None else f" {psnr:.2f} dB")
            case SliceFailed():
                self._quality = f"page {event.page} failed"
            case Writing():
                self._quality = f"writing {event.out.name}"
            case _:
                pass
        self._update(self._quality)
        return True

    def _step(self, page: int, iterate: "Iterate") -> None:
        self._update(f"{self._quality}  page {page}: {iterate.step}/{iterate.total}".strip())

    def note(self, name: str, step: int) -> None:
        pass

    def _update(self, note: str) -> None:
        self._bar(self.done, self.total, note)
