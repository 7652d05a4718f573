"""What is on the screen: pictures, captions, numbers, and where something is missing, why.

Everything on the screen is of one subject. That is what is open; or, where the shown run is of other data, that run's:
pictures of two images never stand beside each other. What does not belong to the subject is empty and says why.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal

from padis_gui.core.images.image import Image, Pixels
from padis_gui.core.physics.registry import Physics, find_physics
from padis_gui.core.runs.control import RunState
from padis_gui.core.runs.engine import Result
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import Prepared, prepared_shape
from padis_gui.viewmodels.pictures.frames import IteratePictures, ProblemPictures
from padis_gui.viewmodels.pictures.pictures import RUN_KEYS, LazyPicture, pictures_of
from padis_gui.viewmodels.pictures.planes import VOLUME_KEYS, Place, Plane, VoxelGrid
from padis_gui.viewmodels.pictures.sources import BUILT_IN
from padis_gui.viewmodels.pictures.volumes import VolumeFrame, VolumeProblem
from padis_gui.viewmodels.runs.columns import slices_text
from padis_gui.viewmodels.runs.runs import RunRecord
from padis_gui.viewmodels.session.workspace import Workspace
from padis_gui.viewmodels.state.preparation import Stage

DATA_KEYS = ("truth", "baseline", "measurement")
_MEASURED_KEYS = ("measurement", "measured", "misfit")
_ALL = tuple(source.key for source in BUILT_IN)
_PLANES = tuple(plane.key(key) for plane in (Plane.CORONAL, Plane.SAGITTAL) for key in VOLUME_KEYS)
_RUN_PLANES = tuple(
    plane.key(key) for plane in (Plane.CORONAL, Plane.SAGITTAL) for key in VOLUME_KEYS if key in RUN_KEYS
)
_OPEN = "Open an image: drop a file here, or Ctrl+O"
_PRIOR_WANTED = "A prior is wanted: Ctrl+P opens one"


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """What the screen is of. ``image`` has its name, unit, spacing and window; None where nothing is open.

    ``pictures`` are what was measured of it, once that is prepared; ``truth`` is there before.
    """

    image: Image | None = None
    method: Method
    truth: Pixels | None = None
    pictures: ProblemPictures | None = None
    robust_range: tuple[float, float] | None = None
    is_open: bool = True  # else it is the shown run's
    grid: VoxelGrid | None = None  # of a volume, of which ``image`` is a slice and ``truth`` the axial plane

    @property
    def physics(self) -> Physics:
        """What is measured."""
        return find_physics(self.method.physics)

    @property
    def has_truth(self) -> bool:
        """Whether the image is a truth, whether or not its picture is there yet."""
        return self.image is not None and self.image.measured is None and not self.method.imageless


class Screen(QObject):
    """``changed`` is emitted when something on the screen may be another, but for the live run's next iterate;
    ``progressed`` when a preparation has gone on; ``moved`` when planes of a volume are others, and nothing else is.
    """

    changed = Signal()
    progressed = Signal()
    moved = Signal()

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self._workspace = workspace
        self._changes: int | None = None  # since they are kept back; None where they are said at once
        workspace.preparation.progressed.connect(self.progressed)
        for signal in (
            workspace.preparation.changed, workspace.shown.changed, workspace.shown.result_changed,
            workspace.data.changed, workspace.data.loading, workspace.prior.changed, workspace.run.changed,
            workspace.occupied_changed, workspace.method.changed, workspace.volume.changed,
        ):  # fmt: skip
            signal.connect(self._follow)
        workspace.volume.progressed.connect(self.progressed)
        workspace.volume.moved.connect(self.moved)
        workspace.runs.edited.connect(self._follow_name)

    def _follow_name(self, record: RunRecord) -> None:
        """Captions and verdict have the shown run's name."""
        if record is self._workspace.shown.record:
            self._follow()

    def _follow(self) -> None:
        if self._changes is None:
            self.changed.emit()
        else:
            self._changes += 1

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Whatever changes within is one change, which is said at its end: showing it takes some milliseconds."""
        if self._changes is not None:
            yield
            return
        self._changes = 0
        try:
            yield
        finally:
            changes, self._changes = self._changes, None
            if changes:
                self.changed.emit()

    # What it is of ----------------------------------------------------------------------------------

    @property
    def of_open(self) -> bool:
        """Whether what is shown is of what is open: no run is, or one of the same data."""
        workspace, shown = self._workspace, self._workspace.shown
        if not shown.anything:
            return True
        recipe = shown.recipe
        if recipe is not None and recipe.data is None:  # generated
            return workspace.data.image is None or (workspace.method.now.imageless and self._is_as_large)
        if workspace.method.now.imageless:
            return False
        return shown.is_of(workspace.open_image, workspace.data.path)

    @property
    def _is_as_large(self) -> bool:
        """Whether the shown iterate has the size of what would be generated now."""
        frame, opened = self._workspace.shown.frame(), self._workspace.opened()
        if frame is None or opened is None:
            return True
        wanted = prepared_shape(None, opened.prior, self._workspace.method.problem)
        return frame.estimate.shape[:2] == wanted[1:]

    @property
    def subject(self) -> Subject:
        """What everything on the screen belongs to."""
        workspace, shown, preparation = self._workspace, self._workspace.shown, self._workspace.preparation
        if not self.of_open:
            pictures, result, task = shown.pictures, shown.result, shown.made_of
            image = None if result is None else result.image
            if pictures is not None:
                image = pictures.prepared.image
            elif task is not None:
                image = task.opened.image
            if isinstance(pictures, VolumeProblem):
                pictures = pictures.at(self.place)
            return Subject(
                image=image, method=self._run_method or workspace.method.now, pictures=pictures,
                truth=None if pictures is None else pictures.truth, is_open=False, grid=shown.grid,
                robust_range=None if pictures is None else pictures.robust_range,
            )  # fmt: skip
        pictures, picture, image = preparation.pictures, preparation.picture, workspace.data.image
        volume = workspace.volume
        if volume.grid is not None and image is not None and not workspace.method.now.imageless:
            return Subject(
                image=volume.subject, method=workspace.method.now, truth=volume.picture(Plane.AXIAL), grid=volume.grid,
                robust_range=volume.robust_range,
                pictures=pictures.at(self.place) if isinstance(pictures, VolumeProblem) else None,
            )  # fmt: skip
        if pictures is not None:
            return Subject(
                image=pictures.prepared.image, method=pictures.prepared.method, pictures=pictures,
                truth=pictures.truth, robust_range=pictures.robust_range,
            )  # fmt: skip
        method = workspace.method.now
        if picture is not None:
            return Subject(
                image=picture.image, method=method, truth=picture.truth, robust_range=picture.robust_range
            )
        return Subject(image=None if method.imageless else image, method=method)

    @property
    def place(self) -> Place:
        """Where the crosshair is in a volume."""
        return self._workspace.volume.place

    @property
    def _run_method(self) -> Method | None:
        """The shown run's."""
        shown = self._workspace.shown
        if shown.made_of is not None:
            return shown.made_of.method
        return None if shown.recipe is None else shown.recipe.method

    @property
    def prepared(self) -> Prepared | None:
        """The problem that the shown iterate is of; what is prepared where no run is shown. None where it is gone, and for
        a volume: what is asked of it is asked of images.
        """
        shown, subject = self._workspace.shown, self.subject
        if subject.grid is not None:
            return None
        if not shown.anything:
            return None if subject.pictures is None else subject.pictures.prepared
        if shown.pictures is not None:
            return shown.pictures.prepared
        pictures, result = subject.pictures, shown.result
        if pictures is None or result is None or not subject.is_open:
            return None
        image = pictures.prepared.image
        return pictures.prepared if _alike(image, result.image) else None

    @property
    def run_pictures(self) -> ProblemPictures | None:
        """What the shown run measured, where that is in memory."""
        shown, pictures = self._workspace.shown, self.subject.pictures
        if shown.pictures is not None:
            seen = shown.pictures
            return seen.at(self.place) if isinstance(seen, VolumeProblem) else seen
        recipe = shown.recipe
        if pictures is None or recipe is None or not self.of_open:
            return None
        return pictures if recipe.is_of_prepared(pictures.prepared) else None

    @property
    def same_prior(self) -> bool:
        """Whether the open prior is the one that made the shown iterates; True where none are."""
        shown, prior = self._workspace.shown, self._workspace.prior
        if not shown.anything or prior.loaded is None or prior.path is None:
            return not shown.anything
        if shown.made_of is not None:
            return shown.made_of.opened.prior is prior.loaded
        recipe = shown.recipe
        return recipe is not None and recipe.prior.file == str(prior.path.resolve())

    def frame(self) -> IteratePictures | None:
        """The shown iterate, with its difference to the truth where that is known; None while there is none."""
        return self.completed(self._workspace.shown.frame())

    def completed(self, frame: IteratePictures | None) -> IteratePictures | None:
        """An iterate of the shown run with its difference to the truth, where that is known."""
        if isinstance(frame, VolumeFrame):
            return self._volume_frame(frame)
        if frame is None or frame.difference is not None:
            return frame
        subject, result = self.subject, self._workspace.shown.result
        if subject.truth is None or subject.image is None or result is None:
            return frame
        return frame.against(subject.truth) if _alike(subject.image, result.image) else frame

    def _volume_frame(self, frame: VolumeFrame) -> VolumeFrame:
        """An iterate of a volume at the crosshair, with its difference to the truth where that is seen."""
        frame = frame.at(self.place)
        volume, recipe = self._workspace.volume, self._workspace.shown.recipe
        if frame.difference is not None or not self.of_open or volume.grid != frame.grid:
            return frame
        if recipe is None or recipe.data is None or recipe.data.window != volume.window:
            return frame  # clipped otherwise
        truth = {
            p.key("difference"): volume.picture(p) for p in Plane if volume.at(p) == self.place.across(p)
        }
        return frame.against_planes({key: pixels for key, pixels in truth.items() if pixels is not None})

    # Pictures ---------------------------------------------------------------------------------------

    def data_pictures(self) -> dict[str, LazyPicture | None]:
        """Truth, baseline and measurement by source."""
        subject = self.subject
        pictures = subject.pictures
        found: dict[str, LazyPicture | None] = {
            "truth": subject.truth,
            "baseline": None if pictures is None else pictures.baseline,
            "measurement": None if pictures is None else pictures.measurement,
        }
        if subject.grid is not None:
            planes = pictures.planes if isinstance(pictures, VolumeProblem) else {}
            for key in ("truth", "baseline"):
                found |= {plane.key(key): planes.get(plane.key(key)) for plane in Plane}
            if subject.is_open:
                found |= {plane.key("truth"): self._workspace.volume.picture(plane) for plane in Plane}
        return found

    def run_pictures_of(self, frame: IteratePictures | None) -> dict[str, LazyPicture | None]:
        """The pictures of an iterate of the shown run by source."""
        if frame is None:
            return dict.fromkeys((*RUN_KEYS, *_RUN_PLANES))
        measured = self.run_pictures
        pictures = pictures_of(frame, None if measured is None else measured.measurement)
        method = self._run_method
        if method is None or not method.measures_as(self.subject.method):
            # of another lattice, under another name
            pictures |= {"measured": None, "misfit": None}
        planes = frame.planes if isinstance(frame, VolumeFrame) else {}
        return pictures | {key: planes.get(key) for key in _RUN_PLANES}

    # Texts ------------------------------------------------------------------------------------------

    def empty_texts(self) -> dict[str, str]:
        """What to say of each source while it has no picture."""
        workspace, subject = self._workspace, self.subject
        if subject.is_open and subject.image is None and not subject.method.imageless:
            opening = workspace.data.opening
            return dict.fromkeys(_ALL, _OPEN if opening is None else f"Opening {opening.name}…")
        texts = dict.fromkeys(_ALL, "") | self._of_data(subject) | self._of_run(subject)
        if subject.grid is not None:
            return texts | self._of_volume(texts)
        if subject.physics.imageless:
            texts |= dict.fromkeys(_MEASURED_KEYS, "Nothing was measured")
            texts |= dict.fromkeys(("truth", "difference"), "There is no truth: nothing was measured")
        elif not subject.has_truth:
            texts |= dict.fromkeys(("truth", "difference"), "There is no truth to compare with")
        return texts

    def _of_volume(self, texts: dict[str, str]) -> dict[str, str]:
        """What is said of a volume's planes; its measurement is that of all slices, and no picture."""
        volume = self._workspace.volume
        found = {plane.key(key): texts[key] for plane in Plane for key in VOLUME_KEYS}
        if self.of_open and self.subject.has_truth:
            found |= {plane.key("truth"): volume.text(plane) for plane in Plane}
        if volume.loading is not None:
            run = f"Reading the volume, {volume.loading:.0%}…"
            found |= {plane.key("estimate"): run for plane in Plane}
        elif not self._workspace.shown.anything and self._workspace.opened() is not None:
            press = f"{texts['estimate']}\nall {volume.grid.shape[0] if volume.grid else 0} slices"
            found |= {plane.key("estimate"): press for plane in Plane}
        return found

    def offers(self) -> dict[str, str]:
        """By which words the pictures of empty sources are offered: what :meth:`take_offer` does."""
        workspace, shown = self._workspace, self._workspace.shown
        if self.subject.grid is not None:
            return {}
        if not self.of_open:
            recipe = None if shown.record is None else shown.record.recipe
            there = recipe is not None and recipe.data is not None and recipe.data.file
            return dict.fromkeys(DATA_KEYS, "Open its data") if there else {}
        waits = workspace.preparation.stage is Stage.AT_RUN and not workspace.occupied_by
        return dict.fromkeys(("baseline", "measurement"), "Compute now") if waits else {}

    def take_offer(self) -> None:
        """Compute what is measured of the open image, or open the data of the run that is shown."""
        record = self._workspace.shown.record
        if self.of_open:
            self._workspace.preparation.compute_now()
        elif record is not None:
            self._workspace.spawn(self._workspace.open_data_of(record))

    def _of_data(self, subject: Subject) -> dict[str, str]:
        if not subject.is_open:
            return dict.fromkeys(DATA_KEYS, f"{self.whose}\nIts own pictures are not in memory")
        return {"truth": "Preparing…"} | dict.fromkeys(("baseline", "measurement"), self._preparing())

    def _preparing(self) -> str:
        """Why what is measured is not there."""
        preparation, run = self._workspace.preparation, self._workspace.run
        share, doing = preparation.progress
        stage = preparation.stage
        task, opened = self._workspace.running, self._workspace.opened()
        of_run = task is not None and task.opened.same_as(opened or task.opened)
        if stage in (Stage.AFTER_RUN, Stage.AT_RUN) and of_run and (going := run.snapshot().preparing):
            (share, doing), stage = going, Stage.PREPARING  # the run does it
        texts = {
            Stage.NOTHING: _PRIOR_WANTED,
            Stage.PREPARING: f"Preparing…\n{f'{doing}, {share:.0%}' if doing else ''}".strip(),
            Stage.AFTER_RUN: f"Prepared when {_lower(self._workspace.occupied_by) or 'the run'} has ended",
            Stage.AT_RUN: "Computed at Run",
            Stage.FAILED: preparation.trouble or "This could not be prepared; see the message above",
            Stage.READY: "Nothing was measured",
        }
        return texts[stage]

    def _of_run(self, subject: Subject) -> dict[str, str]:
        workspace, shown = self._workspace, self._workspace.shown
        if not shown.anything:
            button = "Queue next" if workspace.occupied_by else "Run"
            run = f"Press {button} (Ctrl+R)\nto {'generate' if subject.physics.imageless else 'reconstruct'}"
            if workspace.opened() is None:
                run = _PRIOR_WANTED
            return dict.fromkeys(RUN_KEYS, "Appears with a run") | {"estimate": run}
        if shown.frame() is None:
            waiting = "Appears with the first step" if workspace.run.active else "Nothing of this run is kept"
            return dict.fromkeys(RUN_KEYS, waiting)
        gone = "Only the result of this run is kept"
        texts = dict.fromkeys(RUN_KEYS, gone if shown.history.last is None else "Not part of this method")
        method = self._run_method
        if method is not None and not method.measures_as(subject.method):
            texts |= dict.fromkeys(("measured", "misfit"), "This run measured otherwise than is chosen now")
        frame = shown.frame()
        if isinstance(frame, VolumeFrame) and "state" not in frame.volumes and shown.history.last is not None:
            texts |= dict.fromkeys(
                ("state", "denoised", "measured", "misfit"),
                "Of earlier steps of a volume the estimate is kept",
            )
        texts["deviation"] = "Appears with a method that draws several samples, such as DAPS"
        texts["difference"] = "The truth of this run is not in memory"
        return texts

    @property
    def whose(self) -> str:
        """Of which data the shown run is, as a sentence; "" where it is what is open."""
        if self.of_open:
            return ""
        shown, image = self._workspace.shown, self._workspace.open_image
        name = "The run under way" if shown.record is None else shown.record.name
        nothing = image is None or self._workspace.method.now.imageless
        there = "" if nothing or image is None else f", not of {_place_of(image)}, which is open"
        return f"{name} is of {self._run_data}{there}."

    @property
    def _run_data(self) -> str:
        recipe = self._workspace.shown.recipe
        if recipe is None or recipe.data is None:
            return "no data"
        name = recipe.data.file.replace("\\", "/").rsplit("/", 1)[-1] or "an array"
        if recipe.stack is not None:
            return f"{name}, {slices_text(recipe.stack.pages)}"
        image = self._workspace.data.image
        return _place(name, recipe.data.page, image is not None and image.name == name and image.pages > 1)

    def captions(self, frame: IteratePictures | None) -> dict[str, str]:
        """The short text beside each built-in source."""
        subject, shown = self.subject, self._workspace.shown
        texts, of_volume = dict.fromkeys(_ALL, ""), "" if subject.grid is None else " of the volume"
        pictures = subject.pictures
        if subject.image is not None and subject.truth is not None:
            texts["truth"] = subject.image.unit
        if subject.grid is not None:
            texts |= self._volume_captions(subject.grid)
        if pictures is not None:
            if math.isfinite(pictures.baseline_psnr):
                texts["baseline"] = f"{pictures.baseline_psnr:.2f} dB{of_volume}"
            if pictures.measurement is not None:
                rows, columns = pictures.measurement.shape[:2]
                texts["measurement"] = f"{columns} × {rows}"
        if frame is None:
            return texts
        point, record = shown.history.point_at(frame.step), shown.record
        name = f"{record.name}, " if record is not None else ""
        if record is not None and record.recipe.sample_seeds:
            step = f"mean of {record.name}"
        elif shown.history.last is None and record is not None:
            step = f"{record.name}, result"
        else:
            step = f"{name}step {frame.step}"
        quality = math.nan if point is None else point.psnr
        if point is None and record is not None:
            quality = record.metrics.get("psnr", math.nan)
        if math.isfinite(quality):
            step += f", {quality:.2f} dB{of_volume}"
        if not subject.is_open:
            step += f", of {self._run_data}"
        texts["estimate"] = step
        if frame.state is not None:
            texts["state"] = f"σ = {frame.sigma:.3g}"
        return texts

    def _volume_captions(self, grid: VoxelGrid) -> dict[str, str]:
        """Which plane of how many is seen."""
        volume, found = self._workspace.volume, dict.fromkeys(_PLANES, "")
        for plane in Plane:
            at = volume.at(plane) if self.of_open else self.place.across(plane)
            if at is not None:
                unit = "" if self.subject.image is None else self.subject.image.unit
                caption = grid.caption(self.place.moved(plane, at), plane)
                found[plane.key("truth")] = f"{caption}, {unit}" if unit else caption
            if plane is not Plane.AXIAL:
                here = grid.caption(self.place, plane)
                found |= dict.fromkeys((plane.key(key) for key in VOLUME_KEYS if key != "truth"), here)
        return found

    def verdict(self) -> str:
        """What is shown in a line: a run under way, a result and its quality, a stale one, or what to do first."""
        workspace, shown = self._workspace, self._workspace.shown
        result = shown.result
        if workspace.data.opening is None and shown.record is not None:
            said = f"{shown.record.name}:   {'its file is gone' if result is None else quality(result)}"
            return said if self.of_open else f"{said}   of {self._run_data}, not of what is open"
        if busy := self.under_way():
            return busy
        if workspace.opened() is None:
            what = "an image (Ctrl+O)" if workspace.prior.loaded is not None else "a checkpoint (Ctrl+P)"
            return f"Open {what}, or the demo (Ctrl+D)"
        if workspace.stale:
            return "⚠ Stale: the settings have changed since this result; press Run"
        if result is None:
            return self._before_run()
        return f"{quality(result)}   {result.seconds:.1f} s   seed {result.recipe.seed}"

    def _before_run(self) -> str:
        """What to do first: take the prior that knows such images, where the open one does not."""
        workspace = self._workspace
        if not workspace.unfit:
            return "Ready: press Run"
        better = workspace.better_priors()
        return f"⚠ {f'Use {better[0].stem}: ' if better else ''}{workspace.unfit}"

    def under_way(self) -> str:
        """What the program is at, whichever page is seen: a file that opens, a run, a comparison; empty for nothing."""
        workspace, run = self._workspace, self._workspace.run
        if workspace.data.opening is not None:
            return f"Opening {workspace.data.opening.name}…"
        if run.active:
            image = None if workspace.running is None else workspace.running.opened.image
            other = image is not None and image is not workspace.open_image
            of = f"   of {_place_of(image)}, not of what is open" if image and other else ""
            state = run.snapshot().state
            return f"{state.value}{'' if state is RunState.PAUSED else '…'}{of}"
        return f"{workspace.occupied_by} is under way…" if workspace.occupied_by else ""


def quality(result: Result) -> str:
    """What the metrics say, beside the baseline's."""
    m: Mapping[str, float] = result.metrics
    if "psnr" not in m:
        return f"Residual {m['residual']:.2e}" if "residual" in m else "Sample of the prior"
    said = f"PSNR {m['psnr']:.2f} dB, SSIM {m['ssim']:.3f}"
    if "psnr_baseline" in m:
        baseline = find_physics(result.recipe.physics).baseline
        said += f"   ({baseline} {m['psnr_baseline']:.2f} dB, {m['ssim_baseline']:.3f})"
    return said


def _alike(image: Image, other: Image) -> bool:
    """Whether numbers of one mean the same, pixel by pixel, as those of the other."""
    return (image.shape, image.unit, image.window) == (other.shape, other.unit, other.window)


def _place_of(image: Image) -> str:
    """A file, and which page or slices of it."""
    if image.is_volume:
        return f"{image.name}, {slices_text(image.slices)}"
    return _place(image.name, image.page, image.pages > 1)


def _place(name: str, page: int, several: bool) -> str:
    """A file, and which page of it where that matters."""
    return f"{name}, page {page + 1}" if page or several else name


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
