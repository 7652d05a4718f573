"""`padis-gui` opens the window; `padis-gui <verb>` is the command line, which imports no Qt."""

import atexit
import gc
import os
import sys


def main() -> int:
    """Entry point of the program."""
    # what was imported stays until the end: it is no garbage that would have to be looked for once more
    atexit.register(gc.freeze)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # it would read what every package says
    arguments = sys.argv[1:]
    if arguments and not _is_file_or_window_option(arguments[0]):
        from padis_gui.cli.main import main as command_line
        from padis_gui.cli.terminal import speaking

        return speaking(lambda: command_line(arguments))
    gc.disable()  # what a start makes is no garbage; the window has a collector of its own, which takes over
    from padis_gui.gui.frame.platform import why_no_window

    if reason := why_no_window():
        print(reason, file=sys.stderr)
        return 2
    from padis_gui.gui.frame.app import main as window

    return window(arguments)


def _is_file_or_window_option(argument: str) -> bool:
    """`padis-gui scan.tif` opens the window on that file; a verb or an option is for the command line.

    What has a dot or a folder in it is meant as a file, there or not; a name without is one if it is there.
    """
    from padis_gui.cli.main import VERBS

    if argument.startswith("-") or argument in VERBS:
        return False
    return "." in argument or os.sep in argument or os.path.exists(argument)


if __name__ == "__main__":
    sys.exit(main())
