"""The docks around a page: added by the window, moved by the user, saved, restored and reset."""

from dataclasses import dataclass

from PySide6.QtCore import QByteArray, QObject, QSize, Qt, QTimer
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QDockWidget, QMainWindow, QTabBar, QTabWidget, QWidget

from padis_gui.gui.kit.focus import give_keyboard

# Raise it when a saved arrangement of an earlier version would not make sense any more
LAYOUT_VERSION = 1


@dataclass(frozen=True, slots=True)
class _Room:
    """px that the docks of an area take across at first: a share of the page's, between the least and the most.

    A panel is at least ``narrowest`` px wide, whatever it holds: so the window's least width is the same with all
    panels as with none, and pictures keep the most room.
    """

    orientation: Qt.Orientation
    share: float
    least: int
    most: int
    narrowest: int

    def of(self, page: QSize) -> int:
        across = page.width() if self.orientation is Qt.Orientation.Horizontal else page.height()
        return round(min(max(self.share * across, self.least), self.most))


_ROOM = {
    Qt.DockWidgetArea.LeftDockWidgetArea: _Room(Qt.Orientation.Horizontal, 0.17, 320, 400, 310),
    Qt.DockWidgetArea.RightDockWidgetArea: _Room(Qt.Orientation.Horizontal, 0.19, 292, 560, 250),
    Qt.DockWidgetArea.BottomDockWidgetArea: _Room(Qt.Orientation.Vertical, 0.18, 136, 300, 250),
}
_LOWEST = 60  # px that a panel at a side is high at least
_TITLE = 26  # px of a dock's title


@dataclass(frozen=True, slots=True)
class _Placed:
    dock: QDockWidget
    area: Qt.DockWidgetArea
    shown: bool
    toggle: QAction


class Docks(QObject):
    """Docks of one main window. Those of one area are tabs, the first one in front, until the user moves them."""

    def __init__(self, host: QMainWindow) -> None:
        super().__init__(host)
        self._host = host
        self._placed: list[_Placed] = []
        host.setDockOptions(QMainWindow.DockOption.AllowTabbedDocks | QMainWindow.DockOption.AllowNestedDocks)
        # upright tabs at the sides: many fit beside a narrow panel without being cut
        for area, side in (
            (Qt.DockWidgetArea.LeftDockWidgetArea, QTabWidget.TabPosition.West),
            (Qt.DockWidgetArea.RightDockWidgetArea, QTabWidget.TabPosition.East),
            (Qt.DockWidgetArea.TopDockWidgetArea, QTabWidget.TabPosition.North),
            (Qt.DockWidgetArea.BottomDockWidgetArea, QTabWidget.TabPosition.North),
        ):
            host.setTabPosition(area, side)
        for corner, area in (
            (Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea),
            (Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea),
        ):
            host.setCorner(corner, area)

    def add(self, title: str, widget: QWidget, area: Qt.DockWidgetArea, *, shown: bool = True) -> QDockWidget:
        """A dock around ``widget`` in ``area``, in front where it is the first there; hidden unless ``shown``."""
        dock = QDockWidget(title, self._host)
        dock.setObjectName(title.lower())
        dock.setAccessibleName(title)
        dock.setWidget(widget)
        room = _ROOM[area]
        across = room.orientation is Qt.Orientation.Vertical
        lowest = room.least - _TITLE if across else _LOWEST  # below the pictures a list keeps a row or two
        widget.setMinimumSize(room.narrowest, lowest)
        # Qt's own, in the menu of a right click on a title, shows and hides only
        dock.toggleViewAction().setToolTip(f"Show or hide the panel {title}")
        toggle = QAction(_lettered(title, {each.text() for each in self.toggles}), dock, checkable=True)
        toggle.setToolTip(f"Bring the panel {title} to the front, with the keyboard in it; or hide it")
        toggle.triggered.connect(lambda _checked=False: self._bring_or_hide(dock))
        dock.visibilityChanged.connect(toggle.setChecked)
        dock.visibilityChanged.connect(lambda seen: self._follow(dock, seen))
        self._placed.append(_Placed(dock, area, shown, toggle))
        self.reset()
        return dock

    @property
    def all(self) -> list[QDockWidget]:
        """Every dock, in the order they were added."""
        return [placed.dock for placed in self._placed]

    @property
    def toggles(self) -> list[QAction]:
        """For each dock the action that brings it to the front, or hides it where it is; checked where it is."""
        return [placed.toggle for placed in self._placed]

    def _bring_or_hide(self, dock: QDockWidget) -> None:
        """One that lies behind another tab is no more seen than one that is hidden."""
        if dock.isVisible() and not dock.widget().isHidden():
            dock.hide()
            return
        self.bring(dock)
        QTimer.singleShot(0, self, lambda: give_keyboard(dock.widget()))  # after a menu has given it back

    def bring(self, dock: QDockWidget) -> None:
        """Show a dock, in front of those that share its place; the first of its area gets its share of the page."""
        area = self._host.dockWidgetArea(dock)
        alone = not any(
            other is not dock and not other.isHidden() and self._host.dockWidgetArea(other) is area
            for other in self.all
        )
        new = dock.isHidden()
        dock.show()
        dock.raise_()
        room = _ROOM.get(area)
        if new and alone and room is not None and not dock.isFloating():
            self._host.resizeDocks([dock], [room.of(self._host.size())], room.orientation)

    def reset(self) -> None:
        """Every dock back to where it was at first."""
        first: dict[Qt.DockWidgetArea, QDockWidget] = {}
        for placed in self._placed:
            placed.dock.setFloating(False)
            self._host.removeDockWidget(
                placed.dock
            )  # all of them stacked would be taller than a small screen
        for placed in self._placed:
            self._host.addDockWidget(placed.area, placed.dock)
            if placed.area in first:
                self._host.tabifyDockWidget(first[placed.area], placed.dock)
            first.setdefault(placed.area, placed.dock)
        for placed in self._placed:
            placed.dock.setVisible(placed.shown)
        for dock in first.values():
            dock.raise_()
        self.share_room()

    def share_room(self) -> None:
        """Give the docks of each area the room that suits the page's present size; pictures get the rest."""
        for area, room in _ROOM.items():
            docks = [p.dock for p in self._placed if self._host.dockWidgetArea(p.dock) is area]
            shown = [dock for dock in docks if not dock.isHidden() and not dock.isFloating()]
            if shown:
                self._host.resizeDocks(shown[:1], [room.of(self._host.size())], room.orientation)

    def hide_floating(self) -> None:
        """Hide the docks that are windows of their own: they would outlast the window that is hidden."""
        for dock in self.all:
            if dock.isFloating():
                dock.hide()

    def seen(self, *areas: Qt.DockWidgetArea) -> list[QWidget]:
        """The panels of these areas that lie in front now."""
        docks = [d for d in self.all if not d.isFloating() and self._host.dockWidgetArea(d) in areas]
        return [dock.widget() for dock in docks if dock.isVisible() and not dock.visibleRegion().isEmpty()]

    def _follow(self, dock: QDockWidget, seen: bool) -> None:
        """What lies behind another tab is hidden, so that neither Tab nor the eye is led to it."""
        dock.widget().setVisible(seen)
        for bar in self._host.findChildren(QTabBar):
            # Qt leaves the tabs of docks to the mouse, and keeps a bar for areas that have none
            several = bar.count() > 1
            bar.setFocusPolicy(Qt.FocusPolicy.TabFocus if several else Qt.FocusPolicy.NoFocus)

    def save(self) -> bytes:
        """Where everything is now."""
        return bytes(self._host.saveState(LAYOUT_VERSION).data())

    def restore(self, state: bytes) -> bool:
        """Put everything where :meth:`save` found it; a state that cannot be used resets the layout, and is False."""
        if self._host.restoreState(QByteArray(state), LAYOUT_VERSION):
            return True
        self.reset()
        return False


def _lettered(title: str, others: set[str]) -> str:
    """A title for a menu, with the first of its letters that chooses none of the others."""
    taken = {text[text.index("&") + 1].lower() for text in others if "&" in text}
    at = next((n for n, letter in enumerate(title) if letter.isalpha() and letter.lower() not in taken), None)
    return title if at is None else f"{title[:at]}&{title[at:]}"
