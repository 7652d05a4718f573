"""How fast a training is, and when it will be done: numbers that do not jump."""

import tempfile
import time
from pathlib import Path

import torch

from padis_gui.core.prior._j_network__core_network import NetworkSettings
from padis_gui.core.settings._j_machine__core_device import Precision
from padis_gui.core.training._j_dataset__core_training_dataset import TrainingData
from padis_gui.core.training._j_settings__core_training_settings import TrainingSettings
from padis_gui.core.training._j_train__core_training_train import Training, train

_TIMED_STEPS = 3


class Pace:
    """Measures steps, and forgets old ones slowly, so that the estimate follows the machine but no single step.

    The first step of each patch size is left out as long as others are known: it allocates and compiles.
    """

    def __init__(self, half_life: float = 120.0) -> None:
        """``half_life`` is how many seconds of steps count half."""
        self._half_life = half_life
        self._steps = self._seconds = 0.0
        self._first = 0.0  # the mean of the first steps
        self._patches: set[int] = set()

    def step(self, seconds: float, patch: int) -> None:
        """A step with patches of that size took so long."""
        if patch not in self._patches:
            self._first = (self._first * len(self._patches) + seconds) / (len(self._patches) + 1)
            self._patches.add(patch)
            return
        kept = 0.5 ** (seconds / self._half_life)
        self._steps = self._steps * kept + 1
        self._seconds = self._seconds * kept + seconds

    @property
    def seconds_a_step(self) -> float:
        """The mean of late; 0 before the first step."""
        return self._seconds / self._steps if self._steps else self._first


def seconds_a_step(
    training: TrainingSettings,
    network: NetworkSettings,
    image_size: int,
    device: torch.device,
    precision: Precision,
) -> float:
    """Seconds that one training step takes on this machine: the fastest of a few, with noise for images."""
    rng = torch.Generator().manual_seed(0)
    images = torch.rand(2, network.image_channels, image_size, image_size, generator=rng)
    data = TrainingData(images, ((0,), (1,)), (0.0, 1.0), "")
    settings = training.model_copy(update={"steps": 1000, "checkpoint_every": 1000})
    with tempfile.TemporaryDirectory(prefix="padis_gui-pace-") as folder:
        # never closed: there is nothing worth saving
        steps = train(data, Path(folder), settings, network, device=device, precision=precision)
        next(steps)  # the first step warms up
        return min(_seconds_of(steps) for _ in range(_TIMED_STEPS))


def _seconds_of(steps: Training) -> float:
    began = time.perf_counter()
    next(steps)
    return time.perf_counter() - began
