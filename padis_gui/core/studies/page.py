"""A study as one HTML page: its table, and a plot of PSNR with confidence intervals for each problem.

Everything is inside of the page: no script, and nothing is fetched from anywhere.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from padis_gui.core.exports.report import round_ticks
from padis_gui.core.studies.table import (
    CONFIDENCE,
    Row,
    Spread,
    as_csv,
    as_markdown,
    names_of,
    table_of,
    with_interval,
)

_TEMPLATE = Path(__file__).with_name("page.html")
_WIDTH, _RIGHT, _LINE, _LETTER = 1000, 110, 24, 7  # px of a plot: in all, for the numbers, a row, a letter


@dataclass(frozen=True, slots=True)
class Mark:
    """A row of a plot: its mean at ``x``, its interval from ``low`` to ``high``, in px, and in words."""

    label: str
    x: float
    low: float
    high: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """The rows of one problem in px; ``ticks`` are places and PSNR in dB."""

    title: str
    marks: tuple[Mark, ...]
    ticks: tuple[tuple[float, str], ...]
    left: float
    right: float
    width: int
    height: float


def as_text(rows: Sequence[Row], kind: str, *, title: str, question: str = "", again: str = "") -> str:
    """The table as a file of the ending ``kind``: ``.csv``, ``.html``, or else Markdown."""
    match kind.lower():
        case ".csv":
            return as_csv(rows)
        case ".html":
            return as_html(rows, title=title, question=question, again=again)
        case _:
            return as_markdown(rows)


def as_html(rows: Sequence[Row], *, title: str, question: str = "", again: str = "") -> str:
    """The page; ``again`` is the command that repeats the study."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return page.render(
        title=title, question=question, again=again, table=table_of(rows), plots=_plots(rows),
        confidence=round(100 * CONFIDENCE),
    )  # fmt: skip


def _plots(rows: Sequence[Row]) -> list[Plot]:
    found: dict[str, list[tuple[str, Spread]]] = {}
    for problem in dict.fromkeys(row.group.problem for row in rows):
        here = [row for row in rows if row.group.problem == problem]
        for label, row in zip(names_of(here), here, strict=True):
            if (spread := row.spreads.get("psnr")) is not None:
                found.setdefault(problem, []).append((label, spread))
    return [_plot(title, marks) for title, marks in found.items()]


def _plot(title: str, rows: Sequence[tuple[str, Spread]]) -> Plot:
    halves = [0.0 if math.isnan(spread.half_width) else spread.half_width for _, spread in rows]
    lowest = min(spread.mean - half for (_, spread), half in zip(rows, halves, strict=True))
    highest = max(spread.mean + half for (_, spread), half in zip(rows, halves, strict=True))
    room = 0.05 * (highest - lowest) or 0.5
    start, end = lowest - room, highest + room
    left, right = 20.0 + _LETTER * max(len(label) for label, _ in rows), float(_WIDTH - _RIGHT)

    def at(value: float) -> float:
        return round(left + (right - left) * (value - start) / (end - start), 1)

    marks = tuple(
        Mark(
            label, at(spread.mean), at(spread.mean - half), at(spread.mean + half), _LINE * (n + 0.5) + 4,
            with_interval("{:.2f}", spread),
        )
        for n, ((label, spread), half) in enumerate(zip(rows, halves, strict=True))
    )  # fmt: skip
    ticks = tuple((at(tick), f"{tick:.6g}") for tick in round_ticks(start, end))
    return Plot(title, marks, ticks, left, right, _WIDTH, _LINE * len(rows) + 30.0)
