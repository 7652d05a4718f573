"""What one step trains on, and how far the denoiser is from it.

Patch diffusion training of PaDIS (arXiv 2406.02462, section 3.2) with EDM's loss (arXiv 2206.00364): each batch has
one patch size, uniform crops of zero-padded images and a noise level for each, and weights the squared error by
(sigma^2 + sigma_d^2) / (sigma sigma_d)^2.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from padis_gui.core.prior.partition import Frame
from padis_gui.core.prior.prior import denoise_patches
from padis_gui.core.settings._j_machine__core_device import Precision
from padis_gui.core.training._j_dataset__core_training_dataset import TrainingData
from padis_gui.core.training._j_settings__core_training_settings import TrainingSettings


@dataclass(frozen=True, slots=True)
class Batch:
    """Patches (n, C, P, P), their positions (n, 2, P, P), a noise level for each (n,), and unit noise (n, C, P, P)."""

    clean: Tensor
    positions: Tensor
    sigma: Tensor
    noise: Tensor

    def __len__(self) -> int:
        return len(self.sigma)

    def part(self, share: slice) -> "Batch":
        return Batch(self.clean[share], self.positions[share], self.sigma[share], self.noise[share])

    def to(self, device: torch.device) -> "Batch":
        return Batch(*(t.to(device) for t in (self.clean, self.positions, self.sigma, self.noise)))

    def losses(self, network: nn.Module, sigma_data: float, precision: Precision) -> Tensor:
        """The weighted squared error of each patch, averaged over its pixels, (n,)."""
        noisy = self.clean + self.sigma.view(-1, 1, 1, 1) * self.noise
        denoised = denoise_patches(network, noisy, self.sigma, self.positions, sigma_data, precision)
        weight = (self.sigma**2 + sigma_data**2) / (self.sigma * sigma_data) ** 2
        return weight * ((denoised - self.clean) ** 2).flatten(1).mean(dim=1)


def draw_batch(data: TrainingData, settings: TrainingSettings, frame: Frame, rng: torch.Generator) -> Batch:
    """The next batch; everything about it comes from ``rng``, a CPU generator."""
    weights = torch.tensor(settings.patch_probabilities)
    patch = settings.patch_sizes[int(torch.multinomial(weights, 1, generator=rng))]
    count = patches_a_step(settings, patch)
    clean, positions = data.crops(patch, count, frame, rng)
    log_sigma = settings.sigma_mean + settings.sigma_std * torch.randn(count, generator=rng)
    sigma = log_sigma.exp().clamp(settings.sigma_low, settings.sigma_high)
    noise = torch.randn(clean.shape, generator=rng)
    if settings.flips in ("horizontal", "both"):
        clean, positions = _flipped(clean, positions, -1, rng)
    if settings.flips in ("vertical", "both"):
        clean, positions = _flipped(clean, positions, -2, rng)
    return Batch(clean, positions, sigma, noise)


def patches_a_step(settings: TrainingSettings, patch: int) -> int:
    """How many patches of that size fit into a step, over all processes."""
    return max(1, settings.pixels // patch**2)


def _flipped(clean: Tensor, positions: Tensor, axis: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Half of the patches mirrored along an axis, together with the positions of their pixels."""
    chosen = (torch.rand(len(clean), generator=rng) < 0.5).view(-1, 1, 1, 1)
    return clean.where(~chosen, clean.flip(axis)), positions.where(~chosen, positions.flip(axis))
