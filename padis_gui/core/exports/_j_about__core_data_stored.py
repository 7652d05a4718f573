"""Reading back what was exported: the recipe, what is known of the run, and the pixels."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from padis_gui.core.exports._j_about__core_data_about import About, opened
from padis_gui.core.files.formats.tiff_meaning import own_text
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.settings.errors import InputError

_LARGEST_JSON = 64 * 2**20
TIFF_SUFFIXES = (".tif", ".tiff")
Pixels = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """An exported file without its pixels. ``file`` is the TIFF with them; None where it is not there."""

    recipe: Recipe
    metrics: dict[str, float | None]
    about: About
    path: Path
    file: Path | None


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A run's result; pictures are (C, rows, columns) float32."""

    estimate: Pixels
    deviation: Pixels | None
    interval: tuple[Pixels, Pixels] | None
    recipe: Recipe
    metrics: dict[str, float | None]
    about: About


def carries_recipe(path: Path) -> bool:
    """Whether a file is an export of this program, which says how it was made; never raises."""
    try:
        read_export(path)
    except InputError:
        return False
    return True


def read_export(path: Path) -> Export:
    """What an exported TIFF, or the JSON file beside one, says of its run. Raises :class:`InputError` for other files."""
    path = Path(path)
    try:
        if path.suffix.lower() == ".json":
            found = _json(path)
            beside = path.parent / Path(str(found.get("file", ""))).name
            file = beside if beside.suffix.lower() in TIFF_SUFFIXES and beside.is_file() else None
        else:
            found, file = json.loads(_text_in(path)), path
        recipe, metrics, about = opened(found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, ValidationError):
        raise InputError(
            f"A TIFF exported by padis-gui, or the JSON beside it, was wanted, but {path.name} carries no recipe; open "
            "it as an image."
        ) from None
    return Export(recipe=recipe, metrics=metrics, about=about, path=path, file=file)


def _json(path: Path) -> Any:
    if path.stat().st_size > _LARGEST_JSON:
        raise ValueError("it is too large")
    return json.loads(path.read_bytes())


def _text_in(path: Path) -> str:
    """The JSON that a TIFF carries, in ImageJ's way or OME's."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            return own_text(file)
    except (tifffile.TiffFileError, IndexError, MemoryError, OverflowError) as error:
        raise ValueError(str(error)) from None


def read_recipe(path: Path) -> tuple[Recipe, dict[str, float | None]]:
    """The recipe and metrics of an exported file (of metrics None is a number that JSON has not).

    Raises :class:`InputError` for other files.
    """
    found = read_export(path)
    return found.recipe, found.metrics


def read_pages(export: Export) -> tuple[list[Pixels], list[NDArray[Any]]]:
    """The pages (C, rows, columns): the values that they stand for, and the numbers as they are stored.

    Raises :class:`InputError` where they cannot be read.
    """
    import tifffile

    if export.file is None:
        raise InputError(
            f"The pixels that belong to {export.path.name} were wanted, but the file it was written beside is gone; put "
            "it back."
        )
    try:
        with tifffile.TiffFile(export.file) as file:
            series = file.series[0]
            if series.nbytes > export.file.stat().st_size:  # nothing of ours is compressed
                raise ValueError("it claims more pixels than it has")
            axes, pixels = series.axes, series.asarray()
    except (OSError, ValueError, IndexError, MemoryError, tifffile.TiffFileError) as error:
        raise _unreadable(export.file) from error
    if axes not in ("YX", "CYX", "TYX", "TCYX", "ZYX", "ZCYX"):
        raise _unreadable(export.file)
    if "C" not in axes:
        pixels = np.expand_dims(pixels, -3)
    stored = list(pixels) if axes[0] in "TZ" else [pixels]
    mapping = export.about.integer
    values = [
        page.astype(np.float32, copy=False) if mapping is None else mapping.values(page) for page in stored
    ]
    return values, stored


def read_result(path: Path) -> StoredResult:
    """Read back what :func:`~padis_gui.core.exports.tiff.write_result` wrote; :class:`InputError` for anything else.

    Bit for bit, unless whole numbers were written.
    """
    export = read_export(path)
    if export.about.kind != "result":
        raise _unreadable(Path(path))
    pages, _ = read_pages(export)
    return StoredResult(
        estimate=pages[0],
        deviation=pages[1] if len(pages) > 1 else None,
        interval=(pages[2], pages[3]) if len(pages) > 3 else None,
        recipe=export.recipe,
        metrics=export.metrics,
        about=export.about,
    )


def _unreadable(path: Path) -> InputError:
    return InputError(
        f"A result exported by padis-gui was wanted, but the pages of {Path(path).name} cannot be read; run its "
        "recipe again."
    )
