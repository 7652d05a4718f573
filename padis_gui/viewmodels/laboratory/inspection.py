"""One tile under the network, with its pictures: what the tile inspector asks the compute thread for."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from padis_gui.core.images.image import Image, Pixels
from padis_gui.core.prior.partition import Box, Partition
from padis_gui.core.prior.prior import DenoiserCall, PatchPrior
from padis_gui.core.prior.seams import InspectedTile, as_called, inspect_tile, with_noise
from padis_gui.viewmodels.pictures.frames import for_display
from padis_gui.viewmodels.pictures.levels import Range, automatic
from padis_gui.viewmodels.pictures.pictures import DIVERGING, GREY, RAMP, Appearance
from padis_gui.viewmodels.pictures.sources import Scale
from padis_gui.viewmodels.state.background import Check

_NOISE_SEED = 0


@dataclass(frozen=True, slots=True)
class TilePicture:
    """One of the pictures of an inspected tile."""

    key: str
    title: str
    help: str


PICTURES: tuple[TilePicture, ...] = (
    TilePicture("noisy", "Noisy patch x", "What the tile cuts out of the noisy image, padding included"),
    TilePicture("across", "Position across", "First position channel: −1 to 1 along the columns of the training frame"),
    TilePicture("down", "Position down", "Second position channel: −1 to 1 along the rows of the training frame"),
    TilePicture("output", "Network output F", "What comes out of the network, before D = c_skip x + c_out F"),
    TilePicture("denoised", "Denoised D", "The denoised patch, D = c_skip x + c_out F: what is laid into the image"),
    TilePicture("removed", "Removed x − D", "What the denoiser took for noise, x − D"),
    TilePicture("blind", "D without positions", "D where the network is told position 0 in every pixel"),
    TilePicture("influence", "Effect of positions", "D minus D without positions"),
    TilePicture(
        "moved", "Effect of shifting",
        "D here minus D of the tile where the grid has it, on the pixels that both cover: with nothing to choose "
        "between them, that is a seam",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """One request, with all that the compute thread needs.

    ``source`` is a call, or a clean image (C, rows, columns) on the [0, 1] scale, made from ``origin``.
    """

    prior: PatchPrior
    image: Image
    origin: object
    source: DenoiserCall | Tensor
    sigma: float
    partition: Partition
    home: Box
    row: int
    column: int
    step: int | None

    def same_noise(self, other: "Asked") -> bool:
        """Whether both look at the same padded image."""
        renoised = isinstance(self.source, Tensor)
        return (
            self.origin is other.origin
            and isinstance(other.source, Tensor) == renoised
            and self._shape == other._shape  # one iterate is put into priors of one channel and of three
            and self.image.window == other.image.window
            and self.partition == other.partition
            and (self.sigma == other.sigma or not renoised)
        )

    @property
    def _shape(self) -> torch.Size:
        return (self.source if isinstance(self.source, Tensor) else self.source.x).shape

    def same_home(self, other: "Asked") -> bool:
        """Whether both have the same tile before it was shifted."""
        return self.same_noise(other) and self.home == other.home and self.sigma == other.sigma


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """What the compute thread keeps for the next request: the padded image and its tile where the grid has it."""

    asked: Asked
    padded: Tensor
    home: InspectedTile


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inspection:
    """A tile with its pictures, (P, P) or (P, P, 3), in the image's unit where they are images.

    Positions and the ``output`` F have no unit. ``home`` is where the grid has the tile. The root mean squares of what
    shifting and positions changed are in the image's unit too; NaN where a shifted tile shares no pixel with ``home``.
    """

    tile: InspectedTile
    home: Box
    pictures: Mapping[str, Pixels]
    step: int | None
    moved_rms: float
    influence_rms: float
    window: Range

    def looks(self, levels: Range) -> dict[str, Appearance]:
        """How to show each picture; ``levels`` are those of images. Differences are shown about 0."""
        noise = self.tile.sigma * (self.window[1] - self.window[0])
        looks = {
            "noisy": Appearance((levels[0] - 2 * noise, levels[1] + 2 * noise), GREY),
            "removed": Appearance((-3 * noise, 3 * noise), DIVERGING),
        }
        looks |= dict.fromkeys(("across", "down"), Appearance((-1.0, 1.0), RAMP))
        looks |= dict.fromkeys(("denoised", "blind"), Appearance(levels, GREY))
        for key in ("output", "influence", "moved"):
            looks[key] = Appearance(automatic(self.pictures[key], Scale.SIGNED), DIVERGING)
        return looks


def _pictures(tile: InspectedTile, moved: Tensor, image: Image) -> dict[str, Pixels]:
    across, down = tile.positions
    images = {"noisy": tile.noisy, "denoised": tile.denoised, "blind": tile.blind}
    spreads = {"removed": tile.removed, "influence": tile.influence, "moved": moved}
    plain = {"across": across[None], "down": down[None], "output": tile.output}
    return (
        {name: for_display(image.from_unit(x)) for name, x in images.items()}
        | {name: for_display(image.spread_from_unit(x)) for name, x in spreads.items()}
        | {name: for_display(x.numpy()) for name, x in plain.items()}
    )


def _padded(asked: Asked) -> Tensor:
    if isinstance(asked.source, DenoiserCall):
        return as_called(asked.source)
    rng = torch.Generator().manual_seed(_NOISE_SEED)
    return with_noise(asked.source, asked.sigma, asked.partition, rng)


class TileInspection:
    """Answers requests in the compute thread; what the next one is likely to need again is kept."""

    def __init__(self) -> None:
        self._kept: _Kept | None = None

    def inspect(self, asked: Asked, check: Check) -> Inspection:
        """The tile of a request; ``check`` is called between its two calls of the network."""
        kept = self._kept

        def look(padded: Tensor, row: int, column: int) -> InspectedTile:
            check()
            return inspect_tile(asked.prior, padded, asked.sigma, asked.partition, row, column)

        if kept is None or kept.asked.prior is not asked.prior or not kept.asked.same_home(asked):
            same = kept is not None and kept.asked.same_noise(asked)
            padded = kept.padded if kept is not None and same else _padded(asked).to(asked.prior.device)
            kept = self._kept = _Kept(asked, padded, look(padded, asked.home.row, asked.home.column))
        moved = (asked.row, asked.column) != (asked.home.row, asked.home.column)
        tile = look(kept.padded, asked.row, asked.column) if moved else kept.home
        difference = tile.moved_from(kept.home)
        common = difference[~difference.isnan()]
        width = asked.image.window[1] - asked.image.window[0]
        return Inspection(
            tile=tile, home=asked.home, step=asked.step, pictures=_pictures(tile, difference, asked.image),
            moved_rms=width * float(common.square().mean().sqrt()) if len(common) else float("nan"),
            influence_rms=width * float(tile.influence.square().mean().sqrt()),
            window=asked.image.window,
        )  # fmt: skip
