"""Trainings of seconds: three small images, a tiny network."""

from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from padis_gui.core.prior.network_settings import NetworkSettings
from padis_gui.core.training.dataset import TrainingData
from padis_gui.core.training.settings import TrainingSettings
from padis_gui.core.training.train import STATE_FILE, Training, train
from tests.tiny import TINY_NETWORK, phantom

CPU = torch.device("cpu")


def toy_data(size: int = 32) -> TrainingData:
    images = torch.stack([phantom(size)[None] * scale for scale in (0.7, 0.85, 1.0)])
    return TrainingData(images, ((0, 1), (2,)), (-1000.0, 1000.0), "HU")


def aside() -> TrainingData:
    """Data of the same kind to validate on."""
    images = torch.stack([phantom(32)[None] * scale for scale in (0.6, 0.95)]).flip(-1)
    return TrainingData(images, ((0,), (1,)), (-1000.0, 1000.0), "HU")


def settings(**changes: Any) -> TrainingSettings:
    fields = {
        "steps": 8, "patch_sizes": (16, 8), "patch_probabilities": (0.7, 0.3), "pixels": 1024,
        "warmup": 2, "checkpoint_every": 1000, "seed": 3,
    } | changes  # fmt: skip
    return TrainingSettings(**fields)


def start(
    folder: Path, run: TrainingSettings, network: NetworkSettings = TINY_NETWORK, **more: Any
) -> Training:
    return train(toy_data(), folder, run, network, device=CPU, precision="float32", **more)


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(folder / STATE_FILE)


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def metadata(path: Path) -> dict[str, str]:
    with safetensors.safe_open(path, framework="pt") as file:
        return dict(file.metadata())
