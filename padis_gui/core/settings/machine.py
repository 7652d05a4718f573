"""Where the computing happens: device, threads, precision, memory."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from padis_gui.core import torch
from padis_gui.core.settings.errors import SettingError

log = logging.getLogger(__name__)

Precision = Literal["float32", "bfloat16"]

_MIB = 2**20
# Where Linux says what this process' container may have; the tests put files of their own there
_CGROUPS, _OWN_CGROUPS, _OWN_STATUS = (
    Path("/sys/fs/cgroup"),
    Path("/proc/self/cgroup"),
    Path("/proc/self/status"),
)


def pick_device(name: str = "auto") -> torch.device:
    """The device of that name: "auto" (CUDA where there is one), "cpu", "cuda" or "cuda:N"."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise SettingError(
            f"The device must be auto, cpu, cuda or cuda:N, but {name!r} was given; pick one of those."
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise SettingError(
            f"Device {name} was asked for, but torch sees {torch.cuda.device_count()} CUDA devices here; "
            "use --device cpu, or install a CUDA build of torch."
        )
    return device


def describe_device(device: torch.device) -> str:
    """The device in words: the GPU's name, or the number of CPU threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _cpu_with(torch.get_num_threads())


def _cpu_with(threads: int) -> str:
    return f"CPU, {threads} thread{'s' * (threads != 1)}"


def precision_on(device: torch.device, asked: Precision | Literal["auto"]) -> Precision:
    """The precision that was asked for, or with "auto" the fastest on that device."""
    return fastest_precision(device) if asked == "auto" else asked


def fastest_precision(device: torch.device) -> Precision:
    """bfloat16 where the hardware multiplies it natively, else float32."""
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    native = torch.backends.cpu.get_cpu_capability().startswith("AVX512") and "avx512_bf16" in _cpu_flags()
    return "bfloat16" if native else "float32"


def _cpu_flags() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:  # not Linux: be careful, float32 is always right
        return ""


def use_all_threads() -> None:
    """Give torch the threads that runs have; call it in the thread that computes."""
    torch.set_num_threads(threads_of_runs())


_LESS = (
    2  # steps of niceness: 2/3 of a claim to a core. More, and a run beside other programs takes much longer
)


def give_way() -> None:
    """Let threads that are shown something, the window's, go before this one and those that it will start.

    What computes takes every core; a window that shares them as an equal answers late. Costs nothing where nobody else
    wants the core. Only Linux knows priorities of single threads that anyone may lower.
    """
    if sys.platform == "linux":
        mine = threading.get_native_id()
        with contextlib.suppress(OSError):  # a sandbox may forbid it: the window is slower then
            os.setpriority(os.PRIO_PROCESS, mine, min(os.getpriority(os.PRIO_PROCESS, mine) + _LESS, 19))


def threads_of_runs() -> int:
    """Threads of torch that a run has where its recipe does not say: OMP_NUM_THREADS, else every usable core."""
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    cores = usable_cores()
    return min(int(asked[:9]), cores) if asked.isdecimal() and int(asked[:9]) else cores


def _psutil() -> Any:
    import psutil  # as long an import as all else here, for what only some ask

    return psutil


def usable_cores() -> int:
    """How many cores this process may use: its affinity, and no more than its container's share of time."""
    process = _psutil().Process()
    cores = len(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else _psutil().cpu_count() or 1
    for folder in _cgroups("cpu"):
        if (folder / "cpu.max").is_file():
            quota, period = _numbers(folder / "cpu.max", 2)
        else:
            (quota,), (period,) = (_numbers(folder / f"cpu.cfs_{name}_us", 1) for name in ("quota", "period"))
        if 0 < quota < math.inf and 0 < period < math.inf:  # version 1 says -1 for no limit
            cores = min(cores, math.ceil(quota / period))
    return max(1, cores)


# -- memory, in MiB ---------------------------------------------------------------------------------------


def told_of_memory(error: Exception) -> Exception:
    """The error itself; where it says that memory ran out, one with a sentence for the user."""
    words = ("can't allocate memory", "not enough memory", "CUDA out of memory")
    ran_out = isinstance(error, MemoryError | torch.OutOfMemoryError)
    if not ran_out and not (isinstance(error, RuntimeError) and any(word in str(error) for word in words)):
        return error
    return SettingError(
        "More memory was wanted than there is; take a smaller image or a part of it, fewer views, or a smaller patch.",
        remedy="smaller",
    )


def total_memory_mb() -> float:
    """Memory that this process could have if it were alone: the machine's, or its container's limit."""
    limits = [limit for limit, _ in _container_memory()]
    return float(min([_psutil().virtual_memory().total, *limits])) / _MIB


def free_memory_mb(device: torch.device) -> float:
    """Memory that this process could still have: on the GPU, or on the machine and within its container's limit."""
    if device.type == "cuda":
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return (torch.cuda.mem_get_info(device)[0] + idle) / _MIB
    left = [limit - used for limit, used in _container_memory()]
    return max(0.0, float(min([_psutil().virtual_memory().available, *left]))) / _MIB


def memory_in_use_mb(device: torch.device) -> float:
    """Memory in use now: what torch holds on the GPU, or what this process holds resident."""
    if device.type == "cuda":
        return torch.cuda.memory_reserved(device) / _MIB
    return float(_psutil().Process().memory_info().rss / _MIB)


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory of this process so far: allocated on the GPU, or resident on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / _MIB
    resident = _psutil().Process().memory_info()
    if hasattr(resident, "peak_wset"):  # Windows: the only system where psutil knows the peak
        return float(resident.peak_wset / _MIB)
    with contextlib.suppress(OSError):  # Linux, where this one can be reset, unlike that of getrusage
        for line in _OWN_STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    import resource  # absent on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (_MIB if sys.platform == "darwin" else 2**10)


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
            self._before = torch.cuda.memory_allocated(device) / _MIB
            return
        try:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # 5: reset VmHWM (proc(5))
        except OSError:
            log.debug("The peak of resident memory cannot be reset here; it counts from the process's start.")
        self._before = memory_in_use_mb(device)

    def read(self) -> tuple[float, float]:
        """Peak, and what it adds."""
        peak = peak_memory_mb(self._device)
        return peak, max(0.0, peak - self._before)


def _container_memory() -> list[tuple[float, float]]:
    """(limit, use) in bytes of every control group around this process that has a limit; none outside Linux.

    File cache that the kernel drops when memory is short (``inactive_file``) is not counted as used.
    """
    found = []
    for folder in _cgroups("memory"):
        second = (folder / "memory.max").is_file()
        limit_file, used_file = ("max", "current") if second else ("limit_in_bytes", "usage_in_bytes")
        (limit,), (used,) = (_numbers(folder / f"memory.{name}", 1) for name in (limit_file, used_file))
        if limit < math.inf:
            cache = 0
            with contextlib.suppress(OSError, ValueError):
                lines = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
                values = dict(line.split(maxsplit=1) for line in lines)
                cache = int(values.get("total_inactive_file", values.get("inactive_file", 0)))
            found.append((limit, max(0.0, used - cache) if used < math.inf else 0.0))
    return found


def _cgroups(controller: str) -> Iterator[Path]:
    """The folders of this process' control groups, its own first, then those around it.

    ``/proc/self/cgroup`` has a line ``number:controllers:path``: with ``0::`` for version 2, and for version 1 with a
    controller that has a tree of its own. Inside of a container the path may be that of the host, which is not
    there, and the tree's root the container's own group.
    """
    try:
        lines = [line.split(":", 2) for line in _OWN_CGROUPS.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return
    for line in lines:
        if len(line) != 3 or not (line[1] == "" or controller in line[1].split(",")):
            continue
        root = _CGROUPS / controller if line[1] else _CGROUPS
        own = root / line[2].strip("/")
        yield from (
            folder for folder in (own, *own.parents) if folder.is_relative_to(root) and folder.is_dir()
        )


def _numbers(path: Path, count: int) -> list[float]:
    """The first numbers of a file; infinite for "max" and where there is none."""
    found = []
    with contextlib.suppress(OSError, ValueError):
        found = [math.inf if word == "max" else float(word) for word in path.read_text("ascii").split()]
    return [*found, *[math.inf] * count][:count]


@dataclass(frozen=True, slots=True)
class DeviceChoice:
    """A device that may be chosen; ``why_not`` is empty where it can be used here."""

    name: str
    label: str
    why_not: str = ""


def device_choices() -> tuple[DeviceChoice, ...]:
    """The CPU and every GPU, or one that says why there is none."""
    found = [DeviceChoice("cpu", _cpu_with(usable_cores()))]
    for index in range(torch.cuda.device_count()):
        found.append(DeviceChoice(f"cuda:{index}", torch.cuda.get_device_name(index)))
    if len(found) == 1:
        built = torch.version.cuda is not None or torch.version.hip is not None
        reason = (
            "torch sees no CUDA device on this machine"
            if built
            else f"this build of torch ({torch.__version__}) is for the CPU only; install a CUDA build"
        )
        found.append(DeviceChoice("cuda", "GPU (CUDA)", reason))
    return tuple(found)


@contextlib.contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Let torch use that many threads of this machine's meanwhile; None leaves their number alone."""
    if count is None:
        yield
        return
    before = torch.get_num_threads()
    if count != before:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if count != before:
            torch.set_num_threads(before)
