"""Which files may be written: one rule for all that a run leaves, asked before it begins.

An output never replaces an input of its run, nor another output, nor what is no ordinary file; and it can be written.
"""

import errno
import os
import stat
import tempfile
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.files import NO_ROOM, reason, remove_leftovers, temporary_name

_IS_INPUT, _IS_OUTPUT = "is the input", "is the result already"


def check_outputs(inputs: Iterable[Path], outputs: Iterable[Path | None]) -> None:
    """A long run must not fail at its last line: every output can be written, and nothing is written over.

    Files are told by their path and by what the file system knows them by: links of both kinds and other spellings of a
    name lead to the same file. A folder among the ``inputs`` stands for all that is in it. What a killed run left of
    the outputs is removed. Raises :class:`InputError`.
    """
    taken: dict[object, str] = {}
    folders = []
    for path in inputs:
        taken |= dict.fromkeys(_keys(path), _IS_INPUT)
        if os.path.isdir(path):
            folders.append(os.path.realpath(path))
    for path in filter(None, outputs):
        what = _why_not_writable(path)
        keys = [] if what else [*_keys(path), _alike(path)]
        what = what or next((taken[key] for key in keys if key in taken), "")
        if not what and path.exists() and any(_is_below(path, folder) for folder in folders):
            what = "is one of the input's files"
        if what:
            raise InputError(
                f"A file to write was wanted, but {_shown(path)} {what}; choose another name.",
                remedy="elsewhere",
            )
        taken |= dict.fromkeys(keys, _IS_OUTPUT)
        remove_leftovers(path)


def check_is_tiff(path: Path) -> None:
    """Raises :class:`InputError` for a result with another ending."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise InputError(f"The result is a TIFF, but {_shown(path)} does not end in .tif; rename it.")


def is_ome_zarr(path: Path) -> bool:
    """Whether a name is that of a folder of OME-Zarr."""
    return path.name.lower().endswith(".ome.zarr")


def check_is_result(path: Path) -> None:
    """Raises :class:`InputError` for a result that is neither a TIFF nor OME-Zarr by its name."""
    if not is_ome_zarr(path) and path.suffix.lower() not in (".tif", ".tiff"):
        raise InputError(
            f"The result is a TIFF or an OME-Zarr, but {_shown(path)} does not end in .tif or .ome.zarr; rename it."
        )


def check_names(*paths: Path | None) -> None:
    """Recipes are text: raises :class:`InputError` for a path that no text can hold, as some systems allow."""
    for path in filter(None, paths):
        try:
            str(path).encode()
        except UnicodeEncodeError:
            raise InputError(
                f"A name in UTF-8 was wanted, so that a recipe can hold it, but {_shown(path)} is none; rename the file "
                "or its folder."
            ) from None


_LONGEST_STEM = 100  # bytes


def elsewhere(path: Path) -> Iterator[Path]:
    """New names for a result that cannot be written to ``path``: beside it, else where this user may write."""
    suffix = ".ome.zarr" if is_ome_zarr(path) else path.suffix
    stem = (
        path.name.removesuffix(suffix).encode(errors="replace")[:_LONGEST_STEM].decode(errors="ignore")
        or "result"
    )
    for folder in (path.parent, Path.cwd(), Path.home(), Path(tempfile.gettempdir())):
        names = (f"{stem}-kept{number}{suffix}" for number in ("", *(f"-{n}" for n in range(2, 100))))
        free = (folder / name for name in names if not os.path.lexists(folder / name))
        if os.path.isdir(folder) and (found := next(free, None)) is not None:
            yield found


def free_folder(root: Path, name: str, taken: Callable[[Path], bool]) -> Path:
    """A folder of that name in ``root`` that is not ``taken``, nor a file: ``name``, or ``name-2``, ``name-3`` …"""
    stem = "".join(c if c.isalnum() or c in "-_. " else "-" for c in name).strip(" .-") or "untitled"
    folder, number = Path(root) / stem, 1
    while taken(folder) or (folder.exists() and not folder.is_dir()):
        number += 1
        folder = Path(root) / f"{stem}-{number}"
    return folder


def _why_not_writable(path: Path) -> str:
    """The end of a sentence about a name that cannot be written; "" for one that can, which was tried."""
    check_names(path)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        return _in_words(error, path)
    else:
        if stat.S_ISDIR(mode):
            return "is a folder"
        if not stat.S_ISREG(mode):
            return "is a pipe, a socket or a device"
    if not os.path.isdir(path.parent):
        return "lies in a folder that does not exist"
    trial = temporary_name(path)
    try:
        trial.open("xb").close()
        trial.unlink()
    except OSError as error:
        return _in_words(error, path)
    return ""


def _in_words(error: OSError | ValueError, path: Path) -> str:
    code = getattr(error, "errno", None)
    if code == errno.ELOOP:
        return "is a symbolic link that leads to itself"
    if code == errno.ENAMETOOLONG:
        return f"has too long a name ({len(path.name.encode())} bytes, and 10 more while it is written)"
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "lies in a folder that cannot be written"
    if code == errno.ENOTDIR:
        return "lies in a folder that does not exist"
    if code in NO_ROOM:
        return "lies where no room is left"
    return f"is no name that can be ({reason(error) if isinstance(error, OSError) else error})"


def _keys(path: Path) -> list[object]:
    """What a file is known by: where it is when all links are followed, and its place in the file system."""
    try:
        keys: list[object] = [os.path.realpath(path)]
    except ValueError:  # a zero in it, from a recipe: no file has such a name
        return [str(path)]
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return keys
    return [*keys, (found.st_dev, found.st_ino)] if found.st_ino else keys


def _alike(path: Path) -> object:
    """The same for names of a folder that some system takes for one."""
    real = Path(os.path.realpath(path))
    return str(real.parent), unicodedata.normalize("NFC", real.name).casefold()


def _is_below(path: Path, folder: str) -> bool:
    return Path(folder) in Path(os.path.realpath(path)).parents


def _shown(path: Path) -> str:
    """A path as text that every terminal can show."""
    return str(path).encode(errors="backslashreplace").decode()
