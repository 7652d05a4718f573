"""Lists by keyboard."""

from PySide6.QtCore import QEvent, QItemSelectionModel, QObject, Qt
from PySide6.QtGui import QFocusEvent
from PySide6.QtWidgets import QAbstractItemView


class SelectOnFocus(QObject):
    """Selects a list's first row when the keyboard comes to it and none is selected.

    Qt only frames that row: Home and the arrows then leave it, and the list's keys act on nothing.
    """

    def __init__(self, view: QAbstractItemView) -> None:
        super().__init__(view)
        self._view = view
        view.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Select after Qt has dealt with the event; a click selects what it hits by itself."""
        if (
            isinstance(event, QFocusEvent)
            and event.gotFocus()
            and event.reason() != Qt.FocusReason.MouseFocusReason
        ):
            chosen, first = self._view.selectionModel(), self._view.model().index(0, 0)
            if not chosen.hasSelection() and first.isValid():
                flags = QItemSelectionModel.SelectionFlag
                chosen.setCurrentIndex(first, flags.ClearAndSelect | flags.Rows)
        return super().eventFilter(watched, event)
