"""Exceptions that nobody expected, from any thread, slot or coroutine, brought to the window."""

import asyncio
import logging
import sys
import threading
import traceback
from types import TracebackType
from typing import Any

from PySide6.QtCore import QObject, Signal

log = logging.getLogger(__name__)


class CrashReporter(QObject):
    """``crashed`` carries a sentence and the traceback, on the thread of this object, wherever the error was."""

    crashed = Signal(str, str)

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Catch what would otherwise only be printed."""
        self._before = sys.excepthook, threading.excepthook
        sys.excepthook = self._from_python
        threading.excepthook = lambda args: self._from_python(
            args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback
        )
        loop.set_exception_handler(self._from_loop)

    def uninstall(self) -> None:
        """Leave Python's own hooks."""
        sys.excepthook, threading.excepthook = self._before

    def _from_python(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if issubclass(kind, KeyboardInterrupt | SystemExit):
            self._before[0](kind, error, trace)
            return
        details = "".join(traceback.format_exception(kind, error, trace))
        log.error("Unhandled: %s", details)
        self.crashed.emit(f"Something unexpected went wrong ({kind.__name__}: {str(error)[:200]}).", details)

    def _from_loop(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is None:
            log.error("The event loop: %s", context.get("message"))
        elif not isinstance(error, asyncio.CancelledError):
            self._from_python(type(error), error, error.__traceback__)
