"""The real window on the offscreen platform, closed after every test; a thread left behind fails it."""

import gc

import pyqtgraph as pg
import pytest
from PySide6.QtWidgets import QApplication

from padis_gui.gui.kit.theme import configure
from tests.gui.user import leave
from tests.qt import qt_loop, worker_threads


@pytest.fixture(scope="session")
def styled(qapp):
    """The application as the program styles it."""
    qapp.setQuitOnLastWindowClosed(False)
    configure(qapp)
    pg.setConfigOption("mouseRateLimit", -1)  # a test drags faster than a hand, and each of its moves counts
    gc.disable()  # as in the program: cycles with widgets in them are collected in this thread only
    yield qapp
    gc.enable()


@pytest.fixture
def drive(styled):
    """Run a coroutine on Qt's loop."""
    with qt_loop(styled) as run:
        yield run


@pytest.fixture
def window(drive, tmp_path):
    """A shown main window on an empty session; small problems need no more than one torch thread."""
    from padis_gui.gui.frame.main_window import MainWindow
    from padis_gui.viewmodels.session.session import Session
    from padis_gui.viewmodels.studies.studies import Studies
    from padis_gui.viewmodels.training.trainer import Trainer

    async def make():
        session = Session("cpu")
        made = MainWindow(
            session,
            trainer=Trainer(session, tmp_path / "trainings"),
            studies=Studies(session, tmp_path / "studies"),
        )
        made.resize(1280, 720)
        made.show()
        return made

    made = drive(make())
    yield made
    drive(leave(made))
    made.deleteLater()
    QApplication.processEvents()
    gc.collect()
    assert not worker_threads()
    assert not [w for w in QApplication.topLevelWidgets() if w.isVisible()]


@pytest.fixture
def panes(styled):
    """Four shown panes without a session, thrown away after the test."""
    from padis_gui.gui.panes.pane_grid import PaneGrid

    made = PaneGrid()
    made.resize(900, 700)
    made.show()
    QApplication.processEvents()
    yield made
    made.close()
    made.deleteLater()
    QApplication.processEvents()
    gc.collect()
