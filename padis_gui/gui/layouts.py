"""Layouts with their spacing and margins in one call, and buttons that fit into a narrow row."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFormLayout, QGridLayout, QHBoxLayout, QToolButton, QVBoxLayout, QWidget

_Margins = tuple[int, int, int, int]
_NONE: _Margins = (0, 0, 0, 0)


def column(parent: QWidget | None = None, *, spacing: int = 0, margins: _Margins = _NONE) -> QVBoxLayout:
    """A vertical layout; margins are left, top, right, bottom."""
    layout = QVBoxLayout() if parent is None else QVBoxLayout(parent)
    layout.setSpacing(spacing)
    layout.setContentsMargins(*margins)
    return layout


def row(parent: QWidget | None = None, *, spacing: int = 4, margins: _Margins = _NONE) -> QHBoxLayout:
    """A horizontal layout."""
    layout = QHBoxLayout() if parent is None else QHBoxLayout(parent)
    layout.setSpacing(spacing)
    layout.setContentsMargins(*margins)
    return layout


def grid(parent: QWidget | None = None, *, spacing: int = 4, margins: _Margins = _NONE) -> QGridLayout:
    """A grid."""
    layout = QGridLayout() if parent is None else QGridLayout(parent)
    layout.setSpacing(spacing)
    layout.setContentsMargins(*margins)
    return layout


def form(parent: QWidget | None = None, *, spacing: int = 4) -> QFormLayout:
    """Rows of label and editor, without margins."""
    layout = QFormLayout() if parent is None else QFormLayout(parent)
    layout.setVerticalSpacing(spacing)
    layout.setContentsMargins(*_NONE)
    return layout


def small_button(text: str) -> QToolButton:
    """A button as wide as its text, where a push button would make a panel too wide for a small screen."""
    button = QToolButton()
    button.setText(text)
    button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    return button
