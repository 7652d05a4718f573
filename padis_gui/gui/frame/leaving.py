"""Closing the window while something is under way: it asks what is to become of it, and never blocks."""

from collections.abc import Callable

from PySide6.QtCore import QObject

from padis_gui.gui.frame.messages import ChoiceBar
from padis_gui.viewmodels.laboratory.ab import ABRun
from padis_gui.viewmodels.runs.runs import RunRecord
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.studies.studies import Studies
from padis_gui.viewmodels.training.trainer import Trainer
from padis_gui.viewmodels.volumes.volumes import Volumes

_ABOUT = "closing"


class Leaving(QObject):
    """``go`` closes the window, and with ``finish`` keeps the estimate of what is under way before.

    ``export`` asks where to write runs of the list.
    """

    def __init__(
        self,
        session: Session,
        ab: ABRun,
        volumes: Volumes,
        trainer: Trainer,
        studies: Studies,
        question: ChoiceBar,
        go: Callable[..., None],
        export: Callable[[tuple[RunRecord, ...]], object],
    ) -> None:
        super().__init__(question)
        self._session, self._ab, self._volumes, self._trainer = session, ab, volumes, trainer
        self._studies = studies
        self._question, self._go, self._export = question, go, export
        self._may_lose = False
        for signal in (
            session.occupied_changed,
            session.queue.changed,
            volumes.changed,
            trainer.state_changed,
            studies.state_changed,
        ):
            signal.connect(self._follow)

    def ask_or_go(self) -> None:
        """Close the window; where something is under way ask first. Who closes it again means it."""
        if self._question.asks(_ABOUT) or not self._under_way():
            self._go(finish=False)
        else:
            self._ask()

    async def finish(self) -> None:
        """Keep what runs: the present estimate of a run, both of a comparison. No other one of the queue begins."""
        self._session.queue.hold(True)
        if self._ab.active:
            await self._ab.finished()
            self._ab.keep()
        await self._session.finish()

    async def saved(self) -> bool:
        """Whether the window may go: all runs are saved, or the user has said that the others may be lost. It asks."""
        saver = self._session.saver
        if saver is None or self._may_lose:
            return True
        await saver.flush()
        unsaved = saver.unsaved
        if not unsaved:
            return True
        what = f"{len(unsaved)} runs are" if len(unsaved) > 1 else f"{unsaved[0].name} is"
        self._question.ask(
            f"{what} not saved, since the disk does not take it. Close the window all the same?",
            (
                ("Save elsewhere…", "Export what is not saved to another place", lambda: self._export(unsaved)),
                ("Try again", "Save and close, after room was made", lambda: self._go(finish=False)),
                ("Lose and close", "Close the window; what is not saved is lost", self._lose),
                ("Stay", "The window stays open, and saving is tried again", lambda: None),
            ),
        )  # fmt: skip
        return False

    def _lose(self) -> None:
        self._may_lose = True
        self._go(finish=False)

    # The question -----------------------------------------------------------------------------------

    @property
    def _computes(self) -> bool:
        """Whether something is under way whose estimate could be kept."""
        session = self._session
        return session.run.active or self._ab.active or bool(session.queue.waiting and not session.queue.held)

    def _under_way(self) -> list[str]:
        """What goes on, each in a few words."""
        session, found = self._session, []
        if self._ab.active:
            found.append("an A/B comparison")
        elif self._computes:
            found.append("a run")
        waiting = len(session.queue.waiting)
        if found and waiting:
            found.append(f"{waiting} more in the queue")
        if self._volumes.active:
            found.append("a volume")
        if self._trainer.active:
            found.append("a training")
        if self._studies.active:
            found.append("a study")
        return found

    def _ask(self) -> None:
        found = self._under_way()
        if found == ["a training"]:
            sentence = "A training is under way. It is saved now and can be resumed whenever you like."
        else:
            sentence = f"Under way: {', '.join(found)}."
        if not self._question.asks(_ABOUT) or self._question.text.text() != sentence:
            self._question.ask(sentence, self._answers(found), about=_ABOUT)

    def _answers(self, found: list[str]) -> list[tuple[str, str, Callable[[], object]]]:
        kept = self._kept()
        stop, stay = (
            ("Stop and close", "Stay") if found != ["a training"] else ("Save and close", "Keep training")
        )
        answers: list[tuple[str, str, Callable[[], object]]] = []
        if self._computes:
            what = "both estimates" if self._ab.active else "the present estimate"
            answers.append(
                (
                    "Finish and close", f"Stop now, and keep {what} in the list of runs. {kept}",
                    lambda: self._go(finish=True),
                )
            )  # fmt: skip
            kept = f"Nothing is kept of what runs. {kept}"
        answers.append((stop, kept, lambda: self._go(finish=False)))
        answers.append(
            (stay, "The window stays open, and all of it goes on; minimise it instead", lambda: None)
        )
        return answers

    def _kept(self) -> str:
        """What is kept whatever the answer."""
        kept = ["Earlier runs, the queue and the settings are saved"] if self._computes else []
        if self._volumes.active:
            kept.append("finished slices of the volume are kept, and its Start goes on with the rest")
        if self._trainer.active:
            kept.append("the training saves, stops, and can be resumed")
        if self._studies.active:
            kept.append("finished runs of the study are kept, and it can be resumed")
        text = "; ".join(kept)
        return text[:1].upper() + text[1:]

    def _follow(self) -> None:
        """The question is about what is under way now."""
        if not self._question.asks(_ABOUT):
            return
        if self._under_way():
            self._ask()
        else:
            self._question.ask(
                "What was under way has ended.",
                (
                    ("Close", "Close the window", lambda: self._go(finish=False)),
                    ("Stay", "The window stays open", lambda: None),
                ),
                about=_ABOUT,
            )
