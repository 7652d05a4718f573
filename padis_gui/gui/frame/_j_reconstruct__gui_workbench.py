"""The first page: panes in the middle, docks around them, the left column in the order of the work."""

from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDockWidget, QMainWindow, QWidget

from padis_gui.gui.dialogs._j_opening__gui_opening import Opening
from padis_gui.gui.frame._j_display__gui_stand_ins import TruthSubstitutes
from padis_gui.gui.frame._j_menus__gui_view_tools import PaneTools
from padis_gui.gui.frame.docks import Docks
from padis_gui.gui.kit._j_actions__gui_actions import Actions
from padis_gui.gui.kit._j_widgets__gui_layouts import column, scrolled
from padis_gui.gui.panes._j_menu__gui_viewers_pane_menu import open_menu
from padis_gui.gui.panes.mask_painter import MaskPainter
from padis_gui.gui.panes.pane_grid import PaneGrid
from padis_gui.gui.runs._j_transport__gui_panels_plan import PlanLine
from padis_gui.gui.runs._j_transport__gui_panels_transport import Transport
from padis_gui.gui.runs.curves import Curves
from padis_gui.gui.runs.timeline import Timeline
from padis_gui.gui.setup.data import DataSection
from padis_gui.gui.setup.geometry import GeometryPanel
from padis_gui.gui.setup.problem import PriorSection, ProblemSection, SolverSection
from padis_gui.viewmodels.session._j_planner__viewmodels_paces import Paces
from padis_gui.viewmodels.session._j_planner__viewmodels_planner import Planner
from padis_gui.viewmodels.session._j_session__viewmodels_session import Session
from padis_gui.viewmodels.session.mask import MaskEditor
from padis_gui.viewmodels.state._j_preferences__viewmodels_preferences import Preferences

LEFT, RIGHT = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea


class ReconstructPage(QMainWindow):
    """A main window inside the window, so that its docks belong to this page alone."""

    def __init__(self, session: Session, act: Actions, opening: Opening, preferences: Preferences) -> None:
        super().__init__()
        self.setWindowFlags(Qt.WindowType.Widget)
        self._session, self._preferences = session, preferences
        self.panes = PaneGrid()
        self.panes.menu_wanted.connect(partial(open_menu, self.panes))
        TruthSubstitutes(session, self.panes)
        act.fit.triggered.connect(self.panes.fit)
        act.tiling.toggled.connect(self.panes.show_tiling)
        self._make_centre()
        self.docks = Docks(self)
        self._make_column(act, opening)
        self.curves, self.geometry_panel = Curves(), GeometryPanel(session)

    def _make_centre(self) -> None:
        central = QWidget()
        self.timeline = Timeline(self._session, central)
        self.mask_editor = MaskEditor(self._session, self._preferences.folder)
        self.painter = MaskPainter(self.mask_editor, self.panes, self._preferences)
        around = column(central)
        around.addWidget(self.painter)
        around.addWidget(self.panes, 1)
        around.addWidget(self.timeline)
        self.setCentralWidget(central)

    def _make_column(self, act: Actions, opening: Opening) -> None:
        """Data, problem, prior, solver, which scroll; and Run below them, always in sight."""
        session = self._session
        self.planner = Planner(session, Paces(self._preferences.folder))
        self.transport = Transport(act, PlanLine(self.planner))
        self.data = DataSection(session, opening, act)
        self.problem = ProblemSection(session, {"inpainting": self.panes.act.mask})
        self.prior = PriorSection(session, opening, self._preferences)
        self.solver = SolverSection(session)
        setup = QWidget()
        sections = column(setup, spacing=2, margins=(6, 2, 8, 4))
        for section in (self.data, self.problem, self.prior, self.solver):
            sections.addWidget(section)
        sections.addStretch(1)
        self.left = QWidget()
        self.left.setMinimumWidth(310)
        stacked = column(self.left)
        stacked.addWidget(scrolled(setup), 1)
        stacked.addWidget(self.transport)

    def make_docks(self, *more: tuple[str, QWidget, Qt.DockWidgetArea]) -> None:
        """The docks, with those of others between curves and geometry."""
        self.dock("Setup", self.left, LEFT)
        self.dock("Curves", self.curves, RIGHT)
        for title, widget, area in more:
            self.dock(title, widget, area)
        self.dock("Geometry", self.geometry_panel, RIGHT)
        self.views = PaneTools(self._session, self.panes, self._preferences, self.docks, self.dock)

    def dock(
        self, title: str, widget: QWidget, area: Qt.DockWidgetArea, *, shown: bool = True
    ) -> QDockWidget:
        """A dock: a tab of its area until the user moves it, hidden at first unless ``shown``."""
        return self.docks.add(title, widget, area, shown=shown)
