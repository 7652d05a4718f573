"""A session without a window, closed after every test."""

import gc

import pytest

from tests.qt import qt_loop, worker_threads


@pytest.fixture
def drive(qapp):
    """Run a coroutine on Qt's loop."""
    qapp.setQuitOnLastWindowClosed(False)
    with qt_loop(qapp) as run:
        yield run


@pytest.fixture
def session(drive):
    """An empty session on the CPU."""
    from padis_gui.viewmodels.session.session import Session

    async def make():
        return Session("cpu")

    gc.disable()  # cycles with QObjects in them are collected in this thread only, as in the program
    made = drive(make())
    made.said = []
    made.message.connect(lambda *message: made.said.append(message))
    yield made
    drive(made.close())
    made.deleteLater()
    gc.collect()
    gc.enable()
    assert not worker_threads()
