"""A box for numbers of any size."""

from PySide6.QtWidgets import QAbstractSpinBox, QDoubleSpinBox


class NumberBox(QDoubleSpinBox):
    """Shows 0.005 and 180, not 180.000000; takes what is typed when it is finished; steps by its magnitude."""

    def __init__(self, minimum: float = -1e9, maximum: float = 1e9) -> None:
        super().__init__(minimum=minimum, maximum=maximum, decimals=6)
        self.setKeyboardTracking(False)
        self.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)

    def textFromValue(self, value: float) -> str:
        return self.locale().toString(value, "g", 6)
