"""Waiting for what happens when it happens: in another process, or while Qt's events pass."""

import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from padis_gui.core.settings.errors import Interrupted

TIMEOUT = 600.0  # only what fails waits so long, so that a busy machine fails nothing


def wait_for(
    condition: Callable[[], Any], meanwhile: Callable[[], object] = lambda: None, timeout: float = TIMEOUT / 2
) -> None:
    """Block until the condition holds; ``meanwhile`` is called between two looks."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        meanwhile()
        time.sleep(0.002)  # sleep: between two looks, so that what is waited for gets the processor


def interrupted_at(call: int) -> Callable[[], None]:
    """A check that lets all pass but that ``call``, from 1, which it interrupts."""
    calls = count(1)

    def check() -> None:
        if next(calls) == call:
            raise Interrupted

    return check


def run_afresh(code: str) -> str:
    """What Python prints that runs this in an interpreter of its own, and ends without an error."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
