"""Menus, and the tools that belong to panes and runs.

The menu bar: every action of the window is in one of its menus, so all are reached by keyboard.

Everything around the panes: levels, profile and region panels, their docks, the menu, saving, other runs.

Everything around runs: the list, the queue, samples, their docks and menus, exporting several.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QDockWidget, QMainWindow, QMenu, QWidget

from padis_gui.gui.dialogs.export import Exporting
from padis_gui.gui.dialogs.opening import Opening
from padis_gui.gui.dialogs.volume import VolumeNote, show_volume_dialog
from padis_gui.gui.frame.docks import Docks
from padis_gui.gui.kit.actions import Actions
from padis_gui.gui.kit.focus import AskedByKey
from padis_gui.gui.panes.levels import LevelsPanel
from padis_gui.gui.panes.menu import Saving
from padis_gui.gui.panes.pane_grid import PaneGrid
from padis_gui.gui.panes.profile import ProfilePanel
from padis_gui.gui.panes.regions import RegionPanel
from padis_gui.gui.runs.curves import Curves
from padis_gui.gui.runs.queue import QueueNote, QueuePanel
from padis_gui.gui.runs.run_list import RunList
from padis_gui.gui.runs.samples import SamplesPanel, ask_for_samples
from padis_gui.gui.setup.problem import ask_for_preset
from padis_gui.viewmodels.runs.runs import RunRecord
from padis_gui.viewmodels.runs.samples import RunSources, run_key
from padis_gui.viewmodels.session.planner import Planner
from padis_gui.viewmodels.session.sending import IMAGEJ, NAPARI
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.state.preferences import FileKind, Options, Preferences
from padis_gui.viewmodels.volumes.volumes import Volumes


class RecentMenu(QMenu):
    """Files of one kind, the latest first, and an end to them."""

    def __init__(
        self, title: str, kind: FileKind, preferences: Preferences, chosen: Callable[[Path], object]
    ) -> None:
        super().__init__(title)
        self._kind, self._preferences, self._chosen = kind, preferences, chosen
        self.setToolTipsVisible(True)
        preferences.recent_changed.connect(self.refill)
        self.refill()

    def refill(self) -> None:
        """Show the files as they are remembered now."""
        self.clear()
        recent = self._preferences.recent(self._kind)
        for number, path in enumerate(recent):
            action = self.addAction(f"&{(number + 1) % 10} {path.name.replace('&', '&&')}")
            action.setToolTip(str(path))
            action.triggered.connect(partial(self._open, path))
        self.addSeparator()
        forget = self.addAction("&Forget these files")
        forget.setToolTip("Empty this list; the files stay where they are")
        forget.triggered.connect(lambda: self._preferences.forget_recent(self._kind))
        self.menuAction().setEnabled(bool(recent))

    def _open(self, path: Path, _checked: bool = False) -> None:
        self._chosen(path)


class Menus:
    """The menus as attributes, for those who add to them: file, run, view, panels, help."""

    def __init__(
        self,
        window: QMainWindow,
        act: Actions,
        preferences: Preferences,
        docks: Docks,
        pages: QActionGroup,
        opening: Opening,
    ) -> None:
        bar = window.menuBar()
        self.file, self.run, self.view, self.help = (
            bar.addMenu(title) for title in ("&File", "&Run", "&View", "&Help")
        )
        self._file(act, preferences, opening)
        self.run.addActions(act.steering)
        self.view.addActions([act.fit, act.tiling])
        self.view.addSeparator()
        self.view.addActions(pages.actions())
        self.panels = self.view.addMenu("&Panels")
        self.panels.setToolTipsVisible(True)
        self.panels.aboutToShow.connect(lambda: self._fill_panels(docks))
        self._fill_panels(docks)
        self.view.addActions([act.next_region, act.previous_region, act.reset_layout])
        self.view.addSeparator()
        self._schemes(window, preferences)
        self.help.addActions([act.shortcuts, act.palette, act.report, act.about])

    def _file(self, act: Actions, preferences: Preferences, opening: Opening) -> None:
        self.file.addActions(
            [act.open_image, act.open_folder, act.slices, act.datasets, act.open_prior, act.open_demo]
        )
        self.recent = {
            "image": RecentMenu("Open recent &image", "image", preferences, opening.open_image),
            "prior": RecentMenu("Open recent c&heckpoint", "prior", preferences, opening.open_prior),
        }
        for menu in self.recent.values():
            menu.menuAction().setToolTip("Files that were opened before")
            self.file.addMenu(menu)
        self.file.addSeparator()
        self.file.addActions([act.export, act.send_napari, act.send_imagej, act.restore, act.restore_session])
        self.file.addSeparator()
        self.file.addActions([act.preferences, act.quit])

    def _fill_panels(self, docks: Docks) -> None:
        self.panels.clear()
        self.panels.addActions(docks.toggles)

    def _schemes(self, window: QMainWindow, preferences: Preferences) -> None:
        self.schemes, group = self.view.addMenu("&Colours"), QActionGroup(window)
        for name in Options.model_fields["scheme"].annotation.__args__:  # type: ignore[union-attr]
            action = QAction(f"&{name}", window, checkable=True, checked=name == preferences.options.scheme)
            action.setToolTip(
                "As the system has it" if name == "System" else f"{name}, whatever the system has"
            )
            action.triggered.connect(partial(self._choose_scheme, preferences, name))
            group.addAction(action)
            self.schemes.addAction(action)

        def follow() -> None:
            for action in group.actions():
                action.setChecked(action.text() == f"&{preferences.options.scheme}")

        preferences.changed.connect(follow)

    @staticmethod
    def _choose_scheme(preferences: Preferences, name: str, _checked: bool = False) -> None:
        preferences.set_option("scheme", name)


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
        for action, panel in (
            (panes.act.profile, self.profile), (panes.act.rectangle, self.regions), (panes.act.ellipse, self.regions),
        ):  # fmt: skip
            AskedByKey(action, panel.begin)
        self.saving = Saving(session, panes, preferences)
        self.profile.save_wanted.connect(lambda text: self.saving.choose_csv("profile", text))
        self.regions.save_wanted.connect(lambda text: self.saving.choose_csv("statistics", text))
        self.run_sources = RunSources(
            session.runs, panes.picture_set, lambda: panes.looked_at, lambda: session.volume.place
        )
        session.screen.moved.connect(self.run_sources.move)
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
        self.list, self.queue = RunList(session, preferences), QueuePanel(session)
        self.samples = SamplesPanel(session, panes.picture_set, act)
        self.list_dock = dock("Runs", self.list, bottom, shown=False)
        self.queue_dock = dock("Queue", self.queue, bottom, shown=False)
        self.samples_dock = dock("Samples", self.samples, right, shown=False)
        self.exporting = Exporting(window, session, preferences)
        self.list.export_wanted.connect(self.exporting.choose_runs)
        act.export.triggered.connect(lambda _checked=False: self.exporting.choose_shown())
        act.send_napari.triggered.connect(lambda _checked=False: self.exporting.send_shown(NAPARI))
        act.send_imagej.triggered.connect(lambda _checked=False: self.exporting.send_shown(IMAGEJ))
        act.enqueue.triggered.connect(lambda _checked=False: self._enqueue())
        act.show_running.triggered.connect(lambda _checked=False: session.show_running())
        self.queue.hold.triggered.connect(lambda _checked=False: self.show_queue())  # also from the menu
        self.volumes = Volumes(session, planner)
        self.notes = QueueNote(session.queue, self.show_queue), VolumeNote(self.volumes, act.volume)
        act.volume.triggered.connect(
            lambda _checked=False: show_volume_dialog(window, session, self.volumes, preferences)
        )
        act.save_preset.triggered.connect(lambda _checked=False: ask_for_preset(window, session))
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
        menus.run.addActions([act.show_running, *act.queueing, self.queue.hold, act.volume, act.save_preset])
        menus.run.addMenu(self.list.menu())

    def show_list(self) -> None:
        """Bring the list of runs."""
        self._docks.bring(self.list_dock)

    def show_queue(self) -> None:
        """Bring the panel of the queue."""
        self._docks.bring(self.queue_dock)

    def _enqueue(self) -> None:
        if self._session.runner.add_to_queue():
            self.show_queue()

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
            self.show_list()

    def _show_samples(self) -> None:
        """Mean, deviation, interval and error in the first four panes."""
        self._panes.compare_with(None)
        for at, source in enumerate(("estimate", "deviation", "interval_width", "difference")):
            if at < len(self._panes.panes):
                self._panes.panes[at].show_source(source)
            else:
                self._panes.add_pane(source)
