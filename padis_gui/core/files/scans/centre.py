"""Where the detector sees the axis of rotation, found from the measurement itself.

Four published ways, the first that the scan's arc allows and that is clear:

- Rays measured twice. Over a full turn each ray is measured again from the other side; at the right axis both
  readings agree (for a parallel beam the comparison of opposite views, as in Vo et al., Opt. Express 29 (2021) 17849;
  for a fan beam the same with the conjugate rays of Panetta et al., Phys. Med. Biol. 53 (2008) 3841).
- Moments of opposite views. Where a full turn of a parallel beam measures next to no ray twice, as the axis is seen near
  the detector's edge or beyond it, each view goes on in the opposite one. The sum of such a whole view is that of all
  others, and its first moment about the axis moves along one sine (the conditions of Ludwig, Comm. Pure Appl. Math. 19
  (1966) 49); at a wrong axis they don't. What lies between both, and no ray has measured, is taken to go on as a cubic.
- Double wedge. A parallel-beam sinogram of half a turn is completed by its own mirror image. At the right axis the
  Fourier transform of the whole vanishes outside a double wedge (Vo et al., Opt. Express 22 (2014) 19078).
- Centre of mass. In a parallel beam the projected centre of mass moves along a sine, whose mean is the axis
  (Azevedo et al., IEEE Trans. Nucl. Sci. 37 (1990) 1525). It needs air on both sides of the object.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.scans.scan import ENOUGH_READINGS, Values
from padis_gui.core.physics.geometry import Geometry

_REACH = 0.3  # of the detector, to both sides of its middle
_FARTHEST = 0.47  # of one that stands beside the axis: some rays must still be measured twice
_COARSE_BINS = 160
_COARSE_VIEWS, _FINE_VIEWS = 90, 360
_FEWEST_VIEWS, _ENOUGH_VIEWS, _MOST_AT_ONCE = 32, 512, 2**20
_HALF_TURN, _FULL_TURN, _LEAST_ARC = 175.0, 350.0, 60.0
_CLEAR = 0.9  # the best value of a measure must lie below so much of its median
_AIR = 0.05
_ALIKE = 0.003  # of their power: so little do readings of the same rays differ, noise included
# Of the detector, from its edge inwards and outwards, where an axis about the edge is looked for; how many readings say how
# a view ends; how much less than usual the least first moment is (and than at the other edge), and the least change of the
# sum, and how near both are: in parts of the detector, and of what no ray has measured, over which the sum is less exact
_INWARDS, _OUTWARDS, _ENDING = 0.04, 0.06, 7
_CLEAR_MOMENTS, _CLEAR_SUMS, _AGREEING = 0.3, 0.75, (0.02, 0.25)
_STEP = 0.25

Measure = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Axis:
    """``centre`` in bins from the detector's middle, and by what it was found."""

    centre: float
    method: str


def find_axis(values: Values, geometry: Geometry) -> Axis | None:
    """The axis of a scan (views, bins); None where its arc does not tell or what it tells is not clear."""
    angles = geometry.radians.numpy()
    order = np.argsort(angles, kind="stable")
    angles, values = angles[order], values[order]
    arc = _arc(np.rad2deg(angles))
    if len(angles) < 3 or not np.ptp(values):
        return None
    every = max(1, min(values.size // (2 * ENOUGH_READINGS), len(angles) // _ENOUGH_VIEWS))
    angles, values = angles[::every], values[::every]
    if arc >= _FULL_TURN:
        return _of_a_full_turn(values, angles, geometry)
    if geometry.beam != "parallel":
        return None
    if arc >= _HALF_TURN:
        half = angles < angles[0] + np.pi - 1e-6
        found = _searched(values[half], lambda v, by: _outside_the_wedge(v), "the double wedge")
        if found is not None:
            return found
    return _centre_of_mass(values, angles) if arc >= _LEAST_ARC else None


def _of_a_full_turn(values: Values, angles: NDArray[np.float64], geometry: Geometry) -> Axis | None:
    """By rays measured twice; where they agree nowhere, by what opposite views are together."""
    method = "rays measured twice"
    found = _searched(
        values, lambda v, by: _twice_measured(v, angles, geometry, by, beside=False), method
    ) or _searched(
        values, lambda v, by: _twice_measured(v, angles, geometry, by, beside=True), method, _FARTHEST
    )
    if geometry.beam != "parallel":
        return found
    if (
        found is not None
        and _twice_measured(values, angles, geometry, 1, beside=False)(found.centre) < _ALIKE
    ):
        return found
    return _about_the_edge(values, angles) or found


def _arc(sorted_degrees: NDArray[np.float64]) -> float:
    """How much of a turn the views cover, the last one's own step included."""
    if len(sorted_degrees) < 2:
        return 0.0
    return float(np.ptp(sorted_degrees) + np.median(np.diff(sorted_degrees)))


def _searched(
    values: Values, measure_of: Callable[[Values, int], Measure], method: str, farthest: float = _REACH
) -> Axis | None:
    """The least of a measure: on a reduced detector bin by bin, then between bins on the whole one."""
    from scipy.optimize import minimize_scalar

    bins = values.shape[1]
    by = max(1, bins // _COARSE_BINS)
    first = bins % by // 2
    reduced = values[:, first : first + bins // by * by].reshape(len(values), -1, by).mean(axis=2)
    measure = measure_of(reduced, by)
    # the middles of both detectors differ where bins were dropped
    shift = first + (bins // by * by - 1) / 2 - (bins - 1) / 2
    side = int(farthest * reduced.shape[1])
    reach = np.arange(-side, side + 1) / 1.0
    found = np.array([measure(c) for c in reach])
    best = int(found.argmin())
    if not found[best] < _CLEAR * float(np.median(found)) or best in (0, len(reach) - 1):
        return None
    fine = measure_of(values, 1)
    about = reach[best] * by + shift
    near = about + np.linspace(-1.0, 1.0, 9) * by
    start = near[int(np.argmin([fine(c) for c in near]))]
    step = by / 4
    done = minimize_scalar(
        fine, bounds=(start - step, start + step), method="bounded", options={"xatol": 0.01}
    )
    return Axis(round(float(done.x), 2), method)


def _twice_measured(
    values: Values, angles: NDArray[np.float64], geometry: Geometry, by: int, *, beside: bool
) -> Measure:
    """How unlike the two readings of each ray are, between 0 and about 1, for an axis ``centre`` bins from the middle.

    A ray at the angle b and the fan angle g is measured again at b + pi - 2 g and -g. ``angles`` are sorted. ``beside``
    looks also where few rays are measured twice: that these see nothing makes them no more alike.
    """
    from scipy.ndimage import map_coordinates, spline_filter

    views, bins = values.shape
    turn = 2 * np.pi
    inside = np.mod(angles - angles[0], turn)
    order = np.argsort(inside, kind="stable")
    inside, values = inside[order], values[order]
    margin = min(8, views)
    sheet = spline_filter(np.concatenate([values[-margin:], values, values[:margin]]).astype(np.float64), 3)
    known = np.concatenate([inside[-margin:] - turn, inside, inside[:margin] + turn])
    count = min(views, _COARSE_VIEWS, max(_FEWEST_VIEWS, _MOST_AT_ONCE // (2 * bins)))
    some = np.unique(np.linspace(0, views - 1, count).round().astype(int))
    nothing = _AIR * float(np.mean(np.square(values, dtype=np.float64)))
    to_detector = np.inf
    if geometry.beam == "fan":
        to_detector = geometry.to_detector / (geometry.bin_width * by)

    def unlike(centre: float) -> float:
        axis = (bins - 1) / 2 + centre
        opposite = 2 * axis - np.arange(bins)
        seen = (opposite >= 0) & (opposite <= bins - 1)
        fan_angles = np.arctan((np.arange(bins)[seen] - axis) / to_detector)
        again = np.mod(inside[some, None] + np.pi - 2 * fan_angles, turn)
        at = np.stack(
            [np.interp(again, known, np.arange(len(known))), np.broadcast_to(opposite[seen], again.shape)]
        )
        other = map_coordinates(sheet, at, order=3, mode="nearest", prefilter=False)
        one = values[some][:, seen]
        apart, power = float(np.mean((one - other) ** 2)), float(np.mean(one**2 + other**2))
        return (apart + nothing) / (power + nothing) if beside else apart / max(power, 1e-12)

    return unlike


def _about_the_edge(values: Values, angles: NDArray[np.float64]) -> Axis | None:
    """An axis near the first or the last bin, or beyond it, of a full turn of a parallel beam at sorted ``angles``."""
    bins = values.shape[1]
    skipped = math.ceil(_INWARDS * bins)
    if bins < 4 * (skipped + _ENDING):
        return None
    aside = np.arange(
        _STEP, skipped + _OUTWARDS * bins, _STEP
    )  # from the axis to the first reading that is taken
    seen = []
    for sign, side in ((1, values), (-1, values[:, ::-1])):
        if side[:, skipped : skipped + _ENDING].mean() < _AIR * side.mean(axis=0).max():
            continue  # the view ends in air, and the axis is in the object
        moment_of, change_of = _whole_views(side[:, skipped:], angles)
        moments, changes = (np.array([measure(h) for h in aside]) for measure in (moment_of, change_of))
        best, other = int(moments.argmin()), int(changes.argmin())
        apart = _AGREEING[0] * bins + _AGREEING[1] * aside[best]
        agree = changes[other] < _CLEAR_SUMS * np.median(changes) and abs(aside[best] - aside[other]) < apart
        is_within = 0 < best < len(aside) - 1
        centre = skipped - float(aside[best]) - (bins - 1) / 2
        seen.append(
            (float(moments[best] / max(np.median(moments), 1e-300)), agree and is_within, sign * centre)
        )
    seen.sort()
    if (
        not seen
        or not seen[0][1]
        or seen[0][0] > _CLEAR_MOMENTS * min([1.0, *(each[0] for each in seen[1:])])
    ):
        return None
    return Axis(round(seen[0][2], 2), "the moments of opposite views")


def _whole_views(values: Values, angles: NDArray[np.float64]) -> tuple[Measure, Measure]:
    """Of views and their opposites as one, for an axis so many bins before the first one: how far their first moments are
    from one sine, and how far their sums from one number."""
    count = max(len(angles) // 2, 8)
    half = np.arange(count) * (np.pi / count)
    along = np.arange(values.shape[1], dtype=np.float64)
    share = np.where(along > 0, 1.0, 0.5)  # the trapezoidal rule from the first reading on
    ending = np.polynomial.polynomial.polyfit(along[:_ENDING], values[:, :_ENDING].T.astype(np.float64), 1)
    told = np.stack([values @ share, values @ (share * along), *ending])
    one, opposite = (
        np.stack([np.interp(angles[0] + half + turn, angles, number, period=2 * np.pi) for number in told])
        for turn in (0, np.pi)
    )
    mass, moment, value, slope = one - opposite
    whole_mass, _, whole_value, whole_slope = one + opposite
    sine = np.stack([np.cos(half), np.sin(half)], axis=1)

    def moment_of(aside: float) -> float:
        # between both the odd part is p s + q s^3, whose value and slope are known at the ends
        q = (slope / 2 - value / (2 * aside)) / (2 * aside**2)
        p = value / (2 * aside) - q * aside**2
        whole = moment + aside * mass + 2 * (p * aside**3 / 3 + q * aside**5 / 5)
        return float(np.mean((whole - sine @ np.linalg.lstsq(sine, whole, rcond=None)[0]) ** 2))

    def change_of(aside: float) -> float:
        return float(np.var(whole_mass + aside * whole_value - aside**2 / 3 * whole_slope))

    return moment_of, change_of


def _outside_the_wedge(values: Values) -> Measure:
    """The mean amplitude outside the double wedge of half a turn completed by its mirror image."""
    from scipy.ndimage import shift

    # fewer of a wide detector, each of which is in memory several times
    count = min(len(values), _FINE_VIEWS, max(_FEWEST_VIEWS, _MOST_AT_ONCE // values.shape[1]))
    # evenly up to half a turn, where the mirror image goes on
    half = values[np.arange(count) * len(values) // count].astype(np.float64)
    mirrored = half[:, ::-1]
    views, bins = half.shape
    # an object that fills half of the detector: what is smaller leaves more room, and air at the borders is usual
    radius = bins / 4
    around = np.abs(np.fft.fftfreq(2 * views, 1 / (2 * views)))[:, None]  # periods a turn
    across = 2 * np.pi * np.fft.rfftfreq(bins)[None]  # radians a bin
    outside = around > radius * across
    outside[:, :2] = False
    outside[around[:, 0] < max(2, 0.05 * views)] = False

    def amplitude(centre: float) -> float:
        moved = shift(mirrored, (0, 2 * centre), order=3, mode="constant", cval=np.nan)
        moved = np.where(np.isnan(moved), half, moved)
        return float(np.abs(np.fft.rfft2(np.concatenate([half, moved])))[outside].mean())

    return amplitude


def _centre_of_mass(values: Values, angles: NDArray[np.float64]) -> Axis | None:
    """By least squares; None where the borders are not air."""
    bins = values.shape[1]
    margin = max(2, bins // 40)
    borders = np.concatenate([values[:, :margin], values[:, -margin:]], axis=1)
    level = np.median(borders, axis=1, keepdims=True)
    spread = 1.4826 * np.median(np.abs(borders - level))
    if np.quantile(np.abs(level), 0.9) > _AIR * np.quantile(values, 0.95) + spread:
        return None
    position = np.arange(bins) - (bins - 1) / 2
    mass = values.sum(axis=1, dtype=np.float64)
    if mass.min() <= 0:
        return None
    middle = (values * position).sum(axis=1, dtype=np.float64) / mass
    terms = np.stack([np.ones_like(angles), np.cos(angles), np.sin(angles)], axis=1)
    centre = float(np.linalg.lstsq(terms, middle, rcond=None)[0][0])
    return Axis(round(centre, 2), "the centre of mass") if abs(centre) < _REACH * bins else None
