"""`padis-gui desktop`: an entry in the menu of programs, kinds of files, a page of the manual and completion in the shell.

What is written follows the specifications of freedesktop.org: all of it lies below the user's data folder, under names
of this program, and is taken out again by those names.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from padis_gui.cli.terminal import say
from padis_gui.core.settings.errors import InputError, PadisError
from padis_gui.core.settings.files import failures_said, write_atomically

# Programs that tell the system of what is new, with the folder below the data that each is given
_CACHES = (("update-desktop-database", "applications"), ("update-mime-database", "mime"))


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file below the folder of data; ``make`` gives its text for the command that opens the window."""

    place: str
    make: Callable[[str], str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this verb."""
    parser.description = (
        "Put padis_gui into the desktop's menu of programs, with its icon and the kinds of files that it opens, and give "
        "the shell the page of the manual (man padis-gui) and completion (bash, zsh); or take all of that out again. Only "
        "files of the user are written, none as an administrator."
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--install", action="store_true", help="write the files")
    what.add_argument("--remove", action="store_true", help="remove them")
    parser.add_argument(
        "--data-home", type=Path, default=None, metavar="FOLDER",
        help="the folder of data (default: XDG_DATA_HOME, else ~/.local/share); a packager gives usr/share of the package",
    )  # fmt: skip
    parser.add_argument(
        "--command", default=None, metavar="COMMAND",
        help="what opens the window (default: this copy of the program); a packager gives padis-gui",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Write the files or remove them; raises :class:`InputError` where there is no such desktop, or no writing."""
    if sys.platform in ("win32", "darwin") and options.data_home is None:
        raise InputError(
            "A desktop as of freedesktop.org (Linux, BSD) was wanted, but this system has another one; make a link to "
            "padis-gui by hand, or give --data-home."
        )
    home = data_home() if options.data_home is None else options.data_home
    changed = _install(home, options.command) if options.install else _remove(home)
    for name, folder in _CACHES:
        if changed and (home / folder).is_dir() and shutil.which(name):
            subprocess.run([name, str(home / folder)], capture_output=True, check=False)
    for path in changed:
        say(f"{'Wrote' if options.install else 'Removed'} {path}.")
    if not changed:
        say(f"Nothing of padis_gui is in {home}.")
    return 0


def data_home() -> Path:
    """The user's folder of data, as the specification of base folders has it: what is not absolute counts for nothing."""
    chosen = Path(os.environ.get("XDG_DATA_HOME", ""))
    return chosen if chosen.is_absolute() else Path.home() / ".local" / "share"


def _install(home: Path, command: str | None) -> list[Path]:
    # a frozen program is its own interpreter, and takes no module
    here = "" if getattr(sys, "frozen", False) else " -m padis_gui"
    start = command or f"{_quoted(sys.executable)}{here}"
    written = []
    for entry in _ENTRIES:
        path = home / entry.place
        with failures_said("The entry of padis_gui", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, entry.make(start).encode())
        written.append(path)
    return written


def _remove(home: Path) -> list[Path]:
    removed = []
    for entry in _ENTRIES:
        path = home / entry.place
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InputError(f"{path} cannot be removed ({error.strerror}); remove it by hand.") from None
        removed.append(path)
    return removed


def _quoted(program: str) -> str:
    """A path as a word of a desktop entry's Exec, where % begins a field."""
    for sign in ("\\", '"', "`", "$"):
        program = program.replace(sign, "\\" + sign)
    # what escapes there is itself escaped in a value of the file
    return f'"{program}"'.replace("\\", "\\\\").replace("%", "%%")


def _bundled(name: str) -> Callable[[str], str]:
    def text(command: str) -> str:
        from padis_gui.core.runs.presets import resource

        return (
            resource(f"desktop/{name}")
            .read_text(encoding="utf-8")
            .replace("Exec=padis-gui ", f"Exec={command} ")
        )

    return text


def _manual(_command: str) -> str:
    from argparse_manpage.manpage import Manpage

    parser = _parser()
    parser.man_short_description = "reconstruct measurements with patch-diffusion priors"  # type: ignore[attr-defined]
    return str(Manpage(parser, format="single-commands-section"))


def _completion(shell: str) -> Callable[[str], str]:
    def text(_command: str) -> str:
        import shtab

        return str(shtab.complete(_parser(), shell))

    return text


def _parser() -> argparse.ArgumentParser:
    """The parser of all verbs that this copy has."""
    from padis_gui.cli.main import VERBS, parser_of, parser_of_all

    there = []
    for verb in VERBS:
        try:
            parser_of(verb)
        except PadisError:  # the benchmarks of an installed copy
            continue
        there.append(verb)
    return parser_of_all(*there)


_ENTRIES = (
    _Entry("applications/padis-gui.desktop", _bundled("padis-gui.desktop")),
    _Entry("icons/hicolor/scalable/apps/padis-gui.svg", _bundled("padis-gui.svg")),
    _Entry("metainfo/padis-gui.metainfo.xml", _bundled("padis-gui.metainfo.xml")),
    _Entry("mime/packages/padis-gui.xml", _bundled("padis-gui.mime.xml")),
    _Entry("man/man1/padis-gui.1", _manual),
    _Entry("bash-completion/completions/padis-gui", _completion("bash")),
    _Entry("zsh/site-functions/_padis-gui", _completion("zsh")),
)
