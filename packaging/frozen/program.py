"""What a frozen program starts with: the window, or a verb of the command line."""

import multiprocessing
import sys

if __name__ == "__main__":
    # a process that multiprocessing starts is this program once more, with its own arguments
    multiprocessing.freeze_support()
    from padis_gui.__main__ import main

    sys.exit(main())
