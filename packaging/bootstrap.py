"""Set up the project's own environment, .venv, with the standard library alone.

`run.py`, `test.py` and `.ci/run` share it. The environment is kept and set up again only when
constraints.txt, pyproject.toml, the Python version or the place of the checkout has changed.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - an older Python is told so before it fails on what follows
    sys.exit(
        f"padis-gui needs Python 3.11 or newer, but this is {sys.version.split()[0]}; "
        "run the same command with a newer one, such as python3.11."
    )

import hashlib
import importlib.util
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
CONSTRAINTS = ROOT / "packaging" / "constraints.txt"
# What is installed: each level holds the ones before it.
LEVELS = ("run", "test", "dev")
_EXTRAS = {"run": "", "test": "[test]", "dev": "[dev]"}
# With what this project is built, and those of its dependencies that come as sources
_BUILD_TOOLS = ("hatchling", "editables", "setuptools")


def venv_python() -> Path:
    """The environment's Python."""
    return VENV / "Scripts" / "python.exe" if os.name == "nt" else VENV / "bin" / "python"


def ensure(level: str) -> Path:
    """Make sure that .venv holds ``level`` of the project, and return its Python."""
    stamp = VENV / "padis-gui-setup.txt"
    state = _state()
    if venv_python().is_file() and stamp.is_file():
        found, _, installed = stamp.read_text(encoding="utf-8").strip().partition(" ")
        if found == state and installed in LEVELS[LEVELS.index(level) :]:
            return venv_python()
        if installed in LEVELS[LEVELS.index(level) :]:
            level = installed  # never take away what someone uses
    note(f"Setting up .venv with tested versions (the first time downloads {download_size()}) ...")
    stamp.unlink(missing_ok=True)
    _make_venv()
    _pip(*_BUILD_TOOLS)
    _pip("--no-build-isolation", "--editable", f"{ROOT}{_EXTRAS[level]}")
    stamp.write_text(f"{state} {level}\n", encoding="utf-8")
    note("Ready.")
    return venv_python()


def start(command: list[str], environment: dict[str, str] | None = None, folder: Path | None = None) -> int:
    """Become ``command`` where the system can, else run it; returns its exit code."""
    settings = {**os.environ, **(environment or {})}
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "posix":  # signals then reach the program itself
        if folder is not None:
            os.chdir(folder)
        os.execve(command[0], command, settings)
    return subprocess.call(command, env=settings, cwd=folder)


def note(text: str) -> None:
    """One line of progress on standard error, so that standard output stays the program's."""
    print(f"padis-gui: {text}", file=sys.stderr, flush=True)


def download_size() -> str:
    """What the first time downloads, in words: where pip asks its usual index, Linux gets PyTorch with CUDA."""
    chosen = {"PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONFIG_FILE"} & os.environ.keys()
    if sys.platform != "linux" or chosen:
        return "several hundred MB"
    return (
        "several hundred MB, or several GB where pip's index has PyTorch with CUDA; docs/install.md says how to choose "
        "the one for CPUs, and Ctrl-C stops this"
    )


def _state() -> str:
    digest = hashlib.sha256()
    for path in (CONSTRAINTS, ROOT / "pyproject.toml"):
        digest.update(path.read_bytes())
    digest.update(f"{sys.version_info[:2]} {ROOT}".encode())
    return digest.hexdigest()


def _make_venv() -> None:
    if _works(venv_python()):
        return
    if any(importlib.util.find_spec(name) is None for name in ("venv", "ensurepip")):
        sys.exit(
            "padis-gui: this Python cannot make virtual environments; install its venv module "
            "(on Debian and Ubuntu: apt install python3-venv) and run the same command again."
        )
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(VENV)], capture_output=True, text=True
    )
    if made.returncode:
        sys.exit(f"padis-gui: the environment {VENV} cannot be made:\n{made.stdout}{made.stderr}".rstrip())


def _works(python: Path) -> bool:
    """Whether that Python runs, is of this version and has pip."""
    if not python.is_file():
        return False
    question = "import pip, sys; print(*sys.version_info[:2])"
    answer = subprocess.run([str(python), "-c", question], capture_output=True, text=True)
    return answer.stdout.split() == [str(part) for part in sys.version_info[:2]]


def _pip(*arguments: str) -> None:
    command = [str(venv_python()), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*command, "--constraint", str(CONSTRAINTS), *arguments])
    if done.returncode:
        sys.exit("padis-gui: pip could not install the packages (its message is above); check the network.")


def main() -> int:
    """`python3 packaging/bootstrap.py [run|test|dev]` only sets up."""
    level = sys.argv[1] if len(sys.argv) > 1 else "run"
    if level not in LEVELS:
        sys.exit(f"padis-gui: one of {', '.join(LEVELS)} was wanted, but {level!r} was given.")
    print(ensure(level))
    return 0


if __name__ == "__main__":
    sys.exit(main())
