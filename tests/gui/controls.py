"""What every control owes its users: a name for screen readers, a tooltip, keys of its own."""

from collections import Counter

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence, QShortcut, QTextDocument
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QDockWidget,
    QGraphicsView,
    QLabel,
    QLineEdit,
    QMainWindow,
    QMenu,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QScrollBar,
    QTabBar,
    QToolBar,
    QWidget,
)

from padis_gui.gui.kit.forms import ChoiceBox
from padis_gui.gui.kit.widgets import ElidedLabel

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


def where_is(widget: QWidget) -> str:
    """A widget and what it lies in."""
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

    return [where_is(w) for w in controls(root) if not name(w)]


def unexplained(root: QWidget) -> list[str]:
    """Controls and actions without a tooltip of their own (Qt makes one of an action's text)."""
    # a tooltip over a picture or a plot would only hide it
    mute = [where_is(w) for w in controls(root) if not w.toolTip() and not isinstance(w, QGraphicsView)]
    # pyqtgraph's scenes have actions of their own, for menus that are switched off
    ours = [a for a in root.findChildren(QAction) if isinstance(a.parent(), QWidget)]
    actions = [a for a in ours if a.text() and not a.isSeparator() and a.menu() is None]
    return mute + [f"action {a.text()}" for a in actions if a.toolTip() in ("", a.text(), a.iconText())]


_ROUNDING, _AROUND_TEXT = 1, 12  # px


def _is_pruned(widget: QWidget) -> bool:
    """Whether it shortens its own text with an ellipsis, and has the whole in its tooltip or its list."""
    return isinstance(widget, ElidedLabel | ChoiceBox)


def _wide_enough(widget: QWidget) -> bool:
    if isinstance(widget, QLabel) and widget.wordWrap():
        words = max((widget.fontMetrics().horizontalAdvance(w) for w in _plain(widget).split()), default=0)
        return widget.width() + _ROUNDING >= words and (
            widget.height() + _ROUNDING >= widget.heightForWidth(widget.width())
        )
    hint = widget.sizeHint()
    if isinstance(widget, QPushButton):  # styles give short texts more room than they need
        text = widget.fontMetrics().horizontalAdvance(widget.text().replace("&", ""))
        hint.setWidth(min(hint.width(), text + _AROUND_TEXT))
    if isinstance(widget, QAbstractSpinBox):
        text = widget.fontMetrics().horizontalAdvance(widget.text())
        edit = widget.findChild(QLineEdit)
        return edit is None or edit.width() + _ROUNDING >= text
    return widget.width() + _ROUNDING >= hint.width() and widget.height() + _ROUNDING >= min(
        hint.height(), widget.fontMetrics().height()
    )


def _plain(label: QLabel) -> str:
    document = QTextDocument()
    document.setHtml(label.text()) if Qt.mightBeRichText(label.text()) else document.setPlainText(
        label.text()
    )
    return document.toPlainText()


def cut(root: QWidget) -> list[str]:
    """Texts that are seen and not whole: too narrow for what they say, or partly outside of what holds them.

    What scrolls up and down may be cut below, never at the side.
    """
    found = []
    for widget in root.findChildren(QWidget):
        if not isinstance(widget, QLabel | QAbstractButton | QComboBox | QAbstractSpinBox | QLineEdit):
            continue
        if not widget.isVisible() or _is_part_of_another(widget) or widget.visibleRegion().isEmpty():
            continue
        if isinstance(widget.parentWidget(), QToolBar | QDockWidget):
            continue  # a tool bar has a menu for what it lacks room for
        seen = widget.visibleRegion().boundingRect().width()
        if seen + _ROUNDING < widget.width():
            found.append(f"{_said(widget)} is seen for {seen} of {widget.width()} px: {where_is(widget)}")
        elif _said(widget) and not _is_pruned(widget) and not _wide_enough(widget):
            wanted = widget.sizeHint()
            found.append(
                f"{_said(widget)} wants {wanted.width()} × {wanted.height()}, has {widget.width()} × "
                f"{widget.height()}: {where_is(widget)}"
            )
    return found


def _said(widget: QWidget) -> str:
    text = widget.currentText() if isinstance(widget, QComboBox) else widget.text()  # type: ignore[attr-defined]
    return str(text)[:60]


def scrolled_sideways(root: QWidget) -> list[str]:
    """Columns that would have to be scrolled to the side, and cannot be."""
    return [
        where_is(area)
        for area in root.findChildren(QScrollArea)
        if not area.visibleRegion().isEmpty()
        and area.widget() is not None
        and area.widget().width() > area.viewport().width()
    ]


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
