"""Nikon X-Tek: an `.xtekct` with its projections in TIFF, taken by a cone beam while the sample turns.

What the keys mean is as CIL's NikonDataReader has it: lengths in mm (`SrcToObject`, `SrcToDetector`,
`DetectorPixelSizeX`), `WhiteLevel` the reading without a sample, view i at `InitialAngle` + i `AngularStep` degrees.
The reader sets the detector's origin at the top right and the angle of the sample to 180° - `InitialAngle` - i
`AngularStep`: seen from the source the bins count from right to left, and the scanner goes round counter-clockwise
from `InitialAngle` - 180°.

The axis lies aside by `ObjectOffsetX`, which is at the axis, or by the mean of `CentreOfRotationTop` and
`CentreOfRotationBottom`, which are on the detector: to the left of its middle where they are positive. Where all are
0 the axis is found from the scan.

Beside it may lie the angles as they were read off (`_ctdata.txt`, `.ang`; TIGRE's NikonDataLoader). CIL's reader
passes them over as not right; here they count where they depart from even steps by more than half a step, as after an
interrupted scan.
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.formats.pages import MILLIMETRES, Pages, shown
from padis_gui.core.files.formats.scanner import Listing
from padis_gui.core.files.scans.cone import open_cone
from padis_gui.core.files.scans.scan import ScanFile, checked_angles, positive
from padis_gui.core.physics.geometry import Geometry
from padis_gui.core.settings.errors import InputError

_SECTION = "XTekCT"
_LARGEST_TABLE = 16 * 2**20  # bytes
_LINE = re.compile(r"\s*(\d{1,7})[:\s]\s*([-+]?\d[\d.]*(?:[eE][-+]?\d{1,3})?)\b")


def nikon_scan(listing: Listing, pages: Pages) -> ScanFile:
    """The scan that an `.xtekct` describes; raises :class:`InputError` where it cannot be used."""
    name = listing.name
    unit = (listing.text("Units", _SECTION) or "mm").lower()
    if unit not in MILLIMETRES:
        raise InputError(
            f"Lengths in mm were wanted, but {name} has Units = {shown(unit[:20])}; correct it in a copy of the file."
        )
    source, detector, pixel = (
        positive(name, key, listing.number(key, _SECTION)) * MILLIMETRES[unit]
        for key in ("SrcToObject", "SrcToDetector", "DetectorPixelSizeX")
    )
    bins = listing.count("DetectorPixelsX", _SECTION, most=2**16)
    rows = listing.count("DetectorPixelsY", _SECTION, most=2**16)
    if pages.sides(0) != (rows, bins):
        raise InputError(
            f"Projections of {rows} x {bins} were wanted, as {name} says, but theirs are "
            f"{' x '.join(map(str, pages.sides(0) or ()))}; take those that came with it."
        )
    white = positive(name, "WhiteLevel", listing.number("WhiteLevel", _SECTION))
    even = np.arange(pages.count, dtype=np.float64) * listing.number("AngularStep", _SECTION)
    angles, notes = _angles(listing, even)
    aside = _aside(listing, detector / source) * MILLIMETRES[unit] / pixel
    geometry = Geometry(
        beam="fan",
        angles=checked_angles(name, angles, pages.count),
        start=listing.number("InitialAngle", _SECTION, or_else=0.0) - 180.0,
        bins=bins,
        bin_width=pixel,
        # seen from left to right, the first bin is the last of the file
        centre=-aside if aside else None,
        source_distance=source,
        detector_distance=detector - source,
        unit="mm",
    )
    height = listing.number("DetectorPixelSizeY", _SECTION, or_else=0.0) * MILLIMETRES[unit]
    return open_cone(
        pages, "Nikon scan", geometry, white, reverse=True, row_height=height if height > 0 else None, notes=notes,
    )  # fmt: skip


def _aside(listing: Listing, magnification: float) -> float:
    """How far the axis is seen to the left of the detector's middle, in the file's unit."""
    on_axis = listing.number("ObjectOffsetX", _SECTION, or_else=0.0)
    if on_axis:
        return on_axis * magnification
    ends = (listing.number(f"CentreOfRotation{end}", _SECTION, or_else=0.0) for end in ("Top", "Bottom"))
    return sum(ends) / 2


def _angles(listing: Listing, even: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """The views' angles from the first on, and a note where they are not the even ones."""
    stem = listing.path.with_suffix("")
    for table in (Path(f"{stem}_ctdata.txt"), Path(f"{stem}.ang")):
        listed = _listed(table)
        if len(listed) != len(even) or len(even) < 2:
            continue
        listed = np.unwrap(listed - listed[0], period=360)
        # the tables count either way round; the steps of the .xtekct say which it is
        listed *= np.sign(listed[-1] * even[-1]) or 1.0
        apart = float(np.abs(listed - even).max())
        if apart > abs(even[1]) / 2:
            return listed, (
                f"The angles are those of {shown(table.name)}, which depart from even steps by up to {apart:.3g}°.",
            )
    return even, ()


def _listed(table: Path) -> NDArray[np.float64]:
    """The angles in degrees of lines that count from 0 or 1; none where there is no such file."""
    try:
        if not table.is_file() or table.stat().st_size > _LARGEST_TABLE:
            return np.empty(0)
        lines = table.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return np.empty(0)
    found: list[float] = []
    following = -1
    for match in filter(None, map(_LINE.match, lines)):
        number = int(match[1])
        if number != following and number in (0, 1):
            found = []
        elif number != following:
            continue
        found.append(float(match[2]) if match[2].count(".") < 2 else np.nan)
        following = number + 1
    return np.array(found)
