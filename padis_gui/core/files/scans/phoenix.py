"""Phoenix datos|x (GE, Waygate): a `.pca` with its projections in TIFF, taken by a cone beam.

Its keys are known from a `.pca` that an ODL example of the University of Hamburg quotes in full and computes with:
`FOD` and `FDD` are the distances of the source from the axis and from the detector in mm, `VoxelSizeX` is a bin's
width at the axis (`PixelsizeX` FOD / FDD), `FreeRay` a reading of air, and view i of `NumberImages` is at i
`RotationSector` / `NumberImages` degrees.

What is described nowhere in public is which way the sample turns. Over a full turn the scan itself says it: a ray at
the angle b and the fan angle g is measured again at b + pi - 2 g or b + pi + 2 g, at -g. Which side of the slice is
up stays open, and is said. Helices, virtual detectors, sectors and multiline scans are not described either, and are
refused.
"""

from dataclasses import replace

import numpy as np

from padis_gui.core.files.formats.pages import Pages
from padis_gui.core.files.formats.scanner import Listing
from padis_gui.core.files.scans.cone import open_cone
from padis_gui.core.files.scans.scan import ScanFile, Values, checked_angles, positive
from padis_gui.core.physics.geometry import Geometry, Turn
from padis_gui.core.settings.errors import InputError

# Ways of scanning whose geometry is not described in public: the section, its switch, the value of a plain scan
_OTHERS = (
    ("Trajectory", "Active", 0), ("SectorScan", "Active", 0), ("Multiline", "Active", 0), ("VSensor", "NumTiles", 1),
    ("CT", "NoRotation", 0),
)  # fmt: skip
_FULL_TURN = 359.0
_CLEAR = 0.8  # the right direction must fit so much better than the wrong one
_VIEWS, _CENTRES = 60, 41


def phoenix_scan(listing: Listing, pages: Pages) -> ScanFile:
    """The scan that a `.pca` describes; raises :class:`InputError` where it cannot be used."""
    name = listing.name
    for section, switch, plain in _OTHERS:
        if listing.number(switch, section, or_else=plain) > plain:
            raise InputError(
                f"A plain scan on a circle was wanted, but {name} has [{section}] {switch} set, whose geometry is not "
                "described in public; reconstruct it by datos|x."
            )
    arc = listing.number("RotationSector", "CT")
    if not _FULL_TURN <= abs(arc) <= 361:
        raise InputError(
            f"A full turn was wanted, as {name} doesn't say which way the sample turns, but its RotationSector is "
            f"{arc:g}°; give the geometry in a JSON file beside it."
        )
    sides = pages.sides(0)
    if sides is None:
        raise InputError(
            f"Projections with a size were wanted, but those of {name} state none; save them anew."
        )
    source, detector = (positive(name, key, listing.number(key, "Geometry")) for key in ("FOD", "FDD"))
    if listing.text("VoxelSizeX", "Geometry"):
        at_axis = positive(name, "VoxelSizeX", listing.number("VoxelSizeX", "Geometry"))
    else:
        at_axis = positive(name, "PixelsizeX", listing.number("PixelsizeX", "Detector")) * source / detector
    white = positive(name, "FreeRay", listing.number("FreeRay", "Image"))
    geometry = Geometry(
        beam="fan",
        angles=checked_angles(name, np.arange(pages.count) * (arc / pages.count), pages.count),
        bins=sides[1],
        bin_width=at_axis * detector / source,
        source_distance=source,
        detector_distance=detector - source,
        unit="mm",
    )
    scan = open_cone(pages, "Phoenix scan", geometry, white, notes=(
        "Which way the sample turned was found from the scan; whether the slice is seen from above or from below is not in "
        "the file.",
    ))  # fmt: skip
    turn = _turn(scan.read(0, replaces=True).values, geometry)
    if turn is None:
        raise InputError(
            f"A scan that shows which way the sample turned was wanted, as {name} doesn't say it, but its central "
            "slice does not tell; give the geometry in a JSON file beside it."
        )
    scan.geometry = replace(geometry, turn=turn)
    return scan


def _turn(values: Values, geometry: Geometry) -> Turn | None:
    """Which way the scanner goes round, by the rays (views, bins) that a full turn measures twice; None if unclear."""
    turns: tuple[Turn, Turn] = ("counter-clockwise", "clockwise")
    unlike = [_unlike(values, replace(geometry, turn=turn)) for turn in turns]
    best = int(np.argmin(unlike))
    return turns[best] if unlike[best] < _CLEAR * unlike[1 - best] else None


def _unlike(values: Values, geometry: Geometry) -> float:
    """The mean square difference of the two readings of a ray, at the axis where it is least."""
    from scipy.ndimage import map_coordinates

    views, bins = values.shape
    some = np.unique(np.linspace(0, views - 1, _VIEWS).round().astype(int))
    step = float(np.diff(geometry.radians.numpy()[:2])[0]) if views > 1 else 1.0
    to_detector = geometry.to_detector / geometry.bin_width
    closed = np.concatenate([values, values[:1]])
    found = []
    for centre in np.linspace(-0.1, 0.1, _CENTRES) * bins:
        axis = (bins - 1) / 2 + centre
        opposite = 2 * axis - np.arange(bins)
        seen = (opposite >= 0) & (opposite <= bins - 1)
        fan_angles = np.arctan((np.arange(bins)[seen] - axis) / to_detector)
        again = np.mod(some[:, None] + (np.pi - 2 * fan_angles) / step, views)
        at = np.stack([again, np.broadcast_to(opposite[seen], again.shape)])
        other = map_coordinates(closed, at, order=1, mode="nearest")
        found.append(float(np.mean((values[some][:, seen] - other) ** 2)))
    return min(found)
