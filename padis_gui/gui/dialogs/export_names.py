"""Names and the folder of several exports, with a live preview of what will be written."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QLineEdit, QListWidget, QMenu, QToolButton, QWidget
from shiboken6 import isValid

from padis_gui.core.exports.names import check_free, names_by
from padis_gui.core.settings.errors import PadisError
from padis_gui.gui.kit.files import choose_folder
from padis_gui.gui.kit.widgets import ElidedLabel, column, muted, push_button, row
from padis_gui.viewmodels.runs.columns import NAME_FIELDS, name_fields
from padis_gui.viewmodels.runs.runs import RunRecord
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.state.preferences import Preferences

_REMEMBERED, _FIRST = "export_pattern", "{name}"


class ExportNames(QWidget):
    """``changed`` comes when :attr:`paths` or :attr:`trouble` have."""

    changed = Signal()

    def __init__(self, session: Session, preferences: Preferences, records: Sequence[RunRecord]) -> None:
        super().__init__()
        self._session, self._preferences = session, preferences
        self._fields = [name_fields(record, at) for at, record in enumerate(records, 1)]
        start = preferences.folder_of("export")
        self.folder = Path(start) if start else Path.home()
        self._there: tuple[str, ...] | None = None  # what the folder holds, once that is known
        self._suffix = ""
        self.names: tuple[str, ...] = ()
        self.trouble = ""
        self.pattern = QLineEdit(preferences.window(_REMEMBERED) or _FIRST)
        self.pattern.setAccessibleName("Pattern of the names")
        self.pattern.setToolTip("Text, and fields in braces that each run fills in; the button lists them")
        self.pattern.textChanged.connect(self._make)
        self.preview = QListWidget()
        self.preview.setAccessibleName("Files to be written")
        self.preview.setToolTip("The files that will be written")
        self.preview.setSelectionMode(QListWidget.SelectionMode.NoSelection)
        self.preview.setMinimumHeight(70)
        self.where = ElidedLabel()
        self.where.setAccessibleName("Folder")
        self.choose = push_button("&Folder…", "Choose the folder that they go into", self._choose)
        layout = column(self, spacing=4)
        head = row()
        head.addWidget(muted("Names"))
        head.addWidget(self.pattern, 1)
        head.addWidget(self._field_button())
        layout.addLayout(head)
        layout.addWidget(self.preview, 1)
        foot = row()
        foot.addWidget(muted("in"))
        foot.addWidget(self.where, 1)
        foot.addWidget(self.choose)
        layout.addLayout(foot)
        self.go_to(self.folder)

    def _field_button(self) -> QToolButton:
        button = QToolButton()
        button.setText("Field")
        button.setToolTip("Put a field into the pattern; beside each is what the first run has")
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.fields = QMenu(button)
        self.fields.setToolTipsVisible(True)
        for field, text in self._fields[0].items():
            action = self.fields.addAction(f"{{{field}}}\t{text.replace('&', '&&')}")
            action.setToolTip(NAME_FIELDS[field])
            action.triggered.connect(partial(self._insert, field))
        button.setMenu(self.fields)
        return button

    @property
    def paths(self) -> list[Path]:
        """Where each run goes; empty while there is :attr:`trouble`."""
        return [self.folder / name for name in self.names]

    def set_suffix(self, suffix: str) -> None:
        """The files have another ending."""
        if suffix != self._suffix:
            self._suffix = suffix
            self._make()

    def go_to(self, folder: Path) -> None:
        """Write into another folder; what it holds is read beside the UI thread."""
        self.folder, self._there = folder, None
        self.where.setText(str(folder))
        self._session.io_requests.ask(
            "export folder", lambda _: _names_in(folder), partial(self._take, folder)
        )
        self._make()

    def remember(self) -> None:
        """The next export begins with this pattern and folder."""
        self._preferences.keep_window(**{_REMEMBERED: self.pattern.text()})
        self._preferences.begin_in("export", self.folder)

    def _take(self, folder: Path, found: object) -> None:
        # the dialog may be gone by now
        if isValid(self) and folder == self.folder and isinstance(found, tuple):
            self._there = found
            self._make()

    def _choose(self) -> None:
        choose_folder(self, "Export into a folder", self.go_to, self.folder)

    def _insert(self, field: str, _checked: bool = False) -> None:
        self.pattern.insert(f"{{{field}}}")
        self.pattern.setFocus()

    def _make(self) -> None:
        """Make the names anew, and say what is wrong with them."""
        self.names, self.trouble = (), ""
        try:
            names = names_by(self.pattern.text(), self._fields, self._suffix)
            check_free(names, self._there or (), str(self.folder))
            self.names = names
        except PadisError as error:
            self.trouble = str(error)
        self.preview.clear()
        self.preview.addItems(self.names)
        self.changed.emit()


def _names_in(folder: Path) -> tuple[str, ...]:
    """What lies in a folder; nothing where it is not there, which is said when it is written into."""
    try:
        return tuple(each.name for each in folder.iterdir())
    except OSError:
        return ()
