"""Everything around runs: the list, the queue, samples, their docks and menus, exporting several."""

from collections.abc import Callable

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QDockWidget, QMainWindow

from padis_gui.gui.dialogs._j_export__gui_exporting import Exporting
from padis_gui.gui.dialogs.volume import show_volume_dialog
from padis_gui.gui.frame._j_menus__gui_menus import Menus
from padis_gui.gui.frame.docks import Docks
from padis_gui.gui.kit._j_actions__gui_actions import Actions
from padis_gui.gui.panes.pane_grid import PaneGrid
from padis_gui.gui.runs.curves import Curves
from padis_gui.gui.runs.queue import QueuePanel
from padis_gui.gui.runs.run_list import RunList
from padis_gui.gui.runs.samples import SamplesPanel, ask_for_samples
from padis_gui.viewmodels.runs.runs import RunRecord
from padis_gui.viewmodels.session._j_planner__viewmodels_planner import Planner
from padis_gui.viewmodels.session._j_session__viewmodels_session import Session
from padis_gui.viewmodels.state._j_preferences__viewmodels_preferences import Preferences
from padis_gui.viewmodels.volumes._j_volumes__viewmodels_volume import Volumes

_OFFERED = "runs_offered"


class RunTools(QObject):
    """Makes the panels of runs and ties them together; ``dock`` puts a panel into a dock of the window."""

    def __init__(
        self,
        window: QMainWindow,
        session: Session,
        panes: PaneGrid,
        curves: Curves,
        act: Actions,
        planner: Planner,
        preferences: Preferences,
        docks: Docks,
        dock: Callable[..., QDockWidget],
    ) -> None:
        super().__init__(window)
        self._window, self._session, self._panes, self._curves = window, session, panes, curves
        self._planner, self._preferences, self._docks = planner, preferences, docks
        bottom, right = Qt.DockWidgetArea.BottomDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea
        self.list, self.queue = RunList(session), QueuePanel(session)
        self.samples = SamplesPanel(session, panes.gallery, act)
        self.list_dock = dock("Runs", self.list, bottom, shown=False)
        self.queue_dock = dock("Queue", self.queue, bottom, shown=False)
        self.samples_dock = dock("Samples", self.samples, right, shown=False)
        self.exporting = Exporting(window, session, preferences)
        self.list.export_wanted.connect(self.exporting.choose_runs)
        act.export.triggered.connect(lambda _checked=False: self.exporting.choose_shown())
        act.enqueue.triggered.connect(lambda _checked=False: self._enqueue())
        self.volumes = Volumes(session, planner)
        act.volume.triggered.connect(
            lambda _checked=False: show_volume_dialog(window, session, self.volumes, preferences)
        )
        act.samples.triggered.connect(lambda _checked=False: self._ask_for_samples())
        session.shown.changed.connect(self._follow_shown)
        session.runs.compare.connect(self._compare)
        session.runs.changed.connect(self._follow_runs)
        self.samples.panes_wanted.connect(self._show_samples)
        curves.compared_closed.connect(lambda: self._overlay(None))
        self._compared: RunRecord | None = None

    def add_to(self, menus: Menus, act: Actions) -> None:
        """Put the actions into the menus."""
        menus.run.addSeparator()
        menus.run.addActions([*act.queueing, act.volume])
        menus.run.addMenu(self.list.menu())

    def _enqueue(self) -> None:
        if self._session.runner.add_to_queue():
            self._docks.bring(self.queue_dock)

    def _ask_for_samples(self) -> None:
        plan = self._planner.plan
        ask_for_samples(self._window, self._session, None if plan is None else plan.seconds)

    def _follow_shown(self) -> None:
        """A set of samples says how good its deviation is; no run is drawn over itself."""
        record = self._session.shown.record
        if record is not None and record.recipe.sample_seeds and self._window.isVisible():
            self._docks.bring(self.samples_dock)
        if record is not None and record is self._compared:
            self._overlay(None)

    # Curves of a second run -----------------------------------------------------------------------

    def _compare(self, first: RunRecord, second: RunRecord) -> None:
        """The panes show both; the curves of the second are drawn behind those of the first."""
        if self._session.shown.record is not first:
            self._session.shown.show(first)
        self._overlay(second)

    def _overlay(self, record: RunRecord | None) -> None:
        self._compared = record
        if record is None:
            self._curves.set_compared(())
        else:
            self._curves.set_compared(record.history.points, record.name)

    def _follow_runs(self) -> None:
        if self._compared is not None and self._session.runs.find(self._compared.id) is None:
            self._overlay(None)
        if self._session.runs.records and not self._preferences.window(_OFFERED) and self._window.isVisible():
            self._preferences.keep_window(**{_OFFERED: "yes"})  # once: later the user has a say
            self._docks.bring(self.list_dock)

    def _show_samples(self) -> None:
        """Mean, deviation, interval and error in the first four panes."""
        self._panes.compare_with(None)
        for at, source in enumerate(("estimate", "deviation", "interval_width", "difference")):
            if at < len(self._panes.panes):
                self._panes.panes[at].show_source(source)
            else:
                self._panes.add_pane(source)
