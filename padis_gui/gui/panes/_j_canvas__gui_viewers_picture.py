"""A canvas with a title: one of several small pictures that are looked at together."""

from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from padis_gui.gui.kit._j_widgets__gui_layouts import column
from padis_gui.gui.panes._j_canvas__gui_viewers_canvas import Canvas
from padis_gui.viewmodels.pictures._j_frames__viewmodels_frames import Pixels
from padis_gui.viewmodels.pictures.pictures import Appearance


class Picture(QWidget):
    """Shows pixels under a title; its tooltip says what they are."""

    def __init__(self, title: str, tip: str) -> None:
        super().__init__()
        self.title = QLabel(title)
        self.title.setToolTip(tip)
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.canvas = Canvas(title)
        layout = column(self, spacing=1)
        layout.addWidget(self.title)
        layout.addWidget(self.canvas, 1)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def show_pixels(self, pixels: Pixels | None, look: Appearance, *, legend: bool) -> None:
        """Show these pixels; None shows nothing."""
        self.canvas.set_picture(pixels, look, legend=legend)
