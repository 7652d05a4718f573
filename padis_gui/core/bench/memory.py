"""Peak memory, of a process that does nothing else."""

import logging
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

import torch

from padis_gui.core.device import memory_in_use_mb, peak_memory_mb, proc_mb

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")


def in_fresh_process(work: Callable[P, R], *arguments: P.args, **options: P.kwargs) -> R:
    """What ``work`` returns in a new process, whose memory is then its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(work, *arguments, **options).result()


class MemoryPeak:
    """The largest memory since it was made, and how much that adds to what was there then; in MiB.

    Resident memory on the CPU, allocated memory on CUDA. On Linux the kernel's high-water mark of resident
    memory is reset first. Elsewhere the process's peak so far is all there is, which a fresh process makes
    meaningful.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_allocated(device) / 2**20
            return
        try:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # 5: reset VmHWM (proc(5))
        except OSError:
            log.debug("The peak of resident memory cannot be reset here; it counts from the process's start.")
        self._before = memory_in_use_mb(device) or peak_memory_mb(device)

    def read(self) -> tuple[float, float]:
        """Peak, and what it adds."""
        peak = peak_memory_mb(self._device)
        if self._device.type == "cpu":
            peak = proc_mb("/proc/self/status", "VmHWM") or peak
        return peak, max(0.0, peak - self._before)
