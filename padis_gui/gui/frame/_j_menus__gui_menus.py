"""The menu bar: every action of the window is in one of its menus, so all are reached by keyboard."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMainWindow, QMenu

from padis_gui.gui.dialogs._j_opening__gui_opening import Opening
from padis_gui.gui.frame.docks import Docks
from padis_gui.gui.kit._j_actions__gui_actions import Actions
from padis_gui.viewmodels.state._j_preferences__viewmodels_preferences import FileKind, Options, Preferences


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
        self.view.addActions([act.next_panel, act.reset_layout])
        self.view.addSeparator()
        self._schemes(window, preferences)
        self.help.addActions([act.shortcuts, act.report, act.about])

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
        self.file.addActions([act.export, act.restore])
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
