"""What a grid comes to: means over images and seeds with their confidence, and paired differences between methods.

An image's seeds are averaged first, so that what is counted are images. The half width of an interval is that of Student's
t at 95 % for their mean; where there is one image, of its seeds. Differences are taken image by image and seed by seed,
so that what all methods find hard is in none of them.
"""

import csv
import io
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from padis_gui.core.studies.experiment import GridResult
from padis_gui.core.studies.grid import Group, ImagePage
from padis_gui.core.training.state import PRIOR_FILE

CONFIDENCE = 0.95
GROUP = ("problem", "solver", "tiling", "prior", "positions")
# metric, heading, format; PSNR in dB
METRICS = (
    ("psnr", "PSNR", "{:.2f}"), ("ssim", "SSIM", "{:.4f}"), ("nrmse", "NRMSE", "{:.4f}"),
    ("psnr_baseline", "baseline PSNR", "{:.2f}"), ("ssim_baseline", "baseline SSIM", "{:.3f}"),
    ("residual", "residual", "{:.1e}"), ("seam_ratio", "seam ratio", "{:.3f}"), ("evaluations", "evaluations", "{:.0f}"),
    ("seconds", "seconds", "{:.1f}"),
)  # fmt: skip
_WITH_INTERVAL = ("psnr", "ssim", "nrmse")
_COMPARED = "psnr"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Mean and standard deviation of ``count`` values, and the half width of the mean's interval; NaN for one value."""

    mean: float
    deviation: float
    half_width: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Means over one group's images and seeds; ``failed`` of its ``count`` cases have no metrics.

    ``spreads`` are over images, by metric; ``difference`` is that in PSNR to the first row of the same problem, in dB, over
    the images that both have; None for that row itself.
    """

    group: Group
    count: int
    failed: int
    means: dict[str, float]
    spreads: dict[str, Spread] = field(default_factory=dict)
    difference: Spread | None = None


def spread_of(values: Mapping[ImagePage, Sequence[float]]) -> Spread | None:
    """Of the values of each image's seeds; None where there are none."""
    from scipy.stats import t as student

    if not values:
        return None
    averaged = [statistics.fmean(found) for found in values.values()]
    counted = averaged if len(values) > 1 else next(iter(values.values()))
    count, mean = len(counted), statistics.fmean(averaged)
    if count < 2:
        return Spread(mean=mean, deviation=math.nan, half_width=math.nan, count=count)
    deviation = statistics.stdev(counted)
    quantile = float(student.ppf(0.5 + CONFIDENCE / 2, count - 1))
    return Spread(
        mean=mean, deviation=deviation, half_width=quantile * deviation / math.sqrt(count), count=count
    )


def summarise(results: Iterable[GridResult]) -> list[Row]:
    """One row a group, in the order in which they first came. Values that are not finite are left out."""
    groups: dict[Group, list[GridResult]] = {}
    for result in results:
        groups.setdefault(result.point.group, []).append(result)
    rows = []
    references: dict[tuple[str, ...], list[GridResult]] = {}
    for group, members in groups.items():
        known = {name: found for name, _, _ in METRICS if (found := _by_image(members, name))}
        spreads = {name: spread for name, found in known.items() if (spread := spread_of(found))}
        means = {name: statistics.fmean(chain(*found.values())) for name, found in known.items()}
        reference = references.setdefault(members[0].point.task, members)
        rows.append(
            Row(
                group=group, count=len(members), failed=sum(bool(member.error) for member in members), means=means,
                spreads=spreads, difference=None if reference is members else _difference(members, reference),
            )
        )  # fmt: skip
    return rows


def _by_image(members: Iterable[GridResult], metric: str) -> dict[ImagePage, list[float]]:
    found: dict[ImagePage, list[float]] = {}
    for member in members:
        value = member.metrics.get(metric, math.nan)
        if math.isfinite(value):
            found.setdefault((member.point.data, member.point.page), []).append(value)
    return found


def _difference(members: Sequence[GridResult], reference: Sequence[GridResult]) -> Spread | None:
    theirs = {
        (r.point.data, r.point.page, r.point.seed): r.metrics.get(_COMPARED, math.nan) for r in reference
    }
    found: dict[ImagePage, list[float]] = {}
    for member in members:
        point = member.point
        value = member.metrics.get(_COMPARED, math.nan) - theirs.get(
            (point.data, point.page, point.seed), math.nan
        )
        if math.isfinite(value):
            found.setdefault((point.data, point.page), []).append(value)
    return spread_of(found)


def with_interval(form: str, spread: Spread) -> str:
    """A mean and the half width of its interval."""
    mean = form.format(spread.mean)
    return mean if math.isnan(spread.half_width) else f"{mean} ± {form.format(spread.half_width)}"


def signed(spread: Spread | None) -> str:
    """A difference in dB with its interval."""
    if spread is None:
        return "–"
    return f"{spread.mean:+.2f}" + ("" if math.isnan(spread.half_width) else f" ± {spread.half_width:.2f}")


@dataclass(frozen=True, slots=True)
class Table:
    """A table as text: the headings, how many of them are words, and the cells of each row."""

    heads: tuple[str, ...]
    words: int
    cells: tuple[tuple[str, ...], ...]


def table_of(rows: Sequence[Row]) -> Table:
    """The cells to read; what is the same in all rows, of prior and positions, is left out."""
    shown = [i for i, name in enumerate(GROUP) if i < 3 or len({row.group[i] for row in rows}) > 1]
    settings = list(dict.fromkeys(name for row in rows for name, _ in row.group.varied))
    paths = {row.group.prior for row in rows}
    names = {path: prior_name(path) for path in paths}
    if len(set(names.values())) < len(paths):
        names = {path: path for path in paths}
    failures = any(row.failed for row in rows)
    compared = any(row.difference is not None for row in rows)
    metrics = [each for each in METRICS if each[0] != "nrmse" or any("nrmse" in row.means for row in rows)]
    heads = [GROUP[i] for i in shown] + settings
    counts = ["cases"] + ["failed"] * failures
    more = [
        head
        for name, head, _ in metrics
        for head in ((head, "Δ PSNR") if compared and name == _COMPARED else (head,))
    ]
    cells = []
    for row in rows:
        values = dict(row.group.varied)
        labels = [names[row.group.prior] if GROUP[i] == "prior" else str(row.group[i]) or "–" for i in shown]
        labels += [values.get(name, "–") for name in settings]
        found = [str(row.count)] + [str(row.failed)] * failures
        for name, _, form in metrics:
            spread = row.spreads.get(name)
            if name not in row.means or spread is None:
                found.append("–")
            else:
                found.append(
                    with_interval(form, spread) if name in _WITH_INTERVAL else form.format(row.means[name])
                )
            if compared and name == _COMPARED:
                found.append(signed(row.difference))
        cells.append((*labels, *found))
    return Table((*heads, *counts, *more), len(heads), tuple(cells))


@dataclass(frozen=True, slots=True)
class Series:
    """Means along one setting, ascending, with the half widths of their intervals (NaN for one value)."""

    name: str
    x: tuple[float, ...]
    means: tuple[float, ...]
    half_widths: tuple[float, ...]


def axes_of(rows: Sequence[Row]) -> list[str]:
    """The settings that are varied and whose values are all numbers."""
    values: dict[str, set[float | None]] = {}
    for name, value in (pair for row in rows for pair in row.group.varied):
        values.setdefault(name, set()).add(_as_number(value))
    return [name for name, found in values.items() if len(found) > 1 and None not in found]


def prior_name(path: str) -> str:
    """What a prior is called: its file, or the folder of the training that left it."""
    found = Path(path)
    return found.parent.name if found.name == PRIOR_FILE else found.stem


def names_of(rows: Sequence[Row], without: str | None = None) -> list[str]:
    """What tells each row from the others, in words; ``without`` a setting."""
    several = [i for i in range(5) if len({row.group[i] for row in rows}) > 1]
    values: dict[str, set[str]] = {}
    for name, value in (pair for row in rows for pair in row.group.varied):
        values.setdefault(name, set()).add(value)
    found = []
    for row in rows:
        words = [prior_name(row.group.prior) if GROUP[i] == "prior" else str(row.group[i]) for i in several]
        words = [
            f"positions {word}" if GROUP[i] == "positions" else word
            for i, word in zip(several, words, strict=True)
        ]
        words += [
            f"{name} {value}" for name, value in row.group.varied if name != without and len(values[name]) > 1
        ]
        found.append(" · ".join(filter(None, words)) or row.group.solver)
    return found


def series_of(rows: Sequence[Row], axis: str | None, metric: str) -> list[Series]:
    """One series for each combination of what else differs, along a setting of :func:`axes_of`; rows that do not have it
    are left out. Without one each row stands for itself, at its place in the table from 1.

    ``metric`` is one of the metrics, or "difference": that in PSNR to the first row of the same problem, which is 0 there.
    """
    points: dict[str, list[tuple[float, Spread]]] = {}
    for place, (name, row) in enumerate(zip(names_of(rows, axis), rows, strict=True), 1):
        spread = row.spreads.get(metric)
        if metric == "difference" and _COMPARED in row.spreads:
            spread = row.difference or Spread(
                mean=0.0, deviation=math.nan, half_width=math.nan, count=row.count
            )
        at = float(place) if axis is None else _as_number(dict(row.group.varied).get(axis, ""))
        if spread is not None and at is not None:
            points.setdefault(name, []).append((at, spread))
    series = []
    for name, found in points.items():
        ordered = sorted(found, key=lambda point: point[0])
        spreads = [spread for _, spread in ordered]
        series.append(
            Series(
                name, tuple(at for at, _ in ordered), tuple(spread.mean for spread in spreads),
                tuple(spread.half_width for spread in spreads),
            )
        )  # fmt: skip
    return series


def _as_number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def as_markdown(rows: Sequence[Row]) -> str:
    """A table to read, see :func:`table_of`."""
    table = table_of(rows)
    rule = ("---",) * table.words + ("---:",) * (len(table.heads) - table.words)
    return "".join("| " + " | ".join(line) + " |\n" for line in (table.heads, rule, *table.cells))


def as_csv(rows: Sequence[Row]) -> str:
    """All columns with full precision; empty where there is no value. ``_sd`` and ``_ci`` are over images."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    settings = list(dict.fromkeys(name for row in rows for name, _ in row.group.varied))
    more = [f"{name}_{kind}" for name in _WITH_INTERVAL for kind in ("sd", "ci")]
    table.writerow([
        *GROUP, "cases", "failed", *(name for name, _, _ in METRICS), *settings, *more, "psnr_difference",
        "psnr_difference_ci",
    ])  # fmt: skip
    for row in rows:
        varied = dict(row.group.varied)
        spreads = [row.spreads.get(name) for name in _WITH_INTERVAL]
        values = [row.means.get(name, math.nan) for name, _, _ in METRICS]
        spread = [x for s in spreads for x in ((s.deviation, s.half_width) if s else (math.nan, math.nan))]
        gained = (row.difference.mean, row.difference.half_width) if row.difference else (math.nan, math.nan)
        table.writerow([
            *row.group[:5], row.count, row.failed, *map(_number, values), *(varied.get(name, "") for name in settings),
            *map(_number, (*spread, *gained)),
        ])  # fmt: skip
    return text.getvalue()


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else ""
