"""One optimiser step on one batch, the averages it leaves, and validation; alone or in several processes.

Patch diffusion training of PaDIS (arXiv 2406.02462, section 3.2) with EDM's loss (arXiv 2206.00364): each batch has
one patch size, uniform crops of zero-padded images and a noise level for each, and weights the squared error by
(sigma^2 + sigma_d^2) / (sigma sigma_d)^2. Data kept aside are always seen in the same patches, noise levels and noise.

Several processes are started by ``torchrun --nproc-per-node N -m padis_gui train …``, which tells each its place through
the environment. Each takes its share of every batch, and their gradients are added: every process draws the same global
batch from the same seed, so that the result is that of one process up to the order of floating-point sums. Gloo carries
the sums between CPUs, NCCL between GPUs. All that is sent are numbers; nothing is pickled. The folder of the training
must be the same for all processes.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import importlib
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from padis_gui.core import Tensor, torch
from padis_gui.core.prior.partition import Frame
from padis_gui.core.prior.prior import Conventions, coming_out, denoise_patches
from padis_gui.core.prior.slices import log_spacing
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.settings.machine import Precision
from padis_gui.core.training.dataset import Crops, TrainingData
from padis_gui.core.training.series import repeated
from padis_gui.core.training.settings import TrainingSettings
from padis_gui.core.training.state import NOISE_BINS, State


@dataclass(frozen=True, slots=True)
class World:
    """The place of this process among ``size``; alone where nothing else is said.

    Its methods, except :meth:`share`, wait until every process has called the same one.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def main(self) -> bool:
        """Whether this is the one process that writes files and reports progress."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """This process' part of ``count`` things; parts differ by at most one, and may be empty."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor, all of one type, by its sum over all processes, the same to the bit in each."""
        if self.size == 1:
            return
        flat = torch.cat([t.reshape(-1) for t in tensors])
        torch.distributed.all_reduce(flat)
        first = 0
        for tensor in tensors:
            tensor.copy_(flat[first : first + tensor.numel()].view(tensor.shape))
            first += tensor.numel()

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in some process.

        To stop together: a signal reaches the processes at different steps, and one that left alone would keep
        the others waiting. Call it once between two steps.
        """
        flags = torch.tensor([float(flag)], device=self.device)
        self.sum_([flags])
        return bool(flags.item())

    def agree(self, value: str) -> bool:
        """Whether every process has the same text; all must ask at once. Told by 56 bits of its SHA-256."""
        if self.size == 1:
            return True
        digest = int.from_bytes(hashlib.sha256(value.encode()).digest()[:7], "big")
        bounds = torch.tensor([digest, -digest], device=self.device)
        torch.distributed.all_reduce(bounds, op=torch.distributed.ReduceOp.MAX)
        return int(bounds[0]) == -int(bounds[1])


@contextlib.contextmanager
def world_from_environment(device: torch.device) -> Iterator[World]:
    """The world that torchrun set up, or a process alone where it did not start us.

    ``device`` is what the user chose; under torchrun each process of a machine gets a GPU of its own, which is
    ``world.device``. Torchrun sets ``OMP_NUM_THREADS``: leave the number of threads alone where ``world.size``
    is above 1. Raises :class:`SettingError` where torch cannot connect the processes.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(device=device)
        return
    if device.type == "cuda":
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise SettingError(
                f"A GPU for each process was wanted, but there are {torch.cuda.device_count()} for process {local}; "
                "lower --nproc-per-node or use --device cpu."
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    # Its functions take the group that exists when it is imported as a default argument. The first step of an
    # optimiser imports it; imported before there is a group, it cannot keep ours, and its threads, past the end.
    importlib.import_module("torch.distributed.nn")
    try:
        torch.distributed.init_process_group(backend)
    except (RuntimeError, ValueError, AttributeError) as error:
        raise SettingError(
            f"{size} processes were to train together, but torch cannot connect them ({str(error)[:120]}); start "
            "them with torchrun, or train in one."
        ) from None
    try:
        yield World(torch.distributed.get_rank(), torch.distributed.get_world_size(), device)
    finally:
        torch.distributed.destroy_process_group()


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Patches (n, C, P, P), their positions (n, 2, P, P), a noise level for each (n,), and unit noise (n, C, P, P).

    Of slices, which are the channels, also their distance, (n,) as the network is told it.
    """

    clean: Tensor
    positions: Tensor
    sigma: Tensor
    noise: Tensor
    spacing: Tensor | None = None

    def __len__(self) -> int:
        return len(self.sigma)

    def part(self, share: slice) -> Batch:
        return self._each(lambda tensor: tensor[share])

    def to(self, device: torch.device) -> Batch:
        return self._each(lambda tensor: tensor.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        clean, positions, sigma, noise = map(change, (self.clean, self.positions, self.sigma, self.noise))
        return Batch(clean, positions, sigma, noise, None if self.spacing is None else change(self.spacing))

    def losses(self, network: torch.nn.Module, sigma_data: float, precision: Precision) -> Tensor:
        """The weighted squared error of each patch, averaged over its pixels, (n,); of the slices that come out."""
        noisy = self.clean + self.sigma.view(-1, 1, 1, 1) * self.noise
        denoised = denoise_patches(
            network, noisy, self.sigma, self.positions, sigma_data, precision, self.spacing
        )
        weight = (self.sigma**2 + sigma_data**2) / (self.sigma * sigma_data) ** 2
        return weight * ((denoised - coming_out(self.clean, denoised)) ** 2).flatten(1).mean(dim=1)


def draw_batch(data: TrainingData, settings: TrainingSettings, frame: Frame, rng: torch.Generator) -> Batch:
    """The next batch; everything about it comes from ``rng``, a CPU generator."""
    weights = torch.tensor(settings.patch_probabilities)
    patch = settings.patch_sizes[int(torch.multinomial(weights, 1, generator=rng))]
    count = patches_a_step(settings, patch)
    crops = data.crops(patch, count, frame, rng)
    log_sigma = settings.sigma_mean + settings.sigma_std * torch.randn(count, generator=rng)
    sigma = log_sigma.exp().clamp(settings.sigma_low, settings.sigma_high)
    noise, spacing = _noise_of(crops, rng)
    clean, positions = crops.clean, crops.positions
    if settings.flips in ("horizontal", "both"):
        clean, positions = _flipped(clean, positions, -1, rng)
    if settings.flips in ("vertical", "both"):
        clean, positions = _flipped(clean, positions, -2, rng)
    return Batch(clean, positions, sigma, noise, spacing)


def _noise_of(crops: Crops, rng: torch.Generator) -> tuple[Tensor, Tensor | None]:
    """Unit noise for the crops, and the distance of their slices; what reflection has twice has its noise twice."""
    noise = torch.randn(crops.clean.shape, generator=rng)
    if not crops.groups:
        return noise, None
    for n, group in enumerate(crops.groups):
        for second, first in repeated(group):
            noise[n, second] = noise[n, first]
    return noise, log_spacing(torch.tensor([group.spacing for group in crops.groups]))


def patches_a_step(settings: TrainingSettings, patch: int) -> int:
    """How many patches of that size fit into a step, over all processes."""
    return max(1, settings.pixels // patch**2)


def _flipped(clean: Tensor, positions: Tensor, axis: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Half of the patches mirrored along an axis, together with the positions of their pixels."""
    chosen = (torch.rand(len(clean), generator=rng) < 0.5).view(-1, 1, 1, 1)
    return clean.where(~chosen, clean.flip(axis)), positions.where(~chosen, positions.flip(axis))


log = logging.getLogger(__name__)

_SMOOTHING = 0.99


def learning_rate(settings: TrainingSettings, step: int) -> float:
    """Linear warm-up, constant, linear decay to 0 over the last part of the run."""
    rise = min(1.0, (step + 1) / settings.warmup) if settings.warmup else 1.0
    fall = min(1.0, (1 - step / settings.steps) / settings.decay) if settings.decay else 1.0
    return settings.learning_rate * rise * fall


class Optimiser:
    """Moves a :class:`State` on, alone or together with the other processes of a world."""

    def __init__(
        self, state: State, settings: TrainingSettings, sigma_data: float, precision: Precision, world: World
    ) -> None:
        self._state, self._settings, self._world = state, settings, world
        self._sigma_data, self._precision = sigma_data, precision
        self.device = next(state.network.parameters()).device
        self._network: torch.nn.Module = state.network
        if settings.compile:  # for each patch size by itself, which makes the faster code
            self._network = cast(torch.nn.Module, torch.compile(state.network, dynamic=False))

    def step(self, batch: Batch, rate: float) -> float:
        """One step of AdamW on the batch; its mean loss, NaN where that or the gradient is not finite."""
        state = self._state
        losses = self._gradients(batch)
        norm = torch.nn.utils.clip_grad_norm_(state.network.parameters(), self._settings.clip)
        found = losses.tolist()
        value = math.fsum(found) / len(found)
        if not (math.isfinite(value) and math.isfinite(float(norm))):
            return math.nan
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        state.optimizer.step()
        with torch.no_grad():
            weights = state.network.state_dict()
            for length, average in state.averages.items():
                # an average forgets its random start quickly, then settles to the chosen decay
                decay = min(length, (1 + state.step) / (10 + state.step))
                for key, now in weights.items():
                    average[key].lerp_(now, 1 - decay)
        self._note_losses(batch, found, value)
        return value

    def _gradients(self, batch: Batch) -> Tensor:
        """Leave the gradient of the mean loss in the network, and return the loss of each patch, (n,).

        Each process works on its share; gradients and losses are then added over all of them.
        """
        state, world = self._state, self._world
        share = world.share(len(batch))
        part = batch.part(share).to(self.device)
        losses = torch.zeros(len(batch), device=self.device)
        if len(part):
            try:
                losses[share] = self._backward(part, len(batch))
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:  # what torch.compile raises where it finds no compiler, for one
                if self._network is state.network:
                    raise
                log.warning("The network cannot be compiled here (%s); it goes on without.", str(error)[:120])
                self._network = state.network
                losses[share] = self._backward(part, len(batch))
        else:
            state.optimizer.zero_grad(set_to_none=True)
        if world.size > 1:
            for parameter in state.network.parameters():
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
            world.sum_([losses, *(cast(Tensor, p.grad) for p in state.network.parameters())])
        return losses

    def _backward(self, part: Batch, count: int) -> Tensor:
        self._state.optimizer.zero_grad(set_to_none=True)
        losses = part.losses(self._network, self._sigma_data, self._precision)
        (losses.sum() / count).backward()  # type: ignore[no-untyped-call]
        return losses.detach()

    def _note_losses(self, batch: Batch, found: list[float], mean: float) -> None:
        """Move the running averages on: of all, of this patch size, and of the noise levels that were drawn."""
        state, patch = self._state, batch.clean.shape[-1]
        state.loss_average = _smoothed(state.loss_average, mean)
        state.losses[patch] = _smoothed(state.losses.get(patch, math.nan), mean)
        places = torch.bucketize(batch.sigma, torch.tensor(NOISE_BINS), right=True).tolist()
        for place in set(places):
            members = [loss for loss, where in zip(found, places, strict=True) if where == place]
            state.levels[place] = _smoothed(state.levels[place], math.fsum(members) / len(members))


def _smoothed(average: float, value: float) -> float:
    return value if math.isnan(average) else _SMOOTHING * average + (1 - _SMOOTHING) * value


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
        crops = data.crops(patch, count, conventions.frame, rng)
        quantile = (torch.arange(count, dtype=torch.float64) + 0.5) / count
        log_sigma = settings.sigma_mean + settings.sigma_std * torch.special.ndtri(quantile)
        sigma = log_sigma.exp().clamp(settings.sigma_low, settings.sigma_high).float()
        noise, spacing = _noise_of(crops, rng)
        batch = Batch(crops.clean, crops.positions, sigma, noise, spacing)
        self._batches = [batch.part(slice(n, n + at_once)) for n in range(0, count, at_once)]
        self._count = count
        self._sigma_data = conventions.sigma_data

    @torch.no_grad()
    def measure(
        self,
        network: torch.nn.Module,
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
