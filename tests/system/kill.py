"""Kills the program while it works and writes, and asks what is left: `python -m tests.system.kill --kills 100 --seed 1`.

Each kill (SIGKILL) comes at a random moment of a run, or within one of its writes, of a file that is half written then,
or just before or after it gets its name. Afterwards every file is whole or is not there, and no input has changed. The
next start goes on, comes to the results that a run without a kill has, and leaves no temporary file.

All runs are forks of this process, which has imported the program and does nothing itself.
"""

import argparse
import asyncio
import hashlib
import json
import os
import random
import shutil
import signal
import stat
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from padis_gui.cli import experiment, main, queue, reconstruct, train, volume  # noqa: F401 - imported once, before forking
from padis_gui.core.exports.about import read_export, read_pages
from padis_gui.core.runs.engine import Run  # noqa: F401
from padis_gui.core.settings import files
from padis_gui.core.settings.files import file_sha256, pixels_sha256
from padis_gui.core.volumes.run import reconstruct_volume  # noqa: F401

_LONGEST = 120.0  # seconds that a run may take before it counts as hanging
_SOLVER = ("--solver", "dds", "--steps", "2", "--set", "cg_steps=2", "--device", "cpu")
_VIEWS = ("--views", "12")


@dataclass(frozen=True, slots=True)
class Inputs:
    """What all runs read: a prior, an image, a stack, a queue."""

    folder: Path

    @property
    def prior(self) -> Path:
        return self.folder / "prior.safetensors"

    @property
    def image(self) -> Path:
        return self.folder / "image.tif"

    @property
    def stack(self) -> Path:
        return self.folder / "stack.tif"

    @property
    def queue(self) -> Path:
        return self.folder / "queue.json"

    def make(self) -> None:
        """Write them."""
        import tifffile

        from padis_gui.core.prior.checkpoint import save_prior
        from padis_gui.core.runs.queue import QueuedRun, queue_as_json
        from tests.tiny import phantom, tiny_record, tiny_state
        from tests.volumes import write_stack

        save_prior(self.prior, tiny_record(), tiny_state(), half=False)
        tifffile.imwrite(self.image, (phantom(32).numpy() * 2000 - 1000).round().astype(np.int16))
        write_stack(self.stack, 3)
        made = self.folder / "made.tif"
        assert (
            main.main(["reconstruct", str(self.image), *self.options, "--seed", "1", "--out", str(made)]) == 0
        )
        recipe = read_export(made).recipe
        runs = [QueuedRun(name=f"run {n}", recipe=recipe.model_copy(update={"seed": n})) for n in (1, 2, 3)]
        self.queue.write_bytes(queue_as_json(runs))

    @property
    def options(self) -> tuple[str, ...]:
        """The prior, a quick solver and few views."""
        return ("--prior", str(self.prior), *_SOLVER, *_VIEWS)

    def hashes(self) -> dict[str, tuple[str, int]]:
        """What tells that they are as they were."""
        return {
            path.name: (file_sha256(path), path.stat().st_mtime_ns) for path in sorted(self.folder.iterdir())
        }


def _reconstruct(inputs: Inputs, work: Path) -> int:
    exports = [
        part
        for option, name in (
            ("--out", "out.tif"), ("--report", "report.json"), ("--iterates", "iterates.tif"), ("--curves", "curves.csv"),
            ("--html", "page.html"), ("--animation", "movie.gif"),
        )
        for part in (option, str(work / name))
    ]  # fmt: skip
    return main.main(
        ["reconstruct", str(inputs.image), *inputs.options, "--seed", "1", "--sidecar", *exports]
    )


def _volume(inputs: Inputs, work: Path) -> int:
    return main.main(
        ["volume", str(inputs.stack), *inputs.options, "--seed", "1", "--z-smoothing", "0.2",
         "--out", str(work / "volume.tif"), "--report", str(work / "report.json")]
    )  # fmt: skip


def _train(inputs: Inputs, work: Path) -> int:
    settings = (
        "--steps", "6", "--checkpoint-every", "2", "--patch-sizes", "16", "--patch-probabilities", "1", "--pixels", "512",
        "--warmup", "1", "--width", "32", "--multipliers", "1", "--blocks", "1", "--embedding", "32", "--device", "cpu",
        "--validation", "0", "--seed", "1",
    )  # fmt: skip
    return main.main(["train", str(inputs.stack), "--out", str(work / "training"), *settings])


def _experiment(inputs: Inputs, work: Path) -> int:
    return main.main(
        ["experiment", str(inputs.image), "--prior", str(inputs.prior), "--solver", "dds", "--set", "steps=2",
         "--views", "12", "--device", "cpu", "--seed", "1", "2", "3", "--out", str(work / "results.jsonl"),
         "--table", str(work / "table.md"), str(work / "table.csv")]
    )  # fmt: skip


def _queue(inputs: Inputs, work: Path) -> int:
    return main.main(["queue", str(inputs.queue), "--device", "cpu", "--out", str(work / "results")])


def _session(inputs: Inputs, work: Path) -> int:
    """A window's session of two runs, gone on with where there is one already."""
    import qasync
    from PySide6.QtCore import QCoreApplication

    from padis_gui.viewmodels.session.session import Session
    from padis_gui.viewmodels.session.store import Store
    from tests.qt import ended

    app = QCoreApplication([])
    loop = qasync.QEventLoop(app)
    asyncio.set_event_loop(loop)

    async def go() -> None:
        session = Session("cpu", store=Store(work / "sessions"))
        assert session.saver is not None
        await session.saver.restore()
        await session.prior.open(inputs.prior)
        await session.data.open(inputs.image)
        session.method.set_problem("views", 12)
        session.method.set_solver("dds")
        session.method.set_solver_setting("steps", 2)
        done = {record.recipe.seed for record in session.runs.records}
        for seed in {1, 2} - done:
            session.method.set_seed(seed)
            session.start()
            await ended(session)
            await session.saver.flush()
        await session.close()

    loop.run_until_complete(go())
    return 0


WRITERS: dict[str, Callable[[Inputs, Path], int]] = {
    "reconstruct": _reconstruct, "volume": _volume, "train": _train, "experiment": _experiment, "queue": _queue,
    "session": _session,
}  # fmt: skip


# What is left ---------------------------------------------------------------------------------------


def _is_ours(path: Path) -> bool:
    return path.name not in ("lock", "open") and "tensorboard" not in path.parts


def damaged(work: Path) -> list[str]:
    """The files in a folder that are not whole, each with the reason."""
    found = []
    for path in sorted(work.rglob("*")):
        if not path.is_file() or path.name.startswith(".") or not _is_ours(path):
            continue
        try:
            _read(path)
        except Exception as error:  # whatever it is, the file is of no use
            found.append(f"{path.relative_to(work)}: {type(error).__name__} {error}")
    return found


def _read(path: Path) -> None:
    """Read all of a file; raises whatever where it is not whole."""
    import PIL.Image
    from safetensors.numpy import load_file

    match path.suffix:
        case ".tif":
            export = read_export(path)
            values, _ = read_pages(export)
            if export.about.kind == "result" and export.about.sha256 != pixels_sha256(values[0]):
                raise ValueError("its pixels are others than its hash says")
        case ".json":
            json.loads(path.read_bytes())
        case ".safetensors":
            load_file(path)
        case ".jsonl":  # the last line may be torn: who reads it knows
            for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
                json.loads(line)
        case ".npz":
            with np.load(path) as arrays:
                for name in arrays.files:
                    arrays[name]
        case ".html":
            if not path.read_text(encoding="utf-8").rstrip().endswith("</html>"):
                raise ValueError("its end is missing")
        case ".gif":
            with PIL.Image.open(path) as image:
                image.seek(image.n_frames - 1)  # type: ignore[attr-defined]
        case ".csv" | ".md":
            if not path.read_text(encoding="utf-8").endswith("\n"):
                raise ValueError("its end is missing")
        case _:
            raise ValueError("nobody knows what it is")


def results(work: Path) -> dict[str, str]:
    """What a finished run has come to, by the files' names; what differs between two runs, such as times, is left out."""
    from safetensors.numpy import load_file

    found = {}
    for path in sorted(work.rglob("*")):
        # a look is a picture on the way: a training that had ended when it was killed makes none
        if not path.is_file() or not _is_ours(path) or path.suffix == ".npz":
            continue
        name, digest = str(path.relative_to(work)), ""
        if "sessions" in path.parts:  # whose names are new in every run: what counts is the runs
            if path.suffix == ".tif":
                name = f"run of seed {read_export(path).recipe.seed}"
                digest = pixels_sha256(read_pages(read_export(path))[0][0])
            elif not path.name.startswith("."):
                continue
        elif path.suffix == ".tif":
            digest = hashlib.sha256(
                b"".join(p.tobytes() for p in read_pages(read_export(path))[0])
            ).hexdigest()
        elif path.suffix == ".safetensors":
            arrays = load_file(path)
            digest = hashlib.sha256(b"".join(arrays[key].tobytes() for key in sorted(arrays))).hexdigest()
        elif path.name == "results.jsonl":
            lines = map(json.loads, filter(None, path.read_text(encoding="utf-8").split("\n")))
            digest = str(sorted(line["key"] for line in lines if not line["error"]))
        found[name] = digest
    return found


# Killing --------------------------------------------------------------------------------------------


@dataclass
class _Mortal:
    """Stands for `os` where files are written: counts what is done there, and dies in the ``last`` of it."""

    last: int | None
    share: float
    count: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def fsync(self, handle: int) -> None:
        if self._ends():
            found = os.fstat(handle)
            if stat.S_ISREG(
                found.st_mode
            ):  # as if the kill had come while it was written; a folder has its new file
                os.ftruncate(handle, int(found.st_size * self.share))
            _die()
        os.fsync(handle)

    def replace(self, source: Path, target: Path) -> None:
        if self._ends():
            if self.share < 0.5:
                _die()
            os.replace(source, target)
            _die()
        os.replace(source, target)

    def _ends(self) -> bool:
        self.count += 1
        return self.count == self.last


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


def _forked(work: Callable[[], int], log: Path, kill_after: float | None = None) -> tuple[int, float]:
    """Do something in a fork, which is killed after so many seconds; returns its exit code (negative: the signal) and
    the seconds that it took.
    """
    began = time.monotonic()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            os.setpgid(0, 0)
            handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            for standard in (1, 2):
                os.dup2(handle, standard)
            code = work()
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    limit = _LONGEST if kill_after is None else kill_after
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), time.monotonic() - began
        if time.monotonic() - began > limit:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return -signal.SIGKILL, time.monotonic() - began
        time.sleep(0.002)  # sleep: between two looks at a process of another program


def _answer(question: Callable[[], Any], folder: Path) -> Any:
    """What a fork says to a question, so that this process stays without threads."""
    reply = folder / "answer.json"
    reply.unlink(missing_ok=True)

    def ask() -> int:
        reply.write_text(json.dumps(question()), encoding="utf-8")
        return 0

    code, _ = _forked(ask, folder / "log.txt")
    if code:
        raise RuntimeError(f"The question ended with {code}: {(folder / 'log.txt').read_text()[-2000:]}")
    return json.loads(reply.read_text(encoding="utf-8"))


@dataclass
class _Known:
    """What a run without a kill has come to, how long it took, and how often it touched the disk."""

    seconds: float
    events: int
    results: dict[str, str]


@dataclass
class Figures:
    """What the kills of one writer found."""

    kills: int = 0
    too_late: int = 0
    in_writing: int = 0
    left: int = 0  # with a temporary file of the killed run
    finished: int = 0  # with all files there already
    problems: list[str] = field(default_factory=list)


class Killer:
    """Kills one writer again and again."""

    def __init__(self, name: str, inputs: Inputs, folder: Path, chance: random.Random) -> None:
        self.name, self._inputs, self._folder, self._chance = name, inputs, folder, chance
        self._before = inputs.hashes()
        self.figures = Figures()
        self._known = self._finish_once()

    def _run(self, work: Path, kill_after: float | None, last: int | None) -> tuple[int, float, int]:
        """A start of the program; returns its exit code, its seconds, and what was done to the disk."""
        counted = self._folder / "count.txt"
        share = self._chance.random()

        def go() -> int:
            os.environ["PADIS_GUI_HOME"] = str(self._folder / "home")
            mortal = files.os = _Mortal(last, share)  # type: ignore[attr-defined,assignment]
            code = WRITERS[self.name](self._inputs, work)
            counted.write_text(str(mortal.count))
            return code

        code, seconds = _forked(go, self._folder / "log.txt", kill_after)
        return code, seconds, int(counted.read_text()) if code == 0 else 0

    def _finish_once(self) -> _Known:
        work = self._folder / "reference"
        work.mkdir()
        self._run(self._folder / "reference", None, None)  # what is imported late is there then
        shutil.rmtree(work)
        work.mkdir()
        code, seconds, events = self._run(work, None, None)
        if code:
            raise RuntimeError(
                f"{self.name} ends with {code}:\n{(self._folder / 'log.txt').read_text()[-3000:]}"
            )
        return _Known(seconds, events, _answer(lambda: results(work), self._folder))

    def kill(self) -> None:
        """Kill a run, look at what is left, start again, and look at what that has come to."""
        work = self._folder / "work"
        work.mkdir()
        found, in_writing = self.figures, self._chance.random() < 0.5
        last = self._chance.randint(1, self._known.events) if in_writing else None
        after = None if in_writing else self._chance.uniform(0, self._known.seconds)
        code, _, _ = self._run(work, after, last)
        found.kills += code == -signal.SIGKILL
        found.too_late += code == 0
        found.in_writing += in_writing
        when = f"kill {found.kills} ({f'in write {last}' if in_writing else f'after {after:.2f} s'})"
        if code not in (0, -signal.SIGKILL):
            found.problems.append(f"{when}: it ended by itself with {code}")
        found.left += any(path.name.startswith(".") for path in work.rglob("*"))
        found.finished += _answer(lambda: set(results(work)) >= set(self._known.results), self._folder)
        found.problems += [f"{when}: {one}" for one in _answer(lambda: damaged(work), self._folder)]
        code, _, _ = self._run(work, None, None)
        if code:
            log = (self._folder / "log.txt").read_text()[-1500:]
            found.problems.append(f"{when}: the next start ended with {code}\n{log}")
        found.problems += [
            f"{when}, next start: {one}" for one in _answer(lambda: damaged(work), self._folder)
        ]
        now = _answer(lambda: results(work), self._folder)
        for name in sorted(now.keys() | self._known.results.keys()):
            if now.get(name) != self._known.results.get(name):
                what = (
                    "is missing"
                    if name not in now
                    else "is new"
                    if name not in self._known.results
                    else "differs"
                )
                found.problems.append(f"{when}, next start: {name} {what}")
        if self._inputs.hashes() != self._before:
            found.problems.append(f"{when}: an input has changed")
        shutil.rmtree(work)


def kill_all(kills: int, seed: int, names: list[str], folder: Path) -> dict[str, Figures]:
    """So many kills, shared out to the writers; those that came too late are made again. Returns what each has found."""
    inputs = Inputs(folder / "inputs")
    inputs.folder.mkdir()
    code, _ = _forked(lambda: (inputs.make(), 0)[1], folder / "log.txt")
    if code:
        raise RuntimeError((folder / "log.txt").read_text()[-3000:])
    found = {}
    for at, name in enumerate(names):
        own = folder / name
        own.mkdir()
        killer = Killer(name, inputs, own, random.Random(f"{seed} {name}"))
        wanted = kills // len(names) + (at < kills % len(names))
        while killer.figures.kills < wanted and killer.figures.too_late < 3 * wanted + 10:
            killer.kill()
        found[name] = killer.figures
        _say(_line(name, killer.figures), *(f"  {problem}" for problem in killer.figures.problems))
    return found


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _line(name: str, found: Figures) -> str:
    return (
        f"{name:12} {found.kills:4} kills ({found.in_writing} within a write, {found.too_late} too late), "
        f"{found.left} left a temporary file, {found.finished} had all files already, {len(found.problems)} problems"
    )


def run(arguments: list[str]) -> int:
    """Kill, and print the figures; the exit code is 1 where something was damaged, lost or left."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.kill", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--writer", nargs="+", choices=tuple(WRITERS), default=list(WRITERS))
    options = parser.parse_args(arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="padis-gui-kill-") as folder:
        found = kill_all(options.kills, options.seed, options.writer, Path(folder))
    total: Counter[str] = Counter()
    for figures in found.values():
        total.update({"kills": figures.kills, "problems": len(figures.problems)})
    _say(f"{total['kills']} kills in {time.monotonic() - began:.0f} s, {total['problems']} problems")
    return 1 if total["problems"] else 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
