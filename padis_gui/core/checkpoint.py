"""The native checkpoint: one safetensors file, tensors plus JSON in its metadata.

A checkpoint is data: reading one parses a header and copies numbers; nothing in it is ever executed.
"""

import hashlib
import json
import os
import struct
import tempfile
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from padis_gui.core.errors import CheckpointError
from padis_gui.core.network import NetworkSettings, PatchUNet
from padis_gui.core.prior import Conventions, PatchPrior, Precision

FORMAT = "padis-gui prior"
VERSION = 1
# Far above any prior; keeps a hostile header from making us allocate the machine away.
_MAX_HEADER = 4 * 2**20
_MAX_PARAMETERS = 500_000_000


class PriorRecord(BaseModel):
    """What a native checkpoint says of itself, beside its tensors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    network: NetworkSettings
    conventions: Conventions
    training: dict[str, Any] = {}


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` under a temporary name, flush it to disk, then rename: no half file is ever seen."""
    path = Path(path)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp makes private files; these are ordinary ones
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def save_prior(path: Path, record: PriorRecord, state: dict[str, Tensor], *, half: bool = True) -> None:
    """Write a native checkpoint, in half precision unless told otherwise. Atomic."""
    dtype = torch.float16 if half else torch.float32
    tensors = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in state.items()}
    metadata = {"format": FORMAT, "version": str(VERSION), "record": record.model_dump_json()}
    write_atomically(path, safetensors.torch.save(tensors, metadata))


def read_record(path: Path) -> PriorRecord:
    """The record of a native checkpoint, without reading its tensors.

    Raises :class:`CheckpointError` with one sentence for anything that is not one.
    """
    name = Path(path).name
    metadata = _read_metadata(Path(path))
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"A padis-gui prior was wanted, but {name} is a safetensors file of another kind; "
            "open one that padis-gui train wrote."
        )
    if metadata.get("version") != str(VERSION):
        raise CheckpointError(
            f"A prior of format version {VERSION} was wanted, but {name} has version "
            f"{metadata.get('version', 'none')!s}; update padis-gui or convert the file."
        )
    try:
        record = PriorRecord.model_validate_json(metadata["record"])
    except (KeyError, ValidationError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "the record is missing"
        raise CheckpointError(
            f"{name} says it is a padis-gui prior, but its description is damaged ({reason}); get a fresh "
            "copy."
        ) from None
    if record.network.position_channels != 2:
        raise CheckpointError(
            f"A prior with 2 position channels was wanted, but {name} has {record.network.position_channels}; "
            "train it again with both."
        )
    bad = [p for p in record.conventions.patch_sizes if p % record.network.downsampling]
    if bad:
        raise CheckpointError(
            f"{name} names patch sizes that its network cannot take ({bad}); get a fresh copy."
        )
    return record


def _read_metadata(path: Path) -> dict[str, str]:
    try:
        if not path.is_file():
            what = "is a folder or device" if path.exists() else "does not exist"
            raise CheckpointError(f"A prior file was wanted, but {path} {what}; check the name.")
        with path.open("rb") as file:
            start = file.read(8)
            size = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= size <= _MAX_HEADER or size + 8 > path.stat().st_size:
                raise CheckpointError(
                    f"A padis-gui prior (.safetensors) was wanted, but {path.name} is another kind of file "
                    "or cut short; open one that padis-gui train wrote."
                )
            header = json.loads(file.read(size))
    except OSError as error:
        raise CheckpointError(
            f"{path.name} cannot be read ({error.strerror}); check its permissions."
        ) from None
    except (ValueError, RecursionError):
        header = None
    metadata = header.get("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise CheckpointError(
            f"A padis-gui prior (.safetensors) was wanted, but {path.name} has no readable header; get a "
            "fresh copy."
        )
    return metadata


def load_prior(path: Path, device: torch.device, precision: Precision) -> PatchPrior:
    """Read a native checkpoint and set it up on ``device``.

    Raises :class:`CheckpointError` with one sentence for anything that is not a whole, finite prior.
    """
    path = Path(path)
    record = read_record(path)
    try:
        with torch.device("meta"):
            network = PatchUNet(record.network)
        if sum(p.numel() for p in network.parameters()) > _MAX_PARAMETERS:
            raise CheckpointError(f"{path.name} asks for an absurdly large network; get a fresh copy.")
        state = safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError, RuntimeError, OverflowError) as error:
        raise CheckpointError(f"{path.name} is damaged ({str(error)[:120]}); get a fresh copy.") from None
    described = {key: tensor.shape for key, tensor in network.state_dict().items()}
    found = {key: tensor.shape for key, tensor in state.items() if tensor.is_floating_point()}
    if found != described or len(state) != len(found):  # before any memory is spent on the network
        raise CheckpointError(
            f"The tensors in {path.name} do not fit the network that it describes; get a fresh copy."
        )
    network = PatchUNet(record.network)
    network.load_state_dict({key: tensor.float() for key, tensor in state.items()}, strict=True)
    if not all(bool(torch.isfinite(p).all()) for p in network.parameters()):
        raise CheckpointError(f"{path.name} holds NaN or infinite weights; use an earlier checkpoint.")
    network.requires_grad_(False).eval()
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return PatchPrior(
        network=network,
        conventions=record.conventions,
        channels=record.network.image_channels,
        downsampling=record.network.downsampling,
        device=device,
        precision=precision,
    )


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
