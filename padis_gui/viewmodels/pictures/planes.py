"""Three planes through a volume: which pixels of it they show, where its voxels are in them, how they are named.

A volume is (slices, rows, columns) or (slices, rows, columns, 3). z points up, as it does in a patient who stands: in the
coronal plane (slices, columns) and the sagittal one (slices, rows) the first slice is the lowest line of the picture.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from padis_gui.core.images.image import Pixels
from padis_gui.viewmodels.pictures.sources import BUILT_IN, Lattice, Origin, PaneSource

Spacing = tuple[float, float]


class Plane(Enum):
    """A plane through a volume, by the name that radiologists give it."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"

    @property
    def axis(self) -> int:
        """Which axis of (slices, rows, columns) it lies across."""
        return list(Plane).index(self)

    @property
    def along(self) -> str:
        """What a step across it goes on by."""
        return ("slice", "row", "column")[self.axis]

    @property
    def lattice(self) -> Lattice:
        """What a pixel of it is."""
        return (Lattice.IMAGE, Lattice.CORONAL, Lattice.SAGITTAL)[self.axis]

    def key(self, source: str) -> str:
        """The key of a source's picture in this plane; in the axial one it is the source's own."""
        return source if self is Plane.AXIAL else f"{source}.{self.value}"


@dataclass(frozen=True, slots=True)
class Place:
    """A voxel of a volume, from 0: where the planes cut it."""

    slice: int
    row: int
    column: int

    def across(self, plane: Plane) -> int:
        """Which slice, row or column a plane through here shows."""
        return (self.slice, self.row, self.column)[plane.axis]

    def moved(self, plane: Plane, to: int) -> "Place":
        """The same with another plane of that kind through it."""
        return replace(self, **{plane.along: to})


def take(volume: Pixels, plane: Plane, at: int) -> Pixels:
    """A plane of a volume (slices, rows, columns[, 3]) as a picture of its own."""
    if plane is Plane.AXIAL:
        return np.ascontiguousarray(volume[at])
    return np.ascontiguousarray((volume[:, at] if plane is Plane.CORONAL else volume[:, :, at])[::-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class VoxelGrid:
    """How many voxels a volume has, (slices, rows, columns), and how far apart they are in mm.

    ``spacing`` is the pixel pitch (rows, columns), ``slice_spacing`` the distance of slices: None where they are not known.
    """

    shape: tuple[int, int, int]
    spacing: Spacing | None = None
    slice_spacing: float | None = None

    @property
    def middle(self) -> Place:
        """The voxel in the middle."""
        return Place(*(side // 2 for side in self.shape))

    def inside(self, place: Place) -> Place:
        """The voxel that is nearest to a place."""
        sides = zip((place.slice, place.row, place.column), self.shape, strict=True)
        return Place(*(min(max(at, 0), side - 1) for at, side in sides))

    def sides(self, plane: Plane) -> tuple[int, int]:
        """(rows, columns) of a plane's picture."""
        slices, rows, columns = self.shape
        return ((rows, columns), (slices, columns), (slices, rows))[plane.axis]

    def pitch(self, plane: Plane) -> Spacing | None:
        """(rows, columns) of a plane's picture in mm; None where one of them is not known."""
        if self.spacing is None:
            return None
        rows, columns = self.spacing
        if plane is Plane.AXIAL:
            return rows, columns
        if self.slice_spacing is None:
            return None
        return self.slice_spacing, columns if plane is Plane.CORONAL else rows

    def pixel(self, place: Place, plane: Plane) -> tuple[int, int]:
        """(row, column) of a voxel in a plane's picture."""
        height = self.shape[0] - 1 - place.slice
        return ((place.row, place.column), (height, place.column), (height, place.row))[plane.axis]

    def place(self, plane: Plane, row: int, column: int, before: Place) -> Place:
        """The voxel of a pixel (row, column) of a plane's picture, which shows that of ``before``."""
        height = self.shape[0] - 1 - row
        found = (
            Place(before.slice, row, column),
            Place(height, before.row, column),
            Place(height, column, before.column),
        )
        return self.inside(found[plane.axis])

    def in_mm(self, place: Place) -> str:
        """A place in words, (x, y, z) from the middle of the first voxel; "" where no pitch is known."""
        if self.spacing is None:
            return ""
        rows, columns = self.spacing
        across = f"{place.column * columns:.1f}, {place.row * rows:.1f}"
        if self.slice_spacing is None:
            return f"{across} mm"
        return f"{across}, {place.slice * self.slice_spacing:.1f} mm"

    def in_words(self, place: Place) -> str:
        """A place as people count, from 1, and in mm where that is known."""
        millimetres = self.in_mm(place)
        counted = f"column {place.column + 1}, row {place.row + 1}, slice {place.slice + 1}"
        return f"{counted} ({millimetres})" if millimetres else counted

    def caption(self, place: Place, plane: Plane) -> str:
        """Which plane of how many goes through a place."""
        return f"{plane.along} {place.across(plane) + 1} of {self.shape[plane.axis]}"


# What there is of a volume in each of its planes
VOLUME_KEYS = ("truth", "baseline", "estimate", "state", "denoised", "difference")
_ORIGINS = {Plane.CORONAL: Origin.CORONAL, Plane.SAGITTAL: Origin.SAGITTAL}


def plane_keys(plane: Plane) -> tuple[str, ...]:
    """The keys of all sources in this plane."""
    return tuple(plane.key(key) for key in VOLUME_KEYS)


def plane_of(key: str) -> tuple[str, Plane]:
    """The source and the plane that a key names."""
    source, _, name = key.partition(".")
    return (source, Plane(name)) if name in ("coronal", "sagittal") else (key, Plane.AXIAL)


def plane_sources(named: Mapping[str, PaneSource] | None = None) -> Iterator[PaneSource]:
    """The sources in the coronal and the sagittal plane, called as those in the axial plane are; ``named`` are these."""
    known = named or {source.key: source for source in BUILT_IN}
    for plane, origin in _ORIGINS.items():
        for key in VOLUME_KEYS:
            source = known[key]
            yield replace(
                source, key=plane.key(key), label=f"{source.short}, {plane.value}",
                short=f"{source.short} {plane.value}", origin=origin, lattice=plane.lattice,
                tiled=False, help=f"{source.help}; the {plane.value} plane through the crosshair",
            )  # fmt: skip
