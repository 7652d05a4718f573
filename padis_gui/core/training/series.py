"""Which training images are neighbouring slices, how far apart, and the groups that a prior across slices learns from.

A group is D slices of one series at one distance from each to the next: the distance of the data, or a multiple of it
(`ALGORITHM 11`, after arXiv 2406.10211). Where a series ends, its slices are reflected, as they are in a reconstruction.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from padis_gui.core.prior.slices import LARGEST_SPACING, SMALLEST_SPACING, neighbours
from padis_gui.core.settings.errors import InputError
from padis_gui.core.training.sources import Found, Place, place_of, table_of

_SPACINGS = ("spacing_mm", "slice_spacing_mm", "slice_thickness_mm")


@dataclass(frozen=True, slots=True)
class SliceRun:
    """Images that are slices of one series without a gap, in their order; ``spacing`` in mm, None where nobody says it."""

    images: tuple[int, ...]
    spacing: float | None


@dataclass(frozen=True, slots=True)
class SliceGroup:
    """D images, the middle one's neighbours around it, and the distance of one to the next in mm."""

    images: tuple[int, ...]
    spacing: float

    @property
    def middle(self) -> int:
        """The image that the others are the neighbours of."""
        return self.images[len(self.images) // 2]


def find_runs(
    paths: Sequence[Path],
    table: str,
    subjects: Sequence[Sequence[int]],
    taken: Sequence[Found],
    spacings: Sequence[float | None],
) -> tuple[SliceRun, ...]:
    """The runs of slices among the images ``taken``, each of which belongs to one of the ``subjects``.

    Slices follow each other where their pages do, in one file, of one subject and, where the table has a column series,
    of one series. Their distance is what the table's column spacing_mm or, where it has none, slice_thickness_mm says,
    else ``spacings``, each page's own. Raises :class:`InputError` where the table's distances are none.
    """
    path = Path(table) if table else table_of(paths)
    said = {} if path is None else _read_series(path)
    owner = {image: n for n, members in enumerate(subjects) for image in members}
    runs: list[SliceRun] = []
    members: list[int] = []
    last: tuple[object, ...] | None = None
    for image, found in enumerate(taken):
        series, spacing = place_of(said, found) or ("", None)
        spacing = spacings[image] if spacing is None else spacing
        same = (owner[image], found.source.first, series, spacing)
        follows = bool(members) and found.number == taken[members[-1]].number + 1
        if members and not (follows and same == last):
            runs.append(SliceRun(tuple(members), _distance(last)))
            members = []
        members.append(image)
        last = same
    if members:
        runs.append(SliceRun(tuple(members), _distance(last)))
    return tuple(run for run in runs if len(run.images) > 1)


def _distance(key: tuple[object, ...] | None) -> float | None:
    spacing = None if key is None else key[-1]
    return spacing if isinstance(spacing, float) else None


def _read_series(path: Path) -> dict[Place, tuple[str, float | None]]:
    """The series and the distance of slices of each (file, page), where the table says them."""
    said: dict[Place, tuple[str, float | None]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            column = next((name for name in _SPACINGS if name in (rows.fieldnames or ())), None)
            for row in rows:
                page = int(row["page"]) if row.get("page") else None
                name = Path(row["file"]).name if row.get("file") else None
                text = row[column] if column else ""
                spacing = float(text) if text else None
                if spacing is not None and not SMALLEST_SPACING <= spacing <= LARGEST_SPACING:
                    raise ValueError(text)
                said[name, page] = row.get("series") or "", spacing
    except (OSError, LookupError, ValueError, TypeError, csv.Error):
        raise InputError(
            f"Distances of slices from {SMALLEST_SPACING:g} to {LARGEST_SPACING:g} mm were wanted in the column spacing_mm "
            f"or slice_thickness_mm of {path.name}, but it has others; correct it."
        ) from None
    return said


def slice_groups(
    runs: Sequence[SliceRun],
    slices: int,
    steps: Sequence[int],
    reach: float = LARGEST_SPACING,
    spacing: float | None = None,
) -> tuple[SliceGroup, ...]:
    """Every group of ``slices`` images in the runs: around each image, taking every image, every second, … of ``steps``.

    A run has a group where it has as many slices at that distance; groups around its ends are reflected.
    Slices of a group at a multiple of the run's distance lie no further apart than ``reach`` mm. ``spacing`` stands for
    distances that nobody says. Raises :class:`InputError` where a distance is missing.
    """
    found = []
    for run in runs:
        distance = run.spacing or spacing
        if distance is None:
            raise InputError(
                "The distance of neighbouring slices was wanted, but neither the data nor their table say it; give "
                "--slice-spacing in mm, or a column spacing_mm in the table."
            )
        for step in steps:
            if step > 1 and step * distance > reach:
                continue
            for first in range(step):
                some = run.images[first::step]
                if len(some) < slices:
                    continue
                for middle in range(len(some)):
                    around = neighbours(middle, slices, len(some))
                    found.append(SliceGroup(tuple(some[n] for n in around), step * distance))
    return tuple(found)


def repeated(group: SliceGroup) -> tuple[tuple[int, int], ...]:
    """Pairs of places in a group that hold one image, which reflection brought there twice: (second, first)."""
    first: dict[int, int] = {}
    pairs = []
    for place, image in enumerate(group.images):
        if image in first:
            pairs.append((place, first[image]))
        first.setdefault(image, place)
    return tuple(pairs)
