"""The main window: its pages, layout, menus, and the wiring between actions, session and display."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import cast

from PySide6.QtCore import QRect, QSize, Qt, QTimer
from PySide6.QtGui import QAction, QActionGroup, QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QDialog,
    QLabel,
    QLineEdit,
    QMainWindow,
    QSizePolicy,
    QStackedWidget,
    QToolBar,
    QWidget,
)

from padis_gui import __version__
from padis_gui.core.runs.control import RunState
from padis_gui.gui.dialogs.help import Help
from padis_gui.gui.dialogs.opening import Opening
from padis_gui.gui.frame.display import RunDisplay
from padis_gui.gui.frame.laboratory import LaboratoryInWindow
from padis_gui.gui.frame.leaving import Leaving
from padis_gui.gui.frame.menus import Menus, RunTools
from padis_gui.gui.frame.messages import ChoiceBar, MessageBar, UnsavedNote
from padis_gui.gui.frame.reconstruct import RIGHT, ReconstructPage, keep_window, restore_window
from padis_gui.gui.kit.actions import Actions
from padis_gui.gui.kit.files import choose_folder, choose_to_write, show_in_folder
from padis_gui.gui.kit.focus import FocusKeeper, focus_region, keep_keyboard
from padis_gui.gui.kit.forms import ChoiceBox
from padis_gui.gui.kit.theme import set_scheme
from padis_gui.gui.kit.widgets import ElidedLabel, column
from padis_gui.gui.laboratory.ab import ABPage
from padis_gui.gui.runs.transport import DeviceButton
from padis_gui.gui.studies.page import StudiesPage, StudyNote
from padis_gui.gui.training.page import TrainingNote, TrainingPage
from padis_gui.viewmodels.pictures.pictures import RUN_KEYS
from padis_gui.viewmodels.runs.columns import slices_text
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.state.preferences import Preferences
from padis_gui.viewmodels.studies.studies import Studies
from padis_gui.viewmodels.training.trainer import Trainer

_LONGEST_LEVELS = 14  # letters
_STALE = "Stale: other settings"


# px: screens up to this size are filled at first; of larger ones the window takes a share, but no more than is useful
_SMALL, _SHARE, _USEFUL = QSize(1680, 1050), 0.86, QSize(2560, 1600)


def first_place(room: QRect) -> QRect:
    """Where a window lies on a screen with that much room, the first time: in the middle, or all over a small one."""
    if room.width() <= _SMALL.width() or room.height() <= _SMALL.height() * _SHARE:
        return QRect(room)
    size = QSize(round(room.width() * _SHARE), round(room.height() * _SHARE)).boundedTo(_USEFUL)
    place = QRect(room.topLeft(), size)
    place.moveCenter(room.center())
    return place


class PageStack(QStackedWidget):
    """``group`` has an action for each page, by Ctrl+1, Ctrl+2 and so on in their order."""

    def __init__(self, window: QMainWindow) -> None:
        super().__init__()
        self._window = window
        self.group = QActionGroup(window)
        self._left_at: dict[QWidget, QWidget] = {}  # of each page what had the keyboard when it was left

    def setCurrentWidget(self, page: QWidget) -> None:
        """Show a page; the keyboard goes back to where it was there, unless it is outside of the pages."""
        before, focused = self.currentWidget(), self._window.focusWidget()
        inside = False
        if before is not None and focused is not None and before.isAncestorOf(focused):
            inside, self._left_at[before] = True, focused
        super().setCurrentWidget(page)
        back = self._left_at.get(page)
        if inside and back is not None:
            keep_keyboard(getattr(page, "regions", ()), back)

    def add(self, title: str, page: QWidget, tip: str) -> QAction:
        """A page beside the others; the action shows it."""
        index = self.addWidget(page)
        action = QAction(title, self._window, checkable=True, checked=index == 0)
        action.setObjectName(f"page_{title.lower()}")
        action.setShortcut(f"Ctrl+{index + 1}")
        action.setToolTip(f"{tip} ({action.shortcut().toString()})")
        action.triggered.connect(lambda _checked=False: self.setCurrentWidget(page))
        self.group.addAction(action)
        for each in self.group.actions():  # a single page needs no choosing
            each.setVisible(index > 0)
        return action


class MainWindow(QMainWindow):
    """Everything a run needs on one screen.

    ``preferences`` bring back how the window was left; without them it has its defaults and remembers nothing.
    """

    def __init__(
        self,
        session: Session,
        preferences: Preferences | None = None,
        trainer: Trainer | None = None,
        studies: Studies | None = None,
    ) -> None:
        super().__init__()
        self.session = session
        self.trainer, self.studies = trainer or Trainer(session), studies or Studies(session)
        self.preferences = preferences or Preferences(parent=self)
        self.closed = asyncio.Event()
        self._closing = False
        self._begins = False  # and gives Run the keyboard as soon as there is something to run
        self._bar_was_shown, self._bar_away = True, False
        self.setWindowTitle(f"padis_gui {__version__}")
        # the desktop shows a title at once, and the panes only after all else: it waits for them
        self._titled = QTimer(self, singleShot=True, interval=0)
        self._titled.timeout.connect(self._show_title)
        self.setAcceptDrops(True)
        self.act = Actions(self)
        self.opening = Opening(self, session, self.preferences)
        self.help = Help(self, session, self.preferences)
        self._connect_actions()
        self._make_pages()
        self._make_toolbar()
        self._make_status_bar()
        self._make_menus()
        self.display = RunDisplay(session, self.panes, self.curves, self.transport, self.levels)
        self.display.pointed.connect(self.cursor_text.setText)
        self.display.stepped.connect(self.timeline.refresh)
        self.laboratory.join(self.display, self.menus.view, self.picture_bar.widgetForAction(self.act.tiling))
        self.laboratory.page.pointed.connect(self.cursor_text.setText)
        for signal in (
            session.screen.changed, self.laboratory.ab.changed,
        ):  # fmt: skip
            signal.connect(self._show_state)
        session.message.connect(self.messages.show_message)
        session.remedy_wanted.connect(
            lambda remedy: self.messages.add_offers(self.reconstruct.offers.against(remedy))
        )
        session.written.connect(self._offer_folder)
        session.elsewhere_wanted.connect(self._offer_elsewhere)
        self.messages.details_wanted.connect(self.help.report)
        self.preferences.changed.connect(self._follow_preferences)
        self._follow_preferences()
        self._keeper = FocusKeeper(self, cast(QApplication, QApplication.instance()), self._regions)
        self._came_back = restore_window(self, self.reconstruct, self.preferences)
        if not self._came_back:
            self.resize(first_place(self.screen().availableGeometry()).size())
        self._show_state()
        if self.preferences.trouble:
            self.messages.show_message("warning", self.preferences.trouble)

    # Making the window ----------------------------------------------------------------------------

    def _connect_actions(self) -> None:
        run, act = self.session.run, self.act
        for action, slot in (
            (act.open_image, self.opening.choose_image),
            (act.open_folder, self.opening.choose_folder),
            (act.slices, self.opening.choose_page),
            (act.datasets, self.opening.choose_dataset),
            (act.open_prior, self.opening.choose_prior),
            (act.open_demo, self.opening.open_demo),
            (act.restore, self.opening.choose_restore),
            (act.preferences, self.help.preferences),
            (act.shortcuts, self.help.shortcuts),
            (act.palette, self.help.palette),
            (act.report, self.help.report),
            (act.about, self.help.about),
            (act.next_region, lambda: focus_region(self, self._regions(), 1)),
            (act.previous_region, lambda: focus_region(self, self._regions(), -1)),
            (act.quit, self.close),
            (act.reset_layout, lambda: self.docks.reset()),
        ):
            action.triggered.connect(lambda _checked=False, slot=slot: slot())
        steer = (self._run, self._pause_or_resume, self._step, run.finish, self.session.cancel)
        for action, slot in zip(act.steering, steer, strict=True):
            name = action.objectName()  # the page in front may have runs of its own
            action.triggered.connect(
                lambda _checked=False, name=name, slot=slot: self.laboratory.steer(name) or slot()
            )

    def _make_pages(self) -> None:
        """Pages fill the window under the messages; the first one reconstructs."""
        self.messages, self.question, self.pages = MessageBar(), ChoiceBar(), PageStack(self)
        self.opening.question.connect(self.question.ask)
        bench = self.reconstruct = ReconstructPage(self.session, self.act, self.opening, self.preferences)
        self.panes, self.docks, self.timeline = bench.panes, bench.docks, bench.timeline
        self.painter, self.mask_editor, self.planner = bench.painter, bench.mask_editor, bench.planner
        self.data, self.problem = bench.data, bench.problem
        self.prior, self.tiling, self.solver = bench.prior, bench.tiling, bench.solver
        self.transport, self.curves = bench.transport, bench.curves
        self.geometry_panel = bench.geometry_panel
        centre = QWidget()
        layout = column(centre)
        layout.addWidget(self.messages)
        layout.addWidget(self.question)
        layout.addWidget(self.pages, 1)
        self.setCentralWidget(centre)
        work = self.pages.add("Reconstruct", bench, "Data, problem, prior, solver, and what comes of them")
        self.laboratory = LaboratoryInWindow(self, self.session, self.act, self.panes)
        bench.make_docks(
            ("Laboratory", self.laboratory.panel, RIGHT), ("Tile inspector", self.laboratory.tile, RIGHT)
        )
        self.views = bench.views
        self.run_tools = RunTools(
            self, self.session, self.panes, self.curves, self.act, self.planner, self.preferences, self.docks,
            bench.dock,
        )  # fmt: skip
        self.pages.add("A/B", self.laboratory.page, "Two runs from the same noise, in step and side by side")
        self.training = TrainingPage(self.trainer)
        train = self.pages.add("Train", self.training, "Train a prior on your own images")
        self.training_note = TrainingNote(self.trainer, train)
        self.trainer.prior_opened.connect(work.trigger)
        self.study_page = StudiesPage(self.studies)
        study = self.pages.add("Studies", self.study_page, "A question to many images, with error bars")
        self.study_note = StudyNote(self.studies, study)
        self.studies.run_opened.connect(work.trigger)
        self.leaving = Leaving(
            self.session,
            self.laboratory.ab,
            self.run_tools.volumes,
            self.trainer,
            self.studies,
            self.question,
            self._close_now,
            self.run_tools.exporting.choose_runs,
        )
        self.pages.currentChanged.connect(self._page_changed)

    @property
    def at_work(self) -> bool:
        """Whether the Reconstruct page is in front: what steers a run only works there."""
        return self.pages.currentWidget() is self.reconstruct

    @property
    def shows_pictures(self) -> bool:
        """Whether a page is in front whose pictures have levels and tilings."""
        return self.at_work or self.pages.currentWidget() is self.laboratory.page

    def _page_changed(self) -> None:
        bar = self.picture_bar
        if self.shows_pictures and self._bar_away:
            bar.setVisible(self._bar_was_shown)
        elif not self.shows_pictures and not self._bar_away:
            self._bar_was_shown = not bar.isHidden()
            bar.hide()
        self._bar_away = not self.shows_pictures
        self.cursor_text.setVisible(self.shows_pictures)
        self._show_state()

    def _make_toolbar(self) -> None:
        self.levels, self.verdict = ChoiceBox(), ElidedLabel()
        self.levels.setMinimumContentsLength(_LONGEST_LEVELS)
        self.levels.setAccessibleName("Levels")
        self.levels.setToolTip(
            "Intensities shown black and white, the same in every pane; they never move by themselves"
        )
        self.verdict.setContentsMargins(8, 0, 8, 0)
        self.verdict.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        pages = QToolBar("Pages", movable=False)
        pages.setObjectName("pages_toolbar")
        pages.addActions(self.pages.group.actions())
        pages.toggleViewAction().setToolTip("Show or hide the choice of pages")
        self.addToolBar(pages)
        self.picture_bar = bar = QToolBar("Main", movable=False)
        bar.setObjectName("main_toolbar")
        bar.toggleViewAction().setToolTip("Show or hide the tool bar")
        bar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        bar.addActions(self.act.files)
        bar.addSeparator()
        bar.addActions([self.act.fit, self.act.tiling])
        bar.addSeparator()
        bar.addWidget(QLabel(" Levels "))
        bar.addWidget(self.levels)
        bar.addSeparator()
        bar.addWidget(self.verdict)
        self.addToolBar(bar)

    def _make_status_bar(self) -> None:
        self.cursor_text = ElidedLabel()
        self.device = DeviceButton(self.session, self._use_device)
        self.statusBar().addWidget(self.cursor_text, 1)
        unsaved = UnsavedNote(self.session, self.run_tools.exporting.choose_runs)
        for note in (unsaved, *self.run_tools.notes, self.training_note, self.study_note):
            self.statusBar().addPermanentWidget(note)
        self.statusBar().addPermanentWidget(self.device)

    def _make_menus(self) -> None:
        self.menus = Menus(self, self.act, self.preferences, self.docks, self.pages.group, self.opening)
        self.menus.view.addMenu(self.timeline.menu())
        self.menus.view.addActions(self.reconstruct.slices.actions_of_menu)
        self.menus.run.addSeparator()
        self.menus.run.addMenu(self.device.device_menu(self))
        self.menus.view.addMenu(self.views.menu(self))
        self.run_tools.add_to(self.menus, self.act)
        self.menus.run.addMenu(self.reconstruct.size_row.menu)

    def appear(self) -> None:
        """Show the window as it was left; the first time as large as suits its screen, on a small one all of it."""
        if not self._came_back:
            room = self.screen().availableGeometry()
            place = first_place(room)
            self.setGeometry(place)
            if place == room:
                self.setWindowState(Qt.WindowState.WindowMaximized)
        self.show()
        self._begins = True

    # From the session to the window ---------------------------------------------------------------

    def _show_state(self) -> None:
        """Enable what can be done now, and say what is shown: a result, a stale one, or a run under way."""
        session = self.session
        self.act.allow(session)
        self.painter.allow()
        if self._begins and self.act.run.isEnabled():
            self._begins = False
            if not isinstance(self.focusWidget(), QAbstractSpinBox | QLineEdit):  # nobody types meanwhile
                self.transport.first_focus.setFocus(Qt.FocusReason.OtherFocusReason)
        self.reconstruct.crop.allow()
        if not self.at_work:
            for action in self.act.steering:
                action.setEnabled(False)
        for action in (self.act.fit, self.act.tiling):
            action.setEnabled(self.shows_pictures)
        self.laboratory.allow(self.act)
        self._titled.start()
        stale = session.stale and not session.run.active
        self.panes.picture_set.set_stale(dict.fromkeys(RUN_KEYS, _STALE) if stale else {})
        # what the other pages show is of their own runs: no numbers of this one's there
        self.verdict.setText(session.screen.verdict() if self.at_work else session.screen.under_way())

    def _show_title(self) -> None:
        if (image := self.session.data.image) is not None:
            page = f", page {image.page + 1} of {image.pages}" if image.pages > 1 else ""
            if self.session.volume.on:
                page = f", {slices_text(self.session.volume.pages)} of {image.pages}"
            self.setWindowTitle(f"{image.name}{page} — padis_gui {__version__}")

    def _offer_folder(self, path: Path) -> None:
        def show() -> None:
            if not show_in_folder(path):
                self.messages.show_message("warning", f"No file manager answered; the file is {path}.")

        self.messages.add_offers(
            [("Show in folder", f"Open {path if path.is_dir() else path.parent} in the file manager", show)]
        )

    def _offer_elsewhere(self, path: Path, write: Callable[[Path], object]) -> None:
        def choose() -> None:
            if path.is_dir():
                choose_folder(self, "Save elsewhere", write)
            else:
                kind = path.suffix[1:]
                choose_to_write(self, "Save elsewhere", f"{kind.upper()} (*.{kind})", path.name, write)

        self.messages.add_offers(
            [("Save elsewhere…", "Choose another place: what was to be written is still here", choose)]
        )

    # From the user to the session -----------------------------------------------------------------

    def _run(self, *, paused: bool = False) -> None:
        self.messages.hide()
        self.session.start(paused=paused)

    def _pause_or_resume(self) -> None:
        run = self.session.run
        run.resume() if run.snapshot().state is RunState.PAUSED else run.pause()

    def _step(self) -> None:
        if self.session.run.active:
            self.session.run.step()
        else:
            self._run(paused=True)

    def _regions(self) -> list[QWidget]:
        page = self.pages.currentWidget()
        return page.regions if isinstance(page, ReconstructPage | ABPage | TrainingPage | StudiesPage) else []

    def _use_device(self, name: str) -> None:
        self.preferences.set_device(name)
        self.session.spawn(self.session.prior.use_device(name))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        self.opening.drag_enter(event)

    def dropEvent(self, event: QDropEvent) -> None:
        self.opening.drop(event)

    # What is remembered ---------------------------------------------------------------------------

    def _follow_preferences(self) -> None:
        set_scheme(self.preferences.options.scheme)
        self.display.set_cadence(self.preferences.options)
        self.session.runs.history_budget = self.preferences.options.history_mb * 2**20

    # Leaving --------------------------------------------------------------------------------------

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask where something is under way; then let the threads end and go: the window hides, the process follows."""
        if self.closed.is_set():
            event.accept()
            return
        event.ignore()
        if not self._closing:
            self.leaving.ask_or_go()

    def _close_now(self, *, finish: bool) -> None:
        if not self._closing:
            self._closing = True
            self.session.spawn(self._leave(finish))

    async def _leave(self, finish: bool) -> None:
        if not finish and not await self.leaving.saved():
            self._closing = False
            return
        keep_window(self, self.reconstruct, self.preferences)
        for dialog in self.findChildren(QDialog):
            dialog.close()
        self.docks.hide_floating()
        self.hide()
        self.display.timer.stop()
        if finish:
            await self.leaving.finish()
            if not await self.leaving.saved():
                self._closing = False
                self.display.timer.start()
                self.show()
                return
        await self.run_tools.volumes.close()
        await self.trainer.close()
        await self.studies.close()
        await self.session.close()
        self.closed.set()
