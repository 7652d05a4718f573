"""Neighbouring slices of a volume: which ones a prior across slices sees at once, how far apart they lie, and how a volume
is cut along z into groups of them.

After arXiv 2406.10211: a prior over D neighbouring slices has them as channels of one image, and is told their distance.
One that gives the middle slice sees each slice among its neighbours. One that gives all D is a patch in z: the volume is
cut into groups of D slices, and where they begin is drawn anew at every denoiser call, as tiles of the plane are. That is
:mod:`partition` along one axis. A volume's ends are continued by reflection without its last slice twice
(c b | a b c ...), so that every group has slices at its distance; what comes out for those beyond an end is dropped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from padis_gui.core import Tensor, torch
from padis_gui.core.prior.partition import tiles_and_pad
from padis_gui.core.settings.declarations import Settings, setting

MOST_SLICES = 9
SMALLEST_SPACING, LARGEST_SPACING = 0.01, 100.0  # mm
ZTilingName = Literal["random", "fixed", "low-discrepancy", "average", "window"]


def z_smoothing_setting() -> Any:
    """That of any volume, however it is reconstructed."""
    return setting(
        0.0, ge=0, le=1, label="Smoothing along z", symbol="λ_z",
        help="Weight of each neighbouring slice, relative to a slice's own estimate, in a last data step; 0 leaves "
        "slices as they are, 1 weighs a neighbour as much as the slice itself: for noisy data, slices that hardly differ",
    )  # fmt: skip


class StackSettings(Settings):
    """How the slices of a volume are denoised together, where it is reconstructed as one."""

    across_above: float | None = setting(
        None, ge=0, le=1000, label="Across slices above", symbol="σ_v",
        help="Noise level from which on the prior across slices denoises, and the prior of single slices below it; "
        "automatic is what was measured best",
    )  # fmt: skip
    z_tiling: ZTilingName = setting(
        "random", label="Tiling along z",
        help="Where groups of slices begin at each denoiser call, for a prior that gives all slices it sees: random draws "
        "it anew, fixed never moves, low-discrepancy visits all places evenly, average is the mean of several random "
        "ones, window blends groups that overlap by half",
    )  # fmt: skip
    z_average: int = setting(
        2, ge=2, le=MOST_SLICES, label="Averaged groups", symbol="K_z", advanced=True, when={"z_tiling": "average"},
        help="Beginnings averaged in one denoiser call under the average tiling along z, at so many times the cost",
    )  # fmt: skip
    slices_together: int = setting(
        1, ge=1, le=256, label="Slices together", advanced=True,
        help="Slices, or groups of them, whose patches go through the network in one batch: more is faster on a GPU; the "
        "batch stays as large as it is, and in single precision results differ by rounding",
    )  # fmt: skip
    z_smoothing: float = z_smoothing_setting()
    slice_spacing: float | None = setting(
        None, ge=SMALLEST_SPACING, le=1000, label="Slice distance", unit="mm", advanced=True,
        help="Distance of neighbouring slices that the prior across slices is told; automatic is what the file says",
    )  # fmt: skip


def neighbours(middle: int, slices: int, count: int) -> tuple[int, ...]:
    """The ``slices`` indices of a volume of ``count`` slices around ``middle``: as many on either side, where it is odd.

    Those beyond an end are reflected at it. A volume of one slice is its own neighbour.
    """
    reach = slices // 2
    return tuple(reflected(middle + n, count) for n in range(-reach, slices - reach))


def reflected(index: int, count: int) -> int:
    """The index within 0 to count - 1 that reflection at the first and the last slice brings ``index`` to."""
    if count == 1:
        return 0
    period = 2 * (count - 1)
    index %= period
    return index if index < count else period - index


def log_spacing(spacing: Tensor) -> Tensor:
    """What the network is told of distances in mm, of any shape: a quarter of their logarithm, as c_noise is of sigma."""
    return spacing.log() / 4


@dataclass(frozen=True)
class Groups:
    """A placement of groups of ``slices`` along the z axis of a volume of ``count`` slices, or several over each other.

    A group begins at -pad + offset + k stride; each offset lies in 0 to pad. ``hann`` weighs the slices of a group by a
    window, as groups that overlap want it.
    """

    count: int
    slices: int
    offsets: tuple[int, ...]
    stride: int
    hann: bool = False

    @cached_property
    def starts(self) -> tuple[tuple[int, ...], ...]:
        """The first slice of each group, below 0 where it lies before the volume; of each placement."""
        tiles, pad = tiles_and_pad(self.count, self.slices, self.stride)
        return tuple(tuple(first - pad + k * self.stride for k in range(tiles)) for first in self.offsets)

    @property
    def members(self) -> tuple[tuple[int, ...], ...]:
        """The slices that each group sees, reflected at the volume's ends."""
        return tuple(
            tuple(reflected(start + n, self.count) for n in range(self.slices)) for start in self._all
        )

    @property
    def shares(self) -> tuple[tuple[tuple[int, int, float], ...], ...]:
        """What each group gives: (place in the group, slice, weight), without those beyond the ends.

        The weights of a slice add up to one over all groups; a slice that one group has to itself weighs exactly 1.
        """
        window = [1.0] * self.slices
        if self.hann:
            window = [math.sin(math.pi * (n + 0.5) / self.slices) ** 2 for n in range(self.slices)]
        total = [0.0] * self.count
        for start in self._all:
            for n, weight in enumerate(window):
                if 0 <= start + n < self.count:
                    total[start + n] += weight
        return tuple(
            tuple(
                (n, start + n, weight / total[start + n])
                for n, weight in enumerate(window)
                if 0 <= start + n < self.count
            )
            for start in self._all
        )

    @property
    def _all(self) -> list[int]:
        """Groups that lie on the volume at all."""
        return [s for starts in self.starts for s in starts if -self.slices < s < self.count]

    @property
    def seams(self) -> Tensor:
        """Which neighbouring slices the border of a group parts: bool (count - 1,)."""
        line = torch.zeros(max(self.count - 1, 0), dtype=torch.bool)
        for start in self._all:
            for edge in (start, start + self.slices):
                if 1 <= edge < self.count:
                    line[edge - 1] = True
        return line


_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class ZTiling:
    """Draws the groups of each denoiser call; one for each run, as the low-discrepancy tiling remembers."""

    count: int
    slices: int
    settings: StackSettings
    _place: list[float] = field(default_factory=list, init=False, repr=False, compare=False)

    def draw(self, rng: torch.Generator) -> Groups:
        """The groups of the next call."""
        name = self.settings.z_tiling
        stride = max(1, self.slices // 2) if name == "window" else self.slices
        pad = tiles_and_pad(self.count, self.slices, stride)[1]

        def random() -> int:
            return int(torch.randint(0, pad + 1, (), generator=rng))

        if name == "fixed":
            offsets: Sequence[int] = (pad // 2,)
        elif name == "low-discrepancy":
            if not self._place:
                self._place.append(float(torch.rand((), generator=rng)))
            offsets = (int(self._place[0] * (pad + 1)),)
            self._place[0] = (self._place[0] + _GOLDEN) % 1
        elif name == "average":
            offsets = [random() for _ in range(self.settings.z_average)]
        else:
            offsets = (random(),)
        return Groups(self.count, self.slices, tuple(offsets), stride, hann=name == "window")
