"""The tools that draw on panes: one line and one region, shown on every pane with the same pixels."""

from typing import Literal, cast

from PySide6.QtCore import QObject, QPointF, Signal

from padis_gui.gui.panes._j_canvas__gui_viewers_canvas import Canvas, Group
from padis_gui.gui.panes._j_links__gui_viewers_links import Links
from padis_gui.viewmodels.pictures.profiles import Handle, Line, Point, Region, dragged, grab

Tool = Literal["move", "profile", "rectangle", "ellipse", "mask"]
_REACH = 9.0  # screen pixels within which a handle is taken hold of
_SHORTEST = 1.0


class DrawingTools(QObject):
    """Turns drags into shapes. ``changed`` comes when the line or the region did, ``tool_changed`` with the tool."""

    changed = Signal()
    tool_changed = Signal(str)

    def __init__(self, links: Links) -> None:
        super().__init__(links)
        self._links = links
        self.tool: Tool = "move"
        self.line: Line | None = None
        self.region: Region | None = None
        self.group: Group | None = None
        self._hold: Handle | None = None
        self._before: Line | Region | None = None
        links.placed.connect(self.show_on)

    def join(self, canvas: Canvas) -> None:
        """Draw on this canvas too."""
        canvas.drawn.connect(
            lambda start, now, begins, _ends: self._drag(canvas, _point(start), _point(now), begins=begins)
        )
        canvas.set_drawing(self.tool != "move")
        self.show_on(canvas)

    def set_tool(self, tool: Tool) -> None:
        """What drags with the left button do from now on."""
        self.tool = tool
        for canvas in self._links.canvases:
            canvas.set_drawing(tool != "move")
        self.tool_changed.emit(tool)

    def set_line(self, line: Line | None) -> None:
        """Another line, or none."""
        self.line = line
        self._changed()

    def set_region(self, region: Region | None) -> None:
        """Another region, or none."""
        self.region = region
        self._changed()

    def mark(self, point: Point | None) -> None:
        """Mark a point on the line; None removes the mark."""
        for canvas in self._links.canvases:
            canvas.set_marker(point if canvas.group == self.group else None)

    def adopt(self, group: Group | None) -> None:
        """Shapes belong to these pixels; those that were drawn on others go."""
        if group != self.group:
            self.group, self.line, self.region = group, None, None

    def show_on(self, canvas: Canvas) -> None:
        """Draw the shapes on a canvas that has their pixels."""
        shapes = [shape for shape in (self.region, self.line) if shape is not None]
        canvas.set_shapes(shapes if canvas.group is not None and canvas.group == self.group else [])

    def _changed(self) -> None:
        for canvas in self._links.canvases:
            self.show_on(canvas)
        self.changed.emit()

    def _drag(self, canvas: Canvas, start: Point, now: Point, *, begins: bool) -> None:
        if canvas.group is None or self.tool == "mask":  # which the mask's painter draws
            return
        if begins:
            self.adopt(canvas.group)
            self._before = self.line if self.tool == "profile" else self.region
            self._hold = None if self._before is None else grab(self._before, start, canvas.reach(_REACH))
        if self._before is not None and self._hold is not None:
            self._keep(dragged(self._before, self._hold, start, now))
        elif self.tool == "profile":
            width = self._before.width if isinstance(self._before, Line) else 1
            line = Line(start, now, width)
            if line.length >= _SHORTEST:
                self._keep(line)
        else:
            self._keep(Region.between(cast(Literal["rectangle", "ellipse"], self.tool), start, now))

    def _keep(self, shape: Line | Region) -> None:
        if isinstance(shape, Line):
            self.line = shape
        else:
            shape = shape.snapped()
            if shape.width < _SHORTEST or shape.height < _SHORTEST:
                return
            self.region = shape
        self._changed()


def _point(point: QPointF) -> Point:
    return point.x(), point.y()
