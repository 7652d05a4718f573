"""What every control owes its users: a name for screen readers, a tooltip, keys of its own."""

from collections import Counter

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QGraphicsView,
    QLineEdit,
    QMainWindow,
    QMenu,
    QPlainTextEdit,
    QProgressBar,
    QScrollBar,
    QTabBar,
    QWidget,
)

_CONTROLS = (
    QAbstractButton, QAbstractItemView, QAbstractSlider, QAbstractSpinBox, QComboBox, QGraphicsView, QLineEdit,
    QPlainTextEdit, QProgressBar,
)  # fmt: skip
# These bring controls of their own, which Qt names and explains
_OWNERS = (QComboBox, QAbstractSpinBox, QTabBar, QMenu, QAbstractItemView)


def _is_part_of_another(widget: QWidget) -> bool:
    if isinstance(widget, QScrollBar) or widget.objectName().startswith("qt_"):
        return True
    parent = widget.parentWidget()
    while parent is not None:
        if isinstance(parent, _OWNERS):
            return True
        parent = parent.parentWidget()
    return False


def controls(root: QWidget) -> list[QWidget]:
    """Every control in a window, on all pages and in all docks, shown or not."""
    return [w for w in root.findChildren(QWidget) if isinstance(w, _CONTROLS) and not _is_part_of_another(w)]


def _where(widget: QWidget) -> str:
    names = []
    at: QWidget | None = widget
    while at is not None:
        names.append(type(at).__name__ + (f" {at.objectName()!r}" if at.objectName() else ""))
        at = at.parentWidget()
    return " in ".join(names[:5])


def nameless(root: QWidget) -> list[str]:
    """Controls without an accessible name; a button's text is one where it has letters."""

    def name(widget: QWidget) -> str:
        text = widget.text() if isinstance(widget, QAbstractButton) else ""
        return widget.accessibleName() or (text if any(c.isalpha() for c in text) else "")

    return [_where(w) for w in controls(root) if not name(w)]


def unexplained(root: QWidget) -> list[str]:
    """Controls and actions without a tooltip of their own (Qt makes one of an action's text)."""
    # a tooltip over a picture or a plot would only hide it
    mute = [_where(w) for w in controls(root) if not w.toolTip() and not isinstance(w, QGraphicsView)]
    # pyqtgraph's scenes have actions of their own, for menus that are switched off
    ours = [a for a in root.findChildren(QAction) if isinstance(a.parent(), QWidget)]
    actions = [a for a in ours if a.text() and not a.isSeparator() and a.menu() is None]
    return mute + [f"action {a.text()}" for a in actions if a.toolTip() in ("", a.text(), a.iconText())]


def repeated_keys(window: QMainWindow) -> list[str]:
    """Keys that more than one action or shortcut wants in the same place: the window, or one widget in it."""
    keys: Counter[tuple[str, object]] = Counter()
    wanted = [(a, a.shortcuts(), a.shortcutContext()) for a in window.findChildren(QAction)]
    wanted += [(s, s.keys(), s.context()) for s in window.findChildren(QShortcut)]
    for owner, sequences, context in wanted:
        everywhere = context in (Qt.ShortcutContext.WindowShortcut, Qt.ShortcutContext.ApplicationShortcut)
        place = window if everywhere else owner.parent()
        keys.update((k.toString(), place) for k in sequences if k != QKeySequence())
    return [key for (key, _), count in keys.items() if count > 1]
