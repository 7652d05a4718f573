"""Zeiss Xradia's `.txrm`: projections with their reference, taken by a cone beam (Versa) or a parallel one (Ultra).

Streams and units as dxchange's `read_txrm` and CIL's ZEISSDataReader have them: Angles in degrees; `StoRADistance`
and `DtoRADistance`, of source and detector from the axis, in mm with a sign of no meaning here; `PixelSize` in µm at
the sample, so that a bin is as wide times the magnification; XrayGeometry 1 is a cone. The bins count from left to
right seen from the source, and the sample turns counter-clockwise, the scanner clockwise (CIL's convention of
`set_angles`).

`Alignment/X-Shifts` and `Y-Shifts` say by how many bins and rows each view is to be moved, to the right and down
(mbirjax' `correct_sino_shifts`). They are applied after the reference, which belongs to the detector.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.formats.format import Recognised
from padis_gui.core.files.formats.zeiss import ZeissPages
from padis_gui.core.files.scans.cone import central_rows, checked_distances, cone_note
from padis_gui.core.files.scans.scan import (
    ConeRows,
    Readings,
    ScanFile,
    Values,
    check_sizes,
    checked_angles,
    positive,
)
from padis_gui.core.physics.geometry import Geometry
from padis_gui.core.settings.errors import InputError

_CONE = 1  # XrayGeometry
_MOST_REFERENCES = 100
_REFERENCES = ("ReferenceData", "MultiReferenceData")
_WIDTHS: dict[int, np.dtype[Any]] = {
    1: np.dtype("u1"),
    2: np.dtype("<u2"),
    4: np.dtype("<f4"),
}  # bytes of a reference's pixel


def open_zeiss(found: Recognised) -> ScanFile | None:
    """The scan in a `.txrm`; None where the file holds no views at different angles, and is images only.

    Raises :class:`InputError` where it is a scan that cannot be used.
    """
    pages = found.open_pages()
    try:
        scan = _scan(pages) if isinstance(pages, ZeissPages) and pages.count > 1 else None
    except BaseException:
        pages.close()
        raise
    if scan is None:
        pages.close()
    return scan


def _scan(pages: ZeissPages) -> ScanFile | None:
    streams, name, views = pages.streams, pages.name, pages.count
    angles = streams.values("ImageInfo/Angles", "<f4", views)
    if angles is None or not np.ptp(angles):
        return None
    rows, bins = pages.sides(0) or (0, 0)
    check_sizes(name, views, bins)
    angles = checked_angles(name, angles, views)
    references = _references(pages)
    if pages.pixel is None:
        raise InputError(
            f"A pixel size above 0 was wanted, but {name} has no ImageInfo/PixelSize that is one; export its "
            "projections as TIFF with a geometry in a JSON file beside them."
        )
    is_cone = streams.value("ImageInfo/XrayGeometry", "<i4") in (_CONE, None) and not streams.has(
        "ConfigZonePlates"
    )
    moved = [_shifts(pages, axis) for axis in ("X", "Y")]
    notes = ("The views are moved by the alignment that the file states.",) if any(map(np.any, moved)) else ()
    if not is_cone:
        geometry = Geometry(
            beam="parallel", angles=angles, turn="clockwise", bins=bins, bin_width=pages.pixel, unit="mm"
        )
        return ScanFile(
            name, "Zeiss scan", geometry, lambda row: _readings(pages, (row, row), references, *moved),
            rows=rows, notes=notes, close=pages.close,
        )  # fmt: skip
    source, detector = (_distance(pages, f"ImageInfo/{what}toRADistance") for what in ("S", "D"))
    geometry = Geometry(
        beam="fan",
        angles=angles,
        turn="clockwise",
        bins=bins,
        bin_width=pages.pixel * (source + detector) / source,
        source_distance=source,
        detector_distance=detector,
        unit="mm",
    )
    cone = ConeRows(readings=lambda row: _readings(pages, (row, row), references, *moved), rows=rows)
    if rows > 1:
        notes = (*notes, cone_note(rows))
    return ScanFile(
        name, "Zeiss scan", checked_distances(name, geometry),
        lambda _row: _readings(pages, central_rows(rows), references, *moved), notes=notes, close=pages.close,
        cone=cone if rows > 1 else None,
    )  # fmt: skip


def _distance(pages: ZeissPages, path: str) -> float:
    found = pages.streams.value(path, "<f4")
    if found is None:
        raise InputError(
            f"The distances of source and detector were wanted, but {pages.name} lacks {path}; export its projections as "
            "TIFF with a geometry in a JSON file beside them."
        )
    return positive(pages.name, path, abs(found))


def _references(pages: ZeissPages) -> list[tuple[str, np.dtype[Any]]]:
    """The streams of the images without a sample, with their types; raises :class:`InputError` where there are none."""
    streams = pages.streams
    rows, bins = pages.sides(0) or (0, 0)
    paths = ["ReferenceData/Image", *(f"MultiReferenceData/Image{n + 1}" for n in range(_MOST_REFERENCES))]
    found = []
    for path in filter(streams.has, paths):
        dtype = _WIDTHS.get(streams.size(path) // (rows * bins))
        if dtype is None or streams.size(path) != rows * bins * dtype.itemsize:
            raise InputError(
                f"A reference of {rows} x {bins} was wanted, but {path} of {pages.name} is of {streams.size(path)} bytes; "
                "take that of the same detector and binning."
            )
        found.append((path, dtype))
    if not found:
        raise InputError(
            f"A reference image was wanted, but {pages.name} has none; apply or attach it in the scanner's program, "
            "or export line integrals with a geometry in a JSON file beside them."
        )
    return found


def _shifts(pages: ZeissPages, axis: str) -> NDArray[np.float64]:
    """By how many bins (X) or rows (Y) each view is moved; within the detector, and 0 where nothing is stated."""
    found = pages.streams.values(f"Alignment/{axis}-Shifts", "<f4", pages.count)
    if found is None:
        return np.zeros(pages.count)
    rows, bins = pages.sides(0) or (0, 0)
    if not np.isfinite(found).all() or np.abs(found).max() >= (bins if axis == "X" else rows):
        raise InputError(
            f"{axis}-Shifts within the detector were wanted, but those of {pages.name} are not; align it anew."
        )
    return found.astype(np.float64)


def _readings(
    pages: ZeissPages,
    rows: tuple[int, int],
    references: list[tuple[str, np.dtype[Any]]],
    aside: NDArray[np.float64],
    down: NDArray[np.float64],
) -> Readings:
    """The mean of the rows from the first to the last in every view; counts, or transmissions where views are moved."""
    last = (pages.sides(0) or (1, 1))[0] - 1 - (rows[1] - rows[0])
    fields: dict[int, Values] = {}

    def field(first: int) -> Values:
        part = slice(first, first + 1 + rows[1] - rows[0])
        images = [
            pages.image(path, part, dtype).astype(np.float64).mean(axis=0) for path, dtype in references
        ]
        mean: Values = np.mean(images, axis=0).astype(np.float32)
        return mean

    if not aside.any() and not down.any():
        part = (slice(rows[0], rows[1] + 1), slice(None))
        views = [pages.read(n, part, finite=False).pixels[0].mean(axis=0) for n in range(pages.count)]
        return Readings(np.stack(views), field(rows[0]))
    found = []
    places = np.arange(pages.sides(0)[1], dtype=np.float64)  # type: ignore[index]
    for n in range(pages.count):
        first = int(np.clip(rows[0] - round(down[n]), 0, last))
        if first not in fields:
            light = field(first)
            fields[first] = np.where(light > 0, light, np.float32(np.median(light) or 1.0))
        part = (slice(first, first + 1 + rows[1] - rows[0]), slice(None))
        through = pages.read(n, part, finite=False).pixels[0].mean(axis=0) / fields[first]
        found.append(np.interp(places - aside[n], places, through).astype(np.float32))
    return Readings(np.stack(found), 1.0)
