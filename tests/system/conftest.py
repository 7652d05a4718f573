"""The window for tests of the whole program, made and checked as in the tests of the window."""

from tests.gui.conftest import drive, styled, window  # noqa: F401
