"""A question that doesn't block: a strip with a sentence and a few answers."""

from collections.abc import Callable, Sequence

from PySide6.QtWidgets import QPushButton

from padis_gui.gui.frame._j_messages__gui_message_bar import Strip
from padis_gui.gui.kit._j_widgets__gui_layouts import push_button, row


class ChoiceBar(Strip):
    """Asks one question at a time; every answer closes it."""

    def __init__(self) -> None:
        super().__init__("choice_bar")
        self._layout = row(self, spacing=6, margins=(10, 5, 6, 5))
        self._layout.addWidget(self.text, 1)
        self.answers: list[QPushButton] = []
        self.paint("warning")

    def ask(self, sentence: str, answers: Sequence[tuple[str, str, Callable[[], object]]]) -> None:
        """Ask; each answer is its text, its tooltip and what it does. The first one has the focus."""
        for button in self.answers:
            self._layout.removeWidget(button)
            button.deleteLater()
        self.answers = []
        self.text.setText(sentence)
        self.setAccessibleName(sentence)
        for text, tip, act in answers:
            button = push_button(text, tip, self.hide)
            button.clicked.connect(lambda _checked=False, act=act: act())
            self._layout.addWidget(button)
            self.answers.append(button)
        self.show()
        self.answers[0].setFocus()
