"""Files that a verb will write: checked before a long run, written whole or not at all."""

import json
from pathlib import Path
from typing import Any


def write_text(path: Path, text: str) -> None:
    """Write a report or a table; :class:`InputError` where that fails."""
    from padis_gui.core.settings._j_files__core_atomic import failures_said, write_atomically

    with failures_said("The report", path):
        write_atomically(path, text.encode())


def write_json(path: Path, report: dict[str, Any]) -> None:
    """Write a report as JSON."""
    write_text(path, json.dumps(report, indent=2, ensure_ascii=False) + "\n")
