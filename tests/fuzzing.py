"""One process that reads input after input, each made of its number alone, in bounded time and memory.

A module of tests runs itself through :func:`main` with KIND FIRST COUNT FOLDER: a failure is repeated by its number as
FIRST, and 1 as COUNT. What is neither accepted nor refused in one sentence ends the process, and so does an input that
takes too long. The number of the input is written to `FOLDER/number` before it is read.
"""

import faulthandler
import importlib
import json
import mmap
import os
import resource
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random

SECONDS = 20.0  # of processor time for one input
_WAITED = 8  # as many times that may go by where nothing is computed, or on a machine that does much else
TOO_LONG = (signal.SIGPROF, signal.SIGALRM)
_ROOT = Path(__file__).resolve().parents[1]
_PATIENCE = 600.0


def check_sentence(message: str) -> None:
    """Raise :class:`AssertionError` unless a message is one sentence for a user."""
    assert message.endswith("."), message
    assert "\n" not in message, message
    assert message.isprintable(), message
    assert len(message) <= 1200, message


def go(
    kind: str, first: int, count: int, folder: Path, attempt: Callable[[Random], bool], *,
    memory: int, seconds: float = SECONDS, lazy: tuple[str, ...] = (),
) -> None:  # fmt: skip
    """Make ``count`` attempts, and write how many were accepted, with the seconds that it took and the peak of memory.

    ``memory`` bytes may be had beyond what the process has before the first; ``lazy`` are modules that readers load when
    they first need them: neither their time nor their memory is an input's.
    """
    warnings.simplefilter("error")
    faulthandler.enable()
    for signal_ in TOO_LONG:  # says where, then the signal ends the process, also within C
        faulthandler.register(signal_, chain=True)
    for name in lazy:
        importlib.import_module(name)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
    (folder / "number").write_bytes(bytes(8))
    accepted, began, slowest = 0, time.monotonic(), 0.0
    with (folder / "number").open("r+b") as file, mmap.mmap(file.fileno(), 8) as current:
        for number in range(first, first + count):
            current[:] = number.to_bytes(8, "little")
            before = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, seconds)
            signal.setitimer(signal.ITIMER_REAL, _WAITED * seconds)
            accepted += attempt(Random(f"{kind} {number}"))
            slowest = max(slowest, time.process_time() - before)
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    told = {
        "inputs": count, "accepted": accepted, "seconds": time.monotonic() - began, "slowest": slowest,
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "own MB": own,
    }  # fmt: skip
    print(json.dumps(told))  # noqa: T201


def fuzz(module: str, kind: str, first: int, count: int, folder: Path) -> tuple[int, str, str]:
    """The exit status of a process of ``module``, and what it wrote."""
    done = subprocess.run(
        [sys.executable, "-m", module, kind, str(first), str(count), str(folder)],
        cwd=_ROOT, capture_output=True, text=True, timeout=_PATIENCE, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(_ROOT)},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def check_told(module: str, kind: str, count: int, folder: Path, done: tuple[int, str, str]) -> None:
    """Raise :class:`AssertionError` unless the process of :func:`fuzz` read all inputs, not all with the same end."""
    status, output, errors = done
    at = folder / "number"
    number = int.from_bytes(at.read_bytes(), "little") if at.exists() else None
    again = f"input {number} of {kind}; repeat it by: python -m {module} {kind} {number} 1 FOLDER"
    assert -status not in TOO_LONG, f"took too long: {again}\n{errors}"
    assert status == 0, f"ended with {status}: {again}\n{errors[-3000:]}"
    # libpng has a say of its own, past Python
    assert not [line for line in errors.splitlines() if not line.startswith("PNG warning: ")], errors[-3000:]
    told = json.loads(output)
    assert told["inputs"] == count
    # damage must neither be so heavy that nothing is ever read, nor so light that nothing is ever refused
    assert 0.02 * count < told["accepted"] < 0.98 * count, told


def read_in_bounds(folder: Path, paths: list[Path], read: str, *lazy: str) -> dict[str, float]:
    """Read files one after the other in a process of its own, each in 10 s of processor time; ``read`` are lines that do it
    with ``path``. Returns the seconds of the slowest, and how many MB all of it took beyond the program's own.
    """
    lines = "".join(f"    {line}\n" for line in read.splitlines())
    code = f"""
from pathlib import Path
from tests import fuzzing
left = iter({[str(path) for path in paths]!r})
def attempt(random):
    path = Path(next(left))
{lines}    return True
fuzzing.go("any", 0, {len(paths)}, Path({str(folder)!r}), attempt, memory=2**32, seconds=10.0, lazy={lazy!r})
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=_ROOT, capture_output=True, text=True, timeout=_PATIENCE, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(_ROOT)},
    )  # fmt: skip
    assert -done.returncode not in TOO_LONG, f"took too long\n{done.stderr[-3000:]}"
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    return {"slowest": told["slowest"], "MB": told["peak MB"] - told["own MB"]}
