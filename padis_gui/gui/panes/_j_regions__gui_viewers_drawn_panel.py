"""What the panels of a drawn line and of a drawn region share: numbers to set it by, and a table to take away."""

from collections.abc import Mapping
from typing import TypeVar

from PySide6.QtCore import Signal
from PySide6.QtGui import QGuiApplication, QShowEvent
from PySide6.QtWidgets import QAbstractSpinBox, QHBoxLayout, QLabel, QWidget

from padis_gui.gui.kit._j_forms__gui_numbers import NumberBox, WholeBox
from padis_gui.gui.kit._j_widgets__gui_layouts import small_button, throttled
from padis_gui.gui.panes.pane_grid import PaneGrid
from padis_gui.viewmodels.pictures.sources import Lattice

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
        self.copy = small_button(
            "Copy CSV", f"Put the {what} on the clipboard, to paste into a spreadsheet",
            lambda: QGuiApplication.clipboard().setText(self.csv()),
        )  # fmt: skip
        self.save = small_button(
            "Save CSV…", f"Write the {what} to a file", lambda: self.save_wanted.emit(self.csv())
        )
        self.clear = small_button("Clear", f"Remove the {shape}", self._remove)
        drag, follow = (throttled(self, wait, self._refresh_seen) for wait in (_DRAG_MS, _FOLLOW_MS))
        panes.tools.changed.connect(drag.throttle)
        panes.arranged.connect(drag.throttle)
        panes.gallery.changed.connect(lambda _keys: follow.throttle())
        panes.gallery.listed.connect(follow.throttle)

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

    def _refresh_seen(self) -> None:
        if self.isVisible():
            self.refresh()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.refresh()
