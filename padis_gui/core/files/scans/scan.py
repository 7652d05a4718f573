"""What every scan is read into: line integrals a detector row, and how they were measured.

Counts become line integrals by flat and dark fields, the logarithm, and the air at the borders (Beer and Lambert).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.images.size import replaced
from padis_gui.core.physics.geometry import Geometry
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.files import Closing

Values = NDArray[np.float32]

FEWEST_BINS, MOST_BINS, MOST_VIEWS = 16, 65_536, 100_000
_MOST_READINGS, _MOST_FIELD_READINGS = 2**25, 2**24  # each takes some 25 bytes on its way, of fields some 40
# So many readings tell the noise, where the axis is and what to correct: of more, some views are looked at
ENOUGH_READINGS = 2**22
_MOST_FIELDS = 10_000


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConeRows:
    """All detector rows of a cone beam, of which a scan's geometry has the central slice; see :class:`Geometry`.

    ``readings`` gives one of the ``rows``, which count as slices do. Without a ``row_height`` rows are as high as bins
    are wide.
    """

    readings: Callable[[int], Readings]
    rows: int
    row_height: float | None = None
    centre_row: float = 0.0
    tilt: float = 0.0
    axis_offset: float = 0.0


class ScanFile(Closing):
    """An open scan; close it, or use it as a context manager.

    ``kind`` names the layout. Lengths of the ``geometry`` are in mm where the file says them, else in bins; its centre
    is None where the file does not say it. ``readings`` gives one of the ``rows`` of the detector, each of which makes
    a slice. ``notes`` are sentences for the user on how the file is taken. Where it is the central slice of a ``cone``,
    that has the other rows.
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
        cone: ConeRows | None = None,
    ) -> None:
        self.name, self.kind, self.geometry, self.rows = name, kind, geometry, rows
        self._readings, self._notes, self._close = readings, notes, close
        self._cone = cone

    def checked(self, check: Callable[[], None]) -> "ScanFile":
        """This scan, of which whatever is read counts once ``check`` has not raised."""

        def sound(readings: Callable[[int], Readings], row: int) -> Readings:
            found = readings(row)
            values = found.values[...]
            check()
            return replace(found, values=values)

        self._readings = partial(sound, self._readings)
        if self._cone is not None:
            self._cone = replace(self._cone, readings=partial(sound, self._cone.readings))
        return self

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
        return Sinogram(
            values, (*self._notes, *integrals.notes, *notes, *noticed(values, self.geometry.angles))
        )

    def as_cone(self) -> "ScanFile | None":
        """All rows of a cone beam, with its geometry; None of other scans. The file stays this one's to close."""
        cone = self._cone
        if cone is None:
            return None
        geometry = replace(
            self.geometry, beam="cone", rows=cone.rows, row_height=cone.row_height or self.geometry.bin_width,
            centre_row=cone.centre_row, tilt=cone.tilt, axis_offset=cone.axis_offset,
        )  # fmt: skip
        return ScanFile(self.name, self.kind, geometry, cone.readings, rows=cone.rows)

    def keeping(self) -> "ScanFile":
        """The same scan, which keeps the rows that it has read, also once this file is closed or written over."""

        def copied(row: int) -> Readings:
            found = self._readings(row)
            flat, dark = found.flat, found.dark
            return Readings(
                np.array(found.values),
                flat.copy() if isinstance(flat, np.ndarray) else flat,
                dark.copy() if isinstance(dark, np.ndarray) else dark,
            )

        return ScanFile(self.name, self.kind, self.geometry, cache(copied), rows=self.rows, notes=self._notes)

    def merged(self, row: int) -> "ScanFile":
        """A row's scan with one view an angle: the mean of those that have the same, and no frame that repeats another.

        The file stays this one's to close.
        """
        found, angles = self._readings(row), self.geometry.angles
        values = np.asarray(found.values)
        kept = np.flatnonzero(~np.append(False, repeated(values, angles)))
        angles, values = angles[kept], values[kept]
        group = _same_angle(angles)
        firsts = np.unique(group)
        left = len(self.geometry.angles) - len(firsts)
        if not left:
            return self
        means = values.astype(np.float64) if values.dtype.kind != "f" else values.copy()
        for first in firsts[np.bincount(group)[firsts] > 1]:
            means[first] = values[group == first].mean(axis=0, dtype=np.float64)
        made = Readings(means[firsts], found.flat, found.dark)
        notes = (
            *self._notes,
            f"{left} views that repeat a frame or an angle were left out, or averaged.",
        )
        geometry = self.geometry.of_views(kept[firsts])
        return ScanFile(self.name, self.kind, geometry, lambda _row: made, rows=self.rows, notes=notes)

    def close(self) -> None:
        """Let go of the file."""
        if self._close is not None:
            self._close()


def check_sizes(name: str, views: int, bins: int) -> None:
    """Raise :class:`InputError` unless a sinogram can have this size; ask before loading anything."""
    if not (1 <= views <= MOST_VIEWS and FEWEST_BINS <= bins <= MOST_BINS and views * bins <= _MOST_READINGS):
        raise InputError(
            f"A scan of 1 to {MOST_VIEWS} views of {FEWEST_BINS} to {MOST_BINS} bins (at most 2^25 readings a row) was "
            f"wanted, but {name} has {views} views of {bins} bins; check the order of its axes, or reduce it."
        )


def check_fields(name: str, what: str, images: int, bins: int) -> None:
    """Raise :class:`InputError` unless a row can have so many flat or dark fields; ask before loading anything."""
    most = min(_MOST_FIELDS, _MOST_FIELD_READINGS // max(bins, 1))
    if images > most:
        raise InputError(
            f"At most {most} {what} fields of {bins} bins were wanted, but {name} declares {images}; keep some of them."
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
    """Angles (views,) in float64, none of a file's own memory; raises :class:`InputError` where there are not as many as
    views, or not finite."""
    flat = np.array(angles, dtype=np.float64).ravel()
    if len(flat) != views:
        raise InputError(
            f"An angle for each of the {views} views was wanted, but {name} has {len(flat)}: frames were "
            f"{'dropped' if len(flat) > views else 'doubled, or are no views'}; correct its angles, or check the order of "
            "its axes."
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
_VIEWS_AT_ONCE = 64


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
    through = counts.astype(np.float64)  # of a large scan 256 MiB: what follows is done in its place
    through -= black
    through /= light
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
    np.maximum(through, darkest if log_floor is None else log_floor, out=through)
    np.negative(np.log(through, out=through), out=through)
    values, drift = without_drift(through)
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
        values, local = _without_blobs(values, what)
        notes += local
    if values.shape not in ((), (1,), (bins,)):
        raise InputError(
            f"Flat and dark fields of {bins} bins were wanted, but those of {name} have {values.shape[-1]}; take those of "
            "the same detector."
        )
    check_readings(f"the flat or dark field of {name}", values)
    return np.broadcast_to(values, (bins,)).copy(), notes


def _without_blobs(values: NDArray[np.float64], what: str) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """The mean of images (images, bins) but for what is far from the others at its bin: a speck, a zinger, a hand."""
    middle = np.median(values, axis=0)
    away = np.abs(values - middle)
    limit = np.maximum(_ODD * 1.4826 * float(np.median(away)), _ODD_PART * np.abs(middle) + 1.0)
    odd = away > limit
    many = odd.mean(axis=0) >= 0.5
    odd[:, many] = False
    if len(values) < 3 or not odd.any():
        return values.mean(axis=0), ()
    images, bins = odd.any(axis=1).sum(), odd.any(axis=0).sum()
    return np.where(odd, 0.0, values).sum(axis=0) / (~odd).sum(axis=0), (
        f"{images} of {len(values)} {what} fields {'is' if images == 1 else 'are'} far from the others in {bins} bins; "
        "there the mean of the others was taken.",
    )


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
    along, found = np.linspace(0, 1, bins), np.empty_like(values)
    for first in range(0, len(values), _VIEWS_AT_ONCE):
        some = slice(first, first + _VIEWS_AT_ONCE)
        found[some] = values[some] - (level[some, :1] * (1 - along) + level[some, 1:] * along)
    return found, drift


# -- views that are not as they are said to be ------------------------------------------------------------

# Steps so even, and gaps so rare, are those of a scan that was meant to be even
_EVEN, _FEW_GAPS = 0.1, 0.1
# A wrong view is so many times as far from the mean of both neighbours as others are
_UNLIKE = 10.0
# Where frames were dropped a view is so many times as far from the next as the views beside, and as usual, and as by noise
_JUMP, _USUAL_JUMP, _ABOVE_NOISE = 1.6, 1.2, 3.0
_FEWEST_VIEWS = 12


def repeated(values: NDArray[Any], angles: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which views from the second on (views - 1,) are, bit for bit, the frame before, though they have another angle.

    Noise makes no two frames alike. Where most views are, nothing can be said; blank ones are not meant.
    """
    alike: NDArray[np.bool_] = (values[1:] == values[:-1]).all(axis=1) & (np.ptp(values[1:], axis=1) > 0)
    alike &= np.diff(angles) != 0
    return alike if alike.sum() * 2 <= len(alike) + 1 else np.zeros_like(alike)


def _same_angle(angles: NDArray[np.float64]) -> NDArray[np.intp]:
    """For each view the first one that has its angle."""
    order = np.argsort(angles, kind="stable")
    steps = np.diff(angles[order])
    apart = steps[steps > 0]
    near = 1e-3 * float(np.median(apart)) if len(apart) else 0.0
    group = np.empty(len(angles), dtype=np.intp)
    group[order] = np.cumsum(np.append(0, steps > near))
    first = np.full(len(angles), len(angles), dtype=np.intp)
    np.minimum.at(first, group, np.arange(len(angles)))
    return first[group]


def noticed(values: Values, angles: NDArray[np.float64]) -> tuple[str, ...]:
    """Sentences on views (views, bins) that seem doubled, dropped or wrong; their ``angles`` are in degrees."""
    views = len(angles)
    if views < _FEWEST_VIEWS:
        return ()
    notes = []
    doubled = np.flatnonzero(_same_angle(angles) != np.arange(views))
    if len(doubled):
        notes.append(f"{_count(doubled, views)} the angle of another; {_MERGE}.")
    again = np.flatnonzero(repeated(values, angles)) + 1
    if len(again):
        notes.append(f"{_count(again, views)} the very frame before at another angle; {_MERGE}.")
    steps = np.diff(np.unique(angles))
    usual = float(np.median(steps)) if len(steps) else 0.0
    wide = np.flatnonzero(steps > 1.5 * usual)
    even = usual > 0 and (np.abs(steps / usual - 1) < _EVEN).mean() > 1 - _FEW_GAPS
    if even and len(wide):
        missing = int(np.round(steps[wide] / usual - 1).sum())
        notes.append(
            f"The angles leave out {missing} of their even steps of {usual:.4g}°, first after "
            f"{np.unique(angles)[wide[0]]:.4g}°: frames were dropped there, or left out."
        )
    if not len(again) and even:
        notes += _out_of_line(values[np.argsort(angles, kind="stable")], wide)
    return tuple(notes)


_MERGE = "Doubled views: merge (--doubled-views merge) makes one of them"


def _count(which: NDArray[np.intp], views: int) -> str:
    listed = ", ".join(str(view + 1) for view in which[:8]) + (" …" if len(which) > 8 else "")
    return f"{len(which)} of {views} views ({listed}) {'has' if len(which) == 1 else 'have'}"


def _out_of_line(values: Values, known: NDArray[np.intp]) -> list[str]:
    """Views in the order of their angles that don't go on as their neighbours do; ``known`` gaps are no surprise."""
    step = np.sqrt(np.mean(np.square(np.diff(values, axis=0), dtype=np.float64), axis=1))
    bent = np.sqrt(
        np.mean(np.square(values[1:-1] - (values[:-2] + values[2:]) / 2, dtype=np.float64), axis=1)
    )
    odd = np.flatnonzero(bent > _UNLIKE * np.median(bent)) + 1
    # a wrong view bends its neighbours' lines, too, half as much
    odd = odd[[bent[n - 1] >= bent[max(0, n - 2) : n + 1].max() for n in odd]]
    if len(odd):
        listed = ", ".join(str(view + 1) for view in odd[:8])
        return [
            f"{len(odd)} of {len(values)} views, in the order of their angles, {'is' if len(odd) == 1 else 'are'} unlike "
            f"both neighbours ({listed}): frames may be wrong, or in another order."
        ]
    noise = 2**0.5 * float(np.median(np.abs(np.diff(values, 2, axis=1)))) / 6**0.5 * 1.4826
    turn = np.sqrt(np.maximum(step**2 - noise**2, 0.0))
    beside = np.maximum(turn[:-2], turn[2:]) * _JUMP
    least = max(_USUAL_JUMP * float(np.median(turn)), _ABOVE_NOISE * noise)
    jumps = np.flatnonzero((turn[1:-1] > beside) & (turn[1:-1] > least)) + 1
    jumps = np.setdiff1d(jumps, known)
    if not 0 < len(jumps) <= _FEW_GAPS * len(values):
        return []
    listed = ", ".join(str(view + 1) for view in jumps[:8])
    return [
        f"After view {listed}, in the order of their angles, the scan goes on further than its angles say: frames may have "
        "been dropped there, and later angles be off."
    ]
