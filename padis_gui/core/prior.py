"""The patch prior: preconditioning + position channels + partition -> denoised image.

EDM preconditioning (arXiv 2206.00364, table 1) around the network, applied tile by tile as in PaDIS
(arXiv 2406.02462): the whole image never enters the network, and memory depends on the patch batch only.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from pydantic import model_validator
from torch import Tensor, nn

from padis_gui.core.errors import SettingError
from padis_gui.core.partition import LARGEST_PATCH, Frame, Partition
from padis_gui.core.settings import Settings, setting

log = logging.getLogger(__name__)

Precision = Literal["float32", "bfloat16"]


class Conventions(Settings):
    """What a prior was trained with and what inference must repeat; stored in the checkpoint."""

    image_size: int = setting(
        256, ge=8, le=65536, label="Image size", help="Side of the training images", unit="px"
    )
    pad: int = setting(
        0, ge=0, le=65536, label="Padding", help="Zeros on every side in training", symbol="M", unit="px"
    )
    patch_sizes: tuple[int, ...] = setting((56,), label="Patch sizes", help="Trained patch sides", unit="px")
    sigma_data: float = setting(
        0.5, gt=0, label="Data deviation", help="Standard deviation in the preconditioning", symbol="σ_d"
    )
    window: tuple[float, float] = setting(
        (-1000.0, 1000.0), label="Window", help="Intensities that map to 0 and 1"
    )
    unit: str = setting("HU", label="Unit", help="Unit of the window; empty where the data has none")

    @model_validator(mode="after")
    def _usable(self) -> "Conventions":
        if not self.patch_sizes or not all(1 <= p <= LARGEST_PATCH for p in self.patch_sizes):
            raise ValueError(f"patch sizes of 1 to {LARGEST_PATCH} are wanted")
        if not self.window[0] < self.window[1]:
            raise ValueError("a window whose lower end lies below its upper end is wanted")
        return self

    @property
    def frame(self) -> Frame:
        """The coordinate frame of the position channels."""
        return Frame(self.image_size, self.pad)


def precondition(sigma: Tensor, sigma_data: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """c_skip, c_out, c_in, c_noise of EDM for noise levels of any shape."""
    total = sigma**2 + sigma_data**2
    return (
        sigma_data**2 / total,
        sigma * sigma_data / total.sqrt(),
        1 / total.sqrt(),
        sigma.log() / 4,
    )


def denoise_patches(
    network: nn.Module,
    noisy: Tensor,
    sigma: Tensor,
    positions: Tensor,
    sigma_data: float,
    precision: Precision,
) -> Tensor:
    """D_theta of patches: noisy (n, C, P, P), sigma (n,), positions (n, 2, P, P) -> (n, C, P, P).

    Positions are neither noised nor scaled. Differentiable in ``noisy`` and the network's parameters.
    """
    c_skip, c_out, c_in, c_noise = precondition(sigma.view(-1, 1, 1, 1), sigma_data)
    entering = torch.cat([c_in * noisy, positions], dim=1)
    with torch.autocast(noisy.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        correction: Tensor = network(entering, c_noise.flatten())
    return c_skip * noisy + c_out * correction


@dataclass(frozen=True, slots=True)
class PatchPrior:
    """A trained patch denoiser with its conventions, ready on one device.

    ``network`` maps (n, C+2, P, P) and c_noise (n,) to (n, C, P, P). ``downsampling`` divides every patch
    size. ``patch_batch`` patches of the largest trained size go through the network at once; smaller
    patches in proportion. ``interrupt`` is called before every patch batch and may raise
    :class:`~padis_gui.core.errors.Interrupted`.
    """

    network: nn.Module
    conventions: Conventions
    channels: int
    downsampling: int
    device: torch.device
    precision: Precision
    patch_batch: int = 16
    interrupt: Callable[[], None] | None = None

    def interrupted_by(self, check: Callable[[], None]) -> "PatchPrior":
        """The same prior, asking ``check`` before every patch batch."""
        return replace(self, interrupt=check)

    def resolve_patch(self, patch: int | None) -> int:
        """The patch size to use: the largest trained one for None.

        Raises :class:`SettingError` for sizes the network cannot take or was not trained on.
        """
        sizes = self.conventions.patch_sizes
        if patch is None:
            return max(sizes)
        trained = ", ".join(str(s) for s in sorted(sizes))
        if patch % self.downsampling:
            raise SettingError(
                f"The patch size must be divisible by {self.downsampling}, the network's downsampling, but "
                f"{patch} was given; this prior was trained on {trained}."
            )
        if patch not in sizes:
            raise SettingError(
                f"The patch size must be one that this prior was trained on ({trained}), but {patch} was "
                "given; pick one of those."
            )
        return patch

    def denoise(self, x: Tensor, sigma: float, partition: Partition, rng: torch.Generator) -> Tensor:
        """D(x, sigma) of a whole image x (C, rows, columns) through one partition.

        The padding border gets fresh noise sigma * epsilon from ``rng`` (a CPU generator), which is exactly
        the forward process of its known zeros. Differentiable in x.
        """
        border = sigma * torch.randn(x.shape[0], *partition.padded_shape, generator=rng)
        tiles = partition.extract(x, border.to(x.device, x.dtype))
        return partition.assemble(self.denoise_tiles(tiles, sigma, partition.positions(x.device)))

    def denoise_tiles(self, tiles: Tensor, sigma: float, positions: Tensor) -> Tensor:
        """D of noisy tiles (n, C, P, P) at ``positions`` (n, 2, P, P), one patch batch at a time.

        A grey prior takes each channel of colour tiles as a tile of its own.
        """
        if self.channels == 1 and tiles.shape[1] > 1:
            n, colours, rows, columns = tiles.shape
            folded = tiles.reshape(n * colours, 1, rows, columns)
            apart = self.denoise_tiles(folded, sigma, positions.repeat_interleave(colours, 0))
            return apart.reshape(tiles.shape)
        largest = max(self.conventions.patch_sizes)
        batch = max(1, self.patch_batch * largest**2 // tiles.shape[-1] ** 2)
        level = torch.full((tiles.shape[0],), sigma, dtype=tiles.dtype, device=tiles.device)
        done: list[Tensor] = []
        first = 0
        while first < len(tiles):
            if self.interrupt is not None:
                self.interrupt()
            part = slice(first, first + batch)
            try:
                done.append(
                    denoise_patches(
                        self.network,
                        tiles[part],
                        level[part],
                        positions[part],
                        self.conventions.sigma_data,
                        self.precision,
                    )
                )
            except torch.OutOfMemoryError:
                if batch == 1:
                    raise
                batch = max(1, batch // 2)
                log.warning(
                    "Out of device memory: the patch batch was halved to %d and the run goes on.", batch
                )
                continue
            first += batch
        return torch.cat(done)
