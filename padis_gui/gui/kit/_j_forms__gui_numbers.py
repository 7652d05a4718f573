"""Fields of a form: numbers and choices that leave the wheel and the window's keys alone.

A field in a column that scrolls must not change because the wheel turns over it; and a number has no use for a
letter, so that the window's one-letter keys work while a number is being edited.
"""

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent, QStandardItemModel, QWheelEvent
from PySide6.QtWidgets import QAbstractSpinBox, QComboBox, QDoubleSpinBox, QSpinBox, QWidget

if TYPE_CHECKING:  # what the mixins stand before

    class _Widget(QWidget): ...

else:
    _Widget = object

_OF_NUMBERS = "0123456789.,+-eE"


class LeavesWheel(_Widget):
    """The wheel turns over a field that does not have the keyboard: whatever it lies in scrolls."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class _TakesNumbers(LeavesWheel):
    """Leaves the keys alone that a number could not take: letters, and the space bar."""

    def event(self, event: QEvent) -> bool:
        if event.type() is QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            plain = event.modifiers() in (
                Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
            )  # fmt: skip
            if plain and event.text().isprintable() and event.text() and event.text() not in _OF_NUMBERS:
                event.ignore()
                return False
        return super().event(event)


class WholeBox(_TakesNumbers, QSpinBox):
    """A whole number; takes what is typed when it is finished."""

    def __init__(self, minimum: int = 0, maximum: int = 99, *, prefix: str = "", suffix: str = "") -> None:
        super().__init__(minimum=minimum, maximum=maximum, prefix=prefix, suffix=suffix)
        self.setKeyboardTracking(False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)


class NumberBox(_TakesNumbers, QDoubleSpinBox):
    """Shows 0.005 and 180, not 180.000000; takes what is typed when it is finished; steps by its magnitude."""

    def __init__(self, minimum: float = -1e9, maximum: float = 1e9) -> None:
        super().__init__(minimum=minimum, maximum=maximum, decimals=6)
        self.setKeyboardTracking(False)
        self.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def textFromValue(self, value: float) -> str:
        return self.locale().toString(value, "g", 6)


class ChoiceBox(LeavesWheel, QComboBox):
    """One of several."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def offer(self, label: str, value: object, tip: str = "", why_not: str = "") -> None:
        """One more choice; greyed out with the reason where this machine cannot do it."""
        self.addItem(f"{label} (not here)" if why_not else label, value)
        index = self.count() - 1
        self.setItemData(index, why_not or tip, Qt.ItemDataRole.ToolTipRole)
        model = self.model()
        if why_not and isinstance(model, QStandardItemModel):
            model.item(index).setEnabled(False)
