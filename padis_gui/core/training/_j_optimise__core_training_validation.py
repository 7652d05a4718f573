"""The denoising loss on data that were kept aside: always the same patches, noise levels and noise."""

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor

from padis_gui.core.prior._j_network__core_network import PatchUNet
from padis_gui.core.prior.prior import Conventions
from padis_gui.core.settings._j_machine__core_device import Precision
from padis_gui.core.training._j_dataset__core_training_dataset import TrainingData
from padis_gui.core.training._j_optimise__core_training_batch import Batch, patches_a_step
from padis_gui.core.training._j_optimise__core_training_distributed import World
from padis_gui.core.training._j_settings__core_training_settings import TrainingSettings

_BATCHES, _LEAST_PATCHES = 8, 32
# The same in every training, so that those with the same data and patches can be compared
_SEED = 1


class Validation:
    """What each measurement is taken on, drawn once: patches of the largest trained size, which is the one that
    reconstructions use unless told otherwise. Their noise levels are the quantiles of the training's distribution,
    which leaves less to chance than drawing them. The random numbers of the training are not touched.
    """

    def __init__(self, data: TrainingData, settings: TrainingSettings, conventions: Conventions) -> None:
        rng = torch.Generator().manual_seed(_SEED)
        pairs = zip(settings.patch_sizes, settings.patch_probabilities, strict=True)
        patch = max(size for size, probability in pairs if probability > 0)
        at_once = patches_a_step(settings, patch)
        count = max(_LEAST_PATCHES, _BATCHES * at_once)
        clean, positions = data.crops(patch, count, conventions.frame, rng)
        quantile = (torch.arange(count, dtype=torch.float64) + 0.5) / count
        log_sigma = settings.sigma_mean + settings.sigma_std * torch.special.ndtri(quantile)
        sigma = log_sigma.exp().clamp(settings.sigma_low, settings.sigma_high).float()
        batch = Batch(clean, positions, sigma, torch.randn(clean.shape, generator=rng))
        self._batches = [batch.part(slice(n, n + at_once)) for n in range(0, count, at_once)]
        self._count = count
        self._sigma_data = conventions.sigma_data

    @torch.no_grad()
    def measure(
        self,
        network: PatchUNet,
        averages: Mapping[float, Mapping[str, Tensor]],
        precision: Precision,
        world: World,
    ) -> dict[float, float]:
        """The loss of each of the ``averages`` of the network's weights; infinite where it is not a number."""
        device = next(network.parameters()).device
        scratch = copy.deepcopy(network)
        totals = torch.zeros(len(averages), dtype=torch.float64, device=device)
        for index, weights in enumerate(averages.values()):
            scratch.load_state_dict(weights)
            for batch in self._batches:
                part = batch.part(world.share(len(batch))).to(device)
                if len(part):
                    totals[index] += part.losses(scratch, self._sigma_data, precision).double().sum()
        world.sum_([totals])
        found = dict(zip(averages, (totals / self._count).tolist(), strict=True))
        return {decay: loss if math.isfinite(loss) else math.inf for decay, loss in found.items()}
