"""The strategies that draw partitions, one for each denoiser call.

PaDIS (arXiv 2406.02462) draws a random offset at every call, so that seams average out over the steps. The
others are for comparison and for the last noise levels, where nothing averages any more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from padis_gui.core import torch
from padis_gui.core.prior.partition import LARGEST_PATCH, Blend, Frame, Partition, tiles_and_pad
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.settings.declarations import Registry, Settings, branch, setting
from padis_gui.core.settings.errors import SettingError

StrategyName = Literal[
    "auto", "random", "fixed", "low-discrepancy", "average", "overlap", "window", "stitch", "inside", "whole"
]


class TilingSettings(Settings):
    """How the image is cut into patches."""

    strategy: StrategyName = setting(
        "auto", label="Tiling", help="Where the patch grid goes at each denoiser call"
    )
    patch: int | None = setting(
        None, ge=8, le=LARGEST_PATCH, label="Patch size", symbol="P", unit="px",
        help="Side of a patch; automatic is the largest that the prior was trained on, or the image under whole",
    )  # fmt: skip
    overlap: int = setting(
        8, ge=1, le=LARGEST_PATCH, label="Overlap", symbol="o", unit="px", advanced=True,
        help="Pixels that neighbours share under the overlap and stitch tilings",
        when={"strategy": ("overlap", "stitch")},
    )  # fmt: skip
    average: int = setting(
        2, ge=2, le=64, label="Averaged grids", symbol="K", advanced=True,
        help="Offsets averaged in one denoiser call under the average tiling, at K times the cost",
        when={"strategy": "average"},
    )  # fmt: skip
    window_below: float | None = setting(
        None, ge=0, le=100, label="Window below", symbol="σ_w", advanced=True,
        help="Noise level below which the auto tiling blends overlapping windows; automatic blends at the lowest only",
        when={"strategy": "auto"},
    )  # fmt: skip


class Tiling(Protocol):
    """A strategy: draws the partition for the denoiser call at noise level ``sigma``."""

    def draw(self, rng: torch.Generator, sigma: float = math.inf) -> Partition: ...


@dataclass
class LiveTiling:
    """A tiling that may be exchanged between two denoiser calls."""

    current: Tiling

    def draw(self, rng: torch.Generator, sigma: float = math.inf) -> Partition:
        """The partition of whatever is current."""
        return self.current.draw(rng, sigma)


@dataclass(frozen=True)
class BranchingTiling:
    """A tiling that takes one number of the generator for each draw, whatever its strategy needs.

    See ``branching`` of :class:`~padis_gui.core.prior.prior.PatchPrior`.
    """

    inner: Tiling

    def draw(self, rng: torch.Generator, sigma: float = math.inf) -> Partition:
        """The inner tiling's partition, from a stream of its own."""
        return self.inner.draw(branch(rng), sigma)


@dataclass(frozen=True)
class GridTiling:
    """Shared by all strategies: the geometry, and one partition at given offsets."""

    image_shape: tuple[int, int]
    patch: int
    frame: Frame
    settings: TilingSettings = field(default_factory=TilingSettings)

    def _place(
        self, offsets: list[tuple[int, int]], stride: int | None = None, blend: Blend = "uniform"
    ) -> Partition:
        return Partition(
            self.image_shape,
            self.patch,
            self._pad(stride),
            offsets[0],
            self.frame,
            stride,
            tuple(offsets[1:]),
            blend,
        )

    def _pad(self, stride: int | None = None) -> tuple[int, int]:
        rows, columns = (tiles_and_pad(n, self.patch, stride)[1] for n in self.image_shape)
        return rows, columns

    def _random_offset(self, rng: torch.Generator, stride: int | None = None) -> tuple[int, int]:
        row, column = (int(torch.randint(0, m + 1, (), generator=rng)) for m in self._pad(stride))
        return row, column

    @property
    def _overlapping_stride(self) -> int:
        return max(1, self.patch - min(self.settings.overlap, self.patch - 1))


class RandomTiling(GridTiling):
    """PaDIS: a new offset at every denoiser call, uniform over all (M+1)^2 of them."""

    def draw(self, rng: torch.Generator, sigma: float = math.inf) -> Partition:
        return self._place([self._random_offset(rng)])


class FixedTiling(GridTiling):
    """The same centred grid at every call: the naive tiling, whose seams stay where they are."""

    def draw(self, rng: torch.Generator, sigma: float = math.inf) -> Partition:
        pad = self._pad()
        return self._place([(pad[0] // 2, pad[1] // 2)])


# Generators of the R2 sequence (the plastic number), the plane's analogue of the golden ratio
_PLASTIC = 1.32471795724474602596
_R2 = (1 / _PLASTIC, 1 / _PLASTIC**2)


class _R2Sequence:
    """Points of the unit square that fill it evenly, from a random start that the first call draws."""

    def __init__(self) -> None:
        self._start: list[float] = []
        self._count = 0

    def next(self, rng: torch.Generator) -> tuple[float, float]:
        if not self._start:
            self._start = torch.rand(2, generator=rng).tolist()
        self._count += 1
        first, second = ((s + self._count * ratio) % 1 for s, ratio in zip(self._start, _R2, strict=True))
        return first, second


@dataclass(frozen=True)
class LowDiscrepancyTiling(GridTiling):
    """Offsets that visit {0..M}^2 evenly: the R2 sequence. The one tiling that remembers: use one a run."""

    sequence: _R2Sequence = field(default_factory=_R2Sequence, init=False, repr=False, compare=False)

    def draw(self, rng: torch.Generator, sigma: float = math.inf) -> Partition:
        pad = self._pad()
        row, column = self.sequence.next(rng)
        return self._place([(int(row * (pad[0] + 1)), int(column * (pad[1] + 1)))])


class AverageTiling(GridTiling):
    """The mean of K random offsets over the same noisy image, at K times the cost."""

    def draw(self, rng: torch.Generator, sigma: float = math.inf) -> Partition:
        return self._place([self._random_offset(rng) for _ in range(self.settings.average)])


class OverlapTiling(GridTiling):
    """Neighbours share a band whose values are averaged, as in the paper's comparison."""

    def draw(self, rng: torch.Generator, sigma: float = math.inf) -> Partition:
        stride = self._overlapping_stride
        return self._place([self._random_offset(rng, stride)], stride)


class WindowTiling(GridTiling):
    """Half-overlapping patches under Hann windows: no seam, at two to four times the cost."""

    def draw(self, rng: torch.Generator, sigma: float = math.inf) -> Partition:
        stride = max(1, self.patch // 2)
        return self._place([self._random_offset(rng, stride)], stride, "hann")


class StitchTiling(GridTiling):
    """Neighbours overlap and the later one is laid on top: the classic mistake, for comparison."""

    def draw(self, rng: torch.Generator, sigma: float = math.inf) -> Partition:
        stride = self._overlapping_stride
        return self._place([self._random_offset(rng, stride)], stride, "stitch")


class InsideTiling(GridTiling):
    """No padding, M = 0: the ceil(N/P) tiles of an axis lie in the image, the last pushed back into it, later ones on top.

    A classic mistake, for comparison: without padding around the image the grid has no room to move, so its seams
    stay. An axis shorter than a patch keeps one tile, centred, and the padding that it takes.
    """

    def draw(self, rng: torch.Generator, sigma: float = math.inf) -> Partition:
        rows, columns = (max(0, self.patch - n) for n in self.image_shape)
        return Partition(
            self.image_shape, self.patch, (rows, columns), (rows // 2, columns // 2), self.frame,
            blend="stitch", inside=True,
        )  # fmt: skip


class AutoTiling(GridTiling):
    """Random while the noise hides seams, window below sigma_w, where nothing washes them out any more.

    An automatic sigma_w is what :func:`tiling_for` makes of it; by itself it is 0, and no call is blended.
    """

    def draw(self, rng: torch.Generator, sigma: float = math.inf) -> Partition:
        kind = WindowTiling if sigma < (self.settings.window_below or 0.0) else RandomTiling
        return kind(self.image_shape, self.patch, self.frame, self.settings).draw(rng, sigma)


class WholeTiling(GridTiling):
    """One tile with the image in its middle: whole-image diffusion, without tiles and seams.

    ``patch`` is the side of that tile where the image fits into it, else :func:`whole_side` is.
    """

    def draw(self, rng: torch.Generator, sigma: float = math.inf) -> Partition:
        side = self.patch if self.patch >= max(self.image_shape) else whole_side(self.image_shape)
        rows, columns = (side - n for n in self.image_shape)
        return Partition(self.image_shape, side, (rows, columns), (rows // 2, columns // 2), self.frame)


def whole_side(image_shape: tuple[int, int], multiple: int = 32) -> int:
    """Side of one tile around a whole image: the next multiple above both its sides.

    Raises :class:`SettingError` where the tile would be larger than a patch may be.
    """
    side = (max(image_shape) // multiple + 1) * multiple
    if side > LARGEST_PATCH:
        raise SettingError(
            f"An image of less than {LARGEST_PATCH} px a side was wanted for the whole-image tiling, but it has "
            f"{max(image_shape)}; choose another tiling."
        )
    return side


@dataclass(frozen=True, slots=True)
class TilingStrategy:
    """A record of :data:`TILINGS`; ``make`` takes (rows, columns), the patch size in px, the frame and the settings."""

    name: StrategyName
    label: str
    summary: str
    make: Callable[[tuple[int, int], int, Frame, TilingSettings], Tiling]


TILINGS = Registry("tiling", (
    TilingStrategy("auto", "Auto", "Random, then blended windows at the last noise level.", AutoTiling),
    TilingStrategy("random", "Random (PaDIS)", "A new offset at every denoiser call.", RandomTiling),
    TilingStrategy("fixed", "Fixed grid", "Never moves; shows what seams look like.", FixedTiling),
    TilingStrategy(
        "low-discrepancy", "Low discrepancy", "New offsets that visit all places evenly.", LowDiscrepancyTiling
    ),
    TilingStrategy("average", "Average of K", "The mean of K random offsets, K times the cost.", AverageTiling),
    TilingStrategy("overlap", "Overlap", "Neighbours share a band that is averaged.", OverlapTiling),
    TilingStrategy("window", "Window (Hann)", "Half-overlapping Hann windows, up to four times the cost.", WindowTiling),
    TilingStrategy("stitch", "Stitch", "Overlapping, the later tile on top; shows hard seams.", StitchTiling),
    TilingStrategy("inside", "No padding", "Tiles pushed inside the image: a grid that cannot move.", InsideTiling),
    TilingStrategy("whole", "Whole image", "One tile: diffusion of the whole image, with any prior.", WholeTiling),
))  # fmt: skip


def make_tiling(
    strategy: str,
    image_shape: tuple[int, int],
    patch: int,
    frame: Frame,
    settings: TilingSettings | None = None,
) -> Tiling:
    """The tiling strategy of that name for images of ``image_shape`` (rows, columns).

    Raises :class:`SettingError` where there is none.
    """
    return TILINGS.find(strategy).make(image_shape, patch, frame, settings or TilingSettings())


def strategy_and_patch(
    chosen: TilingSettings, image_shape: tuple[int, int], prior: PatchPrior
) -> tuple[StrategyName, int]:
    """The strategy and the patch size that a choice comes to on an image of that shape.

    A patch that is at least as large as the image makes every strategy ``whole``. One tile around the image has a
    trained size where one fits, else a size that the network takes; the size chosen for patches does not matter.
    Raises :class:`SettingError` for patch sizes that the prior was not trained on.
    """
    if chosen.strategy != "whole":
        patch = prior.resolve_patch(chosen.patch)
        if patch < max(image_shape):
            return chosen.strategy, patch
    fitting = [size for size in prior.conventions.patch_sizes if size >= max(image_shape)]
    return "whole", min(fitting) if fitting else whole_side(image_shape, prior.downsampling)


def tiling_for(
    chosen: TilingSettings, image_shape: tuple[int, int], prior: PatchPrior, levels: Sequence[float]
) -> Tiling:
    """The tiling that a choice comes to on an image of that shape, in a run with these noise levels.

    ``levels`` decrease and end in 0, as a solver's do; an automatic sigma_w parts the last one before it from the others.
    Raises as :func:`strategy_and_patch`.
    """
    strategy, patch = strategy_and_patch(chosen, image_shape, prior)
    if chosen.window_below is None:
        chosen = chosen.model_copy(update={"window_below": _above_the_lowest(levels[:-1])})
    return make_tiling(strategy, image_shape, patch, prior.conventions.frame, chosen)


def _above_the_lowest(levels: Sequence[float]) -> float:
    """A noise level between the lowest of these and the one before it; 0 where there are none."""
    if len(levels) < 2:
        return 2 * sum(levels)
    return math.sqrt(levels[-1] * levels[-2])
