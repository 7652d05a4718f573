"""Handing what is shown to another program on this machine: as TIFF in the user's cache, which it is told to open."""

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from PySide6.QtCore import QProcess, QProcessEnvironment, QStandardPaths

from padis_gui import GIVEN_ENVIRONMENT
from padis_gui.core.exports.registry import ExportSettings
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.files import HOME_VARIABLE, failures_said
from padis_gui.viewmodels.session.exporting import Exported, export_run, proposed_name

_KEPT = 20  # files; the program that was told of one may have it open for long


@dataclass(frozen=True, slots=True)
class Viewer:
    """A program for pictures: what users call it, and the names by which PATH may know it. ``of_iterates`` where it
    shows the iterates on the way too, with their tilings."""

    name: str
    commands: tuple[str, ...]
    of_iterates: bool = False


NAPARI = Viewer("napari", ("napari",), of_iterates=True)
_IMAGEJ = "ImageJ imagej fiji Fiji fiji-linux-x64 ImageJ-linux64 fiji-windows-x64 ImageJ-win64"
IMAGEJ = Viewer("ImageJ", tuple(_IMAGEJ.split()))


def found(viewer: Viewer, chosen: str = "") -> str:
    """The program: the one that was ``chosen``, if it is there still, else by its names; "" where there is none."""
    if chosen and os.access(chosen, os.X_OK) and os.path.isfile(chosen):
        return chosen
    return next((path for name in viewer.commands if (path := shutil.which(name)) is not None), "")


def not_found(viewer: Viewer) -> str:
    """What to say then."""
    return (
        f"{viewer.name} was wanted, but no program of that name is on PATH; choose it once, or install it and start this "
        "program anew."
    )


def outbox() -> Path:
    """The folder of what was handed over; it need not exist."""
    own = os.environ.get(HOME_VARIABLE)
    if own:
        return Path(own).absolute() / "cache" / "sent"
    cache = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericCacheLocation)
    return Path(cache) / "padis_gui" / "sent"


def write_for(viewer: Viewer, run: Exported, folder: Path) -> list[Path]:
    """Write the result of a run, and the iterates where the viewer shows them and some are kept. Call it in the I/O thread.

    What was handed over long ago is removed. Raises :class:`~padis_gui.core.settings.errors.PadisError`.
    """
    with failures_said("The picture", folder):
        folder.mkdir(parents=True, exist_ok=True)
        _tidy(folder)
    written = []
    for what in ("result", "iterates") if viewer.of_iterates and run.history.steps else ("result",):
        settings = ExportSettings(what=what)
        path = _free(folder, proposed_name(run, settings))
        export_run(run, path, settings)
        written.append(path)
    return written


def start(viewer: Viewer, program: str, files: Iterable[Path]) -> str:
    """Start the program on the files, as a process of its own that outlives this one; returns a sentence.

    Raises :class:`InputError` where the system does not start it.
    """
    names = [str(file) for file in files]
    if not start_apart(program, names):
        raise InputError(
            f"{viewer.name} was to be started, but the system does not run {program}; choose another program."
        )
    return f"Sent {' and '.join(Path(name).name for name in names)} to {viewer.name}."


def start_apart(program: str, arguments: Sequence[str]) -> bool:
    """Start another's program, which outlives this one, in the environment that this one was given; whether it was."""
    environment, process = QProcessEnvironment(), QProcess()
    for name, value in GIVEN_ENVIRONMENT.items():
        environment.insert(name, value)
    process.setProcessEnvironment(environment)
    process.setProgram(program)
    process.setArguments(list(arguments))
    return cast(bool, process.startDetached())  # where its stubs say a tuple


def _tidy(folder: Path) -> None:
    there = sorted(folder.glob("*.tif"), key=lambda file: file.stat().st_mtime)
    for file in there[: max(0, len(there) - _KEPT)]:
        file.unlink(missing_ok=True)


def _free(folder: Path, name: str) -> Path:
    """A name that is not there yet: a program may have the earlier file open."""
    stem, suffix = name.rsplit(".", 1)
    numbered = (folder / (f"{stem}.{suffix}" if n == 1 else f"{stem}-{n}.{suffix}") for n in range(1, 10_000))
    return next((path for path in numbered if not path.exists()), folder / name)
