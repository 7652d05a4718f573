"""Choosing a page of the open file by its picture."""

from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QItemSelectionModel,
    QModelIndex,
    QPersistentModelIndex,
    QSize,
    Qt,
)
from PySide6.QtGui import QColor, QIcon, QPixmap
from PySide6.QtWidgets import QDialog, QListView, QMainWindow

from padis_gui.gui.kit._j_theme__gui_theme import PANE_BACKGROUND
from padis_gui.gui.kit._j_widgets__gui_layouts import button_row, column, muted, push_button
from padis_gui.gui.kit.picture_wall import pixmap_of
from padis_gui.viewmodels.session._j_pages__viewmodels_slices import Slices
from padis_gui.viewmodels.session._j_session__viewmodels_session import Session

_SIDE = 104


class _Model(QAbstractListModel):
    """The pages; a picture is asked for when its item is first seen."""

    def __init__(self, slices: Slices, parent: QDialog) -> None:
        super().__init__(parent)
        self._slices = slices
        blank = QPixmap(_SIDE, _SIDE)
        blank.fill(QColor(PANE_BACKGROUND))
        self._blank = QIcon(blank)
        slices.came.connect(self._came)
        slices.changed.connect(self._reset)

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else self._slices.count

    def data(
        self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return f"page {index.row()}"
        if role == Qt.ItemDataRole.DecorationRole:
            picture = self._slices.picture(index.row())
            if picture is None:
                return self._blank
            side = QSize(_SIDE, _SIDE)
            return pixmap_of(picture).scaled(
                side, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
            )
        return None

    def _came(self, page: int) -> None:
        index = self.index(page)
        self.dataChanged.emit(index, index, [Qt.ItemDataRole.DecorationRole])

    def _reset(self) -> None:
        self.beginResetModel()
        self.endResetModel()


class SliceChooser(QDialog):
    """A sheet of all pages beside the window; a double click or Return opens one."""

    def __init__(self, parent: QMainWindow, session: Session, slices: Slices) -> None:
        super().__init__(parent)
        self._session = session
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(640, 480)
        self.model = _Model(slices, self)
        self.view = QListView()
        self.view.setModel(self.model)
        self.view.setAccessibleName("Pages of the open file")
        self.view.setToolTip("Return or a double click opens the page")
        self.view.setViewMode(QListView.ViewMode.IconMode)
        self.view.setResizeMode(QListView.ResizeMode.Adjust)
        self.view.setMovement(QListView.Movement.Static)
        self.view.setUniformItemSizes(True)
        self.view.setIconSize(QSize(_SIDE, _SIDE))
        self.view.setGridSize(QSize(_SIDE + 14, _SIDE + 26))
        self.view.activated.connect(lambda index: self._open(index.row()))
        self.hint = muted("Return or a double click opens a page")
        self.choose = push_button(
            "&Open page", "Open the selected page", lambda: self._open(self.view.currentIndex().row())
        )
        close = push_button("&Close", "Close this sheet", self.close)
        layout = column(self, spacing=6, margins=(10, 10, 10, 10))
        layout.addWidget(self.view, 1)
        layout.addLayout(button_row(self.choose, close, before=self.hint))
        session.data.changed.connect(self._refresh)
        session.occupied_changed.connect(self._refresh)
        self._refresh()

    def _refresh(self) -> None:
        image = self._session.data.image
        self.setWindowTitle("Pages" if image is None else f"Pages of {image.name}")
        self.choose.setEnabled(image is not None and not self._session.run.active)
        if image is not None and self.view.currentIndex().row() != image.page:
            index = self.model.index(image.page)
            self.view.selectionModel().setCurrentIndex(
                index, QItemSelectionModel.SelectionFlag.ClearAndSelect
            )
            self.view.scrollTo(index)

    def _open(self, page: int) -> None:
        if page >= 0 and self.choose.isEnabled():
            self._session.spawn(self._session.data.open_page(page))
