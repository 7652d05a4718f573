"""The pictures of a run, painted from the latest iterate by a timer.

What panes show instead of a truth where there is none: a real measurement is open.

Paints what the session has: the latest frame from a timer, the curves, the problem's pictures, the levels.
"""

import math
from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtWidgets import QComboBox

from padis_gui.core.images.image import Pixels
from padis_gui.core.runs.control import RunState
from padis_gui.gui.panes.canvas import Group
from padis_gui.gui.panes.image_pane import ImagePane
from padis_gui.gui.panes.levels import LevelsChoice
from padis_gui.gui.panes.pane_grid import PaneGrid
from padis_gui.gui.runs.curves import Curves
from padis_gui.gui.runs.transport import Transport
from padis_gui.viewmodels.laboratory.laboratory import Overlay
from padis_gui.viewmodels.laboratory.seam_maps import EMPTY_TEXTS
from padis_gui.viewmodels.pictures.frames import History, IteratePictures
from padis_gui.viewmodels.pictures.planes import Plane
from padis_gui.viewmodels.pictures.sources import Lattice, Scale
from padis_gui.viewmodels.runs.run import Progress
from padis_gui.viewmodels.session.following import DisplayCost
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.state.preferences import Options

_INSTEAD = {"truth": "measurement", "difference": "misfit"}


class TruthSubstitutes(QObject):
    """Exchanges the panes' sources when a measurement is opened, and puts back those left alone when an image is."""

    def __init__(self, session: Session, panes: PaneGrid) -> None:
        super().__init__(panes)
        self._session, self._panes = session, panes
        self._measured = False
        self._exchanged: list[tuple[ImagePane, str]] = []
        session.data.changed.connect(self._follow)

    def _follow(self) -> None:
        image = self._session.data.image
        measured = image is not None and image.measured is not None
        if measured == self._measured:
            return
        self._measured = measured
        if measured:
            self._exchanged = [(pane, pane.source) for pane in self._panes.panes if pane.source in _INSTEAD]
            for pane, key in self._exchanged:
                pane.show_source(_INSTEAD[key])
            return
        for pane, key in self._exchanged:
            if pane in self._panes.panes and pane.source == _INSTEAD[key]:
                pane.show_source(key)
        self._exchanged = []


# Painting takes its time from the solver's cores: at most this share of the clock, whatever a frame costs here
DISPLAY_SHARE = 0.03
FASTEST_MS, SLOWEST_MS = 33, 3000
CURVE_EVERY_FRAMES = 3
_WITHIN_MS = 500  # between two looks at how far a long step is
_UNITLESS = (Scale.MEASURED, Scale.MISFIT)
_NO_CURSOR = "Point at a pane to read its values"


class RunDisplay(QObject):
    """Moves the session's pictures to the viewers; ``pointed`` carries the text of the pixel under the cursor."""

    pointed = Signal(str)
    stepped = Signal()  # with every step that is said, which goes with the painted iterate
    progressed = Signal()  # at the cadence of the curves while a run goes on

    def __init__(
        self, session: Session, panes: PaneGrid, curves: Curves, transport: Transport, levels: QComboBox
    ) -> None:
        super().__init__(panes)
        self._session, self._panes, self._curves = session, panes, curves
        self._transport = transport
        self.levels = LevelsChoice(session, panes.picture_set, levels)
        self._painted = 0  # since the run began
        self._cost = DisplayCost(session)
        self._options = Options()
        self._size: tuple[int, ...] | None = None  # of the images that panes were last fitted to
        self.frame: IteratePictures | None = None
        self._seen: tuple[History, int | None] | None = None  # history and step that the painted frame is of
        self._cursor = -1, -1  # (row, column) under the mouse, negative outside
        self.overlay_of: Callable[[IteratePictures | None], Overlay | None] = _plain_overlay
        self.timer = QTimer(self, singleShot=True, interval=FASTEST_MS)
        self.timer.timeout.connect(self._paint_latest)
        self._within = QTimer(self, interval=_WITHIN_MS)
        self._within.timeout.connect(self._show_within)
        session.run.dirty.connect(self._ask_for_paint)
        session.run.changed.connect(self._show_run)
        session.screen.changed.connect(self._show_screen)
        session.screen.progressed.connect(self._show_empty_texts)
        session.screen.moved.connect(self._show_planes)
        panes.picture_set.wanted.connect(lambda _key: session.screen.take_offer())
        curves.step_chosen.connect(session.shown.go_to)
        panes.hovered.connect(self._point)
        panes.picture_set.changed.connect(self._point_again)
        self._show_screen()

    def set_cadence(self, options: Options) -> None:
        """How often iterates are painted from now on."""
        self._options = options
        steps = {"off": 0, "steps": options.every_steps}
        self._session.run.frame_every = steps.get(options.cadence, 1)
        self._set_interval(0.0)

    def _set_interval(self, taken: float) -> None:
        """Wait with the next frame, after this one took so many seconds; whatever else follows the run waits too."""
        self._session.pace_ms = self._next_interval(taken)
        self.timer.setInterval(self._session.pace_ms)

    def _next_interval(self, taken: float) -> int:
        if self._options.cadence == "milliseconds":
            return self._options.every_ms
        if self._options.cadence == "steps":
            return FASTEST_MS
        return min(max(round(1000 * taken / DISPLAY_SHARE), FASTEST_MS), SLOWEST_MS)

    @property
    def share(self) -> float | None:
        """What the display takes of the run's time, see :class:`DisplayCost`; None at first."""
        return self._cost.share

    def _ask_for_paint(self) -> None:
        if not self.timer.isActive():
            self.timer.start()

    def _paint_latest(self) -> None:
        """Paint the newest frame, if one came, and say its step; the curves come with the first and every third.

        Where the cadence is automatic, the next frame waits until all that was done for the last one is a small share
        of the time.
        """
        self._set_interval(self._cost.lap())
        frame = self._session.run.take_frame()
        if frame is not None and self._follows_run:
            self._paint(frame)
        if not self._session.run.points():  # only the preparation has gone on
            self._show_step()
            return
        curves_too = self._painted % CURVE_EVERY_FRAMES == 0
        self._painted += 1
        if curves_too or self._session.run.snapshot().state is RunState.PAUSED:
            self._show_progress()
        else:
            self._show_step()

    @property
    def _follows_run(self) -> bool:
        """Whether the panes show whatever iterate comes; else the user looks at an earlier one, or another run."""
        shown = self._session.shown
        return shown.live and shown.history is self._session.run.history

    def _paint(self, frame: IteratePictures | None) -> None:
        self._seen = self._session.shown.history, self._session.shown.step
        self.frame = frame = self._session.screen.completed(frame)
        self._panes.show_frame(self._session.screen.run_pictures_of(frame), self.overlay_of(frame))

    def redraw_overlay(self) -> None:
        """Draw the tiling of the painted frame, as it is to be seen now."""
        self._panes.set_overlay(self.overlay_of(self.frame))

    def _show_screen(self) -> None:
        """Something else is open, chosen, prepared or shown: everything that is seen follows."""
        session, panes = self._session, self._panes
        screen = session.screen
        subject = screen.subject
        image, physics, pictures = subject.image, subject.physics, screen.data_pictures()
        panes.set_pictures(pictures)
        described = ("", None, (0.0, 1.0)) if image is None else (image.unit, image.spacing, image.window)
        grid = subject.grid
        others = {} if grid is None else {p.lattice: grid.pitch(p) for p in (Plane.CORONAL, Plane.SAGITTAL)}
        panes.picture_set.describe(*described, others)
        panes.picture_set.adapt(physics.measurement, physics.baseline, pictorial=physics.pictorial)
        # of the run under way the timer paints the next one
        painted = self._follows_run and self._seen == (session.shown.history, None)
        self._paint(self.frame if painted else session.shown.frame())  # among other pictures, perhaps
        psnr = math.nan if subject.pictures is None else subject.pictures.baseline_psnr
        self._curves.set_baseline(psnr, physics.baseline)
        self._show_empty_texts()
        self._show_step()
        self._show_curves()
        self._fit_to(panes.pixels("truth"), panes.pixels("baseline"))

    def _show_planes(self) -> None:
        """Other planes of the same volume, and of the same iterate."""
        session = self._session
        self._panes.set_pictures(session.screen.data_pictures())
        painted = self._follows_run and self._seen == (session.shown.history, None)
        self._paint(self.frame if painted else session.shown.frame())
        self._show_empty_texts()
        self._show_captions()

    def _fit_to(self, *pictures: Pixels | None) -> None:
        """Pictures of another size than those before are shown whole; what is only made anew keeps its view."""
        size = next((pixels.shape[:2] for pixels in pictures if pixels is not None), None)
        if size is not None and size != self._size:
            self._size = size
            self._panes.fit()

    def _show_step(self) -> None:
        session = self._session
        theirs = session.run.active or session.shown.history is session.run.history
        snapshot = session.run.snapshot() if theirs else Progress()
        self._transport.show_snapshot(snapshot, self.share)
        if snapshot.preparing is not None:
            self._show_empty_texts()
        self._show_captions()
        self.stepped.emit()

    def _show_within(self) -> None:
        """How far the step in hand is, where steps take long."""
        snapshot = self._session.run.snapshot()
        if snapshot.within is not None:
            self._transport.show_snapshot(snapshot, self.share)

    def _show_progress(self) -> None:
        self._show_step()
        self._show_curves()
        self.progressed.emit()

    def _show_curves(self) -> None:
        shown = self._session.shown
        self._curves.set_points(shown.history.points, shown.history.total)
        self._curves.set_adaptation(shown.history.adaptation)
        self._curves.set_marker(shown.step)

    def _show_captions(self) -> None:
        self._panes.set_captions(self._session.screen.captions(self.frame))

    def _show_empty_texts(self) -> None:
        screen = self._session.screen
        self._panes.picture_set.set_empty_texts(screen.empty_texts() | EMPTY_TEXTS, screen.offers())

    def _show_run(self) -> None:
        state = self._session.run.snapshot().state
        if state is RunState.PREPARING:
            self._cost.begin()
            self._painted = 0
            self._set_interval(0.0)  # the first frame comes at once
        self._within.start() if state.active and state is not RunState.PAUSED else self._within.stop()
        if not state.active or state is RunState.PAUSED:
            self._paint_latest()  # whoever has stopped it wants to see where it stopped
        self._show_progress()

    def _point(self, row: int, column: int) -> None:
        """Say in words what is under the cursor: place, values, tile, step."""
        self._cursor = row, column
        image, group = self._session.screen.subject.image, self._panes.links.group
        values = self._panes.values_at(row, column) if row >= 0 else []
        if group is None or not values:
            self.pointed.emit(_NO_CURSOR)
            return
        on_image = group[0] == Lattice.IMAGE.value
        parts = [f"x {column}, y {row} px" if on_image else f"column {column + 1}, row {row + 1}"]
        if (place := self._place_in_volume(group, row, column)) is not None:
            parts = [place]
        elif on_image and image is not None and image.spacing and image.shape == group[1:]:
            parts[0] += f" ({column * image.spacing[1]:.1f}, {row * image.spacing[0]:.1f} mm)"
        unit = f" {image.unit}" if image is not None and image.unit else ""
        for source, text in values:
            parts.append(
                f"{source.short} {text}{'' if source.counted or source.scale in _UNITLESS else unit}"
            )
        frame = self.frame
        if on_image and frame is not None:
            if frame.partition is not None and (found := frame.partition.tile_at(row, column)) is not None:
                tiles = len(frame.partition.boxes)
                parts.append(f"tile {found[0] + 1} of {tiles}, {found[1]} px to the nearest seam")
            parts.append(f"{frame.step_text}, {frame.noise_text}")
        self.pointed.emit("   ".join(parts))

    def _place_in_volume(self, group: Group, row: int, column: int) -> str | None:
        """The voxel under the cursor in words; None where no volume is shown there."""
        grid, place = self._session.screen.subject.grid, self._session.volume.place
        if grid is None:
            return None
        for plane in Plane:
            if group == (plane.lattice.value, *grid.sides(plane)):
                return grid.in_words(grid.place(plane, row, column, place))
        return None

    def _point_again(self) -> None:
        """Other pictures have come under a mouse that rests: their values are said, and those that went no more."""
        if self._cursor[0] >= 0:
            self._point(*self._cursor)


def _plain_overlay(frame: IteratePictures | None) -> Overlay | None:
    return None if frame is None or frame.partition is None else Overlay(partition=frame.partition)
