"""Ten thousand damaged files of every format: each is an image or one sentence, in bounded time and memory."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fuzzing import check_told, fuzz

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
_MODULE = "tests.core.files.fuzzing"
_ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="memory and time are bounded by means of POSIX")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Path, Future]]]:
    """All formats at once, as many at a time as there are cores."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        jobs = {}
        for kind in KINDS:
            folder = tmp_path_factory.mktemp(kind)
            jobs[kind] = folder, pool.submit(fuzz, _MODULE, kind, 0, INPUTS, folder)
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
    check_told(_MODULE, kind, INPUTS, folder, job.result())


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
from tests import fuzzing
def attempt(random):
    {wrong}
seconds = {1.0 if what == "hang" else 60.0}
fuzzing.go("any", 0, 1, Path({str(tmp_path)!r}), attempt, memory=2**30, seconds=seconds)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=_ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == {"hang": -signal.SIGPROF, "crash": -signal.SIGSEGV, "greed": 1}[what]
    assert said in done.stderr
