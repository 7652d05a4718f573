"""What an exported file says of itself beside its pixels, and how both are read again."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError, model_validator

from padis_gui.core.exports.settings import IntegerMapping
from padis_gui.core.files.formats.ome_zarr import finest_level, own_attributes
from padis_gui.core.files.formats.tiff_meaning import own_text
from padis_gui.core.images.image import Pixels
from padis_gui.core.images.metrics import as_json
from padis_gui.core.prior.partition import Partition
from padis_gui.core.runs.differences import said_newer
from padis_gui.core.runs.engine import Result
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.settings.errors import InputError, Remedy
from padis_gui.core.settings.files import failures_said, write_atomically
from padis_gui.core.settings.untrusted import check_text, fault_of, parse_json, read_json

Kind = Literal["result", "iterates", "draws", "picture", "laboratory", "volume"]
_FORMAT = "padis-gui export"
NEWER: Remedy = "newer"  # where a newer version of this program is wanted
_HEAD = 200  # bytes in which a sidecar says what it is


_MOST_TILES = 10_000  # along an axis, or grids
_Starts = Annotated[tuple[Annotated[int, Field(ge=-(2**20), le=2**20)], ...], Field(max_length=_MOST_TILES)]


class PageTiling(BaseModel):
    """Where the tiles of a page's denoiser call lay: grid by grid the first rows and the first columns of its tiles of
    ``patch`` px, counted from the image's first pixel, below 0 in the padding. A grid has a tile at each pair of them."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    patch: Annotated[int, Field(ge=1, le=2**20)]
    grids: Annotated[tuple[tuple[_Starts, _Starts], ...], Field(max_length=_MOST_TILES)]

    @classmethod
    def of(cls, partition: Partition) -> Self:
        """That of a partition."""
        rows, columns = (
            [tuple(start - pad for start in starts) for starts in partition.starts(axis)]
            for axis, pad in enumerate(partition.pad)
        )
        return cls(patch=partition.patch, grids=tuple(zip(rows, columns, strict=True)))

    @property
    def tiles(self) -> Iterator[tuple[int, int]]:
        """The first (row, column) of every tile."""
        return ((row, column) for rows, columns in self.grids for row in rows for column in columns)


class About(BaseModel):
    """What the pages are. ``window`` are the intensities that the prior saw as 0 and 1, ``spacing`` is in mm.

    A result has the estimate, and of samples their deviation and the ends of an interval; iterates are estimates (or
    what ``picture`` says) at ``steps``, made by ``tilings`` where these are known; draws are images of the prior from
    ``seeds``; the slices of a volume are those of ``pages`` of its file, ``slice_spacing`` mm apart, with the metrics of
    each. The estimate was that of ``step`` of ``total`` steps at noise level ``sigma``, with ``seam_ratio``; 0 and None are
    not known. ``sha256`` is that of the estimate's float32 values, whatever was written.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null", defer_build=True)

    kind: Kind = "result"
    name: str = ""
    labels: tuple[str, ...] = ()
    picture: str = "estimate"
    steps: tuple[int, ...] = ()
    tilings: tuple[PageTiling | None, ...] = ()
    seeds: tuple[int, ...] = ()
    unit: str = ""
    window: tuple[float, float] | None = None
    spacing: tuple[float, float] | None = None
    seconds: float = 0.0
    evaluations: int = 0
    step: int = 0
    total: int = 0
    sigma: float | None = None
    seam_ratio: float | None = None
    sha256: str = ""
    integer: IntegerMapping | None = None
    pages: tuple[NonNegativeInt, ...] = ()
    slice_spacing: float | None = None
    z_smoothing: float = 0.0
    slice_metrics: tuple[dict[str, float | None], ...] = ()

    @model_validator(mode="after")
    def _volume_has_slices(self) -> Self:
        if self.kind == "volume" and not self.pages:
            raise ValueError("a volume of at least one page is wanted")
        return self

    @classmethod
    def of(cls, result: Result, name: str, **more: Any) -> "About":
        """What a run's result says of itself under a name; ``more`` are other fields."""
        known: dict[str, Any] = {
            "name": name, "unit": result.unit, "window": result.window, "seconds": result.seconds,
            "evaluations": result.evaluations, "step": result.step, "total": result.total,
            "sigma": result.sigma if math.isfinite(result.sigma) else None,
        }  # fmt: skip
        if result.image.is_volume:
            known |= {
                "kind": "volume", "pages": result.image.slices, "slice_spacing": result.image.slice_spacing,
                "labels": tuple(f"page {page}" for page in result.image.slices),
            }  # fmt: skip
        return cls(**known | more)


def envelope(
    recipe: Recipe, metrics: Mapping[str, float], about: About, details: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """All of it as JSON can hold it; ``details`` are what else the laboratory says."""
    return {
        "format": _FORMAT,
        "recipe": recipe.model_dump(mode="json"),
        "metrics": as_json(dict(metrics)),
        "about": about.model_dump(mode="json", exclude_defaults=True),
    } | ({} if details is None else {"laboratory": dict(details)})


def opened(found: Any) -> tuple[Recipe, dict[str, float | None], About]:
    """What :func:`envelope` made; raises :class:`ValueError`, :class:`KeyError` or :class:`TypeError` for others.

    Files of earlier versions say nothing of their pages; what they hold is known from those.
    """
    check_text(found)
    recipe = Recipe.model_validate(found["recipe"])
    metrics = {str(name): None if v is None else float(v) for name, v in dict(found["metrics"]).items()}
    if "about" in found:
        about = About.model_validate(found["about"])
    else:
        kind: Kind = "laboratory" if "laboratory" in found else "picture" if "source" in found else "result"
        about = About(kind=kind)
    return recipe, metrics, about


def sidecar_path(path: Path) -> Path:
    """Where the JSON lies that goes with an exported file: beside it, ending in .json."""
    return Path(path).with_suffix(".json")


def write_sidecar(path: Path, found: Mapping[str, Any]) -> None:
    """Write an :func:`envelope` as a JSON file beside the export ``path``, whose name it holds. Atomic.

    Raises :class:`InputError` where it cannot be written, or would be written over a file of the user's.
    """
    text = json.dumps({**found, "file": Path(path).name}, indent=1, ensure_ascii=False)
    target = sidecar_path(path)
    check_sidecar(target)
    with failures_said("The recipe", target):
        write_atomically(target, text.encode())


def check_sidecar(target: Path) -> None:
    """Nobody was asked about this name, which may be that of a scan's geometry: only sidecars are written over.

    Raises :class:`InputError` for any other file.
    """
    try:
        ours = f'"{_FORMAT}"'.encode() in target.read_bytes()[:_HEAD] if target.exists() else True
    except OSError:
        ours = False
    if not ours:
        raise InputError(
            f"The recipe would go into {target}, but that is another file; choose another name, or leave the JSON out."
        )


def known_metrics(metrics: Mapping[str, float | None]) -> dict[str, float]:
    """Metrics with NaN where JSON had to leave them out."""
    return {name: math.nan if value is None else value for name, value in metrics.items()}


TIFF_SUFFIXES = (".tif", ".tiff")


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """An exported file without its pixels. ``file`` is the TIFF with them; None where it is not there."""

    recipe: Recipe
    metrics: dict[str, float | None]
    about: About
    path: Path
    file: Path | None


@dataclass(frozen=True, slots=True, eq=False)
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


def said_of_newer(path: Path) -> str:
    """A sentence on a file whose recipe only a newer version of this program can read; "" of all others, and never
    raises."""
    try:
        read_export(path)
    except InputError as error:
        return str(error) if error.remedy == NEWER else ""
    return ""


def read_export(path: Path) -> Export:
    """What an exported TIFF or OME-Zarr, or the JSON file beside one, says of its run. Raises :class:`InputError` for
    others."""
    path = Path(path)
    try:
        if path.suffix.lower() == ".json":
            found = read_json(path)
            beside = path.parent / Path(str(found.get("file", ""))).name
            file = beside if beside.suffix.lower() in TIFF_SUFFIXES and beside.is_file() else None
        elif path.is_dir():
            found, file = own_attributes(path), path
        else:
            found, file = parse_json(_text_in(path), nan=True), path
        recipe, metrics, about = opened(found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, ValidationError) and _is_ours(found):
            stated = found["recipe"].get("versions")
            newer = said_newer(path.name, stated.get("padis_gui") if isinstance(stated, dict) else None)
            if newer:
                raise InputError(
                    f"{newer} Its recipe cannot be read here ({fault_of(error)}).", remedy=NEWER
                ) from None
            raise InputError(
                f"A recipe that can be used was wanted, but in that of {path.name} {fault_of(error)}; export the run again."
            ) from None
        raise InputError(
            f"A TIFF exported by padis-gui, or the JSON beside it, was wanted, but {path.name} carries no recipe; open "
            "it as an image."
        ) from None
    return Export(recipe=recipe, metrics=metrics, about=about, path=path, file=file)


def _is_ours(found: Any) -> bool:
    """Whether it is by this program, or says so."""
    recipe = found["recipe"]
    return isinstance(recipe, dict) and recipe.get("format") == Recipe.model_fields["format"].default


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
        if export.file.is_dir():
            pixels = finest_level(export.file)
            axes = {2: "YX", 3: "ZYX" if export.about.kind == "volume" else "CYX"}.get(pixels.ndim, "")
        else:
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
