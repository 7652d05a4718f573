"""All actions of the menus in one list, found by typing a part of a name, as in editors and in napari."""

import re
from collections.abc import Iterator
from itertools import pairwise

from PySide6.QtCore import (
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPoint,
    QSize,
    QSortFilterProxyModel,
    Qt,
    QTimer,
)
from PySide6.QtGui import QAction, QKeyEvent, QKeySequence, QStandardItem, QStandardItemModel
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QDialog,
    QHeaderView,
    QLineEdit,
    QMainWindow,
    QMenu,
    QTreeView,
    QWidget,
)
from shiboken6 import isValid

from padis_gui.gui.kit.widgets import column, muted

_BETWEEN = " › "
_MOVES = (Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown)
_SIZE = 620, 420
_AROUND = 8  # px above and below a name together
_ACTION = Qt.ItemDataRole.UserRole

_Index = QModelIndex | QPersistentModelIndex


def spelled(text: str) -> str:
    """The text of an action or a menu without the marks of its letters."""
    return re.sub(r"&(.)", r"\1", text)


def named_actions(menu: QMenu, path: str, possible: bool = True) -> Iterator[tuple[str, QAction, bool]]:
    """The actions of a menu and of those below it that can be seen, each with its way there, "File › Export…", and whether
    it is possible now: neither it nor a menu on the way is grey."""
    for action in menu.actions():
        name = f"{path}{_BETWEEN}{spelled(action.text())}"
        below, can = action.menu(), possible and action.isEnabled()
        if isinstance(below, QMenu):
            yield from named_actions(below, name, can)
        elif not action.isSeparator() and action.isVisible():
            yield name, action, can


def distance(typed: str, name: str) -> tuple[int, int, int] | None:
    """How far a name is from what was typed; None where it has not all of its letters in that order.

    Nearer is a name with the letters at the beginning of words, then close together, then early.
    """
    letters, name = [c for c in typed.lower() if not c.isspace()], name.lower()
    if not letters:
        return 0, 0, 0
    return min(_placements(letters, name), default=None)


def _placements(letters: list[str], name: str) -> Iterator[tuple[int, int, int]]:
    """Each place where the letters may begin: how many of them then lie scattered within words, over how many letters of
    the name they reach, and where they begin."""
    for first in (at for at, letter in enumerate(name) if letter == letters[0]):
        places = [first]
        for letter in letters[1:]:
            at = name.find(letter, places[-1] + 1)
            if at < 0:
                return  # nor further on
            places.append(at)
        begins = [at == 0 or not name[at - 1].isalnum() for at in places]
        follows = [False, *(b - a == 1 for a, b in pairwise(places))]
        scattered = sum(not (b or f) for b, f in zip(begins, follows, strict=True))
        yield scattered, places[-1] - first, first


class _Nearest(QSortFilterProxyModel):
    """Rows that have what was typed, the nearest first; all of them, as in the menus, while nothing is."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.typed = ""

    def show(self, typed: str) -> None:
        self.typed = typed
        self.invalidate()
        self.sort(0 if typed.strip() else -1)

    def _distance(self, row: int) -> tuple[int, int, int] | None:
        return distance(self.typed, str(self.sourceModel().index(row, 0).data()))

    def filterAcceptsRow(self, row: int, parent: _Index) -> bool:
        return self._distance(row) is not None

    def lessThan(self, left: _Index, right: _Index) -> bool:
        far = (999, 0, 0)
        return (self._distance(left.row()) or far, left.row()) < (
            self._distance(right.row()) or far,
            right.row(),
        )


class Palette(QDialog):
    """The actions as they stand when it is opened; what can't be done now is grey. Enter does the chosen one."""

    def __init__(self, window: QMainWindow) -> None:
        super().__init__(window)
        self.setWindowTitle("Find an action")
        self.line = QLineEdit(placeholderText="Type a part of a name")
        self.line.setAccessibleName("Action")
        self.line.setToolTip("Letters of the name, in their order: “opim” finds Open image")
        model = QStandardItemModel(0, 2, self)
        for top in window.menuBar().actions():
            menu = top.menu()
            if isinstance(menu, QMenu):
                for named in named_actions(menu, spelled(top.text())):
                    model.appendRow(self._row(*named))
        self.rows = _Nearest(self)
        self.rows.setSourceModel(model)
        self.view = QTreeView(rootIsDecorated=False, uniformRowHeights=True)
        self.view.setAlternatingRowColors(True)
        self.view.setAccessibleName("Actions")
        self.view.setToolTip("Enter, or a double click, does what is chosen")
        self.view.setModel(self.rows)
        self.view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.view.setHeaderHidden(True)
        self.view.header().setStretchLastSection(False)
        self.view.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.view.header().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        layout = column(self, spacing=6, margins=(8, 8, 8, 8))
        layout.addWidget(self.line)
        layout.addWidget(self.view, 1)
        layout.addWidget(muted("↑ ↓ choose · Enter does it · Esc closes"))
        self.line.textChanged.connect(self._filter)
        self.line.installEventFilter(self)
        self.line.returnPressed.connect(self._do)
        self.view.activated.connect(self._do)
        self.resize(min(_SIZE[0], window.width()), min(_SIZE[1], window.height()))
        middle = window.rect().center().x() - self.width() // 2
        self.move(window.mapToGlobal(QPoint(middle, window.menuBar().height())))
        self._filter("")

    def _filter(self, typed: str) -> None:
        self.rows.show(typed)
        first = next((i for i in self._indexes() if i.flags() & Qt.ItemFlag.ItemIsEnabled), None)
        if first is not None:
            self.view.setCurrentIndex(first)
        self.view.scrollToTop()

    def _indexes(self) -> Iterator[QModelIndex]:
        return (self.rows.index(number, 0) for number in range(self.rows.rowCount()))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The arrow keys move in the list while the keyboard is in the line."""
        if isinstance(event, QKeyEvent) and event.type() is QEvent.Type.KeyPress and event.key() in _MOVES:
            QApplication.sendEvent(self.view, event)
            return True
        return super().eventFilter(watched, event)

    def _do(self) -> None:
        index = self.view.currentIndex()
        action = index.siblingAtColumn(0).data(_ACTION) if index.isValid() else None
        possible = bool(index.flags() & Qt.ItemFlag.ItemIsEnabled)
        if not possible or not isinstance(action, QAction) or not isValid(action) or not action.isEnabled():
            return
        self.close()
        window = self.parent()
        if isinstance(window, QWidget):
            window.activateWindow()  # what the action does with the keyboard, it does there
        QTimer.singleShot(0, action, action.trigger)

    def _row(self, name: str, action: QAction, possible: bool) -> list[QStandardItem]:
        keys = " or ".join(k.toString(QKeySequence.SequenceFormat.NativeText) for k in action.shortcuts())
        found = [QStandardItem(name), QStandardItem(keys)]
        found[0].setData(action, _ACTION)
        found[1].setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        for item in found:
            item.setSizeHint(
                QSize(
                    self.fontMetrics().horizontalAdvance(item.text()) + 2 * _AROUND,
                    self.fontMetrics().height() + _AROUND,
                )
            )
            item.setToolTip(action.toolTip())
            item.setEnabled(possible)
        return found
