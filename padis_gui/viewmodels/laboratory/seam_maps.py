"""What can be mapped of seams: which maps there are, and how the threads beside the window's make them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from padis_gui.core.images.image import Image, Pixels
from padis_gui.core.images.metrics import Spectrum, radial_spectrum
from padis_gui.core.prior.prior import DenoiserCall, PatchPrior
from padis_gui.core.prior.seams import disagreement_at, seam_coverage, seam_map, seam_ratio
from padis_gui.viewmodels.pictures.frames import (
    CurvePoint,
    History,
    IteratePictures,
    channels_first,
    spread_of,
)
from padis_gui.viewmodels.pictures.sources import Origin, PaneSource, Scale
from padis_gui.viewmodels.state.background import Check

SEAMS, SEAMS_DENOISED, COVERAGE, DISAGREEMENT = "seams", "seams-denoised", "coverage", "disagreement"
MAPS = (SEAMS, SEAMS_DENOISED, COVERAGE, DISAGREEMENT)
SEAM_SHARE = (
    0.03  # seams and disagreements are mostly smaller than errors: the share of the levels that shows them
)
SOURCES: tuple[PaneSource, ...] = (
    PaneSource(
        key=SEAMS, label="Seam map of x̂₀", short="seams", origin=Origin.LABORATORY, scale=Scale.SIGNED, share=SEAM_SHARE,
        help="How far each step across a tile border of the estimate exceeds what is usual around it",
    ),
    PaneSource(
        key=SEAMS_DENOISED, label="Seam map of D", short="seams of D", origin=Origin.LABORATORY, scale=Scale.SIGNED,
        share=SEAM_SHARE, help="The same of the denoised image, before the data have their say",
    ),
    PaneSource(
        key=COVERAGE, label="Seam heat map", short="times on a seam", origin=Origin.LABORATORY, scale=Scale.MAGNITUDE,
        counted=True, help="How often each pixel has lain beside a tile border up to the shown step",
    ),
    PaneSource(
        key=DISAGREEMENT, label="Disagreement of offsets", short="disagreement", origin=Origin.LABORATORY,
        scale=Scale.SIGNED, share=SEAM_SHARE,
        help="D through one random offset of the grid minus D through another, at the same noisy image",
    ),
)  # fmt: skip
EMPTY_TEXTS = {
    SEAMS: "Appears with the first step of a method that works in tiles",
    SEAMS_DENOISED: "Appears with the first step of a method that works in tiles",
    COVERAGE: "Appears with the first step of a method that works in tiles",
    DISAGREEMENT: "Measure it in the Laboratory panel, at this step or every few steps",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Coverage:
    """How often each pixel has lain beside a tile border, (rows, columns), in ``steps`` steps."""

    history: History
    upto: int
    steps: int
    count: NDArray[np.int64]

    @property
    def most(self) -> int:
        """The highest count."""
        return int(self.count.max(initial=0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Disagreement:
    """The difference that two offsets make at a step: a map (rows, columns) in the image's unit, its RMS on [0, 1]."""

    step: int
    sigma: float
    pixels: Pixels
    rms: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MapRequest:
    """Which maps of a frame are wanted; ``points`` are those of its run, ``before`` the coverage known so far. ``image`` is
    the prepared one, whose window ``truth`` is scaled by."""

    history: History
    frame: IteratePictures
    points: tuple[CurvePoint, ...]
    maps: frozenset[str]
    before: Coverage | None
    truth: Tensor | None
    image: Image | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Maps:
    """The maps of a frame by name, the coverage up to it, the seam ratios of its x̂₀ and D, and the power of x̂₀'s error by
    frequency where the truth is known, of an image on [0, 1]."""

    frame: IteratePictures
    maps: Mapping[str, Pixels]
    coverage: Coverage | None
    ratios: tuple[float, float]
    spectrum: Spectrum | None = None


def measure_disagreement(
    prior: PatchPrior, call: DenoiserCall, image: Image, step: int, check: Check
) -> Disagreement:
    """Repeat a step's denoiser call through two random offsets; in the compute thread."""
    found = disagreement_at(prior.interrupted_by(check), call, torch.Generator().manual_seed(step))
    rms = float(found.square().mean().sqrt())
    return Disagreement(step=step, sigma=call.sigma, pixels=spread_of(found, image), rms=rms)


def make_maps(request: MapRequest) -> Maps:
    """The maps of a request; in the I/O thread."""
    frame, made = request.frame, {}
    if (partition := frame.partition) is not None:
        for name, pixels in ((SEAMS, frame.estimate), (SEAMS_DENOISED, frame.denoised)):
            if name in request.maps and pixels is not None:
                x = torch.from_numpy(np.ascontiguousarray(channels_first(pixels)))
                made[name] = seam_map(x, partition).numpy()
    coverage = _cover(request) if COVERAGE in request.maps else None
    if coverage is not None:
        made[COVERAGE] = coverage.count.astype(np.float32)
    ratios = _ratio(frame.estimate, request), _ratio(frame.denoised, request)
    return Maps(frame=frame, maps=made, coverage=coverage, ratios=ratios, spectrum=_spectrum(request))


def _spectrum(request: MapRequest) -> Spectrum | None:
    """That of the error of the request's frame."""
    truth, image = request.truth, request.image
    estimate = channels_first(request.frame.estimate)
    if truth is None or image is None or tuple(truth.shape) != estimate.shape:
        return None
    low, high = image.window
    return radial_spectrum((estimate - image.from_unit(truth)) / np.float32(high - low))


def _ratio(pixels: Pixels | None, request: MapRequest) -> float:
    """The seam ratio of a picture of the request's frame; units do not matter to it."""
    partition = request.frame.partition
    if pixels is None or partition is None:
        return math.nan
    x = torch.from_numpy(np.ascontiguousarray(channels_first(pixels)))
    truth = request.truth
    return seam_ratio(x, partition, truth if truth is not None and truth.shape == x.shape else None)


def _cover(request: MapRequest) -> Coverage | None:
    """The count up to the request's frame: what came before goes on, where it belongs to the same run."""
    before, upto = request.before, request.frame.step
    if before is not None and (before.history is not request.history or before.upto > upto):
        before = None
    since = 0 if before is None else before.upto
    new = [p.partition for p in request.points if since < p.step <= upto and p.partition is not None]
    if before is not None and not new:
        return before if before.upto == upto else replace(before, upto=upto)
    if not new:
        return None
    count = seam_coverage(new).numpy()
    steps = len(new)
    if before is not None and before.count.shape == count.shape:
        count, steps = count + before.count, steps + before.steps
    return Coverage(history=request.history, upto=upto, steps=steps, count=count)
