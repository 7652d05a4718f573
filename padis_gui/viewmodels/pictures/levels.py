"""Levels: which values are shown darkest and brightest, proposals for them, the histogram; and two pictures compared."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.images.image import Pixels
from padis_gui.viewmodels.pictures.frames import grey
from padis_gui.viewmodels.pictures.sources import PaneSource, Scale

Range = tuple[float, float]

# Window presets in Hounsfield units, as radiologists set them: (low, high)
HU_PRESETS: dict[str, Range] = {
    "Soft tissue": (-160.0, 240.0),
    "Lung": (-1350.0, 150.0),
    "Bone": (-500.0, 1300.0),
    "Mediastinum": (-125.0, 225.0),
    "Liver": (-45.0, 105.0),
    "Brain": (0.0, 80.0),
}
ROBUST_PERCENT = 1.0
# Saturated at both ends together, as ImageJ's automatic contrast does
AUTO_PERCENT = 0.35
# Until they are set by hand, differences are shown from minus to plus this share of the pictures' levels
SIGNED_SHARE = 0.1
BINS = 192
_SAMPLES = 65_536
_UNKNOWN: Range = (0.0, 1.0)
_BY_FIRST = (Scale.MAGNITUDE, Scale.MISFIT)


def _sample(pixels: Pixels) -> NDArray[np.float32]:
    """The finite values, of a large picture every n-th: enough for a histogram."""
    flat = pixels.reshape(-1)
    flat = flat[:: max(1, flat.size // _SAMPLES)]
    return flat[np.isfinite(flat)]


def usable(levels: Range) -> Range:
    """Finite levels of which the second is larger."""
    low, high = levels
    if not (np.isfinite(low) and np.isfinite(high)):
        return _UNKNOWN
    return (low, high) if high > low else (low, low + max(abs(low) * 1e-6, 1e-6))


def _about_zero(low: float, high: float, scale: Scale) -> Range:
    if scale.signed:
        reach = max(abs(low), abs(high))
        return usable((-reach, reach)) if reach > 0 else (-1.0, 1.0)
    return usable((min(low, 0.0) if scale is Scale.MAGNITUDE else low, high))


def full_range(pixels: Pixels, scale: Scale) -> Range:
    """From the lowest to the highest finite value."""
    finite = pixels[np.isfinite(pixels)]
    return _about_zero(float(finite.min()), float(finite.max()), scale) if finite.size else _UNKNOWN


def percentiles(pixels: Pixels, percent: float, scale: Scale) -> Range:
    """What leaves out ``percent`` of the pixels at either end."""
    sample = _sample(pixels)
    if not sample.size:
        return _UNKNOWN
    low, high = (float(v) for v in np.percentile(sample, (percent, 100 - percent)))
    return _about_zero(low, high, scale)


def automatic(pixels: Pixels, scale: Scale) -> Range:
    """What saturates 0.35 % of the pixels."""
    return percentiles(pixels, AUTO_PERCENT / 2, scale)


AUTO, ROBUST, FULL, MATCH = "Auto", "1–99 %", "Full", "Match"
PROPOSALS = (AUTO, ROBUST, FULL, MATCH)
MATCHABLE = (Scale.IMAGE, Scale.SIGNED)  # what has the unit of the truth


def propose(name: str, pixels: Pixels, scale: Scale, truth: Pixels | None) -> Range:
    """The levels of that name for a picture. "Match" is the truth's full range whatever the picture holds.

    Levels of signed pictures are symmetric; to match they get a tenth of the truth's range.
    """
    if name == MATCH and truth is not None:
        low, high = full_range(truth, Scale.IMAGE)
        return (-SIGNED_SHARE * (high - low), SIGNED_SHARE * (high - low)) if scale.signed else (low, high)
    if name == FULL:
        return full_range(pixels, scale)
    return percentiles(pixels, ROBUST_PERCENT, scale) if name == ROBUST else automatic(pixels, scale)


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Bin edges (n + 1) and how many sampled pixels lie in each of the n bins."""

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]


def histogram(pixels: Pixels) -> Histogram | None:
    """The finite values in equal bins; None where there are none."""
    sample = _sample(pixels)
    if not sample.size:
        return None
    bounds = usable((float(sample.min()), float(sample.max())))
    counts, edges = np.histogram(sample.astype(np.float64), bins=BINS, range=bounds)
    return Histogram(edges, counts)


@dataclass(slots=True, eq=False)
class NonFinite:
    """Where a picture is not a number: masks (rows, columns), and their counts in words."""

    nan: NDArray[np.bool_]
    infinite: NDArray[np.bool_]

    @property
    def text(self) -> str:
        """Such as "12 NaN, 3 Inf"."""
        found = ((int(self.nan.sum()), "NaN"), (int(self.infinite.sum()), "Inf"))
        return ", ".join(f"{count} {name}" for count, name in found if count)


def non_finite(pixels: Pixels) -> NonFinite | None:
    """The pixels that cannot be shown as a brightness; None where there are none."""
    if np.isfinite(pixels).all():
        return None
    colours = pixels.reshape(*pixels.shape[:2], -1)
    return NonFinite(np.any(np.isnan(colours), axis=2), np.any(np.isinf(colours), axis=2))


class Levels:
    """The levels in common of each group of sources. They change by a call only, never with the pictures.

    Until the user sets them, differences follow the pictures' levels, and magnitudes and data residuals, whose
    size nobody knows beforehand, keep what their first picture suggested.
    """

    def __init__(self) -> None:
        self._by_hand: dict[str, Range] = {}
        self._proposed: dict[str, Range] = {}

    def of(self, source: PaneSource) -> Range:
        """The levels in common for this source."""
        group = source.levels_group
        if group in self._by_hand:
            return self._by_hand[group]
        if source.scale is Scale.SIGNED:
            base = Scale.IMAGE.value
            low, high = self._by_hand.get(base) or self._proposed.get(base, _UNKNOWN)
            reach = (source.share or SIGNED_SHARE) * (high - low)
            return -reach, reach
        return self._proposed.get(group, _UNKNOWN)

    def set(self, source: PaneSource, levels: Range) -> None:
        """Set the levels of this source's group by hand."""
        self._by_hand[source.levels_group] = usable(levels)

    def propose(self, group: str, levels: Range) -> None:
        """What a group is shown with until somebody sets its levels by hand."""
        self._proposed[group] = usable(levels)

    def meet(self, source: PaneSource, pixels: Pixels) -> None:
        """A picture came: the first one of a magnitude or of a data residual proposes levels."""
        if source.scale in _BY_FIRST and source.levels_group not in self._proposed:
            propose_from = full_range if source.scale is Scale.MAGNITUDE else automatic
            self._proposed[source.levels_group] = propose_from(pixels, source.scale)

    def lose(self, source: PaneSource) -> None:
        """A picture went: the next one of its source proposes levels anew."""
        if source.scale in _BY_FIRST:
            self._proposed.pop(source.levels_group, None)

    @property
    def state(self) -> tuple[dict[str, Range], dict[str, Range]]:
        """All levels, set by hand and proposed, by group."""
        return dict(self._by_hand), dict(self._proposed)

    @property
    def by_hand(self) -> frozenset[str]:
        """The groups whose levels somebody has set."""
        return frozenset(self._by_hand)

    def forget(self, *groups: str) -> None:
        """Levels set by hand no longer hold for these groups, nor those that their first pictures proposed."""
        for group in groups:
            self._by_hand.pop(group, None)
            self._proposed.pop(group, None)


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
    """Width and height in words."""
    return f"{pixels.shape[1]} × {pixels.shape[0]} px"
