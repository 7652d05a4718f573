"""Choosing files without blocking the event loop: dialogs are opened, never executed. And pictures as files.

Two buttons write what a panel shows: the numbers as float32 TIFF, the view as PNG.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, Qt
from PySide6.QtGui import QImage, QImageWriter
from PySide6.QtWidgets import QFileDialog, QWidget

from padis_gui.core.files.formats.recognise import SUFFIXES
from padis_gui.gui.kit.widgets import Flow, push_button
from padis_gui.viewmodels.session.session import Session

IMAGES = f"Images ({' '.join('*' + suffix for suffix in SUFFIXES)});;All files (*)"
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
    dialog = QFileDialog(parent, title, start, kinds)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
    _open(dialog, chosen)


def choose_several_to_open(
    parent: QWidget, title: str, kinds: str, chosen: Callable[[list[Path]], object]
) -> None:
    """Ask for one or more existing files."""
    dialog = QFileDialog(parent, title, "", kinds)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.filesSelected.connect(lambda names: chosen([Path(name) for name in names]))
    dialog.open()


def choose_folder(
    parent: QWidget, title: str, chosen: Callable[[Path], object], start: Path | str | None = None
) -> None:
    """Ask for a folder, beginning the search in ``start``."""
    dialog = QFileDialog(parent, title, str(start or ""))
    dialog.setFileMode(QFileDialog.FileMode.Directory)
    dialog.setOption(QFileDialog.Option.ShowDirsOnly)
    _open(dialog, chosen)


def choose_to_write(
    parent: QWidget,
    title: str,
    kinds: str,
    proposal: str,
    chosen: Callable[[Path], object],
    start: str = "",
) -> None:
    """Ask where to write; an existing file is overwritten after a question only. ``proposal`` has the suffix."""
    dialog = QFileDialog(parent, title, start, kinds)
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setDefaultSuffix(Path(proposal).suffix.lstrip("."))
    dialog.selectFile(proposal)
    _open(dialog, chosen)


def png_of(image: QImage) -> bytes:
    """An image as the bytes of a PNG file."""
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    QImageWriter(buffer, QByteArray(b"png")).write(image)
    return bytes(buffer.data().data())


def _open(dialog: QFileDialog, chosen: Callable[[Path], object]) -> None:
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.fileSelected.connect(lambda name: chosen(Path(name)))
    dialog.open()


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
