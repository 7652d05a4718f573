"""The law "what is on the screen is what is open", asked of the window from outside.

What ought to be seen is made again from the files, by the core alone; what is seen is read where the user reads it. A
finding is a sentence. ``quiet`` says that nothing is under way: then all of it has to hold, before that only what must
never be otherwise, not even for a moment.
"""

import asyncio
import math
import re
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PySide6.QtCore import QTimer

from padis_gui.core.files.read import read_image
from padis_gui.core.images.image import Image, ReadingSettings
from padis_gui.core.images.metrics import psnr
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.physics.scanner import ScannerSettings
from padis_gui.core.runs.control import RunState
from padis_gui.core.runs.estimate import estimate
from padis_gui.core.runs.opened import prepare, prepare_image, prepared_shape, prior_window
from padis_gui.core.settings.errors import PadisError
from padis_gui.gui.panes.levels import FULL_WINDOW, ROBUST_TRUTH
from padis_gui.gui.runs.curves import THIS_RUN
from padis_gui.viewmodels.pictures.frames import channels_first, for_display, grey
from padis_gui.viewmodels.pictures.levels import HU_PRESETS
from padis_gui.viewmodels.pictures.planes import Place, Plane, plane_of, take
from padis_gui.viewmodels.pictures.volumes import VolumeFrame
from padis_gui.viewmodels.session.volume import window_of
from tests.qt import until

NOTHING_SAID = "There is nothing here yet"  # of what, and why not?
OF_RUN = ("estimate", "state", "denoised", "difference", "deviation", "measured", "misfit")
_NUMBER = r"(-?\d+(?:\.\d+)?)"
_SMALL = 130 * 130 * 64  # rows x columns x views: what is measured again here, to compare every value
_RESTS = 300.0  # seconds that only a fault takes
_DULL = 1000  # ms: longer timers only take something away again
_EXACT = 90.0  # dB, beyond which float32 has little to say
_DECIBELS = 0.06  # what two roundings and float32 may make of a PSNR


@dataclass(frozen=True)
class Data:
    """A page of a file, or several as a volume, read in one way: what an image on the screen is of."""

    path: str
    page: int
    reading: ReadingSettings
    pages: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        return Path(self.path).name

    def image(self) -> Image:
        return _read(self.path, self.page, self.reading.model_dump_json())


@lru_cache(maxsize=24)
def _read(path: str, page: int, reading: str) -> Image:
    return read_image(path, page, ReadingSettings.model_validate_json(reading))


@lru_cache(maxsize=4)
def _stack(path: str, pages: tuple[int, ...], reading: str) -> Any:
    return np.concatenate([_read(path, page, reading).pixels for page in pages])


def _near(seen: Any, wanted: Any, width: float) -> bool:
    return seen.shape == wanted.shape and np.allclose(seen, wanted, rtol=0, atol=2e-4 * width, equal_nan=True)


def decibels(seen: Any, truth: Any, window: tuple[float, float]) -> float:
    """PSNR of one picture of the panes against another, as the engine measures it."""
    low, high = window
    a, b = (torch.from_numpy((channels_first(p) - low) / (high - low)) for p in (seen, truth))
    return psnr(a, b)


def is_held(window: Any) -> bool:
    """Whether something waits for the user, and keeps the compute thread meanwhile."""
    paused = RunState.PAUSED
    return window.session.run.state is paused or window.laboratory.ab.state is paused


def at_work(window: Any) -> str:
    """What is under way, in words; empty where nothing is but what waits for the user."""
    session = window.session
    for name, steered in (("run", session.run), ("A/B", window.laboratory.ab)):
        if steered.active and steered.state is not RunState.PAUSED:
            return f"{name}: {steered.state}"
    if session._tasks and not is_held(window):
        return f"tasks {session._tasks}"
    for requests in (session.compute_requests, session.io_requests, session.plane_requests):
        if requests.waiting or requests._busy:
            return "a request"
    queue = session.queue
    if not is_held(window) and (queue.running is not None or queue.waiting or session.runner._gathering):
        return "the queue"
    for owner in (session, window):
        for timer in owner.findChildren(QTimer):
            if timer.isSingleShot() and timer.isActive() and timer.interval() < _DULL:
                return f"a timer of {timer.parent()}"
    return ""


async def rest(window: Any, patience: float = math.inf) -> None:
    """Wait until nothing is under way. A run that takes longer than ``patience`` seconds is finished, one that takes
    twice as long cancelled.
    """
    session, ab, loop = window.session, window.laboratory.ab, asyncio.get_running_loop()
    began = loop.time()

    def quiet() -> bool:
        since = loop.time() - began
        if since > patience and not is_held(window):
            session.run.finish() if since < 2 * patience else session.run.cancel()
            ab.cancel()
        return not at_work(window)

    for _ in range(2):
        await until(quiet, _RESTS, lambda: at_work(window))
        if not is_held(window):
            await session.compute(int)
        await session.io(int)
        await turns()
        await until(quiet, _RESTS, lambda: at_work(window))


async def turns(count: int = 6) -> None:
    """Let Qt's loop turn that often: not long enough for anything that takes a thread or a timer."""
    for _ in range(count):
        await asyncio.sleep(0)  # sleep: of no length


class Screen:
    """Reads a main window. What it remembers from look to look are pictures whose data it has once found right."""

    def __init__(self, window: Any) -> None:
        self.window, self.session = window, window.session
        # by id: a baseline or measurement, for as long as it is in memory, and what it was made of
        self._proved: dict[int, tuple[weakref.ref[Any], Data]] = {}
        self._measured: tuple[tuple[Any, ...], Any] | None = None
        self._run_at: int | None = None  # px from the window's lower edge
        self.hand_levels_unit: str | None = None  # the unit in which somebody has set levels by hand

    # What is open, and what is shown ----------------------------------------------------------------

    @property
    def open_data(self) -> Data | None:
        data = self.session.data
        if data.image is None or data.path is None:
            return None
        path, pages = str(Path(data.path).resolve()), tuple(self.session.volume.pages)
        return Data(path, pages[0] if pages else data.image.page, data.image.reading, pages)

    @property
    def recipe(self) -> Any:
        """Of the run whose pictures are seen; None where no run is.

        What a run measures may be seen before its first iterate: all is of that run, then.
        """
        shown = self.session.shown
        if shown.record is not None:
            return shown.record.recipe
        nothing = shown.frame() is None and shown.pictures is None
        return None if nothing or shown.made_of is None else shown.made_of.recipe

    @property
    def run_data(self) -> Data | None:
        recipe = self.recipe
        if recipe is None or recipe.data is None:
            return None
        pages = () if recipe.stack is None else recipe.stack.pages
        return Data(recipe.data.file, recipe.data.page, recipe.data.reading, pages)

    @property
    def is_of_another(self) -> bool:
        """Whether the run that is seen is of something else than what is open."""
        recipe = self.recipe
        if recipe is None:
            return False
        if recipe.data is None:
            return not self.session.method.now.imageless or not self._is_as_large
        return self.run_data != self.open_data

    @property
    def _is_as_large(self) -> bool:
        """Whether what was generated has the size of what would be now."""
        frame, opened = self.session.shown.frame(), self.session.opened()
        if frame is None or opened is None:
            return True
        return frame.estimate.shape[:2] == prepared_shape(None, opened.prior, self.session.method.problem)[1:]

    @property
    def _measures_otherwise(self) -> bool:
        """Whether the run that is seen is of another problem, or made with another prior, than is chosen now."""
        recipe, method, prior = self.recipe, self.session.method, self.session.prior.path
        if recipe is None or prior is None:
            return False
        theirs = recipe.physics, recipe.problem_settings, recipe.prior.file
        return theirs != (method.physics, method.problem, str(Path(prior).resolve()))

    def pixels(self, key: str) -> Any:
        return self.window.panes.pixels(key)

    def caption(self, key: str) -> str:
        return str(self.window.panes.picture_set.caption(key))

    def reason(self, key: str) -> str:
        return str(self.window.panes.picture_set.empty_text(key))

    def is_stale(self, key: str) -> bool:
        """Whether a picture is marked as one of other settings than are chosen now."""
        return bool(self.window.panes.picture_set.stale_text(key))

    def said(self) -> str:
        """All that the window says of what its panes show."""
        window, picture_set = self.window, self.window.panes.picture_set
        captions = [picture_set.caption(source.key) for source in picture_set.sources]
        return "  ".join([window.verdict.text(), *captions])

    # The law ----------------------------------------------------------------------------------------

    def wrongs(self, *, quiet: bool) -> list[str]:
        """What is wrong with what is seen, one sentence each."""
        volume = self.in_volume or (self.is_of_another and self.run_data is not None and self.run_data.pages)
        truth = self._volume(quiet=quiet) if volume else self._truth(quiet=quiet)
        found = [*self._names(), *truth, *self._owner(), *self._verdict(), *self._curves()]
        found += self._planes()
        found += self._of_another_image()
        if quiet:
            found += [
                *self._measurement(), *self._run_pictures(), *self._captions(), *self._unit_and_levels(),
                *self._method(), *self._plan(), *self._canvases(), *self._quality(),
                *self._buttons(),
            ]  # fmt: skip
        return found

    def _names(self) -> Iterator[str]:
        data = self.session.data
        if data.image is None:
            return
        if self.window._titled.isActive():  # it comes with the pictures, when the window is painted next
            self.window._show_title()
        title = self.window.windowTitle()
        for what, text in (("title", title), ("Data section", self.window.data.name.text())):
            if data.image.name not in text:
                yield f"{data.image.name} is open, but the {what} says {text!r}"
        page = re.search(r"page (\d+)", title)
        if page and (self.session.volume.on or int(page[1]) != data.image.page + 1):
            yield f"page {data.image.page} (from 0) is open, but the title says {page[0]}"

    def _buttons(self) -> Iterator[str]:
        """Run stays where it is, whatever is said around it: who presses it again presses no other button."""
        button, window = self.window.reconstruct.transport.buttons["run"], self.window
        if not button.isVisible():
            return
        at = window.height() - button.mapTo(window, button.rect().bottomLeft()).y()
        if self._run_at is None:
            self._run_at = at
        elif at != self._run_at:
            yield f"Run was {self._run_at} px above the lower edge of the window, and is {at} px above it"

    def _truth(self, *, quiet: bool) -> Iterator[str]:
        """Of what is open or, where the run that is seen is of something else, of that."""
        seen = self.pixels("truth")
        if seen is None:
            if self.reason("truth") in ("", NOTHING_SAID):
                yield f"the truth pane is empty and says {self.reason('truth')!r}"
            return
        another = self.is_of_another or (self.run_data is not None and self.session.method.now.imageless)
        data = self.run_data if another else self.open_data
        whose = "the shown run's image" if another else "the open image"
        if data is None or (self.recipe is None and self.session.method.now.imageless):
            yield f"there is a truth of {seen.shape} where {whose} is none"
            return
        try:
            image = data.image()
        except PadisError:
            return  # the file went in the meantime
        if image.measured is not None:
            yield f"there is a truth of {seen.shape} although {data.name} is a measurement"
            return
        prior = self.session.prior.loaded
        problem = self.recipe.problem_settings if another else self.session.method.problem
        if prior is None or (
            another and self.recipe.prior.file != str(Path(self.session.prior.path).resolve())
        ):
            if seen.shape[:2] != image.shape:
                yield f"the truth is {seen.shape}, but {data.name} is {image.shape}"
            return
        try:
            prepared = prepare_image(image, prior, problem)
        except PadisError:  # a grey image under a prior for colours: it is seen as it is
            prepared = image
        if not quiet and image.channels >= 3:  # for a moment as the problem before this one took its colours
            prepared = image.with_channels(seen.shape[2] if seen.ndim == 3 else 1).with_window(
                prepared.window
            )
        wanted = for_display(prepared.from_unit(prepared.to_unit()))
        if not _near(seen, wanted, prepared.window[1] - prepared.window[0]):
            yield f"the truth ({seen.shape}) is not {whose}, {data.name} page {data.page} ({wanted.shape})"

    # Volumes ----------------------------------------------------------------------------------------

    @property
    def in_volume(self) -> bool:
        """Whether a volume is open, and no run of something else is seen in its place."""
        return self.session.volume.on and not self.session.method.now.imageless and not self.is_of_another

    @property
    def place(self) -> Place:
        """Where the crosshair is, as the strip above the panes says."""
        boxes = self.window.reconstruct.place.boxes
        return Place(*(boxes[plane].value() - 1 for plane in Plane))

    def _volume(self, *, quiet: bool) -> Iterator[str]:
        """Each plane is that of the open file which its caption names; at rest, that at the crosshair."""
        data, prior = self.open_data if self.in_volume else self.run_data, self.session.prior.loaded
        if data is None:
            yield "no file is open, but a volume is"
            return
        image = data.image()
        window = window_of(Path(data.path), image, prior) if self.in_volume else self.recipe.data.window
        volume = np.clip(_stack(data.path, data.pages, data.reading.model_dump_json()), *window)
        for plane in Plane:
            key = plane.key("truth")
            seen, caption = self.pixels(key), self.caption(key)
            if seen is None:
                if (quiet and self.in_volume) or self.reason(key) in ("", NOTHING_SAID):
                    yield f"the {plane.value} pane is empty and says {self.reason(key)!r}"
                continue
            named = re.match(rf"{plane.along} (\d+) of {volume.shape[plane.axis]}(, {image.unit})?$", caption)
            if named is None:
                yield f"the {plane.value} plane of {data.name} is seen, its caption says {caption!r}"
                continue
            at = int(named[1]) - 1
            if quiet and at != self.place.across(plane):
                yield f"the crosshair is at {self.place}, the {plane.value} pane shows {caption!r}"
            if not _near(seen, take(volume, plane, at), window[1] - window[0]):
                yield f"the {plane.value} plane is not {caption!r} of {data.name}"

    def _planes(self) -> Iterator[str]:
        """Planes and crosshair are seen exactly where a volume is, and the crosshair is at one voxel in all of them."""
        grid = self.session.screen.subject.grid
        offered = [
            s.key for s in self.window.panes.picture_set.sources if plane_of(s.key)[1] is not Plane.AXIAL
        ]
        if bool(offered) != (grid is not None):
            yield f"a volume is {'' if grid else 'not '}seen, and there are the sources {offered}"
        marked = {}
        for canvas in self.window.panes.links.canvases:
            at, group = canvas.crosshair.place, canvas.group
            plane = None if group is None else next((p for p in Plane if p.lattice.value == group[0]), None)
            if at is None:
                continue
            if grid is None or plane is None or group[1:] != grid.sides(plane):
                yield f"there is a crosshair at {at} on {group}, which is no plane of a volume"
            else:
                marked[plane] = at
        wrong = {p: at for p, at in marked.items() if grid is not None and at != grid.pixel(self.place, p)}
        if wrong:
            yield f"the crosshair is at {self.place}, but drawn at {wrong}"

    def _owner(self) -> Iterator[str]:
        """A baseline or measurement that was once found to be of some data is never seen with others."""
        data = self.run_data if self.is_of_another else self.open_data
        for key in ("baseline", "measurement"):
            seen = self.pixels(key)
            known = None if seen is None else self._proved.get(id(seen))
            if known is not None and known[0]() is seen and known[1] != data:
                yield f"the {key} is that of {known[1].name}, page {known[1].page}, not of {data}"

    def _of_another_image(self) -> Iterator[str]:
        if not self.is_of_another or self.pixels("estimate") is None:
            return
        said, data = self.said(), self.run_data
        if data is None:
            if not re.search(r"generated|sample of the prior|of no data|stale", said, re.IGNORECASE):
                yield f"a generated image is seen beside an open one, and nothing says so: {said!r}"
            return
        if data.name not in said:
            yield f"the run that is seen is of {data.name}, and nothing says so: {said!r}"
        open_data = self.open_data
        same_file = open_data is not None and open_data.path == data.path
        if data.pages:
            if f"slices {data.pages[0] + 1} to {data.pages[-1] + 1}" not in said:
                yield f"the run that is seen is of slices {data.pages}, and nothing says so: {said!r}"
        elif same_file and open_data.page != data.page and f"page {data.page + 1}" not in said:
            yield f"the run that is seen is of page {data.page + 1}, and nothing says so: {said!r}"

    def _verdict(self) -> Iterator[str]:
        """Numbers in the tool bar are of the result that is seen."""
        text, shown = self.window.verdict.text(), self.session.shown
        named = re.search(rf"PSNR {_NUMBER} dB", text)
        seed = re.search(r"seed (\d+)", text)
        if not named and not seed:
            return
        if self.pixels("estimate") is None:
            yield f"no run is seen, but the tool bar says {text!r}"
            return
        result = shown.result if shown.record is None else shown.record.result
        if result is None:
            yield f"the run that is seen has no result, but the tool bar says {text!r}"
            return
        if named and abs(result.metrics.get("psnr", math.inf) - float(named[1])) > _DECIBELS:
            yield f"the result has {result.metrics}, but the tool bar says {text!r}"
        if seed and int(seed[1]) != result.recipe.seed:
            yield f"the result's seed is {result.recipe.seed}, but the tool bar says {text!r}"
        data = self.run_data
        if named and data is not None and _is_measured(data):
            yield f"{data.name} is a measurement without truth, but the tool bar says {text!r}"

    def _curves(self) -> Iterator[str]:
        given, points = self.window.curves._points, self.session.shown.history.points
        if given and (not points or given[0] is not points[0]):
            yield f"the curves ({len(given)} points) are not those of the shown run ({len(points)} points)"

    # Where nothing is under way -----------------------------------------------------------------------

    def _measurement(self) -> Iterator[str]:
        """Baseline and measurement are those of the present problem, value for value where that is quick to say."""
        session, opened = self.session, self.session.opened()
        seen = {key: self.pixels(key) for key in ("baseline", "measurement")}
        for key, pixels in seen.items():
            if pixels is None and self.reason(key) in ("", NOTHING_SAID):
                yield f"the {key} pane is empty and says {self.reason(key)!r}"
        of_run = (
            self.run_data is not None and session.method.now.imageless
        )  # all that is seen is the run's, then
        if self.is_of_another or of_run or opened is None or session.occupied_by:
            return
        prepared, method = session.preparation.prepared, session.method.now
        if seen["baseline"] is None:
            return
        if prepared is None:
            yield "there is a baseline, and nothing is prepared"
            return
        shape = prepared_shape(opened.image, opened.prior, method.problem)
        if seen["baseline"].shape[:2] != shape[1:]:
            yield f"the baseline is {seen['baseline'].shape}, but the present problem's image is {shape}"
            return
        data = self.open_data
        views = int(getattr(method.problem, "views", 1))
        if shape[1] * shape[2] * views <= _SMALL:
            wanted = self._measure(opened, method, prepared.seed)
            if wanted is None:
                return
            image, problem = wanted.image, wanted.problem
            width = image.window[1] - image.window[0]
            part = slice(self.place.slice, self.place.slice + 1) if opened.is_volume else slice(None)
            if not _near(seen["baseline"], for_display(image.from_unit(wanted.baseline[part])), 5 * width):
                yield f"the baseline is not that of {data}, {method.physics} {method.problem}"
                return
            if find_physics(
                method.physics
            ).of_volumes:  # the detector row that sees the slice, or the middle one
                rows = len(problem.measurement)
                row = problem.operator.channel_seeing(self.place.slice) if opened.is_volume else rows // 2
                part = slice(row, row + 1)
            values = problem.measurement[part]
            if seen["measurement"] is not None and values.ndim == 3:
                pictorial = find_physics(method.physics).pictorial
                of_file = for_display(image.from_unit(values) if pictorial else values.cpu().numpy())
                reach = width if pictorial else max(1.0, float(np.abs(of_file).max()))
                if not _near(seen["measurement"], of_file, 5 * reach):
                    yield f"the measurement is not that of {data}, {method.physics} {method.problem}"
                    return
        if data is not None and not method.imageless and not opened.is_volume:
            for pixels in seen.values():
                if pixels is not None:
                    self._proved[id(pixels)] = weakref.ref(pixels), data

    def _measure(self, opened: Any, method: Any, seed: int) -> Any:
        key = (id(opened.image), id(opened.prior), method.physics, method.problem.model_dump_json(), seed)
        if self._measured is None or self._measured[0] != key:
            try:
                self._measured = key, prepare(opened, method, seed)
            except PadisError:
                return None
        return self._measured[1]

    def _run_pictures(self) -> Iterator[str]:
        """What is seen of a run is one iterate of the shown run, on its own pixels."""
        frame, seen = self.session.shown.frame(), {key: self.pixels(key) for key in OF_RUN}
        if frame is None:
            for key, pixels in seen.items():
                if pixels is not None:
                    yield f"no run is shown, but there is a picture of its {key}"
                elif self.reason(key) in ("", NOTHING_SAID):
                    yield f"the {key} pane is empty and says {self.reason(key)!r}"
            return
        if seen["estimate"] is None:
            yield "a run is shown, but its estimate is not"
            return
        if isinstance(frame, VolumeFrame):
            yield from self._volume_of_run(frame)
        elif not np.array_equal(seen["estimate"], frame.estimate, equal_nan=True):
            yield "the estimate is not that of the shown step"
        shape = seen["estimate"].shape[:2]
        for key in ("state", "denoised", "difference", "deviation"):
            if seen[key] is not None and seen[key].shape[:2] != shape:
                yield f"the estimate is {shape}, the {key} {seen[key].shape}"
        truth, difference = self.pixels("truth"), seen["difference"]
        if truth is not None and truth.ndim != seen["estimate"].ndim and self._measures_otherwise:
            # one image, of which the problem chosen now keeps the colours that the run's did not, or the other way
            pictures = self.session.shown.pictures
            truth = None if pictures is None else pictures.truth
        if truth is not None and truth.shape != seen["estimate"].shape:
            yield f"the estimate is {seen['estimate'].shape}, the truth beside it {truth.shape}"
        elif truth is not None:
            if difference is None:
                yield f"truth and estimate are seen, their difference is not ({self.reason('difference')!r})"
            else:
                width = float(np.ptp(truth)) or 1.0
                if not _near(difference, grey(seen["estimate"] - truth), 5 * width):
                    yield "the difference is not the estimate minus the truth"
        for key in ("baseline", "measurement"):
            other = self.pixels(key)
            beside = seen["estimate"] if key == "baseline" else seen["measured"]
            # of one small picture that was enlarged, and is sharpened now, the estimate is another size, and marked
            marked = key == "baseline" and self._measures_otherwise and self.is_stale("estimate")
            if (
                other is not None
                and beside is not None
                and other.shape[:2] != beside.shape[:2]
                and not marked
            ):
                yield f"the shown run's pictures are {beside.shape}, the {key} beside them {other.shape}"

    def _volume_of_run(self, frame: VolumeFrame) -> Iterator[str]:
        """Every plane of an iterate is that at the crosshair, and its difference that to the truth beside it."""
        values, image = frame.volumes["estimate"], frame.image
        for plane in Plane:
            seen = self.pixels(plane.key("estimate"))
            at = min(self.place.across(plane), frame.grid.shape[plane.axis] - 1)
            wanted = take(values._values, plane, at)
            wanted = wanted if values._image is None else image.from_unit(torch.from_numpy(wanted))
            if seen is None or not np.array_equal(seen, wanted, equal_nan=True):
                yield f"the {plane.value} plane of the estimate is not that of the shown step at {self.place}"
                continue
            truth, difference = self.pixels(plane.key("truth")), self.pixels(plane.key("difference"))
            if truth is not None and difference is None:
                yield f"truth and estimate are seen in the {plane.value} plane, their difference is not"
            elif truth is not None and not _near(difference, seen - truth, 5 * (float(np.ptp(truth)) or 1.0)):
                yield f"the {plane.value} difference is not the estimate minus the truth"

    def _captions(self) -> Iterator[str]:
        shown = self.session.shown
        frame = shown.frame()
        text = self.caption("estimate")
        if frame is None:
            for key in OF_RUN:
                if self.caption(key):
                    yield f"no run is shown, but the caption of {key} is {self.caption(key)!r}"
        else:
            point = shown.history.point_at(frame.step)
            step, quality = re.search(r"step (\d+)", text), re.search(rf"{_NUMBER} dB", text)
            if step and int(step[1]) != frame.step:
                yield f"step {frame.step} is seen, but its caption is {text!r}"
            known = math.nan if point is None else point.psnr
            if shown.record is not None and not math.isfinite(known):
                known = shown.record.metrics.get("psnr", math.nan)
            if quality and not abs(float(quality[1]) - known) <= _DECIBELS:
                yield f"the shown step has {known:.2f} dB, but its caption is {text!r}"
            noise = re.search(r"σ = (\S+)", self.caption("state"))
            if noise and noise[1] != f"{frame.sigma:.3g}":
                yield f"the shown step is at σ = {frame.sigma:.3g}, its caption says {noise[0]!r}"
            words = self.window.timeline.where.text()
            where = re.search(r"step (\d+) of (\d+)", words)
            if where and (int(where[1]), int(where[2])) != (frame.step, frame.total):
                yield f"step {frame.step} of {frame.total} is seen, but the time line says {words!r}"
        measurement = self.pixels("measurement")
        numbers = {int(n) for n in re.findall(r"\d+", self.caption("measurement"))}
        if measurement is not None and numbers and numbers != set(measurement.shape[:2]):
            yield f"the measurement is {measurement.shape}, its caption {self.caption('measurement')!r}"
        if measurement is None and numbers:
            yield f"no measurement is seen, but its caption is {self.caption('measurement')!r}"
        quality = re.search(rf"{_NUMBER} dB", self.caption("baseline"))
        if quality and (self.pixels("baseline") is None or self.pixels("truth") is None):
            yield f"the caption {quality[0]} of the baseline is without baseline or truth"

    def _quality(self) -> Iterator[str]:
        """Decibels beside a picture are those of that picture against the truth that is seen."""
        truth, window = self.pixels("truth"), self.window.panes.picture_set.window
        if truth is None:
            plot = self.window.curves.plots["psnr"]
            level = plot.level
            if level is not None and plot.isVisible():
                yield f"a baseline of {level:.2f} dB is drawn, and there is no truth"
            return
        if self.session.screen.subject.grid is not None:  # theirs are of all slices, and said so
            for key in ("baseline", "estimate"):
                if "dB" in self.caption(key) and "volume" not in self.caption(key):
                    yield f"decibels of a volume stand beside a slice: {self.caption(key)!r}"
            return
        pairs = [("baseline", self.caption("baseline")), ("estimate", self.caption("estimate"))]
        for key, text in pairs:
            seen, said = self.pixels(key), re.search(rf"{_NUMBER} dB", text)
            if seen is None or said is None or seen.shape != truth.shape:
                continue
            found = decibels(seen, truth, window)
            if min(found, float(said[1])) < _EXACT and abs(found - float(said[1])) > _DECIBELS:
                yield f"the {key} has {found:.2f} dB against the truth beside it, its caption says {text!r}"

    def _subject(self) -> Image | None:
        """The image whose numbers are seen, as its prior takes them; None where that is not known."""
        data = self.run_data if self.is_of_another else self.open_data
        prior = self.session.prior.loaded
        if data is None or prior is None or (self.recipe is not None and self.recipe.data is None):
            return None
        if self.is_of_another and self.recipe.prior.file != str(Path(self.session.prior.path).resolve()):
            return None
        if self.recipe is None and self.session.method.now.imageless:
            return None
        image = data.image()
        if self.in_volume:
            return image.with_window(window_of(Path(data.path), image, prior))
        return image.with_window(prior_window(image, prior))

    def _unit_and_levels(self) -> Iterator[str]:
        subject, picture_set = self._subject(), self.window.panes.picture_set
        if subject is None or all(self.pixels(key) is None for key in ("truth", "baseline", "estimate")):
            return
        if picture_set.unit != subject.unit:
            yield f"{subject.name} is in {subject.unit!r}, the panes' values in {picture_set.unit!r}"
        text = self.caption("truth")
        if self.pixels("truth") is not None and subject.unit and text and subject.unit not in text:
            yield f"{subject.name} is in {subject.unit!r}, the truth's caption {text!r}"
        levels = picture_set.look(picture_set.sources["estimate"]).levels
        if "image" in picture_set.levels.by_hand:
            if self.hand_levels_unit is not None and self.hand_levels_unit != subject.unit:
                yield f"levels set by hand in {self.hand_levels_unit!r} hold for {subject.unit!r}"
            return
        name = self.window.levels.currentText()
        if name in HU_PRESETS:
            wanted = HU_PRESETS[name]
            if subject.unit != "HU":
                yield f"levels are {name!r} for {subject.name}, which is not in HU"
        elif name == ROBUST_TRUTH:
            wanted = subject.robust_range()
        else:
            wanted = subject.window
            if name and name != FULL_WINDOW:
                yield f"levels are {name!r}, which is none of the list"
        near = max(1e-6, 0.02 * (wanted[1] - wanted[0]))
        if name != ROBUST_TRUTH and not np.allclose(levels, wanted, rtol=0, atol=near):
            yield f"levels are {levels}, those of {subject.name} {wanted} ({name})"

    def _method(self) -> Iterator[str]:
        """No scan's geometry is left where an image is open; what a scan brings fits it."""
        session = self.session
        image, problem = session.data.image, session.method.problem
        if image is None or not isinstance(problem, ScannerSettings) or session.method.now.imageless:
            return
        measured = image.measured
        if measured is None or not measured.physics:
            if problem.angles:
                yield f"{image.name} is no scan, but {len(problem.angles)} angles of one are chosen"
            if problem.lengths == "mm" and image.spacing is None:
                yield f"{image.name} has no pixel pitch, but lengths are in mm"
            return
        if session.method.physics == measured.physics and problem.angles != tuple(measured.problem["angles"]):
            yield f"{image.name} has its own angles, but others are chosen"

    def _plan(self) -> Iterator[str]:
        planner, session = self.window.planner, self.session
        opened, method = session.opened(), session.method.now
        if planner.plan is None or opened is None:
            return
        try:
            opened.prior_for(method)
            shape = prepared_shape(opened.image, opened.prior, method.problem)
            wanted = estimate(
                solver=method.solver, settings=method.settings, tiling=method.tiling, prior=opened.prior,
                image_shape=shape, stored_entries=method.problem.stored_entries(shape[1:]), pace=None,
                volume=opened.is_volume,
            )  # fmt: skip
        except PadisError:
            yield "these choices contradict each other, but there is a plan of them"
            return
        for what in ("calls", "tiles", "products", "scan_mb"):
            found, own = getattr(planner.plan, what), getattr(wanted, what)
            if not math.isclose(found, own, rel_tol=1e-6):
                yield f"the plan has {what} {found:g}, the present choices {own:g}"

    def _canvases(self) -> Iterator[str]:
        """Each pane shows the picture of the source that it names."""
        panes = self.window.panes
        if not self.window.isVisible() or not self.window.at_work or panes.comparing:
            return
        for pane in panes.panes:
            if not pane.isVisible():
                continue
            wanted, seen = panes.pixels(pane.source), pane.canvas.pixels
            if (wanted is None) != (seen is None) or (wanted is not None and seen.shape != wanted.shape):
                yield f"the pane of {pane.source} does not show its picture"
            elif wanted is not None and not np.array_equal(seen, wanted, equal_nan=True):
                yield f"the pane of {pane.source} shows another picture"
        plot = self.window.curves.plots["sigma"]
        points = self.session.shown.history.points
        if plot.isVisible() and plot.is_drawn:
            drawn = len(plot.points(THIS_RUN)[0])
            known = sum(math.isfinite(point.sigma) for point in points)
            if drawn != min(known, drawn if known > 1000 else known):
                yield f"{drawn} points are drawn, the shown run has {known}"


def _is_measured(data: Data) -> bool:
    try:
        return data.image().measured is not None
    except PadisError:
        return False
