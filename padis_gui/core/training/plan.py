"""What a training is to do, settled before its first step: afresh, from another prior, or where it was left.

One description serves the command line, the window and the resumption; the prior's file keeps a record of it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from padis_gui.core import Tensor, torch
from padis_gui.core.prior.checkpoint import PriorRecord, read_prior, read_record
from padis_gui.core.prior.network_settings import NetworkSettings
from padis_gui.core.prior.prior import Conventions
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import InputError, SettingError
from padis_gui.core.settings.files import file_sha256, reason, remove_leftovers, write_atomically
from padis_gui.core.settings.untrusted import read_json
from padis_gui.core.training.dataset import TrainingData
from padis_gui.core.training.looks import SightSettings
from padis_gui.core.training.settings import SIGMA_DATA, DataSettings, TrainingSettings
from padis_gui.core.training.state import STATE_FILE, State, Stored, begin_with, new_state

log = logging.getLogger(__name__)

# What a resumed training may be told anew: its length, and what leaves the weights alone but for rounding
CHANGEABLE = (
    "steps", "decay", "checkpoint_every", "validate_every", "patience", "channels_last", "compile", "ema",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Plan:
    """``given`` are the settings as they were asked for, ``settings`` those that are carried out.

    ``origin`` says which prior was trained further and what changed (for the record); ``weights`` are its own.
    """

    given: TrainingSettings
    settings: TrainingSettings
    network: NetworkSettings
    conventions: Conventions
    origin: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, Tensor] | None = None
    stored: Stored | None = None

    def begin(self, device: torch.device) -> State:
        """Network, optimiser and averages on ``device``: as they were stored, from other weights, or new."""
        state = new_state(self.settings, self.network, device)
        if self.stored is not None:
            self.stored.restore(state)
        elif self.weights is not None:
            begin_with(state, self.weights)
        return state

    def grouped(self, data: TrainingData, spacing: float | None) -> tuple[Plan, TrainingData]:
        """The data in the groups of slices that the network sees, and the plan whose conventions know their distances.

        Of single images both are as they were. Raises :class:`InputError` where there are no such groups.
        """
        settings = self.settings
        found = data.grouped(self.network.slices, settings.slice_steps, settings.slice_reach, spacing)
        if (spacings := found.slice_spacings) is None:
            return self, found
        known = (*spacings, *(self.conventions.slice_spacings or ()))
        conventions = self.conventions.model_copy(update={"slice_spacings": (min(known), max(known))})
        return replace(self, conventions=conventions), found


def fresh(data: TrainingData, settings: TrainingSettings, network: NetworkSettings) -> Plan:
    """A training from random weights. Raises :class:`SettingError` for contradictions."""
    bad = [p for p in settings.patch_sizes if p % network.downsampling]
    if bad:
        raise SettingError(
            f"Patch sizes must be divisible by {network.downsampling}, the network's downsampling, "
            f"but {', '.join(map(str, bad))} was given; choose others."
        )
    _check_channels(data, network)
    size = data.image_size
    pad = settings.pad(size)
    conventions = Conventions(
        image_size=size,
        pad=pad,
        patch_sizes=_largest_first(settings),
        sigma_data=SIGMA_DATA if settings.sigma_data is None else settings.sigma_data,
        window=data.window,
        unit=data.unit,
    )
    return Plan(settings, settings, network, conventions)


def further(
    data: TrainingData, settings: TrainingSettings, start_from: Path, wanted: NetworkSettings
) -> Plan:
    """A training of the prior in ``start_from``, whose network and conventions are kept where they can be.

    Where ``wanted`` has several slices, a prior of single ones becomes one across slices that begins as it was.

    What cannot be kept, because the data or the settings have it otherwise, is listed in ``origin["changed"]``.
    Raises :class:`SettingError` where the two do not go together.
    """
    name = Path(start_from).name
    record, weights = read_prior(start_from)
    network, old = record.network, record.conventions
    if not isinstance(network, NetworkSettings):
        raise SettingError(
            f"A prior that padis-gui trained was wanted to train further, but {name} is a published one, whose "
            "network is here for reconstruction only; train from the start."
        )
    _check_channels(data, network)
    if data.image_size != old.image_size:
        raise SettingError(
            f"Images of {old.image_size} px were wanted, as {name} was trained on, but these have "
            f"{data.image_size}; give --image-size {old.image_size}."
        )
    if data.unit == old.unit != "" and data.window != old.window:
        low, high = old.window
        raise SettingError(
            f"A window of {low:g} to {high:g} {old.unit} was wanted, as {name} was trained with, but the data were "
            f"read with {data.window[0]:g} to {data.window[1]:g}; give --window-low {low:g} --window-high {high:g}."
        )
    carried_out, dropped = _for_network(settings, network, old.frame.padded)
    changed = []
    if dropped:
        changed.append(f"patch sizes {_listed(dropped)} are left out, its network cannot take them")
    if (data.window, data.unit) != (old.window, old.unit):
        changed.append(f"window {_window(old.window, old.unit)} became {_window(data.window, data.unit)}")
    if wanted.slices > 1 and (wanted.slices, wanted.slices_out) != (network.slices, network.slices_out):
        network, weights = _with_slices(network, weights, wanted, name)
        changed.append(f"one slice became {network.slices}, of which {_OUT[network.slices_out]} out")
    sizes = _largest_first(carried_out)
    if sizes != old.patch_sizes:
        changed.append(f"patch sizes {_listed(old.patch_sizes)} became {_listed(sizes)}")
    sigma_data = settings.sigma_data or old.sigma_data
    if sigma_data != old.sigma_data:
        changed.append(f"σ_d {old.sigma_data:g} became {sigma_data:g}")
    conventions = old.model_copy(  # all else is kept
        update={"patch_sizes": sizes, "window": data.window, "unit": data.unit, "sigma_data": sigma_data}
    )
    log.info("Training %s further: %s", name, "; ".join(changed) or "its conventions are kept")
    origin = {
        "name": record.name,
        "sha256": file_sha256(start_from),
        "steps": record.steps,
        "changed": changed,
    }
    return Plan(settings, carried_out, network, conventions, origin, weights)


_OUT = {"all": "all come", "middle": "the middle one comes"}


def _with_slices(
    network: NetworkSettings, weights: dict[str, Tensor], wanted: NetworkSettings, name: str
) -> tuple[NetworkSettings, dict[str, Tensor]]:
    """The network with the slices that are wanted, and its weights; see :func:`across_slices`."""
    from padis_gui.core.prior.network import PatchUNet, across_slices  # modules of torch's

    if network.slices > 1 or network.image_channels > 1:
        has = f"{network.slices} slices" if network.slices > 1 else "colours"
        raise SettingError(
            f"A grey prior of single slices was wanted to train across {wanted.slices} slices, but {name} has {has}; "
            "begin with another, or with as many slices as it has."
        )
    values = network.model_dump() | {"slices": wanted.slices, "slices_out": wanted.slices_out}
    with_slices = make(NetworkSettings, values)
    return with_slices, across_slices(weights, PatchUNet(with_slices))


def resumed(
    stored: Stored,
    folder: Path,
    data: TrainingData,
    settings: TrainingSettings,
    network: NetworkSettings,
    start_from: Path | None,
) -> Plan:
    """The training that ``folder`` holds, with as many steps as ``settings`` say.

    A training that began with another prior has that one's network. Raises :class:`SettingError` where the settings
    are those of another training.
    """
    then, now = (s.model_dump(mode="json") for s in (stored.settings, settings))
    changed = [k for k in now if k not in CHANGEABLE and then.get(k) != now[k]]
    if not set(stored.settings.ema) <= set(settings.ema):
        changed.append("ema")  # more averages may be asked for, but none of those that are kept may go
    if data.image_size != stored.image_size:
        changed.append("image_size")
    kept = stored.conventions
    if kept is not None and (data.window, data.unit) != (kept.window, kept.unit):
        changed.append("the window of the data")
    if bool(stored.origin) < (start_from is not None) or (
        start_from is not None
        and Path(start_from).is_file()
        and stored.origin.get("sha256") != file_sha256(start_from)
    ):
        changed.append("the prior that it starts from")
    if network.slices > 1 and (network.slices, network.slices_out) != (
        stored.network.slices,
        stored.network.slices_out,
    ):
        changed.append("the slices")
    if not stored.origin and stored.network != network:
        changed.append("the network")
    if changed:
        raise SettingError(
            f"{folder} holds a training with other settings ({', '.join(changed)}); give it the same ones to "
            "resume, or train into another folder."
        )
    _check_channels(data, stored.network)
    if stored.origin and stored.conventions is not None:
        padded = stored.conventions.frame.padded
        carried_out, _ = _for_network(settings, stored.network, padded)
        return Plan(settings, carried_out, stored.network, stored.conventions, stored.origin, stored=stored)
    plan = fresh(data, settings, stored.network)
    return Plan(settings, settings, stored.network, stored.conventions or plan.conventions, stored=stored)


def settings_for_prior(settings: DataSettings, start_from: Path) -> DataSettings:
    """``settings`` so that the data fit the prior that is to be trained further: its size, colour and window.

    A window in no unit is left as it is: it belongs to the data. Raises :class:`CheckpointError`.
    """
    record = read_record(start_from)
    colour = "grey" if record.network.image_channels == 1 else "colour"
    values: dict[str, Any] = {"image_size": record.conventions.image_size, "colour": colour}
    if record.conventions.unit:
        values["window_low"], values["window_high"] = record.conventions.window
    return settings.model_copy(update=values)


def _for_network(
    settings: TrainingSettings, network: NetworkSettings, padded: int
) -> tuple[TrainingSettings, tuple[int, ...]]:
    """``settings`` with the patch sizes that a given network and padded image can take, and those dropped."""
    pairs = list(zip(settings.patch_sizes, settings.patch_probabilities, strict=True))
    kept = [(p, q) for p, q in pairs if p % network.downsampling == 0 and p <= padded]
    if not any(q > 0 for _, q in kept):
        raise SettingError(
            f"Patch sizes divisible by {network.downsampling} and of at most {padded} px were wanted for this prior, "
            f"but {_listed(settings.patch_sizes)} was given; choose others."
        )
    values = {
        "patch_sizes": tuple(p for p, _ in kept),
        "patch_probabilities": tuple(q for _, q in kept),
    }
    return settings.model_copy(update=values), tuple(p for p, _ in pairs if p not in values["patch_sizes"])


def _check_channels(data: TrainingData, network: NetworkSettings) -> None:
    if data.channels != network.image_channels:
        kinds = {1: "grey", 3: "colour"}
        wanted, came = network.image_channels, data.channels
        raise SettingError(
            f"Images with {wanted} channels ({kinds.get(wanted, 'others')}) were wanted for this network, but the "
            f"data have {came}; read them as {kinds.get(wanted, 'such')} (--colour) or train another network."
        )


def _largest_first(settings: TrainingSettings) -> tuple[int, ...]:
    return tuple(sorted(settings.patch_sizes, reverse=True))


def _listed(sizes: tuple[int, ...]) -> str:
    return ", ".join(map(str, sizes))


def _window(window: tuple[float, float], unit: str) -> str:
    return f"{window[0]:g} to {window[1]:g} {unit}".strip()


def prior_record(state: State, plan: Plan, name: str, notes: dict[str, Any]) -> PriorRecord:
    """The record: settings, how long and how well, which of the averaged weights these are and why."""
    best = state.best
    training: dict[str, Any] = {
        "settings": plan.settings.model_dump(mode="json"),
        "steps": state.step,
        "patches_seen": state.patches_seen,
        "seconds": round(state.seconds, 1),
        "loss": round(state.loss_average, 5),
    }
    if best is None:
        training["weights"] = {"ema": state.chosen, "step": state.step, "why": "no validation"}
    else:
        training["weights"] = {"ema": best.decay, "step": best.step, "why": "least validation loss"}
        training["validation"] = {
            "loss": round(best.loss, 5),
            "last": {str(decay): round(loss, 5) for decay, loss in state.validation.items()},
        }
    if plan.origin:
        training["started_from"] = plan.origin
    return PriorRecord(
        name=name, network=state.network.settings, conventions=plan.conventions, training=training | notes
    )


REQUEST_FILE = "training.json"


class TrainingRequest(BaseModel):
    """A training, fully described; round-trips through JSON and lies in its folder as ``training.json``.

    ``data`` are files and folders. The network's channels follow from the data, its whole shape from ``start_from``,
    the prior to train further, where one is named.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["padis-gui training"] = "padis-gui training"
    version: Literal[1] = 1
    data: tuple[Path, ...]
    data_settings: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()
    network: NetworkSettings = NetworkSettings()
    sight: SightSettings = SightSettings()
    name: str = ""
    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    start_from: Path | None = None

    def settled(self) -> TrainingRequest:
        """The request with the data read, and as many slices, as the prior that it starts from calls for.

        Raises :class:`CheckpointError` where that is none.
        """
        # a training that goes on no longer needs the file it started from
        if self.start_from is None or not self.start_from.exists():
            return self
        network, before = self.network, read_record(self.start_from).network
        if network.slices == 1 and isinstance(before, NetworkSettings):
            network = network.model_copy(update={"slices": before.slices, "slices_out": before.slices_out})
        return self.model_copy(
            update={
                "data_settings": settings_for_prior(self.data_settings, self.start_from),
                "network": network,
            }
        )


def has_request(folder: Path) -> bool:
    """Whether a folder says how its training was meant."""
    return (Path(folder) / REQUEST_FILE).is_file()


def load_request(folder: Path) -> TrainingRequest:
    """The request in a training's folder. Raises :class:`InputError` where there is none that can be read."""
    path = Path(folder) / REQUEST_FILE
    try:
        return TrainingRequest.model_validate(read_json(path))
    except FileNotFoundError:
        what = f"{folder} holds no {REQUEST_FILE}; name its data and --out {folder}, or another folder."
    except OSError as error:
        what = f"{path} cannot be read ({error.strerror}); check its permissions."
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        what = f"{path} is damaged or of another version ({where}: {first['msg']}); name its data and --out {folder}."
    except ValueError as error:
        what = f"{path} is damaged ({error}); name its data and --out {folder}."
    raise InputError(f"A training to go on with was wanted, but {what}")


def save_request(request: TrainingRequest, folder: Path) -> Path:
    """Leave the request in the folder, which is made where it is not there; returns its file.

    Raises :class:`InputError` where that cannot be done.
    """
    path = Path(folder) / REQUEST_FILE
    data = request.model_dump_json(indent=1).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path)
        if not (path.is_file() and path.read_bytes() == data):
            write_atomically(path, data)
    except OSError as error:
        raise InputError(
            f"A folder for the training was wanted, but {folder} cannot be written ({reason(error)}); make room or "
            "choose another."
        ) from None
    return path


def check_resumption(request: TrainingRequest, folder: Path) -> None:
    """Raises :class:`SettingError` where the training in ``folder`` reads its data in another way than ``request``."""
    if not ((Path(folder) / STATE_FILE).exists() and has_request(folder)):
        return
    began: dict[str, Any] = load_request(folder).data_settings.model_dump()
    changed = [name for name, value in request.data_settings.model_dump().items() if began[name] != value]
    if changed:
        raise SettingError(
            f"{folder} holds a training with other settings of the data ({', '.join(changed)}); give it the same "
            "ones to resume, or train into another folder."
        )
