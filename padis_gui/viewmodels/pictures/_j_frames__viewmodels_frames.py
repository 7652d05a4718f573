"""What leaves the compute thread: plain numbers and arrays that nobody writes again."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from padis_gui.core.images._j_image__core_data_image import Image
from padis_gui.core.images._j_metrics__core_metrics import psnr
from padis_gui.core.physics.registry import Physics, find_physics
from padis_gui.core.prior.partition import Partition
from padis_gui.core.prior.prior import DenoiserCall
from padis_gui.core.runs.opened import Prepared
from padis_gui.core.solvers._j_iterate__core_solvers_iterate import Iterate

Pixels = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class IteratePictures:
    """One iterate for the panes, in the image's unit; ``difference`` is estimate - truth.

    ``deviation`` is the samples' standard deviation, where the method draws several; ``measured`` is A estimate
    as :class:`ProblemPictures` shows the measurement; ``disagreement`` the difference that two offsets of the grid make,
    where it was measured; ``call`` the step's last denoiser call, off the device. Of a run whose iterates are no
    longer kept there is only the estimate.
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
    def nbytes(self) -> int:
        """Memory that its pictures take."""
        pictures = (
            self.estimate, self.denoised, self.state, self.difference, self.deviation, self.measured,
            self.disagreement,
        )  # fmt: skip
        entered = 0 if self.call is None else self.call.x.nbytes
        return entered + sum(picture.nbytes for picture in pictures if picture is not None)

    def against(self, truth: Pixels | None) -> "IteratePictures":
        """The same with its difference to a truth of its size; without one as it is."""
        if truth is None or truth.shape != self.estimate.shape:
            return self
        return replace(self, difference=grey(self.estimate - truth))


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
        measurement=_measurement_picture(find_physics(prepared.method.physics), problem.measurement, image),
        robust_range=image.robust_range(),
        baseline_psnr=math.nan if truth is None else psnr(prepared.baseline, truth),
    )


def _measurement_picture(physics: Physics, measured: Tensor, image: Image) -> Pixels | None:
    """A measurement as the viewer shows it: in the image's unit where it is a picture; None where it is empty."""
    if measured.ndim != 3 or not measured.numel():
        return None
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
        measured=None if measured is None else _measurement_picture(physics, measured, image),
        disagreement=None if disagreement is None else spread_of(disagreement, image),
        partition=iterate.partition,
        call=None if call is None else call.cpu(),
    )


def spread_of(x: Tensor, image: Image) -> Pixels:
    """A difference (C, rows, columns) on [0, 1] for a pane, in the image's unit: (rows, columns)."""
    return grey(for_display(image.spread_from_unit(x)))
