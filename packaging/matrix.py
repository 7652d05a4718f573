"""Which dependencies the program runs with: `python packaging/matrix.py` tries the oldest and the newest of them.

A combination is an environment of its own in --work (a temporary folder unless it is given): the direct dependencies at the
minimums of pyproject.toml ("lowest"), or whatever is newest, the rest as uv resolves it; then a short set of tests. The
Pythons are those that uv finds, or --python names. --resolve shows instead, without installing anything, what the same
would be on other systems. It needs uv. A table is printed; the exit code is 1 where something failed.
"""

import argparse
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Qt's wheels need these glibc; of torch there are no wheels for Intel's Macs since 2.3, so that their row fails
PLATFORMS = ("x86_64-manylinux_2_34", "aarch64-manylinux_2_39", "x86_64-apple-darwin", "aarch64-apple-darwin",
             "x86_64-pc-windows-msvc")  # fmt: skip
PYTHONS = ("3.11", "3.12", "3.13")
RESOLUTIONS = {"lowest": "lowest-direct", "newest": "highest"}
_TESTS = (
    "tests/core/exports/test_interchange.py", "tests/core/exports/test_medical.py", "tests/core/files/test_formats.py",
    "tests/core/physics/test_operators.py", "tests/core/solvers/test_solvers.py", "tests/core/test_api.py",
    "tests/gui/test_window.py",
)  # fmt: skip
_SOURCES = ("argparse-manpage",)  # of Python alone, and without wheels
_SHOWN = ("torch", "numpy", "scipy", "pydantic", "pyside6-essentials", "zarr", "astra-toolbox")


def main() -> int:
    """Try every combination that is wanted."""
    parser = argparse.ArgumentParser(description="Try the oldest and the newest dependencies.")
    parser.add_argument("--python", nargs="+", default=PYTHONS, metavar="VERSION", help="versions or paths")
    parser.add_argument("--versions", nargs="+", choices=RESOLUTIONS, default=tuple(RESOLUTIONS))
    parser.add_argument(
        "--resolve", action="store_true", help="only what would be installed, on five systems"
    )
    parser.add_argument(
        "--work", type=Path, default=None, metavar="FOLDER", help="where environments are kept"
    )
    options = parser.parse_args()
    uv = shutil.which("uv")
    if uv is None:
        sys.exit("uv was wanted to resolve dependencies, but it is not on PATH; install it (pip install uv).")
    if options.resolve:
        rows = []
        for platform, python, kind in itertools.product(PLATFORMS, options.python, options.versions):
            rows.append((python, kind, platform, *_resolved(uv, python, kind, platform)))
            print("...", *rows[-1], file=sys.stderr, flush=True)
    elif options.work is not None:
        options.work.mkdir(parents=True, exist_ok=True)
        rows = _tried(uv, options.work, options)
    else:
        with tempfile.TemporaryDirectory(prefix="padis-gui-matrix-") as folder:
            rows = _tried(uv, Path(folder), options)
    for row in rows:
        print(" | ".join(row[:-1]))
    return int(not all(row[-1] == "ok" for row in rows))


def _resolved(uv: str, python: str, kind: str, platform: str) -> tuple[str, str]:
    """What a system would install, in words, and "ok" where there is such a set."""
    command = [uv, "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--python-version", python, "--resolution",
               RESOLUTIONS[kind], "--python-platform", platform, "--only-binary", ":all:",
               *(word for name in _SOURCES for word in ("--no-binary", name)), str(ROOT / "pyproject.toml")]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return f"no set of wheels: {' '.join(done.stderr.split())[-300:]}", "failed"
    found = dict(line.split("==") for line in done.stdout.split() if "==" in line)
    return f"{len(found)} packages, " + ", ".join(f"{n} {found[n]}" for n in _SHOWN if n in found), "ok"


def _tried(uv: str, work: Path, options: argparse.Namespace) -> list[tuple[str, ...]]:
    rows = []
    for python in options.python:
        for kind in options.versions:
            said, state = _try(uv, work / f"{Path(python).name}-{kind}", python, kind)
            rows.append((python, kind, said, state))
            print(f"... {python} {kind}: {said}", file=sys.stderr, flush=True)
    return rows


def _try(uv: str, venv: Path, python: str, kind: str) -> tuple[str, str]:
    """Install one combination and test it: what came of it, and "ok" or "failed"."""
    inside = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--python",
        str(inside),
        "--resolution",
        RESOLUTIONS[kind],
        f"{ROOT}[test]",
    ]
    for command in ([uv, "venv", "--quiet", "--clear", "--python", python, str(venv)], install):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            return f"not installed: {' '.join(done.stderr.split())[-300:]}", "failed"
    # other versions warn of other things: here it counts what they do
    tests = [
        str(inside),
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        "filterwarnings=default",
        *_TESTS,
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "QT_QPA_PLATFORM": "offscreen",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(tests, cwd=ROOT, env=environment, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines()
    failures = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    said = "; ".join([lines[-1] if lines else done.stderr[-200:], *failures[:5]])
    return said, "failed" if done.returncode else "ok"


if __name__ == "__main__":
    sys.exit(main())
