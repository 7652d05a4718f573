"""Work that is done in a process of its own: its page, the buttons that steer it, and a note of where it stands."""

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QAction, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QSplitter, QTabWidget, QToolButton, QWidget

from padis_gui.gui.kit.actions import panel_action
from padis_gui.gui.kit.theme import icon
from padis_gui.gui.kit.widgets import below, column, grid, progress_bar, scrolled, steering_button
from padis_gui.viewmodels.state.process import ProcessState

Do = Callable[[], object]
_LEFT = 330  # px


class ProcessTransport(QWidget):
    """Start, Pause and Stop above a bar and two lines; its keys work on its page."""

    def __init__(
        self,
        name: str,
        page: QWidget,
        *,
        start: tuple[str, str, Do],
        pause: tuple[str, Do],
        stop: tuple[str, Do],
        bar: tuple[str, str],
    ) -> None:
        """``name`` begins the names of the actions' objects; texts, tips and what is done follow."""
        super().__init__()
        text, tip, do = start
        self.start = panel_action(self, f"{name}_start", text, tip, "Ctrl+R", do, page)
        self.pause = panel_action(self, f"{name}_pause", "Pause", pause[0], "", pause[1], page)
        self.stop = panel_action(self, f"{name}_stop", "Stop", stop[0], "", stop[1], page)
        for action, picture in ((self.start, "run"), (self.pause, "pause"), (self.stop, "cancel")):
            action.setIcon(icon(picture))
        layout = column(self, spacing=6, margins=(8, 6, 8, 8))
        buttons = grid()
        self.buttons: dict[str, QToolButton] = {}
        for place, (key, action) in zip(
            ((0, 0, 1, 2), (1, 0, 1, 1), (1, 1, 1, 1)),
            (("start", self.start), ("pause", self.pause), ("stop", self.stop)),
            strict=True,
        ):
            button = steering_button(f"{name}_{key}", action, main=key == "start")
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            button.setIconSize(QSize(16, 16))
            self.buttons[key] = button
            buttons.addWidget(button, *place)
        self.bar = progress_bar(*bar)
        self.state, self.time = QLabel("Ready"), QLabel(" ")
        for label in (self.state, self.time):  # long texts are cut; the column doesn't widen for them
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        layout.addLayout(buttons)
        layout.addWidget(self.bar)
        layout.addWidget(self.state)
        layout.addWidget(self.time)

    def allow(self, state: ProcessState, why_not: str, tip: str) -> None:
        """Enable what can be done in this state; ``why_not`` says why nothing can be started, ``tip`` what would be."""
        self.start.setEnabled(not why_not)
        self.start.setToolTip(why_not or tip)
        self.pause.setEnabled(state in (ProcessState.RUNNING, ProcessState.PAUSED))
        paused = state is ProcessState.PAUSED
        self.pause.setText("Resume" if paused else "Pause")
        self.pause.setIcon(icon("run" if paused else "pause"))
        self.stop.setEnabled(state.active and state is not ProcessState.STOPPING)

    def show_progress(self, done: int, total: int, state: ProcessState, what: str) -> None:
        """So many of all; no range while it is starting: the bar shows that something happens."""
        self.bar.setRange(0, total if total else int(not state.active))
        self.bar.setValue(done)
        self.bar.setFormat(f"{what} {done:,} of {total:,}" if total else "")


class ProcessNote(QToolButton):
    """Says in the status bar how far the work is, and nothing without any; a click brings its page."""

    def __init__(self, what: str, page: QAction) -> None:
        """``what`` is under way; ``page`` brings its page."""
        super().__init__()
        self.setAutoRaise(True)
        self.setAccessibleName(f"{what.capitalize()} under way")
        self.setToolTip(f"Show the {what} ({page.shortcut().toString()})")
        self.clicked.connect(page.trigger)

    def say(self, text: str) -> None:
        """Show this; "" while there is nothing under way."""
        self.setVisible(bool(text))
        if text:
            self.setText(text)


class ProcessPage(QWidget):
    """The choices on the left in the order of the work, above the buttons; on the right tabs of what comes of it."""

    left: QWidget
    tabs: QTabWidget
    splitter: QSplitter

    def __init__(self) -> None:
        super().__init__()
        self.setAcceptDrops(True)

    def _lay_out(
        self, setup: QWidget, transport: ProcessTransport, tabs: Sequence[tuple[QWidget, str, str]]
    ) -> None:
        """``tabs`` are a widget, its title and its tip each."""
        self.tabs = QTabWidget(documentMode=True)
        for place, (widget, title, tip) in enumerate(tabs):
            self.tabs.addTab(widget, title)
            self.tabs.setTabToolTip(place, tip)
        self.left = QWidget()
        self.left.setMinimumWidth(_LEFT)
        stacked = column(self.left)
        stacked.addWidget(scrolled(setup), 1)
        below(stacked, transport)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.addWidget(self.left)
        self.splitter.addWidget(self.tabs)
        self.splitter.setStretchFactor(1, 1)
        self.splitter.setSizes([_LEFT, 3 * _LEFT])
        column(self).addWidget(self.splitter)

    @property
    def regions(self) -> list[QWidget]:
        """The parts of the page, as F6 goes through them."""
        return [self.left, self.tabs]

    def take(self, paths: tuple[Path, ...]) -> None:
        """Files and folders were dropped on the page."""
        raise NotImplementedError

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = tuple(Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile())
        if paths:
            self.take(paths)
            event.acceptProposedAction()
