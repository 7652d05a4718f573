"""Files that a verb will write: checked before a long run, written whole or not at all."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from padis_gui.core.errors import InputError


def check_outputs(inputs: Iterable[Path], outputs: Iterable[Path | None]) -> None:
    """A long run must not fail at its last line: every output can be written, and nothing is written twice.

    Raises :class:`InputError`.
    """
    taken = {path.resolve(): "is the input" for path in inputs}
    for path in outputs:
        if path is None:
            continue
        what = taken.get(path.resolve()) or _why_not_writable(path)
        if what:
            raise InputError(f"A file to write was wanted, but {path} {what}; choose another name.")
        taken[path.resolve()] = "is the result already"


def check_is_tiff(path: Path) -> None:
    """Raises :class:`InputError` for a result with another ending."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise InputError(f"The result is a TIFF, but {path.name} does not end in .tif; rename it.")


def _why_not_writable(path: Path) -> str:
    folder = path.resolve().parent
    try:
        if path.is_dir():
            return "is a folder"
    except OSError as error:
        return f"is no name that can be ({error.strerror})"
    if not folder.is_dir():
        return "lies in a folder that does not exist"
    return "" if os.access(folder, os.W_OK) else "lies in a folder that cannot be written"


def write_text(path: Path, text: str) -> None:
    """Write a report or a table; :class:`InputError` where that fails."""
    from padis_gui.core.atomic import failures_said, write_atomically

    with failures_said("The report", path):
        write_atomically(path, text.encode())


def write_json(path: Path, report: dict[str, Any]) -> None:
    """Write a report as JSON."""
    write_text(path, json.dumps(report, indent=2, ensure_ascii=False) + "\n")
