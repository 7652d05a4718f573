"""What is drawn over an image of the tiling: the present one, earlier ones, and where seams have been."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.prior.partition import Box, Partition
from padis_gui.core.settings._j_declarations__core_settings import Settings, setting


class OverlaySettings(Settings):
    """What the overlay of the tiling shows, besides the tiles themselves."""

    border: bool = setting(
        True, label="Padding border", symbol="M", help="The edge of the zero padding around the image, dashed"
    )
    offset: bool = setting(
        False,
        label="Offset",
        symbol="(a, b)",
        unit="px",
        help="Where the grid starts on the padded image: row, column",
    )
    numbers: bool = setting(
        False, label="Tile numbers", help="Each tile's number, where the tiles are large enough on the screen"
    )
    trails: int = setting(
        0, ge=0, le=50, label="Trails", unit="steps",
        help="Draw the tilings of so many earlier steps too, the older the fainter",
    )  # fmt: skip
    heat: bool = setting(
        False,
        label="Heat map",
        help="How often each pixel has lain beside a tile border up to the shown step",
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Overlay:
    """One picture of the overlay, the same only as itself.

    ``trail`` holds earlier tilings, the oldest first; ``heat`` (rows, columns) in [0, 1] is transparent at 0;
    ``inspected`` is a tile on the padded image that is set off from the others. ``outside`` keeps the lines out of the
    image, but for its margin, so that they do not hide seams.
    """

    partition: Partition
    trail: tuple[Partition, ...] = ()
    heat: NDArray[np.float32] | None = None
    inspected: Box | None = None
    border: bool = True
    offset: bool = False
    numbers: bool = False
    outside: bool = False
