"""What does not block, in strips above the panes: messages with what happened and what to do, and questions."""

from collections.abc import Callable, Iterable, Sequence

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QFrame, QLabel, QPushButton, QToolButton, QWidget
from shiboken6 import isValid

from padis_gui.gui.kit.theme import LEVEL_COLOURS, icon
from padis_gui.gui.kit.widgets import push_button, row
from padis_gui.viewmodels.runs.runs import RunRecord
from padis_gui.viewmodels.session.session import Session

_INFO_SECONDS = 6
_NAMED = 5  # runs that a tip names
Offer = tuple[str, str, Callable[[], object]]  # a button's text, its tip, what it does
_OFFER_SECONDS = 20  # somebody has to read it, and to decide


class Strip(QFrame):
    """A coloured strip with a sentence, above the pages; it blocks nothing."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self.text = QLabel(wordWrap=True)
        self.hide()

    def paint(self, level: str) -> None:
        """In the colour of information, a warning or an error."""
        name = self.objectName()
        self.setStyleSheet(
            f"#{name} {{ background: {LEVEL_COLOURS[level]}; border-radius: 4px; }}"
            f"#{name} QLabel, #{name} QToolButton {{ color: white; }}"
        )


class MessageBar(Strip):
    """Shows the latest message; information goes away by itself, the rest stays until closed.

    ``details_wanted`` carries the sentence and the details when the user asks for a report.
    """

    details_wanted = Signal(str, str)

    def __init__(self) -> None:
        super().__init__("message_bar")
        self._details = ""
        layout = self._layout = row(self, margins=(10, 4, 4, 4))
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.details = push_button(
            "Details…", "A report with the technical details, to copy or save",
            lambda: self.details_wanted.emit(self.text.text(), self._details),
        )  # fmt: skip
        close = QToolButton(autoRaise=True)
        close.setIcon(icon("close"))
        close.setToolTip("Close this message")
        close.setAccessibleName("Close message")
        close.clicked.connect(self.hide)
        layout.addWidget(self.text, 1)
        for button in (self.details, close):
            layout.addWidget(button)
        self.offers: list[QPushButton] = []
        self._timer = QTimer(self, singleShot=True, interval=_INFO_SECONDS * 1000)
        self._timer.timeout.connect(self.hide)
        self.level = ""

    def show_message(
        self,
        level: str,
        sentence: str,
        details: str = "",
        offer: Offer | None = None,
    ) -> None:
        """Show one sentence; ``level`` is info, warning or error."""
        self.level, self._details = level, details
        self.text.setText(sentence)
        self.details.setVisible(bool(details) or level == "error")
        for button in self.offers:
            self._layout.removeWidget(button)
            button.deleteLater()
        self.offers = []
        self.paint(level)
        self._timer.start(_INFO_SECONDS * 1000) if level == "info" else self._timer.stop()
        self.show()
        if offer is not None:
            self.add_offers([offer])

    def add_offers(self, offers: Iterable[Offer]) -> None:
        """Buttons for what can be done about the message that is shown; each closes it. Information stays longer then."""
        for text, tip, do in offers:
            button = push_button(text, tip, self.hide)
            button.clicked.connect(lambda _checked=False, do=do: do())
            self._layout.insertWidget(1 + len(self.offers), button)
            self.offers.append(button)
        if self.offers and self._timer.isActive():
            self._timer.start(_OFFER_SECONDS * 1000)


class UnsavedNote(QToolButton):
    """Says which runs the disk has refused; a click exports them. Nothing while all are saved."""

    def __init__(self, session: Session, export: Callable[[tuple[RunRecord, ...]], object]) -> None:
        super().__init__()
        self._saver = session.saver
        self.setAutoRaise(True)
        self.setAccessibleName("Runs that are not saved")
        self.setObjectName("unsaved")
        self.setStyleSheet(f"#unsaved {{ color: white; background: {LEVEL_COLOURS['warning']}; }}")
        if self._saver is not None:
            saver = self._saver
            self.clicked.connect(lambda: export(saver.unsaved))
            saver.unsaved_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show how many there are now."""
        names = [] if self._saver is None else [record.name for record in self._saver.unsaved]
        self.setVisible(bool(names))
        self.setText(f"{len(names)} {'run' if len(names) == 1 else 'runs'} not saved")
        self.setToolTip(
            f"The disk does not take {', '.join(names[:_NAMED])}{' …' * (len(names) > _NAMED)}. They are kept until the "
            "window is closed, and saving is tried again; a click exports them to another place"
        )


class ChoiceBar(Strip):
    """Asks one question at a time; every answer closes it. ``about`` says what the present one is about."""

    def __init__(self) -> None:
        super().__init__("choice_bar")
        self._layout = row(self, spacing=6, margins=(10, 5, 6, 5))
        self._layout.addWidget(self.text, 1)
        self.answers: list[QPushButton] = []
        self.about = ""
        self._before: QWidget | None = None  # had the keyboard
        self.paint("warning")

    def asks(self, about: str) -> bool:
        """Whether a question about that waits for its answer."""
        return self.about == about and not self.isHidden()

    def ask(
        self, sentence: str, answers: Sequence[tuple[str, str, Callable[[], object]]], about: str = ""
    ) -> None:
        """Ask; each answer is its text, its tooltip and what it does. The first one has the keyboard."""
        if self.isHidden():
            self._before = self.window().focusWidget()
        self.about = about
        for button in self.answers:
            self._layout.removeWidget(button)
            button.deleteLater()
        self.answers = []
        self.text.setText(sentence)
        self.setAccessibleName(sentence)
        for text, tip, act in answers:
            button = push_button(text, tip, self._close)
            button.clicked.connect(lambda _checked=False, act=act: act())
            self._layout.addWidget(button)
            self.answers.append(button)
        self.show()
        self.answers[0].setFocus()

    def _close(self) -> None:
        """Whoever was asked goes on where the keyboard was."""
        before, focused = self._before, self.window().focusWidget()
        if focused in self.answers and before is not None and isValid(before) and before.isVisible():
            before.setFocus()
        self._before = None
        self.hide()
