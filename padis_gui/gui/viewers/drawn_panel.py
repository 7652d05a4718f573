"""What the panels of a drawn line and of a drawn region share: numbers to set it by, and a table to take away."""

from collections.abc import Mapping
from typing import TypeVar

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QGuiApplication, QShowEvent
from PySide6.QtWidgets import QAbstractSpinBox, QHBoxLayout, QLabel, QWidget

from padis_gui.gui.layouts import small_button
from padis_gui.gui.numbers import NumberBox, WholeBox
from padis_gui.gui.viewers.pane_grid import PaneGrid
from padis_gui.viewmodels.sources import Lattice

_FOLLOW_MS, _DRAG_MS = 250, 33
_FIELD_WIDTH = 56
LARGEST = 100_000  # px from the image's corner that a field takes

Box = TypeVar("Box", NumberBox, WholeBox)


class DrawnPanel(QWidget):
    """Follows the shape that is drawn on the panes, and their pictures, while somebody can see it.

    ``save_wanted`` carries what is shown as CSV.
    """

    save_wanted = Signal(str)

    def __init__(self, panes: PaneGrid, what: str, shape: str) -> None:
        """``what`` is shown here, of a ``shape``: two words for tooltips."""
        super().__init__()
        self._panes = panes
        self.copy, self.save, self.clear = (small_button(text) for text in ("Copy CSV", "Save CSV…", "Clear"))
        self.copy.setToolTip(f"Put the {what} on the clipboard, to paste into a spreadsheet")
        self.save.setToolTip(f"Write the {what} to a file")
        self.clear.setToolTip(f"Remove the {shape}")
        self.copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.csv()))
        self.save.clicked.connect(lambda: self.save_wanted.emit(self.csv()))
        self.clear.clicked.connect(self._remove)
        self._soon = QTimer(self, singleShot=True)
        self._soon.timeout.connect(self.refresh)
        panes.tools.changed.connect(lambda: self._later(_DRAG_MS))
        panes.gallery.changed.connect(lambda _keys: self._later(_FOLLOW_MS))
        panes.gallery.listed.connect(lambda: self._later(_FOLLOW_MS))
        panes.arranged.connect(lambda: self._later(_DRAG_MS))

    # What a panel does in its own way -------------------------------------------------------------

    def refresh(self) -> None:
        """Measure what the shape covers, and show it."""
        raise NotImplementedError

    def csv(self) -> str:
        """What is shown as text; empty where nothing is."""
        raise NotImplementedError

    def _remove(self) -> None:
        raise NotImplementedError

    def _take_numbers(self) -> None:
        """Draw the shape that the fields say."""
        raise NotImplementedError

    # What all do alike ----------------------------------------------------------------------------

    @property
    def _spacing(self) -> tuple[float, float] | None:
        """Pixel pitch in mm, (rows, columns), where it is known and the shape lies on the image."""
        group = self._panes.tools.group
        on_image = group is not None and group[0] == Lattice.IMAGE.value
        return self._panes.gallery.spacing if on_image else None

    def _find_group(self) -> bool:
        """Whether a shape set by numbers has pixels to lie on; before the first one is drawn, the active pane's."""
        tools = self._panes.tools
        if tools.group is None:
            tools.adopt(self._panes.active.group)
        return tools.group is not None

    def _field(self, box: Box, name: str, tip: str) -> Box:
        """Make a box a small field of the shape's place."""
        box.setAccessibleName(name)
        box.setToolTip(tip)
        box.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
        box.setMaximumWidth(_FIELD_WIDTH)
        box.valueChanged.connect(lambda _v: self._take_numbers())
        return box

    @staticmethod
    def _add_fields(layout: QHBoxLayout, fields: Mapping[str, QWidget]) -> None:
        for name, field in fields.items():
            label = QLabel(name)
            label.setBuddy(field)
            layout.addWidget(label)
            layout.addWidget(field)

    def _add_buttons(self, layout: QHBoxLayout) -> None:
        for button in (self.copy, self.save, self.clear):
            layout.addWidget(button)

    def _later(self, milliseconds: int) -> None:
        """Refresh soon, while somebody can see it; an earlier wish is not put off."""
        if self.isVisible() and (not self._soon.isActive() or self._soon.remainingTime() > milliseconds):
            self._soon.start(milliseconds)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.refresh()
