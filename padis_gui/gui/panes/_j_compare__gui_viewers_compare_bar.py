"""The controls of the comparison: which two pictures, how fast they blink, how far their difference reaches."""

from PySide6.QtCore import QSignalBlocker
from PySide6.QtWidgets import QCheckBox, QPushButton, QToolButton, QWidget

from padis_gui.gui.kit._j_forms__gui_numbers import NumberBox
from padis_gui.gui.kit._j_theme__gui_viewers_icons import icon
from padis_gui.gui.kit._j_widgets__gui_elided import ElidedLabel
from padis_gui.gui.kit._j_widgets__gui_layouts import row
from padis_gui.gui.panes._j_image_pane__gui_viewers_source_choice import SourceChoice, SourceModel

SLOWEST, FASTEST, USUAL = 0.2, 8.0, 1.5  # changes a second


class CompareBar(QWidget):
    """Widgets only; the comparison connects them."""

    def __init__(self, model: SourceModel) -> None:
        super().__init__()
        self.first = SourceChoice(model, "truth", "First picture")
        self.second = SourceChoice(model, "estimate", "Second picture")
        self.swap = QToolButton(autoRaise=True)
        self.swap.setIcon(icon("swap"))
        self.swap.setAccessibleName("Swap")
        self.swap.setToolTip("Swap the two pictures")
        self.rate = NumberBox(SLOWEST, FASTEST)
        self.rate.setStepType(NumberBox.StepType.DefaultStepType)
        self.rate.setSingleStep(0.5)
        self.rate.setDecimals(1)
        self.rate.setValue(USUAL)
        self.rate.setSuffix(" /s")
        self.rate.setAccessibleName("Blink rate")
        self.rate.setToolTip("How often the pictures change places, in changes a second")
        self.reach = NumberBox(minimum=0.0)
        self.reach.setPrefix("± ")
        self.reach.setAccessibleName("Levels of the difference")
        self.reach.setToolTip("The difference is shown from minus to plus this value")
        self.fit_reach = QPushButton("Auto")
        self.fit_reach.setToolTip(
            "Levels that saturate 0.35 % of the difference; they do not move by themselves"
        )
        self.tiling = QCheckBox("Tiling")
        self.tiling.setToolTip("Draw the tiling of the shown step over the pictures")
        self.said = ElidedLabel(muted=True)
        self.leave = QToolButton(autoRaise=True)
        self.leave.setIcon(icon("close"))
        self.leave.setAccessibleName("Leave the comparison")
        self.leave.setToolTip("Back to the panes")
        bar = row(self, margins=(2, 2, 2, 2))
        for widget in (
            self.first,
            self.swap,
            self.second,
            self.rate,
            self.reach,
            self.fit_reach,
            self.tiling,
        ):
            bar.addWidget(widget)
        bar.addWidget(self.said, 1)
        bar.addWidget(self.leave)

    def show_mode(self, *, blinking: bool, subtracting: bool) -> None:
        """Show what this way of comparing needs."""
        self.rate.setVisible(blinking)
        for widget in (self.reach, self.fit_reach):
            widget.setVisible(subtracting)

    def show_reach(self, reach: float) -> None:
        """Show how far the difference's levels reach."""
        with QSignalBlocker(self.reach):
            self.reach.setValue(reach)
