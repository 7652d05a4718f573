"""What the network gets and gives for one tile: EDM's preconditioning (arXiv 2206.00364, table 1) taken apart.

D = c_skip x + c_out F([c_in x, positions], c_noise). A tile may lie anywhere on the padded image, so that it can be
shifted by hand; its D is that tile of the whole denoised image, up to the round-off of another patch batch.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from padis_gui.core.prior.partition import Box, Partition
from padis_gui.core.prior.prior import DenoiserCall, PatchPrior, network_output, precondition, surround
from padis_gui.core.settings.errors import SettingError


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedTile:
    """One tile under the network; tensors are float32 on the CPU, (C, P, P) unless they say otherwise.

    ``noisy`` is x, ``positions`` (2, P, P) along columns first, ``output`` is F and ``denoised`` D; ``blind`` is D
    where the network is told the position 0 in every pixel.
    """

    box: Box
    sigma: float
    c_skip: float
    c_out: float
    c_in: float
    c_noise: float
    noisy: Tensor
    positions: Tensor
    output: Tensor
    denoised: Tensor
    blind: Tensor

    @property
    def removed(self) -> Tensor:
        """What the denoiser took away, x - D: its estimate of sigma times the noise."""
        return self.noisy - self.denoised

    @property
    def influence(self) -> Tensor:
        """What knowing its position changed: D minus D without."""
        return self.denoised - self.blind

    def moved_from(self, other: "InspectedTile") -> Tensor:
        """D minus the D of a tile elsewhere, on the pixels that both cover; NaN on the others."""
        found = torch.full_like(self.denoised, torch.nan)
        down, right = self.box.row - other.box.row, self.box.column - other.box.column
        side = self.box.size
        if max(abs(down), abs(right)) < side and other.box.size == side:
            here = (slice(None), *(slice(max(0, -d), side - max(0, d)) for d in (down, right)))
            there = (slice(None), *(slice(max(0, d), side - max(0, -d)) for d in (down, right)))
            found[here] = self.denoised[here] - other.denoised[there]
        return found


def as_called(call: DenoiserCall) -> Tensor:
    """The padded noisy image (C, padded rows, padded columns) that a denoiser call cut its tiles from, bit for bit."""
    rng = torch.Generator()
    rng.set_state(call.generator)
    return surround(call.x, call.sigma, call.partition, rng)


def with_noise(image: Tensor, sigma: float, partition: Partition, rng: torch.Generator) -> Tensor:
    """A clean image (C, rows, columns) on its padding of zeros, all of it plus sigma * epsilon.

    (C, padded rows, padded columns). The same generator gives the same epsilon at every sigma.
    """
    padded = partition.place(image, image.new_zeros(image.shape[0], *partition.padded_shape))
    return padded + sigma * torch.randn(padded.shape, generator=rng).to(image.device, image.dtype)


@torch.no_grad()
def inspect_tile(
    prior: PatchPrior, padded: Tensor, sigma: float, partition: Partition, row: int, column: int
) -> InspectedTile:
    """The tile of ``padded`` (C, padded rows, padded columns) whose first pixel is (row, column) of the padded image.

    ``sigma`` is the noise level that the network is told. Raises :class:`SettingError` where the tile leaves the
    padded image or sigma is not above 0.
    """
    side = partition.patch
    last = [length - side for length in partition.padded_shape]
    if not (0 <= row <= last[0] and 0 <= column <= last[1]):
        raise SettingError(
            f"A tile of {side} px starts at row 0 to {last[0]} and column 0 to {last[1]} of the padded image, but "
            f"({row}, {column}) was given; move it inside."
        )
    if not sigma > 0:
        raise SettingError(f"A noise level above 0 was wanted, but {sigma:g} was given; raise it.")
    box = Box(row, column, side)
    noisy = box.of(padded)
    told = partition.positions_of((box,), padded.device) * float(prior.positions)
    # a grey prior takes each channel as an image of its own, as in PatchPrior.denoise
    planes = noisy[:, None] if prior.channels == 1 else noisy[None]
    count = len(planes)
    positions = torch.cat([told, torch.zeros_like(told)]).repeat_interleave(count, dim=0)
    level = torch.full((2 * count,), sigma, dtype=padded.dtype, device=padded.device)
    sigma_data = prior.conventions.sigma_data
    output = network_output(
        prior.network, planes.repeat(2, 1, 1, 1), level, positions, sigma_data, prior.precision
    )
    c_skip, c_out, c_in, c_noise = precondition(level[:1], sigma_data)
    seeing, blind = (part.reshape(noisy.shape) for part in (output[:count], output[count:]))
    return InspectedTile(
        box=box, sigma=sigma, c_skip=float(c_skip), c_out=float(c_out), c_in=float(c_in), c_noise=float(c_noise),
        noisy=_plain(noisy), positions=_plain(told[0]), output=_plain(seeing),
        denoised=_plain(c_skip * noisy + c_out * seeing), blind=_plain(c_skip * noisy + c_out * blind),
    )  # fmt: skip


def _plain(x: Tensor) -> Tensor:
    return x.detach().to("cpu", torch.float32, copy=True)
