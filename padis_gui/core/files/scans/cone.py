"""Cone beams: their central slice, whose rays lie in a plane as those of a fan beam do, and all rows of their detector."""

import numpy as np

from padis_gui.core.files.formats.pages import Pages
from padis_gui.core.files.scans.scan import ConeRows, Readings, ScanFile, Values, check_sizes
from padis_gui.core.physics.geometry import Geometry
from padis_gui.core.settings.errors import InputError

_READ_AT_ONCE = 2**26  # readings: 256 MiB


def central_rows(rows: int) -> tuple[int, int]:
    """The two detector rows, from 0, whose mean lies in the middle of so many; twice the same of an odd number."""
    return (rows - 1) // 2, rows // 2


def cone_note(rows: int, central: tuple[int, int] | None = None) -> str:
    """What the user is told of a cone beam on a detector of so many rows; ``central`` are those that are read."""
    low, high = central_rows(rows) if central is None else central
    which = f"row {low + 1}" if low == high else f"rows {low + 1} and {high + 1}"
    return (
        f"The beam is a cone: its central slice (detector {which} of {rows}) is reconstructed as that of a fan beam; all "
        "of it is a volume in a cone beam (padis-gui volume --physics ct-cone)."
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


class RowsOfViews:
    """The rows of projections one by one, of which some are read at a time: a page is opened once for all of them."""

    def __init__(self, pages: Pages, bins: int) -> None:
        self._pages, self._bins = pages, bins
        self._first, self._block = 0, np.empty((0, 0, 0), np.float32)

    def __call__(self, row: int) -> Values:
        """(views, bins), float32."""
        if not self._first <= row < self._first + self._block.shape[1]:
            self._read(row)
        found: Values = np.ascontiguousarray(self._block[:, row - self._first])
        return found

    def _read(self, first: int) -> None:
        pages, bins = self._pages, self._bins
        check_sizes(pages.name, pages.count, bins)
        together = max(1, _READ_AT_ONCE // (pages.count * bins))
        part = (slice(first, first + together), slice(None))
        views = []
        for view in range(pages.count):
            pixels = pages.read(view, part, finite=False).pixels
            if pixels.shape[0] != 1 or pixels.shape[2] != bins:
                raise InputError(
                    f"Grey projections of {bins} columns were wanted, but one of {pages.name} has {pixels.shape[0]} "
                    f"channels and {pixels.shape[2]} columns; take those of one scan."
                )
            views.append(pixels[0].astype(np.float32))
        self._first, self._block = first, np.stack(views)


def open_cone(
    pages: Pages,
    kind: str,
    geometry: Geometry,
    white: float,
    *,
    reverse: bool = False,
    central: tuple[int, int] | None = None,
    row_height: float | None = None,
    notes: tuple[str, ...] = (),
) -> ScanFile:
    """The central slice of projections, (rows, bins) a page, with air at ``white``; ``central`` rows, or the middle.

    ``reverse`` is for bins that count from right to left. Rows are as high as bins are wide where nothing else is said; the
    first one is that above.
    """
    sides = pages.sides(0)
    rows = 1 if sides is None else sides[0]
    central = central_rows(rows) if central is None else central

    def readings(_row: int) -> Readings:
        return Readings(_ordered(rows_of_views(pages, central, geometry.bins), reverse), white)

    rows_of = RowsOfViews(pages, geometry.bins)
    cone = ConeRows(
        readings=lambda row: Readings(_ordered(rows_of(row), reverse), white), rows=rows, row_height=row_height,
        centre_row=sum(central) / 2 - (rows - 1) / 2,
    )  # fmt: skip
    check_sizes(pages.name, pages.count, geometry.bins)
    said = (*notes, cone_note(rows, central)) if rows > 1 else notes
    return ScanFile(
        pages.name, kind, checked_distances(pages.name, geometry), readings, notes=said, close=pages.close,
        cone=cone if rows > 1 else None,
    )  # fmt: skip


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
