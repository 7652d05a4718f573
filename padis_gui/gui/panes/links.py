"""Panes that look at the same place and share a cursor, and the line and region that are drawn on all of them.

Centre and pixels per screen pixel are passed on; pyqtgraph's own linking of axes runs away when canvases with a
locked aspect are resized (#1348).
"""

import math
from collections.abc import Mapping
from typing import Literal, cast

from PySide6.QtCore import QObject, QPointF, Signal

from padis_gui.gui.panes.canvas import Canvas, Group, View
from padis_gui.viewmodels.pictures.planes import Plane, VoxelGrid
from padis_gui.viewmodels.pictures.profiles import Handle, Line, Point, Region, dragged, grab
from padis_gui.viewmodels.pictures.sources import Lattice


class Links(QObject):
    """Passes views and cursor on among its canvases. ``pointed`` carries (row, column) in ``group``, or (-1, -1)."""

    pointed = Signal(int, int)
    stepped = Signal(object, int)  # a group, and one plane on or back across it
    placed = Signal(object)  # a canvas that shows other pixels than before

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.canvases: list[Canvas] = []
        self.group: Group | None = None
        self.grid: VoxelGrid | None = None  # of the volume whose planes are shown: their views go together
        self._views: dict[Group, View | None] = {}
        self._cursor = (-1, -1)

    def join(self, canvas: Canvas) -> None:
        """Take part from now on."""
        self.canvases.append(canvas)
        canvas.moved.connect(lambda view: self._moved(canvas, view))
        canvas.hovered.connect(lambda row, column: self._hovered(canvas, row, column))
        canvas.stepped.connect(lambda by: self.stepped.emit(canvas.group, by))

    def leave(self, canvas: Canvas) -> None:
        """Take part no longer; for a canvas that is thrown away."""
        self.canvases.remove(canvas)

    def place(self, canvas: Canvas, group: Group | None) -> None:
        """Say which pixels a canvas shows; one that is linked looks where its new group does."""
        if group != canvas.group:
            canvas.group = group
            if group is not None:
                canvas.set_view(self._views.get(group) if canvas.linked else None)
            self._show_cursor(canvas)
            self.placed.emit(canvas)

    def set_linked(self, canvas: Canvas, linked: bool) -> None:
        """Tie a canvas to its group, or let it look where it likes."""
        canvas.linked = linked
        if linked and canvas.group is not None:
            canvas.set_view(self._views.get(canvas.group))

    def fit(self) -> None:
        """Show everything in every canvas."""
        self._views.clear()
        for canvas in self.canvases:
            canvas.set_view(None)

    def point_at(self, group: Group | None, row: int, column: int) -> None:
        """Put the cursor on this pixel of a group's canvases; a negative row hides it."""
        self.group, self._cursor = group, (row, column)
        for canvas in self.canvases:
            self._show_cursor(canvas)
        self.pointed.emit(row, column)

    def _show_cursor(self, canvas: Canvas) -> None:
        canvas.set_cursor(*(self._cursor if canvas.group == self.group else (-1, -1)))

    def _moved(self, origin: Canvas, view: View | None) -> None:
        if not origin.linked or origin.group is None:
            return
        self._views[origin.group] = view
        others = {} if self.grid is None else beside(self.grid, origin.group, view, self._views)
        self._views |= others
        for canvas in self.canvases:
            if canvas is origin or not canvas.linked:
                continue
            if canvas.group == origin.group:
                canvas.set_view(view)
            elif canvas.group in others:
                canvas.set_view(others[canvas.group])

    def _hovered(self, canvas: Canvas, row: int, column: int) -> None:
        if row >= 0 or canvas.group == self.group:
            self.point_at(canvas.group, row, column)


# Which of (height, row, column) goes up and down in a plane's picture, and which from left to right
_AXES = {Plane.AXIAL: (1, 2), Plane.CORONAL: (0, 2), Plane.SAGITTAL: (0, 1)}


def beside(
    grid: VoxelGrid, group: Group, view: View | None, views: Mapping[Group, View | None]
) -> dict[Group, View | None]:
    """Where the other planes of a volume look when that of ``group`` looks at ``view``: as many mm a screen pixel, and at
    the same place along the axis that they share; along the other as before, by ``views``, or at its middle.
    """
    groups = {plane: (plane.lattice.value, *grid.sides(plane)) for plane in Plane}
    mine = next((plane for plane, each in groups.items() if each == group), None)
    if mine is None:
        return {}
    if view is None:
        return {each: None for plane, each in groups.items() if plane is not mine}
    centre = dict(zip(_AXES[mine], (view.y, view.x), strict=True))
    millimetres = view.scale_x * _pitch(grid, mine)[1]
    found: dict[Group, View | None] = {}
    for plane, each in groups.items():
        if plane is mine:
            continue
        before, (rows, columns) = views.get(each), grid.sides(plane)
        y, x = (rows / 2, columns / 2) if before is None else (before.y, before.x)
        down, across = _AXES[plane]
        pitch = _pitch(grid, plane)
        found[each] = View(
            centre.get(across, x), centre.get(down, y), millimetres / pitch[1], millimetres / pitch[0]
        )
    return found


def _pitch(grid: VoxelGrid, plane: Plane) -> tuple[float, float]:
    """(rows, columns) in mm, or as much as the panes show of it: pixels are square where nothing is known of them."""
    known = grid.pitch(plane)
    if known is not None:
        return known
    rows, columns = grid.spacing or (1.0, 1.0)
    across = columns if plane is Plane.CORONAL else rows
    return across, across


Tool = Literal["move", "profile", "rectangle", "ellipse", "mask", "crop", "crosshair"]
_REACH = 9.0  # screen pixels within which a handle is taken hold of
_SHORTEST = 1.0


class DrawingTools(QObject):
    """Turns drags into shapes. ``changed`` comes when the line or the region did, ``tool_changed`` with the tool;
    ``located`` with a group and the (row, column) of its pixels to which the crosshair is clicked or dragged.

    ``crop`` is the region that is to be taken of pictures with ``crop_shape`` (rows, columns), within their borders, while
    it is being chosen; ``crop_changed`` comes when it did.
    """

    changed = Signal()
    crop_changed = Signal()
    located = Signal(object, int, int)
    tool_changed = Signal(str)

    def __init__(self, links: Links) -> None:
        super().__init__(links)
        self._links = links
        self.tool: Tool = "move"
        self.line: Line | None = None
        self.region: Region | None = None
        self.group: Group | None = None
        self.crop: Region | None = None
        self.crop_shape: tuple[int, int] | None = None
        self._hold: Handle | None = None
        self._before: Line | Region | None = None
        links.placed.connect(self.show_on)

    def join(self, canvas: Canvas) -> None:
        """Draw on this canvas too."""
        canvas.drawn.connect(
            lambda start, now, begins, _ends: self._drag(canvas, _point(start), _point(now), begins=begins)
        )
        canvas.picked.connect(lambda row, column: self._locate(canvas, row, column))
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

    def choose_crop(self, shape: tuple[int, int] | None, region: Region | None = None) -> None:
        """Choose a crop of pictures of ``shape`` from now on, or another region; None ends that."""
        self.crop_shape, self.crop = shape, None
        if shape is not None and region is not None:
            inside = _inside(region, shape, moved=False)
            self.crop = inside if min(inside.width, inside.height) >= _SHORTEST else None
        for canvas in self._links.canvases:
            self.show_on(canvas)
        self.crop_changed.emit()

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
        if self._crops(canvas):
            canvas.set_shapes([] if self.crop is None else [self.crop])
            return
        shapes = [shape for shape in (self.region, self.line) if shape is not None]
        canvas.set_shapes(shapes if canvas.group is not None and canvas.group == self.group else [])

    def _crops(self, canvas: Canvas) -> bool:
        shape = self.crop_shape
        return shape is not None and canvas.group == (Lattice.IMAGE.value, *shape)

    def _changed(self) -> None:
        for canvas in self._links.canvases:
            self.show_on(canvas)
        self.changed.emit()

    def _drag(self, canvas: Canvas, start: Point, now: Point, *, begins: bool) -> None:
        if canvas.group is None or self.tool == "mask":  # which the mask's painter draws
            return
        if self.tool == "crosshair":
            rows, columns = canvas.group[1:]
            row, column = (
                min(max(math.floor(at), 0), side - 1)
                for at, side in zip((now[1], now[0]), (rows, columns), strict=True)
            )
            self._locate(canvas, row, column)
            return
        if self.tool == "crop" and not self._crops(canvas):
            return
        if begins and self.tool == "crop":
            self._before = self.crop
            self._hold = None if self.crop is None else grab(self.crop, start, canvas.reach(_REACH))
        elif begins:
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
            shape = "ellipse" if self.tool == "ellipse" else "rectangle"
            self._keep(Region.between(cast(Literal["rectangle", "ellipse"], shape), start, now))

    def _locate(self, canvas: Canvas, row: int, column: int) -> None:
        if self.tool == "crosshair" and canvas.group is not None and row >= 0:
            self.located.emit(canvas.group, row, column)

    def _keep(self, shape: Line | Region) -> None:
        if isinstance(shape, Line):
            self.line = shape
        else:
            shape = shape.snapped()
            if self.tool == "crop" and self.crop_shape is not None and self._hold == "whole":
                shape = _inside(shape, self.crop_shape, moved=True)
            if shape.width < _SHORTEST or shape.height < _SHORTEST:
                return
            if self.tool == "crop":
                self.choose_crop(self.crop_shape, shape)
                return
            self.region = shape
        self._changed()


def _point(point: QPointF) -> Point:
    return point.x(), point.y()


def _inside(region: Region, shape: tuple[int, int], *, moved: bool) -> Region:
    """What of a region lies inside a picture of ``shape`` (rows, columns); one that was ``moved`` keeps its size."""
    rows, columns = shape
    left, top = max(region.left, 0.0), max(region.top, 0.0)
    if moved:
        left, top = min(left, columns - region.width), min(top, rows - region.height)
    right = min(left + region.width if moved else region.left + region.width, columns)
    bottom = min(top + region.height if moved else region.top + region.height, rows)
    return Region(shape="rectangle", left=left, top=top, width=right - left, height=bottom - top)
