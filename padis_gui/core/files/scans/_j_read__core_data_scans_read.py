"""A page of a scan file as an image: its line integrals, its geometry, and the FBP as the first picture."""

from dataclasses import replace

import numpy as np

from padis_gui.core.files.formats.pages import in_one_sentence
from padis_gui.core.files.scans._j_read__core_data_scans_noise import relative_noise
from padis_gui.core.files.scans._j_read__core_data_scans_problem import PHYSICS, back_projected
from padis_gui.core.files.scans._j_read__core_data_scans_scaling import propose_scaling
from padis_gui.core.files.scans._j_read__core_data_scans_views import MOST_VIEWS_TAKEN, binned, chosen_views
from padis_gui.core.files.scans._j_scan__core_data_scans_scan import ScanFile, Sinogram
from padis_gui.core.files.scans.centre import find_axis
from padis_gui.core.images._j_image__core_data_image import Image, Measured
from padis_gui.core.images._j_image__core_data_reading import ReadingSettings
from padis_gui.core.physics._j_scanner__core_operators_scanner import MAX_BINS, settings_of
from padis_gui.core.settings.errors import InputError

DEFAULT_SIZE = 256
# scatter, beam hardening and rays without width make real scans depart from the operator by more than their noise
_DEPARTURE = 2.0


def read_row(scan: ScanFile, row: int, reading: ReadingSettings) -> Image:
    """One detector row of an open scan, reduced as the reading says, with its FBP as pixels.

    The axis of rotation (where the file does not state it), the noise and the scaling are told from the whole row, so
    that they do not depend on how many views are taken. The window is the proposed one. Raises
    :class:`~padis_gui.core.settings.errors.PadisError` in one sentence.
    """
    with in_one_sentence(scan.name, scan.kind):
        sinogram = scan.read(row)
        values = sinogram.values
        taken = chosen_views(scan.name, scan.geometry.angles, scan.geometry.beam, reading)
        centre, how = _axis(scan, sinogram)
        whole = replace(scan.geometry, centre=centre)
        reduced = binned(scan.name, values, reading.binning)
        if reduced.shape[1] > MAX_BINS:
            raise InputError(
                f"At most {MAX_BINS} detector bins were wanted, but {scan.name} has {reduced.shape[1]}; raise the binning."
            )
        size = reading.image_size or DEFAULT_SIZE
        pixel = 2 * whole.seen_by_any_view / size
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
                notes=(*sinogram.notes, how, *_said(whole.views, len(taken), reading, noise)),
            ),
            reading=reading,
        )


def _axis(scan: ScanFile, sinogram: Sinogram) -> tuple[float, str]:
    """The centre in bins from the detector's middle, and a sentence on where it is from."""
    bins = sinogram.values.shape[1]
    stated = scan.geometry.centre
    if stated is not None:
        return (
            stated,
            f"The file states the axis of rotation: column {(bins - 1) / 2 + stated:.2f} of {bins}.",
        )
    found = find_axis(sinogram.values, scan.geometry)
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
