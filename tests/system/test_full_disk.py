"""A full disk under every verb that writes: one sentence, nothing half written, results kept where there is room.

The places are real: files that may not grow (RLIMIT_FSIZE), and a file system of a few kB where the system lets a test
have one.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzzing import check_sentence
from tests.volumes import write_stack

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and file systems of Linux")

_ROOT = Path(__file__).resolve().parents[2]
_QUICK = ["--solver", "dds", "--steps", "2", "--set", "cg_steps=2", "--device", "cpu", "--seed", "1"]
_TRAINING = [
    "--steps", "2", "--patch-sizes", "16", "--patch-probabilities", "1", "--pixels", "512", "--warmup", "1", "--width",
    "32", "--multipliers", "1", "--blocks", "1", "--embedding", "32", "--device", "cpu", "--validation", "0", "--seed", "1",
]  # fmt: skip
_RECONSTRUCT = ["reconstruct", "H/image.tif", "--prior", "H/prior.safetensors", *_QUICK]

# What each verb is asked, its outputs in the folder F and its inputs in H; and the results that are kept where F is full
# and another place is not: none where nothing was computed that a next start would not go on from, or make at once
VERBS: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "reconstruct": ([*_RECONSTRUCT, "--out", "F/o.tif"], ("o-kept.tif",)),
    "reconstruct, all": (
        [*_RECONSTRUCT, "--out", "F/q.tif", "--sidecar", "--report", "F/r.json", "--iterates", "F/i.tif", "--curves",
         "F/c.csv", "--html", "F/p.html", "--animation", "F/a.gif"],
        ("q-kept.tif", "i-kept.tif", "p-kept.html", "a-kept.gif"),
    ),
    "generate": (
        ["generate", "--prior", "H/prior.safetensors", "--steps", "2", "--rows", "64", "--columns", "64", "--device", "cpu",
         "--out", "F/s.tif"], ("s-kept.tif",)
    ),
    "repeat": (["repeat", "H/run.tif", "--device", "cpu", "--out", "F/again.tif"], ("again-kept.tif",)),
    "queue": (["queue", "H/queue.json", "--device", "cpu", "--out", "F/results"], ("a-kept.tif", "b-kept.tif")),
    "volume": (
        ["volume", "H/stack.tif", "--prior", "H/prior.safetensors", *_QUICK, "--out", "F/v.tif", "--report", "F/r.json"], ()
    ),
    "experiment": (
        ["experiment", "H/image.tif", "--prior", "H/prior.safetensors", "--solver", "dds", "--set", "steps=2", "--views",
         "12", "--device", "cpu", "--seed", "1", "--out", "F/r.jsonl", "--table", "F/t.md"], ()
    ),
    "train": (["train", "H/stack.tif", "--out", "F/training", *_TRAINING], ()),
    "train, preview": (["train", "H/stack.tif", "--preview", "F/seen.png"], ()),
    "bench": (
        ["bench", "operator", "--size", "32", "--views", "4", "--repeats", "1", "--device", "cpu", "--json", "F/b.json"],
        ("b-kept.json",),
    ),
    "convert": (["convert", "H/prior.safetensors", "F/c.safetensors"], ()),
}  # fmt: skip

# In forks of one process, which has imported the program: [exit code, what was said, seconds] by verb, as JSON
_PROGRAM = """
import contextlib, io, json, os, resource, signal, sys, traceback
from pathlib import Path
from padis_gui.cli import bench, convert, experiment, generate, queue, reconstruct, repeat, train, volume
from padis_gui.cli.main import main
from padis_gui.core.runs.engine import Run
from padis_gui.core.volumes.run import reconstruct_volume
import padis_gui.core.training.run

folder, most, verbs = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
found = {}
for name, arguments in verbs.items():
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said, code = io.StringIO(), 70
        try:
            os.chdir(folder / "elsewhere")
            if most:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
                code = main(arguments)
        except BaseException:
            said.write(traceback.format_exc())
        os.write(writing, json.dumps([code, said.getvalue()[-50_000:]]).encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        found[name] = json.loads(pipe.read() or '[-1, "it died"]')
    os.waitpid(child, 0)
sys.stdout.write(json.dumps(found))
"""


def _asked(arguments: list[str], here: Path, full: Path) -> list[str]:
    places = {"H/": f"{here}/", "F/": f"{full}/"}
    return [places.get(a[:2], a[:2]) + a[2:] for a in arguments]


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with what the verbs read."""
    import numpy as np
    import tifffile

    from padis_gui.cli.main import main
    from padis_gui.core.exports.about import read_export
    from padis_gui.core.prior.checkpoint import save_prior
    from padis_gui.core.runs.queue import QueuedRun, queue_as_json
    from tests.tiny import phantom, tiny_record, tiny_state

    folder = tmp_path_factory.mktemp("full")
    save_prior(folder / "prior.safetensors", tiny_record(), tiny_state(), half=False)
    tifffile.imwrite(folder / "image.tif", (phantom(64).numpy() * 2000 - 1000).round().astype(np.int16))
    write_stack(folder / "stack.tif", 2, 64)
    run = ["reconstruct", str(folder / "image.tif"), "--prior", str(folder / "prior.safetensors"), *_QUICK]
    assert main([*run, "--out", str(folder / "run.tif")]) == 0
    recipe = read_export(folder / "run.tif").recipe
    (folder / "queue.json").write_bytes(queue_as_json([QueuedRun(name=name, recipe=recipe) for name in "ab"]))
    return folder


def _run(here: Path, full: Path, elsewhere: Path, most: int, around: list[str], before: str = "") -> dict:
    shutil.rmtree(here / "elsewhere", ignore_errors=True)
    (here / "elsewhere").mkdir()
    asked = {name: _asked(arguments, here, full) for name, (arguments, _) in VERBS.items()}
    done = subprocess.run(
        [*around, "bash", "-c", before + 'exec "$0" -c "$1" "$2" "$3" "$4"', sys.executable, _PROGRAM, str(here), str(most),
         json.dumps(asked)],
        capture_output=True, text=True, timeout=500, check=False, cwd=_ROOT,
        env=os.environ | {"PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1", "HOME": str(elsewhere), "COLUMNS": "500"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def _check_said(name: str, code: int, said: str) -> None:
    assert code in (1, 2), (name, code, said)
    assert "Traceback" not in said, (name, said)
    sentences = [line for line in said.splitlines() if line.startswith("padis-gui: ")]
    assert sentences or name == "queue", (name, said)  # whose line says it
    for sentence in sentences:
        check_sentence(sentence)
    assert "No space left on device" in said or "File too large" in said, (name, said)


def _half_written(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*") if path.is_file() and path.name != ".lock"]


def test_where_no_file_may_grow_it_is_said_and_what_was_there_stays(here: Path, tmp_path: Path) -> None:
    full = tmp_path / "F"
    full.mkdir()
    old = [full / name for name in ("o.tif", "s.tif", "v.tif", "c.safetensors", "seen.png", "again.tif")]
    for path in old:
        path.write_bytes(b"of before")
    found = _run(here, full, tmp_path, 600, [])
    for name, (code, said) in found.items():
        _check_said(name, code, said)
    assert all(path.read_bytes() == b"of before" for path in old)
    assert _half_written(full) == []


def test_on_a_full_disk_what_was_computed_is_kept_elsewhere(here: Path, tmp_path: Path) -> None:
    from padis_gui.core.exports.about import read_export

    full = tmp_path / "F"
    full.mkdir()
    around = ["unshare", "--map-root-user", "--mount"] if os.geteuid() else ["unshare", "--mount"]
    mount = f"mount -t tmpfs -o size=8k none '{full}' && "
    if subprocess.run([*around, "bash", "-c", mount + "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets no test have a file system of its own")
    found = _run(here, full, tmp_path, 0, around, mount)
    kept = {path.name for path in (here / "elsewhere").iterdir()}
    for name, (code, said) in found.items():
        _check_said(name, code, said)
        for file in VERBS[name][1]:
            assert file in kept, (name, file, said)
            assert file in said, name
    assert read_export(here / "elsewhere" / "o-kept.tif").recipe.solver == "dds"


def _speak(arguments: list[str], out: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "padis_gui", *arguments], stdout=out, stderr=subprocess.PIPE, text=True, check=False,
        cwd=_ROOT, timeout=300, env=os.environ | {"PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def test_a_run_goes_on_where_its_words_cannot_be_written(here: Path, tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = _speak([*_asked(_RECONSTRUCT, here, tmp_path), "--out", str(tmp_path / "o.tif")], full)
    assert (done.returncode, (tmp_path / "o.tif").exists()) == (2, True)
    assert "cannot be written (No space left on device)" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["inspect", "H/prior.safetensors"], ["--help"]], ids=["verb", "help"])
def test_a_reader_that_has_gone_is_no_fault(arguments: list[str], here: Path, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = _speak(_asked(arguments, here, tmp_path), writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
