"""Tests wait for what happens, never for a time: the law, and the helper that waits without Qt."""

import ast
import re
from pathlib import Path

import pytest

from tests.waiting import wait_for

TESTS = Path(__file__).parents[1]
_WAITS = {"sleep", "usleep", "msleep", "qSleep", "qWait"}
_REASON = re.compile(r"#\s*sleep: \w+")


def without_reason(source: str) -> list[int]:
    """Lines with a call that lets a time pass, also in a program within a text, and no ``# sleep: reason`` beside it."""
    lines = source.splitlines()

    def is_excused(node: ast.expr) -> bool:
        return any(_REASON.search(line) for line in lines[node.lineno - 1 : node.end_lineno])

    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.Call) and _lets_time_pass(node.func) and not is_excused(node))
        or (isinstance(node, ast.Constant) and isinstance(node.value, str) and _within(node.value))
    ]


def _lets_time_pass(function: ast.expr) -> bool:
    if isinstance(function, ast.Attribute):
        of_qtbot = isinstance(function.value, ast.Name) and function.value.id == "qtbot"
        return function.attr in _WAITS or (of_qtbot and function.attr == "wait")
    return isinstance(function, ast.Name) and function.id in _WAITS


def _within(text: str) -> bool:
    """Whether a program in a text sleeps without a reason; what cannot be parsed is no program."""
    if "sleep(" not in text:
        return False
    try:
        return bool(without_reason(text))
    except SyntaxError:
        return False


def test_no_fixed_sleep_without_a_reason() -> None:
    """A fixed sleep is too short on a busy machine and too long on every other: wait for the condition itself."""
    sleeps = {path: without_reason(path.read_text(encoding="utf-8")) for path in TESTS.rglob("*.py")}
    assert {str(path): lines for path, lines in sleeps.items() if lines} == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("time.nap(1)", [1]), ("await asyncio.nap(0.1)", [1]), ("nap(1)", [1]), ("qtbot.wait(50)", [1]),
        ("QTest.qWait(50)", [1]), ("time.nap(1)  # sleep: the file's clock", []), ("time.nap(1)  # sleep:", [1]),
        ("x = 1\ntime.nap(  # sleep: a reason\n    1\n)", []), ("event.wait(50)", []), ("a = 'no sleep (at all)'", []),
        ("run('import time\\ntime.nap(1)')", [1]), ("run('time.nap(1)  # sleep: a reason')", []),
    ],
)  # fmt: skip
def test_what_counts_as_a_sleep(source: str, found: list[int]) -> None:
    assert without_reason(source.replace("nap(", "sleep(")) == found


def test_waiting_ends_with_the_condition_or_in_vain() -> None:
    seen: list[int] = []
    wait_for(lambda: len(seen) == 3, lambda: seen.append(1))
    assert len(seen) == 3
    with pytest.raises(AssertionError, match="in vain"):
        wait_for(lambda: False, timeout=0.01)
