"""The window's own dialogs: preferences, keys, reports, about. One of each kind at a time; none blocks.

Preferences act at once and are remembered. Keys are read from the window's own actions. A report has what went wrong in
full, to read, copy or save; nothing is sent anywhere.
"""

from collections.abc import Iterator
from pathlib import Path

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QAction, QFontDatabase, QGuiApplication, QKeySequence
from PySide6.QtWidgets import (
    QDialog,
    QDockWidget,
    QLabel,
    QMainWindow,
    QMenu,
    QMessageBox,
    QPlainTextEdit,
    QScrollArea,
    QStackedWidget,
    QWidget,
)

from padis_gui import __version__
from padis_gui.core.settings.errors import PadisError
from padis_gui.core.settings.files import reason, write_atomically
from padis_gui.gui.dialogs.palette import Palette
from padis_gui.gui.kit.files import TEXTS, choose_to_write
from padis_gui.gui.kit.forms import SettingsForm
from padis_gui.gui.kit.widgets import button_row, column, grid, muted, push_button
from padis_gui.viewmodels.session.report import Logbook, report_text
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.state.preferences import Options, Preferences


class PreferencesDialog(QDialog):
    """A form of :class:`Options`."""

    def __init__(self, parent: QWidget, preferences: Preferences) -> None:
        super().__init__(parent)
        self.setWindowTitle("Preferences")
        self.setModal(False)
        self._preferences = preferences
        self.form = SettingsForm(Options)
        self.form.edited.connect(self._set)
        self.trouble = QLabel(wordWrap=True)
        where = "only until the window closes" if preferences.path is None else str(preferences.path)
        kept = muted(f"Kept in {where}" if preferences.path else f"Kept {where}", wordWrap=True)
        close = push_button("C&lose", "Close; everything here has already taken effect (Esc)", self.close)
        layout = column(self, spacing=8, margins=(12, 12, 12, 12))
        for widget in (self.form, self.trouble, kept):
            layout.addWidget(widget)
        layout.addStretch(1)
        layout.addLayout(button_row(close))
        preferences.changed.connect(self._show)
        self._show()
        self.resize(440, 260)

    def _show(self) -> None:
        self.form.show_settings(self._preferences.options)

    def _set(self, name: str, value: object) -> None:
        try:
            self._preferences.set_option(name, value)
            self.trouble.clear()
        except PadisError as error:
            self.trouble.setText(str(error))
            self._show()


class ReportDialog(QDialog):
    """Shows a report; closing it forgets it."""

    def __init__(self, parent: QWidget, sentence: str, text: str) -> None:
        super().__init__(parent)
        self.setWindowTitle("Report")
        self.setModal(False)
        self.heading = QLabel(sentence or "The state of the program", wordWrap=True)
        self.heading.setProperty("heading", True)
        note = muted(
            "Nothing is sent by itself. The text names files of yours; read it before you pass it on."
        )
        self.text = QPlainTextEdit(text, readOnly=True)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setTabChangesFocus(True)
        self.text.setAccessibleName("Report")
        self.text.setToolTip("What happened, versions, settings, and the end of the log")
        self.copy = push_button("&Copy", "Put the whole report on the clipboard", self._copy)
        self.save = push_button(
            "&Save…", "Write the report as a text file",
            lambda: choose_to_write(self, "Save report", TEXTS, "padis_gui-report.txt", self._save),
        )  # fmt: skip
        close = push_button("C&lose", "Close this report (Esc)", self.close)
        self.outcome = QLabel()
        layout = column(self, spacing=8, margins=(12, 12, 12, 12))
        for widget in (self.heading, note):
            layout.addWidget(widget)
        layout.addWidget(self.text, 1)
        layout.addLayout(button_row(self.copy, self.save, close, before=self.outcome))
        self.resize(760, 520)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.text.toPlainText())
        self.outcome.setText("Copied.")

    def _save(self, path: Path) -> None:
        try:
            write_atomically(path, self.text.toPlainText().encode())
        except OSError as error:
            self.outcome.setText(f"{path.name} cannot be written: {reason(error)}.")
        else:
            self.outcome.setText(f"Saved as {path.name}.")


# What no action knows: the mouse, and keys of a widget that has the focus
GESTURES = (
    ("Wheel over the picture that has the keyboard", "Zoom; a click, Tab or F6 gives it the keyboard"),
    ("Ctrl and wheel over any picture", "Zoom"),
    ("Wheel anywhere else", "Scroll a panel; it never changes a field"),
    ("Drag in a pane", "Pan"),
    ("Up, Down in a plane of a volume", "The next plane of that kind: slice, row or column"),
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
    (
        "Enter",
        "Press the button that has the keyboard; Space does so, too, but while there is a run it pauses that, and it never "
        "begins one",
    ),
    (
        "Tab, Shift+Tab",
        "Next control, the one before: Run, its neighbours, the settings, the pictures, the panels",
    ),
    (
        "F6, Shift+F6",
        "Next region, the one before: each section of settings, Run, pictures, each panel that is seen",
    ),
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
    return " or ".join(keys), action.iconText() + _where(action)


def _where(action: QAction) -> str:
    """Where the keyboard must be for an action's keys, if it matters."""
    if action.shortcutContext() is not Qt.ShortcutContext.WidgetWithChildrenShortcut:
        return ""
    owners = [o for o in action.associatedObjects() if isinstance(o, QWidget) and not isinstance(o, QMenu)]
    if any(isinstance(owner.parentWidget(), QStackedWidget) for owner in owners):
        return ", on its page"
    for owner in owners:
        around: QWidget | None = owner
        while around is not None and not isinstance(around, QDockWidget):
            around = around.parentWidget()
        if around is not None:
            return f", in the panel {around.windowTitle()}"
    return ", among the pictures"


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


class Help(QObject):
    """Opens the dialogs of a window; ``logbook`` is where reports find the log."""

    def __init__(self, window: QMainWindow, session: Session, preferences: Preferences) -> None:
        super().__init__(window)
        self._window, self._session, self._preferences = window, session, preferences
        self._open: dict[str, QDialog] = {}
        self.logbook: Logbook | None = None

    def preferences(self) -> None:
        self._show("preferences", PreferencesDialog(self._window, self._preferences))

    def shortcuts(self) -> None:
        self._show("shortcuts", ShortcutSheet(self._window))

    def palette(self) -> None:
        self._show("palette", Palette(self._window))

    def report(self, sentence: str = "", details: str = "") -> None:
        """A report of what the sentence says, or of how things stand."""
        tail = self.logbook.tail() if self.logbook is not None else ""
        text = report_text(self._session, sentence, details, tail)
        self._show("report", ReportDialog(self._window, sentence, text))

    def about(self) -> None:
        """Version, licence, places."""
        box = QMessageBox(self._window)
        box.setWindowTitle("About padis_gui")
        where = self._preferences.folder
        box.setText(
            f"<b>padis_gui {__version__}</b><p>Reconstruction with patch-diffusion priors: PaDIS, "
            "<a href='https://arxiv.org/abs/2406.02462'>arXiv 2406.02462</a>.<p>GPL-3.0-or-later."
            + (f"<p>Preferences, log and last session are in {where}" if where else "")
        )
        box.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self._show("about", box)

    def _show(self, kind: str, dialog: QDialog) -> None:
        old = self._open.pop(kind, None)
        if old is not None:
            old.close()
        self._open[kind] = dialog
        dialog.setModal(False)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.destroyed.connect(lambda: self._forget(kind, dialog))
        dialog.show()

    def _forget(self, kind: str, dialog: QDialog) -> None:
        if self._open.get(kind) is dialog:
            del self._open[kind]

    def close(self) -> None:
        """Close whatever is open."""
        for dialog in list(self._open.values()):
            dialog.close()
