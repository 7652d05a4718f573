"""docs/formats.md says of every format what the program does: its names, endings and words are the program's own."""

import ast
import re
from pathlib import Path

import pytest

from padis_gui.core.files.formats.folder import FOLDER
from padis_gui.core.files.formats.recognise import FORMATS

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
READERS = [*(ROOT / "padis_gui/core/files").rglob("*.py"), *(ROOT / "padis_gui/core/images").rglob("*.py")]


def rows(title: str) -> list[list[str]]:
    """The cells of a table below a title, without its head."""
    section = TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def said() -> str:
    """Every text of the readers, with what is written in several pieces in one."""
    found = []
    for file in READERS:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(v.value if isinstance(v, ast.Constant) else "…" for v in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def test_each_format_has_its_row_with_its_names_and_endings() -> None:
    stated = {
        names: (set(re.findall(r"`([^`]+)`", endings)), what) for names, endings, what, *_ in rows("Images")
    }
    expected = {", ".join(one.names): set(one.suffixes) for one in FORMATS} | {
        "a folder": set(FOLDER.suffixes)
    }
    assert {names: endings for names, (endings, _) in stated.items()} == expected
    assert all(what for _, what in stated.values())


MAKERS = ("ScanFile", "open_cone", "every_row")  # of a scan: name or pages, kind


def test_each_layout_of_scans_has_its_row() -> None:
    """A scan's ``kind``, which every reader of a layout gives, is written in its source."""
    kinds = set()
    for file in (ROOT / "padis_gui/core/files/scans").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in MAKERS and len(node.args) > 1:
                kind = node.args[1]
                kinds |= {kind.value} if isinstance(kind, ast.Constant) else set()
    assert kinds == {row[0] for row in rows("Scans")}


QUOTED = re.findall(r"“([^”]+)”", TEXT)


@pytest.mark.parametrize("words", sorted(set(QUOTED)))
def test_the_words_of_refusals_are_the_programs(words: str) -> None:
    assert re.sub(r"\s+", " ", words) in re.sub(r"\s+", " ", said())


def test_rows_have_as_many_cells_as_their_table() -> None:
    assert {len(row) for row in rows("Images")} == {5}
    assert {len(row) for row in rows("Scans")} == {4}
    assert len(QUOTED) > 30
