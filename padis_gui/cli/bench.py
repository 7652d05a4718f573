"""`padis-gui bench SUBJECT`: the benchmarks beside the package, where a checkout has them."""

import argparse
import importlib
import sys
from pathlib import Path
from types import ModuleType

import padis_gui
from padis_gui.core.settings.errors import InputError

_FOLDER = Path(padis_gui.__file__).resolve().parents[1] / "benchmarks"


def _benchmarks() -> ModuleType:
    """Their options. Only the folder beside the package is taken, never one of that name in the working directory."""
    if not (_FOLDER / "options.py").is_file():
        raise InputError(
            "The benchmarks were wanted, but they come with a checkout of the project and not with an installed "
            "package; get the sources and run padis-gui bench there."
        )
    if str(_FOLDER.parent) not in sys.path:
        sys.path.insert(0, str(_FOLDER.parent))
    found = importlib.import_module("benchmarks.options")
    if Path(found.__file__ or "").resolve().parent != _FOLDER:
        raise InputError(
            f"The benchmarks in {_FOLDER} were wanted, but Python found others in {found.__file__}; run the command in "
            "another folder."
        )
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subjects and their options."""
    _benchmarks().add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Measure the subject asked for."""
    return int(_benchmarks().run(options))
