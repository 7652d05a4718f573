"""Two buttons that write what a panel shows: the numbers as float32 TIFF, the view as PNG."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPushButton, QWidget

from padis_gui.gui.files import TIFFS, choose_to_write
from padis_gui.gui.layouts import row

PNGS = "PNG (*.png)"


class SaveButtons(QWidget):
    """``write_tiff`` gets the path that the user chose; ``said`` carries what became of a PNG (level, sentence)."""

    said = Signal(str, str)

    def __init__(self, name: str, view: QWidget, write_tiff: Callable[[Path], object]) -> None:
        super().__init__()
        self._name, self._view = name, view
        self.tiff, self.png = QPushButton("Export TIFF…"), QPushButton("Save view…")
        self.tiff.setToolTip(
            "Write the numbers behind these pictures as float32 TIFF, with the recipe of their run"
        )
        self.png.setToolTip("Write these pictures as they are seen, as PNG")
        for button, what in ((self.tiff, "Export TIFF"), (self.png, "Save view")):
            button.setAccessibleName(f"{what}: {name}")
        file = name.lower().replace(" ", "-").replace("/", "")
        self.tiff.clicked.connect(
            lambda: choose_to_write(self, f"Export {name}", TIFFS, f"{file}.tif", write_tiff)
        )
        self.png.clicked.connect(
            lambda: choose_to_write(self, f"Save the view of {name}", PNGS, f"{file}.png", self.write_png)
        )
        layout = row(self)
        layout.addWidget(self.tiff, 1)
        layout.addWidget(self.png, 1)

    def write_png(self, path: Path) -> bool:
        """Write the view; says whether that worked."""
        done = self._view.grab().save(str(path), "PNG")
        if done:
            self.said.emit("info", f"Saved the view as {path.name}.")
        else:
            self.said.emit("error", f"The view cannot be written to {path}; choose another place.")
        return done
