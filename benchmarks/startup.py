"""What the program costs before it computes: commands that read or refuse, a reconstruction beside its steps, the window.

Each is a fresh process, and all take turns. CPU time is that of user and system together, and the least of the rounds
counts: another load only adds to it. The window's first picture is timed on the clock, from the start of its process.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from padis_gui.core.runs.presets import DEFAULT_PRIOR, DEMO_IMAGE, DEMO_PHOTO, bundled_folder
from padis_gui.core.settings.files import HOME_VARIABLE

GOAL_COMMAND, GOAL_BESIDE, GOAL_WINDOW = 0.3, 1.7, 2.0  # seconds of CPU, of CPU, and on the clock
_ROOT = Path(__file__).resolve().parents[1]
_NOTHING, _RECONSTRUCT, _WINDOW = (
    "Python, NumPy, pydantic",
    "reconstruct, beside its step",
    "window, first picture",
)
# name, and arguments in which {prior}, {photo}, {result}, {scan} and {folder} are files and a folder
COMMANDS: tuple[tuple[str, str], ...] = (
    ("--help", "--help"),
    ("reconstruct --help", "reconstruct --help"),
    ("inspect a prior", "inspect {prior}"),
    ("inspect a result", "inspect {result}"),
    ("inspect another file", "inspect {photo}"),
    ("geometry --example", "geometry --example fan"),
    ("geometry of a scan", "geometry {scan}"),
    ("geometry of no scan", "geometry {photo}"),
    ("a missing file", "reconstruct {folder}/missing.tif --out {folder}/out.tif"),
    ("an unknown option", "reconstruct {photo} --out {folder}/out.tif --nonsense"),
    ("a wrong number", "reconstruct {photo} --out {folder}/out.tif --views many"),
    ("an unreadable picture", "reconstruct {folder}/damaged.png --out {folder}/out.tif"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Seconds of a start: on the CPU, or on the clock where ``wall``; ``goal`` is None for a part, or a floor."""

    name: str
    seconds: float
    goal: float | None = None
    torch: bool = False
    wall: bool = False

    def as_dict(self) -> dict[str, Any]:
        """All figures by name, for JSON."""
        return asdict(self)


def bench_startup(
    rounds: int, window: bool, started: Callable[[str], None] = lambda name: None
) -> list[Start]:
    """Time all of it, the window only where it is wanted."""
    with TemporaryDirectory(prefix="padis-gui-startup-") as name:
        folder = Path(name)
        files = _make_files(folder)
        least: dict[str, float] = {}
        with_torch = {label: _loads_torch(text.format(**files).split()) for label, text in COMMANDS}
        for turn in range(rounds):
            started(f"round {turn + 1} of {rounds}")
            _keep(least, {_NOTHING: _cpu(["-c", "import numpy, pydantic.main"])[0]})
            for label, text in COMMANDS:
                _keep(least, {label: _cpu(["-m", "padis_gui", *text.format(**files).split()])[0]})
            _keep(least, {_RECONSTRUCT: _beside(folder)} | _told("parts"))
            if window:
                _keep(least, _told("window"))
    goals = dict.fromkeys((label for label, _ in COMMANDS), GOAL_COMMAND)
    goals |= {_RECONSTRUCT: GOAL_BESIDE, _WINDOW: GOAL_WINDOW}
    return [
        Start(
            name=label, seconds=seconds, goal=goals.get(label), wall=label == _WINDOW,
            torch=with_torch.get(label, label != _NOTHING),
        )
        for label, seconds in least.items()
    ]  # fmt: skip


def _keep(least: dict[str, float], found: dict[str, float]) -> None:
    for name, seconds in found.items():
        least[name] = min(seconds, least.get(name, seconds))


def _make_files(folder: Path) -> dict[str, Path]:
    import h5py
    import numpy as np

    (folder / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    files = {
        "folder": folder, "result": folder / "result.tif", "scan": folder / "scan.h5",
        "prior": bundled_folder() / DEFAULT_PRIOR, "photo": bundled_folder() / DEMO_PHOTO,
    }  # fmt: skip
    angles = np.arange(0.0, 180.0, 2.0)
    with h5py.File(files["scan"], "w") as file:
        across = np.abs(np.linspace(-1, 1, 128) - 0.2 * np.cos(np.radians(angles))[:, None])
        counts = 1000 * np.exp(-np.sqrt(np.maximum(0.36 - across**2, 0)))
        file["exchange/data"] = np.round(counts)[:, None].astype(np.uint16)
        file["exchange/data_white"], file["exchange/data_dark"] = (
            np.full((2, 1, 128), 1000),
            np.zeros((2, 1, 128)),
        )
        file["exchange/theta"] = angles
    _one_step(files["result"])
    return files


def _one_step(out: Path, *more: str) -> float:
    demo = str(bundled_folder() / DEMO_IMAGE)
    arguments = [
        "reconstruct",
        demo,
        "--out",
        str(out),
        "--steps",
        "1",
        "--seed",
        "1",
        "--device",
        "cpu",
        *more,
    ]
    return _cpu(["-m", "padis_gui", *arguments])[0]


def _beside(folder: Path) -> float:
    """All of a reconstruction of one step but for that step, which is timed on the clock, on one thread."""
    report = folder / "report.json"
    whole = _one_step(folder / "again.tif", "--threads", "1", "--report", str(report))
    return whole - float(json.loads(report.read_text(encoding="utf-8"))["seconds"])


def _cpu(arguments: list[str]) -> tuple[float, str]:
    """Seconds of user and system of a Python process with these arguments, and what it printed."""
    environment = {n: v for n, v in os.environ.items() if n != "PYTHONDONTWRITEBYTECODE"} | {
        "PYTHONPATH": str(_ROOT)
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def _loads_torch(arguments: list[str]) -> bool:
    code = (
        "import sys; from padis_gui.__main__ import main; main(); print('\\ntorch:', 'torch' in sys.modules)"
    )
    return _cpu(["-c", code, *arguments])[1].rstrip().endswith("torch: True")


def _told(what: str) -> dict[str, float]:
    """What :func:`parts` or :func:`window` prints in a process of its own."""
    with TemporaryDirectory(prefix="padis-gui-startup-") as home:
        code = f"import os; os.environ[{HOME_VARIABLE!r}] = {home!r}; from benchmarks.startup import {what}; {what}()"
        return dict(json.loads(_cpu(["-c", code])[1].splitlines()[-1]))


def parts() -> None:
    """Print as JSON what a reconstruction is made of beside its steps, in seconds of CPU in this process."""
    found, then = {}, time.process_time()

    def done(name: str) -> None:
        nonlocal then
        found[f"  {name}"], then = time.process_time() - then, time.process_time()

    from padis_gui.core import torch

    cpu = torch.device("cpu")
    done("torch")
    import padis_gui.cli.reconstruct
    import padis_gui.core.runs.engine  # noqa: F401
    from padis_gui.core.files.read import read_image
    from padis_gui.core.physics.registry import find_physics
    from padis_gui.core.prior.checkpoint import load_prior
    from padis_gui.core.runs.presets import DEFAULT_PRESET, PRESETS

    torch.set_num_threads(1)
    done("modules of our own")
    image = read_image(bundled_folder() / DEMO_IMAGE)
    done("image")
    load_prior(bundled_folder() / DEFAULT_PRIOR, cpu, "float32")
    done("prior")
    preset = PRESETS.find(DEFAULT_PRESET)
    operator = find_physics(preset.physics).make((1, *image.shape), preset.problem_settings(), cpu)
    operator(image.to_unit())
    done("system matrix")
    assert operator.norm > 0
    done("‖A‖")
    print(json.dumps(found))


def window() -> None:
    """Open the window, print as JSON how long its process took to the first painted picture, and close it."""
    import psutil

    began = psutil.Process().create_time()
    from padis_gui.core import torch

    assert torch.__version__, "before any Qt import (pytorch #166628)"
    from PySide6.QtCore import QTimer

    from padis_gui.gui.frame import app
    from padis_gui.gui.panes.canvas import Canvas

    paint, seen = Canvas.paintEvent, False

    def painted(canvas: Canvas, event: Any) -> None:
        nonlocal seen
        paint(canvas, event)
        if canvas.pixels is not None and not seen:
            seen = True
            print(json.dumps({_WINDOW: time.time() - began}))
            QTimer.singleShot(0, canvas.window().close)

    Canvas.paintEvent = painted
    app.main([])
