"""The tile inspector: what the network gets and gives for one tile, and what becomes of it when it is shifted."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QEvent, QObject, QPointF, QSignalBlocker, Qt, QTimer
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QWidget,
)

from padis_gui.gui.kit.files import SaveButtons
from padis_gui.gui.kit.forms import ChoiceBox, NumberBox, WholeBox
from padis_gui.gui.kit.widgets import column, form, grid, muted, push_button, row, scrolled, value_cells
from padis_gui.gui.panes.canvas import Canvas, Picture, View
from padis_gui.gui.panes.links import Links
from padis_gui.viewmodels.laboratory.export import export
from padis_gui.viewmodels.laboratory.inspection import PICTURES
from padis_gui.viewmodels.laboratory.inspector import INPUTS, Inspector
from padis_gui.viewmodels.laboratory.laboratory import Overlay
from padis_gui.viewmodels.pictures.levels import Range
from padis_gui.viewmodels.pictures.pictures import GREY, Appearance, value_text
from padis_gui.viewmodels.session.session import Session

_OVERVIEW_HEIGHT = 190
_THREE_COLUMNS, _TWO_COLUMNS = 310, 180  # px of width from which on
NO_COMPARISON = (58, 62, 68, 255)  # pixels that a shifted tile does not share with where it was
_BESIDE = 340  # px of width from which on the overview has the controls beside it
_FAR = 8  # px that an arrow key moves with Ctrl
_ARROWS = {
    Qt.Key.Key_Left: (0, -1), Qt.Key.Key_Right: (0, 1), Qt.Key.Key_Up: (-1, 0), Qt.Key.Key_Down: (1, 0)
}  # fmt: skip
_COEFFICIENTS = {
    name: (name, tip)
    for name, tip in (
        ("c_skip", "c_skip = σ_d² / (σ² + σ_d²): the share of the noisy patch in D"),
        ("c_out", "c_out = σ σ_d / √(σ² + σ_d²): what the output F is multiplied by"),
        ("c_in", "c_in = 1 / √(σ² + σ_d²): what the noisy patch is multiplied by before it enters"),
        ("c_noise", "c_noise = ln(σ) / 4: how the network is told the noise level"),
    )
}
_NONE = "–"  # in the fields, where no tile can be looked at
_EMPTY = "Run a method with the prior, or open an image: then a tile can be looked at here"


class TileInspector(QWidget):
    """Shows the view model's tile, and lets the user choose, shift and drag it. ``levels`` are those of images."""

    def __init__(self, session: Session, inspector: Inspector, levels: Callable[[], Range]) -> None:
        super().__init__()
        self._session, self._inspector, self._levels = session, inspector, levels
        self._grip: tuple[float, float] | None = None  # where in the tile the mouse holds it
        self.overview = Canvas("Where the tile lies")
        self.overview.setFixedHeight(_OVERVIEW_HEIGHT)
        self.overview.set_drawing(True)
        self.overview.setToolTip(
            "Click chooses a tile, dragging shifts it; arrow keys by 1 px, with Ctrl by 8"
        )
        self.overview.drawn.connect(self._drag)
        self.overview.picked.connect(inspector.pick)
        self.overview.installEventFilter(self)
        self._settle = QTimer(self, singleShot=True, interval=0)
        self._settle.timeout.connect(self._fit_overview)
        self.said = muted(wordWrap=True)
        self.pictures = {p.key: Picture(p.title, p.help) for p in PICTURES}
        self.links = Links(self)
        for picture in self.pictures.values():
            picture.canvas.layer.nan_colour = NO_COMPARISON
            self.links.join(picture.canvas)
        self.links.pointed.connect(self._read)
        self.shown = QWidget()
        self._cells = grid(self.shown, spacing=4)
        self.save = SaveButtons(session, "Inspected tile", self.shown, self._export)
        content = QWidget()
        layout = column(content, spacing=6, margins=(5, 6, 5, 8))
        self._top = row(spacing=8)
        self._top.addWidget(self.overview, 4)
        self._top.addWidget(self._controls(), 5)
        layout.addLayout(self._top)
        coefficients, self.coefficients = value_cells(_COEFFICIENTS)
        layout.addWidget(coefficients)
        layout.addWidget(self.said)
        layout.addWidget(self.shown)
        layout.addWidget(self.save)
        layout.addStretch(1)
        column(self).addWidget(scrolled(content))
        self._columns = 0
        inspector.selected.connect(self._show_selection)
        inspector.inspected.connect(self._show_result)
        self._show_selection()
        self._show_result()

    # Making it ------------------------------------------------------------------------------------

    def _controls(self) -> QWidget:
        inspector = self._inspector
        self.input = ChoiceBox()
        for key, (label, tip) in INPUTS.items():
            self.input.offer(label, key, tip)
        self.input.activated.connect(lambda i: inspector.set_input(self.input.itemData(i)))
        self.tile, self.row, self.column = WholeBox(), WholeBox(), WholeBox()
        self.sigma = NumberBox(0.0, 100.0)
        self.home = push_button("Back to the grid", "", inspector.put_back)
        for editor, name, tip in (
            (self.input, "Input", "What the tile is cut out of"),
            (self.tile, "Tile", "Number of the tile in the shown step's tiling, row by row from 1"),
            (self.row, "Row", "First row of the tile; the image's first is 1, and padding is less or beyond"),
            (self.column, "Column", "First column of the tile; the image's first is 1, and padding is less or beyond"),
            (self.sigma, "Noise level σ", "The noise level that the network is told; 0 stands for the step's own"),
            (self.home, "Back to the grid", "Put the tile back to where the grid has it"),
        ):  # fmt: skip
            editor.setAccessibleName(name)
            editor.setToolTip(tip)
        self.tile.valueChanged.connect(lambda number: inspector.choose(number - 1))
        for box in (self.row, self.column):
            box.setSuffix(" px")
            box.valueChanged.connect(lambda _value: self._place())
        self.sigma.valueChanged.connect(lambda value: inspector.set_sigma(value if value > 0 else None))
        controls = QWidget()
        rows = form(controls)
        for label, editor in (
            ("Input", self.input), ("Tile", self.tile), ("Row", self.row), ("Column", self.column),
            ("Noise level σ", self.sigma),
        ):  # fmt: skip
            rows.addRow(label, editor)
        rows.addRow(self.home)
        return controls

    # From the view model --------------------------------------------------------------------------

    def _show_selection(self) -> None:
        """The place, the level and the input as they are chosen now."""
        inspector, partition, box = self._inspector, self._inspector.partition, self._inspector.box
        there = inspector.inputs
        self.said.setText(self._summary())
        with QSignalBlocker(self.input):
            model = self.input.model()
            for index in range(self.input.count()):
                item = model.item(index)  # type: ignore[attr-defined]
                item.setEnabled(self.input.itemData(index) in there)
            used = inspector.used_input
            self.input.setCurrentIndex(self.input.findData(used) if used else -1)
        editors = (self.input, self.tile, self.row, self.column, self.sigma)
        for editor in editors:
            editor.setEnabled(partition is not None and bool(there))
        self.home.setEnabled(inspector.shift != (0, 0) and partition is not None)
        some = partition is not None and box is not None and inspector.overview is not None
        with QSignalBlocker(self.sigma):
            self.sigma.setSpecialValueText(f"{inspector.step_sigma:.2g} (step)" if some else _NONE)
            self.sigma.setValue((inspector.sigma or 0.0) if some else 0.0)
        for spin in (self.tile, self.row, self.column):
            spin.setSpecialValueText("" if some else _NONE)
        if not some:
            for spin in (self.tile, self.row, self.column):
                with QSignalBlocker(spin):
                    spin.setRange(0, 0)
        elif partition is not None and box is not None:
            shape, pad = partition.padded_shape, partition.pad
            with QSignalBlocker(self.tile), QSignalBlocker(self.row), QSignalBlocker(self.column):
                self.tile.setRange(1, len(partition.boxes))
                self.tile.setSuffix(f" of {len(partition.boxes)}")
                self.tile.setValue(inspector.tile + 1)
                for spin, first, margin, length in (
                    (self.row, box.row, pad[0], shape[0]), (self.column, box.column, pad[1], shape[1])
                ):  # fmt: skip
                    spin.setRange(1 - margin, length - box.size - margin + 1)
                    spin.setValue(first - margin + 1)
        self._show_overview()

    def _show_overview(self) -> None:
        inspector, partition = self._inspector, self._inspector.partition
        pixels = inspector.overview
        self.overview.set_picture(pixels, Appearance(self._levels(), GREY))
        self.overview.set_empty_text("" if pixels is not None else _EMPTY)
        shown = partition is not None and pixels is not None and pixels.shape[:2] == partition.image_shape
        overlay = (
            Overlay(partition=partition, inspected=inspector.box, numbers=True)
            if shown and partition
            else None
        )
        self.overview.set_overlay(overlay)
        self._fit_overview()

    def _fit_overview(self) -> None:
        """The whole padded image, so that the tile can be followed into the padding."""
        partition = self._inspector.partition
        if partition is None or self.overview.pixels is None:
            return
        (rows, columns), (high, wide) = partition.image_shape, partition.padded_shape
        width, height = max(1, self.overview.width()), max(1, self.overview.height())
        scale = 1.03 * max(wide / width, high / height)
        self.overview.set_view(View(columns / 2, rows / 2, scale, scale))

    def _show_result(self) -> None:
        """The pictures, the coefficients and what shifting and positions changed."""
        found = self._inspector.result
        looks = {} if found is None else found.looks(self._levels())
        for key, picture in self.pictures.items():
            pixels = None if found is None else found.pictures[key]
            look = looks.get(key, Appearance((0.0, 1.0), GREY))
            picture.show_pixels(pixels, look, legend=key not in ("denoised", "blind"))
            self.links.place(picture.canvas, None if pixels is None else ("tile", *pixels.shape[:2]))
        for name, label in self.coefficients.items():
            label.setText("–" if found is None else f"{getattr(found.tile, name):.4g}".replace("-", "−"))
        self.save.tiff.setEnabled(found is not None)
        self.said.setText(self._summary())

    def _summary(self) -> str:
        found, prepared = self._inspector.result, self._session.screen.prepared
        if found is None or prepared is None:
            return self._inspector.unfit or _EMPTY
        unit = f" {prepared.image.unit}" if prepared.image.unit else ""
        down, right = found.tile.box.row - found.home.row, found.tile.box.column - found.home.column
        step = "" if found.step is None else f"Step {found.step}, "
        text = (
            f"{step}σ = {found.tile.sigma:.4g}. Positions changed D by {found.influence_rms:.3g}{unit} rms."
        )
        if (down, right) == (0, 0):
            return f"{text} Shift the tile to see what the same pixels become in other company."
        where = f"Shifted by {down:+d} rows, {right:+d} columns".replace("-", "−")
        if found.moved_rms != found.moved_rms:
            return f"{text} {where}: no pixel in common with where it was."
        return f"{text} {where}: D of the same pixels changed by {found.moved_rms:.3g}{unit} rms."

    def _read(self, at_row: int, at_column: int) -> None:
        """The values under the cursor, beside the titles."""
        for entry in PICTURES:
            picture = self.pictures[entry.key]
            pixels = picture.canvas.pixels
            text = "" if pixels is None or at_row < 0 else value_text(pixels, at_row, at_column)
            picture.title.setText(f"{entry.title}  {text}" if text else entry.title)

    # From the user --------------------------------------------------------------------------------

    def _drag(self, start: QPointF, now: QPointF, begins: bool, ends: bool) -> None:
        """Hold the tile where the drag began and take it along; outside of it, take the tile that lies there."""
        inspector, partition = self._inspector, self._inspector.partition
        if partition is None:
            return
        top, left = partition.pad
        if begins:
            box = inspector.box
            y, x = start.y() + top, start.x() + left
            if box is None or not (0 <= y - box.row < box.size and 0 <= x - box.column < box.size):
                inspector.pick(int(start.y() // 1), int(start.x() // 1))
                box = inspector.box
            self._grip = None if box is None else (y - box.row, x - box.column)
        if self._grip is not None:
            first = now.y() - self._grip[0], now.x() - self._grip[1]
            inspector.place(round(first[0]), round(first[1]))
        if ends:
            self._grip = None

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.overview:
            if event.type() == QEvent.Type.Resize:
                self._settle.start()
            if event.type() in (QEvent.Type.KeyPress, QEvent.Type.ShortcutOverride):
                return self._arrow(event)  # type: ignore[arg-type]
        return super().eventFilter(watched, event)

    def _arrow(self, event: QKeyEvent) -> bool:
        """Arrow keys shift the tile; whoever else wants them while the overview has the keyboard must wait."""
        moves = _ARROWS.get(Qt.Key(event.key()))
        if moves is None or event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            return False
        event.accept()
        if event.type() == QEvent.Type.KeyPress:
            far = _FAR if event.modifiers() & Qt.KeyboardModifier.ControlModifier else 1
            self._inspector.move(far * moves[0], far * moves[1])
        return True

    def _place(self) -> None:
        self._inspector.place(self.row.value() - 1, self.column.value() - 1)

    def _export(self, path: Path) -> None:
        export(self._session, path, self._inspector.pages())

    # The widget -----------------------------------------------------------------------------------

    def _arrange(self) -> None:
        """As many columns as the width has room for; pictures as high as wide."""
        width = self.width() - 30
        self._top.setDirection(
            QBoxLayout.Direction.LeftToRight if width >= _BESIDE else QBoxLayout.Direction.TopToBottom
        )
        columns = 3 if width >= _THREE_COLUMNS else 2 if width >= _TWO_COLUMNS else 1
        side = (width - 4 * (columns - 1)) // columns
        for index, picture in enumerate(self.pictures.values()):
            picture.setFixedHeight(max(96, side) + picture.title.sizeHint().height() + 1)
            if columns != self._columns:
                self._cells.addWidget(picture, index // columns, index % columns)
        for line in range(len(self.pictures)):
            self._cells.setColumnStretch(line, int(line < columns))
        self._columns = columns

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()

    def set_seen(self, seen: bool) -> None:
        """Whether somebody can see it: Qt calls a dock visible that lies behind another."""
        self._inspector.watch(seen)
