"""What an exported file says of itself, beside its pixels: the recipe of its run, and what its pages are."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from padis_gui.core.exports._j_settings__core_data_integers import IntegerMapping
from padis_gui.core.images._j_metrics__core_metrics import as_json
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.settings._j_files__core_atomic import failures_said, write_atomically
from padis_gui.core.settings.errors import InputError

Kind = Literal["result", "iterates", "draws", "picture", "laboratory", "volume"]
_FORMAT = "padis-gui export"
_HEAD = 200  # bytes in which a sidecar says what it is


class About(BaseModel):
    """What the pages are. ``window`` are the intensities that the prior saw as 0 and 1, ``spacing`` is in mm.

    A result has the estimate, and of samples their deviation and the ends of an interval; iterates are estimates (or
    what ``picture`` says) at ``steps``; draws are images of the prior from ``seeds``; the slices of a volume are those
    of ``pages`` of its file, ``slice_spacing`` mm apart, with the metrics of each. ``sha256`` is that of the
    estimate's float32 values, whatever was written.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")

    kind: Kind = "result"
    name: str = ""
    labels: tuple[str, ...] = ()
    picture: str = "estimate"
    steps: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()
    unit: str = ""
    window: tuple[float, float] | None = None
    spacing: tuple[float, float] | None = None
    seconds: float = 0.0
    evaluations: int = 0
    sha256: str = ""
    integer: IntegerMapping | None = None
    pages: tuple[int, ...] = ()
    slice_spacing: float | None = None
    z_smoothing: float = 0.0
    slice_metrics: tuple[dict[str, float | None], ...] = ()


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
