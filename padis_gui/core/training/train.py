"""Training as a generator: one :class:`TrainStep` a step, checkpoints on the way, resumable at any moment.

Patch diffusion training of PaDIS (arXiv 2406.02462, section 3.2) with EDM's loss (arXiv 2206.00364):
each step draws one patch size, uniform crops of zero-padded images and a noise level for each, and
weights the squared error by (sigma^2 + sigma_d^2) / (sigma sigma_d)^2.
"""

import json
import logging
import math
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from padis_gui.core.checkpoint import PriorRecord, save_prior, write_atomically
from padis_gui.core.errors import CheckpointError, DivergenceError, InputError, SettingError
from padis_gui.core.network import NetworkSettings, PatchUNet
from padis_gui.core.prior import Conventions, Precision, denoise_patches
from padis_gui.core.training.dataset import TrainingData
from padis_gui.core.training.settings import TrainingSettings

log = logging.getLogger(__name__)

STATE_FILE, PRIOR_FILE = "state.safetensors", "prior.safetensors"
_SMOOTHING = 0.99
_MAX_BAD_STEPS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainStep:
    """One optimiser step: ``loss`` of this step, ``average`` running, ``seconds`` since training began."""

    step: int
    total: int
    loss: float
    average: float
    patch: int
    patches_seen: int
    learning_rate: float
    seconds: float
    saved: bool


@dataclass
class _State:
    """Everything that a resumed run must find again."""

    network: PatchUNet
    average: dict[str, Tensor]
    optimizer: torch.optim.AdamW
    rng: torch.Generator
    step: int = 0
    patches_seen: int = 0
    seconds: float = 0.0
    loss_average: float = float("nan")


def train(
    data: TrainingData,
    folder: Path,
    settings: TrainingSettings,
    network_settings: NetworkSettings,
    *,
    name: str = "prior",
    device: torch.device,
    precision: Precision,
    notes: dict[str, Any] | None = None,
) -> Generator[TrainStep, None, None]:
    """Train a patch prior; ``folder`` receives ``state.safetensors`` (to resume) and ``prior.safetensors``.

    Resumes from ``folder`` where it holds a state; only the number of steps, the checkpoint interval and the
    decay may differ then. Checkpoints are written atomically, at the end and when the iterator is closed too.
    Raises :class:`SettingError` for contradictions and :class:`DivergenceError` when the loss stays NaN.
    """
    bad = [p for p in settings.patch_sizes if p % network_settings.downsampling]
    if bad:
        raise SettingError(
            f"Patch sizes must be divisible by {network_settings.downsampling}, the network's downsampling, "
            f"but {', '.join(map(str, bad))} was given; choose others."
        )
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"A folder for the training was wanted, but {folder} cannot be made ({error.strerror}); choose another."
        ) from None
    size = data.images.shape[-1]
    pad = settings.pad(size)
    conventions = Conventions(
        image_size=size,
        pad=pad,
        patch_sizes=tuple(sorted(settings.patch_sizes, reverse=True)),
        sigma_data=_deviation(data.images, pad),
        window=data.window,
        unit=data.unit,
    )
    state = _resume_or_start(folder, settings, network_settings, device, size)
    return _steps(state, data, folder, settings, conventions, name, precision, notes or {})


def _steps(
    state: _State,
    data: TrainingData,
    folder: Path,
    settings: TrainingSettings,
    conventions: Conventions,
    name: str,
    precision: Precision,
    notes: dict[str, Any],
) -> Generator[TrainStep, None, None]:
    began = time.perf_counter() - state.seconds
    saved_at = state.step
    bad_steps = 0

    def save() -> None:
        nonlocal saved_at
        _save(state, folder, settings, conventions, name, notes)
        saved_at = state.step

    try:
        while state.step < settings.steps:
            rate = learning_rate(settings, state.step)
            patch, count = _draw_patch(settings, state.rng)
            loss = _optimise(state, data, settings, conventions, precision, patch, count, rate)
            state.step += 1
            state.seconds = time.perf_counter() - began
            if math.isfinite(loss):
                bad_steps = 0
                state.patches_seen += count
                previous = loss if math.isnan(state.loss_average) else state.loss_average
                state.loss_average = _SMOOTHING * previous + (1 - _SMOOTHING) * loss
            else:
                bad_steps += 1
                log.warning("Step %d gave a loss that is not finite; it was left out.", state.step)
                if bad_steps >= _MAX_BAD_STEPS:
                    raise DivergenceError(
                        f"The loss has not been finite for {bad_steps} steps; the last good checkpoint is "
                        "kept, lower the learning rate."
                    )
            due = state.step % settings.checkpoint_every == 0 or state.step == settings.steps
            if due and not bad_steps:
                save()
            yield TrainStep(
                step=state.step,
                total=settings.steps,
                loss=loss,
                average=state.loss_average,
                patch=patch,
                patches_seen=state.patches_seen,
                learning_rate=rate,
                seconds=state.seconds,
                saved=saved_at == state.step,
            )
    except GeneratorExit:
        # closed between two steps: only there is the state whole (an error inside a step leaves it half done)
        if saved_at != state.step and not bad_steps:
            save()
        raise


def learning_rate(settings: TrainingSettings, step: int) -> float:
    """Linear warm-up, constant, linear decay to 0 over the last part of the run."""
    rise = min(1.0, (step + 1) / settings.warmup) if settings.warmup else 1.0
    fall = min(1.0, (1 - step / settings.steps) / settings.decay) if settings.decay else 1.0
    return settings.learning_rate * rise * fall


def _draw_patch(settings: TrainingSettings, rng: torch.Generator) -> tuple[int, int]:
    weights = torch.tensor(settings.patch_probabilities)
    patch = settings.patch_sizes[int(torch.multinomial(weights, 1, generator=rng))]
    return patch, max(1, settings.pixels // patch**2)


def _optimise(
    state: _State,
    data: TrainingData,
    settings: TrainingSettings,
    conventions: Conventions,
    precision: Precision,
    patch: int,
    count: int,
    rate: float,
) -> float:
    device = next(state.network.parameters()).device
    clean, positions = data.crops(patch, count, conventions.frame, state.rng)
    log_sigma = settings.sigma_mean + settings.sigma_std * torch.randn(count, generator=state.rng)
    sigma = log_sigma.exp().clamp(settings.sigma_low, settings.sigma_high)
    noise = torch.randn(clean.shape, generator=state.rng)
    clean, positions, sigma, noise = (t.to(device) for t in (clean, positions, sigma, noise))
    noisy = clean + sigma.view(-1, 1, 1, 1) * noise
    denoised = denoise_patches(state.network, noisy, sigma, positions, conventions.sigma_data, precision)
    weight = (sigma**2 + conventions.sigma_data**2) / (sigma * conventions.sigma_data) ** 2
    loss = (weight.view(-1, 1, 1, 1) * (denoised - clean) ** 2).mean()
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(state.network.parameters(), settings.clip)
    value = float(loss.detach())
    if not (math.isfinite(value) and math.isfinite(float(norm))):
        return float("nan")
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.step()
    # the average forgets its random start quickly, then settles to the chosen decay
    decay = min(settings.ema, (1 + state.step) / (10 + state.step))
    with torch.no_grad():
        for key, value_now in state.network.state_dict().items():
            state.average[key].lerp_(value_now, 1 - decay)
    return value


def _deviation(images: Tensor, pad: int) -> float:
    """Standard deviation of the zero-padded images: the sigma_d of the preconditioning."""
    share = (images.shape[-1] / (images.shape[-1] + 2 * pad)) ** 2
    mean, square = float(images.mean()) * share, float((images**2).mean()) * share
    return round(math.sqrt(max(square - mean**2, 1e-6)), 4)


def _start(settings: TrainingSettings, network_settings: NetworkSettings, device: torch.device) -> _State:
    with torch.random.fork_rng(devices=[]):  # torch initialises layers from the global generator only
        torch.manual_seed(settings.seed)
        network = PatchUNet(network_settings)
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return _State(
        network=network,
        average={k: v.detach().clone() for k, v in network.state_dict().items()},
        optimizer=torch.optim.AdamW(
            network.parameters(), lr=settings.learning_rate, betas=(0.9, 0.99), weight_decay=0.0
        ),
        rng=torch.Generator().manual_seed(settings.seed),
    )


def _resume_or_start(
    folder: Path,
    settings: TrainingSettings,
    network_settings: NetworkSettings,
    device: torch.device,
    image_size: int,
) -> _State:
    state = _start(settings, network_settings, device)
    path = folder / STATE_FILE
    if not path.exists():
        return state
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            meta = json.loads((file.metadata() or {})["training"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
        mutable = {"steps", "checkpoint_every", "decay"}
        # an older version's state lacks today's newest settings; the defaults stand for them
        began = TrainingSettings.from_record(meta["settings"])
        then = {k: v for k, v in began.model_dump(mode="json").items() if k not in mutable}
        now = {k: v for k, v in settings.model_dump(mode="json").items() if k not in mutable}
        changed = [k for k in now if then.get(k) != now[k]]
        if image_size != meta["settings"].get("image_size", meta.get("image_size")):
            changed.append("image_size")
        if changed or meta["network"] != network_settings.model_dump(mode="json"):
            what = ", ".join(changed) or "the network"
            raise SettingError(
                f"{folder} holds a training with other settings ({what}); give it the same ones to resume, "
                "or train into another folder."
            )
        state.network.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
        for key in state.average:
            state.average[key].copy_(tensors[f"ema.{key}"])
        names = [name for name, _ in state.network.named_parameters()]
        moments = {
            i: {
                "step": torch.tensor(float(meta["optimizer_steps"])),
                "exp_avg": tensors[f"m.{n}"],
                "exp_avg_sq": tensors[f"v.{n}"],
            }
            for i, n in enumerate(names)
        }
        if meta["optimizer_steps"]:
            groups = state.optimizer.state_dict()["param_groups"]
            state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        state.rng.set_state(tensors["rng"])
        state.step, state.patches_seen = meta["step"], meta["patches_seen"]
        state.seconds, state.loss_average = meta["seconds"], meta["loss_average"]
    except (
        safetensors.SafetensorError,
        OSError,
        LookupError,
        ValueError,
        ArithmeticError,
        RuntimeError,
        TypeError,
        AttributeError,
    ) as error:
        raise CheckpointError(
            f"The training state in {folder} is damaged ({str(error)[:100]}); train into another folder."
        ) from None
    return state


def _save(
    state: _State,
    folder: Path,
    settings: TrainingSettings,
    conventions: Conventions,
    name: str,
    notes: dict[str, Any],
) -> None:
    network_settings = state.network.settings
    tensors = {f"model.{k}": v for k, v in state.network.state_dict().items()}
    tensors |= {f"ema.{k}": v for k, v in state.average.items()}
    steps = 0
    for key, parameter in state.network.named_parameters():
        moment = state.optimizer.state.get(parameter)
        if moment:
            steps = int(moment["step"])
            tensors[f"m.{key}"], tensors[f"v.{key}"] = moment["exp_avg"], moment["exp_avg_sq"]
    tensors["rng"] = state.rng.get_state()
    meta = {
        "settings": settings.model_dump(mode="json"),
        "network": network_settings.model_dump(mode="json"),
        "image_size": conventions.image_size,
        "step": state.step,
        "optimizer_steps": steps,
        "patches_seen": state.patches_seen,
        "seconds": state.seconds,
        "loss_average": state.loss_average,
    }
    cpu = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    write_atomically(folder / STATE_FILE, safetensors.torch.save(cpu, {"training": json.dumps(meta)}))
    record = PriorRecord(
        name=name,
        network=network_settings,
        conventions=conventions,
        training={
            "settings": settings.model_dump(mode="json"),
            "steps": state.step,
            "patches_seen": state.patches_seen,
            "seconds": round(state.seconds, 1),
            "loss": round(state.loss_average, 5),
            **notes,
        },
    )
    save_prior(folder / PRIOR_FILE, record, state.average)
