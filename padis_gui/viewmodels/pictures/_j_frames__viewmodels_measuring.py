"""What is measured of each iterate for the curves; costly measures only as often as their time allows."""

import math
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from padis_gui.core.images._j_metrics__core_metrics import psnr, ssim
from padis_gui.core.physics.problem import Problem
from padis_gui.core.prior._j_seams__core_seams import disagreement_at, seam_ratio
from padis_gui.core.prior.prior import DenoiserCall, PatchPrior
from padis_gui.core.solvers._j_iterate__core_solvers_iterate import Iterate
from padis_gui.viewmodels.pictures._j_frames__viewmodels_frames import CurvePoint

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
