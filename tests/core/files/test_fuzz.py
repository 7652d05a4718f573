"""Ten thousand damaged files of every format: each is an image or one sentence, in bounded time and memory."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

KINDS = (
    "picture",
    "TIFF",
    "DICOM",
    "NPY",
    "NPZ",
    "MATLAB",
    "HDF5",
    "NIfTI",
    "Zeiss",
    "Nikon",
    "SkyScan",
    "Phoenix",
    "OME-Zarr",
)
INPUTS = 10_000
PATIENCE = 300.0
_ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="memory and time are bounded by means of POSIX")


def fuzz(kind: str, first: int, count: int, folder: Path) -> tuple[int, str, str]:
    """The exit status of a process that reads damaged files, and what it wrote."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.core.files.fuzzing", kind, str(first), str(count), str(folder)],
        cwd=_ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(_ROOT)},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Path, Future]]]:
    """All formats at once, as many at a time as there are cores."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        jobs = {}
        for kind in KINDS:
            folder = tmp_path_factory.mktemp(kind)
            jobs[kind] = folder, pool.submit(fuzz, kind, 0, INPUTS, folder)
        yield jobs


def test_every_format_is_among_them() -> None:
    from padis_gui.core.files.formats.recognise import FORMATS
    from tests.core.files.fuzzing import FORMATS as FUZZED

    assert set(KINDS) == set(FUZZED)
    assert {format_.kind.removesuffix(" file").removeprefix("folder of ") for format_ in FORMATS} == set(
        KINDS
    )


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_images_or_one_sentence(kind: str, running: dict) -> None:
    folder, job = running[kind]
    status, output, errors = job.result()
    number = (
        int.from_bytes((folder / "number").read_bytes(), "little") if (folder / "number").exists() else None
    )
    again = (
        f"input {number} of {kind}; repeat it by: python -m tests.core.files.fuzzing {kind} {number} 1 FOLDER"
    )
    assert status != -signal.SIGALRM, f"took too long: {again}\n{errors}"
    assert status == 0, f"ended with {status}: {again}\n{errors[-3000:]}"
    # libpng has a say of its own, past Python
    assert not [line for line in errors.splitlines() if not line.startswith("PNG warning: ")], errors[-3000:]
    told = json.loads(output)
    assert told["inputs"] == INPUTS
    # damage must neither be so heavy that nothing is ever read, nor so light that nothing is ever refused
    assert 0.02 * INPUTS < told["images"] < 0.98 * INPUTS


@pytest.mark.parametrize(
    ("what", "said"),
    [("hang", "most recent call first"), ("crash", "Segmentation"), ("greed", "MemoryError")],
)
def test_the_bounds_hold(what: str, said: str, tmp_path: Path) -> None:
    """A hang, a crash and greed are seen for what they are."""
    wrong = {
        "hang": "while True: pass", "crash": "import ctypes; ctypes.string_at(0)", "greed": "x = bytearray(2**32)",
    }[what]  # fmt: skip
    code = f"""
from pathlib import Path
from tests.core.files import fuzzing
fuzzing.SECONDS = {1.0 if what == "hang" else 60.0}
sound = fuzzing.attempt
def attempt(path, page, listed=True):
    if Path({str(tmp_path)!r}, "number").exists():
        {wrong}
    return sound(path, page)
fuzzing.attempt = attempt
fuzzing.main("NPY", 0, 1, Path({str(tmp_path)!r}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=_ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == {"hang": -signal.SIGALRM, "crash": -signal.SIGSEGV, "greed": 1}[what]
    assert said in done.stderr
