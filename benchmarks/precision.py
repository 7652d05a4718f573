"""Number formats and layouts of the network: the time they take, and what they cost in PSNR.

Time is that of one whole-image denoiser call; PSNR that of whole reconstructions from the same seed.
"""

from __future__ import annotations

import copy
import logging
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

from benchmarks.denoiser import denoiser_call
from benchmarks.operator import check_range
from benchmarks.solvers import BenchRequest
from benchmarks.timing import interleaved, speedup
from padis_gui.core import Tensor, torch
from padis_gui.core.files.read import read_image
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.prior.checkpoint import load_prior
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.runs.engine import Run, finish
from padis_gui.core.runs.opened import Opened
from padis_gui.core.runs.recipe import draft_recipe
from padis_gui.core.settings.declarations import Registry
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.settings.machine import describe_device, fastest_precision, pick_device, use_all_threads
from padis_gui.core.solvers.registry import find_solver

log = logging.getLogger(__name__)

# A variant becomes a default only where it costs less, in dB
GOAL_COST = 0.02


def _contiguous(network: torch.nn.Module) -> torch.nn.Module:
    """The same network with channels first, in its weights and between its layers."""
    network = copy.deepcopy(network).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_pre_hook(lambda _, arguments: (arguments[0].contiguous(),))
    return network


def _compiled(network: torch.nn.Module) -> torch.nn.Module:
    return cast(torch.nn.Module, torch.compile(network))


@dataclass(frozen=True, slots=True)
class Variant:
    """A registry record; ``prepare`` makes it of a prior as the program loads it."""

    name: str
    label: str
    prepare: Callable[[PatchPrior], PatchPrior]


VARIANTS = Registry("variant", (
    Variant(
        "float32-contiguous", "float32, channels first",
        lambda prior: replace(prior, network=_contiguous(prior.network), precision="float32"),
    ),
    Variant("float32", "float32, channels last", lambda prior: replace(prior, precision="float32")),
    Variant("bfloat16", "bfloat16, channels last", lambda prior: replace(prior, precision="bfloat16")),
    Variant(
        "float32-compiled", "float32, compiled",
        lambda prior: replace(prior, network=_compiled(prior.network), precision="float32"),
    ),
    Variant(
        "bfloat16-compiled", "bfloat16, compiled",
        lambda prior: replace(prior, network=_compiled(prior.network), precision="bfloat16"),
    ),
))  # fmt: skip
find_variant = VARIANTS.find


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionRequest:
    """``run`` says on what the variants reconstruct; its precision is not used. All variants where none is named."""

    run: BenchRequest = field(default_factory=BenchRequest)
    solver: str = "diffpir"
    pages: tuple[int, ...] = (0,)
    variants: tuple[str, ...] = ()
    repeats: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantTiming:
    """Median seconds of a denoiser call, how many times as fast as the first variant, and the mean PSNR in dB.

    ``cost`` is how much PSNR it loses against the first variant. ``default`` marks what the program uses on this
    device. ``skipped`` says why a variant has no figures.
    """

    variant: str
    label: str
    seconds: float | None = None
    speedup: float | None = None
    psnr: float | None = None
    cost: float | None = None
    default: bool = False
    skipped: str = ""
    device: str = ""

    def as_dict(self) -> dict[str, Any]:
        """All figures by name, for JSON."""
        return asdict(self)


def bench_precision(
    request: PrecisionRequest, started: Callable[[str], None] = lambda name: None
) -> list[VariantTiming]:
    """Time the variants in turns, then let each reconstruct; those that this machine cannot run are skipped."""
    check_range("The number of repeats", request.repeats, 1, 10_000)
    chosen = [find_variant(name) for name in request.variants] or list(VARIANTS)
    if not request.pages or find_physics(request.run.physics).imageless:
        raise SettingError(
            "A measured image was wanted, as PSNR needs a truth, but there is none; choose another preset or page."
        )
    device = pick_device(request.run.device)
    use_all_threads()
    default = fastest_precision(device)
    prior = load_prior(request.run.prior, device, default)
    size = prior.conventions.image_size
    calls: dict[str, Callable[[], Tensor]] = {}
    priors: dict[str, PatchPrior] = {}
    skipped: dict[str, str] = {}
    for variant in chosen:
        started(f"{variant.label}, first call")
        try:
            prepared = variant.prepare(prior)
            call, _ = denoiser_call(prepared, size, request.run.tiling)
            call()
        except RuntimeError as error:  # what torch.compile raises where it finds no compiler
            skipped[variant.name] = _why(error)
            log.info("%s is skipped", variant.name, exc_info=True)
            continue
        calls[variant.name], priors[variant.name] = call, prepared
    seconds = interleaved(calls, request.repeats, device, started)
    quality: dict[str, float] = {}
    for name, prepared in priors.items():
        found = []
        for page in request.pages:
            started(f"{name}, reconstruction of page {page}")
            found.append(_reconstructed(request, prepared, page))
        quality[name] = statistics.fmean(found)
    first = next(iter(calls), None)
    return [
        VariantTiming(
            variant=variant.name, label=variant.label, skipped=skipped[variant.name],
            device=describe_device(device),
        )
        if variant.name in skipped or first is None
        else VariantTiming(
            variant=variant.name,
            label=variant.label,
            seconds=statistics.median(seconds[variant.name]),
            speedup=speedup(seconds[first], seconds[variant.name]),
            psnr=quality[variant.name],
            cost=quality[first] - quality[variant.name],
            default=variant.name == default,
            device=describe_device(device),
        )
        for variant in chosen
    ]  # fmt: skip


def _reconstructed(request: PrecisionRequest, prior: PatchPrior, page: int) -> float:
    """PSNR of the solver's result with that prior."""
    run, solver = request.run, find_solver(request.solver)
    image = read_image(run.image, page)
    opened = Opened(image=image, data_path=run.image, prior=prior, prior_path=run.prior)
    return finish(Run(draft_recipe(opened, run.method(solver.name), run.seed), opened)).psnr


def _why(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"this machine cannot run it ({lines[0][:120] if lines else type(error).__name__})"
