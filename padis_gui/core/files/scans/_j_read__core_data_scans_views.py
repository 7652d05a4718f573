"""Which views of a scan are taken, and neighbouring bins made one."""

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.scans._j_scan__core_data_scans_scan import FEWEST_BINS, Values
from padis_gui.core.images._j_image__core_data_reading import ReadingSettings
from padis_gui.core.physics._j_geometry__core_physics_geometry import Beam, dropped_bins
from padis_gui.core.settings.errors import SettingError

Indices = NDArray[np.intp]
MOST_VIEWS_TAKEN = 2000


def chosen_views(name: str, angles: NDArray[np.float64], beam: Beam, reading: ReadingSettings) -> Indices:
    """The views that the reading takes, in the file's order; ``angles`` (views,) in degrees.

    Raises :class:`SettingError` where there are none or too few.
    """
    low = -np.inf if reading.angle_from is None else reading.angle_from
    high = np.inf if reading.angle_to is None else reading.angle_to
    within = np.flatnonzero((angles >= low) & (angles < high))
    if not len(within):
        raise SettingError(
            f"Views from {low:g}° up to {high:g}° were wanted, but the angles of {name} are {angles.min():g}° to "
            f"{angles.max():g}°; widen the range."
        )
    wanted = len(within) if reading.take_views is None else reading.take_views
    if wanted > len(within):
        raise SettingError(
            f"{wanted} views were wanted, but {name} has {len(within)} in this range of angles; take fewer."
        )
    if wanted == len(within) and wanted <= MOST_VIEWS_TAKEN:
        return within
    return within[spread_evenly(angles[within], min(wanted, MOST_VIEWS_TAKEN), beam)]


def spread_evenly(angles: NDArray[np.float64], wanted: int, beam: Beam) -> Indices:
    """``wanted`` of the views at ``angles`` (degrees) that lie most evenly, in order.

    A closed turn is divided into as many parts, so that its last view is not taken beside the first where both are
    one. In a parallel beam, views half a turn apart see the same rays: an even number over a full turn is therefore
    taken such that the second half lies between the first. Of an open arc both ends are taken.
    """
    order = np.argsort(angles, kind="stable")
    along = angles[order] - angles[order[0]]
    period = _closed(along, beam)
    if period is None:
        targets = np.linspace(0, along[-1], wanted) if wanted > 1 else np.zeros(1)
        distance = np.abs(along - targets[:, None])
    else:
        targets = np.arange(wanted) * (period / wanted)
        if beam == "parallel" and period == 360 and wanted % 2 == 0:
            targets[wanted // 2 :] += period / wanted / 2
        apart = np.mod(along - targets[:, None], period)
        if beam == "parallel" and period == 180:
            distance = np.abs(along - targets[:, None])
        else:
            distance = np.minimum(apart, period - apart)
    nearest = distance.argmin(axis=1)
    if len(np.unique(nearest)) < wanted:  # uneven angles: evenly by their order instead
        nearest = np.linspace(0, len(angles) - 1, wanted).round().astype(np.intp)
    return np.sort(order[nearest])


def _closed(along: NDArray[np.float64], beam: Beam) -> float | None:
    """The turn in degrees after which the scan sees the same again, if it goes all round; sorted angles from 0."""
    if len(along) < 3:
        return None
    step = float(np.median(np.diff(along)))
    for period in (360.0, 180.0) if beam == "parallel" else (360.0,):
        if along[-1] + 1.5 * step >= period:
            return period
    return None


def binned(name: str, values: Values, by: int) -> Values:
    """The mean of each ``by`` neighbouring bins (views, bins); what is left over is dropped at both ends alike.

    Raises :class:`SettingError` where too few remain.
    """
    if by == 1:
        return values
    bins = values.shape[1] // by
    if bins < FEWEST_BINS:
        raise SettingError(
            f"At least {FEWEST_BINS} bins were wanted, but binning by {by} leaves {bins} of the {values.shape[1]} of "
            f"{name}; lower the binning."
        )
    first = dropped_bins(values.shape[1], by)
    kept = values[:, first : first + bins * by]
    mean: Values = kept.reshape(len(values), bins, by).mean(axis=2, dtype=np.float64).astype(np.float32)
    return mean
