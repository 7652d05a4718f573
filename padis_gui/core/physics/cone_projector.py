"""Line integrals of a volume along the rays of a cone beam, and their exact transpose, matrix-free on any device of torch.

Joseph's method (IEEE Trans. Med. Imaging 1 (1982) 192) in three dimensions: a ray crosses planes of voxels, those it meets
most steeply, those of the columns or those of the rows; at each it takes the bilinear interpolation between the four voxels
around it, which fades to 0 beyond the outermost ones, times the length between two planes. Slices are never the planes, so
that a ray may rise by much less than 45 degrees, as those of scanners do. Sampling a plane and adding into it are one
operation of torch and its derivative, with the same weights: the transpose is exact up to rounding. The rays of a view are
computed in double precision, where they meet the planes in that of the volume.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from padis_gui.core import Tensor, torch
from padis_gui.core.physics.geometry import Geometry
from padis_gui.core.settings.watch import SILENT, Watch

# Points of planes that are sampled at a time: their positions stay in the cache of a CPU. It is a fixed number, so that a
# product sums in one order whatever the machine is.
_SAMPLED_AT_ONCE = 2**17
_BILINEAR, _ZEROS = 0, 0  # torch's numbers of the interpolation, and of what lies beyond the border
Volume = tuple[int, int, int]


def rays_a_step(width: float, magnification: float) -> int:
    """A bin or a row wider than one and a half pixels on the axis is the mean of several rays."""
    return max(1, math.ceil(width / magnification - 0.5))


@dataclass(frozen=True, slots=True, eq=False)
class _Rays:
    """Some neighbouring bins of a view whose rays cross the same planes, columns or rows of a volume.

    A ray goes from ``source`` in the ``direction`` (x, y, z), each broadcasting to (detector rows, bins), to the detector.
    """

    bins: slice
    across_columns: bool
    source: tuple[float, float, float]
    direction: tuple[Tensor, Tensor, Tensor]


class ConeProjector:
    """Products with the matrix of a cone beam: volumes (slices, rows, columns) to projections (detector rows, views, bins).

    Lengths of the ``geometry`` are in pixels; slices lie ``voxel_height`` pixels apart. ``scale`` is the length of a pixel
    in the unit of the line integrals.
    """

    def __init__(self, geometry: Geometry, shape: Volume, voxel_height: float, scale: float) -> None:
        self.geometry, self.shape, self.voxel_height, self.scale = geometry, shape, voxel_height, scale
        self._per_bin = rays_a_step(geometry.bin_width, geometry.magnification)
        self._per_row = rays_a_step(geometry.row_height, geometry.magnification)
        self._fine = geometry.finer(self._per_bin).finer_rows(self._per_row)

    @property
    def samples(self) -> int:
        """In how many points a product samples planes."""
        fine = self._fine
        return fine.views * fine.rows * fine.bins * max(self.shape[1:])

    def forward(self, x: Tensor, watch: Watch = SILENT) -> Tensor:
        """A x of a volume (slices, rows, columns)."""
        geometry, fine = self.geometry, self._fine
        planes = {True: _by_columns(x), False: _by_rows(x)}
        found = x.new_empty(geometry.rows, geometry.views, geometry.bins)
        view = x.new_empty(fine.rows, fine.bins)

        for number, rays in enumerate(self._views(x)):
            watch.tell(number / geometry.views)
            for some in rays:
                sums = x.new_zeros(fine.rows, some.bins.stop - some.bins.start)
                volume = planes[some.across_columns]
                for part, grid in self._parts(some, x, watch):
                    sampled = torch.grid_sampler_2d(volume[part], grid, _BILINEAR, _ZEROS, False)
                    sums += sampled.sum((0, 1))
                view[:, some.bins] = sums * self._lengths(some, x)
            found[:, number] = view.reshape(geometry.rows, self._per_row, geometry.bins, -1).mean((1, 3))
        return found

    def adjoint(self, y: Tensor, watch: Watch = SILENT) -> Tensor:
        """A^T y of projections (detector rows, views, bins)."""
        slices, rows, columns = self.shape
        planes = {
            True: y.new_zeros(columns, 1, slices, rows),
            False: y.new_zeros(rows, 1, slices, columns),
        }
        share = 1 / (self._per_row * self._per_bin)
        for number, rays in enumerate(self._views(y)):
            watch.tell(number / self.geometry.views)
            view = y[:, number].repeat_interleave(self._per_row, 0).repeat_interleave(self._per_bin, 1)
            for some in rays:
                weighted = view[:, some.bins] * self._lengths(some, y) * share
                volume = planes[some.across_columns]
                for part, grid in self._parts(some, y, watch):
                    count = part.stop - part.start
                    spread, _ = torch.ops.aten.grid_sampler_2d_backward(
                        weighted.expand(count, 1, *weighted.shape), volume[part], grid, _BILINEAR, _ZEROS, False,
                        [True, False],
                    )  # fmt: skip
                    volume[part] += spread
        return planes[True].squeeze(1).permute(1, 2, 0) + planes[False].squeeze(1).permute(1, 0, 2)

    # Rays ---------------------------------------------------------------------------------------

    def _views(self, like: Tensor) -> Iterator[list[_Rays]]:
        """The rays of one view after the other, on the device and in the precision of ``like``."""
        fine = self._fine
        bins = torch.arange(fine.bins, dtype=torch.float64) - (fine.bins - 1) / 2
        rows = (torch.arange(fine.rows, dtype=torch.float64) - (fine.rows - 1) / 2)[:, None]
        for line in fine.vectors_of_cone.tolist():
            source, middle, step, down = (line[n : n + 3] for n in (0, 3, 6, 9))
            whole = tuple(
                (a - o) + bins[None] * s + (rows * d if d else 0.0)
                for o, a, s, d in zip(source, middle, step, down, strict=True)
            )
            # a view's bins part where their rays come to meet the other planes more steeply
            steep = whole[0].mean(0).abs() > whole[1].mean(0).abs()
            ends = (torch.nonzero(steep[1:] != steep[:-1])[:, 0] + 1).tolist()
            yield [
                _Rays(
                    slice(first, end),
                    bool(steep[first]),
                    (source[0], source[1], source[2]),
                    tuple(_part(along, first, end).to(like) for along in whole),  # type: ignore[arg-type]
                )
                for first, end in pairwise([0, *ends, fine.bins])
            ]

    def _parts(self, rays: _Rays, like: Tensor, watch: Watch) -> Iterator[tuple[slice, Tensor]]:
        """Some planes after the other, and where the rays meet them, (planes, detector rows, bins, 2), as torch counts: -1
        and 1 are the edges of a plane, along it first, then along z."""
        slices, rows, columns = self.shape
        (sx, sy, sz), (dx, dy, dz) = rays.source, rays.direction
        if rays.across_columns:
            count, places = columns, torch.arange(columns, dtype=torch.float64) - (columns - 1) / 2
            start, main, aside, beside, scale = sx, dx, sy, dy, -2 / rows
        else:
            count, places = rows, (rows - 1) / 2 - torch.arange(rows, dtype=torch.float64)
            start, main, aside, beside, scale = sy, dy, sx, dx, 2 / columns
        ways = (places - start).to(like)[:, None, None]
        size = self._fine.rows, rays.bins.stop - rays.bins.start
        slope, rise = scale * beside / main, -2 / (slices * self.voxel_height) * dz / main
        together = max(1, _SAMPLED_AT_ONCE // math.prod(size))
        for first in range(0, count, together):
            watch.check()
            part = slice(first, min(first + together, count))
            grid = like.new_empty(part.stop - first, *size, 2)
            grid[..., 0] = torch.add(scale * aside, ways[part] * slope)
            torch.mul(ways[part], rise, out=grid[..., 1])
            if sz:
                grid[..., 1] += -2 / (slices * self.voxel_height) * sz
            yield part, grid

    def _lengths(self, rays: _Rays, like: Tensor) -> Tensor:
        """Of each ray from a plane to the next, in the unit of the integrals, (detector rows, bins) or broadcasting."""
        dx, dy, dz = rays.direction
        main = dx if rays.across_columns else dy
        return self.scale * torch.sqrt(dx.square() + dy.square() + dz.square()) / main.abs()


def _part(along: Tensor, first: int, end: int) -> Tensor:
    return along if along.shape[-1] == 1 else along[..., first:end]


def _by_columns(x: Tensor) -> Tensor:
    """The planes of the columns of a volume, (columns, 1, slices, rows)."""
    return x.permute(2, 0, 1).contiguous()[:, None]


def _by_rows(x: Tensor) -> Tensor:
    """The planes of its rows, (rows, 1, slices, columns)."""
    return x.permute(1, 0, 2).contiguous()[:, None]
