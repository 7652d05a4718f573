"""What a run will take, before it is started: denoiser calls, time, memory.

Time = tiles that go through the network x the measured time of one + products with the operator x the measured
time of one. What is measured once on a machine and a prior is a :class:`Pace`. Memory follows from shapes.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from padis_gui.core import torch
from padis_gui.core.physics.problem import Problem
from padis_gui.core.physics.projector import BYTES_AN_ENTRY
from padis_gui.core.prior.partition import Partition, tiles_and_pad
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.slices import StackSettings
from padis_gui.core.prior.stack import stacked
from padis_gui.core.prior.tiling import Tiling, TilingSettings, tiling_for
from padis_gui.core.settings.declarations import Settings
from padis_gui.core.settings.machine import MemoryPeak
from padis_gui.core.settings.watch import SILENT, Watch
from padis_gui.core.solvers.adaptation import AdaptationSettings
from padis_gui.core.solvers.iterate import Cost
from padis_gui.core.solvers.registry import find_solver

# A tile with its gradient: forwards, forwards again, backwards (twice the work)
_WITH_GRADIENT = 4
_SAMPLED_LEVELS = 64
# Images of the size of x that a solver, its data step and the viewers hold at the same time
_IMAGES_HELD = 24
# Of a volume, whose data step is made slice by slice: so many volumes, and so many in their padding, as measured
_VOLUMES_HELD, _PADDED_HELD = 12, 3
# What making the sparse matrix of a scan and its transpose takes besides them, as a factor
_SCAN_MAKING = 1.5
_SLOW_SECONDS = 0.5
# A first call also makes what the machine keeps for the next ones; one that took longer is slow without that, too
_SLOW_WARM_UP = 10.0
_SIGMA = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Measured on one machine: seconds for a tile of ``patch`` px through the network and for a product with A.

    ``batch_mb`` is the memory that a patch batch takes while it is denoised.
    """

    patch: int
    tile_seconds: float
    batch_mb: float
    product_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """``seconds`` is None where nothing has been measured yet; memory is what comes to what is in use already."""

    calls: int
    tiles: int
    products: int
    seconds: float | None
    memory_mb: float
    scan_mb: float
    batch_mb: float


def _tiles_a_call(tiling: Tiling, levels: Sequence[float]) -> tuple[float, int]:
    """Tiles of a denoiser call, their mean over a run with these noise levels; pixels of the largest padded image.

    At most 64 levels are looked at, and always the lowest, where the tiling may be another.
    """
    rng = torch.Generator().manual_seed(0)
    *others, lowest = levels
    stride = max(1, len(others) // _SAMPLED_LEVELS)
    higher, last = [tiling.draw(rng, level) for level in others[::stride]], tiling.draw(rng, lowest)
    tiles: float = len(last.boxes)
    if higher:
        tiles = (tiles + len(others) * statistics.mean(len(p.boxes) for p in higher)) / len(levels)
    return tiles, max(math.prod(p.padded_shape) for p in [*higher, last])


def estimate(
    *,
    solver: str,
    settings: Settings,
    tiling: TilingSettings,
    prior: PatchPrior,
    image_shape: tuple[int, int, int],
    stored_entries: int,
    pace: Pace | None,
    adaptation: AdaptationSettings | None = None,
    volume: bool = False,
) -> Estimate:
    """What a run takes on images (C, rows, columns), or on a ``volume`` (Z, rows, columns); ``stored_entries`` are those of
    a system matrix, 0 where there is none. An ``adaptation`` takes at most what all of its rounds do.

    Raises :class:`~padis_gui.core.settings.errors.SettingError` for settings that cannot run.
    """
    record = find_solver(solver)
    cost = record.cost(settings)
    channels, rows, columns = image_shape
    planes = channels if volume or prior.channels == 1 else 1
    tiles, each, padded = 0.0, 0.0, 0
    if cost.calls:
        levels = record.levels(settings).tolist()
        each, padded = _tiles_a_call(tiling_for(tiling, (rows, columns), prior, levels), levels[:-1])
        tiles = cost.calls * planes * each
    adapting = Cost() if adaptation is None else adaptation.cost
    extra, products = adapting.calls * planes * each, cost.products + adapting.products
    scan_mb = BYTES_AN_ENTRY * _SCAN_MAKING * stored_entries / 2**20
    gradient = cost.gradient or adapting.gradient
    held, in_padding = (_VOLUMES_HELD, _PADDED_HELD) if volume else (_IMAGES_HELD, 4)
    images_mb = 4 * channels * (held * rows * columns + in_padding * padded) / 2**20
    batch_mb = (pace.batch_mb if pace else 0.0) * (_WITH_GRADIENT if gradient else 1) * bool(tiles)
    seconds = None
    if pace is not None:
        weight = _WITH_GRADIENT if cost.gradient else 1
        seconds = (tiles * weight + extra) * pace.tile_seconds + products * pace.product_seconds
    return Estimate(
        calls=cost.calls + adapting.calls, tiles=round(tiles + extra), products=products, seconds=seconds,
        memory_mb=scan_mb + images_mb + batch_mb, scan_mb=scan_mb, batch_mb=batch_mb,
    )  # fmt: skip


def volume_mb(slices: int, rows: int, columns: int) -> float:
    """The least that a run on a volume takes, in MiB, whatever its solver."""
    return 4 * _VOLUMES_HELD * slices * rows * columns / 2**20


def tile_pace(prior: PatchPrior, patch: int) -> tuple[float, float]:
    """Seconds for a tile of ``patch`` px and MiB for a batch, by denoising one batch, or one tile where that is slow.

    Call it in the compute thread.
    """
    rng = torch.Generator().manual_seed(0)
    memory = MemoryPeak(prior.device)
    one = _denoising_seconds(prior, patch, 1, rng)  # warms up
    if one < _SLOW_WARM_UP:
        one = min(_denoising_seconds(prior, patch, 1, rng) for _ in range(3 if one < 1 else 1))
    side = max(1, int(prior.batch_of(patch) ** 0.5))
    if side == 1 or one * side**2 > 4 * _SLOW_SECONDS:
        return one, memory.read()[1]
    _denoising_seconds(prior, patch, side, rng)
    seconds = min(_denoising_seconds(prior, patch, side, rng) for _ in range(2)) / side**2
    return seconds, memory.read()[1]


def _denoising_seconds(prior: PatchPrior, patch: int, side: int, rng: torch.Generator) -> float:
    """Seconds of one denoiser call on ``side`` x ``side`` tiles."""
    if prior.slices > 1:  # a slice costs one tile with its neighbours, wherever they lie
        prior = stacked(prior, None, StackSettings(), 1.0)
    length = side * patch - 1
    pad = tiles_and_pad(length, patch)[1]
    partition = Partition((length, length), patch, (pad, pad), (0, 0), prior.conventions.frame)
    x = torch.rand(prior.channels, length, length, generator=rng).to(prior.device)
    began = time.perf_counter()
    with torch.no_grad():
        prior.denoise(x, _SIGMA, partition, rng)
    _wait(prior.device)
    return time.perf_counter() - began


def product_seconds(problem: Problem, watch: Watch = SILENT) -> float:
    """Seconds of a product with A, the mean of one with A and one with its transpose; the fastest of three, or a slow one.

    Call it in the compute thread. The first product may need a system matrix: ``watch`` can stop what makes it.
    """
    A, y = problem.operator, problem.measurement
    if not y.numel():
        return 0.0
    A.get_ready(watch, norm=False)
    found = []
    for _ in range(3):
        began = time.perf_counter()
        A.measured(A.transposed(y, watch), watch)
        _wait(problem.device)
        found.append((time.perf_counter() - began) / 2)
        if found[-1] > _SLOW_SECONDS:
            break
    return min(found)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
