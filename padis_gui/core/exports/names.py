"""Names of several files by one pattern, such as "{data}_{method}_{seed}".

A pattern is plain data: a field is looked up among given texts, and nothing else is ever done with what stands in braces.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence

from padis_gui.core.settings.errors import InputError, SettingError

_IN_BRACES = re.compile(r"\{([^{}]*)\}")
_REFUSED = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')  # by one of the systems on which the files may be read
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
_LONGEST = 200  # bytes, so that every file system has room for the ending


def names_by(pattern: str, runs: Sequence[Mapping[str, str]], suffix: str) -> tuple[str, ...]:
    """A file name with the ending ``suffix`` for each run, whose fields have these texts.

    What a file system refuses in a text becomes "_". Raises :class:`SettingError` for a pattern with such a character or
    an unknown field, and where two runs would have one name, on any system.
    """
    _check(pattern, [field for run in runs[:1] for field in run])
    found: dict[str, int] = {}
    names = []
    for at, run in enumerate(runs):
        stem = _filled(pattern, run).strip(". ")
        _check_name(stem)
        same = found.setdefault(_alike(stem), at)
        if same != at:
            raise SettingError(
                f"Names that differ were wanted, but runs {same + 1} and {at + 1} would both be {stem}{suffix}; add a "
                "field that tells them apart, such as {number} or {seed}."
            )
        names.append(f"{stem}{suffix}")
    return tuple(names)


def _filled(pattern: str, run: Mapping[str, str]) -> str:
    return _IN_BRACES.sub(lambda field: _REFUSED.sub("_", run[field[1]]), pattern)


def check_free(names: Sequence[str], there: Sequence[str], folder: str) -> None:
    """Raises :class:`InputError` where one of the names is among those that are ``there`` in a folder."""
    taken = {_alike(name) for name in there}
    clashing = [name for name in names if _alike(name) in taken]
    if clashing:
        more = f" and {len(clashing) - 1} more" if len(clashing) > 1 else ""
        raise InputError(
            f"New files were wanted, but {clashing[0]}{more} would be written over in {folder}; change the pattern, or "
            "choose another folder."
        )


def _check(pattern: str, known: Sequence[str]) -> None:
    listed = ", ".join(f"{{{field}}}" for field in known)
    for field in _IN_BRACES.findall(pattern):
        if field not in known:
            raise SettingError(f"{{{field}}} is not a field of a file name; known are {listed}.")
    plain = _IN_BRACES.sub("", pattern)
    if "{" in plain or "}" in plain:
        raise SettingError(f"A field stands in a pair of braces, but one is open here; known are {listed}.")
    refused = _REFUSED.search(plain)
    if refused is not None:
        raise SettingError(f"A file name cannot have {refused[0]!r}; leave it out of the pattern.")


def _check_name(stem: str) -> None:
    if not stem:
        raise SettingError(
            "A name was wanted for each file, but the pattern gives none; write some text or a field."
        )
    if stem.split(".")[0].casefold() in _RESERVED:
        raise SettingError(f"{stem} is a device's name on Windows and cannot be a file; change the pattern.")
    if len(stem.encode(errors="replace")) > _LONGEST:
        raise SettingError(
            f"A name of at most {_LONGEST} bytes was wanted, but one begins {stem[:40]} and goes on for "
            f"{len(stem.encode(errors='replace'))}; shorten the pattern."
        )


def _alike(name: str) -> str:
    """The same for names that some system takes for one."""
    return unicodedata.normalize("NFC", name).casefold()
