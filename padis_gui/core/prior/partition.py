"""One placement of patches on the zero-padded image: cut, place, put back together.

The geometry of PaDIS (arXiv 2406.02462, section 3): an axis of N pixels cut into patches of P takes
K = floor(N/P) + 1 tiles and a padding of M = K P - N on every side; an offset in {0..M} shifts the grid.
Every offset covers the image. With a stride s < P neighbours overlap and the same holds for
K = floor((N-P)/s) + 2 and M = (K-1) s + P - N. What lies outside the tiles is padding, whose truth is known
to be zero. Coordinates are (row, column) on the *padded* image unless they say "image".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Literal, cast

from padis_gui.core import Tensor, torch
from padis_gui.core.settings.errors import SettingError

LARGEST_PATCH = 4096
# How tiles that overlap become one image: weighted by a window, or the later tile on top ("stitch")
Blend = Literal["uniform", "hann", "stitch"]
_ALL = slice(None)


@dataclass(frozen=True, slots=True)
class Box:
    """A square tile: its first row and column on the padded image, and its side in pixels."""

    row: int
    column: int
    size: int

    def of(self, padded: Tensor) -> Tensor:
        """This tile of a padded image (C, rows, columns), as a view (C, P, P)."""
        return padded[:, self.row : self.row + self.size, self.column : self.column + self.size]


@cache
def _cutting() -> Any:  # made for the first tiles, as its base is torch's
    class Cut(torch.autograd.Function):
        """Tiles of a padded image. Written out, as the gradient of each single slice would be an image of its own."""

        @staticmethod
        def forward(ctx: Any, padded: Tensor, boxes: Sequence[Box]) -> Tensor:
            ctx.boxes, ctx.padded_shape = boxes, padded.shape
            return torch.stack([box.of(padded) for box in boxes])

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
            image = gradient.new_zeros(ctx.padded_shape)
            for box, patch in zip(ctx.boxes, gradient, strict=True):
                box.of(image).add_(patch)
            return image, None

    return Cut


@cache
def _laying() -> Any:
    class Lay(torch.autograd.Function):
        """Tiles onto a padded image, in place and in their order: added by weight, or on top of what is there."""

        @staticmethod
        def forward(
            ctx: Any, image: Tensor, patches: Tensor, boxes: Sequence[Box], weights: Sequence[Tensor]
        ) -> Tensor:
            ctx.boxes, ctx.weights = boxes, weights
            ctx.mark_dirty(image)
            if weights:
                for box, patch, weight in zip(boxes, patches, weights, strict=True):
                    box.of(image).addcmul_(patch, weight)
            else:
                for box, patch in zip(boxes, patches, strict=True):
                    box.of(image).copy_(patch)
            return image

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
            if ctx.weights:
                pairs = zip(ctx.boxes, ctx.weights, strict=True)
                return gradient, torch.stack([box.of(gradient) * weight for box, weight in pairs]), None, None
            below = gradient.clone()  # what a tile covers has no influence any more
            patches = []
            for box in reversed(ctx.boxes):
                patches.append(box.of(below).clone())
                box.of(below).zero_()
            return below, torch.stack(patches[::-1]), None, None

    return Lay


@dataclass(frozen=True, slots=True)
class Frame:
    """The coordinate convention that a prior was trained with.

    Position of padded pixel i is 2 i / (padded - 1) - 1 along each axis, where ``padded`` = image_size +
    2 pad. Images of another size are centred on the training frame, so their positions may leave [-1, 1].
    """

    image_size: int
    pad: int

    @property
    def padded(self) -> int:
        """Side of the padded training image, R = N + 2M."""
        return self.image_size + 2 * self.pad

    def position(self, pixel: Tensor, length: int) -> Tensor:
        """Coordinate of *image* pixels (0 is the first of ``length``; padding is negative or beyond)."""
        return 2 * (pixel + (self.image_size - length) / 2 + self.pad) / (self.padded - 1) - 1


def tiles_and_pad(length: int, patch: int, stride: int | None = None) -> tuple[int, int]:
    """Tiles K and padding M for an axis of ``length`` pixels; K = floor(N/P) + 1 and M = K P - N without overlap."""
    stride = stride or patch
    tiles = max(1, (length - patch) // stride + 2)
    return tiles, (tiles - 1) * stride + patch - length


@dataclass(frozen=True)
class Partition:
    """One placement of the patch grid, or of several grids, on the padded image.

    ``image_shape`` is (rows, columns) of the image; ``pad`` the (M_rows, M_columns) zeros on every side;
    ``offset`` the grid's first row and column, each in {0..M}; ``stride`` the distance of neighbouring tiles
    (the patch size where they do not overlap); ``more_offsets`` places further grids over the first. ``inside``
    pushes tiles that would stick out of the image back into it, where the image is large enough for a tile.
    """

    image_shape: tuple[int, int]
    patch: int
    pad: tuple[int, int]
    offset: tuple[int, int]
    frame: Frame
    stride: int | None = None
    more_offsets: tuple[tuple[int, int], ...] = ()
    blend: Blend = "uniform"
    inside: bool = False

    def __post_init__(self) -> None:
        for offset in (self.offset, *self.more_offsets):
            for axis in (0, 1):
                if not 0 <= offset[axis] <= self.pad[axis]:
                    raise SettingError(
                        f"A tile offset must lie in 0 to {self.pad[axis]} on axis {axis}, but "
                        f"{offset[axis]} was given; choose one inside the padding."
                    )

    @cached_property
    def boxes(self) -> tuple[Box, ...]:
        """Where the tiles lie in the padded image, in px: grid by grid, each row by row."""
        grids = zip(self.starts(0), self.starts(1), strict=True)
        return tuple(
            Box(row, column, self.patch) for rows, columns in grids for row in rows for column in columns
        )

    def starts(self, axis: int) -> list[list[int]]:
        """Where the tiles start along an axis of the padded image, for each grid."""
        length, step = self.image_shape[axis], self.stride or self.patch
        firsts = [offset[axis] for offset in (self.offset, *self.more_offsets)]
        if length + 2 * self.pad[axis] == self.patch:  # one tile is all of the padded image
            return [[first] for first in firsts]
        if not self.inside:
            tiles = tiles_and_pad(length, self.patch, step)[0]
            return [[first + k * step for k in range(tiles)] for first in firsts]
        last = self.pad[axis] + length - self.patch
        return [
            [min(first + k * step, max(first, last)) for k in range(-(-length // step))] for first in firsts
        ]

    @property
    def overlapping(self) -> bool:
        """Whether some pixels lie in more than one tile."""
        return self.inside or bool(self.more_offsets) or (self.stride or self.patch) < self.patch

    @property
    def padded_shape(self) -> tuple[int, int]:
        """Rows and columns of the image with its padding on every side, in px."""
        return self.image_shape[0] + 2 * self.pad[0], self.image_shape[1] + 2 * self.pad[1]

    @property
    def _interior(self) -> tuple[slice, slice]:
        return (
            slice(self.pad[0], self.pad[0] + self.image_shape[0]),
            slice(self.pad[1], self.pad[1] + self.image_shape[1]),
        )

    def place(self, x: Tensor, padded: Tensor) -> Tensor:
        """Write image x (C, rows, columns) into ``padded`` (C, padded rows, padded columns), which is returned."""
        padded[:, *self._interior] = x
        return padded

    def extract(self, x: Tensor, border: Tensor | None = None) -> Tensor:
        """Cut image x (C, rows, columns) into its tiles, (tiles, C, P, P), in the order of ``boxes``.

        ``border`` (C, padded rows, padded columns) is what surrounds the image, by default zeros; its
        interior is ignored. Differentiable in x.
        """
        padded = x.new_zeros(x.shape[0], *self.padded_shape) if border is None else border.clone()
        return self.cut(self.place(x, padded))

    def cut(self, padded: Tensor, part: slice = _ALL) -> Tensor:
        """The tiles ``boxes[part]`` of a padded image, (tiles, C, P, P); differentiable."""
        return cast(Tensor, _cutting().apply(padded, self.boxes[part]))

    def positions(self, device: torch.device | str = "cpu", part: slice = _ALL) -> Tensor:
        """Position channels of the tiles ``boxes[part]``, (tiles, 2, P, P): along columns first, then along rows."""
        return self.positions_of(self.boxes[part], device)

    def positions_of(self, boxes: Sequence[Box], device: torch.device | str = "cpu") -> Tensor:
        """Position channels of any tiles of this patch size on the padded image, as :meth:`positions`."""
        shape = (len(boxes), self.patch, self.patch)
        firsts = torch.tensor([(box.row, box.column) for box in boxes])
        rows, columns = (
            # where each tile's pixels lie along this axis of the image
            self.frame.position((first[:, None] - pad + torch.arange(self.patch)).double(), length)
            .float()
            .to(device)
            for first, pad, length in zip(firsts.T, self.pad, self.image_shape, strict=True)
        )
        return torch.stack((columns[:, None, :].expand(shape), rows[:, :, None].expand(shape)), dim=1)

    def assemble(self, patches: Tensor) -> Tensor:
        """Put tiles (tiles, C, P, P) back together and return the image, (C, rows, columns); differentiable.

        ``assemble(extract(x)) == x``: the tiles cover the image, and where they overlap their weights sum to 1.
        """
        return self.interior(self.lay(patches.new_zeros(patches.shape[1], *self.padded_shape), patches))

    def lay(self, padded: Tensor, patches: Tensor, part: slice = _ALL) -> Tensor:
        """Lay the tiles ``boxes[part]`` onto a padded image that began as zeros, in place; returns it.

        Laid in their order, part by part, all tiles together are what :meth:`assemble` makes. Differentiable.
        """
        boxes = self.boxes[part]
        laid = _laying().apply(padded, patches, boxes, self._weights(boxes, patches))
        return cast(Tensor, laid)

    def interior(self, padded: Tensor) -> Tensor:
        """The image (C, rows, columns) inside a padded one (C, padded rows, padded columns), as a view."""
        return padded[:, *self._interior]

    def _weights(self, boxes: Sequence[Box], like: Tensor) -> list[Tensor]:
        """Share of each tile in each of its pixels, (P, P); none where a tile has its pixels to itself.

        Windows are products of one factor an axis, so their sum over a grid is one too.
        """
        if not self.overlapping or self.blend == "stitch":
            return []
        half = torch.ones(self.patch, dtype=torch.float64)
        if self.blend == "hann":
            half = torch.sin(torch.pi * (half.cumsum(0) - 0.5) / self.patch) ** 2
        sums = []  # of the windows' factors, for each axis (grids, padded pixels)
        for axis, padded in enumerate(self.padded_shape):
            grids = self.starts(axis)
            total = torch.zeros(len(grids), padded, dtype=torch.float64)
            for sum_of_grid, starts in zip(total, grids, strict=True):
                pixels = (torch.tensor(starts)[:, None] + torch.arange(self.patch)).flatten()
                sum_of_grid.index_add_(0, pixels, half.repeat(len(starts)))
            sums.append(total)
        rows, columns = sums
        window = torch.outer(half, half)
        shares = [
            window / (rows[:, b.row : b.row + b.size].T @ columns[:, b.column : b.column + b.size])
            for b in boxes
        ]
        return list(torch.stack(shares).to(like.device, like.dtype))

    def tile_at(self, row: int, column: int) -> tuple[int, int] | None:
        """The index of the tile that holds an *image* pixel, and its distance in pixels to the nearest seam.

        Where tiles overlap, the one whose centre is nearest. A pixel beside a tile border has distance 0.
        None outside the image.
        """
        if not (0 <= row < self.image_shape[0] and 0 <= column < self.image_shape[1]):
            return None
        inside = [(row + self.pad[0] - b.row, column + self.pad[1] - b.column) for b in self.boxes]
        depth = [min(r, c, self.patch - 1 - r, self.patch - 1 - c) for r, c in inside]
        index = max(range(len(depth)), key=depth.__getitem__)
        return index, min(d for d in depth if d >= 0)
