"""Lists, tables and trees that are only looked at and chosen from, and panels of one with its actions."""

from collections.abc import Callable, Sequence

from PySide6.QtCore import QEvent, QItemSelectionModel, QObject, Qt
from PySide6.QtGui import QAction, QFocusEvent
from PySide6.QtWidgets import QAbstractItemView, QLabel, QTableWidget, QTableWidgetItem, QTreeWidget, QWidget

from padis_gui.gui.kit.actions import panel_action
from padis_gui.gui.kit.widgets import Flow, action_button, column, muted


def plain_table(name: str, tip: str, titles: Sequence[str]) -> QTableWidget:
    """A table of rows to be looked at and chosen."""
    table = QTableWidget(0, len(titles))
    table.setAccessibleName(name)
    table.setToolTip(tip)
    table.setHorizontalHeaderLabels(titles)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setAlternatingRowColors(True)
    table.setShowGrid(False)
    table.verticalHeader().hide()
    return table


def cell(table: QTableWidget, at_row: int, at_column: int) -> QTableWidgetItem:
    """The item of a cell, made when it is first wanted."""
    item = table.item(at_row, at_column)
    if item is None:
        item = QTableWidgetItem()
        table.setItem(at_row, at_column, item)
    return item


def plain_tree(name: str, tip: str, titles: Sequence[str]) -> QTreeWidget:
    """A list of several columns."""
    tree = QTreeWidget()
    tree.setAccessibleName(name)
    tree.setToolTip(tip)
    tree.setHeaderLabels(titles)
    tree.setRootIsDecorated(False)
    return tree


def say_when_empty(view: QAbstractItemView, text: str) -> QLabel:
    """A remark in the middle of a list; whoever fills the list hides it."""
    empty = muted(text, alignment=Qt.AlignmentFlag.AlignCenter)
    column(view.viewport()).addWidget(empty)
    return empty


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


class ListPanel(QWidget):
    """A list below the buttons of its actions, whose keys work while the keyboard is in the panel."""

    def __init__(self, name: str) -> None:
        """``name`` begins the names of the actions' objects."""
        super().__init__()
        self._name = name

    def _action(self, text: str, tip: str, keys: str, slot: Callable[[], object]) -> QAction:
        plain = text.replace("&", "").replace("…", "").lower().replace(" ", "_")
        return panel_action(self, f"{self._name}_{plain}", text, tip, keys, slot, within=self)

    def _lay_out(
        self, view: QAbstractItemView, actions: Sequence[QAction], empty: str, *beside: QWidget
    ) -> None:
        """Put the buttons, and what stands ``beside`` them, above the list; too narrow, a menu has the last ones."""
        SelectOnFocus(view)
        self.first_focus = view  # what F6 puts the keyboard on; the buttons act on what is chosen there
        self.empty = say_when_empty(view, empty)
        bar = Flow(spacing=0, margins=(4, 0, 4, 0))
        for action in actions:
            bar.addWidget(action_button(action))
        for widget in beside:
            bar.addWidget(widget)
        layout = column(self)
        layout.addLayout(bar)
        layout.addWidget(view, 1)
