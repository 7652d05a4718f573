"""Tables of an experiment: means over images and seeds, as Markdown to read and as CSV to compute with."""

import csv
import io
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from padis_gui.core.studies._j_experiment__core_experiment import GridResult

GROUP = ("problem", "solver", "tiling", "prior", "positions")
# metric, heading, format; PSNR in dB
METRICS = (
    ("psnr", "PSNR", "{:.2f}"), ("ssim", "SSIM", "{:.4f}"), ("psnr_baseline", "baseline PSNR", "{:.2f}"),
    ("ssim_baseline", "baseline SSIM", "{:.3f}"), ("residual", "residual", "{:.1e}"),
    ("seam_ratio", "seam ratio", "{:.3f}"), ("evaluations", "evaluations", "{:.0f}"), ("seconds", "seconds", "{:.1f}"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Means over one group's images and seeds; ``failed`` of its ``count`` cases have no metrics."""

    group: tuple[str, str, str, str, str]
    count: int
    failed: int
    means: dict[str, float]


def summarise(results: Iterable[GridResult]) -> list[Row]:
    """One row a group, in the order in which they first came. Values that are not finite are left out."""
    groups: dict[tuple[str, str, str, str, str], list[GridResult]] = {}
    for result in results:
        groups.setdefault(result.point.group, []).append(result)
    rows = []
    for group, members in groups.items():
        means = {}
        for name, _, _ in METRICS:
            values = [member.metrics.get(name, math.nan) for member in members]
            if finite := [value for value in values if math.isfinite(value)]:
                means[name] = statistics.fmean(finite)
        failed = sum(bool(member.error) for member in members)
        rows.append(Row(group=group, count=len(members), failed=failed, means=means))
    return rows


def as_markdown(rows: Sequence[Row]) -> str:
    """A table to read; what is the same in all rows, of prior and positions, is left out."""
    shown = [i for i, name in enumerate(GROUP) if i < 3 or len({row.group[i] for row in rows}) > 1]
    paths = {row.group[3] for row in rows}
    names = {path: Path(path).name for path in paths}
    if len(set(names.values())) < len(paths):
        names = {path: path for path in paths}
    failures = any(row.failed for row in rows)
    heads = [GROUP[i] for i in shown] + ["cases"] + ["failed"] * failures + [head for _, head, _ in METRICS]
    lines = [heads, ["---"] * len(shown) + ["---:"] * (len(heads) - len(shown))]
    for row in rows:
        counts = [str(row.count)] + [str(row.failed)] * failures
        cells = [form.format(row.means[name]) if name in row.means else "–" for name, _, form in METRICS]
        labels = [names[row.group[i]] if GROUP[i] == "prior" else row.group[i] or "–" for i in shown]
        lines.append(labels + counts + cells)
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def as_csv(rows: Sequence[Row]) -> str:
    """All columns with full precision; empty where there is no value."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*GROUP, "cases", "failed", *(name for name, _, _ in METRICS)])
    for row in rows:
        values = [repr(row.means[name]) if name in row.means else "" for name, _, _ in METRICS]
        table.writerow([*row.group, row.count, row.failed, *values])
    return text.getvalue()
