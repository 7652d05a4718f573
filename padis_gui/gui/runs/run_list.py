"""The list of runs: to look at, compare, name, pin, delete, use again, repeat, export."""

import math
from collections.abc import Callable

from PySide6.QtCore import (
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QSize,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QMenu, QTreeView

from padis_gui.gui.kit.lists import ListPanel
from padis_gui.gui.runs.run_table import COLUMNS, ID_ROLE, SORT_ROLE, THUMBNAIL, RunTable
from padis_gui.viewmodels.runs.runs import RunRecord
from padis_gui.viewmodels.session.session import Session

_WHEN = next(at for at, each in enumerate(COLUMNS) if each.title == "When")
_WIDTHS = {
    "Name": 190,
    "Method": 92,
    "PSNR": 58,
    "SSIM": 54,
    "Residual": 66,
    "Time": 62,
    "Seed": 84,
    "When": 96,
}


class _Sorted(QSortFilterProxyModel):
    """Sorts by value; what is not known comes last, whichever way."""

    def lessThan(
        self, left: QModelIndex | QPersistentModelIndex, right: QModelIndex | QPersistentModelIndex
    ) -> bool:
        a, b = left.data(SORT_ROLE), right.data(SORT_ROLE)
        if isinstance(a, float) and isinstance(b, float) and (math.isnan(a) or math.isnan(b)):
            ascending = self.sortOrder() is Qt.SortOrder.AscendingOrder
            return math.isnan(b) and not math.isnan(a) if ascending else math.isnan(a) and not math.isnan(b)
        return bool(a < b)


class RunList(ListPanel):
    """``export_wanted`` carries the records that are to be written to files."""

    export_wanted = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__("runs")
        self._session = session
        self.table = RunTable(session.runs, self)
        self._proxy = _Sorted(self)
        self._proxy.setSourceModel(self.table)
        self.view = self._make_view()
        self._make_actions()
        self._lay_out(self.view, self._on_bar, "Every run is kept here, with its settings and its result")
        session.runs.changed.connect(self._refresh)
        session.run.changed.connect(self._refresh)
        self._refresh()

    def _make_view(self) -> QTreeView:
        view = QTreeView()
        view.setAccessibleName("Runs")
        view.setToolTip("Every run of this session; Enter shows the selected one")
        view.setModel(self._proxy)
        view.setSortingEnabled(True)
        view.sortByColumn(_WHEN, Qt.SortOrder.DescendingOrder)
        view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        view.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        view.setUniformRowHeights(True)
        view.setAllColumnsShowFocus(True)
        view.setAlternatingRowColors(True)
        view.setIndentation(14)
        view.setIconSize(QSize(THUMBNAIL, THUMBNAIL))
        view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        view.customContextMenuRequested.connect(self._offer)
        view.activated.connect(self._activated)
        header = view.header()
        for at, each in enumerate(COLUMNS):
            if each.title in _WIDTHS:
                view.setColumnWidth(at, _WIDTHS[each.title])
        header.setSectionsMovable(True)
        header.setStretchLastSection(True)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        view.selectionModel().selectionChanged.connect(self._select)
        return view

    def _make_actions(self) -> None:
        session = self._session
        self.show_run = self._action("&Show", "Put the selected run into the panes", "", self._show)
        self.compare = self._action(
            "&Compare", "See the two selected runs against each other", "", session.runs.compare_selected
        )
        self.use = self._action(
            "&Use settings", "Choose what the selected run was made of, its seed included", "",
            lambda: self._with_one(lambda record: session.spawn(session.use_run(record))),
        )  # fmt: skip
        self.repeat = self._action(
            "Re&peat", "Run it again, live changes included, and say whether the result is the same bit for bit", "",
            lambda: self._with_one(lambda record: session.spawn(session.runner.repeat(record))),
        )  # fmt: skip
        self.export = self._action(
            "&Export…", "Write the selected runs: results, iterates, curves or reports, with their recipes", "",
            lambda: self.export_wanted.emit(session.runs.selected),
        )  # fmt: skip
        self.rename = self._action("Re&name", "Give the selected run another name", "F2", self._rename)
        self.pin = self._action(
            "P&in",
            "Pinned runs are neither deleted nor the first to go where the disk is short",
            "",
            self._pin,
        )
        self.pin.setCheckable(True)
        self.delete = self._action("&Delete", "Delete the selected runs", "Del", self._delete)
        self.undo = self._action("Und&o", "Bring back what was deleted last", "Ctrl+Z", self._undo)
        self._on_bar = [
            self.show_run, self.compare, self.use, self.repeat, self.export, self.pin, self.delete, self.undo
        ]  # fmt: skip

    def menu(self) -> QMenu:
        """A menu of everything that can be done with the selected runs."""
        menu = QMenu("Runs of the &list", self)
        menu.setToolTipsVisible(True)
        for actions in (
            [self.show_run, self.compare],
            [self.use, self.repeat],
            [self.export],
            [self.rename, self.pin],
        ):
            menu.addActions(actions)
            menu.addSeparator()
        menu.addActions([self.delete, self.undo])
        return menu

    # From the session -----------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Enable what can be done with what is selected."""
        session, chosen = self._session, self._session.runs.selected
        one = len(chosen) == 1
        self.empty.setVisible(not session.runs.records)
        self.show_run.setEnabled(one)
        self.compare.setEnabled(len(chosen) == 2)
        self.use.setEnabled(one)
        self.repeat.setEnabled(one)
        self.rename.setEnabled(one)
        for action in (self.export, self.pin):
            action.setEnabled(bool(chosen))
        self.pin.setChecked(bool(chosen) and all(record.pinned for record in chosen))
        self.delete.setEnabled(any(not record.pinned for record in chosen))
        self.undo.setEnabled(session.runs.can_undo)

    # From the user --------------------------------------------------------------------------------

    def select(self, *records: RunRecord) -> None:
        """Select the rows of these runs."""
        model = self.view.selectionModel()
        model.clearSelection()
        for record in records:
            index = self._proxy.mapFromSource(self.table.index_of(record.id))
            if index.isValid():
                flags = QItemSelectionModel.SelectionFlag
                model.select(index, flags.Select | flags.Rows)
                model.setCurrentIndex(index, flags.NoUpdate)
                self.view.scrollTo(index)

    def _select(self) -> None:
        before = [record.id for record in self._session.runs.selected]
        now = {index.data(ID_ROLE) for index in self.view.selectionModel().selectedRows()}
        kept = [identity for identity in before if identity in now]  # the order in which they were selected
        self._session.runs.select([*kept, *(identity for identity in now if identity not in kept)])
        self._refresh()

    def _with_one(self, do: Callable[[RunRecord], object]) -> None:
        chosen = self._session.runs.selected
        if len(chosen) == 1:
            do(chosen[0])

    def _show(self) -> None:
        self._with_one(self._session.shown.show)

    def _activated(self, index: QModelIndex) -> None:
        record = self._session.runs.find(index.data(ID_ROLE))
        if record is not None:
            self._session.shown.show(record)

    def _rename(self) -> None:
        rows = self.view.selectionModel().selectedRows()
        if len(rows) == 1:
            self.view.edit(rows[0])

    def _pin(self) -> None:
        for record in self._session.runs.selected:
            self._session.runs.pin(record.id, self.pin.isChecked())

    def _delete(self) -> None:
        runs = self._session.runs
        gone = runs.delete([record.id for record in runs.selected])
        self._select()
        if gone:
            what = "1 run was" if gone == 1 else f"{gone} runs were"
            self._session.message.emit("info", f"{what} deleted; Undo in the list of runs brings back.", "")

    def _undo(self) -> None:
        self._session.runs.undo_delete()

    def _offer(self, position: QPoint) -> None:
        menu = self.menu()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.view.viewport().mapToGlobal(position))
