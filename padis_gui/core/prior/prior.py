"""The patch prior: preconditioning + position channels + partition -> denoised image.

EDM preconditioning (arXiv 2206.00364, table 1) around the network, applied tile by tile as in PaDIS
(arXiv 2406.02462): the whole image never enters the network. Tiles are cut, denoised and laid a patch batch at
a time, so that beside the image itself and its padded copy the memory depends on the patch batch only.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, cast

from pydantic import model_validator

from padis_gui.core import Tensor, torch
from padis_gui.core.prior.partition import LARGEST_PATCH, Frame, Partition
from padis_gui.core.prior.slices import LARGEST_SPACING, SMALLEST_SPACING
from padis_gui.core.settings.declarations import Settings, branch, setting
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.settings.machine import Precision

log = logging.getLogger(__name__)


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
    slice_spacings: tuple[float, float] | None = setting(
        None, label="Slice distances", unit="mm",
        help="Least and greatest distance of neighbouring slices in training, for a prior across slices",
    )  # fmt: skip

    @model_validator(mode="after")
    def _usable(self) -> Conventions:
        if not self.patch_sizes or not all(1 <= p <= LARGEST_PATCH for p in self.patch_sizes):
            raise ValueError(f"patch sizes of 1 to {LARGEST_PATCH} are wanted")
        if not self.window[0] < self.window[1]:
            raise ValueError("a window whose lower end lies below its upper end is wanted")
        if self.slice_spacings is not None:
            least, greatest = self.slice_spacings
            if not SMALLEST_SPACING <= least <= greatest <= LARGEST_SPACING:
                raise ValueError(
                    f"slice distances of {SMALLEST_SPACING:g} to {LARGEST_SPACING:g} mm are wanted"
                )
        return self

    @property
    def frame(self) -> Frame:
        """What positions are measured in: the training images with their padding, -1 to 1 from edge to edge."""
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


def network_output(
    network: torch.nn.Module,
    noisy: Tensor,
    sigma: Tensor,
    positions: Tensor,
    sigma_data: float,
    precision: Precision,
    spacing: Tensor | None = None,
) -> Tensor:
    """F of patches, before preconditioning makes D of it; arguments and shape as :func:`denoise_patches`."""
    _, _, c_in, c_noise = precondition(sigma.view(-1, 1, 1, 1), sigma_data)
    entering = torch.cat([c_in * noisy, positions], dim=1)
    with torch.autocast(noisy.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        told = () if spacing is None else (spacing,)
        output: Tensor = network(entering, c_noise.flatten(), *told)
    return output


def denoise_patches(
    network: torch.nn.Module,
    noisy: Tensor,
    sigma: Tensor,
    positions: Tensor,
    sigma_data: float,
    precision: Precision,
    spacing: Tensor | None = None,
) -> Tensor:
    """D_theta of patches: noisy (n, C, P, P), sigma (n,), positions (n, 2, P, P) -> (n, C, P, P).

    A network across slices has them as channels, is told their distance in ``spacing``, (n,) as
    :func:`~padis_gui.core.prior.slices.log_spacing` has it, and where it gives the middle one only D is that of the
    middle: (n, 1, P, P). Positions are neither noised nor scaled. Differentiable in ``noisy`` and the network's parameters.
    """
    c_skip, c_out, _, _ = precondition(sigma.view(-1, 1, 1, 1), sigma_data)
    output = network_output(network, noisy, sigma, positions, sigma_data, precision, spacing)
    return c_skip * coming_out(noisy, output) + c_out * output


def coming_out(slices: Tensor, output: Tensor) -> Tensor:
    """Of slices (n, D, P, P) that went into a network those that came out of it: all, or the middle one (n, 1, P, P)."""
    if output.shape[1] == slices.shape[1]:
        return slices
    middle = slices.shape[1] // 2
    return slices[:, middle : middle + 1]


@dataclass(frozen=True, slots=True, eq=False)
class DenoiserCall:
    """One call of :meth:`PatchPrior.denoise` with all that it takes to repeat it bit for bit.

    ``x`` (C, rows, columns) is what was denoised, ``generator`` the state of the generator that the noise in
    the padding came from.
    """

    x: Tensor
    sigma: float
    partition: Partition
    generator: Tensor

    def cpu(self) -> DenoiserCall:
        """The same call, off the device."""
        return replace(self, x=self.x.cpu())


def surround(
    x: Tensor, sigma: float, partition: Partition, rng: torch.Generator, *, alike: bool = False
) -> Tensor:
    """Image x (C, rows, columns) in a padding of noise sigma * epsilon: (C, padded rows, padded columns).

    That is exactly the forward process of the padding's known zeros. ``rng`` is a CPU generator. ``alike`` gives all
    channels, which are slices then, the same noise.
    """
    drawn = 1 if alike else x.shape[0]
    padded = torch.randn(drawn, *partition.padded_shape, generator=rng).mul_(sigma)
    if alike:
        padded = padded.repeat(x.shape[0], 1, 1)
    return partition.place(x, padded.to(x.device, x.dtype))


@dataclass(frozen=True, slots=True)
class PatchPrior:
    """A trained patch denoiser with its conventions, ready on one device.

    ``network`` maps (n, C+2, P, P) and c_noise (n,) to (n, C, P, P). ``downsampling`` divides every patch
    size. ``patch_batch`` patches of the largest trained size go through the network at once; smaller
    patches in proportion. ``interrupt`` is called before every patch batch and may raise
    :class:`~padis_gui.core.settings.errors.Interrupted`; ``counted`` is told of each how many its call has, with those
    that a gradient makes again; ``observe`` is told of every call of :meth:`denoise` before it is made. Without
    ``positions`` the network is told 0 instead of where a patch lies, which shows what positions are worth.
    ``branching`` takes one number of the generator for each call, whatever the size of the padding, so that runs of one
    seed whose tilings differ meet the same noise everywhere else. A prior across ``slices`` gives ``slices_out`` of
    them and denoises volumes only, see :class:`~padis_gui.core.prior.stack.StackPrior`.
    """

    network: torch.nn.Module
    conventions: Conventions
    channels: int
    downsampling: int
    device: torch.device
    precision: Precision
    patch_batch: int = 16
    interrupt: Callable[[], None] | None = None
    counted: Callable[[int], None] | None = None
    positions: bool = True
    observe: Callable[[DenoiserCall], None] | None = None
    branching: bool = False
    slices: int = 1
    slices_out: Literal["middle", "all"] = "middle"

    @property
    def alike(self) -> bool:
        """Whether all channels of an image meet the same noise, as slices of a volume that nothing ties together do."""
        return False

    def interrupted_by(
        self, check: Callable[[], None], counted: Callable[[int], None] | None = None
    ) -> PatchPrior:
        """The same prior, asking ``check`` before every patch batch; ``counted`` is told of each."""
        return replace(self, interrupt=check, counted=counted)

    def observed_by(self, observe: Callable[[DenoiserCall], None]) -> PatchPrior:
        """The same prior, telling ``observe`` of every call."""
        return replace(self, observe=observe)

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

        The padding gets fresh noise from ``rng`` (see :func:`surround`). A grey prior takes each channel of a
        colour image as an image of its own. Differentiable in x and in the network's parameters; where there is more
        than one patch batch, its graph is made again on the way back, for a third more time in the memory of one batch.
        """
        if self.slices > 1:
            raise SettingError(
                f"A prior of single slices was wanted for an image, but this one is across {self.slices} slices; "
                "reconstruct a volume with it, or choose another prior."
            )
        if self.branching:
            rng = branch(rng)
        if self.observe is not None:
            self.observe(DenoiserCall(x.detach(), sigma, partition, rng.get_state()))
        padded = surround(x, sigma, partition, rng)
        planes = padded[:, None].unbind() if self.channels == 1 else (padded,)
        done = [
            partition.interior(self._denoise_padded(plane, sigma, partition, len(planes))) for plane in planes
        ]
        return done[0] if len(done) == 1 else torch.cat(done)

    def _denoise_padded(self, padded: Tensor, sigma: float, partition: Partition, planes: int) -> Tensor:
        """D on all tiles of a padded image, one of so many planes of a call. Without gradients, tiles that have their
        pixels to themselves return to where they came from."""
        count, differentiable = len(partition.boxes), torch.is_grad_enabled()
        batches = planes * math.ceil(count / self.batch_of(partition.patch))

        def work(part: slice) -> Tensor:
            if self.counted is not None:
                self.counted(2 * batches if again else batches)
            tiles, positions = partition.cut(padded, part), partition.positions(padded.device, part)
            return self._denoise_batch(tiles, sigma, positions if self.positions else 0 * positions)

        def work_twice(part: slice) -> Tensor:
            from torch.utils.checkpoint import checkpoint

            return cast(Tensor, checkpoint(work, part, use_reentrant=False, preserve_rng_state=False))

        again = differentiable and count > self.batch_of(partition.patch) and self._learns_from(padded)
        image = torch.zeros_like(padded) if differentiable or partition.overlapping else padded
        for part, patches in self._in_batches(count, partition.patch, work_twice if again else work):
            image = partition.lay(image, patches, part)
        return image

    def _learns_from(self, padded: Tensor) -> bool:
        """Whether a gradient is wanted by the image or by the network's own numbers."""
        return padded.requires_grad or any(p.requires_grad for p in self.network.parameters())

    def batch_of(self, patch: int) -> int:
        """How many patches of that size go through the network at once."""
        return max(1, self.patch_batch * max(self.conventions.patch_sizes) ** 2 // patch**2)

    def _denoise_batch(self, tiles: Tensor, sigma: float, positions: Tensor) -> Tensor:
        level = torch.full((len(tiles),), sigma, dtype=tiles.dtype, device=tiles.device)
        sigma_data = self.conventions.sigma_data
        return denoise_patches(self.network, tiles, level, positions, sigma_data, self.precision)

    def _in_batches(
        self, count: int, patch: int, work: Callable[[slice], Tensor]
    ) -> Iterator[tuple[slice, Tensor]]:
        """``work`` on one patch batch of ``count`` tiles after the other, smaller ones when memory runs out."""
        batch, first = self.batch_of(patch), 0
        while first < count:
            if self.interrupt is not None:
                self.interrupt()
            part = slice(first, min(first + batch, count))
            try:
                done = work(part)
            except torch.OutOfMemoryError:
                if batch == 1:
                    raise
                batch = max(1, batch // 2)
                log.warning(
                    "Out of device memory: the patch batch was halved to %d and the run goes on.", batch
                )
                continue
            yield part, done
            first = part.stop
