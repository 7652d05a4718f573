"""Curves as SVG, drawn by hand: a report needs neither a plotting library nor anything from elsewhere."""

import math
from collections.abc import Sequence
from html import escape

_WIDTH, _HEIGHT = 340, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 26, 26


def chart(
    title: str,
    unit: str,
    steps: Sequence[float],
    values: Sequence[float],
    *,
    logarithmic: bool = False,
    reference: tuple[str, float] | None = None,
) -> str:
    """One curve over the steps, as an ``<svg>``; ``reference`` is a dashed line with a name."""
    points = [
        (float(x), float(y))
        for x, y in zip(steps, values, strict=True)
        if math.isfinite(y) and (y > 0 or not logarithmic)
    ]
    if not points:
        return ""
    heights = [y for _, y in points]
    if reference is not None and math.isfinite(reference[1]):
        heights.append(reference[1])
    to_scale = math.log10 if logarithmic else float
    low, high = to_scale(min(heights)), to_scale(max(heights))
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    first, last = points[0][0], max(points[-1][0], points[0][0] + 1)

    def across(x: float) -> float:
        return _LEFT + (x - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT)

    def up(y: float) -> float:
        return _HEIGHT - _BOTTOM - (to_scale(y) - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">',
        f'<text class="name" x="{_LEFT}" y="15">{escape(title)}{f" [{escape(unit)}]" if unit else ""}</text>',
    ]
    for tick in _ticks(low, high, decades=logarithmic):
        y = up(10**tick if logarithmic else tick)
        label = f"{10**tick:.3g}" if logarithmic else f"{tick:.6g}"
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for x, anchor in ((first, "start"), (points[-1][0], "end")):
        parts.append(f'<text x="{across(x):.1f}" y="{_HEIGHT - 8}" text-anchor="{anchor}">{x:g}</text>')
    if reference is not None and math.isfinite(reference[1]):
        y = up(reference[1])
        parts.append(
            f'<line class="reference" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_WIDTH - _RIGHT}" y="{y - 4:.1f}" text-anchor="end">{escape(reference[0])}</text>'
        )
    line = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)
    parts.append(f'<polyline class="curve" points="{line}"/>')
    x, y = points[-1]
    parts.append(f'<circle class="end" cx="{across(x):.1f}" cy="{up(y):.1f}" r="3"/></svg>')
    return "".join(parts)


def _ticks(low: float, high: float, *, decades: bool) -> list[float]:
    """Three to six round numbers from low to high; of exponents whole ones, where the range has some."""
    raw = (high - low) / 4
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= raw)
    if decades and high - low >= 1:
        step = max(1.0, math.ceil(step))
    return [n * step for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
