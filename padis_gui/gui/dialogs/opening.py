"""Opening images, scans and priors: dialogs, data sets, pages.

Choosing one of several arrays, series or channels in a file.

Choosing a page of the open file by its picture.

Opening and writing files from the window: dialogs, recent files, drops, and a question that a file may raise.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QItemSelectionModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QDragEnterEvent, QDropEvent, QIcon, QPixmap
from PySide6.QtWidgets import QDialog, QInputDialog, QLabel, QListView, QMainWindow, QTreeWidgetItem

from padis_gui.core.exports.about import TIFF_SUFFIXES, carries_recipe, said_of_newer
from padis_gui.core.files.formats.format import DatasetInfo
from padis_gui.core.files.formats.ome_zarr import folder_of
from padis_gui.core.images.image import ReadingSettings
from padis_gui.core.runs.presets import DEFAULT_PRESET, find_preset, is_bundled, resource
from padis_gui.core.settings.errors import PadisError
from padis_gui.gui.kit.files import EXPORTS, IMAGES, PRIOR_SUFFIXES, PRIORS, choose_folder, choose_to_open
from padis_gui.gui.kit.lists import plain_tree
from padis_gui.gui.kit.picture_wall import pixmap_of
from padis_gui.gui.kit.theme import PANE_BACKGROUND
from padis_gui.gui.kit.widgets import button_row, column, muted, push_button
from padis_gui.viewmodels.session.pages import SeriesAround, Slices
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.state.preferences import Preferences

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


def _size_of(shape: tuple[int, ...]) -> str:
    """Width × height of what is stored, and how many of them there are; colours are no side of a picture."""
    colours = shape[-1:] if len(shape) > 2 and shape[-1] in (3, 4) else ()
    *several, rows, columns = shape[: len(shape) - len(colours)] if len(shape) > 1 else (1, *(shape or (1,)))
    many = " × ".join(map(str, several))
    return f"{many} of {columns} × {rows}" if several else f"{columns} × {rows}"


def _item(info: DatasetInfo) -> QTreeWidgetItem:
    size = _size_of(info.shape)
    item = QTreeWidgetItem([info.name, size, info.dtype, str(info.count or "–"), info.description])
    item.setDisabled(not info.usable)
    if info.why_not:
        for number in range(len(_COLUMNS)):
            item.setToolTip(number, info.why_not)
    return item


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
            return f"page {index.row() + 1}"
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
        self._refresh()

    def _refresh(self) -> None:
        image = self._session.data.image
        self.setWindowTitle("Pages" if image is None else f"Pages of {image.name}")
        self.choose.setEnabled(image is not None)
        if image is not None and self.view.currentIndex().row() != image.page:
            index = self.model.index(image.page)
            self.view.selectionModel().setCurrentIndex(
                index, QItemSelectionModel.SelectionFlag.ClearAndSelect
            )
            self.view.scrollTo(index)

    def _open(self, page: int) -> None:
        if page >= 0 and self.choose.isEnabled():
            self._session.spawn(self._session.data.open_page(page))


class Opening(QObject):
    """Opens what the user names, and remembers it once it is open.

    ``question`` carries a sentence and the answers to it, as :meth:`ChoiceBar.ask` takes them.
    """

    question = Signal(str, object)

    def __init__(self, window: QMainWindow, session: Session, preferences: Preferences) -> None:
        super().__init__(window)
        self._window, self._session, self._preferences = window, session, preferences
        self.slices, self.series = Slices(session), SeriesAround(session)
        session.data.dataset_wanted.connect(self._ask_dataset)
        session.data.changed.connect(self._remember_image)
        session.prior.changed.connect(self._remember_prior)
        session.training_size_wanted.connect(self._ask_training_size)

    def open_image(self, path: Path) -> None:
        """Open an image, a scan or a folder; of an OME-Zarr also one of its files stands for it."""
        self._session.spawn(self._session.data.open(folder_of(path)))

    def open_prior(self, path: Path) -> None:
        self._session.spawn(self._session.prior.open(path))

    def open_demo(self) -> None:
        """The bundled image and prior that belong to the chosen preset, whatever is open now."""
        session = self._session
        try:
            preset = find_preset(session.method.preset or DEFAULT_PRESET)
            prior, image = resource(preset.prior), resource(preset.demo)
        except PadisError as error:
            session.message.emit("error", str(error), "")
            return
        if session.prior.wanted != prior:
            session.spawn(session.prior.open(prior))
        session.spawn(session.data.open(image))  # wanted from now on, not once the prior is there

    def choose_image(self) -> None:
        start = self._preferences.folder_of("image")
        choose_to_open(self._window, "Open image", IMAGES, self.take, start)

    def choose_folder(self) -> None:
        """Ask for a folder of images."""
        choose_folder(self._window, "Open folder", self.open_image, self._preferences.folder_of("image"))

    def choose_page(self) -> None:
        """Show all pages of the open file to choose from."""
        open_now = self._window.findChild(SliceChooser)
        sheet = open_now or SliceChooser(self._window, self._session, self.slices)
        sheet.show()
        sheet.raise_()
        sheet.view.setFocus()

    def choose_dataset(self) -> None:
        """Show what else the open file holds."""
        session, path = self._session, self._session.data.path

        async def look() -> None:
            if path is not None and not await session.data.offer_datasets(path):
                session.message.emit("info", f"{path.name} holds nothing else that could be read.", "")

        session.spawn(look())

    def _ask_dataset(self, path: Path, found: tuple[DatasetInfo, ...]) -> None:
        chooser = DatasetChooser(self._window, self._session, path, found)
        chooser.show()
        chooser.list.setFocus()

    def choose_prior(self) -> None:
        start = self._preferences.folder_of("prior")
        choose_to_open(self._window, "Open checkpoint", PRIORS, self.open_prior, start)

    def choose_across(self) -> None:
        """Ask for a prior across slices."""
        start = self._preferences.folder_of("prior")
        choose_to_open(
            self._window, "Open a prior across slices", PRIORS,
            lambda path: self._session.spawn(self._session.prior.open_across(path)), start,
        )  # fmt: skip

    def choose_restore(self) -> None:
        """Ask for an exported file, and bring back the run that made it."""
        start = self._preferences.folder_of("export")
        choose_to_open(self._window, "Restore run", EXPORTS, self.restore, start)

    def restore(self, path: Path) -> None:
        """Bring back the run that made an exported file."""
        self._preferences.went_to("export", path)
        self._session.spawn(self._session.restore(path))

    def _remember_image(self) -> None:
        path = self._session.data.path
        if path is not None and not is_bundled(path):
            self._preferences.opened("image", path)

    def _remember_prior(self) -> None:
        path = self._session.prior.path
        if path is not None and not is_bundled(path):
            self._preferences.opened("prior", path)

    def drag_enter(self, event: QDragEnterEvent) -> None:
        """Take files."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def drop(self, event: QDropEvent) -> None:
        """Open the first file."""
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        for path in paths[:1]:
            self.take(path)
            event.acceptProposedAction()

    def take(self, path: Path) -> None:
        """Open a file that was chosen or dropped: a prior where its name says so, else an image; of an export, ask what is
        wanted."""
        if path.suffix.lower() in PRIOR_SUFFIXES:
            self.open_prior(path)
        elif path.suffix.lower() in (*TIFF_SUFFIXES, ".json"):
            self._session.spawn(self._export_or_image(path))
        else:
            self.open_image(path)

    async def _export_or_image(self, path: Path) -> None:
        """An exported TIFF may be wanted as an image or for its run; the JSON beside one only for that."""
        if not await self._session.io(carries_recipe, path):
            if newer := await self._session.io(said_of_newer, path):
                self._session.message.emit("warning", newer, "")
            self.open_image(path)
        elif path.suffix.lower() == ".json":
            self.restore(path)
        else:
            self.question.emit(
                f"{path.name} was exported by padis-gui and knows how it was made.",
                (
                    (
                        "Restore the run", "Bring back its image, prior, settings and seed, and show its result",
                        lambda: self.restore(path),
                    ),
                    ("Open as image", "Take its pixels as a truth for runs of your own", lambda: self.open_image(path)),
                    ("Neither", "Leave everything as it is", lambda: None),
                ),
            )  # fmt: skip

    def _ask_training_size(self, path: Path, padded: int) -> None:
        """Ask for what a published snapshot leaves open, and open it with the answer."""
        dialog = QInputDialog(self._window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle("Size of the training images")
        dialog.setLabelText(
            f"{path.name} was trained on images that were zero-padded to {padded} px a side.\n"
            "How large were they without the padding, in px?"
        )
        dialog.setInputMode(QInputDialog.InputMode.IntInput)
        dialog.setIntRange(8, padded)
        dialog.setIntStep(2)
        dialog.setIntValue(max(8, padded - 48))
        dialog.intValueSelected.connect(
            lambda size: self._session.spawn(self._session.prior.open(path, size))
        )
        dialog.open()
