"""Fields of a form: numbers and choices that leave the wheel and the window's keys alone.

A field in a column that scrolls must not change because the wheel turns over it; and a number has no use for a
letter, so that the window's one-letter keys work while a number is being edited.
"""

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent, QWheelEvent
from PySide6.QtWidgets import QAbstractSpinBox, QComboBox, QDoubleSpinBox, QSpinBox, QWidget

_OF_NUMBERS = "0123456789.,+-eE"


def _is_of_no_use(event: QEvent) -> bool:
    """Whether a number field is asked for a key that it could not take: a letter, or the space bar."""
    if event.type() is not QEvent.Type.ShortcutOverride or not isinstance(event, QKeyEvent):
        return False
    plain = event.modifiers() in (Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier)
    text = event.text()
    return plain and bool(text) and text.isprintable() and text not in _OF_NUMBERS


def _scrolls_by(widget: QWidget, event: QWheelEvent) -> bool:
    """Whether the wheel turns over a field that does not have the keyboard."""
    if widget.hasFocus():
        return False
    event.ignore()
    return True


class WholeBox(QSpinBox):
    """A whole number; takes what is typed when it is finished."""

    def __init__(self, minimum: int = 0, maximum: int = 99, *, prefix: str = "", suffix: str = "") -> None:
        super().__init__(minimum=minimum, maximum=maximum, prefix=prefix, suffix=suffix)
        self.setKeyboardTracking(False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def event(self, event: QEvent) -> bool:
        if _is_of_no_use(event):
            event.ignore()
            return False
        return super().event(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if not _scrolls_by(self, event):
            super().wheelEvent(event)


class NumberBox(QDoubleSpinBox):
    """Shows 0.005 and 180, not 180.000000; takes what is typed when it is finished; steps by its magnitude."""

    def __init__(self, minimum: float = -1e9, maximum: float = 1e9) -> None:
        super().__init__(minimum=minimum, maximum=maximum, decimals=6)
        self.setKeyboardTracking(False)
        self.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def textFromValue(self, value: float) -> str:
        return self.locale().toString(value, "g", 6)

    def event(self, event: QEvent) -> bool:
        if _is_of_no_use(event):
            event.ignore()
            return False
        return super().event(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if not _scrolls_by(self, event):
            super().wheelEvent(event)


class ChoiceBox(QComboBox):
    """One of several."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if not _scrolls_by(self, event):
            super().wheelEvent(event)
