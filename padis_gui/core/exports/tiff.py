"""Writing results as TIFF in ImageJ's convention or OME's, with the whole recipe inside, page by page."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.exports.about import (
    About,
    PageTiling,
    check_sidecar,
    envelope,
    sidecar_path,
    write_sidecar,
)
from padis_gui.core.exports.content import RunContent
from padis_gui.core.exports.settings import FileSettings, IntegerMapping, integer_mapping
from padis_gui.core.files.formats.tiff_meaning import NAMESPACE
from padis_gui.core.images.image import Pixels
from padis_gui.core.runs.engine import Result
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.files import failures_said, pixels_sha256, writing_atomically

SAMPLE_LABELS = ("mean", "standard deviation", "lower end of the interval", "upper end of the interval")
_CLASSIC = (
    2**32 - 2**25
)  # bytes; above, TIFF needs the wider offsets of BigTIFF, which ImageJ's convention has not
_JSON_IN_FILE = {"ensure_ascii": False}


def write_tiff(
    path: Path,
    pixels: Pixels | Sequence[Pixels],
    recipe: Recipe,
    metrics: Mapping[str, float],
    *,
    spacing: tuple[float, float] | None = None,
    labels: tuple[str, ...] = (),
    details: Mapping[str, Any] | None = None,
    about: About | None = None,
    settings: FileSettings | None = None,
) -> About:
    """Write (C, rows, columns), or pages (pages, C, rows, columns) with a label each. Atomic; returns what was said.

    float32 is neither clipped nor rescaled; whole numbers, where ``settings`` want them, have their mapping stated and
    what it clips counted. ``spacing`` is the pixel pitch (rows, columns) in mm. The JSON of :func:`envelope` is ImageJ's
    ``Info``, or an annotation of OME-XML; ``details`` is what else there is to say of pictures of the laboratory.
    Pages are written one after the other, so that a sequence of views takes no memory of its own.
    Raises :class:`InputError` where the file cannot be written.
    """
    settings = settings or FileSettings()
    single = isinstance(pixels, np.ndarray) and pixels.ndim == 3
    pages: Sequence[Pixels]
    pages = ([pixels] if single else list(pixels)) if isinstance(pixels, np.ndarray) else pixels
    if labels and len(labels) != len(pages):
        raise ValueError(f"{len(labels)} labels for {len(pages)} pages: zip would lose some")
    about = about or About(kind="result" if details is None else "laboratory")
    mapping = integer_mapping(pages, settings, about.unit)
    if mapping is not None:
        mapping = mapping.model_copy(update={"clipped": sum(mapping.stored(page)[1] for page in pages)})
    about = about.model_copy(
        update={
            "labels": labels, "spacing": spacing, "integer": mapping,
            "sha256": about.sha256 or _result_sha256(about, pages),
        }
    )  # fmt: skip
    found = envelope(recipe, metrics, about, details)
    if settings.sidecar:
        check_sidecar(sidecar_path(path))
    with failures_said("The result", Path(path)), writing_atomically(Path(path)) as file:
        _write(file, Path(path).name, pages, found, about, settings, stack=not single)
    if settings.sidecar:
        write_sidecar(path, found)
    return about


def _result_sha256(about: About, pages: Sequence[Pixels]) -> str:
    """The hash of the estimate, where the pages hold it."""
    if about.kind in ("result", "draws"):
        return pixels_sha256(pages[0] if about.kind == "result" else np.stack(pages))
    return ""


def _write(
    file: Any,
    name: str,
    pages: Sequence[Pixels],
    found: Mapping[str, Any],
    about: About,
    settings: FileSettings,
    *,
    stack: bool,
) -> None:
    import tifffile

    channels, rows, columns = pages[0].shape
    many = "Z" if about.kind == "volume" else "T"
    axes = (many if stack else "") + ("YX" if channels == 1 else "CYX")
    shape = (*((len(pages),) if stack else ()), *((channels,) if channels > 1 else ()), rows, columns)
    dtype = np.dtype(settings.values)
    large = not fits_imagej(len(pages) * channels * rows * columns * dtype.itemsize)
    text = json.dumps(found, **_JSON_IN_FILE)  # type: ignore[arg-type]
    options: dict[str, Any] = {"shape": shape, "dtype": dtype}
    if settings.tiff == "OME":
        options |= {"ome": True, "bigtiff": large, "metadata": {"axes": axes, **_ome(found, about, text)}}
        if about.spacing is not None:
            options |= {"resolution": _per(about.spacing, 10.0), "resolutionunit": "CENTIMETER"}
    else:
        if large:
            raise InputError(
                f"A TIFF of up to 4 GB was wanted, which is all that ImageJ's convention can hold, but {len(pages)} "
                "pages take more; choose OME."
            )
        planes = [label for label in about.labels for _ in range(channels)]  # ImageJ labels every plane
        options |= {"imagej": True, "metadata": {"axes": axes, **_imagej(about, text, planes)}}
        if about.spacing is not None:
            options["resolution"] = _per(about.spacing, 1.0)
    named = tifffile.FileHandle(file, name=name)  # it asks for a name, which a file without a path has not
    tifffile.imwrite(named, _planes(pages, about.integer), **options)


def fits_imagej(size: int) -> bool:
    """Whether so many bytes of pixels fit into a TIFF of ImageJ's convention."""
    return size <= _CLASSIC


def _planes(pages: Sequence[Pixels], mapping: IntegerMapping | None) -> Iterator[NDArray[Any]]:
    """Every channel of every page, (rows, columns), as it is stored."""
    for page in pages:
        for plane in page:
            yield (
                np.ascontiguousarray(plane, dtype=np.float32) if mapping is None else mapping.stored(plane)[0]
            )


def _per(spacing: tuple[float, float], length: float) -> tuple[float, float]:
    """Pixels (across, down) in a length in mm."""
    return length / spacing[1], length / spacing[0]


def _imagej(about: About, text: str, planes: list[str]) -> dict[str, Any]:
    """ImageJ's metadata: ``c0`` and ``c1`` turn what it reads into values, where those are whole numbers."""
    found: dict[str, Any] = {"Info": text}
    if planes:
        found["Labels"] = planes
    if about.spacing is not None:  # without it, a unit would say that a pixel is 1 mm wide
        found["unit"] = "mm"
        if about.slice_spacing is not None:
            found["spacing"] = about.slice_spacing
    if about.unit or about.integer is not None:
        found["vunit"] = (
            " ".join(about.unit.encode("ascii", "backslashreplace").decode().split()) or "Gray Value"
        )
    if about.integer is not None:
        # ImageJ adds 32768 to signed numbers before it calibrates them
        low = -32768.0 if about.integer.type == "int16" else about.integer.low
        found |= {"cf": 0, "c0": low, "c1": about.integer.step}
    return found


def _ome(found: Mapping[str, Any], about: About, text: str) -> dict[str, Any]:
    """OME's metadata: the whole JSON as one annotation, and the lines that a person looks for as another."""
    recipe = found["recipe"]
    summary = {
        "solver": recipe["solver"], "seed": str(recipe["seed"]), "physics": recipe["physics"], "unit": about.unit,
        "prior": f"{Path(recipe['prior']['file']).name}, SHA-256 {recipe['prior']['sha256']}",
    } | {name: f"{value:.6g}" for name, value in found["metrics"].items() if value is not None}  # fmt: skip
    if about.integer is not None:
        summary["values"] = about.integer.words
    if about.labels and about.kind != "volume":
        summary["pages"] = "; ".join(about.labels)
    described: dict[str, Any] = {
        "Name": about.name or "padis-gui",
        "CommentAnnotation": {"Namespace": NAMESPACE, "Value": text},
        "MapAnnotation": {"Namespace": f"{NAMESPACE}/summary", **{k: v for k, v in summary.items() if v}},
    }
    if about.spacing is not None:
        described |= {
            "PhysicalSizeY": about.spacing[0], "PhysicalSizeYUnit": "mm",
            "PhysicalSizeX": about.spacing[1], "PhysicalSizeXUnit": "mm",
        }  # fmt: skip
    if about.slice_spacing is not None:
        described |= {"PhysicalSizeZ": about.slice_spacing, "PhysicalSizeZUnit": "mm"}
    return described


def picture_as_tiff(
    pixels: Pixels, info: dict[str, Any], *, spacing: tuple[float, float] | None = None
) -> bytes:
    """One picture of the window, (rows, columns) or (rows, columns, 3), as a float32 TIFF file of ImageJ's convention.

    Values are neither clipped nor rescaled; ``info`` becomes ImageJ's ``Info`` as JSON.
    """
    import tifffile

    planes = pixels if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)
    about = About(kind="picture", unit=str(info.get("unit", "")), spacing=spacing)
    text = json.dumps(info | {"about": about.model_dump(mode="json")}, **_JSON_IN_FILE)  # type: ignore[arg-type]
    options: dict[str, Any] = {} if spacing is None else {"resolution": _per(spacing, 1.0)}
    metadata = {"axes": "YX" if pixels.ndim == 2 else "CYX", **_imagej(about, text, [])}
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer, np.ascontiguousarray(planes), imagej=True, dtype=np.float32, metadata=metadata, **options
    )
    return buffer.getvalue()


def write_result(
    path: Path,
    estimate: Pixels,
    deviation: Pixels | None,
    recipe: Recipe,
    metrics: Mapping[str, float],
    spacing: tuple[float, float] | None,
    interval: tuple[Pixels, Pixels] | None = None,
    *,
    about: About | None = None,
    settings: FileSettings | None = None,
) -> About:
    """Write an estimate (C, rows, columns), and as further pages what is known of its samples.

    These are their deviation, and the ends of an interval of each pixel; each page has its label.
    """
    if deviation is None:
        return write_tiff(path, estimate, recipe, metrics, spacing=spacing, about=about, settings=settings)
    pages = [estimate, deviation, *(interval or ())]
    labels = SAMPLE_LABELS[: len(pages)]
    return write_tiff(
        path, pages, recipe, metrics, spacing=spacing, labels=labels, about=about, settings=settings
    )


def save_result(path: Path, result: Result, about: About, settings: FileSettings | None = None) -> About:
    """Write a result as :func:`write_result` does, a volume as a stack; ``about`` is what is known of it before it is
    written."""
    if result.image.is_volume:
        slices = [result.pixels[z : z + 1] for z in range(len(result.pixels))]
        known = {"kind": "volume", "pages": result.image.slices, "slice_spacing": result.image.slice_spacing}
        about = about.model_copy(update=known | {"sha256": pixels_sha256(result.pixels)})
        return write_tiff(
            path, slices, result.recipe, result.metrics, spacing=result.spacing,
            labels=tuple(f"page {page}" for page in result.image.slices), about=about, settings=settings,
        )  # fmt: skip
    return write_result(
        path, result.pixels, result.deviation, result.recipe, result.metrics, result.spacing, result.interval,
        about=about, settings=settings,
    )  # fmt: skip


def export_result(run: RunContent, path: Path, settings: FileSettings) -> str:
    """Write the image of a run, and what is known of its samples; returns what was written, in words."""
    about = save_result(path, run.result, run.about, settings)
    return f"{_values_in_words(about)}, with the recipe of its run"


def export_iterates(run: RunContent, path: Path, settings: FileSettings) -> str:
    """Write a page for each iterate; returns what was written, in words.

    Raises :class:`InputError` where no iterates are kept.
    """
    result, iterates = run.result, run.iterates
    steps = tuple(iterate.step for iterate in iterates)
    tilings = tuple(None if one.partition is None else PageTiling.of(one.partition) for one in iterates)
    found: dict[str, Any] = {"kind": "iterates", "picture": settings.picture, "steps": steps}
    if any(tilings):
        found["tilings"] = tilings
    about = write_tiff(
        path, [iterate.pixels for iterate in iterates], result.recipe, result.metrics, spacing=result.spacing,
        labels=tuple(iterate.label() for iterate in iterates), about=run.about.model_copy(update=found),
        settings=settings,
    )  # fmt: skip
    return f"{len(steps)} iterates as {_values_in_words(about)}, with the recipe"


def _values_in_words(about: About) -> str:
    """The type of the values, and what was clipped of them."""
    if about.integer is None:
        return "float32"
    clipped = about.integer.clipped
    return about.integer.words + (f", {clipped} values clipped" if clipped else ", nothing clipped")
