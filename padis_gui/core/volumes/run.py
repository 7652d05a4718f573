"""Through all slices of a volume, and at the end one TIFF: a generator of what happens on the way."""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from padis_gui.core.exports.about import About, read_export
from padis_gui.core.exports.settings import FileSettings
from padis_gui.core.exports.tiff import fits_imagej, write_tiff
from padis_gui.core.settings.errors import InputError
from padis_gui.core.volumes.parts import Parts, SliceRecord, StoredVolume
from padis_gui.core.volumes.request import PARTS_SUFFIX, VolumeRequest, fingerprint
from padis_gui.core.volumes.slices import OnIterate, SliceOutcome, SliceTask, finish

# Makes slices, in any order; the tasks are taken one by one, as there is somebody to do them
Executor = Callable[[Iterable[SliceTask]], Iterator[SliceOutcome]]


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeBegan:
    """``total`` slices are to be made, those of the second pass (smoothing) included; ``done`` are there already."""

    pages: tuple[int, ...]
    total: int
    done: int
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceDone:
    """One more slice is safely on the disk, in ``file``; ``kept`` where it was there from an earlier run."""

    page: int
    smooth: bool
    done: int
    total: int
    file: Path
    metrics: dict[str, float | None]
    seconds: float
    kept: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceFailed:
    """A slice that cannot be made, and why."""

    page: int
    trouble: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """All slices are finished; the TIFF is written."""

    out: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeDone:
    """The TIFF is there. ``metrics`` are means over the slices; ``kept`` where it was there already."""

    out: Path
    pages: tuple[int, ...]
    metrics: dict[str, float | None]
    slices: tuple[dict[str, float | None], ...]
    seconds: float
    kept: bool = False


VolumeEvent = VolumeBegan | SliceDone | SliceFailed | Writing | VolumeDone


def as_line(event: VolumeEvent) -> str:
    """One line of JSON that names the event."""
    names = {
        VolumeBegan: "volume", SliceDone: "slice", SliceFailed: "failed", Writing: "writing", VolumeDone: "done"
    }  # fmt: skip
    return json.dumps({"event": names[type(event)], **asdict(event)}, default=str, ensure_ascii=False)


def in_this_process(
    watch: OnIterate = lambda _page, _iterate: None, check: Callable[[], None] = lambda: None
) -> Executor:
    """One slice after the other. ``watch`` sees every iterate, ``check`` may raise before every batch of patches."""

    def execute(tasks: Iterable[SliceTask]) -> Iterator[SliceOutcome]:
        for task in tasks:
            check()
            yield finish(task, watch, check)

    return execute


def reconstruct_volume(
    request: VolumeRequest, execute: Executor | None = None, *, restart: bool = False
) -> Iterator[VolumeEvent]:
    """Make every slice that is not there yet, and write the volume once all are.

    A slice that fails does not stop the others, but there is no volume then: the last event is the failure, and the
    finished slices stay. The memory taken does not depend on how many slices there are. ``restart`` throws away what
    an earlier run has left. Raises :class:`InputError` where the disk does not take it, or where what was left belongs
    to other settings.
    """
    began = time.perf_counter()
    execute = execute or in_this_process()
    parts = Parts(request.folder)
    if restart:
        parts.clear()
    elif (found := finished(request)) is not None:
        parts.clear()  # a run that was killed between the volume and this line has left them
        yield found
        return
    parts.open(request)
    smooth = request.z_smoothing > 0
    passes = (False, True) if smooth else (False,)
    kept = {
        later: {page for page in request.pages if _is_done(parts, request, page, later)} for later in passes
    }
    total, done = len(passes) * len(request.pages), 0
    yield VolumeBegan(
        pages=request.pages, total=total, done=sum(map(len, kept.values())), folder=request.folder
    )
    failed = False
    for later in passes:
        for page in sorted(kept[later]):
            done += 1
            yield _kept(parts, page, later, done, total)
        wanted = [page for page in request.pages if page not in kept[later]]
        for outcome in execute(_task(request, page, later) for page in wanted):
            if outcome.trouble:
                failed = True
                yield SliceFailed(page=outcome.page, trouble=outcome.trouble)
                continue
            done += 1
            yield SliceDone(
                page=outcome.page, smooth=later, done=done, total=total, seconds=outcome.seconds,
                file=parts.path(outcome.page, smooth=later), metrics=outcome.metrics,
            )  # fmt: skip
        if failed:
            return
    yield Writing(out=request.out)
    try:
        metrics, slices = _write(request, parts, smooth=smooth)
    except InputError as error:
        if error.remedy != "elsewhere":
            raise
        raise InputError(
            f"{error} The finished slices are kept in {request.folder}: the same command writes them."
        ) from None
    parts.clear()
    yield VolumeDone(
        out=request.out, pages=request.pages, metrics=metrics, slices=slices,
        seconds=time.perf_counter() - began,
    )  # fmt: skip


def finished(request: VolumeRequest) -> VolumeDone | None:
    """The volume, if it has been written already by the same request."""
    try:
        export = read_export(request.out)
    except InputError:
        return None
    about = export.about
    same = (
        about.kind == "volume" and about.pages == request.pages and about.z_smoothing == request.z_smoothing
        and about.slice_spacing == request.slice_spacing
        and fingerprint(export.recipe) == fingerprint(request.template)
    )  # fmt: skip
    if not same:
        return None
    return VolumeDone(
        out=request.out, pages=request.pages, metrics=export.metrics, slices=about.slice_metrics,
        seconds=about.seconds, kept=True,
    )  # fmt: skip


def earlier_seed(out: Path) -> int | None:
    """The seed of the volume in ``out``, finished or not: a run without one of its own goes on with it."""
    out = Path(out).absolute()
    try:
        return Parts(out.with_name(out.name + PARTS_SUFFIX)).request().template.seed
    except InputError:
        pass
    try:
        export = read_export(out)
    except InputError:
        return None
    return export.recipe.seed if export.about.kind == "volume" else None


def _task(request: VolumeRequest, page: int, smooth: bool) -> SliceTask:
    return SliceTask(
        template=request.template, page=page, folder=request.folder,
        z_smoothing=request.z_smoothing if smooth else 0.0, neighbours=request.neighbours(page) if smooth else (),
        smooth=smooth,
    )  # fmt: skip


def _is_done(parts: Parts, request: VolumeRequest, page: int, smooth: bool) -> bool:
    """Whether a slice is finished; a smoothed one only if it was made of the estimates that are there now."""
    record = parts.record(page, smooth=smooth)
    if record is None or not smooth:
        return record is not None
    sources = [parts.record(p) for p in (page, *request.neighbours(page))]
    return record.z_smoothing == request.z_smoothing and record.made_from == tuple(
        "" if source is None else source.sha256 for source in sources
    )


def _kept(parts: Parts, page: int, smooth: bool, done: int, total: int) -> SliceDone:
    record = _record(parts, page, smooth)
    return SliceDone(
        page=page, smooth=smooth, done=done, total=total, file=parts.path(page, smooth=smooth),
        metrics=record.metrics, seconds=record.seconds, kept=True,
    )  # fmt: skip


def _record(parts: Parts, page: int, smooth: bool) -> SliceRecord:
    record = parts.record(page, smooth=smooth)
    if record is None:
        raise InputError(
            f"The finished slice of page {page} was wanted, but {parts.path(page, smooth=smooth)} is gone or damaged; run "
            "the same command again."
        )
    return record


def _write(
    request: VolumeRequest, parts: Parts, *, smooth: bool
) -> tuple[dict[str, float | None], tuple[dict[str, float | None], ...]]:
    """The TIFF, page by page; returns the means of the metrics, and those of each slice."""
    assert request.template.data is not None
    window = request.template.data.window
    slices, seconds, evaluations, channels = [], 0.0, 0, 1
    sides: tuple[int, ...] = ()
    spacing = None
    steps, before = [], None
    for page in request.pages:
        record, pixels = _record(parts, page, smooth), parts.pixels(page, smooth=smooth)
        sides, spacing = sides or pixels.shape[1:], spacing or record.spacing
        if pixels.shape[1:] != sides:
            wanted, came = (" x ".join(map(str, s)) for s in (sides, pixels.shape[1:]))
            raise InputError(
                f"Slices of one size were wanted, but page {page} has {came} pixels and the ones before have {wanted}; "
                "leave it out of the pages."
            )
        channels = max(channels, pixels.shape[0])
        if before is not None:
            steps.append(float(np.mean(np.abs(pixels - before))))
        before = pixels
        slices.append(record.metrics | (_unsmoothed(parts, page) if smooth else {}))
        seconds, evaluations = seconds + record.seconds, evaluations + record.evaluations
    found = _means(slices)
    if steps:
        found["z_difference"] = float(np.mean(steps))
    volume = StoredVolume(parts, request.pages, smooth=smooth, window=window, channels=channels)
    about = About(
        kind="volume", name=Path(request.template.data.file).name, unit=request.template.data.unit, window=window,
        pages=request.pages, slice_spacing=request.slice_spacing, z_smoothing=request.z_smoothing,
        slice_metrics=tuple(slices), seconds=seconds, evaluations=evaluations,
    )  # fmt: skip
    fits = fits_imagej(len(volume) * channels * math.prod(sides) * 4)
    write_tiff(
        request.out, volume, request.template, {name: math.nan if v is None else v for name, v in found.items()},
        spacing=spacing, labels=tuple(f"page {page}" for page in request.pages), about=about,
        settings=FileSettings(tiff="ImageJ" if fits else "OME"),
    )  # fmt: skip
    return found, about.slice_metrics


def _unsmoothed(parts: Parts, page: int) -> dict[str, float | None]:
    """The metrics of a slice before it was smoothed: what smoothing has won or cost."""
    names = ("psnr", "ssim", "residual")
    found = _record(parts, page, False).metrics
    return {f"{name}_unsmoothed": found[name] for name in names if name in found}


def _means(slices: list[dict[str, float | None]]) -> dict[str, Any]:
    """The mean of each metric over the slices that have it."""
    names = dict.fromkeys(name for metrics in slices for name in metrics)
    found: dict[str, float | None] = {}
    for name in names:
        values = [value for metrics in slices if (value := metrics.get(name)) is not None]
        found[name] = float(np.mean(values)) if values else None
    return found
