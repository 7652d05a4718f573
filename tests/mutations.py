"""Descriptions in JSON with faults in their fields: another type, an absurd number, a name that is none, too much of it.

What is mutated is sound but for the fault, so that it comes as far as the reader that looks at the field.
"""

import copy
import json
from collections.abc import Iterator
from random import Random
from typing import Any

_NUMBERS = (
    0, 1, -1, 2, 3, 0.5, -0.0, 1e-300, 1e15, 1e308, -1e308, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, -(2**63),
    2**64, 2**70, 10**400, 100, 1000, 10_000, 10**6, 10**9,
)  # fmt: skip
_RAW = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "-1e999",
    "01",
    "1" * 5000,
    "tru",
    "",
    "'a'",
    "\x00",
    '"\\ud800"',
    '"\t"',
)
_TEXTS = (
    "", " ", ".", "/", "/dev/zero", "/dev/stdin", "/proc/self/mem", "../../a", "a" * 300, "a" * 100_000, "a\x00b",
    "\x1b]0;title\x07", "\x1b[2J[red]a[/red]", "[/]", "<b>a</b>", "%s%n{0}", "a\nb\r\nc", "\u202eabc", "\ud800", "é\u0301",
    "NaN", "1", "true", "null", "cpu", "cuda:99", "file", "float32", "padis-gui", "1e400",
)  # fmt: skip
_EMPTY = (None, True, False, [], {}, [[]], [{}], {"": None})


def mutated(sound: Any, random: Random) -> str:
    """The text of a description with one to three faults."""
    found = copy.deepcopy(sound)
    raw: list[str] = []
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        found = _fault(found, random, raw)
    text = json.dumps(found, ensure_ascii=random.random() < 0.5)
    for number, token in enumerate(raw):
        text = text.replace(json.dumps(_placeholder(number)), token, 1)
    if random.random() < 0.02:
        text = text[: random.randrange(len(text) + 1)]
    return text


def encoded(text: str) -> bytes:
    """The bytes of a text, with what is no character as it is."""
    return text.encode("utf-8", "surrogatepass")


def _placeholder(number: int) -> str:
    return f"raw-token-{number}-"


def _places(found: Any, depth: int = 0) -> Iterator[tuple[Any, Any]]:
    """All (container, key); of what was nested deeply for a fault only the beginning."""
    if depth > 20:
        return
    for key in (
        list(found)
        if isinstance(found, dict)
        else range(min(len(found), 50))
        if isinstance(found, list)
        else ()
    ):
        yield found, key
        yield from _places(found[key], depth + 1)


def _fault(found: Any, random: Random, raw: list[str]) -> Any:
    places = list(_places(found))
    if not places or random.random() < 0.02:
        return _other(found, random, raw)
    holder, key = random.choice(places)
    kind = random.random()
    if kind < 0.75:
        holder[key] = _other(holder[key], random, raw)
    elif kind < 0.83:
        del holder[key]
    elif isinstance(holder, list):
        holder.extend([holder[key]] * random.choice((1, 10, 1000, 100_000)))
    elif kind < 0.9:  # the same name twice, or one that is none
        raw.append(
            json.dumps(holder[key], ensure_ascii=True) + f", {json.dumps(key)}: {random.choice(_RAW[:5])}"
        )
        holder[key] = _placeholder(len(raw) - 1)
    else:
        holder[random.choice((*_TEXTS, *holder))] = (
            holder.pop(key) if random.random() < 0.5 else _other(None, random, raw)
        )
    return found


def _other(value: Any, random: Random, raw: list[str]) -> Any:
    kind = random.random()
    if isinstance(value, int | float) and not isinstance(value, bool) and kind < 0.5:
        near = (value + 1, value - 1, -value, value * 2, value * 1000, value // 3)
        return random.choice((*_NUMBERS, *near))
    if isinstance(value, str) and kind < 0.4:
        return random.choice((*_TEXTS, value + random.choice(_TEXTS), value[:-1], value.upper(), value * 2))
    if kind < 0.55:
        return random.choice(_NUMBERS)
    if kind < 0.65:
        raw.append(random.choice(_RAW))
        return _placeholder(len(raw) - 1)
    if kind < 0.8:
        return random.choice(_TEXTS)
    if kind < 0.9:
        return copy.deepcopy(random.choice(_EMPTY))
    if kind < 0.95:
        deep = random.choice((10, 49, 60, 990, 100_000))
        raw.append(random.choice(("[" * deep + "]" * deep, '{"a":' * deep + "1" + "}" * deep)))
        return _placeholder(len(raw) - 1)
    many = random.choice((100, 10_000, 150_000, 400_000))
    raw.append("[" + ",".join([random.choice(("[]", "0", '"a"', "null", "{}", "1e400"))] * many) + "]")
    return _placeholder(len(raw) - 1)
