"""How long work is followed and stopped: it asks whether it may go on, and says how far it has come."""

from collections.abc import Callable
from dataclasses import dataclass


def _go_on() -> None:
    pass


def _say_nothing(done: float, stage: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Watch:
    """What is handed down to work that may take long; by default nobody follows it.

    ``check`` is asked at least every 300 ms of work and raises
    :class:`~padis_gui.core.settings.errors.Interrupted` where it must stop. ``progress`` is told how much of the work
    is done, from 0 to 1 and never less than before, and which stage it is in, in a word or two ("system matrix").
    """

    check: Callable[[], None] = _go_on
    progress: Callable[[float, str], None] = _say_nothing

    def tell(self, done: float, stage: str = "") -> None:
        """``done`` of the work is done, from 0 to 1; asks whether it may go on."""
        self.check()
        self.progress(min(max(done, 0.0), 1.0), stage)

    def part(self, start: float, end: float, stage: str = "") -> "Watch":
        """For a part of the work that takes from ``start`` to ``end`` of it, and is called ``stage`` where it gives
        itself no name."""

        def progress(done: float, own: str) -> None:
            self.progress(start + done * (end - start), own or stage)

        return Watch(self.check, progress)


@dataclass(slots=True)
class Standing:
    """How far work is, as somebody sees it: told in its thread, read from any."""

    now: tuple[float, str] = 0.0, ""

    def tell(self, done: float, stage: str) -> bool:
        """``done`` of it is done, in this ``stage``; returns whether that is another stage or percent than before."""
        before, self.now = self.now, (done, stage)
        return (round(before[0], 2), before[1]) != (round(done, 2), stage)


SILENT = Watch()
