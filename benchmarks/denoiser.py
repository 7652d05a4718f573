"""One whole-image denoiser call at growing sizes: it takes a time proportional to the area, and the same memory.

The same network over the whole image in one tile is there for comparison; its memory grows with the area.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.operator import check_range
from benchmarks.timing import in_fresh_process, interleaved
from padis_gui.core import Tensor, torch
from padis_gui.core.prior.checkpoint import load_prior
from padis_gui.core.prior.partition import Partition
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.tiling import TilingSettings, make_tiling, strategy_and_patch
from padis_gui.core.runs.presets import DEFAULT_PRIOR, resource
from padis_gui.core.settings.machine import (
    MemoryPeak,
    Precision,
    describe_device,
    fastest_precision,
    pick_device,
    use_all_threads,
)

# of the time a megapixel from its median, and of the memory from the smallest at 512 pixels and more
GOAL_TIME, GOAL_MEMORY = 0.15, 0.10
MEMORY_FROM = 512
_SIGMA = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class DenoiserRequest:
    """``sizes`` are sides of square images in pixels; at those in ``whole`` one tile takes the whole image too."""

    prior: Path = field(default_factory=lambda: resource(DEFAULT_PRIOR))
    sizes: tuple[int, ...] = (256, 512, 1024, 2048)
    whole: tuple[int, ...] = ()
    patch: int | None = None
    repeats: int = 3
    device: str = "auto"
    precision: Precision | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DenoiserTiming:
    """The median time of a call, and the median peak memory of processes that do nothing else, in MiB.

    Such a process makes as many calls as it takes to denoise as many pixels as one call at the largest size has:
    the allocator needs some patch batches to settle. ``added_memory_mb`` is what the calls added to the loaded
    program, prior and image. Ratios are to the first size of the same kind (time a megapixel) and to the first of
    at least 512 pixels (memory).
    """

    size: int
    whole: bool
    patch: int
    tiles: int
    seconds: float
    peak_memory_mb: float
    added_memory_mb: float
    device: str
    precision: str
    time_ratio: float = 1.0
    memory_ratio: float = 1.0

    @property
    def seconds_per_megapixel(self) -> float:
        """Seconds for each million of the image's own pixels."""
        return self.seconds / self.size**2 * 1e6

    def as_dict(self) -> dict[str, Any]:
        """All figures by name, for JSON."""
        return asdict(self) | {"seconds_per_megapixel": self.seconds_per_megapixel}


def bench_denoiser(
    request: DenoiserRequest, started: Callable[[str], None] = lambda name: None
) -> list[DenoiserTiming]:
    """Time all sizes in turns in this process, then let each show its memory in processes of their own."""
    check_range("The number of repeats", request.repeats, 1, 10_000)
    for size in (*request.sizes, *request.whole):
        check_range("An image size", size, 16, 4064)
    kinds = [(size, False) for size in request.sizes] + [(size, True) for size in request.whole]
    prior = _prior(request)
    calls = {_name(*kind): denoiser_call(prior, kind[0], _tiling(request, kind[1])) for kind in kinds}
    seconds = interleaved(
        {name: call for name, (call, _) in calls.items()}, request.repeats, prior.device, started
    )
    timings = []
    for size, whole in kinds:
        name = _name(size, whole)
        partition = calls[name][1]
        started(f"{name}, memory")
        rounds = max(request.whole if whole else request.sizes) ** 2 // size**2
        peaks = [in_fresh_process(_memory, request, size, whole, rounds) for _ in range(request.repeats)]
        peak, added = (statistics.median(figures) for figures in zip(*peaks, strict=True))
        timings.append(
            DenoiserTiming(
                size=size, whole=whole, patch=partition.patch, tiles=len(partition.boxes),
                seconds=statistics.median(seconds[name]), peak_memory_mb=peak, added_memory_mb=added,
                device=describe_device(prior.device), precision=prior.precision,
            )
        )  # fmt: skip
    return [*_with_ratios(timings, whole=False), *_with_ratios(timings, whole=True)]


def time_deviation(timings: Sequence[DenoiserTiming]) -> float:
    """The largest relative deviation of the tiled sizes' time a megapixel from its median."""
    each = [t.seconds_per_megapixel for t in timings if not t.whole]
    middle = statistics.median(each)
    return max(abs(one / middle - 1) for one in each)


def memory_growth(timings: Sequence[DenoiserTiming]) -> float | None:
    """How much more than the least the tiled sizes take from 512 pixels up; None where there is only one."""
    peaks = [t.peak_memory_mb for t in timings if not t.whole and t.size >= MEMORY_FROM]
    return max(peaks) / min(peaks) - 1 if len(peaks) > 1 and min(peaks) else None


def _name(size: int, whole: bool) -> str:
    return f"{size} px{', whole' if whole else ''}"


def _tiling(request: DenoiserRequest, whole: bool) -> TilingSettings:
    return (
        TilingSettings(strategy="whole") if whole else TilingSettings(strategy="random", patch=request.patch)
    )


def _prior(request: DenoiserRequest) -> PatchPrior:
    device = pick_device(request.device)
    use_all_threads()
    return load_prior(request.prior, device, request.precision or fastest_precision(device))


def denoiser_call(
    prior: PatchPrior, size: int, tiling: TilingSettings
) -> tuple[Callable[[], Tensor], Partition]:
    """The denoiser at a middle noise level on a square of ``size`` pixels, and the partition that it takes."""
    rng = torch.Generator().manual_seed(0)
    strategy, patch = strategy_and_patch(tiling, (size, size), prior)
    partition = make_tiling(strategy, (size, size), patch, prior.conventions.frame, tiling).draw(rng)
    x = torch.rand(prior.channels, size, size, generator=rng).to(prior.device)

    @torch.no_grad()
    def call() -> Tensor:
        return prior.denoise(x, _SIGMA, partition, rng)

    return call, partition


def _memory(request: DenoiserRequest, size: int, whole: bool, calls: int) -> tuple[float, float]:
    """Peak memory of calls in this process, and what they add."""
    prior = _prior(request)
    call, _ = denoiser_call(prior, size, _tiling(request, whole))
    memory = MemoryPeak(prior.device)
    for _ in range(calls):
        call()
    return memory.read()


def _with_ratios(timings: Sequence[DenoiserTiming], *, whole: bool) -> list[DenoiserTiming]:
    mine = [timing for timing in timings if timing.whole == whole]
    if not mine:
        return []
    first = mine[0].seconds_per_megapixel
    memory = next((t.peak_memory_mb for t in mine if t.size >= MEMORY_FROM), mine[0].peak_memory_mb)
    return [
        replace(
            timing,
            time_ratio=timing.seconds_per_megapixel / first,
            memory_ratio=timing.peak_memory_mb / memory if memory else 1.0,
        )
        for timing in mine
    ]
