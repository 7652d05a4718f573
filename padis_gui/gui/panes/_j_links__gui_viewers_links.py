"""Canvases that look at the same place and share a cursor.

Centre and pixels per screen pixel are passed on; pyqtgraph's own linking of axes runs away when canvases with a
locked aspect are resized (#1348).
"""

from PySide6.QtCore import QObject, Signal

from padis_gui.gui.panes._j_canvas__gui_viewers_canvas import Canvas, Group, View


class Links(QObject):
    """Passes views and cursor on among its canvases. ``pointed`` carries (row, column) in ``group``, or (-1, -1)."""

    pointed = Signal(int, int)
    placed = Signal(object)  # a canvas that shows other pixels than before

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.canvases: list[Canvas] = []
        self.group: Group | None = None
        self._views: dict[Group, View | None] = {}
        self._cursor = (-1, -1)

    def join(self, canvas: Canvas) -> None:
        """Take part from now on."""
        self.canvases.append(canvas)
        canvas.moved.connect(lambda view: self._moved(canvas, view))
        canvas.hovered.connect(lambda row, column: self._hovered(canvas, row, column))

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
        for canvas in self.canvases:
            if canvas is not origin and canvas.linked and canvas.group == origin.group:
                canvas.set_view(view)

    def _hovered(self, canvas: Canvas, row: int, column: int) -> None:
        if row >= 0 or canvas.group == self.group:
            self.point_at(canvas.group, row, column)
