"""The panes' arrangement as plain JSON, and back."""

from typing import Any

from padis_gui.gui.panes._j_layers__gui_viewers_colormaps import is_known
from padis_gui.gui.panes._j_pane_board__gui_viewers_pane_board import MOST
from padis_gui.gui.panes.pane_grid import PaneGrid


def arrangement_of(grid: PaneGrid) -> dict[str, Any]:
    """Which panes there are and what they show, colours, tool, comparison. Levels belong to the data: not here."""
    return {
        "panes": [
            {
                "source": pane.source,
                "linked": pane.canvas.linked,
                "own_colours": None if pane.own is None else pane.own.colours,
            }
            for pane in grid.panes
        ],
        "active": grid.panes.index(grid.active),
        "maximised": grid.maximised is not None,
        "colours": grid.gallery.colours,
        "tool": grid.tools.tool,
        "compare": grid.compare.state() | {"open": grid.comparing},
    }


def rearrange(grid: PaneGrid, state: object) -> None:
    """Undo what :func:`arrangement_of` did; what cannot be read, such as a source that is gone, is left out."""
    if not isinstance(state, dict):
        return
    panes = state.get("panes")
    saved = [p for p in (panes if isinstance(panes, list) else []) if _names_a_source(grid, p)][:MOST]
    if saved:
        _restore_panes(grid, saved)
    colours = state.get("colours")
    if isinstance(colours, dict):
        grid.gallery.colours = {str(k): v for k, v in colours.items() if isinstance(v, str) and is_known(v)}
    active = state.get("active")
    if isinstance(active, int) and 0 <= active < len(grid.panes):
        grid.set_active(grid.panes[active])
    if state.get("maximised") is True:
        grid.maximise(grid.active)
    for action in grid.act.tools.actions():
        if action.data() == state.get("tool"):
            action.trigger()
    compare = state.get("compare")
    if isinstance(compare, dict):
        grid.compare.restore(compare)
        grid.compare_with(grid.compare.mode if compare.get("open") is True else None)


def _names_a_source(grid: PaneGrid, saved: object) -> bool:
    key = saved.get("source") if isinstance(saved, dict) else None
    return isinstance(key, str) and key in grid.gallery.sources


def _restore_panes(grid: PaneGrid, saved: list[dict[str, Any]]) -> None:
    grid.maximise(None)
    while len(grid.panes) > len(saved):
        grid.remove_pane(grid.panes[-1])
    while len(grid.panes) < len(saved):
        grid.add_pane("estimate")
    for pane, one in zip(grid.panes, saved, strict=True):
        pane.show_source(one["source"])
        grid.set_linked_view(pane, one.get("linked") is not False)
        colours = one.get("own_colours")
        pane.set_own_levels(isinstance(colours, str))
        if isinstance(colours, str) and is_known(colours):
            pane.set_colours(colours)
