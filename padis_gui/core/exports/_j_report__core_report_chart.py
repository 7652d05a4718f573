"""Curves in the pixels of a small picture: a report needs neither a plotting library nor anything from elsewhere."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

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

    ticks = [10**tick if logarithmic else tick for tick in _ticks(low, high, decades=logarithmic)]
    return Chart(
        title=title, unit=unit, points=[(across(x), up(y)) for x, y in points],
        ticks=[(up(tick), f"{tick:.3g}" if logarithmic else f"{tick:.6g}") for tick in ticks],
        ends=[(across(x), f"{x:g}") for x in (first, last)],
        reference=None if reference is None else (up(reference[1]), reference[0]),
    )  # fmt: skip


def _ticks(low: float, high: float, *, decades: bool) -> list[float]:
    """Three to six round numbers from low to high; of exponents whole ones, where the range has some."""
    raw = (high - low) / 4
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= raw)
    if decades and high - low >= 1:
        step = max(1.0, math.ceil(step))
    return [n * step for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
