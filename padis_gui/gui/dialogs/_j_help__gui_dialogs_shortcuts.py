"""All keys and what the mouse does, read from the window's own actions."""

from collections.abc import Iterator

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QDialog, QLabel, QMainWindow, QMenu, QScrollArea, QWidget

from padis_gui.gui.kit._j_widgets__gui_layouts import button_row, column, grid, push_button

# What no action knows: the mouse, and keys of a widget that has the focus
GESTURES = (
    ("Wheel over a pane", "Zoom"),
    ("Drag in a pane", "Pan"),
    ("[ and ], wheel over a pane", "Size of the brush, while the mask is painted"),
    ("Ctrl+Z, Ctrl+Shift+Z", "Take the last stroke back, make it again"),
    ("Double click in a pane", "Show the whole image"),
    (
        "Drop a file on the window",
        "Open it: an image, a prior (.safetensors, .pkl), or the run that made an exported TIFF",
    ),
    (
        "Drag a panel's title",
        "Move the panel: to another edge, onto another one as a tab, or out of the window",
    ),
    ("Alt and an underlined letter", "Open that menu"),
    ("Tab, Shift+Tab", "Next control, the one before"),
)


def actions_of(menu: QMenu) -> Iterator[QAction]:
    """The actions of a menu and of those below it, without separators."""
    for action in menu.actions():
        below = action.menu()
        if isinstance(below, QMenu):
            yield from actions_of(below)
        elif not action.isSeparator():
            yield action


def keys_by_menu(window: QMainWindow) -> dict[str, list[tuple[str, str]]]:
    """For each menu the (keys, action) pairs of its actions that have keys; "Elsewhere" for those in no menu."""
    found: dict[str, list[tuple[str, str]]] = {}
    seen: set[QAction] = set()
    for top in window.menuBar().actions():
        menu = top.menu()
        if isinstance(menu, QMenu):
            actions = [a for a in actions_of(menu) if not a.shortcut().isEmpty() and a not in seen]
            seen.update(actions)
            found[top.text().replace("&", "")] = [_row(a) for a in actions]
    rest = [a for a in window.findChildren(QAction) if not a.shortcut().isEmpty() and a not in seen]
    return {title: rows for title, rows in (found | {"Elsewhere": [_row(a) for a in rest]}).items() if rows}


def _row(action: QAction) -> tuple[str, str]:
    keys = [k.toString(QKeySequence.SequenceFormat.NativeText) for k in action.shortcuts()]
    return " or ".join(keys), action.iconText()


class ShortcutSheet(QDialog):
    """A sheet of keys, for looking at beside the window."""

    def __init__(self, parent: QMainWindow) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keys and mouse")
        self.setModal(False)
        sheet = QWidget()
        table = grid(sheet, spacing=6, margins=(12, 8, 12, 8))
        line = 0
        for title, rows in (keys_by_menu(parent) | {"Mouse and keyboard": list(GESTURES)}).items():
            heading = QLabel(title)
            heading.setProperty("heading", True)
            table.addWidget(heading, line, 0, 1, 2)
            for line, (keys, what) in enumerate(rows, line + 1):  # noqa: B020 - goes on from the heading's line
                key = QLabel(keys)
                key.setProperty("key", True)
                table.addWidget(key, line, 0, Qt.AlignmentFlag.AlignLeft)
                table.addWidget(QLabel(what, wordWrap=True), line, 1)
            line += 1
        table.setColumnStretch(1, 1)
        table.setRowStretch(line, 1)
        scroll = QScrollArea(widgetResizable=True)
        scroll.setAccessibleName("Keys and what they do")
        scroll.setToolTip("The keys of every action, and what the mouse does")
        scroll.setWidget(sheet)
        close = push_button("C&lose", "Close this sheet (Esc)", self.close)
        layout = column(self, spacing=8, margins=(8, 8, 8, 8))
        layout.addWidget(scroll, 1)
        layout.addLayout(button_row(close))
        self.resize(520, 620)
