"""The colour maps that panes offer, by name."""

from functools import cache

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray

from padis_gui.viewmodels.pictures.pictures import DIVERGING, GREY, INVERTED, RAMP

# Perceptually even; the names are those of pyqtgraph's collection
_MAPS = {
    RAMP: "viridis",
    "Cividis": "cividis",
    "Magma": "magma",
    "Inferno": "inferno",
    "Heat": "CET-L3",
    DIVERGING: "CET-D1",
    "Blue, black, red": "CET-D8",
    "Purple, white, green": "CET-D2",
}
SEQUENTIAL = (GREY, INVERTED, RAMP, "Cividis", "Magma", "Inferno", "Heat")
SIGNED = (DIVERGING, "Purple, white, green", "Blue, black, red", GREY)


@cache
def lookup(name: str) -> NDArray[np.uint8] | None:
    """256 colours from dark to bright; None for plain grey, which needs none."""
    if name not in _MAPS:
        return (
            np.repeat(np.arange(255, -1, -1, dtype=np.uint8)[:, None], 3, axis=1)
            if name == INVERTED
            else None
        )
    table: NDArray[np.uint8] = pg.colormap.get(_MAPS[name]).getLookupTable(0.0, 1.0, 256)
    return table


def is_known(name: str) -> bool:
    """Whether a map has this name."""
    return name in SEQUENTIAL or name in SIGNED


@cache
def swatch(name: str) -> NDArray[np.uint8]:
    """256 colours (256, 3) for a legend, grey included."""
    table = lookup(name)
    return np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1) if table is None else table[:, :3]
