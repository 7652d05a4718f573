"""A detector row as it goes into a reconstruction: its corrections in their order, and what the data still ask for.

The order is that of :class:`~padis_gui.core.images.corrections.CorrectionSettings`; the binning follows.
"""

import math

import numpy as np

from padis_gui.core.files.scans.corrections import (
    blind_ends,
    find_stripes,
    strength_of,
    without_all_stripes,
    without_bad_bins,
    without_beam_drift,
    without_rings,
    without_zingers,
)
from padis_gui.core.files.scans.scan import FEWEST_BINS, ScanFile, Sinogram, Values
from padis_gui.core.images.corrections import CorrectionSettings, Proposal
from padis_gui.core.images.image import ReadingSettings
from padis_gui.core.settings.errors import SettingError


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
        notes.append(f"{beyond} of {bins} bins would lie beyond the detector's rows then; the last row stands for them.")
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
    before it.
    """
    found = []
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
            found.append(Proposal("beam_drift", True, f"the air at the borders is {drift / strength:.2%} of the scan off 0"))
    if settings.rings == "off":
        stripes = find_stripes(values, settings.ring_width)
        if stripes.bins:
            found.append(
                Proposal(
                    "rings", "profile",
                    f"{_counted(stripes.bins, 'bin')} off in all views, {stripes.strength:.2%} of the scan",
                )
            )  # fmt: skip
    return tuple(found)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
