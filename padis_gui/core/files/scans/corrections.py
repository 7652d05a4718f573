"""A detector row as it goes into a reconstruction: each correction, all in their order, and what the data still ask for.

The order is that of :class:`~padis_gui.core.images.corrections.CorrectionSettings`; the binning follows. Each takes
finite float32 values (views, bins) and gives values of the same shape; what is too small to judge stays as it is. Sources:

- Zingers: the identifier of Hampel, J. Am. Stat. Assoc. 69 (1974) 383, of what a reading is off the median around it:
  beside the readings near it, and beside all of the scan.
- Bad bins: by how much a bin changes from view to view beside its neighbours, as in algorithm 6 of Vo et al., Opt.
  Express 26 (2018) 28396; here the neighbours on each side are asked apart, and differences take the place of a fit.
- Rings: the profile of the scan less its smoothed self, after Boin and Haibel, Opt. Express 14 (2006) 12071. Medians
  take the place of both means here: the object's own edges then leave next to nothing in the profile.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.scans.scan import (
    ENOUGH_READINGS,
    FEWEST_BINS,
    ScanFile,
    Sinogram,
    Values,
    border,
    filled_bins,
    without_drift,
)
from padis_gui.core.images.corrections import CorrectionSettings, Proposal
from padis_gui.core.images.image import ReadingSettings
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.settings.untrusted import plain

Mask = NDArray[np.bool_]

_TO_DEVIATION = 1.4826  # from the median of absolute values to a Gaussian's deviation
_AROUND = 2  # readings to each side among which a zinger's surroundings are judged
# A zinger is more than this part of the scan's root mean square, and its four neighbours together take no more than this
# part of its excess: an edge, a wire or a stripe goes on beside it
_LEAST_ZINGER, _SHARED = 0.1, 0.35
_STEEP = 0.45  # of how far the readings around are from their median counts as noise: a slope is none
_AT_ONCE = 2**16


def find_zingers(values: Values, threshold: float) -> tuple[Mask, Values]:
    """Which readings (views, bins) are zingers, and the medians of 3 × 3 readings that may take their places."""
    from scipy.ndimage import median_filter

    side = 2 * _AROUND + 1
    if min(values.shape) < side:
        return np.zeros(values.shape, dtype=bool), values
    middle: Values = median_filter(values, 3, mode="mirror")
    excess = values - middle
    least = _LEAST_ZINGER * strength_of(values)
    noise = _TO_DEVIATION * float(np.median(np.abs(excess)))
    rows, columns = np.nonzero(np.abs(excess) > max(threshold * noise, least))
    padded = np.pad(values, _AROUND, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side))
    unlike = np.lib.stride_tricks.sliding_window_view(
        np.pad(np.abs(excess), _AROUND, mode="reflect"), (side, side)
    )
    found = np.zeros(values.shape, dtype=bool)
    for first in range(0, len(rows), _AT_ONCE):
        at = rows[first : first + _AT_ONCE], columns[first : first + _AT_ONCE]
        away = windows[at] - middle[at][:, None, None]
        sharp = np.median(unlike[at].reshape(-1, side * side), axis=1)
        steep = np.median(np.abs(away).reshape(-1, side * side), axis=1)
        local = _TO_DEVIATION * np.maximum(sharp, _STEEP * steep)
        own = away[:, _AROUND, _AROUND]
        beside = away[:, [1, 3, 2, 2], [2, 2, 1, 3]] * np.sign(own)[:, None]
        shared = np.maximum(beside, 0).sum(axis=1)
        found[at] = (np.abs(own) > threshold * local) & (shared <= _SHARED * np.abs(own))
    return found, middle


def without_zingers(values: Values, threshold: float) -> tuple[Values, int]:
    """The values with each zinger replaced, and how many there were."""
    zingers, middle = find_zingers(values, threshold)
    return np.where(zingers, middle, values), int(zingers.sum())


_BESIDE = 5  # bins to each side that a bin is compared with
_ODD = 6.0  # times the fluctuation of the neighbours, or one of so many parts of it
_LEAST_RESTLESS = 0.01  # of the scan's root mean square
_LEAST_VIEWS = 16
_MOST_BAD = 0.3


def find_bad_bins(values: Values) -> Mask:
    """Which bins (bins,) stand still beside neighbours that change, or fluctuate far more than they do."""
    views, bins = values.shape
    bad = np.zeros(bins, dtype=bool)
    if views < _LEAST_VIEWS or bins <= 2 * _BESIDE:
        return bad
    changes = np.median(np.abs(np.diff(values, axis=0)), axis=0)  # a zinger changes two of them
    windows = np.lib.stride_tricks.sliding_window_view(changes, _BESIDE)
    sides = np.median(windows, axis=1)  # of the bins from the index on
    left = np.concatenate([np.full(_BESIDE, np.nan), sides[: bins - _BESIDE]])
    right = np.concatenate([sides[1:], np.full(_BESIDE, np.nan)])
    still = changes < np.fmin(left, right) / _ODD
    restless = changes > np.fmax(np.fmax(left, right) * _ODD, _LEAST_RESTLESS * strength_of(values))
    bad = still | restless
    return bad if bad.mean() <= _MOST_BAD else np.zeros(bins, dtype=bool)


def without_bad_bins(values: Values) -> tuple[Values, int]:
    """The values with bad bins interpolated between the good ones beside them, and how many there were."""
    bad = find_bad_bins(values)
    if not bad.any():
        return values, 0
    return filled_bins(values.astype(np.float64), bad).astype(np.float32), int(bad.sum())


# Air is off 0 where its levels are this part of the scan's root mean square, and so many times what noise makes of them
_LEAST_DRIFT, _BEYOND_NOISE = 0.001, 1.5


def without_beam_drift(values: Values) -> tuple[Values, float]:
    """The values with air of 0 at both borders in every view, and how far it was off: its root mean square.

    The same values, and 0, where the borders see no air, or none that is off 0 beyond its noise.
    """
    mended, drift = without_drift(values.astype(np.float64))
    if not drift:
        return values, 0.0
    off = strength_of((values - mended)[:, [0, -1]])
    margin = border(values.shape[1])
    steps = np.concatenate([np.diff(values[:, :margin], axis=1), np.diff(values[:, -margin:], axis=1)])
    noise = _TO_DEVIATION * float(np.median(np.abs(steps))) / 2**0.5
    of_noise = 1.2533 * noise / margin**0.5  # a median's own deviation
    if off < max(_LEAST_DRIFT * strength_of(values), _BEYOND_NOISE * of_noise):
        return values, 0.0
    return mended.astype(np.float32), off


def _beside_stripes(values: Values, width: int) -> Values:
    """What each reading (views, bins) has beyond the median of the bins around it, wider than a stripe of ``width``."""
    from scipy.ndimage import median_filter

    found: Values = values - median_filter(values, (1, 2 * width + 1), mode="mirror")
    return found


def without_rings(values: Values, width: int) -> Values:
    """The values without stripes of up to ``width`` bins: what a bin has beyond those around it in the median view."""
    if values.shape[1] <= 2 * width + 1:
        return values
    found: Values = values - np.median(_beside_stripes(values, width), axis=0).astype(np.float32)
    return found


def without_all_stripes(values: Values, width: int) -> Values:
    """The values without stripes of all kinds, by algotom; raises :class:`SettingError` where that is not installed, or
    refuses them.
    """
    try:
        from algotom.prep.removal import remove_all_stripe
    except ImportError:
        raise SettingError(
            "The package algotom was wanted for rings: algotom, but it is not installed; install it (pip install "
            "'padis-gui[rings]'), or take rings: profile."
        ) from None
    if min(values.shape) <= 2 * width + 1:
        return values
    small, large = 2 * width + 1, 6 * width + 1
    try:
        with np.errstate(all="ignore"):  # it divides by what may be 0
            found = remove_all_stripe(
                values, snr=3.0, la_size=min(large, values.shape[1] // 2), sm_size=small
            )
    except ValueError as error:
        reason = plain(str(error)).partition(".")[0].partition("!")[0]
        raise SettingError(
            f"Rings were to be taken out by algotom, but it refused this scan ({reason}); take rings: profile or off."
        ) from None
    return np.where(np.isfinite(found), found, values).astype(np.float32)


_PARTS = 4  # of the scan, in each of which a stripe must be seen
_RING_DEVIATIONS = 5.0
_LEAST_RING = 0.003  # of the scan's root mean square


@dataclass(frozen=True, slots=True)
class Stripes:
    """How many bins are off all through the scan, and their root mean square relative to that of the scan."""

    bins: int
    strength: float


def find_stripes(values: Values, width: int) -> Stripes:
    """The stripes in values (views, bins) that :func:`without_rings` takes out.

    A stripe's offset has one sign in every quarter of the views; the object moves on.
    """
    views, bins = values.shape
    strength = strength_of(values)
    if views < _LEAST_VIEWS or bins <= 2 * width + 1 or strength == 0:
        return Stripes(0, 0.0)
    parts = np.array_split(_beside_stripes(values, width), _PARTS)
    offsets = np.stack([np.median(part, axis=0) for part in parts])
    one_sign = np.abs(np.sign(offsets).sum(axis=0)) == _PARTS
    least = np.abs(offsets).min(axis=0) * one_sign
    change = np.diff(values, 2, axis=1)
    noise = _TO_DEVIATION * float(np.median(np.abs(change))) / 6**0.5
    seen = least > max(_RING_DEVIATIONS * noise / np.sqrt(views / _PARTS), _LEAST_RING * strength)
    return Stripes(int(seen.sum()), float(np.sqrt(np.mean(np.square(least * seen)))) / strength)


def blind_ends(values: Values) -> tuple[int, int]:
    """How many bins at the beginning and at the end are copies of their inner neighbour, or one number other than 0."""
    if len(values) < _LEAST_VIEWS or values.shape[1] <= 2 * _BESIDE:
        return 0, 0
    without = np.zeros(values.shape[1], dtype=bool)
    one = np.ptp(values, axis=0) == 0
    without[one & (values[0] != 0)] = True
    half = values.shape[1] // 2
    copied = (values[:, 1:] == values[:, :-1]).all(axis=0) & ~one[1:]
    without[:half] |= copied[:half]  # the bin equals the next one
    without[-half:] |= copied[-half:]  # the bin equals the one before
    ends = int(np.argmin(without)), int(np.argmin(without[::-1]))
    return ends if sum(ends) <= half else (0, 0)


def strength_of(values: NDArray[np.floating]) -> float:
    """The root mean square."""
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) if values.size else 0.0


# In their order ------------------------------------------------------------------------------------


def read_corrected(scan: ScanFile, row: int, reading: ReadingSettings) -> Sinogram:
    """The line integrals of a detector row with the corrections that the reading wants.

    With a tilt, the rows that the view crosses are read and corrected one after the other. Raises
    :class:`~padis_gui.core.settings.errors.PadisError` as :meth:`ScanFile.read` does, and where there is but one row.
    """
    if reading.tilt == 0:
        return _one_row(scan, row, reading)
    if scan.rows == 1:
        raise SettingError(
            f"A tilt of 0 was wanted, but {reading.tilt:g}° was given: turning a view back takes the rows beside, and "
            f"{scan.name} has one row; set the tilt to 0."
        )
    own = _one_row(scan, row, reading)
    views, bins = own.values.shape
    first_bin = reading.crop_bins[0] if reading.crop_bins else 0
    pivot = (scan.geometry.bins - 1) / 2 - first_bin
    middle, across = (scan.rows - 1) / 2, np.arange(bins) - pivot
    sin, cos = math.sin(math.radians(reading.tilt)), math.cos(math.radians(reading.tilt))
    down = row - middle
    rows = (middle + down * cos - across * sin).clip(0, scan.rows - 1)
    at = (pivot + across * cos + down * sin).clip(0, bins - 1)
    first = np.floor(at).astype(np.intp).clip(0, bins - 2)
    share = (at - first).astype(np.float32)
    turned = np.zeros((views, bins), dtype=np.float32)
    for source in range(int(rows.min()), math.ceil(rows.max()) + 1):
        weight = np.maximum(0, 1 - np.abs(rows - source)).astype(np.float32)
        seen = np.flatnonzero(weight)
        if not len(seen):
            continue
        values = own.values if source == row else _one_row(scan, source, reading).values
        left = first[seen]
        between = values[:, left] * (1 - share[seen]) + values[:, left + 1] * share[seen]
        turned[:, seen] += weight[seen] * between
    beyond = int(np.count_nonzero((middle + down * cos - across * sin).round(6) != rows.round(6)))
    notes = [f"Every view was turned back by {reading.tilt:g}°."]
    if beyond:
        notes.append(
            f"{beyond} of {bins} bins would lie beyond the detector's rows then; the last row stands for them."
        )
    return Sinogram(turned, (*own.notes, *notes))


def _one_row(scan: ScanFile, row: int, reading: ReadingSettings) -> Sinogram:
    read = scan.read(row, replaces=reading.not_finite == "replace", log_floor=reading.log_floor)
    values, notes = corrected(_cropped(scan.name, read.values, reading), reading)
    return Sinogram(values, (*read.notes, *notes))


def _cropped(name: str, values: Values, reading: ReadingSettings) -> Values:
    """The bins that are left; raises :class:`SettingError` where they are too few."""
    if not reading.crop_bins:
        return values
    first, last = reading.crop_bins
    bins = values.shape[1] - first - last
    if bins < FEWEST_BINS:
        raise SettingError(
            f"At least {FEWEST_BINS} bins were wanted, but a crop of {first} and {last} leaves {max(bins, 0)} of the "
            f"{values.shape[1]} of {name}; crop less."
        )
    return np.ascontiguousarray(values[:, first : first + bins])


def corrected(values: Values, settings: CorrectionSettings) -> tuple[Values, tuple[str, ...]]:
    """What belongs to single elements of the detector mended, in order, where the settings want it; and what was done.

    With nothing wanted these are the very same values.
    """
    notes = []
    if settings.bad_bins:
        values, count = without_bad_bins(values)
        notes.append(f"{_counted(count, 'bad bin')} filled from the bins beside.")
    if settings.zingers:
        values, count = without_zingers(values, settings.zinger_threshold)
        notes.append(f"{_counted(count, 'zinger')} replaced by the median around.")
    if settings.beam_drift:
        values, drift = without_beam_drift(values)
        notes.append(
            f"The beam's drift, {drift:.2g} in the line integrals, was taken out by the air at the borders."
            if drift
            else "No drift of the beam was taken out: not both borders see air in every view, or it is 0 there."
        )
    if settings.rings != "off":
        before = values
        take_out = without_rings if settings.rings == "profile" else without_all_stripes
        values = take_out(values, settings.ring_width)
        changed = strength_of(values - before) / (strength_of(before) or 1.0)
        notes.append(f"Rings were taken out by {settings.rings}; it changed the sinogram by {changed:.2%}.")
    return values, tuple(notes)


def proposals(values: Values, settings: CorrectionSettings) -> tuple[Proposal, ...]:
    """What values (views, bins), which are corrected as the settings say, still ask for, each looked for behind those
    before it. Of a large scan the views in its middle are looked at, and that is said.
    """
    views, found = len(values), []
    looked_at = min(views, max(_LEAST_VIEWS * _PARTS, ENOUGH_READINGS // values.shape[1]))
    values = values[(views - looked_at) // 2 :][:looked_at]
    if not settings.crop_bins:
        first, last = blind_ends(values)
        if first or last:
            values = values[:, first : values.shape[1] - last]
            found.append(
                Proposal("crop_bins", (first, last), f"{first} and {last} bins at the ends see nothing")
            )
    if not settings.bad_bins:
        values, count = without_bad_bins(values)
        if count:
            found.append(Proposal("bad_bins", True, f"{_counted(count, 'bad bin')} found"))
    if not settings.zingers:
        values, count = without_zingers(values, settings.zinger_threshold)
        if count:
            found.append(Proposal("zingers", True, f"{_counted(count, 'zinger')} found"))
    if not settings.beam_drift:
        strength = strength_of(values)
        values, drift = without_beam_drift(values)
        if drift:
            found.append(
                Proposal(
                    "beam_drift", True, f"the air at the borders is {drift / strength:.2%} of the scan off 0"
                )
            )
    if settings.rings == "off":
        stripes = find_stripes(values, settings.ring_width)
        if stripes.bins:
            found.append(
                Proposal(
                    "rings", "profile",
                    f"{_counted(stripes.bins, 'bin')} off in all views, {stripes.strength:.2%} of the scan",
                )
            )  # fmt: skip
    if looked_at < views:
        found = [replace(one, found=f"{one.found}, by {looked_at} of {views} views") for one in found]
    return tuple(found)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
