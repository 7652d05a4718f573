"""The open stack as a volume: three planes through one voxel, the crosshair, each there as soon as it is read.

The user chooses whether one slice is open or the volume. Pixels are those that the prior sees: in one window for all
slices, clipped there, as the picture of a single slice is.
"""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from padis_gui.core.images.image import Image, Pixels
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.runs.opened import prior_window
from padis_gui.core.runs.presets import VOLUME_PRIOR, resource
from padis_gui.core.settings.errors import PadisError
from padis_gui.core.volumes.request import common_window
from padis_gui.viewmodels.pictures.planes import Place, Plane, VoxelGrid
from padis_gui.viewmodels.session.loading import VolumeLoading
from padis_gui.viewmodels.state.background import Background, Check
from padis_gui.viewmodels.state.opened import OpenData, OpenPrior
from padis_gui.viewmodels.state.stack import StackReader, Went

_SOON_MS = 80  # what comes within is shown in the place of what was there, without a moment of nothing
_TELLS = 0.1  # seconds from one word on how far it is to the next
_KIND = "planes"

Window = tuple[float, float]


class VolumeView(QObject):
    """``changed`` comes when it is another volume, or none; ``moved`` when the crosshair is elsewhere, when a plane is
    there, or is no longer what is looked for; ``progressed`` when the planes on their way have come further.
    """

    changed = Signal()
    moved = Signal()
    progressed = Signal()
    _read = Signal(object, object, int)
    _went = Signal(object, object, object)

    def __init__(self, background: Background, data: OpenData, prior: OpenPrior) -> None:
        super().__init__(background)
        self._background, self._data, self._prior = background, data, prior
        self.on = False
        self.place = Place(0, 0, 0)
        self.window: Window | None = None  # of all slices; None until that is known
        self.robust_range: Window | None = None  # of the slice that was open
        self.image: Image | None = None  # all of it in memory, as a run takes it
        self._outline: Image | None = None
        self._loader = VolumeLoading(background)
        self._loader.progressed.connect(self.progressed)
        self.run_grid: VoxelGrid | None = None  # of the shown run, where that is of a volume
        self._reader: StackReader | None = None
        self._grid: VoxelGrid | None = None
        self._seen: dict[Plane, tuple[int, Pixels]] = {}
        self._on_way: dict[Plane, Went] = {}
        self._told = 0.0
        self._of_window: tuple[object, ...] = ()  # what the window is of, or will be
        self._away = QTimer(self, singleShot=True, interval=_SOON_MS)
        self._away.timeout.connect(self._drop_old)
        self._read.connect(self._take)
        self._went.connect(self._take_progress)
        data.changed.connect(self._follow)
        prior.changed.connect(self._follow_prior)

    # Whether it is there ----------------------------------------------------------------------------

    @property
    def why_not(self) -> str:
        """Why what is open cannot be seen as a volume, as a sentence; "" where it can."""
        image = self._data.image
        if image is None or image.pages < 2:
            return "A file with several slices is a volume, and a folder of them."
        if image.is_scan:
            return "A scan's rows are reconstructed one by one: only what comes of all of them is a volume."
        if image.measured is not None:
            return (
                "These pictures are measured, and their volume is not known: take them as images to see it."
            )
        return ""

    @property
    def grid(self) -> VoxelGrid | None:
        """The voxels of the open stack; None where it is no volume."""
        return self._grid

    def choose(self, volume: bool, pages: tuple[int, ...] = ()) -> None:
        """See the open stack as a volume from now on, through the slice that is open; or a slice of it alone.

        Of a volume only these ``pages`` from the first to the last of them, all where none are named.
        """
        image = self._data.image
        if volume and image is not None and not self.why_not:
            if not self.on or pages:
                chosen = range(pages[0], pages[-1] + 1) if pages else None
                self.on = True
                self._begin(image, chosen)
                self.changed.emit()
            return
        if volume or not self.on:
            return
        page = self.pages[self.place.slice]
        self.leave()
        if image is not None and image.page != page:
            self._background.spawn(self._data.open_page(page))  # the one that was looked at

    @property
    def pages(self) -> range:
        """Which pages of the file, from 0, are the volume's slices."""
        return range(0) if self._reader is None else self._reader.pages

    def take_slices(self, first: int, last: int) -> None:
        """Only these pages, from 0 and the last one included, are the volume from now on."""
        image = self._data.image
        if not self.on or image is None:
            return
        first = min(max(first, 0), image.pages - 1)
        chosen = range(first, min(max(last, first), image.pages - 1) + 1)
        if chosen != self.pages:
            page = self.pages[self.place.slice]
            self._begin(image, chosen)
            self.move(Place(min(max(page - first, 0), len(chosen) - 1), self.place.row, self.place.column))
            self.changed.emit()

    def leave(self) -> None:
        """See a slice, the one that is open, from now on."""
        if self.on:
            self.on = False
            self._forget()
            self.changed.emit()

    def _follow(self) -> None:
        """Something is open: another reading of the same stack is another volume, another file a slice at first."""
        image, path, reader = self._data.image, self._data.path, self._reader
        if not self.on or reader is None:
            return
        if image is None or path != reader.path or self.why_not:
            self.leave()
        elif image is not reader.example:
            same = image.reading == reader.example.reading
            if same:  # another page of it was opened
                reader.example = image
                self.move(Place(image.page - self.pages.start, self.place.row, self.place.column))
            else:
                self._begin(image, self.pages if len(self.pages) < reader.example.pages else None)
            self.changed.emit()

    def _begin(self, image: Image, pages: range | None = None) -> None:
        assert self._data.path is not None, "an open image has a file"
        if pages is not None and pages.stop > image.pages:
            pages = None
        slices = range(image.pages) if pages is None else pages
        before, size = self._grid, (len(slices), *image.shape)
        self._forget()
        self._grid = grid = VoxelGrid(
            shape=size, spacing=image.spacing, slice_spacing=image.slice_spacing
        )  # fmt: skip
        place = self.place if before is not None and before.shape == size else grid.middle
        self.place = grid.inside(Place(image.page - slices.start, place.row, place.column))
        self._reader = StackReader(self._data.path, image, slices)
        self._outline = replace(
            image, pixels=np.broadcast_to(np.float32(0), size), page=slices.start, slices=tuple(slices),
        )  # fmt: skip
        self._find_window()

    def close(self) -> None:
        """Let go of the file; for shutting down."""
        self.on = False
        self._forget()

    def _forget(self) -> None:
        self._away.stop()
        self._background.plane_requests.forget(_KIND)
        if (reader := self._reader) is not None:
            reader.want({})
            self._background.submit_planes(reader.close)
        self._loader.cancel()
        self.image = self._outline = None
        self._reader = self._grid = self.window = None
        self._of_window = ()
        self._seen, self._on_way = {}, {}

    # Where the planes are ---------------------------------------------------------------------------

    def show_grid(self, grid: VoxelGrid | None) -> None:
        """The shown run is of a volume of these voxels; None where it is of none, or nothing is shown."""
        if grid != self.run_grid:
            self.run_grid = grid
            if grid is not None and self._grid is None:
                inside = grid.inside(self.place)
                self.place = inside if inside == self.place and inside != Place(0, 0, 0) else grid.middle

    def move(self, place: Place) -> None:
        """Put the crosshair on a voxel, or the nearest one there is."""
        grid = self._grid or self.run_grid
        if grid is None:
            return
        place = grid.inside(place)
        if place != self.place:
            self.place = place
            self._look()
            self.moved.emit()

    def step(self, plane: Plane, by: int) -> None:
        """Go on by so many planes across one."""
        self.move(self.place.moved(plane, self.place.across(plane) + by))

    def picture(self, plane: Plane) -> Pixels | None:
        """What there is to see of the open volume in a plane, in its unit and clipped to its window; None until it came."""
        found = self._seen.get(plane)
        return None if found is None else found[1]

    def at(self, plane: Plane) -> int | None:
        """Which plane, from 0, :meth:`picture` is of: while another is read, that may be the one before."""
        found = self._seen.get(plane)
        return None if found is None else found[0]

    @property
    def reading(self) -> bool:
        """Whether a plane at the crosshair is still to come."""
        return self._grid is not None and any(self.at(p) != self.place.across(p) for p in Plane)

    def text(self, plane: Plane) -> str:
        """What to say while there is no picture."""
        went = self._on_way.get(plane)
        share = f", {went.share:.0%}" if went is not None and went.at == self.place.across(plane) else ""
        return f"Reading {plane.along} {self.place.across(plane) + 1}{share}…"

    @property
    def trouble(self) -> str:
        """Which slices could not be read, in a sentence; "" where all could."""
        reader = self._reader
        if reader is None or not reader.missing:
            return ""
        page, why = min(reader.missing.items())
        count = len(reader.missing)
        more = f" and {count - 1} more" if count > 1 else ""
        return f"Slice {page + 1}{more} could not be read: {why}"

    # All of it ----------------------------------------------------------------------------------------

    @property
    def subject(self) -> Image | None:
        """The volume as a run takes it; before it is read, one without its pixels: shape, spacing, unit and window."""
        if self.image is not None:
            return self.image
        if self._outline is not None and self.window is not None and self._outline.window != self.window:
            self._outline = self._outline.with_window(self.window)
        return self._outline

    @property
    def loading(self) -> float | None:
        """The share of it that is read for a run, 0 to 1; None while it is not being read."""
        return self._loader.share

    def load(self) -> Coroutine[Any, Any, bool]:
        """Read all of the volume for a run; False where that cannot be, which is said, or something else is wanted.

        It is being read from the call on.
        """
        reader, prior, path = self._reader, self._prior.loaded, self._data.path
        if self.image is not None or reader is None or prior is None or path is None:
            return self._load(None, reader, prior)
        future = self._loader.begin(reader, prior, path)
        self.changed.emit()
        return self._load(future, reader, prior)

    async def _load(
        self,
        future: "asyncio.Future[Image | None] | None",
        reader: StackReader | None,
        prior: PatchPrior | None,
    ) -> bool:
        if future is None:
            return self.image is not None
        image = await future
        if image is None or reader is None or prior is None or self._reader is not reader:
            return False
        self.image, self.window = image, prior_window(image, prior)
        reader.adopt(image.pixels)
        self._seen = {}
        self._look()
        self.changed.emit()
        return True

    def cancel_loading(self) -> None:
        """Give up reading all of it."""
        if self._loader.cancel():
            self.changed.emit()

    # Reading ----------------------------------------------------------------------------------------

    def _find_window(self) -> None:
        """One window for all slices: the prior's where that is used; else some of them are looked at."""
        image, path, prior = self._data.image, self._data.path, self._prior.loaded
        if image is None or path is None or self._reader is None:
            return
        of = (self._reader, prior)
        if of == self._of_window:
            return
        self._of_window = of

        def work(check: Check) -> tuple[Window, Window]:
            check()
            return window_of(path, image, prior), image.robust_range()

        def done(found: Any) -> None:
            if self._of_window is of and self._reader is of[0]:
                known = isinstance(found, tuple)
                self.window, self.robust_range = found if known else (image.window, image.window)
                self._seen = {}
                self._look()
                self.changed.emit()

        self._background.plane_requests.ask("window of the volume", work, done)

    def _follow_prior(self) -> None:
        if self.on:
            self.image = None  # its window may be another one
            self._find_window()

    def _look(self) -> None:
        """Show what is in memory of the planes at the crosshair, and have the others read."""
        reader = self._reader
        if reader is None or self.window is None:
            return
        wanted = {plane: self.place.across(plane) for plane in Plane}
        for plane, at in wanted.items():
            if self.at(plane) != at and (found := reader.at_once(plane, at)) is not None:
                self._seen[plane] = at, np.clip(found, *self.window)
        reader.want(wanted)
        if self.reading:
            self._ask(reader)
            if not self._away.isActive():
                self._away.start()
        else:
            self._away.stop()

    def _ask(self, reader: StackReader) -> None:
        def work(check: Check) -> None:
            def came(plane: Plane, at: int) -> None:
                self._read.emit(reader, plane, at)

            def went(plane: Plane, how: Went) -> None:
                now = time.monotonic()
                if now - self._told > _TELLS:
                    self._told = now
                    self._went.emit(reader, plane, how)

            reader.read(check, came, went)

        self._background.plane_requests.ask(_KIND, work, lambda _found: None)

    def _take(self, reader: StackReader, plane: Plane, at: int) -> None:
        if reader is not self._reader or self.window is None:
            return
        if self.place.across(plane) == at != self.at(plane):
            found = reader.at_once(plane, at)
            if found is not None:
                self._seen[plane] = at, np.clip(found, *self.window)
                self._on_way.pop(plane, None)
                if not self.reading:
                    self._away.stop()
                self.moved.emit()

    def _take_progress(self, reader: StackReader, plane: Plane, how: Went) -> None:
        if reader is self._reader:
            self._on_way[plane] = how
            self.progressed.emit()

    def _drop_old(self) -> None:
        """Planes that are elsewhere by now go: what comes takes its time."""
        old = [plane for plane in Plane if self.at(plane) not in (None, self.place.across(plane))]
        for plane in old:
            del self._seen[plane]
        if old:
            self.moved.emit()


def window_of(path: Path, image: Image, prior: PatchPrior | None) -> Window:
    """The intensities that are 0 and 1 in all slices of the stack that ``image`` is one of."""
    if prior is None:
        return image.window
    try:
        return common_window(path, image, prior)
    except PadisError:  # of a slice that cannot be read: it is said where it is shown
        return image.window


def volume_prior() -> Path | None:
    """The bundled prior across slices; None where it is not there."""
    with suppress(PadisError):
        return resource(VOLUME_PRIOR)
    return None
