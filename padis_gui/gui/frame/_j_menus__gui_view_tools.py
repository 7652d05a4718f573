"""Everything around the panes: levels, profile and region panels, their docks, the menu, saving, other runs."""

from collections.abc import Callable

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QDockWidget, QMenu, QWidget

from padis_gui.gui.frame.docks import Docks
from padis_gui.gui.panes._j_levels__gui_viewers_levels import LevelsPanel
from padis_gui.gui.panes._j_menu__gui_viewers_saving import Saving
from padis_gui.gui.panes._j_regions__gui_viewers_regions import RegionPanel
from padis_gui.gui.panes.pane_grid import PaneGrid
from padis_gui.gui.panes.profile import ProfilePanel
from padis_gui.viewmodels.runs._j_samples__viewmodels_run_sources import RunSources, run_key
from padis_gui.viewmodels.runs.runs import RunRecord
from padis_gui.viewmodels.session._j_session__viewmodels_session import Session
from padis_gui.viewmodels.state._j_preferences__viewmodels_preferences import Preferences


class PaneTools(QObject):
    """Makes the panels of the panes and ties them together; ``dock`` puts a panel into a dock of the window."""

    def __init__(
        self,
        session: Session,
        panes: PaneGrid,
        preferences: Preferences,
        docks: Docks,
        dock: Callable[..., QDockWidget],
    ) -> None:
        super().__init__(panes)
        self._panes, self._docks = panes, docks
        self.levels, self.profile, self.regions = LevelsPanel(panes), ProfilePanel(panes), RegionPanel(panes)
        bottom = Qt.DockWidgetArea.BottomDockWidgetArea
        self._docks_of: dict[str, QDockWidget] = {}
        dock("Levels", self.levels, Qt.DockWidgetArea.RightDockWidgetArea)
        self._docks_of["profile"] = dock("Profile", self.profile, bottom, shown=False)
        self._docks_of["rectangle"] = dock("Regions", self.regions, bottom, shown=False)
        self._docks_of["ellipse"] = self._docks_of["rectangle"]
        self.saving = Saving(session, panes, preferences)
        self.profile.save_wanted.connect(lambda text: self.saving.choose_csv("profile", text))
        self.regions.save_wanted.connect(lambda text: self.saving.choose_csv("statistics", text))
        self.run_sources = RunSources(session.runs, panes.gallery, lambda: panes.looked_at)
        panes.arranged.connect(self.run_sources.release)
        panes.tools.tool_changed.connect(self._bring)
        session.runs.compare.connect(self.compare_runs)

    def _bring(self, tool: str) -> None:
        """A tool without the panel that shows what it finds would seem to do nothing."""
        if tool in self._docks_of and self._panes.isVisible():
            self._docks.bring(self._docks_of[tool])

    def compare_runs(self, first: RunRecord, second: RunRecord) -> None:
        """Show two runs against each other, in the way in which pictures were compared last."""
        self._panes.compare_with(self._panes.compare.mode, run_key(first.id), run_key(second.id))

    def menu(self, parent: QWidget) -> QMenu:
        """What can be done with the panes."""
        menu = QMenu("Pan&es", parent)
        menu.setToolTipsVisible(True)
        act = self._panes.act
        menu.addActions(act.panes)
        menu.addSeparator()
        menu.addActions(act.tools.actions())
        menu.addSeparator()
        menu.addActions(act.modes.actions())
        return menu
