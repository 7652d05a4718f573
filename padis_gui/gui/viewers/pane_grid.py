"""The panes in a grid: linked pan and zoom, one cursor, common levels, the tiling overlay."""

from collections.abc import Iterable, Mapping

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from padis_gui.core.partition import Partition
from padis_gui.gui.layouts import grid
from padis_gui.gui.viewers.image_pane import ImagePane, View

Pixels = NDArray[np.float32]

SOURCES = {
    "truth": "Truth",
    "baseline": "FBP",
    "estimate": "Estimate x̂₀",
    "state": "Iterate x_t",
    "denoised": "Denoised D(x_t)",
    "difference": "Difference x̂₀ − truth",
    "measurement": "Measurement y",
    "deviation": "Deviation of samples",
}
_DEFAULT = ("truth", "baseline", "estimate", "difference")
_TILED = ("estimate", "state", "denoised")
_DIFFERENCE_SHARE = 0.1


class PaneGrid(QWidget):
    """Four panes, two by two. Pictures are given by source; every pane that shows the source follows."""

    hovered = Signal(int, int)

    def __init__(self) -> None:
        super().__init__()
        self._pictures: dict[str, Pixels] = {}
        self._names = dict(SOURCES)
        self._empty_texts: dict[str, str] = {}
        self._levels = (0.0, 1.0)
        self._partition: Partition | None = None
        self._tiling_shown = True
        self._captions: dict[str, str] = {}
        self._pictorial = False
        self._diverging = pg.colormap.get("CET-D1").getLookupTable(0.0, 1.0, 256)
        self._ramp = pg.colormap.get("viridis").getLookupTable(0.0, 1.0, 256)
        layout = grid(self, spacing=6, margins=(6, 6, 6, 6))
        self.panes = [ImagePane(SOURCES, source) for source in _DEFAULT]
        for index, pane in enumerate(self.panes):
            layout.addWidget(pane, index // 2, index % 2)
            pane.source_chosen.connect(self._refresh_all)
            pane.moved.connect(self._look)
            pane.hovered.connect(self.point_at)

    def set_pictures(self, pictures: Mapping[str, Pixels | None]) -> None:
        """Replace these sources; None clears one."""
        for source, pixels in pictures.items():
            if pixels is None:
                self._pictures.pop(source, None)
            else:
                self._pictures[source] = pixels
        self._refresh(pictures.keys())

    def rename(self, names: Mapping[str, str]) -> None:
        """Call these sources by other names in every pane's header."""
        self._names |= names
        for pane in self.panes:
            pane.rename(names)

    def set_measurement_pictorial(self, pictorial: bool) -> None:
        """Whether the measurement has the image's intensities, and so its levels."""
        self._pictorial = pictorial
        self._refresh(("measurement",))

    def set_levels(self, levels: tuple[float, float]) -> None:
        """The intensities shown black and white, the same in all panes."""
        self._levels = levels
        self._refresh_all()

    def set_partition(self, partition: Partition | None) -> None:
        """The tiling of the shown step."""
        self._partition = partition
        self._draw_tiling()

    def show_tiling(self, shown: bool) -> None:
        """Switch the tiling overlay on or off."""
        self._tiling_shown = shown
        self._draw_tiling()

    def set_captions(self, captions: dict[str, str]) -> None:
        """A short text beside the name of each source."""
        self._captions.update(captions)
        for pane in self.panes:
            pane.caption.setText(self._captions.get(pane.source, ""))

    def set_empty_texts(self, texts: dict[str, str]) -> None:
        """What a pane says while its source has no picture."""
        self._empty_texts = dict(texts)
        self._say_what_is_missing()

    def _say_what_is_missing(self) -> None:
        for pane in self.panes:
            pane.set_empty_text(
                "" if pane.source in self._pictures else self._empty_texts.get(pane.source, "")
            )

    def fit(self) -> None:
        """Show the whole image in every pane."""
        self._look(None)

    def values_at(self, row: int, column: int) -> list[tuple[str, str]]:
        """(pane name, value) for every pane with a value under the cursor."""
        found = [(self._names[pane.source], pane.value_text(row, column)) for pane in self.panes]
        return [(name, text) for name, text in found if text]

    def pixels(self, source: str) -> Pixels | None:
        """What is shown for a source now."""
        return self._pictures.get(source)

    def _refresh_all(self) -> None:
        self._refresh(SOURCES)
        self._draw_tiling()

    def _refresh(self, sources: Iterable[str]) -> None:
        for pane in self.panes:
            if pane.source not in sources:
                continue
            pixels = self._pictures.get(pane.source)
            pane.set_pixels(pixels, *self._style(pane.source, pixels), linked=self._linked(pane.source))
            pane.caption.setText(self._captions.get(pane.source, ""))
        self._say_what_is_missing()

    def _linked(self, source: str) -> bool:
        """Whether a source lies on the image's own pixel grid, so that view and cursor are shared."""
        measured, baseline = self._pictures.get(source), self._pictures.get("baseline")
        if source != "measurement" or measured is None or baseline is None:
            return source != "measurement"
        return self._pictorial and measured.shape == baseline.shape

    def _style(
        self, source: str, pixels: Pixels | None
    ) -> tuple[tuple[float, float], NDArray[np.uint8] | None]:
        low, high = self._levels
        if source == "difference":
            reach = _DIFFERENCE_SHARE * (high - low)
            return (-reach, reach), self._diverging
        if source == "deviation" or (source == "measurement" and not self._pictorial):
            highest = float(pixels.max()) if pixels is not None else 0.0
            return (0.0, highest if highest > 0 else 1.0), self._ramp
        return (low, high), None

    def _draw_tiling(self) -> None:
        for pane in self.panes:
            shown = self._tiling_shown and pane.source in _TILED
            pane.set_partition(self._partition if shown else None)

    def _look(self, view: View | None) -> None:
        for pane in self.panes:
            if pane is not self.sender() or view is None:
                pane.set_view(view)

    def point_at(self, row: int, column: int) -> None:
        """Put the shared cursor on this image pixel; a negative row hides it."""
        for pane in self.panes:
            pane.set_cursor(row, column)
        self.hovered.emit(row, column)
