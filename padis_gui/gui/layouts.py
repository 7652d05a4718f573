"""Layouts with their spacing and margins in one call."""

from PySide6.QtWidgets import QFormLayout, QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

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
