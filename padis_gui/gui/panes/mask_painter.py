"""Paints the mask of an inpainting problem on the panes: a strip of tools, a red film, a round brush."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QObject, QPointF, QSize, Qt
from PySide6.QtGui import QGuiApplication, QKeySequence, QShortcut, QWheelEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QGraphicsEllipseItem,
    QLabel,
    QToolButton,
    QWidget,
)

from padis_gui.gui.kit.files import IMAGES, PNGS, choose_to_open, choose_to_write
from padis_gui.gui.kit.focus import LeftByEscape
from padis_gui.gui.kit.forms import Slider
from padis_gui.gui.kit.theme import MASK, icon
from padis_gui.gui.kit.widgets import Flow
from padis_gui.gui.panes.canvas import Canvas
from padis_gui.gui.panes.pane_grid import PaneGrid
from padis_gui.viewmodels.pictures.sources import Lattice
from padis_gui.viewmodels.session.mask import MaskEditor
from padis_gui.viewmodels.state.preferences import Preferences

Brush = Literal["paint", "erase", "box"]
_SMALLEST, _LARGEST, _FIRST = 1, 200, 16
_ABOVE_PICTURES = 25
_MARKED = ("measurement", "truth")


class _Film:
    """What one canvas shows of the mask: a film over what is missing, and the brush."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        self.film = pg.ImageItem()
        self.ring = QGraphicsEllipseItem()
        self.ring.setPen(pg.mkPen("w", width=1))
        self.ring.hide()
        for item, depth in ((self.film, _ABOVE_PICTURES), (self.ring, _ABOVE_PICTURES + 1)):
            item.setZValue(depth)
            canvas.box.addItem(item, ignoreBounds=True)

    def remove(self) -> None:
        """Leave the canvas as it was."""
        for item in (self.film, self.ring):
            self.canvas.box.removeItem(item)


class MaskPainter(QWidget):
    """The strip; it is there while the mask is painted. Space left over says how much is missing."""

    def __init__(self, editor: MaskEditor, panes: PaneGrid, preferences: Preferences) -> None:
        super().__init__()
        self.editor, self._panes, self._preferences = editor, panes, preferences
        self._films: list[_Film] = []
        self._joined: set[Canvas] = set()
        self._last: QPointF | None = None
        colour = pg.mkColor(MASK)
        self._colour = np.array([colour.red(), colour.green(), colour.blue(), 100], dtype=np.uint8)
        self._make_strip()
        self.action = panes.act.mask
        self.action.toggled.connect(self._toggle)
        LeftByEscape(self, panes.act.move.trigger)
        editor.toggled.connect(self._show)
        editor.changed.connect(self._paint)
        for signal in (editor.toggled, editor.prepared):
            signal.connect(self._mark)
        panes.arranged.connect(self._rejoin)
        panes.links.placed.connect(lambda _canvas: self._rejoin())
        self.allow()
        self.hide()

    # The strip ------------------------------------------------------------------------------------

    def _make_strip(self) -> None:
        layout = Flow(self, spacing=3, margins=(8, 3, 8, 3))
        self.brushes = QButtonGroup(self)
        self._brush_names: tuple[Brush, ...] = ("paint", "erase", "box")
        for text, name, tip in (
            ("Paint", "mask", "Drag over what is missing"),
            ("Erase", "eraser", "Drag over what is known after all"),
            ("Box", "rectangle", "Drag a box of missing pixels; with Shift, of known ones"),
        ):
            button = self._button(text, name, tip)
            button.setCheckable(True)
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
            self.brushes.addButton(button, len(self.brushes.buttons()))
            layout.addWidget(button)
        self.brushes.button(0).setChecked(True)
        self.size_label = QLabel()
        self.slider = Slider(Qt.Orientation.Horizontal)
        self.slider.setRange(_SMALLEST, _LARGEST)
        self.slider.setValue(_FIRST)
        self.slider.setFixedWidth(52)
        self.slider.setAccessibleName("Diameter of the brush in px")
        self.slider.setToolTip("Diameter of the brush in image pixels (the wheel over a pane, or [ and ])")
        self.slider.valueChanged.connect(self._sized)
        layout.addWidget(self.slider)
        layout.addWidget(self.size_label)
        self.undo = self._button("Undo", "undo", "Take the last change back (Ctrl+Z)")
        self.redo = self._button("Redo", "redo", "Make it again (Ctrl+Shift+Z)")
        for button, slot in ((self.undo, self.editor.undo), (self.redo, self.editor.redo)):
            button.clicked.connect(slot)
            layout.addWidget(button)
        for text, tip, do in (
            ("Invert", "What is missing becomes known, and the other way round", self.editor.invert),
            ("Clear", "Nothing is missing", self.editor.clear),
            ("Load…", "Go on with a mask in a file: what is bright is missing", self._load),
            ("Save…", "Write the mask as PNG where you want it", self._save),
        ):
            push = self._button(text, "", tip)
            push.clicked.connect(lambda _checked=False, do=do: do())
            layout.addWidget(push)
        self.share = QLabel()
        self.share.setMinimumWidth(1)
        self.share.setProperty("muted", True)
        layout.addWidget(self.share)
        done = self._button("Done", "", "Stop painting; the problem has the mask as it is (V)")
        done.setAutoRaise(False)
        done.clicked.connect(self._panes.act.move.trigger)
        layout.addWidget(done)
        self._keys = [
            self._key("[", lambda: self._size_by(-1)),
            self._key("]", lambda: self._size_by(1)),
            self._key("Ctrl+Z", self.editor.undo),
            self._key("Ctrl+Shift+Z", self.editor.redo),
        ]
        self._sized(_FIRST)

    @staticmethod
    def _button(text: str, name: str, tip: str) -> QToolButton:
        button = QToolButton(autoRaise=True)
        button.setText(text)
        if name:
            button.setIcon(icon(name))
            button.setIconSize(QSize(15, 15))
        button.setAccessibleName(text)
        button.setToolTip(tip)
        return button

    def _key(self, keys: str, do: Callable[[], object]) -> QShortcut:
        shortcut = QShortcut(QKeySequence(keys), self._panes)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(do)
        shortcut.setEnabled(False)
        return shortcut

    @property
    def brush(self) -> Brush:
        """What a drag does."""
        return self._brush_names[max(0, self.brushes.checkedId())]

    @property
    def diameter(self) -> int:
        """Of the brush, in image pixels."""
        return self.slider.value()

    def _size_by(self, steps: int) -> None:
        """Larger or smaller by a tenth, at least by one."""
        self.slider.setValue(self.diameter + steps * max(1, round(self.diameter / 10)))

    def _sized(self, diameter: int) -> None:
        self.size_label.setText(f"{diameter} px")
        for film in self._films:
            centre = film.ring.rect().center()
            film.ring.setRect(centre.x() - diameter / 2, centre.y() - diameter / 2, diameter, diameter)

    # Beginning and ending -------------------------------------------------------------------------

    def allow(self) -> None:
        """Offer painting exactly where there is something to paint."""
        possible = self.editor.possible
        self.action.setEnabled(possible)
        if not possible and self.editor.missing is not None:
            self.editor.end()

    def _toggle(self, painting: bool) -> None:
        self.editor.begin() if painting else self.editor.end()

    def _show(self, painting: bool) -> None:
        self.setVisible(painting)
        for key in self._keys:
            key.setEnabled(painting)
        if painting:
            self._rejoin()
        else:
            self._leave()
            if self.action.isChecked():  # it ended by itself: another image, another physics, a run
                self._panes.act.move.trigger()

    def _leave(self) -> None:
        for film in self._films:
            film.canvas.viewport().removeEventFilter(self)
            film.remove()
        self._films = []

    def _rejoin(self) -> None:
        """A film on every pane that shows the image's own pixels."""
        missing = self.editor.missing
        if missing is None:
            return
        self._leave()
        for canvas in self._panes.links.canvases:
            self._listen_to(canvas)
            if canvas.group is not None and canvas.group[1:] == missing.shape and _is_slice(canvas):
                self._films.append(_Film(canvas))
                canvas.viewport().installEventFilter(self)
        self._paint()

    def _listen_to(self, canvas: Canvas) -> None:
        if canvas in self._joined:
            return
        self._joined.add(canvas)
        canvas.destroyed.connect(lambda: self._joined.discard(canvas))
        canvas.drawn.connect(lambda start, now, begins, _ends: self._drag(canvas, start, now, begins=begins))
        canvas.box.clicked.connect(lambda point: self._drag(canvas, point, point, begins=True))

    def _mark(self) -> None:
        """What an inpainting problem lacks is seen on its measurement and on the truth as soon as it is prepared."""
        missing = self.editor.marked
        marks = {} if missing is None else dict.fromkeys(_MARKED, missing)
        self._panes.picture_set.set_missing(marks)

    # Painting -------------------------------------------------------------------------------------

    def _paints_on(self, canvas: Canvas) -> bool:
        return any(film.canvas is canvas for film in self._films) and self._panes.tools.tool == "mask"

    def _drag(self, canvas: Canvas, start: QPointF, now: QPointF, *, begins: bool) -> None:
        if not self._paints_on(canvas):
            return
        if begins or self._last is None:
            self.editor.remember()
            self._last = start
        shift = Qt.KeyboardModifier.ShiftModifier in QGuiApplication.keyboardModifiers()
        if self.brush == "box":
            self.editor.box(_place(start), _place(now), erase=shift)
        else:
            erase = (self.brush == "erase") != shift
            self.editor.stroke(_place(self._last), _place(now), self.diameter, erase=erase)
        self._last = now

    def _paint(self) -> None:
        missing = self.editor.missing
        if missing is None:
            return
        film = missing[..., None] * self._colour
        for each in self._films:
            each.film.setImage(film, autoLevels=False, levels=(0, 255))
        self.share.setText(f"{self.editor.share:.1%} missing")
        self.undo.setEnabled(self.editor.undoable)
        self.redo.setEnabled(self.editor.redoable)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The wheel sizes the brush (with Ctrl it zooms as ever), and the brush follows the mouse."""
        film = next((f for f in self._films if f.canvas.viewport() is watched), None)
        if film is None:
            return False
        if isinstance(event, QWheelEvent) and not event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self._size_by(1 if event.angleDelta().y() > 0 else -1)
            return True
        if event.type() in (QEvent.Type.MouseMove, QEvent.Type.Leave):
            self._move_ring(film, event)
        return False

    def _move_ring(self, film: _Film, event: QEvent) -> None:
        inside = event.type() is QEvent.Type.MouseMove and self.brush != "box"
        film.ring.setVisible(inside)
        if inside:
            scene = film.canvas.mapToScene(event.position().toPoint())  # type: ignore[attr-defined]
            centre, half = film.canvas.box.mapSceneToView(scene), self.diameter / 2
            film.ring.setRect(centre.x() - half, centre.y() - half, 2 * half, 2 * half)

    # Files ----------------------------------------------------------------------------------------

    def _load(self) -> None:
        start = self._preferences.folder_of("mask")
        choose_to_open(self, "Open mask", IMAGES, self._load_from, start)

    def _load_from(self, path: Path) -> None:
        self._preferences.went_to("mask", path)
        self.editor.load(path)

    def _save(self) -> None:
        start = self._preferences.folder_of("mask")
        choose_to_write(self, "Save mask", PNGS, "mask.png", self._save_to, start)

    def _save_to(self, path: Path) -> None:
        self._preferences.went_to("mask", path)
        self.editor.save(path)


def _place(point: QPointF) -> tuple[float, float]:
    """(row, column) of a point in image coordinates."""
    return point.y(), point.x()


def _is_slice(canvas: Canvas) -> bool:
    """Whether it shows pixels of one slice: what is missing of it is not missing across a volume."""
    lattices = (Lattice.IMAGE.value, Lattice.MEASUREMENT.value)
    return canvas.group is not None and canvas.group[0] in lattices
