"""What kind of machine the bits of a result depend on, beside the recipe."""

import platform
from importlib.metadata import version
from pathlib import Path

import torch

_LIBRARIES = ("torch", "numpy", "scipy", "scikit-image", "astra-toolbox")


def machine() -> dict[str, str]:
    """The processor with the instructions that torch uses of it, and the versions of what computes."""
    return {
        "processor": _processor(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "system": platform.system(),
        **{name: version(name) for name in _LIBRARIES},
    }


def _processor() -> str:
    """Model name, family, model and stepping on Linux: a cloud's "EPYC" is a name of many."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor()
    found = dict(tuple(part.strip() for part in line.partition(":")[::2]) for line in lines)
    return " ".join(found.get(name, "") for name in ("model name", "cpu family", "model", "stepping")).strip()
