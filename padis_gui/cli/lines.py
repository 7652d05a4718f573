"""Events as lines on standard output, for a program that reads them."""

import os
import sys


class Lines:
    """Standard output, a line at a time; ``open`` until nobody reads it any more."""

    def __init__(self) -> None:
        self.open = True

    def write(self, line: str) -> bool:
        """Write a line at once; says whether somebody may still read."""
        if self.open:
            try:
                print(line, flush=True)
            except OSError:  # the reader is gone; what is still in the buffer must not fail again at exit
                self.open = False
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, sys.stdout.fileno())
                os.close(null)
        return self.open
