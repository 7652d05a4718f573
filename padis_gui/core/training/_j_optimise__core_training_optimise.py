"""One optimiser step on one batch: gradients, clipping, AdamW, the averages of the weights and of the losses."""

import logging
import math
from typing import cast

import torch
from torch import Tensor, nn

from padis_gui.core.settings._j_machine__core_device import Precision
from padis_gui.core.training._j_optimise__core_training_batch import Batch
from padis_gui.core.training._j_optimise__core_training_distributed import World
from padis_gui.core.training._j_settings__core_training_settings import TrainingSettings
from padis_gui.core.training.state import NOISE_BINS, State

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
        self._network: nn.Module = state.network
        if settings.compile:  # for each patch size by itself, which makes the faster code
            self._network = cast(nn.Module, torch.compile(state.network, dynamic=False))

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
