"""Makes files with the pickle stream of published snapshots, without the published code.

The classes that a snapshot names exist here only while a file is written: what matters is the stream.
"""

import pickle
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from padis_gui.core.prior.edm_network import EdmUNet
from padis_gui.core.prior.network_settings import EdmNetworkSettings

SOURCE = "class Patch_EDMPrecond: pass\n"
_BUFFERS = ("resample_filter", "freqs")


def _reconstruct_persistent_obj(meta: dict[str, Any]) -> None:
    raise AssertionError("a persistent object was reconstructed")


_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"


class Persistent:
    """An object of a class that brings its source along."""

    def __init__(self, class_name: str, state: dict[str, Any], source: str = SOURCE) -> None:
        self.meta = {
            "type": "class", "version": 6, "module_src": source, "class_name": class_name, "state": state,
        }  # fmt: skip

    def __reduce__(self) -> tuple[Any, ...]:
        return _reconstruct_persistent_obj, (self.meta,)


@contextmanager
def _published_modules() -> Iterator[None]:
    package, module = types.ModuleType("torch_utils"), types.ModuleType("torch_utils.persistence")
    module._reconstruct_persistent_obj = _reconstruct_persistent_obj  # type: ignore[attr-defined]
    sys.modules.update({"torch_utils": package, "torch_utils.persistence": module})
    try:
        yield
    finally:
        del sys.modules["torch_utils"], sys.modules["torch_utils.persistence"]


def dump(value: Any, protocol: int = 4) -> bytes:
    with _published_modules():
        return pickle.dumps(value, protocol)


def _module(
    tensors: dict[str, Tensor], name: str, attributes: dict[str, Any], source: str, hooks: bool
) -> Any:
    """The module tree of a flat state dictionary."""
    children: dict[str, dict[str, Tensor]] = {}
    state = (
        (dict(nn.Module().__dict__) if hooks else {})
        | {"_parameters": {}, "_buffers": {}, "_modules": {}}
        | attributes
    )
    for key, tensor in tensors.items():
        child, _, rest = key.partition(".")
        if rest:
            children.setdefault(child, {})[rest] = tensor
        elif child in _BUFFERS:
            state["_buffers"][child] = tensor
        else:
            state["_parameters"][child] = nn.Parameter(tensor, requires_grad=False)
    state["_modules"] = {child: _module(part, child, {}, source, hooks) for child, part in children.items()}
    if name in ("enc", "dec"):
        container = nn.ModuleDict()
        container.__dict__.update(state)
        return container
    if "resample_filter" not in state["_buffers"]:
        state["_buffers"]["resample_filter"] = None  # convolutions without resampling say so
    return Persistent("Conv2d", {"_init_args": (), "_init_kwargs": {}} | state, source)


def snapshot_content(
    arguments: dict[str, Any],
    state: dict[str, Tensor],
    *,
    resolution: int | None = None,
    source: str = SOURCE,
    hooks: bool = True,
) -> dict[str, Any]:
    """What a snapshot holds, for networks of ``arguments`` and ``state`` (published names).

    Without ``hooks``, modules lack torch's many empty dictionaries, which makes a file four times shorter.
    """
    kept = {"_init_args": (), "_init_kwargs": arguments, "img_resolution": np.int64(304)}
    ema = _module(state, "", kept, source, hooks)
    ema.meta["class_name"] = "Patch_EDMPrecond"
    loss = Persistent("Patch_EDMLoss", {"P_mean": -1.2, "P_std": np.float64(1.2), "sigma_data": 0.5}, source)
    data: dict[str, Any] = {"class_name": "training.dataset.ImageFolderDataset", "xflip": False}
    if resolution is not None:
        data["resolution"] = resolution
    return {"ema": ema, "loss_fn": loss, "augment_pipe": None, "dataset_kwargs": data}


ARGUMENTS: dict[str, Any] = {
    "img_resolution": 304, "img_channels": 3, "out_channels": 1, "label_dim": 0, "use_fp16": False,
    "model_type": "SongUNet", "model_channels": 4, "channel_mult": [1, 2], "num_blocks": 1,
    "embedding_type": "positional", "encoder_type": "standard", "decoder_type": "standard",
    "channel_mult_noise": 1, "resample_filter": [1, 1], "dropout": 0.05, "hash_channels": 1,
}  # fmt: skip
NCSN = {
    "embedding_type": "fourier", "encoder_type": "residual", "channel_mult_noise": 2,
    "resample_filter": [1, 3, 3, 1],
}  # fmt: skip


def settings_of(arguments: dict[str, Any]) -> EdmNetworkSettings:
    """The network's settings, by the test's own reading of published arguments."""
    shared = {key: value for key, value in arguments.items() if key in EdmNetworkSettings.model_fields}
    return EdmNetworkSettings.model_validate(shared | {"image_channels": arguments["out_channels"]})


def random_network(arguments: dict[str, Any], seed: int = 0) -> EdmUNet:
    """A network of ``arguments`` whose every parameter is random; its buffers stay what they are."""
    rng = torch.Generator().manual_seed(seed)
    network = EdmUNet(settings_of(arguments))
    with torch.no_grad():
        for parameter in network.parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 10
            parameter.copy_(torch.randn(parameter.shape, generator=rng) / fan_in**0.5)
    return network.requires_grad_(False).eval()


def random_snapshot(
    changes: dict[str, Any] | None = None,
    *,
    resolution: int | None = None,
    source: str = SOURCE,
    hooks: bool = True,
) -> dict[str, Any]:
    """The content of a small snapshot with random weights."""
    arguments = ARGUMENTS | (changes or {})
    state = random_network(arguments).state_dict()
    return snapshot_content(arguments, state, resolution=resolution, source=source, hooks=hooks)
