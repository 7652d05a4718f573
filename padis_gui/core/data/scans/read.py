"""A page of a scan file as an image: its line integrals, its geometry, and the FBP as the first picture."""

import numpy as np

from padis_gui.core.data.image import Image, Measured
from padis_gui.core.data.pages import in_one_sentence
from padis_gui.core.data.reading import ReadingSettings
from padis_gui.core.data.scans.centre import find_axis
from padis_gui.core.data.scans.noise import relative_noise
from padis_gui.core.data.scans.problem import Frame, field_of_view
from padis_gui.core.data.scans.scaling import propose_scaling
from padis_gui.core.data.scans.scan import ScanFile, Sinogram
from padis_gui.core.data.scans.views import MOST_VIEWS_TAKEN, binned, binned_centre, chosen_views
from padis_gui.core.errors import InputError
from padis_gui.core.operators.scanner import MAX_BINS

DEFAULT_SIZE = 256
# scatter, beam hardening and rays without width make real scans depart from the operator by more than their noise
_DEPARTURE = 2.0


def read_row(scan: ScanFile, row: int, reading: ReadingSettings) -> Image:
    """One detector row of an open scan, reduced as the reading says, with its FBP as pixels.

    The axis of rotation (where the file does not state it), the noise and the scaling are told from the whole row, so
    that they do not depend on how many views are taken. The window is the proposed one. Raises
    :class:`~padis_gui.core.errors.PadisError` in one sentence.
    """
    with in_one_sentence(scan.name, scan.kind):
        sinogram = scan.read(row)
        values, geometry = sinogram.values, scan.geometry
        taken = chosen_views(scan.name, geometry.angles, geometry.beam, reading)
        centre, how = _axis(scan, sinogram)
        bins, by = values.shape[1], reading.binning
        reduced = binned(scan.name, values, by)
        if reduced.shape[1] > MAX_BINS:
            raise InputError(
                f"At most {MAX_BINS} detector bins were wanted, but {scan.name} has {reduced.shape[1]}; raise the binning."
            )
        size = reading.image_size or DEFAULT_SIZE
        pixel = 2 * field_of_view(geometry, bins, centre) / size
        frame = Frame(
            geometry=geometry, angles=geometry.angles[taken], bins=reduced.shape[1], binning=by,
            centre=binned_centre(centre, bins, by), pixel=pixel, size=size,
        )  # fmt: skip
        noise = float(f"{_DEPARTURE * relative_noise(reduced):.2g}")
        window = propose_scaling(scan.name, values, geometry, centre, pixel)
        part = np.ascontiguousarray(reduced[taken])
        return Image(
            pixels=frame.fbp(part, scan.name),
            unit=frame.unit,
            window=window,
            spacing=frame.spacing,
            name=scan.name,
            page=row,
            pages=scan.rows,
            measured=Measured(
                values=part[None],
                physics=frame.physics,
                problem=frame.problem | {"noise": noise},
                notes=(*sinogram.notes, how, *_said(len(geometry.angles), len(taken), reading, noise)),
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
