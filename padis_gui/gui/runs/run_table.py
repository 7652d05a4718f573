"""The list of runs as a table of Qt: a row for each run with a box to tick, the samples of a set below it."""

from typing import Any

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QObject, QPersistentModelIndex, QSize, Qt
from PySide6.QtGui import QIcon

from padis_gui.core.images.metrics import LEVEL
from padis_gui.gui.kit.picture_wall import pixmap_of
from padis_gui.viewmodels.runs.columns import COLUMNS, Column, details_of, remark_of
from padis_gui.viewmodels.runs.runs import RunRecord, Runs

SORT_ROLE = Qt.ItemDataRole.UserRole
ID_ROLE = Qt.ItemDataRole.UserRole + 1
THUMBNAIL = 30
_Index = QModelIndex | QPersistentModelIndex


def _tip(record: RunRecord) -> str:
    """What the tooltip says of a run."""
    lines = [details_of(record)]
    if record.calibration is not None:
        found = record.calibration
        lines.append(
            f"rank correlation of deviation and error {found.correlation:.2f}; the {LEVEL:.0%} interval covers "
            f"{found.coverage:.0%} of the truth, ideal samples {found.expected_coverage:.0%}"
        )
    return "\n".join(line for line in (*lines, remark_of(record)) if line)


class RunTable(QAbstractItemModel):
    """Rows are runs that belong to no set, and sets; children are the samples of a set."""

    def __init__(self, runs: Runs, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._runs = runs
        self._top: list[RunRecord] = []
        self._below: dict[str, list[RunRecord]] = {}
        self._place: dict[str, tuple[str, int]] = {}  # of each id: the id of its parent, and its row
        self._pictures: dict[str, QIcon] = {}
        runs.changed.connect(self.refill)
        runs.ticked_changed.connect(lambda: self._announce(QModelIndex()))
        self.refill()

    def refill(self) -> None:
        """Show the runs as they are now. A change of names alone keeps the rows, and what is unfolded."""
        records = self._runs.records
        known = {record.id for record in records}
        top = [r for r in records if r.group is None or r.group not in known]
        below: dict[str, list[RunRecord]] = {}
        for record in records:
            if record.group in known and record.group is not None:
                below.setdefault(record.group, []).append(record)
        place = {r.id: ("", row) for row, r in enumerate(top)}
        place |= {r.id: (group, row) for group, members in below.items() for row, r in enumerate(members)}
        if place == self._place:
            self._announce(QModelIndex())
            return
        self.layoutAboutToBeChanged.emit()
        before = [(index, self.record(index)) for index in self.persistentIndexList()]
        self._top, self._below, self._place = top, below, place
        self._pictures = {identity: p for identity, p in self._pictures.items() if identity in known}
        for index, was in before:
            moved = QModelIndex() if was is None else self.index_of(was.id, index.column())
            self.changePersistentIndex(index, moved)
        self.layoutChanged.emit()

    def _announce(self, parent: QModelIndex) -> None:
        rows = self.rowCount(parent)
        if rows:
            self.dataChanged.emit(self.index(0, 0, parent), self.index(rows - 1, len(COLUMNS) - 1, parent))
            for row in range(rows):
                self._announce(self.index(row, 0, parent))

    def record(self, index: _Index) -> RunRecord | None:
        if not index.isValid():
            return None
        identity = index.internalPointer()
        return self._runs.find(identity) if isinstance(identity, str) else None

    def index_of(self, identity: str, column: int = 0) -> QModelIndex:
        """Where a run is; invalid where it is not."""
        place = self._place.get(identity)
        if place is None:
            return QModelIndex()
        siblings = self._below[place[0]] if place[0] else self._top
        return self.createIndex(place[1], column, siblings[place[1]].id)

    def index(self, row: int, column: int, parent: _Index = QModelIndex()) -> QModelIndex:  # noqa: B008 - Qt's own
        records = self._children(parent)
        if not (0 <= row < len(records) and 0 <= column < len(COLUMNS)):
            return QModelIndex()
        return self.createIndex(row, column, records[row].id)

    def _children(self, parent: _Index) -> list[RunRecord]:
        if not parent.isValid():
            return self._top
        return self._below.get(parent.internalPointer(), [])

    def parent(self, child: _Index = QModelIndex()) -> QModelIndex:  # type: ignore[override]  # noqa: B008
        group = self._place.get(child.internalPointer(), ("", 0))[0] if child.isValid() else ""
        return self.index_of(group) if group else QModelIndex()

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        return len(self._children(parent)) if parent.column() <= 0 else 0

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        return len(COLUMNS)

    def flags(self, index: _Index) -> Qt.ItemFlag:
        flags = super().flags(index)
        if index.column() == 0:
            flags |= Qt.ItemFlag.ItemIsEditable | Qt.ItemFlag.ItemIsUserCheckable
        return flags

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation is not Qt.Orientation.Horizontal:
            return None
        column = COLUMNS[section]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return column.title
            case Qt.ItemDataRole.ToolTipRole:
                return column.tip
            case Qt.ItemDataRole.TextAlignmentRole:
                return _alignment(column)
        return None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        record = self.record(index)
        if record is None:
            return None
        column = COLUMNS[index.column()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return column.text(record)
        if role == SORT_ROLE:
            return column.value(record)
        if role == ID_ROLE:
            return record.id
        if role == Qt.ItemDataRole.ToolTipRole:
            return _tip(record)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        if role == Qt.ItemDataRole.CheckStateRole and index.column() == 0:
            ticked = record.id in self._runs.ticked_ids
            return Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked
        if role == Qt.ItemDataRole.DecorationRole and index.column() == 0:
            return self._picture(record)
        if role == Qt.ItemDataRole.SizeHintRole and index.column() == 0:
            return QSize(0, THUMBNAIL + 2)
        return None

    def setData(self, index: _Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        record = self.record(index)
        if record is None or index.column() != 0:
            return False
        if role == Qt.ItemDataRole.CheckStateRole:
            self._runs.tick([record.id], Qt.CheckState(value) is Qt.CheckState.Checked)
        elif role == Qt.ItemDataRole.EditRole:
            self._runs.rename(record.id, str(value))
        else:
            return False
        return True

    def _picture(self, record: RunRecord) -> QIcon:
        if record.id not in self._pictures:
            self._pictures[record.id] = QIcon(pixmap_of(record.thumbnail))
        return self._pictures[record.id]


def _alignment(column: Column) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if column.number else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter
