"""One placement of patches on the zero-padded image: cut, place, put back together.

The geometry of PaDIS (arXiv 2406.02462, section 3): an axis of N pixels cut into patches of P takes
K = floor(N/P) + 1 tiles and a padding of M = K P - N on every side; an offset in {0..M} shifts the grid.
Every offset covers the image. With a stride s < P neighbours overlap and the same holds for
K = floor((N-P)/s) + 2 and M = (K-1) s + P - N. What lies outside the tiles is padding, whose truth is known
to be zero. Coordinates are (row, column) on the *padded* image unless they say "image".
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from padis_gui.core.errors import SettingError

LARGEST_PATCH = 4096
# How tiles that overlap become one image: weighted by a window, or the later tile on top ("stitch")
Blend = Literal["uniform", "hann", "stitch"]


@dataclass(frozen=True, slots=True)
class Box:
    """A square tile: its first row and column on the padded image, and its side in pixels."""

    row: int
    column: int
    size: int


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


@dataclass(frozen=True, slots=True)
class Partition:
    """One placement of the patch grid, or of several grids, on the padded image.

    ``image_shape`` is (rows, columns) of the image; ``pad`` the (M_rows, M_columns) zeros on every side;
    ``offset`` the grid's first row and column, each in {0..M}; ``stride`` the distance of neighbouring tiles
    (the patch size where they do not overlap); ``more_offsets`` places further grids over the first.
    """

    image_shape: tuple[int, int]
    patch: int
    pad: tuple[int, int]
    offset: tuple[int, int]
    frame: Frame
    stride: int | None = None
    more_offsets: tuple[tuple[int, int], ...] = ()
    blend: Blend = "uniform"
    boxes: tuple[Box, ...] = field(init=False)

    def __post_init__(self) -> None:
        for offset in (self.offset, *self.more_offsets):
            for axis in (0, 1):
                if not 0 <= offset[axis] <= self.pad[axis]:
                    raise SettingError(
                        f"A tile offset must lie in 0 to {self.pad[axis]} on axis {axis}, but "
                        f"{offset[axis]} was given; choose one inside the padding."
                    )
        step = self.stride or self.patch
        rows, columns = (tiles_and_pad(n, self.patch, step)[0] for n in self.image_shape)
        boxes = tuple(
            Box(top + p * step, left + q * step, self.patch)
            for top, left in (self.offset, *self.more_offsets)
            for p in range(rows)
            for q in range(columns)
        )
        object.__setattr__(self, "boxes", boxes)

    @property
    def overlapping(self) -> bool:
        """Whether some pixels lie in more than one tile."""
        return bool(self.more_offsets) or (self.stride or self.patch) < self.patch

    @property
    def padded_shape(self) -> tuple[int, int]:
        """Rows and columns of the padded image."""
        return self.image_shape[0] + 2 * self.pad[0], self.image_shape[1] + 2 * self.pad[1]

    @property
    def _interior(self) -> tuple[slice, slice]:
        return (
            slice(self.pad[0], self.pad[0] + self.image_shape[0]),
            slice(self.pad[1], self.pad[1] + self.image_shape[1]),
        )

    def extract(self, x: Tensor, border: Tensor | None = None) -> Tensor:
        """Cut image x (C, rows, columns) into its tiles, (tiles, C, P, P), in the order of ``boxes``.

        ``border`` (C, padded rows, padded columns) is what surrounds the image, by default zeros; its
        interior is ignored. Differentiable in x.
        """
        padded = x.new_zeros(x.shape[0], *self.padded_shape) if border is None else border.clone()
        padded[:, *self._interior] = x
        return torch.stack(
            [padded[:, b.row : b.row + b.size, b.column : b.column + b.size] for b in self.boxes]
        )

    def positions(self, device: torch.device | str = "cpu") -> Tensor:
        """Position channels of every tile, (tiles, 2, P, P): along columns first, then along rows."""
        rows, columns = (
            self.frame.position(torch.arange(padded, dtype=torch.float64) - pad, length).float().to(device)
            for padded, pad, length in zip(self.padded_shape, self.pad, self.image_shape, strict=True)
        )
        shape = (self.patch, self.patch)
        return torch.stack(
            [
                torch.stack(
                    (
                        columns[box.column : box.column + box.size].expand(shape),
                        rows[box.row : box.row + box.size, None].expand(shape),
                    )
                )
                for box in self.boxes
            ]
        )

    def assemble(self, patches: Tensor) -> Tensor:
        """Put tiles (tiles, C, P, P) back together and return the image, (C, rows, columns).

        ``assemble(extract(x)) == x``: the tiles cover the image, and where they overlap their weights sum to 1.
        """
        image = patches.new_zeros(patches.shape[1], *self.padded_shape)
        if not self.overlapping or self.blend == "stitch":
            for box, patch in zip(self.boxes, patches, strict=True):
                image[:, box.row : box.row + box.size, box.column : box.column + box.size] = patch
            return image[:, *self._interior]
        total = patches.new_zeros(self.padded_shape)
        window = self._window().to(patches.device, patches.dtype)
        for box, patch in zip(self.boxes, patches * window, strict=True):
            image[:, box.row : box.row + box.size, box.column : box.column + box.size] += patch
            total[box.row : box.row + box.size, box.column : box.column + box.size] += window
        return image[:, *self._interior] / total[*self._interior]

    def _window(self) -> Tensor:
        """Weights of one tile, (P, P), positive everywhere."""
        if self.blend != "hann":
            return torch.ones(self.patch, self.patch)
        half = torch.sin(torch.pi * (torch.arange(self.patch) + 0.5) / self.patch) ** 2
        return torch.outer(half, half)

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
