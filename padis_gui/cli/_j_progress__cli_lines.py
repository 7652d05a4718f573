"""Events as lines on standard output, for a program that reads them."""

import json
import math
import os
import sys
import time
from typing import Any


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

    def tell(self, event: str, **values: Any) -> bool:
        """An event of that name as a line of JSON."""
        return self.write(json.dumps({"event": event, **values}))


class Pacer:
    """Lets one of a kind through now and then: when so many seconds have gone by since the last."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._last = seconds, -math.inf

    def __call__(self, *, always: bool = False) -> bool:
        """Whether it is time, or this one counts ``always``; the time runs anew then."""
        now = time.monotonic()
        if not always and now - self._last < self._seconds:
            return False
        self._last = now
        return True
