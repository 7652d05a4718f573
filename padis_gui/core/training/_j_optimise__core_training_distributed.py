"""One training in several processes: each takes its share of every batch, and their gradients are added.

Started by ``torchrun --nproc-per-node N -m padis_gui train …``, which tells each process its place through the
environment. Every process draws the same global batch from the same seed, so that the result is that of one process
up to the order of floating-point sums. Gloo carries the sums between CPUs, NCCL between GPUs. All that is sent are
numbers; nothing is pickled. The folder of the training must be the same for all processes.
"""

import contextlib
import hashlib
import importlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from padis_gui.core.settings.errors import SettingError


@dataclass(frozen=True, slots=True)
class World:
    """The place of this process among ``size``; alone where nothing else is said.

    Its methods, except :meth:`share`, wait until every process has called the same one.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def main(self) -> bool:
        """Whether this is the one process that writes files and reports progress."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """This process' part of ``count`` things; parts differ by at most one, and may be empty."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor, all of one type, by its sum over all processes, the same to the bit in each."""
        if self.size == 1:
            return
        flat = torch.cat([t.reshape(-1) for t in tensors])
        torch.distributed.all_reduce(flat)
        first = 0
        for tensor in tensors:
            tensor.copy_(flat[first : first + tensor.numel()].view(tensor.shape))
            first += tensor.numel()

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in some process.

        To stop together: a signal reaches the processes at different steps, and one that left alone would keep
        the others waiting. Call it once between two steps.
        """
        flags = torch.tensor([float(flag)], device=self.device)
        self.sum_([flags])
        return bool(flags.item())

    def agree(self, value: str) -> bool:
        """Whether every process has the same text; all must ask at once. Told by 56 bits of its SHA-256."""
        if self.size == 1:
            return True
        digest = int.from_bytes(hashlib.sha256(value.encode()).digest()[:7], "big")
        bounds = torch.tensor([digest, -digest], device=self.device)
        torch.distributed.all_reduce(bounds, op=torch.distributed.ReduceOp.MAX)
        return int(bounds[0]) == -int(bounds[1])


@contextlib.contextmanager
def world_from_environment(device: torch.device) -> Iterator[World]:
    """The world that torchrun set up, or a process alone where it did not start us.

    ``device`` is what the user chose; under torchrun each process of a machine gets a GPU of its own, which is
    ``world.device``. Torchrun sets ``OMP_NUM_THREADS``: leave the number of threads alone where ``world.size``
    is above 1. Raises :class:`SettingError` where torch cannot connect the processes.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(device=device)
        return
    if device.type == "cuda":
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise SettingError(
                f"A GPU for each process was wanted, but there are {torch.cuda.device_count()} for process {local}; "
                "lower --nproc-per-node or use --device cpu."
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    # Its functions take the group that exists when it is imported as a default argument. The first step of an
    # optimiser imports it; imported before there is a group, it cannot keep ours, and its threads, past the end.
    importlib.import_module("torch.distributed.nn")
    try:
        torch.distributed.init_process_group(backend)
    except (RuntimeError, ValueError, AttributeError) as error:
        raise SettingError(
            f"{size} processes were to train together, but torch cannot connect them ({str(error)[:120]}); start "
            "them with torchrun, or train in one."
        ) from None
    try:
        yield World(torch.distributed.get_rank(), torch.distributed.get_world_size(), device)
    finally:
        torch.distributed.destroy_process_group()
