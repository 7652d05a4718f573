"""Start the application: one event loop for Qt and asyncio, one session, one window.

Exceptions that nobody expected, from any thread, slot or coroutine, are brought to the window.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

import qasync
from pyqtgraph.util.garbage_collector import GarbageCollector
from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication

from padis_gui import __version__
from padis_gui.core.runs.presets import resource
from padis_gui.core.settings.errors import PadisError
from padis_gui.gui.frame.main_window import MainWindow
from padis_gui.gui.kit.theme import configure
from padis_gui.viewmodels.session.report import Logbook
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.session.store import Store
from padis_gui.viewmodels.state.preferences import Preferences, user_folder

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


os.environ.setdefault("QT_API", "pyside6")


def make_application(arguments: list[str]) -> QApplication:
    """The one QApplication, styled; the window decides when to quit."""
    app = QApplication([sys.argv[0], *arguments])
    app.setApplicationName("padis_gui")
    app.setOrganizationName("padis_gui")
    app.setDesktopFileName("padis-gui")  # whose icon and name the system shows: `padis-gui desktop --install`
    app.setQuitOnLastWindowClosed(False)
    configure(app)
    app.setWindowIcon(QIcon(str(resource("desktop/padis-gui.svg"))))
    return app


def make_loop(app: QApplication) -> qasync.QEventLoop:
    """Qt's event loop as asyncio's."""
    loop = qasync.QEventLoop(app)
    asyncio.set_event_loop(loop)
    return loop


def collect_garbage_here() -> GarbageCollector:
    """Collect cycles in this thread only: a widget that the compute thread collected would take Qt down.

    What start-up made is frozen out of it, so that a collection never holds the window for long.
    """
    gc.freeze()
    return GarbageCollector(interval=1.0)


async def _live(window: MainWindow, path: Path | None) -> None:
    """Open what was open last (or the demo), or a file, and stay until the window is closed."""
    session, saver = window.session, window.session.saver
    if saver is not None and saver.was_clean:
        await saver.restore()
    if session.opened() is None:  # there was nothing, or it is gone
        await session.open_demo()
    if path is not None:
        window.opening.take(path)
    await window.closed.wait()


def _open_logbook(folder: Path) -> Logbook | None:
    """The log, or None where the disk refuses: the program works without one."""
    try:
        book = Logbook(folder)
        book.open()
    except OSError as error:
        log.warning("No log can be kept in %s: %s", folder, error)
        return None
    log.info("padis_gui %s starts", __version__)
    return book


def _make_session(preferences: Preferences) -> tuple[Session, str]:
    """A session on the remembered device; where that is gone, on the usual one, and a sentence that says so."""
    store = Store(user_folder() / "sessions")
    try:
        return Session(preferences.device, store), ""
    except PadisError as error:
        return Session(
            store=store
        ), f"The device of last time is not there, so the usual one is used. {error}"


def tell_of_crash(window: MainWindow, book: Logbook | None) -> None:
    """Say that the last start did not end as it should, where its log is, and offer what it left."""
    session, saver = window.session, window.session.saver
    where = "" if book is None else f" Its log is {book.path}."
    details = "" if book is None else f"The log: {book.path}\n\n{book.last_fault}".rstrip()
    offer = None
    if saver is not None and saver.has_previous:
        act, store = window.act.restore_session, saver

        async def restore() -> None:
            window.messages.hide()
            act.setEnabled(False)
            await store.restore()
            if session.runs.records:
                window.run_tools.show_list()

        act.setEnabled(True)  # in the menu as well: the message goes with the next one
        act.triggered.connect(lambda _checked=False: session.spawn(restore()))
        offer = "Restore", "Bring back the settings and the runs of the last session", act.trigger
    window.messages.show_message("warning", f"The last session ended unexpectedly.{where}", details, offer)


def main(arguments: list[str]) -> int:
    """Open the window, on a file where one is given; returns the exit code."""
    app = make_application([])
    loop = make_loop(app)
    folder = user_folder()
    book = _open_logbook(folder)
    preferences = Preferences(folder)
    session, trouble = _make_session(preferences)
    window = MainWindow(session, preferences)
    window.help.logbook = book
    reporter = CrashReporter()
    reporter.crashed.connect(
        lambda sentence, details: window.messages.show_message("error", sentence, details)
    )
    reporter.install(loop)
    signal.signal(signal.SIGINT, lambda *_: window.close())
    collector = collect_garbage_here()
    wake = QTimer(interval=200)  # lets Python see Ctrl-C while Qt waits
    wake.timeout.connect(lambda: None)
    wake.start()
    window.appear()
    if trouble:
        window.messages.show_message("warning", trouble)
    crashed = book is not None and book.crashed
    if crashed or (session.saver is not None and not session.saver.was_clean):
        tell_of_crash(window, book)
    path = Path(arguments[0]) if arguments else None
    with loop, contextlib.suppress(asyncio.CancelledError):
        loop.run_until_complete(_live(window, path))
    collector.timer.stop()
    reporter.uninstall()
    if book is not None:
        log.info("padis_gui ends")
        book.close()
    return 0
