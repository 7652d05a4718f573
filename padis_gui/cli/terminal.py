"""What the verbs say on a terminal, which would obey control characters in a name."""

import contextlib
import io
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from padis_gui.core.settings.untrusted import plain

_LONGEST = 10_000  # characters of a line


def printable(text: object) -> str:
    """A text of one or more lines with nothing in them but printable characters."""
    return "\n".join(plain(line, _LONGEST) for line in str(text).split("\n"))


def say(text: object, *, error: bool = False, end: str = "\n") -> None:
    """Print a text to standard output, or to that of errors: every verb speaks through this.

    That nobody listens any more ends no run.
    """
    with contextlib.suppress(BrokenPipeError):
        print(printable(text), end=end, file=sys.stderr if error else sys.stdout)


class _Lasting(io.RawIOBase):
    """Writes to a file descriptor; what the system does not take, as where a disk is full, is lost and remembered."""

    def __init__(self, handle: int) -> None:
        super().__init__()
        self._handle = handle
        self.lost = ""
        self.ends = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._handle

    def isatty(self) -> bool:
        return os.isatty(self._handle)

    def write(self, data: Any) -> int:
        try:
            return os.write(self._handle, data)
        except BrokenPipeError:  # a reader that has gone: who writes lines without end asks for it
            if not self.ends:
                raise
            return len(data)
        except OSError as error:
            self.lost = self.lost or (error.strerror or type(error).__name__)
            return len(data)


def speaking(work: Callable[[], int]) -> int:
    """The exit code of a verb, whose words are not what it is about: a run goes on where they cannot be written.

    2 where words were lost, which is said on standard error if that takes it.
    """
    streams = {}
    for name in ("stdout", "stderr"):
        own = getattr(sys, name)
        if not isinstance(own, io.TextIOWrapper):
            return work()
        own.flush()
        streams[name] = raw = _Lasting(own.fileno())
        made = io.TextIOWrapper(
            io.BufferedWriter(raw), encoding=own.encoding, errors=own.errors,
            line_buffering=own.line_buffering or name == "stderr", write_through=name == "stderr",
        )  # fmt: skip
        setattr(sys, name, made)
    try:
        code = work()
    except SystemExit as ended:  # of the parser, which has said why
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    for name, raw in streams.items():
        raw.ends = True
        getattr(sys, name).flush()
    lost = next((raw.lost for raw in streams.values() if raw.lost), "")
    if not lost:
        return code
    say(
        f"padis-gui: What there was to say cannot be written ({lost}); make room. All else was done.",
        error=True,
    )
    return code or 2


class PlainFormatter(logging.Formatter):
    """Log records as they can stand on a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))
