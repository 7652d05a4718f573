"""The report: one HTML page with pictures, curves and all settings; and the curves as a table.

Everything is inside of the page: no script, and nothing is fetched from anywhere. Its pictures have 8 bits, for looking
at and not for measuring; curves are drawn in the pixels of a small picture, without a plotting library.
"""

import base64
import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.exports.content import Curves, RunContent
from padis_gui.core.exports.settings import FileSettings
from padis_gui.core.images.metrics import as_json
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.settings.declarations import Settings, SettingSpec, specs
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.files import failures_said, write_atomically
from padis_gui.core.solvers.registry import find_solver

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage


Bytes = NDArray[np.uint8]
_SMALL = 256  # px: smaller pictures are enlarged, each pixel a square


def as_seen(channels: NDArray[np.float32], *, volume: bool = False) -> NDArray[np.float32]:
    """(C, rows, columns) as (rows, columns) or (rows, columns, 3); of a volume its middle slice."""
    if volume:
        middle: NDArray[np.float32] = channels[len(channels) // 2]
        return middle
    return channels[0] if channels.shape[0] == 1 else np.moveaxis(channels[:3], 0, 2)


def as_bytes(pixels: NDArray[np.floating[Any]], low: float, high: float) -> Bytes:
    """(rows, columns) or (rows, columns, 3) with ``low`` as black and ``high`` as white; what is no number is black."""
    scaled = (pixels.astype(np.float64) - low) / (high - low) * 255
    made: Bytes = np.rint(np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0).clip(0, 255)).astype(
        np.uint8
    )
    return made


def signed_as_bytes(pixels: NDArray[np.floating[Any]], most: float) -> Bytes:
    """(rows, columns) about 0 as colours: blue below, white at 0, red above, full at ``most``."""
    share = np.nan_to_num(pixels.astype(np.float64) / most).clip(-1, 1)
    away = 1 - np.abs(share)
    ends = np.where(share[..., None] < 0, (33, 102, 172), (178, 24, 43))
    made: Bytes = np.rint(255 * away[..., None] + ends * (1 - away[..., None])).astype(np.uint8)
    return made


def enlarged(pixels: Bytes) -> Bytes:
    """Small pictures with every pixel as a square of pixels."""
    times = -(-_SMALL // max(pixels.shape[:2]))
    return pixels.repeat(times, axis=0).repeat(times, axis=1) if times > 1 else pixels


def picture(pixels: Bytes) -> "PilImage":
    """As an image of Pillow, "L" or "RGB"."""
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(pixels))


def png_uri(pixels: Bytes) -> str:
    """A PNG inside a ``data:`` address."""
    buffer = io.BytesIO()
    picture(pixels).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


# column -> (what it is, unit, on a logarithmic axis); the order in which they are written
COLUMNS: dict[str, tuple[str, str, bool]] = {
    "step": ("Step", "", False),
    "sigma": ("Noise level σ", "", True),
    "psnr": ("PSNR", "dB", False),
    "ssim": ("SSIM", "", False),
    "residual": ("Residual", "", True),
    "seam_ratio": ("Seam ratio", "", False),
    "disagreement": ("Disagreement of two offsets", "", False),
    "seconds": ("Time of the step", "s", False),
}


def known(curves: Curves) -> dict[str, list[float]]:
    """The columns that have at least one finite value, in their order."""
    return {
        name: list(curves[name])
        for name in COLUMNS
        if name in curves and any(math.isfinite(value) for value in curves[name])
    }


def curves_as_csv(curves: Curves) -> str:
    """A table with a line for each iterate; what is not known is left empty. Units are in the heads."""
    found = known(curves)
    heads = [f"{name} [{COLUMNS[name][1]}]" if COLUMNS[name][1] else name for name in found]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    for row in zip(*found.values(), strict=True):
        writer.writerow([_curve_number(value) for value in row])
    return text.getvalue()


def _curve_number(value: float) -> str:
    if not math.isfinite(value):
        return ""
    return str(value) if isinstance(value, int) else f"{value:.9g}"


_WIDTH, _HEIGHT = 340, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 26, 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One curve as (x, y) pixels from the upper left, with what is written at its axes.

    ``ticks`` are heights and their labels, ``ends`` the first and the last step, ``reference`` is the height of a
    named line.
    """

    title: str
    unit: str
    points: list[tuple[float, float]]
    ticks: list[tuple[float, str]]
    ends: list[tuple[float, str]]
    reference: tuple[float, str] | None
    size: tuple[int, int] = (_WIDTH, _HEIGHT)
    across: tuple[int, int] = (_LEFT, _WIDTH - _RIGHT)


def chart(
    title: str,
    unit: str,
    steps: Sequence[float],
    values: Sequence[float],
    *,
    logarithmic: bool = False,
    reference: tuple[str, float] | None = None,
) -> Chart | None:
    """The curve of ``values`` over ``steps``; None where there is nothing to be drawn.

    What is not finite is left out, on a logarithmic axis also what is not positive. ``reference`` is the name of a
    line and its value.
    """
    points = [
        (float(x), float(y))
        for x, y in zip(steps, values, strict=True)
        if math.isfinite(y) and (y > 0 or not logarithmic)
    ]
    if not points:
        return None
    if reference is not None and not math.isfinite(reference[1]):
        reference = None
    heights = [y for _, y in points] + ([] if reference is None else [reference[1]])
    to_scale = math.log10 if logarithmic else float
    low, high = to_scale(min(heights)), to_scale(max(heights))
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    first, last = points[0][0], points[-1][0]
    length = max(last - first, 1)

    def across(x: float) -> float:
        return _LEFT + (x - first) / length * (_WIDTH - _LEFT - _RIGHT)

    def up(y: float) -> float:
        return _HEIGHT - _BOTTOM - (to_scale(y) - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    ticks = [10**tick if logarithmic else tick for tick in round_ticks(low, high, decades=logarithmic)]
    return Chart(
        title=title, unit=unit, points=[(across(x), up(y)) for x, y in points],
        ticks=[(up(tick), f"{tick:.3g}" if logarithmic else f"{tick:.6g}") for tick in ticks],
        ends=[(across(x), f"{x:g}") for x in (first, last)],
        reference=None if reference is None else (up(reference[1]), reference[0]),
    )  # fmt: skip


def round_ticks(low: float, high: float, *, decades: bool = False) -> list[float]:
    """Three to six round numbers from low to high; of exponents whole ones, where the range has some."""
    raw = (high - low) / 4
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= raw)
    if decades and high - low >= 1:
        step = max(1.0, math.ceil(step))
    return [n * step for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


_METRICS = {
    "psnr": ("PSNR", "dB"), "ssim": ("SSIM", ""), "residual": ("Residual", ""), "samples": ("Samples", ""),
    "correlation": ("Rank correlation of deviation and error", ""), "coverage": ("Truth inside the interval", ""),
}  # fmt: skip
_TEMPLATE = Path(__file__).with_name("page.html")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReportPicture:
    """A picture (rows, columns) or (rows, columns, 3) in ``unit``, black at ``low`` and white at ``high``.

    A ``signed`` one, (rows, columns), is about 0: blue below, red above.
    """

    label: str
    pixels: NDArray[np.float32]
    low: float
    high: float
    unit: str = ""
    signed: bool = False

    @property
    def caption(self) -> str:
        """What it is, how large, and what black and white are."""
        rows, columns = self.pixels.shape[:2]
        return f"{self.label}: {rows} × {columns}, {self.low:.4g} to {self.high:.4g} {self.unit}".strip()

    def png(self) -> str:
        """A ``data:`` address with the pixels."""
        if self.signed:
            return png_uri(enlarged(signed_as_bytes(self.pixels, self.high)))
        return png_uri(enlarged(as_bytes(self.pixels, self.low, self.high)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a page tells of a run; ``notes`` are sentences about it."""

    title: str
    recipe: Recipe
    metrics: Mapping[str, float]
    seconds: float = 0.0
    evaluations: int = 0
    device: str = ""
    sha256: str = ""
    pictures: Sequence[ReportPicture] = ()
    curves: Curves = field(default_factory=dict)
    notes: Sequence[str] = ()


def pictures_of(
    estimate: NDArray[np.float32],
    window: tuple[float, float],
    unit: str,
    *,
    truth: NDArray[np.float32] | None = None,
    baseline: NDArray[np.float32] | None = None,
    deviation: NDArray[np.float32] | None = None,
) -> list[ReportPicture]:
    """The pictures of a run, each (rows, columns) or (rows, columns, 3) in ``unit``, with their windows."""
    low, high = window
    found = [ReportPicture(label="Estimate", pixels=estimate, low=low, high=high, unit=unit)]
    for label, pixels in (("Truth", truth), ("Baseline", baseline)):
        if pixels is not None:
            found.append(ReportPicture(label=label, pixels=pixels, low=low, high=high, unit=unit))
    if truth is not None and truth.shape == estimate.shape:
        apart = estimate - truth
        apart = apart if apart.ndim == 2 else apart.mean(axis=2)
        most = _most(np.abs(apart), (high - low) / 100)
        found.append(
            ReportPicture(
                label="Estimate − truth", pixels=apart, low=-most, high=most, unit=unit, signed=True
            )
        )
    if deviation is not None:
        most = _most(deviation, (high - low) / 100)
        found.append(
            ReportPicture(label="Standard deviation", pixels=deviation, low=0.0, high=most, unit=unit)
        )
    return found


def _most(values: NDArray[np.float32], least: float) -> float:
    """What almost all values stay below; ``least`` where they are all 0 or no numbers."""
    finite = values[np.isfinite(values)]
    return (float(np.percentile(finite, 99)) if finite.size else 0.0) or least


def as_html(report: Report) -> str:
    """The page. The template escapes every text; its policy forbids scripts and every request."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    environment.filters["metric_text"] = _metric_text
    environment.filters["setting_text"] = _text
    environment.filters["shown_settings"] = _shown_settings
    recipe = report.recipe
    solver, physics = find_solver(recipe.solver), find_physics(recipe.physics)
    data = (
        "no data"
        if recipe.data is None
        else f"{Path(recipe.data.file).name or 'array'}, page {recipe.data.page + 1}"
    )
    seed = f"{len(recipe.sample_seeds)} samples" if recipe.sample_seeds else f"seed {recipe.seed}"
    found = as_json(dict(report.metrics))
    names = [name for name in found if not name.endswith("_baseline")]
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        report=report, solver=solver, physics=physics,
        subtitle=f"{physics.label}, {solver.label}, {data}, {seed}",
        metrics=[
            (*_METRICS.get(name, (name, "")), found[name], found.get(f"{name}_baseline")) for name in names
        ],
        compared=any(f"{name}_baseline" in found for name in names),
        charts=_charts(report), made_of=_made_of(report),
        recipe_json=json.dumps(recipe.model_dump(mode="json"), indent=1, ensure_ascii=False),
    )  # fmt: skip


def _metric_text(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}" if abs(value) < 1 else f"{value:.2f}"


def _charts(report: Report) -> list[Chart]:
    found = known(report.curves)
    steps = found.pop("step", [])
    drawn = []
    for name, values in found.items():
        label, unit, logarithmic = COLUMNS[name]
        baseline = report.metrics.get(f"{name}_baseline", math.nan)
        reference = ("baseline", baseline) if math.isfinite(baseline) and name in ("psnr", "ssim") else None
        drawn.append(chart(label, unit, steps, values, logarithmic=logarithmic, reference=reference))
    return [one for one in drawn if one is not None]


def _shown_settings(settings: Settings) -> list[SettingSpec]:
    """Those that mean something beside the others' values."""
    return [spec for spec in specs(type(settings)) if spec.applies(settings)]


def _text(value: Any) -> str:
    if value is None:
        return "automatic"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple | list):
        return ", ".join(map(_text, value)) or "–"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _made_of(report: Report) -> list[tuple[str, str]]:
    """Files with their hashes, machine, versions, and what it took."""
    recipe = report.recipe
    lines: list[tuple[str, str]] = []
    if recipe.data is not None:
        low, high = recipe.data.window
        lines.append(
            (
                "Image",
                f"{recipe.data.file or 'an array'}, page {recipe.data.page + 1}, SHA-256 {recipe.data.sha256}",
            )
        )
        lines.append(("Intensities seen as 0 and 1", f"{low:g} and {high:g} {recipe.data.unit}".strip()))
    lines.append(("Prior", f"{recipe.prior.file}, SHA-256 {recipe.prior.sha256}"))
    lines += [("File", f"{file}, SHA-256 {sha256}") for file, sha256 in recipe.files.items()]
    lines.append(("Seed", ", ".join(map(str, recipe.sample_seeds)) or str(recipe.seed)))
    if recipe.measurement_seed is not None:
        lines.append(("Seed of the measurement", str(recipe.measurement_seed)))
    for change in recipe.changes:
        lines.append(
            ("Live change", f"after step {change.step}: {change.model_dump_json(exclude_none=True)}")
        )
    if recipe.stop_after is not None:
        lines.append(("Finished early", f"after step {recipe.stop_after}"))
    if report.sha256:
        lines.append(("Result", f"SHA-256 of its float32 values {report.sha256}"))
    if report.seconds:
        lines.append(("Time", f"{report.seconds:.1f} s, {report.evaluations} calls of the denoiser"))
    device = f"{report.device} ({recipe.device})" if report.device else recipe.device
    lines.append(("Device", f"{device}, {recipe.precision}, {recipe.threads} threads"))
    lines.append(("Versions", ", ".join(f"{name} {version}" for name, version in recipe.versions.items())))
    return lines


def export_curves(run: RunContent, path: Path, settings: FileSettings) -> str:
    """Write the numbers of every step as CSV; returns what was written, in words.

    Raises :class:`InputError` for a set of samples, which has no steps of its own.
    """
    steps = len(run.curves.get("step", ()))
    if not steps:
        raise InputError(
            f"Curves were wanted, but {run.name} has no steps of its own; export one of its samples."
        )
    _write(path, curves_as_csv(run.curves))
    return f"the curves of {steps} steps"


def export_report(run: RunContent, path: Path, settings: FileSettings) -> str:
    """Write the page of a run; returns what was written, in words."""
    result, about = run.result, run.about
    seen = partial(as_seen, volume=result.image.is_volume)
    _write(path, as_html(Report(
        title=run.title, recipe=result.recipe, metrics=result.metrics, seconds=about.seconds,
        evaluations=about.evaluations, device=run.device, sha256=about.sha256,
        pictures=pictures_of(
            seen(result.pixels), result.window, result.unit,
            truth=None if run.truth is None else seen(run.truth),
            baseline=None if run.baseline is None else seen(run.baseline),
            deviation=None if result.deviation is None else seen(result.deviation),
        ),
        curves=run.curves,
    )))  # fmt: skip
    return "a page with everything about the run"


def _write(path: Path, text: str) -> None:
    with failures_said("The export", path):
        write_atomically(path, text.encode())
