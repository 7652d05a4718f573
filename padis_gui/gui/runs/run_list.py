"""The list of runs: to look at, sort, filter, compare, name, pin, delete, use again, repeat, export."""

import json
import math
from collections.abc import Callable
from functools import partial

from PySide6.QtCore import (
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QSize,
    QSortFilterProxyModel,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import QGuiApplication, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QLabel,
    QLineEdit,
    QMenu,
    QToolButton,
    QTreeView,
    QWidget,
)

from padis_gui.core.runs.differences import what_differs
from padis_gui.gui.kit.focus import LeftByEscape
from padis_gui.gui.kit.lists import ListPanel
from padis_gui.gui.kit.widgets import row, scrolled, small_button
from padis_gui.gui.runs.run_table import ID_ROLE, SORT_ROLE, THUMBNAIL, RunTable
from padis_gui.viewmodels.runs.columns import COLUMNS, matches, words_of
from padis_gui.viewmodels.runs.runs import RunRecord
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.state.preferences import Preferences

_KEYS = tuple(column.key for column in COLUMNS)
_REMEMBERED = "runs_columns"
_NO_RUNS = "Every run is kept here, with its settings and its result"
_NO_MATCH = "No run matches the filter"


class _Sorted(QSortFilterProxyModel):
    """Sorts by value; what is not known comes last, whichever way. Of a set that matches all samples are shown."""

    def __init__(self, table: RunTable) -> None:
        super().__init__(table)
        self._table, self._line = table, ""
        self._words: dict[
            str, str
        ] = {}  # by the runs' ids, until something changes: sorting asks for each many times
        self._values: dict[tuple[str, int], float | str] = {}
        for signal in (table.dataChanged, table.layoutChanged):
            signal.connect(self._forget)  # before the proxy itself hears of it
        self.setSourceModel(table)
        self.setRecursiveFilteringEnabled(True)
        self.setAutoAcceptChildRows(True)

    def filter_by(self, line: str) -> None:
        """Show the runs that match a line only."""
        self.beginFilterChange()
        self._line = line
        self.endFilterChange(QSortFilterProxyModel.Direction.Rows)

    def filterAcceptsRow(self, source_row: int, source_parent: QModelIndex | QPersistentModelIndex) -> bool:
        if not self._line.strip():
            return True
        record = self._table.record(self._table.index(source_row, 0, source_parent))
        if record is None:
            return True
        if record.id not in self._words:
            self._words[record.id] = words_of(record)
        return matches(record, self._line, self._words[record.id])

    def lessThan(
        self, left: QModelIndex | QPersistentModelIndex, right: QModelIndex | QPersistentModelIndex
    ) -> bool:
        a, b = self._value(left), self._value(right)
        if isinstance(a, float) and isinstance(b, float) and (math.isnan(a) or math.isnan(b)):
            ascending = self.sortOrder() is Qt.SortOrder.AscendingOrder
            return math.isnan(b) and not math.isnan(a) if ascending else math.isnan(a) and not math.isnan(b)
        return bool(a < b)  # type: ignore[operator]  # of one column: both numbers, or both words

    def _value(self, index: QModelIndex | QPersistentModelIndex) -> float | str:
        identity, column = index.internalPointer(), index.column()
        if (identity, column) not in self._values:
            self._values[identity, column] = index.data(SORT_ROLE)
        return self._values[identity, column]

    def _forget(self) -> None:
        self._words.clear()
        self._values.clear()


class _Header(QHeaderView):
    """Columns that the user moves, hides and sizes; ``preferences`` keep that from one start to the next."""

    def __init__(self, view: QTreeView, preferences: Preferences) -> None:
        super().__init__(Qt.Orientation.Horizontal, view)
        self._preferences = preferences
        view.setHeader(self)
        self.setSectionsMovable(True)
        self.setFirstSectionMovable(False)  # it has the box to tick and the picture
        self.setSectionsClickable(True)
        self.setStretchLastSection(True)
        self.setMinimumSectionSize(30)
        self.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.setToolTip("Click to sort, drag to move or resize; the right button chooses the columns")
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._offer)
        self._arrange(_remembered(preferences))
        for signal in (self.sectionMoved, self.sectionResized, self.sortIndicatorChanged):
            signal.connect(self._remember)

    def menu(self) -> QMenu:
        """Which columns are shown."""
        menu = QMenu("Co&lumns", self)
        menu.setToolTipsVisible(True)
        menu.aboutToShow.connect(lambda: self._fill(menu))
        self._fill(menu)
        return menu

    def _fill(self, menu: QMenu) -> None:
        menu.clear()
        for at, column in enumerate(COLUMNS[1:], 1):
            action = menu.addAction(column.title)
            action.setCheckable(True)
            action.setChecked(not self.isSectionHidden(at))
            action.setToolTip(column.tip)
            action.toggled.connect(partial(self._show, at))
        menu.addSeparator()
        reset = menu.addAction("&Reset columns")
        reset.setToolTip("All columns, in their first order and width, the latest run on top")
        reset.triggered.connect(lambda: self._arrange({}))

    def _offer(self, position: QPoint) -> None:
        menu = self.menu()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.viewport().mapToGlobal(position))

    def _show(self, at: int, shown: bool) -> None:
        self.setSectionHidden(at, not shown)
        self._remember()

    def _arrange(self, kept: dict[str, object]) -> None:
        """Put the columns as they are kept; what is not, or is no longer known, has its default."""
        order = [key for key in _listed(kept.get("order")) if key in _KEYS]
        hidden, widths = _listed(kept.get("hidden")), kept.get("widths")
        widths = widths if isinstance(widths, dict) else {}
        for to, key in enumerate(dict.fromkeys(["name", *order, *_KEYS])):
            at = _KEYS.index(key)
            self.moveSection(self.visualIndex(at), to)
            self.setSectionHidden(at, key in hidden and at > 0)
            width = widths.get(key)
            self.resizeSection(
                at, width if isinstance(width, int) and 20 <= width <= 2000 else COLUMNS[at].width
            )
        sort, ascending = kept.get("sort"), kept.get("ascending") is True
        order_of = Qt.SortOrder.AscendingOrder if ascending else Qt.SortOrder.DescendingOrder
        self.setSortIndicator(
            _KEYS.index(sort if isinstance(sort, str) and sort in _KEYS else "when"), order_of
        )

    def _remember(self) -> None:
        order = [_KEYS[self.logicalIndex(at)] for at in range(len(_KEYS))]
        kept = {
            "order": order,
            "hidden": [key for at, key in enumerate(_KEYS) if self.isSectionHidden(at)],
            "widths": {
                key: self.sectionSize(at)
                for at, key in enumerate(_KEYS)
                if not self.isSectionHidden(at) and key != order[-1]  # the last one fills what is left
            },
            "sort": _KEYS[self.sortIndicatorSection()],
            "ascending": self.sortIndicatorOrder() is Qt.SortOrder.AscendingOrder,
        }
        self._preferences.keep_window(**{_REMEMBERED: json.dumps(kept)})


def _remembered(preferences: Preferences) -> dict[str, object]:
    try:
        found = json.loads(preferences.window(_REMEMBERED) or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _listed(found: object) -> list[str]:
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


class _WhatDiffers(QWidget):
    """The sentence about two selected runs, to be read and copied; away while there are not two."""

    def __init__(self) -> None:
        super().__init__()
        self.text = QLabel(wordWrap=True)
        self.text.setAccessibleName("What differs")
        self.text.setToolTip("What the recipes of the two selected runs do not share")
        self.text.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.copy = small_button("Copy", "Copy what differs between the two runs", self._copy)
        self.copy.setAutoRaise(True)
        self._area = scrolled(self.text)
        self._area.setMinimumWidth(60)
        layout = row(self, spacing=6, margins=(6, 1, 4, 1))
        layout.addWidget(self._area, 1)
        layout.addWidget(self.copy, 0, Qt.AlignmentFlag.AlignTop)
        self.hide()

    def show_runs(self, runs: tuple[RunRecord, ...]) -> None:
        """Say what differs between two runs, the later one against the earlier; of another number nothing is said."""
        if len(runs) == 2:
            first, second = sorted(runs, key=lambda record: record.when)
            self.text.setText(what_differs(first.name, first.recipe, second.name, second.recipe))
        self.setVisible(len(runs) == 2)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """As many lines as it takes, and no more than three: the rest scrolls, for the list needs the room."""
        line = self.fontMetrics().lineSpacing()
        needed = self.text.heightForWidth(max(1, self._area.viewport().width()))
        self._area.setFixedHeight(min(max(needed, line + 2), 3 * line + 2))

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.text.text())


class RunList(ListPanel):
    """``export_wanted`` carries the records that are to be written to files."""

    export_wanted = Signal(object)

    def __init__(self, session: Session, preferences: Preferences) -> None:
        super().__init__("runs")
        self._session = session
        self.table = RunTable(session.runs, self)
        self._proxy = _Sorted(self.table)
        self.view = self._make_view(preferences)
        self._make_actions()
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Filter: words, psnr>34")
        self.filter.setAccessibleName("Filter the runs")
        self.filter.setToolTip(
            "Words that a run has in any column, and comparisons such as psnr>34 or steps=18; all must hold"
        )
        self.filter.setClearButtonEnabled(True)
        for clear in self.filter.findChildren(QToolButton):
            clear.setAccessibleName("Clear the filter")
            clear.setToolTip("Show all runs again")
        self.filter.setMinimumWidth(70)
        self.filter.setMaximumWidth(190)
        self.filter.textChanged.connect(self._filter)
        LeftByEscape(self.filter, self._leave_filter)
        self._lay_out(self.view, self._on_bar, _NO_RUNS, self.filter)
        self.differs = _WhatDiffers()
        self._count = 0  # runs there were
        # apart from all else that follows the end of a run: the view lays out its rows for it
        self._revealing = QTimer(self, singleShot=True, interval=0)
        self._revealing.timeout.connect(self._reveal)
        layout = self.layout()
        assert layout is not None, "it has just been laid out"
        layout.addWidget(self.differs)
        session.runs.changed.connect(self._refresh)
        session.runs.ticked_changed.connect(self._refresh)
        session.run.changed.connect(self._refresh)
        self._refresh()

    def _make_view(self, preferences: Preferences) -> QTreeView:
        view = QTreeView()
        view.setAccessibleName("Runs")
        view.setToolTip("Every run of this session; Enter shows the selected one")
        view.setModel(self._proxy)
        self.header = _Header(view, preferences)
        view.setSortingEnabled(True)
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
        view.selectionModel().selectionChanged.connect(self._select)
        return view

    def _leave_filter(self) -> None:
        self.filter.clear()
        self.view.setFocus()

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
            "&Export…", "Write the ticked runs, or where none is ticked the selected ones: results, iterates, curves or "
            "reports, with their recipes", "", lambda: self.export_wanted.emit(self._to_export()),
        )  # fmt: skip
        self.tick = self._action(
            "&Tick",
            "Tick the selected runs, or untick them: ticked runs are exported together",
            "",
            self._tick,
        )
        self.tick_all = self._action(
            "Tick &all", "Tick all runs that the filter shows, or untick them", "", self._tick_all
        )
        self.copy_differs = self._action(
            "Copy &what differs", "Copy what the recipes of the two selected runs do not share, in words", "",
            self._copy_differs,
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
            [self.show_run, self.compare, self.copy_differs],
            [self.use, self.repeat],
            [self.tick, self.tick_all, self.export],
            [self.rename, self.pin],
        ):
            menu.addActions(actions)
            menu.addSeparator()
        menu.addActions([self.delete, self.undo])
        menu.addSeparator()
        menu.addMenu(self.header.menu())
        return menu

    # From the session -----------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Enable what can be done with what is selected."""
        session, chosen = self._session, self._session.runs.selected
        self._reveal_newest()
        one = len(chosen) == 1
        self.differs.show_runs(chosen)
        self._say_empty()
        self.show_run.setEnabled(one)
        self.compare.setEnabled(len(chosen) == 2)
        self.use.setEnabled(one)
        self.repeat.setEnabled(one)
        self.rename.setEnabled(one)
        self.copy_differs.setEnabled(len(chosen) == 2)
        self.export.setEnabled(bool(self._to_export()))
        ticked = len(session.runs.ticked)
        self.export.setText(f"&Export {ticked} ticked…" if ticked else "&Export…")
        self.tick_all.setEnabled(bool(session.runs.records))
        for action in (self.tick, self.pin):
            action.setEnabled(bool(chosen))
        self.pin.setChecked(bool(chosen) and all(record.pinned for record in chosen))
        self.delete.setEnabled(any(not record.pinned for record in chosen))
        self.undo.setEnabled(session.runs.can_undo)

    def _reveal_newest(self) -> None:
        """A run that has just come is seen, wherever the list was scrolled to."""
        records = self._session.runs.records
        came, self._count = len(records) > self._count, len(records)
        if came:
            self._revealing.start()

    def _reveal(self) -> None:
        if records := self._session.runs.records:
            index = self._proxy.mapFromSource(self.table.index_of(records[-1].id))
            if index.isValid():
                self.view.scrollTo(index)

    def _say_empty(self) -> None:
        shown = self._proxy.rowCount() > 0
        self.empty.setVisible(not shown)
        self.empty.setText(_NO_MATCH if self._session.runs.records else _NO_RUNS)

    def _to_export(self) -> tuple[RunRecord, ...]:
        runs = self._session.runs
        return runs.ticked or runs.selected

    # From the user --------------------------------------------------------------------------------

    def _filter(self, line: str) -> None:
        self._proxy.filter_by(line)
        self._say_empty()

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

    def _tick(self) -> None:
        runs = self._session.runs
        on = any(record.id not in runs.ticked_ids for record in runs.selected)
        runs.tick([record.id for record in runs.selected], on)

    def _tick_all(self) -> None:
        """Of a set its samples are not ticked: they are in its own files."""
        runs = self._session.runs
        shown = [self._proxy.index(at, 0).data(ID_ROLE) for at in range(self._proxy.rowCount())]
        runs.tick(shown, any(identity not in runs.ticked_ids for identity in shown))

    def _copy_differs(self) -> None:
        self.differs.copy.click()

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
