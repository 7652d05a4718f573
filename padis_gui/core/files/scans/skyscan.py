"""Bruker SkyScan: a `.log` with its projections in TIFF, corrected by flat fields, taken by a cone beam.

The geometry is that of the SkyScanParser of ASTRA's MATLAB tools: the distance of source and axis is `Object to
Source (mm)`, and a bin is as wide at the axis as `Image Pixel Size (um)`; that pixel is calibrated, while `Camera
Pixel Size (um)` doesn't say whether the camera's binning is in it. It is the camera's, through the magnification,
where the other is missing. View i is at 180° + i `Rotation Step (deg)`; the sample turns counter-clockwise (`Rotation
Direction=CC`, the scanner clockwise) and the bins count from right to left, as SkyScan's own reconstruction has it.
Lines count from the bottom, so that the central row is `Optical Axis (line)` from there. More than 10 m from the
source the beam is parallel, as in SkyScan's own program.

A reading without a sample is `Reference Intensity`, or where that is missing the largest number of `Depth (bits)`
(TIGRE's BrukerDataLoader); the air at the detector's borders corrects the rest.
"""

import numpy as np

from padis_gui.core.files.formats.pages import Pages, shown
from padis_gui.core.files.formats.scanner import Listing
from padis_gui.core.files.scans.cone import every_row, open_cone
from padis_gui.core.files.scans.scan import ScanFile, checked_angles, positive
from padis_gui.core.physics.geometry import Geometry, Turn
from padis_gui.core.settings.errors import InputError

_PARALLEL = 10_000.0  # mm
_TURNS: dict[str, Turn] = {
    "": "clockwise",
    "cc": "clockwise",
    "ccw": "clockwise",
    "c": "counter-clockwise",
    "cw": "counter-clockwise",
}
_AGREE = 0.02


def skyscan_scan(listing: Listing, pages: Pages) -> ScanFile:
    """The scan that a `.log` describes; raises :class:`InputError` where it cannot be used."""
    name = listing.name
    path, turn = (listing.text(key).lower() for key in ("Scanning Trajectory", "Rotation Direction"))
    if path not in ("", "round", "circle", "circular") or turn not in _TURNS:
        raise InputError(
            f"A scan on a circle whose sample turns CC or CW was wanted, but {name} states the trajectory "
            f"{shown(path[:20]) or 'ROUND'} and the direction {shown(turn[:20]).upper()}; reconstruct it by the "
            "scanner's program."
        )
    if listing.number("Number Of Horizontal Offset Positions", or_else=1.0) > 1:
        raise InputError(
            f"Projections by a detector in one place were wanted, but those of {name} are joined of several; "
            "reconstruct it by the scanner's program."
        )
    sides = pages.sides(0)
    if sides is None:
        raise InputError(
            f"Projections with a size were wanted, but those of {name} state none; save them anew."
        )
    rows, bins = sides
    source = positive(name, "Object to Source (mm)", listing.number("Object to Source (mm)"))
    is_parallel = source > _PARALLEL
    detector = (
        source
        if is_parallel
        else positive(name, "Camera to Source (mm)", listing.number("Camera to Source (mm)"))
    )
    magnification = detector / source
    at_axis, notes = _pixel_at_axis(listing, magnification)
    white, said = _white(listing)
    step = listing.number("Rotation Step (deg)")
    geometry = Geometry(
        beam="parallel" if is_parallel else "fan",
        angles=checked_angles(name, np.arange(pages.count) * step, pages.count),
        turn=_TURNS[turn],
        start=180.0,
        bins=bins,
        bin_width=at_axis * magnification,
        source_distance=np.inf if is_parallel else source,
        detector_distance=0.0 if is_parallel else detector - source,
        unit="mm",
    )
    notes = (*notes, *said)
    if is_parallel:
        return every_row(pages, "SkyScan scan", geometry, white, reverse=True, notes=notes)
    axis = rows - 1 - listing.number("Optical Axis (line)", or_else=(rows - 1) / 2)
    if not 0 <= axis <= rows - 1:
        raise InputError(
            f"An optical axis on the detector's lines 0 to {rows - 1} was wanted, but {name} has it at line "
            f"{rows - 1 - axis:g}; take the projections that came with it."
        )
    central = int(np.floor(axis)), int(np.ceil(axis))
    return open_cone(pages, "SkyScan scan", geometry, white, reverse=True, central=central, notes=notes)


def _pixel_at_axis(listing: Listing, magnification: float) -> tuple[float, tuple[str, ...]]:
    """How wide a bin is at the axis, in mm, and a note where the log's own numbers disagree."""
    key = "Image Pixel Size (um)"
    camera = listing.number("Camera Pixel Size (um)", or_else=0.0) / 1000 / magnification
    if not listing.text(key):
        return positive(listing.name, "Camera Pixel Size (um)", camera), (
            "The log states no pixel size at the sample: the camera's is taken, without any binning.",
        )
    stated = positive(listing.name, key, listing.number(key)) / 1000
    binning = stated / camera if camera > 0 else 1.0
    if abs(binning - max(1, round(binning))) > _AGREE * binning:
        return stated, (
            f"The log's {key} of {stated * 1000:.5g} is taken, though its distances and the camera's pixel make it "
            f"{camera * 1000:.5g}.",
        )
    return stated, ()


def _white(listing: Listing) -> tuple[float, tuple[str, ...]]:
    """The reading without a sample, and notes on it."""
    key = "Reference Intensity"
    notes: tuple[str, ...] = ()
    if listing.text("Flat Field Correction").upper() == "OFF":
        notes = ("The log says that the projections are not corrected by flat fields; rings may show.",)
    if listing.text(key):
        return positive(listing.name, key, listing.number(key)), notes
    bits = listing.number("Depth (bits)", or_else=16.0)
    if not 1 <= bits <= 32:
        raise InputError(
            f"A depth of 1 to 32 bits was wanted, but {listing.name} has Depth (bits) = {bits:g}; correct it in a copy."
        )
    white = 2.0 ** int(bits) - 1
    return white, (*notes, f"The log states no {key}: a reading of {white:g} is taken for air.")
