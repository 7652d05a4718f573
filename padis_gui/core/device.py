"""Where the computing happens: device, threads, precision, memory."""

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from padis_gui.core.errors import SettingError
from padis_gui.core.prior import Precision


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
    """Give torch every core this process may use; call it in the thread that computes."""
    torch.set_num_threads(usable_cores())


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory of this process so far, in MiB: of the GPU, or resident on the CPU (0 if unknown)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource  # absent on Windows
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def memory_in_use_mb(device: torch.device) -> float:
    """Memory in use now, in MiB: what torch holds on the GPU, or what this process holds resident (0 if unknown)."""
    if device.type == "cuda":
        return torch.cuda.memory_reserved(device) / 2**20
    return proc_mb("/proc/self/status", "VmRSS")


def free_memory_mb(device: torch.device) -> float:
    """Memory that a run could still have, in MiB: free on the GPU, or available on the machine (0 if unknown)."""
    if device.type == "cuda":
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return (torch.cuda.mem_get_info(device)[0] + idle) / 2**20
    return proc_mb("/proc/meminfo", "MemAvailable")


def proc_mb(file: str, entry: str) -> float:
    """An entry in kB of one of Linux's tables, in MiB; 0 where there is none."""
    try:
        lines = Path(file).read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 2**10 for line in lines if line.startswith(f"{entry}:")), 0.0)


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


def physical_memory() -> int:
    """The machine's memory in bytes; 0 if unknown."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return 0


@contextlib.contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Let torch use that many threads of this machine's meanwhile; None leaves their number alone."""
    if count is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
