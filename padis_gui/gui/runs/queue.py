"""The queue: what waits, what runs, what has become of the rest; reorder, take back, hold."""

from collections.abc import Callable

from PySide6.QtCore import QItemSelectionModel, Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QToolButton,
)

from padis_gui.gui.kit.files import QUEUES, choose_to_open, choose_to_write
from padis_gui.gui.kit.lists import ListPanel, cell, plain_table
from padis_gui.gui.kit.theme import icon
from padis_gui.gui.kit.widgets import muted
from padis_gui.viewmodels.runs.queue import ItemState, Queue, QueueItem
from padis_gui.viewmodels.session.session import Session

_TITLES = ("State", "Name", "What", "Seed", "Remark")
_EMPTY = "Add to queue (Ctrl+Shift+R) puts runs here; they start one after the other"
_COLLECTING = "Held: Add to queue (Ctrl+Shift+R) collects runs here, and Start begins with the first"
_HOLD = "Collect runs from now on, and start no further one; what runs goes on"
_START = "Begin with the first run that waits, as soon as nothing else is under way"


class QueuePanel(ListPanel):
    """Shows the session's queue, the next run on top of those that wait."""

    def __init__(self, session: Session) -> None:
        super().__init__("queue")
        self._session, self._queue = session, session.queue
        tip = "Runs that wait for their turn, and what has become of earlier ones"
        self.view = plain_table("Queue", tip, _TITLES)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.view.setWordWrap(False)
        self.view.setTabKeyNavigation(False)
        header = self.view.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setStretchLastSection(True)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for at, width in enumerate((80, 130, 300, 90)):
            self.view.setColumnWidth(at, width)
        self.view.itemSelectionChanged.connect(self._refresh_actions)
        self._make_actions()
        self.summary = muted()
        actions = (self.up, self.down, self.cancel, self.hold, self.clear, self.save, self.open)
        self._lay_out(self.view, actions, "", self.summary)
        self._queue.changed.connect(self.refresh)
        self.refresh()

    def _make_actions(self) -> None:
        self.up = self._action(
            "&Earlier", "Let the selected run start earlier", "Alt+Up", lambda: self._move(-1)
        )
        self.down = self._action(
            "&Later", "Let the selected run start later", "Alt+Down", lambda: self._move(1)
        )
        self.cancel = self._action(
            "&Take back",
            "Take the selected run out of the queue, or cancel it where it runs",
            "Del",
            self._cancel,
        )
        self.hold = self._action("&Hold", _HOLD, "", self._hold)
        self.clear = self._action(
            "&Clear ended", "Forget what has ended; its results stay", "", self._queue.clear_ended
        )
        self.save = self._action(
            "&Save…", "Write what runs and waits as a file: padis-gui queue runs it without a window", "",
            lambda: choose_to_write(
                self, "Save queue", QUEUES, "queue.json",
                lambda path: self._session.spawn(self._session.runner.save_queue(path)),
            ),
        )  # fmt: skip
        self.open = self._action(
            "&Open…", "Put the runs of a saved queue at the end of this one", "",
            lambda: choose_to_open(
                self, "Open queue", QUEUES,
                lambda path: self._session.spawn(self._session.runner.open_queue(path)),
            ),
        )  # fmt: skip

    # From the queue -------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the items as they are now."""
        chosen = self._chosen()
        items = self._queue.items
        self.view.setRowCount(len(items))
        for at, item in enumerate(items):
            self._fill(at, item)
            if chosen is not None and item.id == chosen.id:
                index = self.view.model().index(at, 0)
                flags = QItemSelectionModel.SelectionFlag
                self.view.selectionModel().setCurrentIndex(index, flags.ClearAndSelect | flags.Rows)
        held, waiting = self._queue.held, len(self._queue.waiting)
        self.empty.setText(_COLLECTING if held else _EMPTY)
        self.empty.setVisible(not items)
        self.hold.setText("S&tart the queue" if held else "&Hold the queue")
        self.hold.setIconText("Start" if held else "Hold")  # on the button
        self.hold.setToolTip(_START if held else _HOLD)
        self.summary.setText(
            ", ".join(filter(None, (f"{waiting} waiting" if waiting else "", "held" if held else "")))
        )
        running = self._queue.running
        if running is not None:
            self.view.scrollTo(self.view.model().index(items.index(running), 0))
        self._refresh_actions()

    def _fill(self, at: int, item: QueueItem) -> None:
        texts = (item.state.value, item.name, item.label, str(item.seed), item.sentence)
        for place, text in enumerate(texts):
            shown = cell(self.view, at, place)
            shown.setText(text)
            shown.setToolTip(text)
            if place == 0:
                shown.setData(Qt.ItemDataRole.UserRole, item.id)
                shown.setIcon(icon(_ICONS[item.state]))

    def _chosen(self) -> QueueItem | None:
        rows = self.view.selectionModel().selectedRows() if self.view.selectionModel() else []
        identity = rows[0].data(Qt.ItemDataRole.UserRole) if rows else None
        return self._queue.find(identity) if isinstance(identity, str) else None

    def _refresh_actions(self) -> None:
        item = self._chosen()
        waits = item is not None and item.state is ItemState.WAITING
        at = self._queue.waiting.index(item) if waits and item is not None else 0
        self.up.setEnabled(waits and at > 0)
        self.down.setEnabled(waits and at < len(self._queue.waiting) - 1)
        self.cancel.setEnabled(item is not None and not item.state.ended)
        self.save.setEnabled(any(each.task is not None for each in self._queue.items))
        self.clear.setEnabled(any(each.state.ended for each in self._queue.items))

    # From the user --------------------------------------------------------------------------------

    def _move(self, by: int) -> None:
        item = self._chosen()
        if item is not None:
            self._queue.move(item.id, by)

    def _cancel(self) -> None:
        item = self._chosen()
        if item is not None:
            self._session.runner.cancel(item.id)

    def _hold(self) -> None:
        self._queue.hold(not self._queue.held)


class QueueNote(QToolButton):
    """Says in the status bar how far the queue is; a click brings its panel."""

    def __init__(self, queue: Queue, bring: Callable[[], object]) -> None:
        super().__init__(autoRaise=True)
        self._queue = queue
        self.setAccessibleName("Queue")
        self.setToolTip("Show the queue")
        self.clicked.connect(lambda _checked=False: bring())
        queue.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show which run of how many it is, and how many wait; nothing where none does."""
        queue = self._queue
        waiting, (place, count) = len(queue.waiting), queue.place
        self.setVisible(waiting > 0 or (queue.running is not None and count > 1))
        text = f"{place} of {count}" if queue.running is not None else f"{waiting} waiting"
        self.setText(f"Queue: {text}{', held' if queue.held else ''}")


_ICONS = {
    ItemState.WAITING: "waiting",
    ItemState.RUNNING: "run",
    ItemState.DONE: "finish",
    ItemState.FAILED: "warning",
    ItemState.CANCELLED: "close",
}
