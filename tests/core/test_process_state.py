"""What belongs to the whole process is not changed for a while: files are read and runs made in threads."""

import ast
from collections.abc import Iterator
from pathlib import Path

import padis_gui

PACKAGE = Path(padis_gui.__file__).parent
# functions that change something of all threads; where one is allowed after all, and why, is said in ALLOWED
FORBIDDEN = {"catch_warnings", "simplefilter", "umask", "chdir", "setlocale"}
AT_IMPORT_ONLY = {"filterwarnings"}
ALLOWED: set[tuple[str, str]] = set()  # (file, function)


def called(path: Path) -> Iterator[tuple[str, bool]]:
    """The names of functions that a file uses, and whether it does so in a function of its own."""
    inside: set[int] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inside |= {id(inner) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr, id(node) in inside
        elif isinstance(node, ast.Name):
            yield node.id, id(node) in inside
        elif isinstance(node, ast.alias):
            yield node.name, id(node) in inside


def test_nothing_of_the_whole_process_is_changed_for_a_while() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 100
    found = {
        (path.relative_to(PACKAGE).as_posix(), name)
        for path in files
        for name, in_function in called(path)
        if name in FORBIDDEN or (name in AT_IMPORT_ONLY and in_function)
    }
    assert found == ALLOWED


def test_the_check_sees_what_it_looks_for(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(
        "import os\nfrom warnings import catch_warnings\nwarnings.filterwarnings('ignore')\n"
        "def f():\n    os.umask(0)\n    warnings.filterwarnings('ignore')\n",
        encoding="utf-8",
    )
    found = list(called(path))
    assert ("catch_warnings", False) in found
    assert ("umask", True) in found
    assert {("filterwarnings", False), ("filterwarnings", True)} <= set(found)
