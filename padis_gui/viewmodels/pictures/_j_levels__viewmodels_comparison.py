"""Two pictures against each other."""

import numpy as np

from padis_gui.viewmodels.pictures._j_frames__viewmodels_frames import Pixels, grey
from padis_gui.viewmodels.pictures._j_levels__viewmodels_levels import Range, automatic
from padis_gui.viewmodels.pictures.sources import Scale


def signed_difference(first: Pixels, second: Pixels) -> Pixels | None:
    """first - second, (rows, columns); None where they have not as many rows and columns."""
    if first.shape[:2] != second.shape[:2]:
        return None
    with np.errstate(invalid="ignore"):  # Inf - Inf is NaN, which is shown as such
        return grey(first) - grey(second)


def reach_of(difference: Pixels) -> float:
    """The reach of symmetric levels that saturate 0.35 % of a difference."""
    levels: Range = automatic(difference, Scale.SIGNED)
    return float(f"{levels[1]:.3g}")  # a number that can be read


def size_text(pixels: Pixels) -> str:
    """Rows and columns in words."""
    return f"{pixels.shape[0]} × {pixels.shape[1]} px"
