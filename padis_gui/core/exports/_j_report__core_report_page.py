"""One HTML page about a run, with everything inside: no script, and nothing is fetched from anywhere."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.exports._j_report__core_report_chart import Chart, chart
from padis_gui.core.exports._j_report__core_report_curves import COLUMNS, Curves, known
from padis_gui.core.exports._j_report__core_report_pixels import as_bytes, enlarged, png_uri, signed_as_bytes
from padis_gui.core.images._j_metrics__core_metrics import as_json
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.settings._j_declarations__core_settings import Settings, SettingSpec, specs
from padis_gui.core.solvers.registry import find_solver

_METRICS = {
    "psnr": ("PSNR", "dB"), "ssim": ("SSIM", ""), "residual": ("Residual", ""), "samples": ("Samples", ""),
    "correlation": ("Rank correlation of deviation and error", ""), "coverage": ("Truth inside the interval", ""),
}  # fmt: skip
_TEMPLATE = Path(__file__).with_name("page.html")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
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
    pictures: Sequence[Picture] = ()
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
) -> list[Picture]:
    """The pictures of a run, each (rows, columns) or (rows, columns, 3) in ``unit``, with their windows."""
    low, high = window
    found = [Picture(label="Estimate", pixels=estimate, low=low, high=high, unit=unit)]
    for label, pixels in (("Truth", truth), ("Baseline", baseline)):
        if pixels is not None:
            found.append(Picture(label=label, pixels=pixels, low=low, high=high, unit=unit))
    if truth is not None and truth.shape == estimate.shape:
        apart = estimate - truth
        apart = apart if apart.ndim == 2 else apart.mean(axis=2)
        most = _most(np.abs(apart), (high - low) / 100)
        found.append(
            Picture(label="Estimate − truth", pixels=apart, low=-most, high=most, unit=unit, signed=True)
        )
    if deviation is not None:
        most = _most(deviation, (high - low) / 100)
        found.append(Picture(label="Standard deviation", pixels=deviation, low=0.0, high=most, unit=unit))
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
        else f"{Path(recipe.data.file).name or 'array'}, page {recipe.data.page}"
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
                f"{recipe.data.file or 'an array'}, page {recipe.data.page}, SHA-256 {recipe.data.sha256}",
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
