"""Where the detector sees the axis of rotation, found from the measurement itself.

Three published ways, the first that the scan's arc allows and that is clear:

- Rays measured twice. Over a full turn each ray is measured again from the other side; at the right axis both
  readings agree (for a parallel beam the comparison of opposite views, as in Vo et al., Opt. Express 29 (2021) 17849;
  for a fan beam the same with the conjugate rays of Panetta et al., Phys. Med. Biol. 53 (2008) 3841).
- Double wedge. A parallel-beam sinogram of half a turn is completed by its own mirror image. At the right axis the
  Fourier transform of the whole vanishes outside a double wedge (Vo et al., Opt. Express 22 (2014) 19078).
- Centre of mass. In a parallel beam the projected centre of mass moves along a sine, whose mean is the axis
  (Azevedo et al., IEEE Trans. Nucl. Sci. 37 (1990) 1525). It needs air on both sides of the object.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.scans.scan import Values
from padis_gui.core.physics.geometry import Geometry

_REACH = 0.3  # of the detector, to both sides of its middle
_FARTHEST = 0.47  # of one that stands beside the axis: some rays must still be measured twice
_COARSE_BINS = 160
_COARSE_VIEWS, _FINE_VIEWS = 90, 360
_HALF_TURN, _FULL_TURN, _LEAST_ARC = 175.0, 350.0, 60.0
_CLEAR = 0.9  # the best value of a measure must lie below so much of its median
_AIR = 0.05

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
    if arc >= _FULL_TURN:
        method = "rays measured twice"
        return _searched(
            values, lambda v, by: _twice_measured(v, angles, geometry, by, beside=False), method
        ) or _searched(
            values, lambda v, by: _twice_measured(v, angles, geometry, by, beside=True), method, _FARTHEST
        )
    if geometry.beam != "parallel":
        return None
    if arc >= _HALF_TURN:
        half = angles < angles[0] + np.pi - 1e-6
        found = _searched(values[half], lambda v, by: _outside_the_wedge(v), "the double wedge")
        if found is not None:
            return found
    return _centre_of_mass(values, angles) if arc >= _LEAST_ARC else None


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
    some = np.unique(np.linspace(0, views - 1, min(views, _COARSE_VIEWS)).round().astype(int))
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


def _outside_the_wedge(values: Values) -> Measure:
    """The mean amplitude outside the double wedge of half a turn completed by its mirror image."""
    from scipy.ndimage import shift

    count = min(len(values), _FINE_VIEWS)
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
