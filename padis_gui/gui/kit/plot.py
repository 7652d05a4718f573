"""The window's plots: lines over a horizontal axis, with a legend above that never lies on them."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import numpy as np
import pyqtgraph as pg
from numpy.typing import ArrayLike, NDArray
from PySide6.QtCore import QEvent, QObject, QPointF, Qt, QTimer, Signal
from PySide6.QtGui import QPalette, QShowEvent
from PySide6.QtWidgets import QFrame, QLabel, QSizePolicy, QWidget

from padis_gui.gui.kit.plot_view import PlotView
from padis_gui.gui.kit.theme import BASELINE, MARKER, SEAM_LINE
from padis_gui.gui.kit.widgets import column, grid, muted

Values = NDArray[np.float64]
Legend = Literal["all", "ends", "none"]

_MOST_POINTS = 1200  # more than there are pixels cost time and show nothing
_FEW_POINTS = 12  # are marked: a line through them would hardly show
_FLOOR = 1e-12  # of what stands on a logarithmic axis
_FILLED, _ROOM = (
    0.5,
    0.15,
)  # of the vertical range, that lines take at least; of the lines, free above and below
_BETWEEN_PLOTS_MS = 10
_OVER, _UNDER = (1.0, 1.05), (1.0, -0.05)  # anchors of the text at a level's right end
_AXIS_WIDTH = 50  # px, the same in every plot, so that those above each other are flush


@dataclass(frozen=True, slots=True)
class Line:
    """One line. NaN breaks it; ``dots`` mark each point, for values that are measured now and then. It is ``named`` in
    the legend, unless it belongs to another one."""

    name: str
    colour: str
    x: ArrayLike
    y: ArrayLike
    dots: bool = False
    dashed: bool = False
    named: bool = True

    @classmethod
    def through_known(cls, name: str, colour: str, x: ArrayLike, y: ArrayLike) -> "Line":
        """A line that goes on across the points whose value is not known."""
        steps, values = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        known = np.isfinite(values)
        return cls(name, colour, steps[known], values[known])


class DrawQueue(QObject):
    """Draws plots one after the other, so that a row of them never holds the window for longer than one takes."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._waiting: deque[Plot] = deque()
        self._next = QTimer(self, singleShot=True)
        self._next.timeout.connect(self._draw_next)

    def add(self, plot: "Plot") -> None:
        """Draw a plot soon, once, after those that wait already."""
        if plot not in self._waiting:
            self._waiting.append(plot)
        if not self._next.isActive():
            self._next.start(0)

    def holds(self, plot: "Plot") -> bool:
        """Whether a plot waits to be drawn."""
        return plot in self._waiting

    def _draw_next(self) -> None:
        plot = self._waiting.popleft()
        plot.draw()
        if self._waiting:
            self._next.start(_BETWEEN_PLOTS_MS)


class Plot(QWidget):
    """Shows what it was given last, once it can be seen; what it is given replaces what it showed.

    ``clicked`` carries the place on the horizontal axis, ``hovered`` that under the mouse, or None outside.
    """

    clicked = Signal(float)
    hovered = Signal(object)

    def __init__(
        self,
        title: str,
        *,
        tip: str = "",
        logarithmic: bool = False,
        whole: bool = True,
        legend: Legend = "all",
        movable: bool = False,
        queue: DrawQueue | None = None,
    ) -> None:
        """``legend`` names all lines, the two ends of an ordered family, or none. ``movable``: wheel and drag zoom
        and pan, a double click undoes that. Plots side by side share a ``queue``."""
        super().__init__()
        self._title, self._logarithmic, self._whole = title, logarithmic, whole
        self._legend, self._movable = legend, movable
        self._queue = queue or DrawQueue(self)
        self._lines: tuple[Line, ...] = ()
        self._anything = False  # among them that can be drawn
        self._range = (0.0, 1.0)
        self._labels = {"bottom": "", "left": ""}
        self._level: tuple[float, str] | None = None
        self._marker: float | None = None
        self._seams: tuple[float, ...] = ()
        self._held = False  # where the user has put it
        self._view: PlotView | None = None
        self._items: dict[str, tuple[pg.PlotDataItem, object]] = {}
        self.heading = QLabel(wordWrap=True, textFormat=Qt.TextFormat.RichText)
        # a long one is cut; the plot doesn't widen for it
        self.heading.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.area = QFrame()
        self.area.setAutoFillBackground(True)
        self.area.setMinimumHeight(70)
        self.area.setBackgroundRole(QPalette.ColorRole.Base)
        self._inside = grid(self.area)
        self.empty = muted(
            tip or title, self.area, alignment=Qt.AlignmentFlag.AlignCenter, wordWrap=True, margin=6
        )
        self._inside.addWidget(self.empty, 0, 0)  # over the plot, which gets the same cell
        self.setAccessibleName(title)
        self.setToolTip(tip)
        layout = column(self, spacing=1)
        layout.addWidget(self.heading)
        layout.addWidget(self.area, 1)
        self._say_legend()

    def hasHeightForWidth(self) -> bool:
        """The heading's lines depend on the width; a plot that says so claims its full height from its neighbours."""
        return False

    # What is to be seen ---------------------------------------------------------------------------

    def set_title(self, title: str) -> None:
        self._title = title
        self._say_legend()

    def set_empty_text(self, text: str) -> None:
        """What to expect here, shown while there is nothing to see; without it, the plot's tip."""
        self.empty.setText(text)

    def set_lines(self, lines: Sequence[Line]) -> None:
        """Show exactly these lines; later ones lie above earlier ones."""
        self._lines = tuple(lines)
        self._anything = any(np.isfinite(np.asarray(line.y, dtype=np.float64)).any() for line in lines)
        self._say_legend()
        self._ask()

    def set_x_range(self, low: float, high: float) -> None:
        """The horizontal axis from here to there, whatever the lines."""
        wanted = (low, max(high, low + 1e-9))
        self._held &= wanted == self._range
        self._range = wanted
        self._ask()

    def set_labels(self, *, bottom: str = "", left: str = "") -> None:
        """What the axes count, where the title does not say it."""
        self._labels = {"bottom": bottom, "left": left}
        self._ask()

    def set_level(self, value: float | None, name: str = "") -> None:
        """A dashed line across at this value, with a name at its end; None removes it."""
        self._level = None if value is None or not np.isfinite(value) else (float(value), name)
        self._ask()

    def set_marker(self, x: float | None) -> None:
        """Mark this place; None marks none."""
        self._marker = x
        if self._view is not None:
            self._place(self._marker_item, x)

    def set_seams(self, places: Sequence[float]) -> None:
        """Dashed upright lines here."""
        self._seams = tuple(places)
        self._ask()

    # What is seen ---------------------------------------------------------------------------------

    @property
    def view(self) -> PlotView:
        """The plot below the heading; made when it is first wanted."""
        if self._view is None:
            self._view = self._make_view()
        return self._view

    @property
    def names(self) -> list[str]:
        """The lines that are shown now."""
        return [line.name for line in self._lines]

    @property
    def is_drawn(self) -> bool:
        """Whether what was given last is on the screen."""
        return self._view is not None and not self._queue.holds(self)

    def points(self, name: str) -> tuple[Values, Values]:
        """Places and values of a line as they are drawn; none where it is not drawn yet."""
        if name not in self._items or self._items[name][0].xData is None:
            return np.empty(0), np.empty(0)
        item = self._items[name][0]
        return np.asarray(item.xData, dtype=np.float64), np.asarray(item.yData, dtype=np.float64)

    @property
    def marker(self) -> float | None:
        """The place that is marked on the screen."""
        return self._marker_item.value() if self._view and self._marker_item.isVisible() else None

    @property
    def level(self) -> float | None:
        """Where the line across is on the screen."""
        return self._level_item.value() if self._view and self._level_item.isVisible() else None

    @property
    def seams(self) -> list[float]:
        """Where the upright lines are on the screen."""
        return [item.value() for item in self._seam_items if item.isVisible()] if self._view else []

    # Drawing --------------------------------------------------------------------------------------

    def _ask(self) -> None:
        if self.isVisible():
            self._queue.add(self)

    def draw(self) -> None:
        """Draw what was given last. The first time takes two turns: making a plot takes as long as drawing it."""
        self.empty.setVisible(not self._anything)
        if self._view is None:
            self._queue.add(self)
            self.view.setVisible(self._anything)
            return
        view = self._view
        view.setVisible(self._anything)  # axes and a grid around nothing would say nothing
        for side, text in self._labels.items():
            if view.getAxis(side).labelText != text:
                view.setLabel(side, text)
                view.getAxis(side).showLabel(bool(text))
        view.getAxis("left").setWidth(None if self._labels["left"] else _AXIS_WIDTH)
        self._place(self._marker_item, self._marker)
        self._place(self._level_item, None if self._level is None else self._height(self._level[0]))
        self._level_item.label.setFormat("" if self._level is None else self._level[1])
        while len(self._seam_items) < len(self._seams):
            self._seam_items.append(self._add_line(90, SEAM_LINE, dashed=True))
        for number, item in enumerate(self._seam_items):
            self._place(item, self._seams[number] if number < len(self._seams) else None)
        values = self._draw_lines(view)
        if not self._held:
            view.setXRange(*self._range, padding=0.02)
            self._make_room(view, values)

    def _make_view(self) -> PlotView:
        view = PlotView(self._title, logarithmic=self._logarithmic, whole=self._whole)
        view.getAxis("left").setWidth(_AXIS_WIDTH)
        self._view = view
        self._marker_item = self._add_line(90, MARKER)
        self._level_item = self._add_line(
            0, BASELINE, dashed=True, label="",
            labelOpts={"position": 0.98, "color": BASELINE, "anchors": [_OVER, _OVER]},
        )  # fmt: skip
        self._seam_items: list[pg.InfiniteLine] = []
        view.scene().sigMouseClicked.connect(self._click)
        view.scene().sigMouseMoved.connect(self._hover)
        if self._movable:
            view.setMouseEnabled(x=True, y=True)
            view.box.sigRangeChangedManually.connect(self._hold)
        self._inside.addWidget(view, 0, 0)
        self.empty.raise_()
        return view

    def _add_line(self, angle: int, colour: str, *, dashed: bool = False, **more: Any) -> pg.InfiniteLine:
        style = Qt.PenStyle.DashLine if dashed else Qt.PenStyle.SolidLine
        item = pg.InfiniteLine(angle=angle, pen=pg.mkPen(colour, width=1, style=style), **more)
        item.hide()
        self.view.addItem(item, ignoreBounds=True)
        return item

    @staticmethod
    def _place(item: pg.InfiniteLine, value: float | None) -> None:
        item.setVisible(value is not None)
        if value is not None:
            item.setPos(value)

    def _draw_lines(self, view: PlotView) -> Values:
        """Draw the lines; their finite values come back."""
        for name in [name for name in self._items if name not in self.names]:
            view.removeItem(self._items.pop(name)[0])
        found = [np.empty(0)]
        for depth, line in enumerate(self._lines):
            if line.name not in self._items:
                self._items[line.name] = view.plot(connect="finite", antialias=True), None
            item, style = self._items[line.name]
            x, y = np.asarray(line.x, dtype=np.float64), np.asarray(line.y, dtype=np.float64)
            if self._logarithmic:
                y = np.maximum(y, _FLOOR)
            finite = y[np.isfinite(y)]
            if not len(finite):  # pyqtgraph asks such points for their extremes, and numpy warns
                x = y = finite
            found.append(finite)
            dots = line.dots or (not line.dashed and len(finite) <= _FEW_POINTS)
            if (line.colour, line.dashed, dots) != style:
                self._style(item, line.colour, dashed=line.dashed, dots=dots)
                self._items[line.name] = item, (line.colour, line.dashed, dots)
            item.setZValue(depth)
            item.setData(*_thinned(x, y))
        return np.concatenate(found)

    @staticmethod
    def _style(item: pg.PlotDataItem, colour: str, *, dashed: bool, dots: bool) -> None:
        # one pixel wide: Qt draws wide lines many times slower
        item.setPen(
            pg.mkPen(colour, width=1, style=Qt.PenStyle.DashLine if dashed else Qt.PenStyle.SolidLine)
        )
        item.setSymbol("o" if dots else None)
        if dots:
            item.setSymbolSize(5)
            item.setSymbolPen(None)
            item.setSymbolBrush(colour)

    def _height(self, value: float) -> float:
        """Where a value stands on the vertical axis."""
        return float(np.log10(max(value, _FLOOR))) if self._logarithmic else value

    def _make_room(self, view: PlotView, values: Values) -> None:
        """Keep the vertical range while the lines fit and fill half of it: another one redraws the axes, which costs
        more than all else.
        """
        if self._level is not None:
            topmost = not len(values) or self._level[0] >= float(values.max())
            label = self._level_item.label  # under a line at the top, else over it: it would be cut there
            label.anchors = [_UNDER, _UNDER] if topmost else [_OVER, _OVER]
            label.updatePosition()
            values = np.append(values, self._level[0])
        if not len(values):
            return
        low, high = self._height(float(values.min())), self._height(float(values.max()))
        bottom, top = view.box.viewRange()[1]
        if not bottom <= low <= high <= top or high - low < _FILLED * (top - bottom):
            room = _ROOM * (high - low) or _ROOM * abs(high) or _ROOM
            view.box.setYRange(low - room, high + room, padding=0)

    def _say_legend(self) -> None:
        named = [line for line in self._lines if line.named]
        marks = [f'<span style="color:{line.colour}">{"┄" if line.dashed else "━"}</span>' for line in named]
        names = [escape(line.name).replace(" ", "&nbsp;") for line in named]
        entries = [f"{mark}&nbsp;{name}" for mark, name in zip(marks, names, strict=True)]
        if self._legend == "none" or not self._anything:
            entries = []
        elif self._legend == "ends" and len(names) > 2:
            entries = [f"{names[0]}&nbsp;{''.join(marks)}&nbsp;{names[-1]}"]
        self.heading.setText("&nbsp;&nbsp; ".join(filter(None, [escape(self._title), *entries])))

    # The mouse ------------------------------------------------------------------------------------

    def _x_at(self, position: QPointF) -> float | None:
        """The place under a point of the scene; None outside of the axes."""
        box = self.view.box
        return float(box.mapSceneToView(position).x()) if box.sceneBoundingRect().contains(position) else None

    def _click(self, event: Any) -> None:
        x = self._x_at(event.scenePos())
        if self._movable and event.double():
            self._held = False
            self._ask()
        elif x is not None:
            self.clicked.emit(x)

    def _hover(self, position: QPointF) -> None:
        self.hovered.emit(self._x_at(position))

    def _hold(self) -> None:
        self._held = True

    # Events ---------------------------------------------------------------------------------------

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self.hovered.emit(None)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._queue.add(self)


def _thinned(x: Values, y: Values) -> tuple[Values, Values]:
    """At most some thousand of the points: the least and the greatest of each stretch, and the last one."""
    if len(x) <= _MOST_POINTS:
        return x, y
    stretch = -(-2 * len(x) // _MOST_POINTS)
    whole = len(x) // stretch * stretch
    blocks = np.nan_to_num(y[:whole], nan=0.0).reshape(-1, stretch)
    start = np.arange(0, whole, stretch)
    picked = np.unique(np.concatenate([start + blocks.argmin(1), start + blocks.argmax(1), [len(x) - 1]]))
    return x[picked], y[picked]
