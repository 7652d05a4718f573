"""The core is importable by itself: no Qt, no terminal toys."""

import pkgutil

import pytest
import torch

import padis_gui.core
from padis_gui.core.runs.presets import resource
from padis_gui.core.settings.errors import InputError, SettingError
from padis_gui.core.settings.machine import (
    describe_device,
    fastest_precision,
    peak_memory_mb,
    pick_device,
    use_all_threads,
)
from tests.waiting import run_afresh


def test_no_module_of_the_core_brings_qt() -> None:
    names = [m.name for m in pkgutil.walk_packages(padis_gui.core.__path__, "padis_gui.core.")]
    assert len(names) > 20
    code = (
        "import importlib, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "bad = [m for m in sys.modules if m.split('.')[0] in "
        "('PySide6', 'shiboken6', 'pyqtgraph', 'qasync', 'rich', 'matplotlib')]\n"
        "assert not bad, bad\n"
    )
    run_afresh(code)


def test_only_networks_bring_torch() -> None:
    """All else declares settings and records, too, and is imported to read a header or to refuse an option."""
    names = {m.name for m in pkgutil.walk_packages(padis_gui.core.__path__, "padis_gui.core.")}
    networks = {"padis_gui.core.prior.network", "padis_gui.core.prior.edm_network"}
    assert networks < names
    code = (
        "import importlib, sys\n"
        f"for name in {sorted(names - networks)!r}:\n"
        "    importlib.import_module(name)\n"
        "    assert 'torch' not in sys.modules, name\n"
        "from padis_gui.core import torch\n"
        "assert torch.no_grad()(lambda: torch.is_grad_enabled())() is False\n"
        "assert torch is not sys.modules['torch'] and torch.Tensor is sys.modules['torch'].Tensor\n"
        "sys.modules['torch'].patched = 1\n"
        "assert torch.patched == 1\n"
    )
    run_afresh(code)


def test_devices() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type in ("cpu", "cuda")
    for name in ("", "tpu", "meta", "cuda:99", "cuda:-1", "gpu", "cpu\n"):
        with pytest.raises(SettingError):
            pick_device(name)
    cpu = torch.device("cpu")
    assert "CPU" in describe_device(cpu)
    assert fastest_precision(cpu) in ("float32", "bfloat16")
    assert 10 < peak_memory_mb(cpu) < 1e6
    use_all_threads()
    assert torch.get_num_threads() >= 1


def test_missing_resource_says_what_to_do() -> None:
    with pytest.raises(InputError, match="install padis-gui again"):
        resource("priors/none.safetensors")
