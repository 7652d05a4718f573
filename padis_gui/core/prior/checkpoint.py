"""Checkpoints: the native one (a safetensors file, tensors plus JSON in its metadata) and published snapshots.

A checkpoint is data: reading one parses a header and copies numbers; nothing in it is ever executed. The content
of a file says which kind it is, its name does not matter. Published snapshots are read by :mod:`edm_snapshot`.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Tag, ValidationError

from padis_gui.core import Tensor, torch
from padis_gui.core.prior.edm_snapshot import Snapshot, published_conventions, read_snapshot, unreadable
from padis_gui.core.prior.inert_pickle import UnreadablePickle
from padis_gui.core.prior.network_settings import EdmNetworkSettings, NetworkSettings
from padis_gui.core.prior.prior import Conventions, PatchPrior
from padis_gui.core.settings.errors import CheckpointError
from padis_gui.core.settings.files import write_atomically
from padis_gui.core.settings.machine import Precision
from padis_gui.core.settings.tensors import TensorFile
from padis_gui.core.settings.untrusted import fault_of, parse_json, plain

FORMAT = "padis-gui prior"
VERSION = 1
# Far above any prior; keeps a hostile header from making us allocate the machine away.
_MAX_HEADER = 4 * 2**20
_SMALL_NETWORK = 50_000_000
_MAX_PARAMETERS = 500_000_000
_LARGEST_FILE = 8 * _MAX_PARAMETERS  # bytes
_DIGEST = "tensors_sha256"


def _kind(network: Any) -> str:
    kind = network.get("kind") if isinstance(network, dict) else getattr(network, "kind", None)
    return "edm" if kind == "edm" else "own"  # descriptions of our own network carry no kind


NetworkDescription = Annotated[
    Annotated[NetworkSettings, Tag("own")] | Annotated[EdmNetworkSettings, Tag("edm")], Discriminator(_kind)
]


class PriorRecord(BaseModel):
    """What a checkpoint says of itself, beside its tensors."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: Annotated[str, AfterValidator(plain)]
    network: NetworkDescription
    conventions: Conventions
    training: dict[str, Any] = {}

    @property
    def steps(self) -> int | None:
        """Training steps in all, with those of the prior that it was trained further from; None where none are said."""
        origin = self.training.get("started_from")
        said = (self.training.get("steps"), origin.get("steps") if isinstance(origin, dict) else None)
        known = [steps for steps in said if isinstance(steps, int)]
        return sum(known) if known else None


def save_prior(
    path: Path,
    record: PriorRecord,
    state: Mapping[str, Tensor],
    *,
    half: bool = True,
    keep: Collection[str] = (),
) -> None:
    """Write a native checkpoint, in half precision unless told otherwise. Atomic.

    Tensors named in ``keep`` stay in single precision. A digest of the tensors is written with them, which
    :func:`read_prior` verifies. Raises :class:`OSError` where the file cannot be written.
    """
    from safetensors.torch import save

    tensors = {
        name: tensor.detach()
        .to("cpu", torch.float16 if half and name not in keep else torch.float32)
        .contiguous()
        for name, tensor in state.items()
    }
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "record": record.model_dump_json(),
        _DIGEST: _tensors_sha256(tensors),
    }
    write_atomically(path, save(tensors, metadata))


def read_record(path: Path, training_image_size: int | None = None) -> PriorRecord:
    """The record of a checkpoint, without reading its tensors.

    ``training_image_size`` is for published snapshots, which may leave it open; a native checkpoint knows its
    own. Raises :class:`CheckpointError` with one sentence for anything that is not a prior.
    """
    path = Path(path)
    return _snapshot_record(path, training_image_size)[0] if is_snapshot(path) else _native_record(path)


def _snapshot_record(path: Path, training_image_size: int | None) -> tuple[PriorRecord, Snapshot]:
    snapshot = read_snapshot(path)
    conventions, assumed = published_conventions(snapshot, path.name, training_image_size)
    origin = {
        "source": "published snapshot",
        "class": snapshot.class_name,
        "module_source_sha256": list(snapshot.sources),
        "assumed": list(assumed),
    }
    record = PriorRecord(
        name=path.stem.encode("utf-8", "replace").decode(),
        network=snapshot.network,
        conventions=conventions,
        training=origin,
    )
    shapes = {
        name: tensor.shape
        for name, tensor in snapshot.tensors.items()
        if tensor.storage.dtype.is_floating_point
    }
    _check_fit(path, record, shapes, len(snapshot.tensors))
    return record, snapshot


def _native_record(path: Path) -> PriorRecord:
    name = path.name
    metadata = _read_metadata(path)
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"A padis-gui prior was wanted, but {name} is a safetensors file of another kind; "
            "open one that padis-gui train wrote."
        )
    if metadata.get("version") != str(VERSION):
        raise CheckpointError(
            f"A prior of format version {VERSION} was wanted, but {name} has version "
            f"{plain(metadata.get('version', 'none'), 40)}; update padis-gui or convert the file."
        )
    try:
        record = PriorRecord.model_validate(parse_json(metadata["record"]))
    except (KeyError, ValueError) as error:
        reason = fault_of(error) if isinstance(error, ValidationError) else str(error)
        if isinstance(error, KeyError):
            reason = "the record is missing"
        raise CheckpointError(
            f"{name} says it is a padis-gui prior, but its description is damaged ({reason}); get a fresh "
            "copy."
        ) from None
    bad = [p for p in record.conventions.patch_sizes if p % record.network.downsampling]
    if bad:
        raise CheckpointError(
            f"{name} names patch sizes that its network cannot take ({bad}); get a fresh copy."
        )
    return record


def is_snapshot(path: Path) -> bool:
    """Whether a file begins as pickles do; torch's zip archives are refused here."""
    try:
        if not path.is_file():
            what = "is a folder or device" if path.exists() else "does not exist"
            raise CheckpointError(f"A prior file was wanted, but {path} {what}; check the name.")
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise unreadable(path, error) from None
    if start.startswith(b"PK"):
        raise CheckpointError(
            f"A published snapshot (.pkl) or a padis-gui prior (.safetensors) was wanted, but {path.name} is a "
            "zip archive, as torch.save writes; open the network-snapshot file of that training instead."
        )
    native = start[8:] == b"{" and int.from_bytes(start[:8], "little") <= _MAX_HEADER
    return start[:1] == b"\x80" and not native


def _read_metadata(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            start = file.read(8)
            size = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= size <= _MAX_HEADER or size + 8 > path.stat().st_size:
                raise CheckpointError(
                    f"A padis-gui prior (.safetensors) was wanted, but {path.name} is another kind of file "
                    "or cut short; open one that padis-gui train wrote."
                )
            if path.stat().st_size > _LARGEST_FILE:
                raise CheckpointError(
                    f"A prior of at most {_LARGEST_FILE / 1e9:.0f} GB was wanted, but {path.name} has "
                    f"{path.stat().st_size / 1e9:.0f}; open one that padis-gui train wrote."
                )
            header = parse_json(file.read(size))
    except OSError as error:
        raise unreadable(path, error) from None
    except ValueError:
        header = None
    metadata = header.get("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise CheckpointError(
            f"A padis-gui prior (.safetensors) was wanted, but {path.name} has no readable header; get a "
            "fresh copy."
        )
    return metadata


def _build(record: PriorRecord) -> torch.nn.Module:
    # modules are torch's, and what a checkpoint says of itself is read without it
    from padis_gui.core.prior.edm_network import EdmUNet
    from padis_gui.core.prior.network import PatchUNet

    if isinstance(record.network, EdmNetworkSettings):
        return EdmUNet(record.network)
    return PatchUNet(record.network)


def _check_fit(path: Path, record: PriorRecord, found: Mapping[str, tuple[int, ...]], count: int) -> None:
    """Compare the shapes of a file's floating-point tensors with the network's, before memory is spent on it.

    ``count`` is how many tensors there are of any type.
    """
    # Nothing large is built before the tensors fit; for what is small, importing torch's meta device (1 s) is
    # what would take the time.
    settings = record.network
    small = isinstance(settings, NetworkSettings) and settings.parameter_bound < _SMALL_NETWORK
    try:
        with torch.device("cpu" if small else "meta"):
            network = _build(record)
    except (ValueError, RuntimeError, OverflowError) as error:
        raise _damaged(path, error) from None
    if sum(p.numel() for p in network.parameters()) > _MAX_PARAMETERS:
        raise CheckpointError(f"{path.name} asks for an absurdly large network; get a fresh copy.")
    described = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    if {key: tuple(shape) for key, shape in found.items()} != described or count != len(found):
        raise CheckpointError(
            f"The tensors in {path.name} do not fit the network that it describes; get a fresh copy."
        )


def read_prior(path: Path, training_image_size: int | None = None) -> tuple[PriorRecord, dict[str, Tensor]]:
    """The record and the tensors (float32, on the CPU) of a checkpoint of either kind.

    Raises :class:`CheckpointError` with one sentence for anything that is not a whole, finite prior.
    """
    path = Path(path)
    try:
        if is_snapshot(path):
            record, snapshot = _snapshot_record(path, training_image_size)
            state = snapshot.state()
        else:
            record = _native_record(path)
            with TensorFile(path) as file:
                shapes = {key: one.shape for key, one in file.tensors.items() if one.is_floating}
                _check_fit(path, record, shapes, len(file.tensors))
                # only what fits takes memory
                state = {key: file.read(key) for key in file.tensors}
            digest = _read_metadata(path).get(_DIGEST)  # files of older versions carry none
            if digest is not None and digest != _tensors_sha256(state):
                raise CheckpointError(
                    f"The weights in {path.name} are not those that were written (their checksum differs); get a "
                    "fresh copy."
                )
    except CheckpointError:
        raise
    except UnreadablePickle as error:
        raise CheckpointError(f"{path.name} {error}; get a fresh copy.") from None
    except (
        OSError,
        ValueError,
        RuntimeError,
        OverflowError,
        MemoryError,
    ) as error:
        raise _damaged(path, error) from None
    state = {key: tensor.float() for key, tensor in state.items()}
    if not all(bool(torch.isfinite(tensor).all()) for tensor in state.values()):
        raise CheckpointError(f"{path.name} holds NaN or infinite weights; use an earlier checkpoint.")
    return record, state


def load_prior(
    path: Path, device: torch.device, precision: Precision, training_image_size: int | None = None
) -> PatchPrior:
    """Read a checkpoint of either kind and set it up on ``device``.

    ``training_image_size`` is for published snapshots that do not say it. Raises :class:`CheckpointError` with
    one sentence for anything that is not a whole, finite prior.
    """
    record, state = read_prior(path, training_image_size)
    if isinstance(record.network, EdmNetworkSettings):  # large, and the state holds every tensor of it
        with torch.device("meta"):
            network = _build(record)
        network.load_state_dict(state, strict=True, assign=True)
    else:
        network = _build(record)
        network.load_state_dict(state, strict=True)
    network.requires_grad_(False).eval()
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return PatchPrior(
        network=network,
        conventions=record.conventions,
        channels=record.network.image_channels,
        downsampling=record.network.downsampling,
        device=device,
        precision=precision,
        **slices_of(record),
    )


def slices_of(record: PriorRecord) -> dict[str, Any]:
    """How many slices the network sees, and which come out, as :class:`PatchPrior` has it."""
    network = record.network
    if not isinstance(network, NetworkSettings):
        return {}
    return {"slices": network.slices, "slices_out": network.slices_out}


def summarise_prior(path: Path, training_image_size: int | None = None) -> tuple[PriorRecord, int]:
    """The record of a checkpoint of either kind, and how many numbers its tensors hold, without copying them.

    Refuses a file that is cut short.
    """
    path = Path(path)
    if is_snapshot(path):
        record, snapshot = _snapshot_record(path, training_image_size)
        return record, sum(tensor.count for tensor in snapshot.tensors.values())
    record = _native_record(path)
    try:
        with TensorFile(path) as file:
            shapes = [one.shape for one in file.tensors.values()]
    except (OSError, ValueError, MemoryError) as error:
        raise _damaged(path, error) from None
    return record, sum(math.prod(shape) for shape in shapes)


def _tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the names, types, shapes and bytes of tensors on the CPU, in hexadecimal."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _damaged(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{path.name} is damaged ({str(error)[:120]}); get a fresh copy.")
