"""What every scan is read into: line integrals a detector row, and how they were measured.

Counts become line integrals by flat and dark fields, the logarithm, and the air at the borders (Beer and Lambert).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.images.size import replaced
from padis_gui.core.physics.geometry import Geometry
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.files import Closing

Values = NDArray[np.float32]

FEWEST_BINS, MOST_BINS, MOST_VIEWS = 16, 65_536, 100_000
_MOST_READINGS = 2**28  # 1 GiB in float32


@dataclass(frozen=True, slots=True, eq=False)
class Sinogram:
    """Line integrals (views, bins), float32, finite, and sentences on what was done to them."""

    values: Values
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """A detector row as it is stored, (views, bins): line integrals, or counts where there is a ``flat``.

    ``flat`` and ``dark`` are those of :func:`line_integrals`.
    """

    values: NDArray[Any]
    flat: NDArray[Any] | float | None = None
    dark: NDArray[Any] | float = 0.0


class ScanFile(Closing):
    """An open scan; close it, or use it as a context manager.

    ``kind`` names the layout. Lengths of the ``geometry`` are in mm where the file says them, else in bins; its centre
    is None where the file does not say it. ``readings`` gives one of the ``rows`` of the detector, each of which makes
    a slice. ``notes`` are sentences for the user on how the file is taken.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        geometry: Geometry,
        readings: Callable[[int], Readings],
        *,
        rows: int = 1,
        notes: tuple[str, ...] = (),
        close: Callable[[], None] | None = None,
    ) -> None:
        self.name, self.kind, self.geometry, self.rows = name, kind, geometry, rows
        self._readings, self._notes, self._close = readings, notes, close

    def read(self, row: int, *, replaces: bool = False, log_floor: float | None = None) -> Sinogram:
        """The line integrals of a detector row, from 0; the other rows are not loaded where the format allows.

        ``log_floor`` is the least part of the beam that counts, in (0, 1).

        Readings that are NaN or infinite are refused, unless it ``replaces`` them by their neighbours. Raises
        :class:`InputError` for those, for a row that there is not, and for readings that cannot be used.
        """
        if not 0 <= row < self.rows:
            raise InputError(
                f"{self.name} has detector rows 0 to {self.rows - 1}, but row {row} was asked for; choose one of those."
            )
        found = self._readings(row)
        if found.flat is None:
            integrals = _not_darker(np.ascontiguousarray(found.values, dtype=np.float32), log_floor)
        else:
            integrals = line_integrals(
                self.name, found.values, found.flat, found.dark, replaces=replaces, log_floor=log_floor
            )
        values, notes = mended(self.name, integrals.values, replaces=replaces)
        return Sinogram(values, (*self._notes, *integrals.notes, *notes))

    def close(self) -> None:
        """Let go of the file."""
        if self._close is not None:
            self._close()


def check_sizes(name: str, views: int, bins: int) -> None:
    """Raise :class:`InputError` unless a sinogram can have this size; ask before loading anything."""
    if not (1 <= views <= MOST_VIEWS and FEWEST_BINS <= bins <= MOST_BINS and views * bins <= _MOST_READINGS):
        raise InputError(
            f"A scan of 1 to {MOST_VIEWS} views of {FEWEST_BINS} to {MOST_BINS} bins (at most 2^28 readings a row) was "
            f"wanted, but {name} has {views} views of {bins} bins; check the order of its axes, or reduce it."
        )


def check_readings(name: str, values: NDArray[Any]) -> None:
    """Raise :class:`InputError` where not all readings are finite numbers."""
    bad = values.size - int(np.count_nonzero(np.isfinite(values)))
    if bad:
        raise InputError(
            f"Finite readings were wanted, but {name} has {bad} that are NaN or infinite; replace them by their "
            "neighbours (NaN, infinity: replace; --not-finite replace), or in the file.",
            remedy="replace",
        )


def mended(name: str, values: NDArray[Any], *, replaces: bool) -> tuple[Values, tuple[str, ...]]:
    """Finite readings (views, bins), and a sentence where some were replaced; else those that are not are refused."""
    if not replaces or np.isfinite(values).all():
        check_readings(name, values)
        return values, ()
    filled, notes = replaced(name, values[None].astype(np.float32))
    return filled[0], notes


def checked_angles(name: str, angles: NDArray[Any], views: int) -> NDArray[np.float64]:
    """Angles (views,) in float64; raises :class:`InputError` where there are not as many as views, or not finite."""
    flat = np.asarray(angles, dtype=np.float64).ravel()
    if len(flat) != views:
        raise InputError(
            f"An angle for each of the {views} views was wanted, but {name} has {len(flat)}; correct its angles, or "
            "check the order of its axes."
        )
    if views > 1 and np.ptp(flat) == 0:  # which is what some writers put where they know none
        raise InputError(
            f"An angle of its own for each view was wanted, but all {views} of {name} are {flat[0]:g}; correct them, or "
            "give a geometry in a JSON file beside it."
        )
    if not np.all(np.isfinite(flat)) or np.abs(flat).max() > 1e6:
        raise InputError(
            f"Finite angles in degrees or radians were wanted, but those of {name} are not; correct them."
        )
    return flat


def positive(name: str, what: str, value: float) -> float:
    """A length or distance; raises :class:`InputError` where it cannot be one."""
    if not (np.isfinite(value) and 0 < value < 1e9):
        raise InputError(f"{what} above 0 was wanted, but {name} states {value:g}; correct it in the file.")
    return float(value)


# A bin is dead where the flat has less than this of the median bin's light
_DEAD = 0.02
_MOST_DEAD = 0.5
# Flats of fewer counts than this are not counts but parts of 1
_COUNTS = 100.0
# What is told apart below one count: half of it, or this part of the beam where the flat is no count
_DARKEST = 1e-5
_BORDER = 0.03
# Air may be so far off, and vary so much along a border, relative to what the object absorbs
_DRIFT, _FLAT = 0.2, 0.05


def line_integrals(
    name: str,
    counts: NDArray[Any],
    flat: NDArray[Any] | float,
    dark: NDArray[Any] | float = 0.0,
    *,
    replaces: bool = False,
    log_floor: float | None = None,
) -> Sinogram:
    """-ln((counts - dark) / (flat - dark)) of readings (views, bins).

    ``flat`` and ``dark`` are (bins,), (images, bins), of which the mean is taken but for those that are far from the
    others, or one number. Dead bins, which saw
    no light in the flat, are interpolated between their neighbours; readings at or below the dark become half a
    count, or those below the ``log_floor`` this part of the beam. Both are said in the notes. Readings that are no finite
    numbers are refused, or replaced from their neighbours. Raises :class:`InputError` where the flats are of no use.
    """
    bins = counts.shape[1]
    black, odd_darks = _mean(name, "dark", dark, bins)
    white, odd_flats = _mean(name, "flat", flat, bins)
    light = white - black
    counts, said = mended(name, counts, replaces=replaces)
    usual = float(np.median(light))
    dead = light <= max(_DEAD * usual, 0.0)
    if usual <= 0 or dead.mean() > _MOST_DEAD:
        raise InputError(
            f"Flat fields brighter than the dark were wanted, but those of {name} are dark in {int(dead.sum())} of "
            f"{bins} bins; take other flats, or say what the dark is."
        )
    notes = [*said, *odd_darks, *odd_flats]
    light = np.where(dead, 1.0, light)
    through = (counts.astype(np.float64) - black) / light
    if dead.any():
        through = filled_bins(through, dead)
        notes.append(
            f"{int(dead.sum())} of {bins} detector bins are dead and were filled from their neighbours."
        )
    darkest = np.where(light >= _COUNTS, 0.5 / light, _DARKEST)
    dark_readings = (through < darkest) & ~dead
    if log_floor is not None:
        notes.append(_floored(int((through < log_floor).sum()), counts.size, log_floor))
    elif dark_readings.any():
        notes.append(
            f"{int(dark_readings.sum())} of {counts.size} readings were not above the dark and were raised to half a "
            "count."
        )
    blank = np.flatnonzero(dark_readings.mean(axis=1) > _BLANK)
    if len(blank):
        listed = ", ".join(str(view + 1) for view in blank[:8]) + (" …" if len(blank) > 8 else "")
        are = "is" if len(blank) == 1 else "are"
        notes.append(
            f"{len(blank)} of {len(counts)} views {are} blank ({listed}), which spoils the result; leave what is blank "
            "out of the file."
        )
    values = -np.log(np.maximum(through, darkest if log_floor is None else log_floor))
    values, drift = without_drift(values)
    if drift:
        notes.append(
            f"The beam's drift of up to {drift:.1%} was taken out by the air at the detector's borders."
        )
    return Sinogram(values.astype(np.float32), tuple(notes))


def _not_darker(values: Values, log_floor: float | None) -> Sinogram:
    """Line integrals up to that of the least part of the beam that counts; the same values where none is given."""
    if log_floor is None:
        return Sinogram(values)
    most = np.float32(-np.log(log_floor))
    darker = (values > most) & np.isfinite(values)  # infinity is no number, and refused as such
    return Sinogram(np.where(darker, most, values), (_floored(int(darker.sum()), values.size, log_floor),))


def _floored(count: int, of: int, log_floor: float) -> str:
    return f"{count} of {of} readings were below the log floor of {log_floor:g} of the beam and were raised to it."


_BLANK = 0.5  # of a view's readings not above the dark: the beam was off, or the frame was never written
# An image is no flat or dark like the others if its level is so many robust deviations, and this part, off their median
_ODD, _ODD_PART = 8.0, 0.05


def _mean(
    name: str, what: str, field: NDArray[Any] | float, bins: int
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """A flat or dark field a bin, and a sentence where images of it were left out: a shutter that was open, a beam off."""
    values = np.asarray(field, dtype=np.float64)
    notes: tuple[str, ...] = ()
    if values.ndim >= 2:
        values = values.reshape(-1, values.shape[-1])
        odd = _odd(values.mean(axis=1))
        if odd.any():
            values = values[~odd]
            notes = (
                f"{int(odd.sum())} of {len(odd)} {what} fields {'is' if odd.sum() == 1 else 'are'} far from the others and "
                f"{'was' if odd.sum() == 1 else 'were'} left out.",
            )
        values = values.mean(axis=0)
    if values.shape not in ((), (1,), (bins,)):
        raise InputError(
            f"Flat and dark fields of {bins} bins were wanted, but those of {name} have {values.shape[-1]}; take those of "
            "the same detector."
        )
    check_readings(f"the flat or dark field of {name}", values)
    return np.broadcast_to(values, (bins,)).copy(), notes


def _odd(levels: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of at least three levels (images,) are outliers; never half of them."""
    middle = np.median(levels)
    away = np.abs(levels - middle)
    limit = max(_ODD * 1.4826 * float(np.median(away)), _ODD_PART * abs(float(middle)) + 1.0)
    odd: NDArray[np.bool_] = away > limit
    return odd if len(levels) > 2 else np.zeros(len(levels), dtype=bool)


def filled_bins(values: NDArray[np.float64], dead: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Dead bins by linear interpolation along the detector."""
    column = np.arange(values.shape[1])
    good = column[~dead]
    right = np.searchsorted(good, column[dead]).clip(1, len(good) - 1)
    left_bin, right_bin = good[right - 1], good[right]
    share = ((column[dead] - left_bin) / (right_bin - left_bin)).clip(0, 1)
    filled = values.copy()
    filled[:, dead] = values[:, left_bin] * (1 - share) + values[:, right_bin] * share
    return filled


def border(bins: int) -> int:
    """How many bins at either end are looked at for air."""
    return max(4, round(_BORDER * bins))


def without_drift(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Line integrals whose borders see air, such that it is 0 there in every view; and how far it was from that.

    Between both borders' levels the correction is linear. It is warranted where both borders are air in every view
    (far below what the object absorbs) and their levels are off by more than their noise; elsewhere nothing changes.
    """
    bins = values.shape[1]
    margin = border(bins)
    ends = [values[:, :margin], values[:, -margin:]]
    absorbed = float(np.quantile(values, 0.95))
    level = np.stack([np.median(end, axis=1) for end in ends], axis=1)  # (views, 2)
    spread = (
        max(float(np.median(np.abs(end - np.median(end, axis=1, keepdims=True)))) for end in ends) * 1.4826
    )
    steep = max(float(np.quantile(np.ptp(end, axis=1), 0.95)) for end in ends)
    is_air = (
        absorbed > 0
        and float(np.abs(level).max()) < _DRIFT * absorbed
        and steep < _FLAT * absorbed + 8 * spread
    )
    drift = float(np.abs(level).max())
    if not is_air or drift <= 3 * 1.2533 * spread / np.sqrt(margin):  # a median's own deviation
        return values, 0.0
    along = np.linspace(0, 1, bins)
    return values - (level[:, :1] * (1 - along) + level[:, 1:] * along), drift
