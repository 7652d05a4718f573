"""Start the application: one event loop for Qt and asyncio, one session, one window."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import traceback
from pathlib import Path
from types import TracebackType

os.environ.setdefault("QT_API", "pyside6")

import qasync
from pyqtgraph.util.garbage_collector import GarbageCollector
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from padis_gui.gui.main_window import MainWindow
from padis_gui.gui.theme import configure
from padis_gui.viewmodels.session import Session

log = logging.getLogger(__name__)


def make_application(arguments: list[str]) -> QApplication:
    """The one QApplication, styled; the window decides when to quit."""
    app = QApplication([sys.argv[0], *arguments])
    app.setApplicationName("padis_gui")
    app.setOrganizationName("padis_gui")
    app.setQuitOnLastWindowClosed(False)
    configure(app)
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
    """Open the demo (or a file) and stay until the window is closed."""
    await window.session.open_demo()
    if path is not None:
        await window.session.open_image(path)
    await window.closed.wait()


def main(arguments: list[str]) -> int:
    """Open the window, on a file where one is given; returns the exit code."""
    app = make_application([])
    loop = make_loop(app)
    window = MainWindow(Session())

    def show_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        details = "".join(traceback.format_exception(kind, error, trace))
        log.error("Unhandled: %s", details)
        window.messages.show_message(
            "error", f"Something unexpected went wrong ({kind.__name__}: {str(error)[:200]}).", details
        )

    sys.excepthook = show_crash
    signal.signal(signal.SIGINT, lambda *_: window.close())
    collector = collect_garbage_here()
    wake = QTimer(interval=200)  # lets Python see Ctrl-C while Qt waits
    wake.timeout.connect(lambda: None)
    wake.start()
    window.show()
    path = Path(arguments[0]) if arguments else None
    with loop, contextlib.suppress(asyncio.CancelledError):
        loop.run_until_complete(_live(window, path))
    collector.timer.stop()
    return 0
