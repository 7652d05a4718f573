"""A volume in the panes: axial, sagittal and coronal, one crosshair in all of them, and a strip that says where it is."""

from typing import Any

from PySide6.QtCore import QObject, QSignalBlocker
from PySide6.QtWidgets import QLabel, QWidget

from padis_gui.gui.kit.forms import WholeBox
from padis_gui.gui.kit.widgets import ElidedLabel, row
from padis_gui.gui.panes.canvas import Canvas, Group
from padis_gui.gui.panes.pane_grid import PaneGrid
from padis_gui.viewmodels.pictures.planes import Plane, VoxelGrid, plane_keys, plane_of, plane_sources
from padis_gui.viewmodels.pictures.volumes import groups_in
from padis_gui.viewmodels.session.session import Session

_PLANES = (Plane.AXIAL, Plane.SAGITTAL, Plane.CORONAL)
_BEFORE_RUN = tuple(plane.key("truth") for plane in _PLANES)
_OF_RUN = (*(plane.key("estimate") for plane in _PLANES), *_BEFORE_RUN)


class VolumePanes(QObject):
    """Shows the planes of the volume that the screen is of, and the panes that there were when it no longer is of one.

    What the user changes of the panes is there again the next time, of volumes and of slices by themselves.
    """

    def __init__(self, session: Session, panes: PaneGrid) -> None:
        super().__init__(panes)
        self._session, self._panes = session, panes
        self._grid: VoxelGrid | None = None
        # the sources of the panes that were there the last time, for volumes (True) and slices
        self._kept: dict[bool, list[str]] = {True: list(_BEFORE_RUN)}
        panes.act.crosshair.setEnabled(False)
        panes.links.placed.connect(self._mark)
        panes.links.stepped.connect(self._step)
        panes.tools.located.connect(self._locate)
        session.screen.changed.connect(self._follow)
        session.screen.moved.connect(self._mark_all)
        self._groups_shown = True
        panes.picture_set.changed.connect(lambda _keys: self._draw_groups())
        panes.arranged.connect(self._draw_groups)
        self._follow()

    @property
    def on(self) -> bool:
        """Whether planes of a volume are shown."""
        return self._grid is not None

    def _follow(self) -> None:
        grid = self._session.screen.subject.grid
        if (grid is None) != (self._grid is None):
            self._grid = grid
            self._enter() if grid is not None else self._leave()
        self._grid = self._panes.links.grid = grid
        self._mark_all()
        sources = tuple(pane.source for pane in self._panes.panes)
        if self.on and self._session.shown.anything and sources == _BEFORE_RUN:
            self._panes.board.show_sources(_OF_RUN)
        self._draw_groups()

    def show_groups(self, shown: bool) -> None:
        """Switch the borders of groups of slices on or off, as the tiling."""
        self._groups_shown = shown
        self._draw_groups()

    def _draw_groups(self) -> None:
        """Of a prior across slices: where its groups meet, across the coronal and the sagittal plane of what it gives."""
        frame = self._session.shown.frame() if self.on and self._groups_shown else None
        groups = () if frame is None else groups_in(frame.partition)
        for pane in self._panes.panes:
            source, plane = plane_of(pane.source)
            tiled = plane is not Plane.AXIAL and self._panes.picture_set.sources[source].tiled
            pane.canvas.crosshair.draw_borders(groups if tiled else ())

    def _enter(self) -> None:
        sources = self._panes.picture_set.sources
        self._panes.picture_set.offer_all(plane_sources({source.key: source for source in sources}))
        self._exchange(volume=True)
        act = self._panes.act
        act.crosshair.setEnabled(True)
        act.crosshair.trigger()

    def _leave(self) -> None:
        self._exchange(volume=False)
        self._panes.picture_set.withdraw_all([*plane_keys(Plane.CORONAL), *plane_keys(Plane.SAGITTAL)])
        act = self._panes.act
        if act.crosshair.isChecked():
            act.move.trigger()
        act.crosshair.setEnabled(False)

    def _exchange(self, *, volume: bool) -> None:
        """The panes that were there the last time in the place of those that are."""
        panes = self._panes
        self._kept[not volume] = [pane.source for pane in panes.panes]
        wanted = [key for key in self._kept[volume] if key in panes.picture_set.sources]
        if wanted:
            panes.board.show_sources(wanted)

    def arrangement(self, state: dict[str, Any]) -> dict[str, Any]:
        """How the panes are arranged, for the next start of the program: what a slice is shown in."""
        if not self.on:
            return state
        shown = [{"source": key, "linked": True, "own_colours": None} for key in self._kept[False]]
        return state | {"panes": shown, "active": 0, "maximised": False, "tool": "move"}

    # The crosshair --------------------------------------------------------------------------------

    def _plane(self, group: Group | None) -> Plane | None:
        """Which plane of the volume these pixels are."""
        grid = self._grid
        if grid is None or group is None:
            return None
        found = (plane for plane in Plane if group == (plane.lattice.value, *grid.sides(plane)))
        return next(found, None)

    def _mark_all(self) -> None:
        for canvas in self._panes.links.canvases:
            self._mark(canvas)

    def _mark(self, canvas: Canvas) -> None:
        plane, grid = self._plane(canvas.group), self._grid
        if plane is None or grid is None:
            canvas.crosshair.mark(None, (0, 0))
        else:
            canvas.crosshair.mark(grid.pixel(self._session.volume.place, plane), grid.sides(plane))

    def _locate(self, group: Group, row: int, column: int) -> None:
        plane, volume = self._plane(group), self._session.volume
        if plane is not None and self._grid is not None:
            volume.move(self._grid.place(plane, row, column, volume.place))

    def _step(self, group: Group, by: int) -> None:
        plane = self._plane(group)
        if plane is not None:
            self._session.volume.step(plane, by)


class PlaceBar(QWidget):
    """Where the crosshair is, in numbers that can be typed, from 1, and in mm; seen while a volume is."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        layout = row(self, spacing=4, margins=(8, 3, 8, 1))
        self.boxes: dict[Plane, WholeBox] = {}
        for plane in (Plane.SAGITTAL, Plane.CORONAL, Plane.AXIAL):
            box = self.boxes[plane] = WholeBox(1, 1)
            name = plane.along.capitalize()
            box.setAccessibleName(f"{name} of the crosshair")
            box.setToolTip(f"The {plane.value} plane that is shown: which {plane.along}, from 1")
            box.valueChanged.connect(lambda value, plane=plane: self._go(plane, value))
            label = QLabel(name)
            label.setBuddy(box)
            layout.addWidget(label)
            layout.addWidget(box)
            layout.addSpacing(4)
        self.says = ElidedLabel(muted=True)
        layout.addWidget(self.says, 1)
        session.screen.changed.connect(self.refresh)
        session.screen.progressed.connect(self.refresh)
        session.screen.moved.connect(self.refresh)
        self.refresh()

    def _go(self, plane: Plane, value: int) -> None:
        volume = self._session.volume
        volume.move(volume.place.moved(plane, value - 1))

    def refresh(self) -> None:
        """Show where it is."""
        grid, volume = self._session.screen.subject.grid, self._session.volume
        self.setVisible(grid is not None)
        if grid is None:
            return
        for plane, box in self.boxes.items():
            with QSignalBlocker(box):
                box.setRange(1, grid.shape[plane.axis])
                box.setSuffix(f" of {grid.shape[plane.axis]}")
                box.setValue(volume.place.across(plane) + 1)
        said = [grid.in_mm(volume.place)]
        if volume.reading:
            said.append("reading…")
        said.append(volume.trouble)
        self.says.setText("   ".join(text for text in said if text))
