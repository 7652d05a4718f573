"""Memory and cores: what the machine has, and what is left of it inside of a container."""

import gc
import math
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch

from padis_gui.core.settings.machine import (
    MemoryPeak,
    free_memory_mb,
    memory_in_use_mb,
    peak_memory_mb,
    total_memory_mb,
    usable_cores,
)

CPU = torch.device("cpu")
MIB = 2**20
Container = Callable[[str, dict[str, str]], None]


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Container:
    """Makes this process believe in control groups of which it gives the membership and the files."""

    def make(membership: str, files: dict[str, str]) -> None:
        root = tmp_path / "cgroup"
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="ascii")
        own = tmp_path / "own"
        own.write_text(membership, encoding="ascii")
        monkeypatch.setattr("padis_gui.core.settings.machine._CGROUPS", root)
        monkeypatch.setattr("padis_gui.core.settings.machine._OWN_CGROUPS", own)

    return make


def test_without_a_container_it_is_the_machine_s(container: Container) -> None:
    container("", {})
    assert total_memory_mb() == pytest.approx(psutil.virtual_memory().total / MIB)
    assert free_memory_mb(CPU) == pytest.approx(psutil.virtual_memory().available / MIB, rel=0.2)
    assert 1 <= usable_cores() <= (psutil.cpu_count() or 1)


def test_of_the_second_version_s_limit_what_is_used_is_gone(container: Container) -> None:
    files = {"memory.max": f"{100 * MIB}\n", "memory.current": f"{70 * MIB}\n"}
    container("0::/\n", files)
    assert total_memory_mb() == 100
    assert free_memory_mb(CPU) == 30


def test_file_cache_that_can_be_dropped_counts_as_free(container: Container) -> None:
    stat = f"anon {50 * MIB}\ninactive_file {20 * MIB}\nactive_file 5\n"
    container(
        "0::/\n",
        {"memory.max": f"{100 * MIB}", "memory.current": f"{70 * MIB}", "memory.stat": stat},
    )
    assert free_memory_mb(CPU) == 50


def test_the_narrowest_group_around_the_process_decides(container: Container) -> None:
    container(
        "0::/pod/box\n",
        {
            "pod/box/memory.max": "max\n", "pod/box/memory.current": f"{10 * MIB}\n",
            "pod/memory.max": f"{200 * MIB}\n", "pod/memory.current": f"{190 * MIB}\n",
            "other/memory.max": "1\n", "other/memory.current": "1\n",
        },
    )  # fmt: skip
    assert total_memory_mb() == 200
    assert free_memory_mb(CPU) == 10


def test_the_first_version_has_a_tree_for_memory(container: Container) -> None:
    container(
        "5:cpuset:/\n4:cpu,memory:/docker/abc\n0::/\n",  # the path is the host's: here the tree's root is the group
        {
            "memory/memory.limit_in_bytes": f"{64 * MIB}\n", "memory/memory.usage_in_bytes": f"{40 * MIB}\n",
            "memory/memory.stat": f"inactive_file 1\ntotal_inactive_file {8 * MIB}\n",
        },
    )  # fmt: skip
    assert total_memory_mb() == 64
    assert free_memory_mb(CPU) == 32


def test_no_limit_of_the_first_version_is_a_huge_number(container: Container) -> None:
    files = {"memory/memory.limit_in_bytes": "9223372036854771712\n", "memory/memory.usage_in_bytes": "1\n"}
    container("4:memory:/\n", files)
    assert total_memory_mb() == pytest.approx(psutil.virtual_memory().total / MIB)


def test_more_used_than_allowed_leaves_nothing(container: Container) -> None:
    container("0::/\n", {"memory.max": "10", "memory.current": "20"})
    assert free_memory_mb(CPU) == 0


@pytest.mark.parametrize("text", ["", "nonsense", "-", "max max", "\x00"])
def test_files_that_say_nothing_limit_nothing(container: Container, text: str) -> None:
    names = ("memory.max", "memory.current", "memory.stat", "cpu.max")
    container(f"0::/\n{text}\n1:\n", dict.fromkeys(names, text))
    assert math.isfinite(free_memory_mb(CPU))
    assert free_memory_mb(CPU) > 1
    assert usable_cores() >= 1


@pytest.mark.parametrize(
    ("membership", "files"),
    [
        ("0::/\n", {"cpu.max": "50000 100000\n"}),
        ("2:cpu,cpuacct:/x\n", {"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}),
    ],
)
def test_half_a_core_is_one(container: Container, membership: str, files: dict[str, str]) -> None:
    container(membership, files)
    assert usable_cores() == 1


def test_no_quota_leaves_all_cores(container: Container) -> None:
    container("", {})
    cores = usable_cores()
    container("0::/\n", {"cpu.max": "max 100000\n"})
    assert usable_cores() == cores
    container("2:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"})
    assert usable_cores() == cores


def test_own_memory_is_known_and_its_peak_follows() -> None:
    assert 10 < memory_in_use_mb(CPU) <= peak_memory_mb(CPU) * 1.01
    gc.collect()  # what other tests have left would be let go of in between
    memory = MemoryPeak(CPU)
    held = torch.ones(64 * MIB)  # 256 MiB
    peak, added = memory.read()
    del held
    assert added > 128
    assert peak > added
