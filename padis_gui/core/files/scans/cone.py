"""Cone beams, of which the central slice is read: its rays lie in a plane, as those of a fan beam do."""

import numpy as np

from padis_gui.core.files.formats.pages import Pages
from padis_gui.core.files.scans.scan import Readings, ScanFile, Values, check_sizes
from padis_gui.core.physics.geometry import Geometry
from padis_gui.core.settings.errors import InputError


def central_rows(rows: int) -> tuple[int, int]:
    """The two detector rows, from 0, whose mean lies in the middle of so many; twice the same of an odd number."""
    return (rows - 1) // 2, rows // 2


def cone_note(rows: int, central: tuple[int, int] | None = None) -> str:
    """What the user is told of a cone beam on a detector of so many rows; ``central`` are those that are read."""
    low, high = central_rows(rows) if central is None else central
    which = f"row {low + 1}" if low == high else f"rows {low + 1} and {high + 1}"
    return (
        f"The beam is a cone: its central slice (detector {which} of {rows}) is reconstructed as that of a fan beam, "
        "and no other slice is offered."
    )


def rows_of_views(pages: Pages, rows: tuple[int, int], bins: int) -> Values:
    """The mean of the rows from the first to the last, both taken, of every page: (views, bins), float32.

    Raises :class:`InputError` where a page has more than one channel, or another number of bins.
    """
    check_sizes(pages.name, pages.count, bins)
    found = np.empty((pages.count, bins), np.float32)
    part = (slice(rows[0], rows[1] + 1), slice(None))
    for view in range(pages.count):  # one after the other: each may be of many MB
        pixels = pages.read(view, part, finite=False).pixels
        if pixels.shape[0] != 1 or pixels.shape[2] != bins:
            raise InputError(
                f"Grey projections of {bins} columns were wanted, but one of {pages.name} has {pixels.shape[0]} "
                f"channels and {pixels.shape[2]} columns; take those of one scan."
            )
        found[view] = pixels[0].mean(axis=0)
    return found


def open_cone(
    pages: Pages,
    kind: str,
    geometry: Geometry,
    white: float,
    *,
    reverse: bool = False,
    central: tuple[int, int] | None = None,
    notes: tuple[str, ...] = (),
) -> ScanFile:
    """The central slice of projections, (rows, bins) a page, with air at ``white``; ``central`` rows, or the middle.

    ``reverse`` is for bins that count from right to left.
    """
    sides = pages.sides(0)
    rows = 1 if sides is None else sides[0]
    central = central_rows(rows) if central is None else central

    def readings(_row: int) -> Readings:
        return Readings(_ordered(rows_of_views(pages, central, geometry.bins), reverse), white)

    check_sizes(pages.name, pages.count, geometry.bins)
    said = (*notes, cone_note(rows, central)) if rows > 1 else notes
    return ScanFile(
        pages.name, kind, checked_distances(pages.name, geometry), readings, notes=said, close=pages.close
    )


def every_row(
    pages: Pages,
    kind: str,
    geometry: Geometry,
    white: float,
    *,
    reverse: bool = False,
    notes: tuple[str, ...] = (),
) -> ScanFile:
    """A parallel beam's projections, each of whose rows is a slice."""
    sides = pages.sides(0)

    def readings(row: int) -> Readings:
        return Readings(_ordered(rows_of_views(pages, (row, row), geometry.bins), reverse), white)

    check_sizes(pages.name, pages.count, geometry.bins)
    rows = 1 if sides is None else sides[0]
    return ScanFile(pages.name, kind, geometry, readings, rows=rows, notes=notes, close=pages.close)


def checked_distances(name: str, geometry: Geometry) -> Geometry:
    """The geometry; raises :class:`InputError` for a detector before the axis, or an axis off the detector."""
    if geometry.detector_distance < 0:
        raise InputError(
            f"A detector behind the axis of rotation was wanted, but {name} has it {geometry.to_detector:g} "
            f"{geometry.unit} from the source and the axis {geometry.source_distance:g}; correct the distances in a "
            "copy of the file."
        )
    if geometry.centre is not None and abs(geometry.centre) > geometry.bins:
        raise InputError(
            f"An axis of rotation near the detector's {geometry.bins} bins was wanted, but {name} has it "
            f"{geometry.centre:g} bins from the middle; correct it in a copy of the file."
        )
    return geometry


def _ordered(values: Values, reverse: bool) -> Values:
    return np.ascontiguousarray(values[:, ::-1]) if reverse else values
