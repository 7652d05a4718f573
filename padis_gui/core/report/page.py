"""One HTML page about a run, with everything inside: no script, and nothing is fetched from anywhere."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.metrics import as_json
from padis_gui.core.operators import find_physics
from padis_gui.core.recipe import Recipe
from padis_gui.core.report.chart import chart
from padis_gui.core.report.curves import COLUMNS, Curves, known
from padis_gui.core.report.pixels import as_bytes, enlarged, png_uri, signed_as_bytes
from padis_gui.core.settings import Settings, specs
from padis_gui.core.solvers import find_solver

_METRICS = {
    "psnr": ("PSNR", "dB"), "ssim": ("SSIM", ""), "residual": ("Residual", ""), "samples": ("Samples", ""),
    "correlation": ("Rank correlation of deviation and error", ""), "coverage": ("Truth inside the interval", ""),
}  # fmt: skip
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #888; --curve: #1f77b4; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1120px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; margin-bottom: .1em; } h2 { font-size: 1.1em; margin-top: 2em; }
p.sub, figcaption, summary, td.unit { color: var(--soft); }
table { border-collapse: collapse; margin: .4em 0; } td, th { padding: .15em 1.2em .15em 0; text-align: left;
  border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; } th { font-weight: 600; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.grid-of { display: grid; grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); gap: 1em; }
figure { margin: 0; } img { width: 100%; image-rendering: pixelated; background: #000; display: block; }
svg { width: 100%; font: 11px system-ui, sans-serif; fill: currentColor; } svg .name { font-weight: 600; }
svg .grid { stroke: var(--line); } svg .curve { fill: none; stroke: var(--curve); stroke-width: 1.8; }
svg .reference { stroke: var(--soft); stroke-dasharray: 5 4; } svg .end { fill: var(--curve); }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 12px; } code { font-size: 13px; }
@media print { body { max-width: none; margin: 0; } details { display: none; } figure, svg { break-inside: avoid; } }
"""


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

    def figure(self) -> str:
        """As HTML."""
        made = (
            signed_as_bytes(self.pixels, self.high)
            if self.signed
            else as_bytes(self.pixels, self.low, self.high)
        )
        rows, columns = self.pixels.shape[:2]
        words = f"{self.label}: {rows} × {columns}, {self.low:.4g} to {self.high:.4g} {self.unit}".strip()
        return (
            f'<figure><img alt="{escape(self.label)}" src="{png_uri(enlarged(made))}">'
            f"<figcaption>{escape(words)}</figcaption></figure>"
        )


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
    """The page. All texts are escaped; its policy forbids scripts and every request."""
    recipe = report.recipe
    solver, physics = find_solver(recipe.solver), find_physics(recipe.physics)
    data = (
        "no data"
        if recipe.data is None
        else f"{Path(recipe.data.file).name or 'array'}, page {recipe.data.page}"
    )
    seed = f"{len(recipe.sample_seeds)} samples" if recipe.sample_seeds else f"seed {recipe.seed}"
    parts = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>{escape(report.title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(report.title)}</h1>",
        f'<p class="sub">{escape(f"{physics.label}, {solver.label}, {data}, {seed}")}</p>',
        *(f"<p>{escape(note)}</p>" for note in report.notes),
        _metrics(report),
        '<h2>Pictures</h2><div class="grid-of">', *(p.figure() for p in report.pictures), "</div>",
        _curves(report),
        _settings("Measurement", physics.label, recipe.problem_settings),
        _settings("Method", solver.label, recipe.solver_settings),
        _settings("Tiling", "", recipe.tiling),
        _made_of(report),
        "<h2>Recipe</h2><details><summary>Everything that the run needs to be repeated, as JSON</summary><pre>",
        escape(json.dumps(recipe.model_dump(mode="json"), indent=1, ensure_ascii=False)),
        "</pre></details></body></html>\n",
    ]  # fmt: skip
    return "".join(parts)


def _metrics(report: Report) -> str:
    """Metrics beside those of the baseline."""
    found = as_json(dict(report.metrics))
    names = [name for name in found if not name.endswith("_baseline")]
    if not names:
        return ""
    compared = any(f"{name}_baseline" in found for name in names)
    head = "<tr><th></th><th>Result</th>" + ("<th>Baseline</th>" if compared else "") + "<th></th></tr>"
    rows = []
    for name in names:
        label, unit = _METRICS.get(name, (name, ""))
        cells = [found[name], *([found.get(f"{name}_baseline")] if compared else [])]
        numbers = "".join(f'<td class="number">{_number(value)}</td>' for value in cells)
        rows.append(f'<tr><td>{escape(label)}</td>{numbers}<td class="unit">{escape(unit)}</td></tr>')
    return f"<table>{head}{''.join(rows)}</table>"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}" if abs(value) < 1 else f"{value:.2f}"


def _curves(report: Report) -> str:
    found = known(report.curves)
    steps = found.pop("step", [])
    drawn = []
    for name, values in found.items():
        label, unit, logarithmic = COLUMNS[name]
        baseline = report.metrics.get(f"{name}_baseline", math.nan)
        reference = ("baseline", baseline) if math.isfinite(baseline) and name in ("psnr", "ssim") else None
        drawn.append(chart(label, unit, steps, values, logarithmic=logarithmic, reference=reference))
    return f'<h2>Curves</h2><div class="grid-of">{"".join(drawn)}</div>' if any(drawn) else ""


def _settings(title: str, what: str, settings: Settings) -> str:
    """A table of the settings that mean something beside the others' values."""
    rows = [
        f'<tr title="{escape(spec.help)}"><td>{escape(spec.label)}</td><td>{escape(spec.symbol)}</td>'
        f"<td>{escape(_text(getattr(settings, spec.name)))}</td>"
        f'<td class="unit">{escape(spec.unit)}</td><td><code>{escape(spec.name)}</code></td></tr>'
        for spec in specs(type(settings))
        if spec.applies(settings)
    ]
    heading = escape(f"{title}: {what}" if what else title)
    return f"<h2>{heading}</h2><table>{''.join(rows)}</table>" if rows else ""


def _text(value: Any) -> str:
    if value is None:
        return "automatic"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple | list):
        return ", ".join(map(_text, value)) or "–"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _made_of(report: Report) -> str:
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
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(text)}</td></tr>" for name, text in lines)
    return f"<h2>What it was made of</h2><table>{rows}</table>"
