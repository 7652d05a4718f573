"""What the window exports of a run, in whichever form; all of it is made and written in the I/O thread."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from padis_gui.core.exports.about import About, check_sidecar, envelope, sidecar_path, write_sidecar
from padis_gui.core.exports.animation import write_animation
from padis_gui.core.exports.names import check_free
from padis_gui.core.exports.report import COLUMNS, Report, as_html, curves_as_csv, pictures_of, step_label
from padis_gui.core.exports.settings import ExportSettings
from padis_gui.core.exports.tiff import write_result, write_tiff
from padis_gui.core.images.image import Pixels
from padis_gui.core.runs.engine import Result, stem_of
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.files import failures_said, pixels_sha256, write_atomically
from padis_gui.viewmodels.pictures.frames import (
    History,
    IteratePictures,
    ProblemPictures,
    channels_first,
    for_display,
)
from padis_gui.viewmodels.runs.runs import RunRecord
from padis_gui.viewmodels.session.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A run that is to be exported: its result, read when it is written, and what is kept of its iterates.

    ``pictures`` are of what the window has measured now, which may be of other data.
    """

    name: str
    recipe: Recipe
    load: Callable[[], Result | None]
    history: History
    pictures: ProblemPictures | None
    device: str
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
        pictures=workspace.preparation.pictures, device=workspace.prior.device_text,
        seam_ratio=workspace.shown.history.seam_ratio if record is None else record.seam_ratio,
    )  # fmt: skip


def run_of(workspace: Workspace, record: RunRecord) -> Exported:
    """A run of the list; what is read from its file for this only is forgotten again by :func:`write_runs`."""
    return Exported(
        name=record.name, recipe=record.recipe, load=lambda: record.result, history=record.history,
        pictures=workspace.preparation.pictures, device=workspace.prior.device_text,
        seam_ratio=record.seam_ratio,
    )  # fmt: skip


def proposed_name(run: Exported, settings: ExportSettings) -> str:
    """A file name that says what this is, with the ending of what is written."""
    more = "" if settings.what in ("result", "report") else f"_{settings.what}"
    return f"{stem_of(run.recipe)}{more}{settings.suffix}"


def write_export(run: Exported, path: Path, settings: ExportSettings) -> str:
    """Write what the settings say; returns a sentence about it. Call it in the I/O thread.

    Raises :class:`~padis_gui.core.settings.errors.PadisError` where it cannot be written, or there is nothing of that kind.
    """
    if settings.sidecar:
        check_sidecar(sidecar_path(path))
    result = run.result
    about = _about(run, result)
    if settings.what == "result":
        about = write_result(
            path, result.pixels, result.deviation, result.recipe, result.metrics, result.image.spacing,
            result.interval, about=about, settings=settings,
        )  # fmt: skip
        return f"Exported {path.name}: {_values(about)}, with the recipe of its run."
    if settings.what == "iterates":
        about = _write_iterates(run, result, about, path, settings)
        return f"Exported {path.name}: {len(about.steps)} iterates as {_values(about)}, with the recipe."
    if settings.what == "animation":
        frames = _frames(run, settings)
        pictures = [picture for _, picture in frames]
        labels = [_label(run, frame, "noise level") for frame, _ in frames]
        write_animation(path, pictures, labels, result.image.window, settings)
        said = f"{len(frames)} iterates"
    elif settings.what == "curves":
        said = f"the curves of {len(run.history.points)} steps"
        _write(path, lambda: _curves(run))
    else:
        said = "a page with everything about the run"
        _write(path, lambda: as_html(_report(run, result, about)))
    if settings.sidecar:
        found = about.model_copy(update={"kind": "picture"})
        write_sidecar(path, envelope(result.recipe, result.metrics, found))
    return f"Exported {path.name}: {said}."


def write_runs(
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
        sentence = write_export(run_of(workspace, record), path, settings)
        if not kept and record.forgettable:
            record.forget()  # it was read for this only
    if len(named) == 1:
        return sentence
    return f"Exported {len(named)} files to {named[0][1].parent}, with the recipes of their runs."


def _about(run: Exported, result: Result) -> About:
    ratio = run.seam_ratio
    return About.of(
        result, run.name, spacing=result.spacing, seam_ratio=ratio if math.isfinite(ratio) else None,
        sha256=result.sha256 or pixels_sha256(result.pixels),
    )  # fmt: skip


def _values(about: About) -> str:
    """What was written, and what was clipped of it."""
    if about.integer is None:
        return "float32"
    clipped = about.integer.clipped
    return about.integer.words + (f", {clipped} values clipped" if clipped else ", nothing clipped")


def _frames(run: Exported, settings: ExportSettings) -> list[tuple[IteratePictures, Pixels]]:
    """The kept iterates and the wanted picture of each; raises :class:`InputError` where there are none."""
    kept = (run.history.frame_at(step) for step in run.history.steps)
    frames = [(frame, getattr(frame, settings.picture)) for frame in kept if frame is not None]
    found = [(frame, picture) for frame, picture in frames if picture is not None]
    if not found:
        raise InputError(
            f"Iterates were wanted, but none of {run.name} are kept any more; repeat the run, or give the history more "
            "memory in the preferences."
        )
    return found


def _label(run: Exported, frame: IteratePictures, symbol: str) -> str:
    point = run.history.point_at(frame.step)
    psnr = math.nan if point is None else point.psnr
    return step_label(frame.step, frame.total, frame.sigma, psnr, symbol=symbol)


def _write_iterates(
    run: Exported, result: Result, about: About, path: Path, settings: ExportSettings
) -> About:
    frames = _frames(run, settings)
    about = about.model_copy(
        update={
            "kind": "iterates", "picture": settings.picture, "steps": tuple(frame.step for frame, _ in frames)
        }
    )  # fmt: skip
    return write_tiff(
        path, [channels_first(picture) for _, picture in frames], result.recipe, result.metrics,
        spacing=result.image.spacing, labels=tuple(_label(run, frame, "σ") for frame, _ in frames), about=about,
        settings=settings,
    )  # fmt: skip


def _columns(run: Exported) -> dict[str, list[float]]:
    return {name: [getattr(point, name) for point in run.history.points] for name in COLUMNS}


def _curves(run: Exported) -> str:
    if not run.history.points:
        raise InputError(
            f"Curves were wanted, but {run.name} has no steps of its own; export one of its samples."
        )
    return curves_as_csv(_columns(run))


def _report(run: Exported, result: Result, about: About) -> Report:
    """The page's content; truth and baseline are there where the window has them of the same data."""
    shown, recipe = run.pictures, result.recipe
    if shown is not None and not _measures(shown, result):
        shown = None
    spread = result.deviation
    return Report(
        title=f"{run.name}: {stem_of(recipe)}", recipe=recipe, metrics=result.metrics,
        seconds=result.seconds, evaluations=result.evaluations, device=run.device, sha256=about.sha256,
        pictures=pictures_of(
            for_display(result.pixels), result.image.window, result.image.unit,
            truth=None if shown is None else shown.truth,
            baseline=None if shown is None else shown.baseline,
            deviation=None if spread is None else for_display(spread),
        ),
        curves=_columns(run),
    )  # fmt: skip


def _measures(shown: ProblemPictures, result: Result) -> bool:
    """Whether what is measured now is what the result was made of."""
    prepared, recipe = shown.prepared, result.recipe
    image, problem = prepared.opened.image, prepared.method.problem
    return (
        image is not None
        and recipe.data is not None
        and recipe.is_of_data(prepared.opened)
        and image.reading == recipe.data.reading
        and (not problem.is_noisy or prepared.seed == recipe.measured_with)
        and prepared.method.physics == recipe.physics
        and problem == recipe.problem_settings
        and shown.baseline.shape[:2] == result.pixels.shape[1:]
    )


def _write(path: Path, make: Callable[[], str]) -> None:
    text = make()
    with failures_said("The export", path):
        write_atomically(path, text.encode())
