"""A question that doesn't block: a strip with a sentence and a few answers."""

from collections.abc import Callable, Sequence

from PySide6.QtWidgets import QFrame, QLabel, QPushButton

from padis_gui.gui.layouts import row
from padis_gui.gui.theme import LEVEL_COLOURS


class ChoiceBar(QFrame):
    """Asks one question at a time; every answer closes it."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("choice_bar")
        self._layout = row(self, spacing=6, margins=(10, 5, 6, 5))
        self.text = QLabel(wordWrap=True)
        self._layout.addWidget(self.text, 1)
        self.answers: list[QPushButton] = []
        self.setStyleSheet(
            f"#choice_bar {{ background: {LEVEL_COLOURS['warning']}; border-radius: 4px; }}"
            "#choice_bar QLabel { color: white; }"
        )
        self.hide()

    def ask(self, sentence: str, answers: Sequence[tuple[str, str, Callable[[], object]]]) -> None:
        """Ask; each answer is its text, its tooltip and what it does. The first one has the focus."""
        for button in self.answers:
            self._layout.removeWidget(button)
            button.deleteLater()
        self.answers = []
        self.text.setText(sentence)
        self.setAccessibleName(sentence)
        for text, tip, act in answers:
            button = QPushButton(text)
            button.setToolTip(tip)
            button.clicked.connect(self.hide)
            button.clicked.connect(lambda _checked=False, act=act: act())
            self._layout.addWidget(button)
            self.answers.append(button)
        self.show()
        self.answers[0].setFocus()
