"""What the window exports of a run, in whichever form; all of it is made and written in the I/O thread."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from padis_gui.core.exports.about import About
from padis_gui.core.exports.content import IteratePicture, MeasuredScan, RunContent
from padis_gui.core.exports.names import check_free
from padis_gui.core.exports.registry import ExportSettings, write_export
from padis_gui.core.exports.report import COLUMNS
from padis_gui.core.images.image import Image
from padis_gui.core.runs.engine import Result, stem_of
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.files import pixels_sha256
from padis_gui.viewmodels.pictures.frames import History, ProblemPictures, channels_first
from padis_gui.viewmodels.pictures.planes import Place
from padis_gui.viewmodels.pictures.volumes import VolumeFrame, VolumeProblem, grid_of
from padis_gui.viewmodels.runs.runs import RunRecord
from padis_gui.viewmodels.session.workspace import Workspace

# What is written of all slices; the others show the slice at the crosshair
_OF_VOLUMES = ("result", "nifti", "dicom", "ome-zarr", "data-exchange")


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A run that is to be exported: its result, read when it is written, and what is kept of its iterates.

    ``pictures`` are of what the window has measured now, which may be of other data; ``place`` is where the crosshair is
    in a volume, of which what is more than the result shows that slice.
    """

    name: str
    recipe: Recipe
    load: Callable[[], Result | None]
    history: History
    pictures: ProblemPictures | None
    device: str
    place: Place
    seam_ratio: float = math.nan

    @property
    def result(self) -> Result:
        """The result; raises :class:`InputError` where its file is gone."""
        found = self.load()
        if found is None:
            raise InputError(f"The result of {self.name} was wanted, but it is gone; repeat the run.")
        return found


def shown_run(workspace: Workspace) -> Exported | None:
    """The run whose result is shown; None where there is none."""
    result, record = workspace.shown.result, workspace.shown.record
    if result is None:
        return None
    name = record.name if record is not None else result.image.name
    return Exported(
        name=name, recipe=result.recipe, load=lambda: result, history=workspace.shown.history,
        pictures=workspace.preparation.pictures, device=workspace.prior.device_text, place=workspace.volume.place,
        seam_ratio=workspace.shown.history.seam_ratio if record is None else record.seam_ratio,
    )  # fmt: skip


def run_of(workspace: Workspace, record: RunRecord) -> Exported:
    """A run of the list; what is read from its file for this only is forgotten again by :func:`write_runs`."""
    return Exported(
        name=record.name, recipe=record.recipe, load=lambda: record.result, history=record.history,
        pictures=workspace.preparation.pictures, device=workspace.prior.device_text, place=workspace.volume.place,
        seam_ratio=record.seam_ratio,
    )  # fmt: skip


def proposed_name(run: Exported, settings: ExportSettings) -> str:
    """A file name that says what this is, with the ending of what is written."""
    return f"{stem_of(run.recipe)}{settings.kind.appendix}{settings.file_type.suffixes[0]}"


def export_run(run: Exported, path: Path, settings: ExportSettings) -> str:
    """Write what the settings say; returns a sentence about it. Call it in the I/O thread.

    Raises :class:`~padis_gui.core.settings.errors.PadisError` where it cannot be written, or there is nothing of that kind.
    """
    return write_export(_content(run, settings), path, settings)


def export_runs(
    named: Sequence[tuple[RunRecord, Path]], workspace: Workspace, settings: ExportSettings
) -> str:
    """Write runs of the list, each to its path; returns a sentence. Call it in the I/O thread.

    Several files are new ones: raises :class:`InputError` before any is written where one is there already.
    """
    if len(named) > 1:
        there = [path.name for _, path in named if path.exists()]
        check_free([path.name for _, path in named], there, str(named[0][1].parent))
    sentence = ""
    for record, path in named:
        kept = record.nbytes
        sentence = export_run(run_of(workspace, record), path, settings)
        if not kept and record.forgettable:
            record.forget()  # it was read for this only
    if len(named) == 1:
        return sentence
    return f"Exported {len(named)} files to {named[0][1].parent}, with the recipes of their runs."


def _content(run: Exported, settings: ExportSettings) -> RunContent:
    """What there is of a run; truth and baseline where the window has them of the same data."""
    result, points, ratio = run.result, run.history.points, run.seam_ratio
    shown, title = run.pictures, f"{run.name}: {stem_of(result.recipe)}"
    place = run.place
    if result.image.is_volume and settings.what not in _OF_VOLUMES:
        place = grid_of(result.image).inside(place)
        title += f", slice {place.slice + 1} of {result.image.channels}"
        result = replace(result, image=_slice_of(result.image, place.slice))
    if isinstance(shown, VolumeProblem):
        shown = shown.at(place)
    if shown is not None and not _measures(shown, result):
        shown = None
    about = About.of(
        result, run.name, spacing=result.spacing, seam_ratio=ratio if math.isfinite(ratio) else None,
        sha256=result.sha256 or pixels_sha256(result.pixels),
    )  # fmt: skip
    return RunContent(
        name=run.name, title=title, result=result, about=about, pictures=_pictures(run.history, settings, place),
        curves={name: [getattr(point, name) for point in points] for name in COLUMNS},
        truth=None if shown is None or shown.truth is None else channels_first(shown.truth),
        baseline=None if shown is None else channels_first(shown.baseline), measured=_measured(shown), device=run.device,
    )  # fmt: skip


def _measured(shown: ProblemPictures | None) -> MeasuredScan | None:
    """What a scan measured, by the copy of it that is off the device."""
    if shown is None:
        return None
    if isinstance(shown, VolumeProblem):
        return MeasuredScan.of(shown.prepared, shown.measured.numpy())
    return MeasuredScan.of(
        shown.prepared, None if shown.measurement is None else channels_first(shown.measurement)
    )


def _slice_of(volume: Image, at: int) -> Image:
    """One slice of a volume as an image of its own."""
    return replace(volume, pixels=volume.pixels[at : at + 1], page=volume.slices[at], slices=())


def _pictures(history: History, settings: ExportSettings, place: Place) -> list[IteratePicture]:
    """The wanted picture of each iterate that is kept and has it."""
    found = []
    for kept in filter(None, map(history.frame_at, history.steps)):
        frame = kept.at(place) if isinstance(kept, VolumeFrame) else kept
        picture, point = getattr(frame, settings.picture), history.point_at(frame.step)
        if picture is not None:
            psnr = math.nan if point is None else point.psnr
            found.append(
                IteratePicture(
                    step=frame.step, total=frame.total, sigma=frame.sigma, psnr=psnr, pixels=channels_first(picture),
                    partition=frame.partition,
                )
            )  # fmt: skip
    return found


def _measures(shown: ProblemPictures, result: Result) -> bool:
    """Whether what is measured now is what the result was made of."""
    recipe = result.recipe
    return (
        recipe.data is not None
        and recipe.is_of_prepared(shown.prepared)
        and shown.baseline.shape[:2] == result.pixels.shape[1:]
    )
