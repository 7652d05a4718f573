"""What the verbs say on a terminal, which would obey control characters in a name."""

import logging
import sys

from padis_gui.core.settings.untrusted import plain

_LONGEST = 10_000  # characters of a line


def printable(text: object) -> str:
    """A text of one or more lines with nothing in them but printable characters."""
    return "\n".join(plain(line, _LONGEST) for line in str(text).split("\n"))


def say(text: object, *, error: bool = False, end: str = "\n") -> None:
    """Print a text to standard output, or to that of errors: every verb speaks through this."""
    print(printable(text), end=end, file=sys.stderr if error else sys.stdout)


class PlainFormatter(logging.Formatter):
    """Log records as they can stand on a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))
