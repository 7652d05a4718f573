"""The notebooks of the handbook run from their first cell to their last, in a folder of their own.

Their cells run as Python in a process, in which the last expression of a cell is shown as a notebook would show it; no
Jupyter is needed for that.
"""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "notebooks"
BOOKS = sorted(FOLDER.glob("*.ipynb"))


def script_of(path: Path) -> str:
    """The cells one after the other; of what a cell ends with, the HTML that a notebook shows is made."""
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        assert cell["outputs"] == [], "a notebook is kept without what it gave"
        tree = ast.parse("".join(cell["source"]))
        last = tree.body[-1]
        if isinstance(last, ast.Expr) and not isinstance(last.value, ast.Call):
            tree.body[-1] = ast.parse(f"assert '<' in ({ast.unparse(last.value)})._repr_html_()").body[0]
        parts.append(ast.unparse(tree))
    return "\n".join(parts)


def test_there_are_three() -> None:
    assert len(BOOKS) == 3


@pytest.mark.parametrize("path", BOOKS, ids=[path.stem for path in BOOKS])
def test_a_notebook_runs_and_is_in_the_handbook(path: Path, tmp_path: Path) -> None:
    assert f"notebooks/{path.name}" in (FOLDER.parent / "notebooks.md").read_text(encoding="utf-8")
    root = str(FOLDER.parents[1])
    done = subprocess.run(
        [sys.executable, "-c", script_of(path)], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
