"""Two buttons that write what a panel shows: the numbers as float32 TIFF, the view as PNG."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtWidgets import QWidget

from padis_gui.gui.kit._j_files__gui_files import PNGS, TIFFS, choose_to_write, png_of
from padis_gui.gui.kit._j_widgets__gui_layouts import push_button, row
from padis_gui.viewmodels.session._j_session__viewmodels_session import Session


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
        layout = row(self)
        for button, what in ((self.tiff, "Export TIFF"), (self.png, "Save view")):
            button.setAccessibleName(f"{what}: {name}")
            layout.addWidget(button, 1)

    def write_png(self, path: Path) -> None:
        """Write the view as it is seen now."""
        make_data = partial(png_of, self._view.grab().toImage())
        self._session.spawn(self._session.write_file(path, make_data, f"The view of {self._name}"))
