"""The main window: layout, menus, and the wiring between actions, session and display."""

import asyncio
import json
from base64 import b64decode, b64encode

from PySide6.QtCore import QByteArray, Qt
from PySide6.QtGui import QAction, QActionGroup, QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QComboBox,
    QDockWidget,
    QLabel,
    QMainWindow,
    QScrollArea,
    QStackedWidget,
    QToolBar,
    QWidget,
)

from padis_gui import __version__
from padis_gui.core.operators import find_physics
from padis_gui.gui.actions import Actions
from padis_gui.gui.choice_bar import ChoiceBar
from padis_gui.gui.display import Display
from padis_gui.gui.docks import Docks
from padis_gui.gui.elided import ElidedLabel
from padis_gui.gui.help import Help
from padis_gui.gui.laboratory import LaboratoryInWindow
from padis_gui.gui.layouts import column
from padis_gui.gui.menus import Menus
from padis_gui.gui.message_bar import MessageBar
from padis_gui.gui.opening import Opening
from padis_gui.gui.panels.geometry import GeometryPanel
from padis_gui.gui.panels.plan import DeviceButton, PlanLine
from padis_gui.gui.panels.setup import DataSection, PriorSection, ProblemSection, SolverSection
from padis_gui.gui.panels.timeline import Timeline
from padis_gui.gui.panels.training import TrainingPage
from padis_gui.gui.panels.training_note import TrainingNote
from padis_gui.gui.panels.transport import Transport
from padis_gui.gui.run_tools import RunTools
from padis_gui.gui.section import Section
from padis_gui.gui.theme import set_scheme
from padis_gui.gui.view_tools import ViewTools
from padis_gui.gui.viewers.curves import Curves
from padis_gui.gui.viewers.mask_painter import MaskPainter
from padis_gui.gui.viewers.pane_grid import PaneGrid
from padis_gui.viewmodels.frames import Result
from padis_gui.viewmodels.mask import MaskEditor
from padis_gui.viewmodels.paces import Paces
from padis_gui.viewmodels.planner import Planner
from padis_gui.viewmodels.preferences import Preferences
from padis_gui.viewmodels.run import RunState
from padis_gui.viewmodels.session import Session
from padis_gui.viewmodels.training import Trainer


class MainWindow(QMainWindow):
    """Everything a run needs on one screen.

    ``preferences`` bring back how the window was left; without them it has its defaults and remembers nothing.
    """

    def __init__(
        self, session: Session, preferences: Preferences | None = None, trainer: Trainer | None = None
    ) -> None:
        super().__init__()
        self.session = session
        self.trainer = trainer or Trainer(session)
        self.preferences = preferences or Preferences(parent=self)
        self.closed = asyncio.Event()
        self._closing = False
        self._bar_was_shown, self._bar_away = True, False
        self.setWindowTitle(f"padis_gui {__version__}")
        self.resize(1440, 900)
        self.setAcceptDrops(True)
        self.act = Actions(self)
        self.opening = Opening(self, session, self.preferences)
        self.help = Help(self, session, self.preferences)
        self._connect_actions()
        self._make_pages()
        self._make_docks()
        self._make_toolbar()
        self._make_status_bar()
        self._make_menus()
        self.display = Display(session, self.panes, self.curves, self.transport, self.levels)
        self.display.pointed.connect(self.cursor_text.setText)
        self.display.progressed.connect(self.timeline.refresh)
        self.laboratory.join(
            self.display, self.menus.view, self.workbench_bar.widgetForAction(self.act.tiling)
        )
        self.laboratory.page.pointed.connect(self.cursor_text.setText)
        for signal in (
            session.run.changed, session.settings_changed, session.data_changed, session.prior_changed,
            session.prepared_changed, session.result_changed, session.shown_changed,
            self.laboratory.ab.changed,
        ):  # fmt: skip
            signal.connect(self._show_state)
        session.message.connect(self.messages.show_message)
        self.messages.details_wanted.connect(self.help.report)
        self.preferences.changed.connect(self._follow_preferences)
        self._follow_preferences()
        self._restore_arrangement()
        self._show_state()
        if self.preferences.trouble:
            self.messages.show_message("warning", self.preferences.trouble)

    # Making the window ----------------------------------------------------------------------------

    def _connect_actions(self) -> None:
        run, act = self.session.run, self.act
        for action, slot in (
            (act.open_image, self.opening.choose_image),
            (act.open_prior, self.opening.choose_prior),
            (act.open_demo, self.opening.open_demo),
            (act.export, self.opening.choose_export),
            (act.preferences, self.help.preferences),
            (act.shortcuts, self.help.shortcuts),
            (act.report, self.help.report),
            (act.about, self.help.about),
            (act.next_panel, lambda: self.docks.focus_next(self.panes)),
            (act.quit, self.close),
            (act.reset_layout, lambda: self.docks.reset()),
        ):
            action.triggered.connect(lambda _checked=False, slot=slot: slot())
        steer = (self._run, self._pause_or_resume, self._step, run.finish, run.cancel)
        for action, slot in zip(act.steering, steer, strict=True):
            name = action.objectName()  # the page in front may have runs of its own
            action.triggered.connect(
                lambda _checked=False, name=name, slot=slot: self.laboratory.steer(name) or slot()
            )

    def _make_pages(self) -> None:
        """Pages fill the window under the messages; the first one, the workbench, has the docks around its panes."""
        self.messages, self.question, self.panes = MessageBar(), ChoiceBar(), PaneGrid()
        self.act.fit.triggered.connect(self.panes.fit)
        self.act.tiling.toggled.connect(self.panes.show_tiling)
        self.workbench, self.pages = QMainWindow(), QStackedWidget()
        self.workbench.setWindowFlags(Qt.WindowType.Widget)
        central = QWidget()
        self.timeline = Timeline(self.session, central)
        self.mask_editor = MaskEditor(self.session, self.preferences.folder)
        self.painter = MaskPainter(self.mask_editor, self.panes, self.preferences)
        around = column(central)
        around.addWidget(self.painter)
        around.addWidget(self.panes, 1)
        around.addWidget(self.timeline)
        self.workbench.setCentralWidget(central)
        self.docks = Docks(self.workbench)
        self._page_actions = QActionGroup(self)
        centre = QWidget()
        layout = column(centre)
        layout.addWidget(self.messages)
        layout.addWidget(self.question)
        layout.addWidget(self.pages, 1)
        self.setCentralWidget(centre)
        work = self.add_page(
            "Reconstruct", self.workbench, "Data, problem, prior, solver, and what comes of them"
        )
        self.laboratory = LaboratoryInWindow(self, self.session, self.act, self.panes)
        self.add_page("A/B", self.laboratory.page, "Two runs from the same noise, in step and side by side")
        self.training = TrainingPage(self.trainer)
        train = self.add_page("Train", self.training, "Train a prior on your own images")
        self.training_note = TrainingNote(self.trainer, train)
        self.trainer.prior_opened.connect(work.trigger)
        self.pages.currentChanged.connect(self._page_changed)

    @property
    def at_work(self) -> bool:
        """Whether the workbench is in front: what steers a run only works there."""
        return self.pages.currentWidget() is self.workbench

    @property
    def shows_pictures(self) -> bool:
        """Whether a page is in front whose pictures have levels and tilings."""
        return self.at_work or self.pages.currentWidget() is self.laboratory.page

    def _page_changed(self) -> None:
        bar = self.workbench_bar
        if self.shows_pictures and self._bar_away:
            bar.setVisible(self._bar_was_shown)
        elif not self.shows_pictures and not self._bar_away:
            self._bar_was_shown = not bar.isHidden()
            bar.hide()
        self._bar_away = not self.shows_pictures
        self.cursor_text.setVisible(self.shows_pictures)
        self._show_state()

    def add_page(self, title: str, page: QWidget, tip: str) -> QAction:
        """A page beside the others; the action shows it (Ctrl+1, Ctrl+2 in their order)."""
        index = self.pages.addWidget(page)
        action = QAction(title, self, checkable=True, checked=index == 0)
        action.setObjectName(f"page_{title.lower()}")
        action.setShortcut(f"Ctrl+{index + 1}")
        action.setToolTip(f"{tip} ({action.shortcut().toString()})")
        action.triggered.connect(lambda _checked=False: self.pages.setCurrentWidget(page))
        self._page_actions.addAction(action)
        for each in self._page_actions.actions():  # a single page needs no choosing
            each.setVisible(index > 0)
        return action

    def _make_docks(self) -> None:
        self.planner = Planner(self.session, Paces(self.preferences.folder))
        self.transport, self.curves = Transport(self.act, PlanLine(self.planner)), Curves()
        self.data = DataSection(self.session, self.opening.choose_image)
        self.problem = ProblemSection(self.session, {"inpainting": self.panes.act.mask})
        self.prior = PriorSection(self.session, self.opening.choose_prior)
        self.solver = SolverSection(self.session)
        setup = QWidget()
        sections = column(setup, spacing=2, margins=(6, 2, 8, 4))
        for section in (self.data, self.problem, self.prior, self.solver):
            sections.addWidget(section)
        sections.addStretch(1)
        scroll = QScrollArea(widgetResizable=True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(setup)
        left = QWidget()
        left.setMinimumWidth(310)
        stacked = column(left)
        stacked.addWidget(scroll, 1)
        stacked.addWidget(self.transport)
        self._dock("Setup", left, Qt.DockWidgetArea.LeftDockWidgetArea)
        right = Qt.DockWidgetArea.RightDockWidgetArea
        self._dock("Curves", self.curves, right)
        self._dock("Laboratory", self.laboratory.panel, right)
        self._dock("Tile inspector", self.laboratory.tile, right)
        self.geometry_panel = GeometryPanel(self.session)
        self._dock("Geometry", self.geometry_panel, right)
        self.views = ViewTools(self.session, self.panes, self.preferences, self.docks, self._dock)
        self.run_tools = RunTools(
            self, self.session, self.panes, self.curves, self.act, self.planner, self.preferences, self.docks,
            self._dock,
        )  # fmt: skip

    def _dock(
        self, title: str, widget: QWidget, area: Qt.DockWidgetArea, *, shown: bool = True
    ) -> QDockWidget:
        """A dock of the workbench: a tab of its area until the user moves it, hidden at first unless ``shown``."""
        return self.docks.add(title, widget, area, shown=shown)

    def _make_toolbar(self) -> None:
        self.levels, self.verdict = QComboBox(), QLabel()
        self.levels.setAccessibleName("Levels")
        self.levels.setToolTip(
            "Intensities shown black and white, the same in every pane; they never move by themselves"
        )
        self.verdict.setContentsMargins(8, 0, 8, 0)
        pages = QToolBar("Pages", movable=False)
        pages.setObjectName("pages_toolbar")
        pages.addActions(self._page_actions.actions())
        pages.toggleViewAction().setToolTip("Show or hide the choice of pages")
        self.addToolBar(pages)
        self.workbench_bar = bar = QToolBar("Main", movable=False)
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
        self.statusBar().addPermanentWidget(self.training_note)
        self.statusBar().addPermanentWidget(self.device)

    def _make_menus(self) -> None:
        self.menus = Menus(self, self.act, self.preferences, self.docks, self._page_actions, self.opening)
        self.menus.view.addMenu(self.timeline.menu())
        self.menus.run.addSeparator()
        self.menus.run.addMenu(self.device.device_menu(self))
        self.menus.view.addMenu(self.views.menu(self))
        self.run_tools.add_to(self.menus, self.act)

    # From the session to the window ---------------------------------------------------------------

    def _show_state(self) -> None:
        """Enable what can be done now, and say what is shown: a result, a stale one, or a run under way."""
        session = self.session
        self.act.allow(session)
        self.painter.allow()
        if not self.at_work:
            for action in self.act.steering:
                action.setEnabled(False)
        for action in (self.act.fit, self.act.tiling):
            action.setEnabled(self.shows_pictures)
        self.laboratory.allow(self.act)
        for widget in (self.data.open, self.data.page):
            widget.setEnabled(not session.run.active)
        if session.image is not None:
            self.setWindowTitle(f"{session.image.name}, page {session.image.page} — padis_gui {__version__}")
        self.verdict.setText(self._verdict())

    def _verdict(self) -> str:
        session, result = self.session, self.session.result
        if session.shown.record is not None and result is not None:
            return f"{session.shown.record.name}:   {_quality(result)}"
        if session.run.active:
            return f"{session.run.snapshot().state.value}…"
        if session.occupied_by:
            return f"{session.occupied_by} is under way…"
        if session.job() is None:
            what = "an image (Ctrl+O)" if session.prior is not None else "a checkpoint (Ctrl+P)"
            return f"Open {what}, or the demo (Ctrl+D)"
        if session.stale:
            return "⚠ Stale: the settings have changed since this result; press Run"
        if result is None:
            return "Ready: press Run"
        return f"{_quality(result)}   {result.seconds:.1f} s   seed {result.recipe.seed}"

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

    def _use_device(self, name: str) -> None:
        self.preferences.set_device(name)
        self.session.spawn(self.session.use_device(name))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        self.opening.drag_enter(event)

    def dropEvent(self, event: QDropEvent) -> None:
        self.opening.drop(event)

    # What is remembered ---------------------------------------------------------------------------

    def _follow_preferences(self) -> None:
        set_scheme(self.preferences.options.scheme)
        self.display.set_cadence(self.preferences.options)
        self.session.runs.history_budget = self.preferences.options.history_mb * 2**20

    def _restore_arrangement(self) -> None:
        """The window as it was left; whatever of it cannot be used has its default."""
        kept = self.preferences.window
        if kept("geometry"):
            self.restoreGeometry(QByteArray(_decoded(kept("geometry"))))
        if kept("layout"):
            self.docks.restore(_decoded(kept("layout")))
        self.curves.choose(kept("curves").split(","))
        self.panes.restore(_read_json(kept("panes")))
        folded = kept("folded").split(",")
        for section in self.workbench.findChildren(Section):
            section.fold(section.title in folded)

    def _keep_arrangement(self) -> None:
        self.preferences.keep_window(
            geometry=b64encode(self.saveGeometry().data()).decode(),
            layout=b64encode(self.docks.save()).decode(),
            curves=",".join(self.curves.chosen),
            panes=json.dumps(self.panes.state()),
            folded=",".join(s.title for s in self.workbench.findChildren(Section) if s.is_folded),
        )
        self.preferences.save()

    # Leaving --------------------------------------------------------------------------------------

    def closeEvent(self, event: QCloseEvent) -> None:
        """Cancel the run, let its thread end, then go: the window hides at once, the process follows."""
        if self.closed.is_set():
            event.accept()
            return
        event.ignore()
        if self.trainer.active and not self.question.isVisible() and not self._closing:
            self.question.ask(
                "A training is under way. It is saved now and can be resumed whenever you like.",
                (
                    ("Save and close", "The training saves, stops, and can be resumed", self._close_now),
                    ("Keep training", "The window stays open; minimise it instead", lambda: None),
                ),
            )
            return
        self._close_now()

    def _close_now(self) -> None:
        if not self._closing:
            self._closing = True
            self.session.spawn(self._leave())

    async def _leave(self) -> None:
        self._keep_arrangement()
        self.help.close()
        self.hide()
        self.display.timer.stop()
        await self.trainer.close()
        await self.session.close()
        self.closed.set()


def _read_json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return b""


def _quality(result: Result) -> str:
    """What the metrics say, beside the baseline's."""
    m = result.metrics
    if "psnr" in m:
        return (
            f"PSNR {m['psnr']:.2f} dB, SSIM {m['ssim']:.3f}   ({find_physics(result.recipe.physics).baseline} "
            f"{m['psnr_baseline']:.2f} dB, {m['ssim_baseline']:.3f})"
        )
    return f"Residual {m['residual']:.2e}" if "residual" in m else "Sample of the prior"
