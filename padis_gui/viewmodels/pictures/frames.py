"""Iterates as pictures and points of curves, and the history that keeps them.

What leaves the compute thread: plain numbers and arrays that nobody writes again.

What is measured of each iterate for the curves; costly measures only as often as their time allows.

The iterates of one run that are kept to be looked at again, within a memory budget.
"""

import bisect
import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from padis_gui.core.images.image import Image, Pixels
from padis_gui.core.images.metrics import psnr, ssim
from padis_gui.core.physics.problem import Problem
from padis_gui.core.physics.registry import Physics, find_physics
from padis_gui.core.physics.settings import PhysicsSettings
from padis_gui.core.prior.partition import Partition
from padis_gui.core.prior.prior import DenoiserCall, PatchPrior
from padis_gui.core.prior.seams import disagreement_at, seam_ratio
from padis_gui.core.runs.opened import Prepared, prepare_image
from padis_gui.core.settings.errors import PadisError
from padis_gui.core.solvers.adaptation import AdaptationStep
from padis_gui.core.solvers.iterate import Iterate


@dataclass(frozen=True, kw_only=True, eq=False)
class ImagePicture:
    """The open image as the prior wants it, and its picture: (rows, columns) or (rows, columns, 3), in its unit.

    ``truth`` is None where it was measured: there is no truth then.
    """

    image: Image
    truth: Pixels | None
    robust_range: tuple[float, float]


def picture_of_image(image: Image, prior: PatchPrior | None, problem: PhysicsSettings) -> ImagePicture:
    """What is to be seen of an image without measuring anything; as it is where there is no prior that takes it."""
    if prior is not None:
        with suppress(PadisError):  # of other channels than the prior's
            image = prepare_image(image, prior, problem)
    truth = None if image.measured is not None else for_display(image.from_unit(image.to_unit()))
    return ImagePicture(image=image, truth=truth, robust_range=image.robust_range())


@dataclass(frozen=True, kw_only=True, eq=False)
class ProblemPictures:
    """The pictures of what is measured, (rows, columns) or (rows, columns, 3), in the image's unit.

    ``truth`` is None, and the baseline's PSNR NaN, where there is none.
    """

    prepared: Prepared
    truth: Pixels | None
    baseline: Pixels
    measurement: Pixels | None
    robust_range: tuple[float, float]
    baseline_psnr: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IteratePictures:
    """One iterate for the panes, in the image's unit; ``difference`` is estimate - truth.

    ``deviation`` is the samples' standard deviation, where the method draws several; ``measured`` is A estimate
    as :class:`ProblemPictures` shows the measurement; ``disagreement`` the difference that two offsets of the grid make,
    where it was measured; ``call`` the step's last denoiser call, off the device. Of a run whose iterates are no
    longer kept there is only the estimate; where it stood is then perhaps not known: ``step`` 0, ``sigma`` NaN.
    """

    step: int
    total: int
    sigma: float
    estimate: Pixels
    denoised: Pixels | None = None
    state: Pixels | None = None
    difference: Pixels | None = None
    deviation: Pixels | None = None
    measured: Pixels | None = None
    disagreement: Pixels | None = None
    partition: Partition | None = None
    call: DenoiserCall | None = None

    @property
    def step_text(self) -> str:
        """The step in words, of how many; also where that is not known."""
        return f"step {self.step} of {self.total}" if self.step else "step not known"

    @property
    def noise_text(self) -> str:
        """The noise level in words."""
        return f"σ {self.sigma:.3g}" if math.isfinite(self.sigma) else "σ not known"

    @property
    def nbytes(self) -> int:
        """Memory that its pictures take."""
        pictures = (
            self.estimate, self.denoised, self.state, self.difference, self.deviation, self.measured,
            self.disagreement,
        )  # fmt: skip
        entered = 0 if self.call is None else self.call.x.nbytes
        return entered + sum(picture.nbytes for picture in pictures if picture is not None)

    def lasting(self) -> "IteratePictures":
        """What is kept of it once there is a later one."""
        return self

    def against(self, truth: Pixels | None) -> "IteratePictures":
        """The same with its difference to a truth of its size; without one as it is."""
        if truth is None or truth.shape != self.estimate.shape:
            return self
        return replace(self, difference=grey(self.estimate - truth))


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptationPoint:
    """Where the adaptation of a prior stood: residuals of the rays that are used and of those kept aside after a ``step``
    of at most ``total``."""

    step: int
    total: int
    training: float
    aside: float

    @classmethod
    def of(cls, step: AdaptationStep) -> "AdaptationPoint":
        """The numbers of a step, without its picture."""
        return cls(step=step.step, total=step.total, training=step.training, aside=step.aside)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One iterate for the curves. What is not known, or was not measured at this step, is NaN.

    ``seam_denoised`` is the seam ratio of D before the data step, ``disagreement`` the root mean square on [0, 1] of
    what two offsets of the grid differ by.
    """

    step: int
    sigma: float
    residual: float
    psnr: float
    seconds: float
    ssim: float = math.nan
    seam_ratio: float = math.nan
    seam_denoised: float = math.nan
    disagreement: float = math.nan
    partition: Partition | None = None

    @property
    def milliseconds(self) -> float:
        """The time that the step took."""
        return 1000 * self.seconds


def for_display(channels: Pixels) -> Pixels:
    """(C, rows, columns) as a private copy that a viewer takes: (rows, columns) or (rows, columns, 3)."""
    plane = channels[0] if channels.shape[0] == 1 else np.moveaxis(channels[:3], 0, 2)
    return np.array(plane, dtype=np.float32, order="C", copy=True)


def channels_first(pixels: Pixels) -> Pixels:
    """What :func:`for_display` made, as (C, rows, columns) again."""
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)


def pictures_of_problem(prepared: Prepared) -> ProblemPictures:
    """What is to be seen of a problem; call it in the compute thread."""
    image, problem = prepared.image, prepared.problem
    truth = problem.truth
    return ProblemPictures(
        prepared=prepared,
        truth=None if truth is None else for_display(image.from_unit(truth)),
        baseline=for_display(image.from_unit(prepared.baseline)),
        measurement=measurement_picture(find_physics(prepared.method.physics), problem.measurement, image),
        robust_range=image.robust_range(),
        baseline_psnr=math.nan if truth is None else psnr(prepared.baseline, truth),
    )


def measurement_picture(physics: Physics, measured: Tensor, image: Image) -> Pixels | None:
    """A measurement as the viewer shows it: in the image's unit where it is a picture; None where it is empty.

    Of a cone beam's detector rows it is the middle one.
    """
    if measured.ndim != 3 or not measured.numel():
        return None
    if physics.of_volumes:
        measured = measured[len(measured) // 2][None]
    return for_display(image.from_unit(measured) if physics.pictorial else measured.cpu().numpy())


def grey(pixels: Pixels) -> Pixels:
    """The mean over the colours, (rows, columns)."""
    return pixels if pixels.ndim == 2 else pixels.mean(axis=2, dtype=np.float32)


def frame_of(
    iterate: Iterate,
    pictures: ProblemPictures,
    call: DenoiserCall | None = None,
    disagreement: Tensor | None = None,
) -> IteratePictures:
    """Copy an iterate off the device, in the image's unit.

    ``call`` is its last denoiser call, ``disagreement`` the map (C, rows, columns) of two offsets on [0, 1].
    """
    image = pictures.prepared.image
    estimate = for_display(image.from_unit(iterate.estimate))
    spread, measured = iterate.deviation, iterate.measured
    physics = find_physics(pictures.prepared.method.physics)
    return IteratePictures(
        step=iterate.step,
        total=iterate.total,
        sigma=iterate.sigma,
        estimate=estimate,
        denoised=for_display(image.from_unit(iterate.denoised)),
        state=for_display(image.from_unit(iterate.x)),
        difference=None if pictures.truth is None else grey(estimate - pictures.truth),
        deviation=None if spread is None else spread_of(spread, image),
        measured=None if measured is None else measurement_picture(physics, measured, image),
        disagreement=None if disagreement is None else spread_of(disagreement, image),
        partition=iterate.partition,
        call=None if call is None else call.cpu(),
    )


def spread_of(x: Tensor, image: Image) -> Pixels:
    """A difference (C, rows, columns) on [0, 1] for a pane, in the image's unit: (rows, columns)."""
    return grey(for_display(image.spread_from_unit(x)))


SHARE = 0.01
_MOST_LEFT_OUT = 4  # steps in a row: a curve with holes of any length is none


class _Sparing:
    """Calls a measure only when it has taken at most ``SHARE`` of the solver's time so far, but every fifth step.

    The first call doesn't count: it may import what it needs.
    """

    def __init__(self) -> None:
        self._owed = 0.0
        self._warm = False

    def __call__(self, seconds: float, measure: Callable[[], float], *, always: bool) -> float:
        """The measure, or NaN where it is not its turn; ``seconds`` is what the step took."""
        self._owed -= SHARE * seconds
        if self._owed > 0 and not always:
            return math.nan
        began = (
            time.thread_time()
        )  # not the clock: what waits for a busy machine has not taken the solver's time
        value = measure()
        taken = time.thread_time() - began if self._warm else 0.0
        self._owed = min(taken, (_MOST_LEFT_OUT + 0.5) * SHARE * seconds)
        self._warm = True
        return value


class Meter:
    """Makes the points of one run, in the compute thread; ``every_seam`` measures seam ratios at every step."""

    def __init__(self, problem: Problem, prior: PatchPrior, *, every_seam: bool = False) -> None:
        self._problem, self._prior, self._every_seam = problem, prior, every_seam
        self._ssim, self._seams = _Sparing(), _Sparing()

    def disagreement(self, call: DenoiserCall, step: int) -> Tensor:
        """What two offsets of the grid differ by at the image of a denoiser call, (C, rows, columns) on [0, 1]."""
        return disagreement_at(self._prior, call, torch.Generator().manual_seed(step))

    def point(self, iterate: Iterate, disagreement: Tensor | None = None) -> CurvePoint:
        """PSNR at every step; SSIM and seam ratios at the first and the last one and when they are due."""
        truth, partition, estimate = self._problem.truth, iterate.partition, iterate.estimate
        ends = iterate.step in (1, iterate.total)
        similarity = ratio = ratio_denoised = math.nan
        if truth is not None:
            similarity = self._ssim(iterate.seconds, lambda: ssim(estimate, truth), always=ends)
        if partition is not None:
            ratio = self._seams(
                iterate.seconds,
                lambda: seam_ratio(estimate, partition, truth),
                always=ends or self._every_seam,
            )
            if not math.isnan(ratio):
                ratio_denoised = seam_ratio(iterate.denoised, partition, truth)
        return CurvePoint(
            step=iterate.step,
            sigma=iterate.sigma,
            residual=iterate.residual,
            psnr=math.nan if truth is None else psnr(estimate, truth),
            seconds=iterate.seconds,
            ssim=similarity,
            seam_ratio=ratio,
            seam_denoised=ratio_denoised,
            disagreement=math.nan if disagreement is None else float(disagreement.square().mean().sqrt()),
            partition=None if partition is None else replace(partition),  # without the boxes that it has made
        )


DEFAULT_BUDGET = 256 * 2**20
_LARGE = 0.5  # of the budget: of such pictures the latest ones are kept only


class History:
    """Frames and curve points of one run: appended in the compute thread, read in the UI thread.

    Every frame is kept until they take more than ``budget`` bytes; then every second one goes, and from there on
    every second one is kept, so that they stay evenly spaced. The first and the last always stay, but for volumes of which
    the budget holds no two: then the last. Points are a few
    numbers each, and all of them stay.
    """

    def __init__(self, budget: int = DEFAULT_BUDGET) -> None:
        self.budget = budget
        self._lock = threading.Lock()
        self._frames: list[IteratePictures] = []
        self._order: list[int] = []  # of each kept frame, which one it was of all that came
        self._stride = 1
        self._came = 0
        self._bytes = 0
        self._points: list[CurvePoint] = []
        self._adaptation: list[AdaptationPoint] = []
        self._total = 0

    def append(self, frame: IteratePictures | None, point: CurvePoint, total: int = 0) -> None:
        """Add an iterate; without a frame only the curves grow. ``total`` is the number of steps of the run."""
        if frame is not None:
            self.keep(frame)
        with self._lock:
            self._points.append(point)
            self._total = total or self._total

    def adapted(self, point: AdaptationPoint) -> None:
        """Add a step of the adaptation that comes before the first iterate."""
        with self._lock:
            self._adaptation.append(point)

    @property
    def adaptation(self) -> list[AdaptationPoint]:
        """A copy of the adaptation's steps so far; empty where the prior is not adapted."""
        with self._lock:
            return list(self._adaptation)

    def keep(self, frame: IteratePictures) -> None:
        """Add a picture alone."""
        with self._lock:
            if self._order and self._order[-1] % self._stride:  # it was kept as the last one only
                self._drop(len(self._frames) - 1)
            if self._frames and (lasting := self._frames[-1].lasting()) is not self._frames[-1]:
                self._bytes += lasting.nbytes - self._frames[-1].nbytes
                self._frames[-1] = lasting
            self._frames.append(frame)
            self._order.append(self._came)
            self._came += 1
            self._bytes += frame.nbytes
            while self._bytes > self.budget and len(self._frames) > 2:
                self._thin()
            if self._bytes > self.budget and frame.nbytes > self.budget * _LARGE:
                while len(self._frames) > 1:  # of such pictures the budget holds no two
                    self._drop(0)

    def halve(self) -> None:
        """Let every second frame go; of two or fewer, all."""
        with self._lock:
            if len(self._frames) > 2:
                self._thin()
            else:
                self._frames.clear()
                self._order.clear()
                self._bytes = 0

    @property
    def nbytes(self) -> int:
        """Memory that the kept frames take."""
        with self._lock:
            return self._bytes

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps whose frames are kept, ascending."""
        with self._lock:
            return tuple(frame.step for frame in self._frames)

    @property
    def points(self) -> tuple[CurvePoint, ...]:
        """All points so far, ascending by step."""
        with self._lock:
            return tuple(self._points)

    @property
    def total(self) -> int:
        """How many steps the run has in all; 0 before the first one."""
        with self._lock:
            return self._total

    @property
    def seam_ratio(self) -> float:
        """The latest one that was measured; NaN where none was."""
        return next((p.seam_ratio for p in reversed(self.points) if math.isfinite(p.seam_ratio)), math.nan)

    @property
    def last(self) -> IteratePictures | None:
        """The latest frame."""
        with self._lock:
            return self._frames[-1] if self._frames else None

    def frame_at(self, step: int) -> IteratePictures | None:
        """The kept frame that is nearest to a step, the earlier one of two; None while there is none."""
        with self._lock:
            if not self._frames:
                return None
            steps = [frame.step for frame in self._frames]
            right = bisect.bisect_left(steps, step)
            around = self._frames[max(0, right - 1) : right + 1]
            return min(around, key=lambda frame: abs(frame.step - step))

    def point_at(self, step: int) -> CurvePoint | None:
        """The point of a step; None where it has none."""
        with self._lock:
            index = bisect.bisect_left(self._points, step, key=lambda point: point.step)
            found = self._points[index] if index < len(self._points) else None
        return found if found is not None and found.step == step else None

    def _thin(self) -> None:
        self._stride *= 2
        for index in range(len(self._frames) - 2, 0, -1):
            if self._order[index] % self._stride:
                self._drop(index)

    def _drop(self, index: int) -> None:
        self._bytes -= self._frames.pop(index).nbytes
        del self._order[index]
