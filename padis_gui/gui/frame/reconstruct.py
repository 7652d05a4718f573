"""The page Reconstruct: panes, docks, the left column, and how they are kept.

The first page: panes in the middle, docks around them, the left column in the order of the work.

The panes' arrangement as plain JSON, and back.

How the window is arranged, kept in the preferences; whatever of it cannot be used has its default.
"""

import json
from base64 import b64decode, b64encode
from functools import partial
from typing import Any

from PySide6.QtCore import QByteArray, Qt, QTimer
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QDockWidget, QMainWindow, QWidget

from padis_gui.gui.dialogs.opening import Opening
from padis_gui.gui.frame.display import TruthSubstitutes
from padis_gui.gui.frame.docks import Docks
from padis_gui.gui.frame.menus import PaneTools
from padis_gui.gui.kit.actions import Actions
from padis_gui.gui.kit.focus import order_tabs
from padis_gui.gui.kit.widgets import Section, below, column, row, scrolled
from padis_gui.gui.panes.crop import CropTool
from padis_gui.gui.panes.layers import is_known
from padis_gui.gui.panes.mask_painter import MaskPainter
from padis_gui.gui.panes.menu import open_menu
from padis_gui.gui.panes.pane_board import MOST
from padis_gui.gui.panes.pane_grid import PaneGrid
from padis_gui.gui.panes.slices import SliceSlider
from padis_gui.gui.panes.volume import PlaceBar, VolumePanes
from padis_gui.gui.runs.curves import Curves
from padis_gui.gui.runs.timeline import Timeline
from padis_gui.gui.runs.transport import PlanLine, RunningLine, Transport
from padis_gui.gui.setup.adapt import AdaptChoice
from padis_gui.gui.setup.data import CorrectionsSection, DataSection
from padis_gui.gui.setup.geometry import GeometryPanel
from padis_gui.gui.setup.problem import (
    PriorSection,
    ProblemSection,
    SlicesSection,
    SolverSection,
    TilingSection,
)
from padis_gui.gui.setup.size import SizeOffers, SizeRow
from padis_gui.viewmodels.session.mask import MaskEditor
from padis_gui.viewmodels.session.planner import Paces, Planner
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.session.sizing import Corrections, Sizing
from padis_gui.viewmodels.state.preferences import Preferences

LEFT, RIGHT = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea
TOP, BOTTOM = Qt.DockWidgetArea.TopDockWidgetArea, Qt.DockWidgetArea.BottomDockWidgetArea


class ReconstructPage(QMainWindow):
    """A main window inside the window, so that its docks belong to this page alone."""

    def __init__(self, session: Session, act: Actions, opening: Opening, preferences: Preferences) -> None:
        super().__init__()
        self.setWindowFlags(Qt.WindowType.Widget)
        self._session, self._preferences = session, preferences
        self._ordered = False  # whether Tab goes as the eye does
        self.arranged = False  # whether the docks have the sizes that they shall have
        self.panes = PaneGrid()
        self.panes.menu_wanted.connect(partial(open_menu, self.panes))
        TruthSubstitutes(session, self.panes)
        act.fit.triggered.connect(self.panes.fit)
        act.tiling.toggled.connect(self.panes.show_tiling)
        self._make_centre(opening)
        act.tiling.toggled.connect(self.volume.show_groups)
        self.docks = Docks(self)
        self._make_column(act, opening)
        self.curves, self.geometry_panel = Curves(), GeometryPanel(session)

    def _make_centre(self, opening: Opening) -> None:
        self.centre = central = QWidget()
        self.timeline = Timeline(self._session, central)
        self.mask_editor = MaskEditor(self._session, self._preferences.folder)
        self.painter = MaskPainter(self.mask_editor, self.panes, self._preferences)
        self.sizing = Sizing(self._session)
        self.crop = CropTool(self.sizing, self.panes)
        self.volume, self.place = VolumePanes(self._session, self.panes), PlaceBar(self._session)
        self.slices = SliceSlider(self._session, opening.slices, central)
        around, beside = column(central), row(spacing=0)
        beside.addWidget(self.panes, 1)
        beside.addWidget(self.slices)
        around.addWidget(self.place)
        around.addWidget(self.painter)
        around.addWidget(self.crop)
        around.addLayout(beside, 1)
        around.addWidget(self.timeline)
        self.setCentralWidget(central)

    def _make_column(self, act: Actions, opening: Opening) -> None:
        """Data, problem, prior, tiling, solver, which scroll; and Run below them, always in sight."""
        session = self._session
        self.planner = Planner(session, Paces(self._preferences.folder))
        self.offers = SizeOffers(session, self.sizing, self.planner, self.panes.act.crop)
        plan = QWidget()
        lines = column(plan, spacing=4)
        lines.addWidget(PlanLine(self.planner))
        lines.addWidget(self.offers)
        self.adapt = AdaptChoice(session)
        self.transport = Transport(act, plan, RunningLine(session, act))
        self.size_row = SizeRow(session, self.sizing, self.panes.act.crop)
        self.data = DataSection(session, opening, act, self.size_row)
        self.corrections = CorrectionsSection(Corrections(session))
        self.problem = ProblemSection(session, {"inpainting": self.panes.act.mask})
        self.prior = PriorSection(session, opening, self._preferences)
        self.tiling, self.solver = TilingSection(session), SolverSection(session)
        self.across = SlicesSection(session, opening)
        self.setup = setup = QWidget()
        sections = column(setup, spacing=2, margins=(6, 2, 6, 4))
        self.sections = (
            self.data, self.corrections, self.problem, self.prior, self.across, self.tiling, self.solver
        )  # fmt: skip
        for section in self.sections:
            sections.addWidget(section)
        sections.addStretch(1)
        self.left = QWidget()
        self.left.setMinimumWidth(310)
        stacked = column(self.left)
        stacked.addWidget(scrolled(setup), 1)
        below(stacked, self.adapt, self.transport)

    def make_docks(self, *more: tuple[str, QWidget, Qt.DockWidgetArea]) -> None:
        """The docks, with those of others between curves and geometry."""
        self.dock("Setup", self.left, LEFT)
        self.dock("Curves", self.curves, RIGHT)
        for title, widget, area in more:
            self.dock(title, widget, area)
        self.dock("Geometry", self.geometry_panel, RIGHT)
        self.views = PaneTools(self._session, self.panes, self._preferences, self.docks, self.dock)

    @property
    def regions(self) -> list[QWidget]:
        """The parts of the page that can be seen, as F6 goes through them; the left column is one for each section."""
        left, right = self.docks.seen(LEFT), self.docks.seen(RIGHT, BOTTOM, TOP)
        seen = [*left, self.panes, self.timeline, *right]
        return [
            part
            for each in seen
            for part in ([*self.sections, self.adapt, self.transport] if each is self.left else [each])
        ]

    def showEvent(self, event: QShowEvent) -> None:
        """The first time the page's size is known, the docks get their shares of it, unless they were left otherwise."""
        super().showEvent(event)
        if not self.arranged:
            self.arranged = True
            self.docks.share_room()
        if not self._ordered:
            self._ordered = True
            QTimer.singleShot(0, self, self._order_tabs)  # showing docks puts them into Qt's own order

    def _order_tabs(self) -> None:
        """Tab begins with Run, and goes through the settings, the pictures and the panels."""
        panels = [dock.widget() for dock in self.docks.all if dock.widget() is not self.left]
        order_tabs(self.transport, self.setup, self.centre, *panels)

    def dock(
        self, title: str, widget: QWidget, area: Qt.DockWidgetArea, *, shown: bool = True
    ) -> QDockWidget:
        """A dock: a tab of its area until the user moves it, hidden at first unless ``shown``."""
        return self.docks.add(title, widget, area, shown=shown)


def arrangement_of(grid: PaneGrid) -> dict[str, Any]:
    """Which panes there are and what they show, colours, tool, comparison. Levels belong to the data: not here."""
    return {
        "panes": [
            {
                "source": pane.source,
                "linked": pane.canvas.linked,
                "own_colours": None if pane.own is None else pane.own.colours,
            }
            for pane in grid.panes
        ],
        "active": grid.panes.index(grid.active),
        "maximised": grid.maximised is not None,
        "colours": grid.picture_set.colours,
        "tool": grid.tools.tool,
        "compare": grid.compare.state() | {"open": grid.comparing},
    }


def rearrange(grid: PaneGrid, state: object) -> None:
    """Undo what :func:`arrangement_of` did; what cannot be read, such as a source that is gone, is left out."""
    if not isinstance(state, dict):
        return
    panes = state.get("panes")
    saved = [p for p in (panes if isinstance(panes, list) else []) if _names_a_source(grid, p)][:MOST]
    if saved:
        _restore_panes(grid, saved)
    colours = state.get("colours")
    if isinstance(colours, dict):
        grid.picture_set.colours = {
            str(k): v for k, v in colours.items() if isinstance(v, str) and is_known(v)
        }
    active = state.get("active")
    if isinstance(active, int) and 0 <= active < len(grid.panes):
        grid.set_active(grid.panes[active])
    if state.get("maximised") is True:
        grid.maximise(grid.active)
    for action in grid.act.tools.actions():
        if action.data() == state.get("tool"):
            action.trigger()
    compare = state.get("compare")
    if isinstance(compare, dict):
        grid.compare.restore(compare)
        grid.compare_with(grid.compare.mode if compare.get("open") is True else None)


def _names_a_source(grid: PaneGrid, saved: object) -> bool:
    key = saved.get("source") if isinstance(saved, dict) else None
    return isinstance(key, str) and key in grid.picture_set.sources


def _restore_panes(grid: PaneGrid, saved: list[dict[str, Any]]) -> None:
    grid.maximise(None)
    while len(grid.panes) > len(saved):
        grid.remove_pane(grid.panes[-1])
    while len(grid.panes) < len(saved):
        grid.add_pane("estimate")
    for pane, one in zip(grid.panes, saved, strict=True):
        pane.show_source(one["source"])
        grid.set_linked_view(pane, one.get("linked") is not False)
        colours = one.get("own_colours")
        pane.set_own_levels(isinstance(colours, str))
        if isinstance(colours, str) and is_known(colours):
            pane.set_colours(colours)


def restore_window(window: QMainWindow, bench: ReconstructPage, preferences: Preferences) -> bool:
    """The window as it was left, maximised or not; whether its place was known."""
    kept = preferences.window
    placed = window.restoreGeometry(QByteArray(_decoded(kept("geometry")))) if kept("geometry") else False
    if kept("layout"):
        bench.arranged = bench.docks.restore(_decoded(kept("layout")))
    bench.curves.choose(kept("curves").split(","))
    rearrange(bench.panes, _read_json(kept("panes")))
    folded = kept("folded").split(",")
    for section in bench.findChildren(Section):
        section.fold(section.title in folded)
    return placed


def keep_window(window: QMainWindow, bench: ReconstructPage, preferences: Preferences) -> None:
    """Remember it for the next start."""
    preferences.keep_window(
        geometry=b64encode(window.saveGeometry().data()).decode(),
        layout=b64encode(bench.docks.save()).decode(),
        curves=",".join(bench.curves.chosen),
        panes=json.dumps(bench.volume.arrangement(arrangement_of(bench.panes))),
        folded=",".join(s.title for s in bench.findChildren(Section) if s.is_folded),
    )
    preferences.save()


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
