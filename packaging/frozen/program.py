"""What a frozen program starts with: the window, or a verb of the command line."""

import multiprocessing
import os
import sys


def _let_go_of_libraries() -> None:
    """The bootloader points the loader at the program's own libraries, which has happened by now: other programs that this
    one starts (ffmpeg, napari, the system's file manager) are to find theirs. A copy of this program sets it again."""
    before = os.environ.pop("LD_LIBRARY_PATH_ORIG", None)
    os.environ.pop("LD_LIBRARY_PATH", None)
    if before is not None:
        os.environ["LD_LIBRARY_PATH"] = before


if __name__ == "__main__":
    # a process that multiprocessing starts is this program once more, with its own arguments
    multiprocessing.freeze_support()
    if getattr(sys, "frozen", False) and sys.platform.startswith("linux"):
        _let_go_of_libraries()
    from padis_gui.__main__ import main

    sys.exit(main())
