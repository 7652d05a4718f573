"""Choosing one of several arrays, series or channels in a file."""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QLabel, QMainWindow, QTreeWidgetItem

from padis_gui.core.files.formats.format import DatasetInfo
from padis_gui.core.images._j_image__core_data_reading import ReadingSettings
from padis_gui.gui.kit._j_widgets__gui_layouts import button_row, column, push_button
from padis_gui.gui.kit.lists import plain_tree
from padis_gui.viewmodels.session._j_session__viewmodels_session import Session

_COLUMNS = ("Data set", "Size", "Numbers", "Pages", "Description")


class DatasetChooser(QDialog):
    """A list of what a file holds beside the window; a double click or Return opens one."""

    def __init__(
        self, parent: QMainWindow, session: Session, path: Path, found: Sequence[DatasetInfo]
    ) -> None:
        super().__init__(parent)
        self._session, self._path = session, path
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(f"Data sets of {path.name}")
        self.resize(620, 320)
        self.list = plain_tree("Data sets", "Return or a double click opens the data set", _COLUMNS)
        for info in found:
            self.list.addTopLevelItem(_item(info))
        for number in range(len(_COLUMNS)):
            self.list.resizeColumnToContents(number)
        usable = [item for item in self._items() if not item.isDisabled()]
        if usable:
            self.list.setCurrentItem(usable[0])
        self.list.itemActivated.connect(self._open)
        self.choose = push_button(
            "&Open data set", "Open the selected data set", lambda: self._open(self.list.currentItem())
        )
        self.choose.setEnabled(bool(usable))
        close = push_button("&Close", "Open none of them", self.close)
        layout = column(self, spacing=8, margins=(10, 10, 10, 10))
        layout.addWidget(QLabel(f"{path.name} holds several; which one is to be read?"))
        layout.addWidget(self.list, 1)
        layout.addLayout(button_row(self.choose, close))

    def _items(self) -> list[QTreeWidgetItem]:
        found = (self.list.topLevelItem(n) for n in range(self.list.topLevelItemCount()))
        return [item for item in found if item is not None]

    def _open(self, item: QTreeWidgetItem | None) -> None:
        if item is None or item.isDisabled():
            return
        reading = ReadingSettings(dataset=item.text(0))
        self._session.spawn(self._session.data.open(self._path, 0, reading))
        self.close()


def _item(info: DatasetInfo) -> QTreeWidgetItem:
    size = " × ".join(map(str, info.shape))
    item = QTreeWidgetItem([info.name, size, info.dtype, str(info.count or "–"), info.description])
    item.setDisabled(not info.usable)
    if info.why_not:
        for number in range(len(_COLUMNS)):
            item.setToolTip(number, info.why_not)
    return item
