"""Choosing files without blocking the event loop: dialogs are opened, never executed. And pictures as files.

Two buttons write what a panel shows: the numbers as float32 TIFF, the view as PNG.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, Qt, QUrl
from PySide6.QtGui import QDesktopServices, QImage, QImageWriter
from PySide6.QtWidgets import QFileDialog, QWidget

from padis_gui.core.files.formats.recognise import SUFFIXES
from padis_gui.gui.kit.widgets import Flow, push_button
from padis_gui.viewmodels.session.sending import start_apart
from padis_gui.viewmodels.session.session import Session
from padis_gui.viewmodels.state.preferences import Preferences

IMAGES = f"Images ({' '.join('*' + suffix for suffix in SUFFIXES)} zarr.json .zattrs);;All files (*)"
PRIORS = "Priors (*.safetensors *.pkl);;All files (*)"
ANY_FILE = "All files (*)"
PRIOR_SUFFIXES = (".safetensors", ".pkl")
EXPORTS = "Exports (*.tif *.tiff *.json);;All files (*)"
PNGS, CSVS = "PNG (*.png)", "CSV (*.csv)"
TIFFS = "TIFF (*.tif *.tiff)"
QUEUES = "Queues (*.json);;All files (*)"
TEXTS = "Text (*.txt);;All files (*)"


def choose_to_open(
    parent: QWidget, title: str, kinds: str, chosen: Callable[[Path], object], start: str = ""
) -> None:
    """Ask for an existing file, beginning in the folder ``start``; ``chosen`` is called with it, if there is one."""
    dialog = QFileDialog(parent, title, start or _last_folder(parent, title), kinds)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
    _open(parent, dialog, chosen)


def choose_several_to_open(
    parent: QWidget, title: str, kinds: str, chosen: Callable[[list[Path]], object]
) -> None:
    """Ask for one or more existing files."""
    dialog = QFileDialog(parent, title, _last_folder(parent, title), kinds)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)

    def take(names: list[str]) -> None:
        paths = [Path(name) for name in names]
        _remember_folder(parent, title, paths[0].parent)
        chosen(paths)

    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.filesSelected.connect(take)
    dialog.open()


def choose_folder(
    parent: QWidget, title: str, chosen: Callable[[Path], object], start: Path | str | None = None
) -> None:
    """Ask for a folder, beginning the search in ``start``."""
    dialog = QFileDialog(parent, title, str(start or "") or _last_folder(parent, title))
    dialog.setFileMode(QFileDialog.FileMode.Directory)
    dialog.setOption(QFileDialog.Option.ShowDirsOnly)
    _open(parent, dialog, chosen)


def choose_to_write(
    parent: QWidget,
    title: str,
    kinds: str,
    proposal: str,
    chosen: Callable[[Path], object],
    start: str = "",
) -> None:
    """Ask where to write; an existing file is overwritten after a question only. ``proposal`` has the suffix."""
    dialog = QFileDialog(parent, title, start or _last_folder(parent, title), kinds)
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setDefaultSuffix(Path(proposal).suffix.lstrip("."))
    dialog.selectFile(proposal)
    _open(parent, dialog, chosen)


def png_of(image: QImage) -> bytes:
    """An image as the bytes of a PNG file."""
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    QImageWriter(buffer, QByteArray(b"png")).write(image)
    return bytes(buffer.data().data())


def show_in_folder(path: Path) -> bool:
    """Show a file in the system's file manager, selected where that can be asked for; False where none is found."""
    if sys.platform == "win32":
        return start_apart("explorer", ["/select,", str(path)])
    if sys.platform == "darwin":
        return start_apart("open", ["-R", str(path)])
    return QDesktopServices.openUrl(QUrl.fromLocalFile(str(path if path.is_dir() else path.parent)))


def _open(parent: QWidget, dialog: QFileDialog, chosen: Callable[[Path], object]) -> None:
    title, of_folders = dialog.windowTitle(), dialog.fileMode() is QFileDialog.FileMode.Directory

    def take(name: str) -> None:
        path = Path(name)
        _remember_folder(parent, title, path if of_folders else path.parent)
        chosen(path)

    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.fileSelected.connect(take)
    dialog.open()


def _last_folder(parent: QWidget, title: str) -> str:
    """Where a dialog of that title was left last."""
    preferences = _preferences_of(parent)
    return "" if preferences is None else preferences.folder_of(title)


def _remember_folder(parent: QWidget, title: str, folder: Path) -> None:
    preferences = _preferences_of(parent)
    if preferences is not None:
        preferences.begin_in(title, folder)


def _preferences_of(widget: QWidget | None) -> Preferences | None:
    """Those of the window that a widget is in: every dialog remembers its folder, whoever opens it."""
    while widget is not None:
        found = getattr(widget, "preferences", None)
        if isinstance(found, Preferences):
            return found
        widget = widget.parentWidget()
    return None


class SaveButtons(QWidget):
    """``write_tiff`` gets the path that the user chose."""

    def __init__(
        self, session: Session, name: str, view: QWidget, write_tiff: Callable[[Path], object]
    ) -> None:
        super().__init__()
        self._session, self._name, self._view = session, name, view
        file = name.lower().replace(" ", "-").replace("/", "")
        self.tiff = push_button(
            "Export TIFF…", "Write the numbers behind these pictures as float32 TIFF, with the recipe of their run",
            lambda: choose_to_write(self, f"Export {name}", TIFFS, f"{file}.tif", write_tiff),
        )  # fmt: skip
        self.png = push_button(
            "Save view…", "Write these pictures as they are seen, as PNG",
            lambda: choose_to_write(self, f"Save the view of {name}", PNGS, f"{file}.png", self.write_png),
        )  # fmt: skip
        layout = Flow(self)
        for button, what in ((self.tiff, "Export TIFF"), (self.png, "Save view")):
            button.setAccessibleName(f"{what}: {name}")
            layout.addWidget(button)

    def write_png(self, path: Path) -> None:
        """Write the view as it is seen now."""
        make_data = partial(png_of, self._view.grab().toImage())
        self._session.spawn(self._session.write_file(path, make_data, f"The view of {self._name}"))
