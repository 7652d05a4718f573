"""What a resumed training must find again, and the two files that it is kept in.

``state.safetensors`` holds everything: weights, their averages, the optimiser's moments, the random generator and the
counters, so that a resumed run makes the same steps to the bit. ``prior.safetensors`` is what reconstructs. The prior
is written first: a kill between the two leaves a state that makes it again.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from padis_gui.core import Tensor, torch
from padis_gui.core.prior.checkpoint import PriorRecord, save_prior
from padis_gui.core.prior.network_settings import NetworkSettings
from padis_gui.core.prior.prior import Conventions
from padis_gui.core.settings.errors import CheckpointError
from padis_gui.core.settings.files import remove_leftovers, write_atomically
from padis_gui.core.settings.tensors import TensorFile
from padis_gui.core.settings.untrusted import parse_json
from padis_gui.core.training.settings import TrainingSettings

if TYPE_CHECKING:
    from padis_gui.core.prior.network import PatchUNet

STATE_FILE, PRIOR_FILE = "state.safetensors", "prior.safetensors"
# Noise levels between which the running losses are kept apart: below the first, between neighbours, above the last
NOISE_BINS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
_DAMAGE = (OSError, LookupError, ValueError, ArithmeticError, RuntimeError, TypeError, AttributeError)


@dataclass(eq=False)
class Best:
    """The least validation loss so far, and the averaged weights that had it."""

    loss: float
    step: int
    decay: float
    weights: dict[str, Tensor]


@dataclass(eq=False)
class State:
    """A training between two steps.

    ``averages`` holds the averaged weights by their decay; ``chosen`` is the decay that the prior has. ``stale``
    counts the validations since the best one.
    """

    network: PatchUNet
    averages: dict[float, dict[str, Tensor]]
    optimizer: torch.optim.AdamW
    rng: torch.Generator
    chosen: float
    step: int = 0
    patches_seen: int = 0
    seconds: float = 0.0
    loss_average: float = math.nan
    losses: dict[int, float] = field(default_factory=dict)
    levels: list[float] = field(default_factory=lambda: [math.nan] * (len(NOISE_BINS) + 1))
    validation: dict[float, float] = field(default_factory=dict)
    best: Best | None = None
    stale: int = 0

    @property
    def prior_weights(self) -> dict[str, Tensor]:
        """What becomes the prior: the best on validation so far, or the chosen average where none was measured."""
        return self.averages[self.chosen] if self.best is None else self.best.weights


def new_state(settings: TrainingSettings, network_settings: NetworkSettings, device: torch.device) -> State:
    """The start of a training: random weights that follow from the seed."""
    from padis_gui.core.prior.network import PatchUNet  # its modules are torch's

    with torch.random.fork_rng(devices=[]):  # torch initialises layers from the global generator only
        torch.manual_seed(settings.seed)
        network = PatchUNet(network_settings)
    network.channels_last = settings.channels_last
    layout = torch.channels_last if settings.channels_last else torch.contiguous_format
    network.to(device=device, memory_format=layout)  # type: ignore[call-overload]
    return State(
        network=network,
        averages={decay: _copied(network.state_dict()) for decay in settings.ema},
        optimizer=torch.optim.AdamW(
            network.parameters(), lr=settings.learning_rate, betas=(0.9, 0.99), weight_decay=0.0
        ),
        rng=torch.Generator().manual_seed(settings.seed),
        chosen=settings.ema[0],
    )


def begin_with(state: State, weights: dict[str, Tensor]) -> None:
    """Let the network and all its averages begin with these weights."""
    state.network.load_state_dict(weights)
    for average in state.averages.values():
        for key, value in state.network.state_dict().items():
            average[key].copy_(value)


def _copied(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in weights.items()}


# -- reading ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Stored:
    """A state file: what the training was told, and everything else to be taken over by :meth:`restore`.

    ``conventions`` is None in files of the first version, which left them to be worked out again; ``origin`` says
    which prior the training began with, if any.
    """

    settings: TrainingSettings
    network: NetworkSettings
    image_size: int | None
    conventions: Conventions | None
    origin: dict[str, Any]
    _folder: Path
    _meta: dict[str, Any]
    _tensors: dict[str, Tensor]

    def restore(self, state: State) -> None:
        """Make a new state of the same network the stored one.

        An average that was not kept so far begins as the longest one that was. Raises :class:`CheckpointError` where
        something is missing or does not fit.
        """
        try:
            self._restore(state)
        except _DAMAGE as error:
            raise _damaged(self._folder, error) from None

    def _restore(self, state: State) -> None:
        meta, tensors = self._meta, self._tensors
        state.network.load_state_dict(_under("model.", tensors))
        longest = max(self.settings.ema)
        for decay, average in state.averages.items():
            kept = decay if decay in self.settings.ema else longest
            # the first version kept one average, without its decay in the name
            stored = _under(f"ema:{kept}:", tensors) or _under("ema.", tensors)
            for key, value in average.items():
                value.copy_(stored[key])
        if meta["optimizer_steps"]:
            moments = {}
            for index, (name, parameter) in enumerate(state.network.named_parameters()):
                # in the parameter's own layout, or every further step would be slower
                first, second = (torch.empty_like(parameter).copy_(tensors[f"{m}.{name}"]) for m in "mv")
                done = torch.tensor(float(meta["optimizer_steps"]))
                moments[index] = {"step": done, "exp_avg": first, "exp_avg_sq": second}
            groups = state.optimizer.state_dict()["param_groups"]
            state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        state.rng.set_state(tensors["rng"])
        state.step, state.patches_seen = int(meta["step"]), int(meta["patches_seen"])
        state.seconds, state.loss_average = float(meta["seconds"]), float(meta["loss_average"])
        state.losses = {int(size): float(loss) for size, loss in meta.get("losses", {}).items()}
        levels = [float(loss) for loss in meta.get("levels", [])]
        if len(levels) == len(state.levels):
            state.levels = levels
        state.validation = {float(decay): float(v) for decay, v in meta.get("validation", {}).items()}
        state.chosen = float(meta.get("chosen", state.chosen))
        state.averages[state.chosen]  # a LookupError where there is no such average
        state.stale = int(meta.get("stale", 0))
        best = meta.get("best")
        if best is not None:
            weights = {key: torch.empty_like(v) for key, v in state.averages[state.chosen].items()}
            for key, value in weights.items():
                value.copy_(tensors[f"best:{key}"])
            state.best = Best(float(best["loss"]), int(best["step"]), float(best["decay"]), weights)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _damaged(folder: Path, error: BaseException) -> CheckpointError:
    reason = " ".join(str(error).split())[:100]
    return CheckpointError(
        f"The training state in {folder} is damaged ({reason}); train into another folder."
    )


def find_state(folder: Path) -> Stored | None:
    """The training that ``folder`` holds, or None. Raises :class:`CheckpointError` where it is damaged."""
    path = folder / STATE_FILE
    if not path.exists():
        return None
    try:
        with TensorFile(path) as file:
            meta = parse_json(file.metadata["training"], nan=True)
            tensors = {key: file.read(key) for key in file.tensors}
        conventions = meta.get("conventions")
        return Stored(
            # an older version's state lacks today's newest settings; the defaults stand for them
            settings=TrainingSettings.from_record(meta["settings"]),
            network=NetworkSettings.model_validate(meta["network"]),
            image_size=meta["settings"].get("image_size", meta.get("image_size")),
            conventions=None if conventions is None else Conventions.model_validate(conventions),
            origin=dict(meta.get("origin", {})),
            _folder=folder,
            _meta=meta,
            _tensors=tensors,
        )
    except (*_DAMAGE, RecursionError) as error:
        raise _damaged(folder, error) from None


# -- writing ----------------------------------------------------------------------------------------------


def save_state(
    state: State,
    folder: Path,
    settings: TrainingSettings,
    conventions: Conventions,
    origin: dict[str, Any],
    record: PriorRecord,
) -> None:
    """Write both files of a training, each atomically. Raises :class:`OSError` where one cannot be written."""
    save_prior(folder / PRIOR_FILE, record, state.prior_weights)
    tensors = {f"model.{k}": v for k, v in state.network.state_dict().items()}
    for decay, average in state.averages.items():
        tensors |= {f"ema:{decay}:{k}": v for k, v in average.items()}
    if state.best is not None:
        tensors |= {f"best:{k}": v for k, v in state.best.weights.items()}
    steps = 0
    for key, parameter in state.network.named_parameters():
        moment = state.optimizer.state.get(parameter)
        if moment:
            steps = int(moment["step"])
            tensors[f"m.{key}"], tensors[f"v.{key}"] = moment["exp_avg"], moment["exp_avg_sq"]
    tensors["rng"] = state.rng.get_state()
    best = state.best
    meta = {
        "settings": settings.model_dump(mode="json"),
        "network": state.network.settings.model_dump(mode="json"),
        "conventions": conventions.model_dump(mode="json"),
        "origin": origin,
        "image_size": conventions.image_size,
        "step": state.step,
        "optimizer_steps": steps,
        "patches_seen": state.patches_seen,
        "seconds": state.seconds,
        "loss_average": state.loss_average,
        "losses": state.losses,
        "levels": state.levels,
        "validation": state.validation,
        "chosen": state.chosen,
        "stale": state.stale,
        "best": None if best is None else {"loss": best.loss, "step": best.step, "decay": best.decay},
    }
    cpu = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    from safetensors.torch import save

    write_atomically(folder / STATE_FILE, save(cpu, {"training": json.dumps(meta)}))


def remove_temporary_files(folder: Path) -> None:
    """Remove what a killed training left of a file that it was writing."""
    for name in (STATE_FILE, PRIOR_FILE):
        remove_leftovers(folder / name)
