"""Partitions of the zero-padded image into patches, and the strategies that draw them.

The geometry of PaDIS (arXiv 2406.02462, section 3): an axis of N pixels cut into patches of P takes
K = floor(N/P) + 1 tiles and a padding of M = K P - N on every side; an offset in {0..M} shifts the grid.
Every offset covers the image. What lies outside the tiles is padding, whose truth is known to be zero.
Coordinates in this module are (row, column) on the *padded* image unless they say "image".
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor

from padis_gui.core.errors import SettingError
from padis_gui.core.settings import Settings, setting

LARGEST_PATCH = 4096


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


def tiles_and_pad(length: int, patch: int) -> tuple[int, int]:
    """K tiles and padding M for an axis of ``length`` pixels: K = floor(N/P) + 1, M = K P - N."""
    tiles = length // patch + 1
    return tiles, tiles * patch - length


@dataclass(frozen=True, slots=True)
class Partition:
    """One placement of the patch grid on the padded image.

    ``image_shape`` is (rows, columns) of the image; ``pad`` the (M_rows, M_columns) zeros on every side;
    ``offset`` the grid's first row and column, each in {0..M}.
    """

    image_shape: tuple[int, int]
    patch: int
    pad: tuple[int, int]
    offset: tuple[int, int]
    frame: Frame
    boxes: tuple[Box, ...] = field(init=False)

    def __post_init__(self) -> None:
        for axis in (0, 1):
            if not 0 <= self.offset[axis] <= self.pad[axis]:
                raise SettingError(
                    f"A tile offset must lie in 0 to {self.pad[axis]} on axis {axis}, but "
                    f"{self.offset[axis]} was given; choose one inside the padding."
                )
        rows, columns = self.grid
        object.__setattr__(
            self,
            "boxes",
            tuple(
                Box(self.offset[0] + p * self.patch, self.offset[1] + q * self.patch, self.patch)
                for p in range(rows)
                for q in range(columns)
            ),
        )

    @property
    def grid(self) -> tuple[int, int]:
        """Tiles along rows and columns."""
        return (
            (self.image_shape[0] + self.pad[0]) // self.patch,
            (self.image_shape[1] + self.pad[1]) // self.patch,
        )

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
        steps = torch.arange(self.patch, dtype=torch.float64)
        tiles = []
        for box in self.boxes:
            along = [
                self.frame.position(start - pad + steps, length)
                for start, pad, length in zip((box.row, box.column), self.pad, self.image_shape, strict=True)
            ]
            rows, columns = torch.meshgrid(along[0], along[1], indexing="ij")
            tiles.append(torch.stack([columns, rows]))
        return torch.stack(tiles).to(device=device, dtype=torch.float32)

    def assemble(self, patches: Tensor) -> Tensor:
        """Put tiles (tiles, C, P, P) back together and return the image, (C, rows, columns).

        ``assemble(extract(x)) == x`` exactly: the tiles are disjoint and cover the image.
        """
        padded = patches.new_zeros(patches.shape[1], *self.padded_shape)
        for box, patch in zip(self.boxes, patches, strict=True):
            padded[:, box.row : box.row + box.size, box.column : box.column + box.size] = patch
        return padded[:, *self._interior]

    def tile_at(self, row: int, column: int) -> tuple[int, int] | None:
        """The index of the tile that holds an *image* pixel, and its distance in pixels to the nearest seam.

        A pixel beside a tile border has distance 0. None outside the image.
        """
        if not (0 <= row < self.image_shape[0] and 0 <= column < self.image_shape[1]):
            return None
        inside = (row + self.pad[0] - self.offset[0], column + self.pad[1] - self.offset[1])
        index = (inside[0] // self.patch) * self.grid[1] + inside[1] // self.patch
        along = [value % self.patch for value in inside]
        return index, min(min(value, self.patch - 1 - value) for value in along)


class Tiling(Protocol):
    """A strategy: draws the partition for the next denoiser call."""

    def draw(self, rng: torch.Generator) -> Partition: ...


@dataclass(frozen=True, slots=True)
class _GridTiling:
    """Shared by the strategies that place one regular grid."""

    image_shape: tuple[int, int]
    patch: int
    frame: Frame

    def _at(self, pad: tuple[int, int], offset: tuple[int, int]) -> Partition:
        return Partition(self.image_shape, self.patch, pad, offset, self.frame)

    def _pad(self) -> tuple[int, int]:
        return tiles_and_pad(self.image_shape[0], self.patch)[1], tiles_and_pad(
            self.image_shape[1], self.patch
        )[1]


class RandomTiling(_GridTiling):
    """PaDIS: a new offset at every denoiser call, uniform over all (M+1)^2 of them."""

    def draw(self, rng: torch.Generator) -> Partition:
        pad = self._pad()
        offset = [int(torch.randint(0, m + 1, (), generator=rng)) for m in pad]
        return self._at(pad, (offset[0], offset[1]))


class FixedTiling(_GridTiling):
    """The same centred grid at every call: the naive tiling, whose seams stay where they are."""

    def draw(self, rng: torch.Generator) -> Partition:
        pad = self._pad()
        return self._at(pad, (pad[0] // 2, pad[1] // 2))


@dataclass(frozen=True, slots=True)
class TilingStrategy:
    """A registry record."""

    name: str
    label: str
    summary: str
    make: Callable[[tuple[int, int], int, Frame], Tiling]


TILINGS: tuple[TilingStrategy, ...] = (
    TilingStrategy("random", "Random (PaDIS)", "A new offset at every denoiser call.", RandomTiling),
    TilingStrategy("fixed", "Fixed grid", "Never moves; shows what seams look like.", FixedTiling),
)


class TilingSettings(Settings):
    """How the image is cut into patches."""

    strategy: Literal["random", "fixed"] = setting(
        "random", label="Tiling", help="Where the patch grid goes at each denoiser call"
    )
    patch: int | None = setting(
        None, ge=8, le=LARGEST_PATCH, label="Patch size", symbol="P", unit="px",
        help="Side of a patch; automatic is the largest that the prior was trained on",
    )  # fmt: skip


def make_tiling(strategy: str, image_shape: tuple[int, int], patch: int, frame: Frame) -> Tiling:
    """The tiling strategy of that name for images of ``image_shape`` (rows, columns)."""
    for record in TILINGS:
        if record.name == strategy:
            return record.make(image_shape, patch, frame)
    raise SettingError(
        f"Tiling must be one of {', '.join(t.name for t in TILINGS)}, but {strategy!r} was given; pick one "
        "of them."
    )
