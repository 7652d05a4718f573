"""Published ``network-snapshot-*.pkl`` files as priors, read without executing anything in them.

Such a file is a pickle whose ordinary loading runs source code that it carries. Here every name in it is looked up
in the exact table below, and becomes an inert record; the source code is hashed and never compiled. What is taken:
the architecture's arguments and the tensors of the averaged network (``ema``), and the data's resolution. What a
snapshot leaves open of its training is assumed and named.
"""

import hashlib
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from padis_gui.core import Tensor
from padis_gui.core.prior.inert_pickle import (
    Budget,
    Buildable,
    Interpreter,
    Known,
    UnreadablePickle,
    names,
    shown,
)
from padis_gui.core.prior.legacy_torch import (
    StorageRecord,
    TensorRecord,
    read_storage,
    rebuild_parameter,
    rebuild_tensor,
)
from padis_gui.core.prior.network_settings import EdmNetworkSettings
from padis_gui.core.prior.prior import Conventions
from padis_gui.core.settings.errors import CheckpointError, TrainingSizeError
from padis_gui.core.settings.untrusted import check_amount

_LARGEST_FILE = 2 * 2**30  # the published networks take 0.25 GB
_MOST_STEPS = 400_000  # a published file takes some 60,000 instructions
_MOST_DEPTH = 8
_MOST_TENSORS = 20_000  # of one network, each time that a module is in it; a published one has some 600
_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")
_OTHER_PRECONDITIONING = ("vpprecond", "veprecond", "iddpmprecond")


class ModuleRecord(Buildable):
    """A module of a network: its ``__dict__``, and for persistent classes their name and their source's hash."""

    def __init__(self, class_name: str = "", source: str = "", state: dict[str, Any] | None = None) -> None:
        self.class_name, self.source, self.state = class_name, source, state

    def build(self, state: Any) -> None:
        """Take the ``__dict__`` of a module that was not a persistent class."""
        if self.state is not None or type(state) is not dict:
            raise UnreadablePickle("has a module whose state is damaged")
        self.state = state


class _DtypeRecord(Buildable):
    """The type of a NumPy scalar: a code such as f8, and the byte order that is built in afterwards."""

    def __init__(self, code: str) -> None:
        self.code, self.order = code, "<"

    def build(self, state: Any) -> None:
        """Take NumPy's state tuple, whose second entry is the byte order."""
        if type(state) is not tuple or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise UnreadablePickle("has a damaged number type")
        self.order = ">" if state[1] == ">" else "<"


_SCALARS = {
    "b1": "?", "i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q",
    "f2": "e", "f4": "f", "f8": "d",
}  # fmt: skip


class _Table:
    """The names that occur in published snapshots, completely, and what each becomes."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.hashes: dict[str, str] = {}
        made: dict[str, Callable[[tuple[Any, ...]], Any]] = {
            "torch_utils.persistence._reconstruct_persistent_obj": self.persistent,
            "collections.OrderedDict": _no_arguments,
            "torch._utils._rebuild_parameter": rebuild_parameter,
            "torch._utils._rebuild_tensor_v2": rebuild_tensor,
            "torch.storage._load_from_bytes": self.storage,
            "numpy._core.multiarray.scalar": self.scalar,
            "numpy.core.multiarray.scalar": self.scalar,
            "numpy.dtype": self.dtype,
            "builtins.set": _set,  # protocols 2 and 3
            "__builtin__.set": _set,
            "_codecs.encode": self.encoded,  # protocol 2 writes bytes as a text to encode
        }
        modules = (
            "torch.nn.modules.container.ModuleDict",
            "torch.nn.modules.container.Sequential",
            "torch.nn.modules.activation.SiLU",
        )
        known = [Known(name, call=call) for name, call in made.items()]
        known += [Known(name, new=ModuleRecord) for name in modules]
        self.names = {(k.name.rpartition(".")[0], k.name.rpartition(".")[2]): k for k in known}

    def persistent(self, arguments: tuple[Any, ...]) -> ModuleRecord:
        """An object of a class that brings its own source, which is hashed."""
        meta = arguments[0] if len(arguments) == 1 and type(arguments[0]) is dict else {}
        match meta:
            case {
                "type": "class", "version": 6, "module_src": str() as source, "class_name": str() as name,
                "state": dict() as state,
            }:  # fmt: skip
                if source not in self.hashes:
                    self.budget.spend(len(source))
                    encoded = source.encode("utf-8", "surrogatepass")
                    self.hashes[source] = hashlib.sha256(encoded).hexdigest()
                return ModuleRecord(name, self.hashes[source], state)
        raise UnreadablePickle("has an object of an unknown kind or version")

    def storage(self, arguments: tuple[Any, ...]) -> StorageRecord:
        """The numbers of a tensor, in torch's older byte stream."""
        if len(arguments) != 1 or type(arguments[0]) is not memoryview:
            raise UnreadablePickle("has a tensor without numbers")
        return read_storage(arguments[0], self.budget)

    def encoded(self, arguments: tuple[Any, ...]) -> memoryview:
        """Bytes that were written as a text of the characters 0 to 255."""
        match arguments:
            case (str() as text, "latin1"):
                self.budget.spend(len(text))
                try:
                    return memoryview(text.encode("latin-1"))
                except UnicodeEncodeError:
                    pass
        raise UnreadablePickle("has bytes that are damaged")

    def dtype(self, arguments: tuple[Any, ...]) -> _DtypeRecord:
        """A simple numeric type."""
        code = arguments[0] if len(arguments) == 3 else None
        if type(code) is not str or code not in _SCALARS:
            raise UnreadablePickle("has a number of an unknown type")
        return _DtypeRecord(code)

    def scalar(self, arguments: tuple[Any, ...]) -> float | int:
        """A NumPy number, as a Python one."""
        match arguments:
            case (_DtypeRecord() as dtype, memoryview() as raw):
                code = dtype.order + _SCALARS[dtype.code]
                if len(raw) == struct.calcsize(code):
                    value: float | int = struct.unpack(code, raw)[0]
                    return value
        raise UnreadablePickle("has a damaged number")


def _no_arguments(arguments: tuple[Any, ...]) -> dict[str, Any]:
    if arguments:
        raise UnreadablePickle("has a dictionary that is made in an unknown way")
    return {}


def _set(arguments: tuple[Any, ...]) -> set[str]:
    return set(names(arguments[0])) if arguments else set()


class _Arguments(BaseModel):
    """What a published preconditioned network was constructed with; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), defer_build=True)

    img_resolution: int
    img_channels: int = Field(ge=3, le=6)
    out_channels: int = Field(ge=1, le=4)
    label_dim: Literal[0] = 0
    use_fp16: bool = False
    sigma_min: float = 0.0
    sigma_max: float = float("inf")
    sigma_data: float = Field(default=0.5, gt=0, le=1000, allow_inf_nan=False)
    model_type: Literal["SongUNet"]
    embedding_type: Literal["positional", "fourier"] = "positional"
    encoder_type: Literal["standard", "residual"] = "standard"
    decoder_type: Literal["standard"] = "standard"
    channel_mult_noise: int = 1
    resample_filter: tuple[int, ...] = (1, 1)
    model_channels: int = 128
    channel_mult: tuple[int, ...] = (1, 2, 2, 2)
    channel_mult_emb: int = 4
    num_blocks: int = 4
    attn_resolutions: tuple[int, ...] = (16,)
    augment_dim: int = 0
    dropout: float = 0.0
    label_dropout: float = 0.0
    implicit_mlp: Literal[False] = False
    hash_channels: int = 1

    def network(self) -> EdmNetworkSettings:
        """The architecture alone. Raises ``ValidationError``."""
        shared = EdmNetworkSettings.model_fields.keys() & type(self).model_fields.keys()
        values = {name: getattr(self, name) for name in shared}
        positions = self.img_channels - self.out_channels
        return EdmNetworkSettings.model_validate(
            {**values, "image_channels": self.out_channels, "position_channels": positions}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A published snapshot as data: architecture, tensors by their published names, and what else it says."""

    network: EdmNetworkSettings
    sigma_data: float
    resolution: int | None  # of the data set, where the file says it
    class_name: str
    sources: tuple[str, ...]  # SHA-256 of every module source in the file
    tensors: dict[str, TensorRecord]
    budget: Budget

    def state(self) -> dict[str, Tensor]:
        """The tensors by name, each a copy, of the type that it was stored in."""
        return {name: record.copy(self.budget) for name, record in self.tensors.items()}


def read_snapshot(path: Path) -> Snapshot:
    """Read a published snapshot. Raises :class:`CheckpointError` with one sentence for everything else."""
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > _LARGEST_FILE:
            raise UnreadablePickle(f"has {size / 2**30:.0f} GB")
        return _parse(path.read_bytes())
    except UnreadablePickle as error:
        reason = str(error)
    except OSError as error:
        raise unreadable(path, error) from None
    except (ValueError, TypeError, RuntimeError, MemoryError, RecursionError, OverflowError) as error:
        reason = f"is damaged ({type(error).__name__})"
    raise CheckpointError(
        f"A published PaDIS snapshot was wanted, but {path.name} {reason}, and nothing in it was executed; "
        "open a network-snapshot file or a prior that padis-gui train wrote."
    )


def unreadable(path: Path, error: OSError) -> CheckpointError:
    """The error for a prior that the system does not let us read."""
    return CheckpointError(f"{path.name} cannot be read ({error.strerror}); check its permissions.")


def _parse(content: bytes) -> Snapshot:
    data = memoryview(content)
    # Every byte may be decoded, encoded and copied once each; a published file needs less.
    budget = Budget(_MOST_STEPS, 3 * len(data) + 2**20)
    table = _Table(budget)
    interpreter = Interpreter(data, table.names, budget)
    content_dict = interpreter.read()
    if interpreter.position != len(data):
        raise UnreadablePickle("goes on after its end")
    network = content_dict.get("ema") if type(content_dict) is dict else None
    if not isinstance(network, ModuleRecord) or network.state is None:
        raise UnreadablePickle("is a pickle without a network named ema")
    if any(other in network.class_name.lower() for other in _OTHER_PRECONDITIONING):
        raise UnreadablePickle(f"holds a {shown(network.class_name)}, not EDM's preconditioning")
    arguments = _arguments(network.state)
    tensors: dict[str, TensorRecord] = {}
    _collect(network, "", _MOST_DEPTH, tensors, budget)
    data_arguments = content_dict.get("dataset_kwargs")
    resolution = data_arguments.get("resolution") if type(data_arguments) is dict else None
    try:
        return Snapshot(
            network=arguments.network(),
            sigma_data=arguments.sigma_data,
            resolution=resolution if type(resolution) is int and resolution > 0 else None,
            class_name=network.class_name[:100],
            sources=tuple(sorted(set(table.hashes.values()))),
            tensors=tensors,
            budget=budget,
        )
    except ValidationError as error:
        raise UnreadablePickle(f"describes a network that we do not build ({_first(error)})") from None


def _first(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    return f"{shown('.'.join(str(part)[:40] for part in problem['loc']))}: {problem['msg'][:120]}"


def _arguments(state: dict[str, Any]) -> _Arguments:
    if state.get("_init_args", ()) != ():
        raise UnreadablePickle("describes its network by position instead of by name")
    given = state.get("_init_kwargs")
    try:
        check_amount(given)
        return _Arguments.model_validate(given)
    except ValidationError as error:
        raise UnreadablePickle(f"describes a network that we do not build ({_first(error)})") from None
    except ValueError as error:
        raise UnreadablePickle(f"describes a network that we do not build ({error})") from None


def _collect(
    module: ModuleRecord, prefix: str, depth: int, tensors: dict[str, TensorRecord], budget: Budget
) -> None:
    """Gather the tensors of a module and its children under dotted names, as in a state dictionary."""
    if depth == 0 or module.state is None:
        raise UnreadablePickle("nests modules more deeply than a network does, or has an empty one")
    for group, kind in (
        ("_parameters", TensorRecord),
        ("_buffers", TensorRecord),
        ("_modules", ModuleRecord),
    ):
        members = module.state.get(group)
        if type(members) is not dict:
            raise UnreadablePickle("has a module whose state is damaged")
        for name, member in members.items():
            budget.step()
            if type(name) is not str or not _NAME.fullmatch(name):
                raise UnreadablePickle("has a tensor or module with an impossible name")
            if member is None:
                continue
            if not isinstance(member, kind):
                raise UnreadablePickle(f"has something else where {shown(prefix + name)} belongs")
            if isinstance(member, ModuleRecord):
                _collect(member, f"{prefix}{name}.", depth - 1, tensors, budget)
            elif len(tensors) < _MOST_TENSORS:
                tensors[prefix + name] = member
            else:
                raise UnreadablePickle(f"has a network of more than {_MOST_TENSORS} tensors")


_PUBLISHED_SIZE = 256  # px, arXiv 2406.02462
_PUBLISHED_PATCHES = (16, 32, 56)
_PATCHES_OF_PAD_64 = (16, 32, 64)


def published_conventions(
    snapshot: Snapshot, name: str, training_image_size: int | None
) -> tuple[Conventions, tuple[str, ...]]:
    """Conventions of the snapshot in file ``name``, and which of them are assumptions.

    ``training_image_size`` (pixels, without padding) overrides what the file says. Raises
    :class:`TrainingSizeError` where the size of the images and of the padded images contradict each other.
    """
    network, assumed = snapshot.network, ["patch sizes"]
    padded, said = network.img_resolution, snapshot.resolution
    if training_image_size is not None:
        size = training_image_size
    elif said is not None and said < padded:
        size = said
    else:  # a data set of padded images does not say how much of them is padding
        size = _PUBLISHED_SIZE
        assumed.append("image size")
    if size < 8 or size > padded or (padded - size) % 2:
        raise TrainingSizeError(
            f"The network in {name} was made for zero-padded images of {padded} px, which training images of "
            f"{size} px cannot give with equal padding on every side; give their size in pixels "
            "(--training-image-size).",
            padded,
        )
    pad = (padded - size) // 2
    published = _PATCHES_OF_PAD_64 if pad == 64 else _PUBLISHED_PATCHES
    patches = tuple(p for p in published if p <= padded and p % network.downsampling == 0)
    if not patches:
        raise CheckpointError(
            f"The network in {name} halves its patches {len(network.channel_mult) - 1} times in images of "
            f"{padded} px, which none of the published patch sizes ({', '.join(map(str, published))}) "
            "allows; open another snapshot."
        )
    assumed.append("window")
    grey = network.image_channels == 1
    conventions = Conventions(
        image_size=size,
        pad=pad,
        patch_sizes=patches,
        sigma_data=snapshot.sigma_data,
        window=(-1000.0, 1000.0) if grey else (0.0, 1.0),
        unit="HU" if grey else "",
    )
    return conventions, tuple(assumed)
