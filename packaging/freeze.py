"""Freeze the program: `python packaging/freeze.py` makes a folder that runs without Python, and says how large it is.

An environment of its own is set up in --work (a temporary folder unless it is given) with the tested versions and
PyInstaller, and the package of this checkout; frozen/padis-gui.spec says what goes into the program. The folder is
--out (default: dist/padis-gui); `packaging/smoke.py dist/padis-gui/padis-gui` then tries it.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SPEC = ROOT / "packaging" / "frozen" / "padis-gui.spec"
CONSTRAINTS = ROOT / "packaging" / "constraints.txt"
_LISTED = 12


def main() -> int:
    """Set up, freeze, measure; the exit code is that of the step that failed."""
    parser = argparse.ArgumentParser(description="Freeze the program into one folder.")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "dist" / "padis-gui", metavar="FOLDER", help="where it goes"
    )
    parser.add_argument(
        "--work",
        type=Path,
        default=None,
        metavar="FOLDER",
        help="where the environment and its work are kept",
    )
    options = parser.parse_args()
    if options.work is not None:
        options.work.mkdir(parents=True, exist_ok=True)
        return freeze(options.work, options.out)
    with tempfile.TemporaryDirectory(prefix="padis-gui-freeze-") as folder:
        return freeze(Path(folder), options.out)


def freeze(work: Path, out: Path) -> int:
    """Make the program in ``out``, whatever was there before; returns an exit code."""
    python = environment(work / "venv")
    made, before = work / "dist", {**os.environ, "PYTHONHASHSEED": "0"}
    command = [str(python), "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN"]
    command += ["--workpath", str(work / "build"), "--distpath", str(made), str(SPEC)]
    done = subprocess.run(command, cwd=work, env=before)
    if done.returncode:
        return done.returncode
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out, ignore_errors=True)
    shutil.move(made / "padis-gui", out)
    strip(out)
    for line in sizes(out):
        print(line)
    return 0


def environment(venv: Path) -> Path:
    """An environment with the tested versions and PyInstaller; its Python."""
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.is_file():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--constraint", str(CONSTRAINTS)]
    subprocess.run([*install, "hatchling", "pyinstaller>=6.11", str(ROOT)], check=True)
    # the spec collects the package from the checkout: a copy in the environment might be an older one
    subprocess.run([str(python), "-m", "pip", "uninstall", "--quiet", "--yes", "padis-gui"], check=True)
    return python


def strip(folder: Path) -> None:
    """Take the symbols out of libraries, which debuggers alone read; those that auditwheel has moved stay as they are.

    A library that does not load any more afterwards would be found by packaging/smoke.py.
    """
    tool = shutil.which("strip")
    if tool is None or not sys.platform.startswith("linux"):
        return
    for path in folder.rglob("*.so*"):
        if (
            path.is_file()
            and not path.is_symlink()
            and not any(part.endswith(".libs") for part in path.parts)
        ):
            subprocess.run([tool, "--strip-unneeded", str(path)], capture_output=True, check=False)


def sizes(folder: Path) -> list[str]:
    """How large a folder is, and its largest parts."""
    parts: Counter[str] = Counter()
    total = 0
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            inside = path.relative_to(folder).parts
            parts["/".join(inside[:2]) if len(inside) > 2 else inside[-1]] += path.stat().st_size
            total += path.stat().st_size
    largest = [f"  {size / 2**20:7.1f} MiB  {name}" for name, size in parts.most_common(_LISTED)]
    return [f"{folder}: {total / 2**20:.0f} MiB", *largest]


if __name__ == "__main__":
    sys.exit(main())
