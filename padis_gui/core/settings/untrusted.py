"""What others wrote, bounded once where it enters: files, JSON and names.

A recipe, a queue, a geometry or the record in a checkpoint may come from a stranger. Nothing is waited for, and what is
read takes no more memory than a few times its own size.
"""

import errno
import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:  # the command line's help is there before it
    from pydantic import ValidationError

# JSON is read into some ten times its size of memory
MOST_JSON_BYTES = 16 * 2**20
# of a description; of a list of faulty values a ValidationError makes some 1.3 kB each
_MOST_VALUES = 200_000
_MOST_DEPTH = 50
_MOST_DIGITS = 300
_LONGEST_NAME = 200
MOST_THREADS = 1024  # more than any machine has, and fewer than bring one down


def check_ordinary(path: Path) -> None:
    """Raise :class:`OSError` for what is there and is no ordinary file: a pipe or a device may never end.

    Links are followed; a name that no file can have counts as such.
    """
    try:
        mode = os.stat(path).st_mode
    except ValueError as error:  # a zero, or half a character
        raise OSError(errno.EINVAL, f"it is no name: {error}") from None
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is no ordinary file")


def read_bounded(path: Path, most: int = MOST_JSON_BYTES) -> bytes:
    """A whole file of at most so many bytes.

    Raises :class:`ValueError` for a larger one, also where the system does not know how large it is, and :class:`OSError`
    for what cannot be read or is no ordinary file.
    """
    check_ordinary(path)
    with Path(path).open("rb") as file:
        found = file.read(most + 1)
    if len(found) > most:
        raise ValueError(f"it has more than {most / 2**20:.4g} MiB")
    return found


def parse_json(text: bytes | str, *, nan: bool = False) -> Any:
    """The value that JSON describes. Raises :class:`ValueError` for other texts, and for what :func:`check_amount` refuses.

    NaN and infinity are no JSON; ``nan`` takes them where this program has written them.
    """
    if len(text) > MOST_JSON_BYTES:
        raise ValueError(f"it has more than {MOST_JSON_BYTES / 2**20:.4g} MiB")
    try:
        found = json.loads(text, parse_constant=None if nan else _no_number, parse_int=_whole)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    check_amount(found)
    return found


def read_json(path: Path) -> Any:
    """What a JSON file describes; raises as :func:`read_bounded` and :func:`parse_json` do."""
    return parse_json(read_bounded(path))


def check_amount(found: Any) -> None:
    """Raise :class:`ValueError` where plain values are nested too deeply, or are more than a description has.

    To be called before a model looks at them: it collects an error for each faulty one. What is shared counts each time.
    """
    count, level = 0, [found]
    for _ in range(_MOST_DEPTH):
        inside: list[Any] = []
        for value in level:
            parts = (
                value.values()
                if isinstance(value, dict)
                else value
                if isinstance(value, list | tuple)
                else ()
            )
            count += len(parts)
            if count > _MOST_VALUES:
                raise ValueError(f"it holds more than {_MOST_VALUES} values")
            inside.extend(part for part in parts if isinstance(part, dict | list | tuple))
        if not inside:
            return
        level = inside
    raise ValueError("it is nested too deeply")


def check_text(found: Any) -> None:
    """Raise :class:`ValueError` where a text in what JSON described has half a character, which JSON can say (a surrogate)
    and no file that is written of it can hold.
    """
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half a character") from None


def fault_of(error: "ValidationError") -> str:
    """The first thing that a model found wrong, in words."""
    first = error.errors(include_url=False)[0]
    where = plain(".".join(str(part) for part in first["loc"][:3]), 80)
    if not where:
        return plain(str(first.get("ctx", {}).get("error", first["msg"])))
    if first["type"] == "missing":
        return f"the field {where} is missing"
    if first["type"] == "extra_forbidden":
        return f"there is no field {where}"
    return f"{where} is {plain(repr(first['input']), 40)}, but {plain(first['msg'][:1].lower() + first['msg'][1:])}"


def _whole(text: str) -> int:
    """Whatever reads it may take it for a float, which holds no more."""
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"it has a whole number of {len(text)} digits")
    return int(text)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def plain(text: str, longest: int = _LONGEST_NAME) -> str:
    """A text as it can stand in one line of any terminal or label: nothing but printable characters, not too many.

    Control characters would be obeyed there, and marks of direction would turn what stands after them.
    """
    if len(text) > 8 * longest:  # what is left out in any case
        text = text[: 4 * longest] + text[-4 * longest :]
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= longest else f"{text[: longest - longest // 3 - 1]}…{text[-(longest // 3) :]}"
