"""Writing results: float32 TIFF in ImageJ's convention, with the whole recipe inside."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from padis_gui.core.atomic import write_atomically
from padis_gui.core.errors import InputError
from padis_gui.core.metrics import as_json
from padis_gui.core.recipe import Recipe

_SAMPLE_LABELS = ("mean", "standard deviation", "lower end of the interval", "upper end of the interval")


def write_tiff(
    path: Path,
    pixels: NDArray[np.float32],
    recipe: Recipe,
    metrics: dict[str, float],
    *,
    spacing: tuple[float, float] | None = None,
    labels: tuple[str, ...] = (),
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write (C, rows, columns), or (pages, C, rows, columns) with a label each, as float32 TIFF. Atomic.

    Values are neither clipped nor rescaled. ImageJ's ``Info`` holds JSON: ``recipe`` (resolved settings, actual
    seed, hashes), ``metrics``, and as ``laboratory`` the ``details`` of what else than a result this is.
    Raises :class:`InputError` where the file cannot be written.
    """
    pages = pixels if pixels.ndim == 4 else pixels[None]
    grey = pages.shape[1] == 1
    metadata: dict[str, Any] = {
        "axes": ("T" if pixels.ndim == 4 else "") + ("YX" if grey else "CYX"),
        "Info": json.dumps(
            {"recipe": recipe.model_dump(mode="json"), "metrics": as_json(metrics)}
            | ({} if details is None else {"laboratory": dict(details)}),
            ensure_ascii=False,
        ),
    }
    if labels:
        named = zip(labels, pages, strict=True)
        metadata["Labels"] = [label for label, page in named for _ in page]  # ImageJ labels every plane
    planes = pixels[..., 0, :, :] if grey else pixels
    data = _imagej(planes, metadata, spacing)
    try:
        write_atomically(Path(path), data)
    except OSError as error:
        raise InputError(
            f"The result cannot be written to {path} ({error.strerror}); choose another place."
        ) from None


def picture_as_tiff(
    pixels: NDArray[np.float32], info: dict[str, Any], *, spacing: tuple[float, float] | None = None
) -> bytes:
    """One picture of the window, (rows, columns) or (rows, columns, 3), as a float32 TIFF file.

    Values are neither clipped nor rescaled; ``info`` becomes ImageJ's ``Info`` as JSON.
    """
    planes = pixels if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)
    metadata = {"axes": "YX" if pixels.ndim == 2 else "CYX", "Info": json.dumps(info, ensure_ascii=False)}
    return _imagej(np.ascontiguousarray(planes), metadata, spacing)


def _imagej(
    planes: NDArray[np.float32], metadata: dict[str, Any], spacing: tuple[float, float] | None
) -> bytes:
    """A float32 TIFF file in ImageJ's convention; ``spacing`` is the pixel pitch (rows, columns) in mm."""
    import tifffile

    options: dict[str, Any] = {}
    if spacing is not None:
        metadata = metadata | {"unit": "mm"}
        options["resolution"] = (1 / spacing[1], 1 / spacing[0])
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, planes, imagej=True, dtype=np.float32, metadata=metadata, **options)
    return buffer.getvalue()


def write_result(
    path: Path,
    estimate: NDArray[np.float32],
    deviation: NDArray[np.float32] | None,
    recipe: Recipe,
    metrics: dict[str, float],
    spacing: tuple[float, float] | None,
    interval: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
) -> None:
    """Write an estimate (C, rows, columns), and as further pages what is known of its samples.

    These are their deviation, and the ends of an interval of each pixel; each page has its label.
    """
    if deviation is None:
        write_tiff(path, estimate, recipe, metrics, spacing=spacing)
        return
    pages = [estimate, deviation, *(interval or ())]
    labels = _SAMPLE_LABELS[: len(pages)]
    write_tiff(path, np.stack(pages), recipe, metrics, spacing=spacing, labels=labels)


@dataclass(frozen=True, slots=True)
class StoredResult:
    """What :func:`write_result` wrote; pictures are (C, rows, columns) float32."""

    estimate: NDArray[np.float32]
    deviation: NDArray[np.float32] | None
    interval: tuple[NDArray[np.float32], NDArray[np.float32]] | None
    recipe: Recipe
    metrics: dict[str, float | None]


def read_result(path: Path) -> StoredResult:
    """Read back what :func:`write_result` wrote, bit for bit; :class:`InputError` for anything else."""
    import tifffile

    recipe, metrics = read_recipe(path)
    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            axes, pixels = series.axes, series.asarray().astype(np.float32, copy=False)
    except (OSError, ValueError, IndexError, tifffile.TiffFileError) as error:
        raise _unreadable(path) from error
    if axes not in ("YX", "CYX", "TYX", "TCYX"):
        raise _unreadable(path)
    if "C" not in axes:
        pixels = np.expand_dims(pixels, -3)
    pages = list(pixels) if "T" in axes else [pixels]
    return StoredResult(
        estimate=pages[0],
        deviation=pages[1] if len(pages) > 1 else None,
        interval=(pages[2], pages[3]) if len(pages) > 3 else None,
        recipe=recipe,
        metrics=metrics,
    )


def _unreadable(path: Path) -> InputError:
    return InputError(
        f"A result exported by padis-gui was wanted, but the pages of {Path(path).name} cannot be read; run its "
        "recipe again."
    )


def read_recipe(path: Path) -> tuple[Recipe, dict[str, float | None]]:
    """The recipe and metrics inside a TIFF that :func:`write_tiff` wrote; :class:`InputError` for others."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            info = json.loads((file.imagej_metadata or {})["Info"])
        return Recipe.model_validate(info["recipe"]), dict(info["metrics"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError, tifffile.TiffFileError):
        raise InputError(
            f"A TIFF exported by padis-gui was wanted, but {Path(path).name} carries no recipe; open it as "
            "an image."
        ) from None
