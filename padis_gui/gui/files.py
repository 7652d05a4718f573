"""Choosing files without blocking the event loop: dialogs are opened, never executed."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QWidget

from padis_gui.core.data.read import SUFFIXES

IMAGES = f"Images ({' '.join('*' + suffix for suffix in SUFFIXES)});;All files (*)"
PRIORS = "Priors (*.safetensors *.pkl);;All files (*)"
ANY_FILE = "All files (*)"
PRIOR_SUFFIXES = (".safetensors", ".pkl")
_TIFF = "TIFF (*.tif *.tiff)"


def choose_to_open(parent: QWidget, title: str, kinds: str, chosen: Callable[[Path], object]) -> None:
    """Ask for an existing file; ``chosen`` is called with it, if there is one."""
    dialog = QFileDialog(parent, title, "", kinds)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
    _open(dialog, chosen)


def choose_tiff_to_write(parent: QWidget, proposal: str, chosen: Callable[[Path], object]) -> None:
    """Ask where to write a TIFF; an existing one is overwritten after a question only."""
    dialog = QFileDialog(parent, "Export TIFF", "", _TIFF)
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setDefaultSuffix("tif")
    dialog.selectFile(proposal)
    _open(dialog, chosen)


def _open(dialog: QFileDialog, chosen: Callable[[Path], object]) -> None:
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.fileSelected.connect(lambda name: chosen(Path(name)))
    dialog.open()
