"""The window for tests of the whole program, made and checked as in the tests of the window; the command line refusing."""

from collections.abc import Callable

import pytest

from padis_gui.cli.main import main
from tests.gui.conftest import drive, styled, window  # noqa: F401


@pytest.fixture
def refusal(capfd: pytest.CaptureFixture[str]) -> Callable[[list[str]], str]:
    """A function that calls the program, which refuses the arguments with exit code 2, and returns its one sentence."""

    def refused(arguments: list[str]) -> str:
        try:
            code = main(arguments)
        except SystemExit as stopped:
            code = int(str(stopped.code))
        assert code == 2
        (said,) = capfd.readouterr().err.splitlines()
        return said

    return refused
