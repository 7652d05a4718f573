"""A detector row of a scan as a measurement, with its FBP as the first picture.

The reading takes some of its views and makes neighbouring bins one. Noise, axis of rotation, and which attenuation the
prior is to see as 0 and 1 are told from the whole scan itself.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core import torch
from padis_gui.core.files.formats.pages import in_one_sentence
from padis_gui.core.files.scans.centre import find_axis
from padis_gui.core.files.scans.corrections import proposals, read_corrected
from padis_gui.core.files.scans.scan import ENOUGH_READINGS, FEWEST_BINS, ScanFile, Values
from padis_gui.core.images.image import Image, Measured, ReadingSettings
from padis_gui.core.images.size import LARGEST, SMALLEST
from padis_gui.core.physics.geometry import Beam, Geometry, dropped_bins
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.physics.scanner import MAX_BINS, settings_of
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import InputError, SettingError
from padis_gui.core.settings.machine import free_memory_mb

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
    else:
        targets = np.arange(wanted) * (period / wanted)
        if beam == "parallel" and period == 360 and wanted % 2 == 0:
            targets[wanted // 2 :] += period / wanted / 2
    nearest = _nearest(along, targets, None if beam == "parallel" and period == 180 else period)
    if len(np.unique(nearest)) < wanted:  # uneven angles: evenly by their order instead
        nearest = np.linspace(0, len(angles) - 1, wanted).round().astype(np.intp)
    return np.sort(order[nearest])


def _nearest(along: NDArray[np.float64], targets: NDArray[np.float64], period: float | None) -> Indices:
    """For each target the first of the sorted angles ``along`` that is nearest to it, over a ``period`` if any."""
    angles, firsts = np.unique(along, return_index=True)
    # the nearest is one of the two beside it, or of the two at the ends, which the period joins
    beside = np.searchsorted(angles, targets)[:, None] + np.arange(-2, 2)
    ends = np.broadcast_to([0, len(angles) - 1], (len(targets), 2))
    some = np.sort(np.concatenate([beside.clip(0, len(angles) - 1), ends], axis=1), axis=1)
    distance = np.abs(angles[some] - targets[:, None])
    if period is not None:
        apart = np.mod(angles[some] - targets[:, None], period)
        distance = np.minimum(apart, period - apart)
    found: Indices = firsts[some[np.arange(len(targets)), distance.argmin(axis=1)]]
    return found


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


_TO_DEVIATION = 1.4826  # from the median of absolute values to a Gaussian's deviation
_SMALLEST, _LARGEST = 1e-4, 0.3


def relative_noise(values: Values) -> float:
    """The noise's standard deviation relative to the root mean square of the line integrals (views, bins).

    Second differences of neighbouring readings leave noise and little of the object; their median ignores its edges
    (Donoho and Johnstone, Biometrika 81 (1994) 425, with differences for wavelets). Of both directions the smaller
    one counts, as the object only adds to it. Rounded to two digits.

    Of a large scan the differences of the views in its middle are taken.
    """
    strength = float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
    enough = max(3, ENOUGH_READINGS // values.shape[1])
    some = values[max(0, len(values) - enough) // 2 :][:enough]
    found = [_deviation(np.diff(some, 2, axis=axis)) for axis in (0, 1) if some.shape[axis] > 2]
    if strength == 0 or not found:
        return 0.0
    noise = min(min(found) / strength, _LARGEST)
    return float(f"{noise:.2g}") if noise > _SMALLEST else 0.0


def _deviation(second_differences: NDArray[np.float32]) -> float:
    return _TO_DEVIATION * float(np.median(np.abs(second_differences))) / 6**0.5


PHYSICS: dict[Beam, str] = {"parallel": "ct-parallel", "fan": "ct-fan", "cone": "ct-cone"}


def back_projected(values: Values, geometry: Geometry, pixel: float, size: int, name: str) -> Values:
    """Filtered back projection of line integrals (views, bins) -> (1, size, size), pixels ``pixel`` wide.

    Raises :class:`InputError` where the geometry, which is that of the file ``name``, cannot be.
    """
    record = find_physics(PHYSICS[geometry.beam])
    problem: dict[str, Any] = settings_of(geometry, pixel)
    try:
        operator = record.make((1, size, size), make(record.settings_type, problem), torch.device("cpu"))
    except SettingError as error:
        reason = str(error).partition(";")[0]
        raise InputError(
            f"A geometry that can be reconstructed was wanted, but with that of {name} it is not so: {reason}; correct "
            "the geometry, and mind its units."
        ) from None
    found: Values = operator.pinv(torch.from_numpy(values[None])).numpy()
    return found


_SIZE, _BINS, _VIEWS = 128, 192, 360
_DENSEST = 0.999
_HEADROOM = 1.1
_METAL = 4.0
_NEGATIVE = 0.5


def propose_scaling(name: str, values: Values, geometry: Geometry, pixel: float) -> tuple[float, float]:
    """Attenuations of black and white for an image whose pixels are ``pixel`` wide, in 1/mm, or without lengths 1/px.

    Of the FBP of all views on 128 x 128 pixels, which averages noise away, within the field of view:

    - White is the 99.9th percentile and a tenth more, but at most 4 times the typical material: that is the
      attenuation which as much of the object's whole attenuation lies below as above. Bone beside soft tissue lies
      inside; a few pixels of metal do not press everything else into the dark.
    - Black is 0, no attenuation; where 2 % of the pixels lie more than half of the typical material below it, the
      2nd percentile.

    It depends on the whole scan, and so not on how many views are taken. Rounded to two digits.
    """
    by = max(1, values.shape[1] // _BINS)
    some = spread_evenly(geometry.angles, min(_VIEWS, len(values)), geometry.beam)
    wide = 2 * geometry.seen_by_any_view / _SIZE
    coarse = binned(name, values[some], by)
    found = back_projected(coarse, geometry.of_views(some).binned(by), wide, _SIZE, name)
    picture = found[0].astype(np.float64)
    if geometry.unit != "mm":
        picture *= pixel / wide
    axis = np.arange(_SIZE) - (_SIZE - 1) / 2
    inside = np.sort(picture[np.hypot(*np.meshgrid(axis, axis)) <= 0.97 * _SIZE / 2])
    positive = inside[inside > 0]
    if not len(positive):
        return 0.0, 1.0
    mass = np.cumsum(positive)
    typical = float(positive[np.searchsorted(mass, mass[-1] / 2)])
    white = min(_HEADROOM * float(np.quantile(inside, _DENSEST)), _METAL * typical)
    lowest = float(np.quantile(inside, 0.02))
    black = lowest if lowest < -_NEGATIVE * typical else 0.0
    return _rounded(black), _rounded(white) or typical


def _rounded(value: float) -> float:
    return float(f"{value:.2g}")


DEFAULT_SIZE = 256
# scatter, beam hardening and rays without width make real scans depart from the operator by more than their noise
_DEPARTURE = 2.0


def read_row(scan: ScanFile, row: int, reading: ReadingSettings) -> Image:
    """One detector row of an open scan, reduced as the reading says, with its FBP as pixels.

    The axis of rotation (where the file does not state it), the noise and the scaling are told from the whole row, so
    that they do not depend on how many views are taken. The window is the proposed one. Raises
    :class:`~padis_gui.core.settings.errors.PadisError` in one sentence.
    """
    if reading.reduces:
        raise SettingError(
            f"A size for the image of a scan was wanted, but {scan.name} was to be cropped, binned or resampled as a "
            "picture; choose the image size, the field of view, or the binning of its detector."
        )
    with in_one_sentence(scan.name, scan.kind):
        sinogram = read_corrected(scan, row, reading)
        taken = chosen_views(scan.name, scan.geometry.angles, scan.geometry.beam, reading)
        values = sinogram.values
        whole = scan.geometry.cropped(*reading.crop_bins) if reading.crop_bins else scan.geometry
        centre, how = _axis(values, whole)
        whole = replace(whole, centre=centre)
        reduced = binned(scan.name, values, reading.binning)
        if reduced.shape[1] > MAX_BINS:
            raise InputError(
                f"At most {MAX_BINS} detector bins were wanted, but {scan.name} has {reduced.shape[1]}; raise the binning."
            )
        whole, size, pixel = _grid(scan.name, whole, reading)
        geometry = whole.of_views(taken).binned(reading.binning)
        in_mm = geometry.unit == "mm"
        noise = float(f"{_DEPARTURE * relative_noise(reduced):.2g}")
        window = propose_scaling(scan.name, values, whole, pixel)
        part = np.ascontiguousarray(reduced[taken])
        return Image(
            pixels=back_projected(part, geometry, pixel, size, scan.name),
            unit="1/mm" if in_mm else "1/px",
            window=window,
            spacing=(pixel, pixel) if in_mm else None,
            name=scan.name,
            page=row,
            pages=scan.rows,
            measured=Measured(
                values=part[None],
                physics=PHYSICS[geometry.beam],
                problem=settings_of(geometry, pixel) | {"noise": noise},
                notes=(
                    *sinogram.notes,
                    how,
                    *_said(whole.views, len(taken), reading, noise),
                    *_cut_off(whole, size * pixel),
                    *_unseen(whole),
                ),
                proposals=proposals(values, reading),
            ),
            reading=reading,
        )


def read_cone(
    scan: ScanFile, reading: ReadingSettings, tell: Callable[[int, int], None] = lambda done, total: None
) -> Image:
    """All detector rows of a cone-beam scan as one measurement, its FDK as the volume (Z, rows, columns) of pixels.

    Voxels are cubes; the slices are as many as the detector sees at the axis of rotation. Axis, noise and scaling are told
    from the central slice. ``tell`` is called with the rows read and the rows in all, and may raise. Raises
    :class:`~padis_gui.core.settings.errors.PadisError` in one sentence, where the scan is of another beam, too.
    """
    cone = scan.as_cone()
    if cone is None:
        raise InputError(
            f"A cone-beam scan was wanted, with several detector rows, but {scan.name} is of another beam or has one row; "
            "leave out the physics, which the file states."
        )
    central_slice = scan.keeping()
    middle = read_row(central_slice, 0, reading)
    told = middle.measured
    assert told is not None, "of a scan"
    with in_one_sentence(scan.name, scan.kind):
        by, taken = (
            reading.binning,
            chosen_views(scan.name, cone.geometry.angles, cone.geometry.beam, reading),
        )
        central = read_corrected(central_slice, 0, reading).values
        whole = cone.geometry.cropped(*reading.crop_bins) if reading.crop_bins else cone.geometry
        whole = replace(whole, centre=_axis(central, whole)[0])
        rows = whole.rows // by
        if not rows:
            raise SettingError(
                f"At least one detector row was wanted, but binning by {by} leaves none of the {whole.rows} of "
                f"{scan.name}; lower the binning."
            )
        whole, size, pixel = _grid(scan.name, whole, reading)
        geometry = whole.of_views(taken).binned(by).binned_rows(by)
        slices = max(1, int(geometry.rows * geometry.row_height / geometry.magnification / pixel + 1e-6))
        _check_memory(scan.name, (rows, len(taken), geometry.bins), (slices, size, size))
        values = np.zeros((rows, len(taken), geometry.bins), np.float32)
        first = dropped_bins(whole.rows, by)
        for row in range(rows * by):
            tell(row, rows * by)
            one = binned(scan.name, read_corrected(cone, first + row, reading).values, by)
            values[row // by] += one[taken] / np.float32(by)
        in_mm = geometry.unit == "mm"
        problem = settings_of(geometry, pixel) | {"noise": told.problem["noise"]}
        problem["voxel_height"] = pixel if in_mm else 1.0
        return replace(
            middle,
            pixels=_fdk(values, problem, (slices, size, size), scan.name),
            slice_spacing=pixel if in_mm else None,
            pages=slices,
            slices=tuple(range(slices)),
            measured=replace(
                told, values=values, physics=PHYSICS["cone"], problem=problem,
                notes=(
                    *(note for note in told.notes if not note.startswith("The beam is a cone")),
                    f"All {cone.rows} detector rows are taken: {slices} slices of {pixel:.4g} {'mm' if in_mm else 'bins'}.",
                ),
                proposals=(),
            ),
        )  # fmt: skip


def _check_memory(name: str, measured: tuple[int, int, int], volume: tuple[int, int, int]) -> None:
    """Raise :class:`InputError` where projections and volume would not fit into half of the free memory."""
    needed = 4 * (2 * math.prod(measured) + 2 * math.prod(volume))
    if needed > 2**19 * free_memory_mb(torch.device("cpu")):
        raise InputError(
            f"A scan that fits into half of the free memory was wanted, but {' x '.join(map(str, measured))} readings of "
            f"{name} and a volume of {' x '.join(map(str, volume))} take {needed / 2**30:.1f} GiB; take fewer views, a "
            "smaller image size, or bin the detector."
        )


def _fdk(values: Values, problem: dict[str, Any], shape: tuple[int, int, int], name: str) -> Values:
    """As :func:`back_projected`, of projections (detector rows, views, bins) a volume."""
    record = find_physics(PHYSICS["cone"])
    try:
        operator = record.make(shape, make(record.settings_type, problem), torch.device("cpu"))
    except SettingError as error:
        reason = str(error).partition(";")[0]
        raise InputError(
            f"A geometry that can be reconstructed was wanted, but with that of {name} it is not so: {reason}; correct "
            "the geometry, and mind its units."
        ) from None
    found: Values = operator.pinv(torch.from_numpy(values)).numpy()
    return found


def _grid(name: str, whole: Geometry, reading: ReadingSettings) -> tuple[Geometry, int, float]:
    """The scan, its lengths in mm where the reading says how large a pixel is; the image's side and its pixels' size.

    Of image size, field of view and pixel size any two decide the third; what is left open holds whatever the scan sees,
    on 256 pixels. Raises :class:`SettingError` for three that do not agree, and for a field of view without lengths.
    """
    width, pitch, size = reading.field_of_view, reading.pixel_pitch, reading.image_size
    if whole.unit != "mm":
        if width is not None:
            raise SettingError(
                f"A field of view in mm was wanted, but {name} states no lengths; give the image size, and the pixel size "
                "where you know it."
            )
        size = size or DEFAULT_SIZE
        pixel = 2 * whole.seen_by_any_view / size
        if pitch is None:
            return whole, size, pixel
        scale = pitch / pixel  # mm in the width of a bin
        return whole.with_lengths("mm", lambda length: length * scale), size, pitch
    seen = 2 * whole.seen_by_any_view if width is None else width
    if pitch is None:
        size = size or DEFAULT_SIZE
        return whole, size, seen / size
    if size is None:
        size = max(1, round(seen / pitch))
        if not SMALLEST <= size <= LARGEST:
            raise SettingError(
                f"An image of {SMALLEST} to {LARGEST} pixels a side was wanted, but a field of view of {seen:.4g} mm with "
                f"pixels of {pitch:.4g} mm has {size}; change one of them."
            )
    elif width is not None and abs(size * pitch - width) > pitch:
        raise SettingError(
            f"An image size, a pixel size and a field of view that agree were wanted, but {size} pixels of {pitch:.4g} mm "
            f"are {size * pitch:.4g} mm and not {width:.4g} mm; leave one of them automatic."
        )
    return whole, size, pitch


def _cut_off(whole: Geometry, width: float) -> list[str]:
    """A warning where the image is narrower than what the scan sees."""
    seen = 2 * whole.seen_by_any_view
    if width >= seen * (1 - 1e-6):
        return []
    return [
        f"The image is {width:.4g} mm wide and the scan sees {seen:.4g} mm: what lies outside is in the measurement all "
        "the same, and leaves artifacts at the border."
    ]


def _unseen(whole: Geometry) -> list[str]:
    """A warning where the axis of rotation is beyond the detector."""
    if not whole.seen_by_no_view:
        return []
    unit = "mm" if whole.unit == "mm" else "bins"
    return [
        f"The axis of rotation is beyond the detector: no ray passes within {whole.seen_by_no_view:.3g} {unit} of it, and "
        "what is shown there is made up from what lies around."
    ]


def _axis(values: Values, geometry: Geometry) -> tuple[float, str]:
    """The centre in bins from the detector's middle, and a sentence on where it is from."""
    bins = values.shape[1]
    stated = geometry.centre
    if stated is not None:
        return (
            stated,
            f"The file states the axis of rotation: column {(bins - 1) / 2 + stated:.2f} of {bins}.",
        )
    found = find_axis(values, geometry)
    if found is None:
        return 0.0, (
            "The axis of rotation is taken to be in the middle of the detector: the file does not state it, and the "
            "scan does not tell it clearly; set the centre of rotation where that is wrong."
        )
    return found.centre, (
        f"The axis of rotation was found at column {(bins - 1) / 2 + found.centre:.2f} of {bins}, by {found.method}."
    )


def _said(views: int, taken: int, reading: ReadingSettings, noise: float) -> list[str]:
    """What else the user should know."""
    said = [f"Noise of {noise:.2g} of the sinogram's root mean square is assumed, twice what the scan shows."]
    if taken < views:
        said.append(f"{taken} of {views} views are taken.")
    if taken == MOST_VIEWS_TAKEN < (reading.take_views or views):
        said.append(f"More than {MOST_VIEWS_TAKEN} views are not used at once.")
    return said
