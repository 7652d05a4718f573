"""What leaves the compute thread: plain numbers and arrays that nobody writes again."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from padis_gui.core.data.image import Image
from padis_gui.core.metrics import psnr
from padis_gui.core.partition import Partition
from padis_gui.core.prior import PatchPrior
from padis_gui.core.problem import Problem
from padis_gui.core.recipe import ProblemSettings, Recipe, build_problem, prepare_image
from padis_gui.core.solvers.iterate import Iterate, SolverSettings
from padis_gui.core.tiling import TilingSettings

Pixels = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Job:
    """All the choices of one run, as they stood when Run was clicked."""

    image: Image
    data_path: Path
    prior: PatchPrior
    prior_path: Path
    problem: ProblemSettings
    tiling: TilingSettings
    solver: str
    settings: SolverSettings

    def same_problem(self, other: "Job") -> bool:
        """Whether both measure the same thing."""
        return self.image is other.image and self.prior is other.prior and self.problem == other.problem

    def same_as(self, other: "Job") -> bool:
        """Whether both would give the same result from the same seed."""
        return (
            self.same_problem(other)
            and self.tiling == other.tiling
            and self.solver == other.solver
            and self.settings == other.settings
        )


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A simulated problem and its pictures, (rows, columns) or (rows, columns, 3), in the image's unit."""

    job: Job
    seed: int
    problem: Problem
    image: Image
    truth: Pixels
    baseline: Pixels
    sinogram: Pixels
    robust_range: tuple[float, float]
    baseline_estimate: Tensor
    baseline_psnr: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One iterate for the panes, in the image's unit; ``difference`` is estimate - truth."""

    step: int
    total: int
    sigma: float
    estimate: Pixels
    denoised: Pixels
    state: Pixels
    difference: Pixels
    partition: Partition


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One iterate for the curves."""

    step: int
    sigma: float
    residual: float
    psnr: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Result:
    """A run that ended with an estimate, (C, rows, columns) in the image's unit."""

    job: Job
    recipe: Recipe
    image: Image
    pixels: Pixels
    metrics: dict[str, float]
    seconds: float
    evaluations: int

    @property
    def proposed_name(self) -> str:
        """A file name that says what this is."""
        recipe = self.recipe
        stem = Path(recipe.data.file).stem
        return f"{stem}_p{recipe.data.page}_{recipe.solver}_{recipe.problem.views}views.tif"


def for_display(channels: Pixels) -> Pixels:
    """(C, rows, columns) as a private copy that a viewer takes: (rows, columns) or (rows, columns, 3)."""
    plane = channels[0] if channels.shape[0] == 1 else np.moveaxis(channels[:3], 0, 2)
    return np.array(plane, dtype=np.float32, order="C", copy=True)


def prepare(job: Job, seed: int) -> Prepared:
    """Simulate the job's problem and its baseline; call it in the compute thread."""
    problem = build_problem(job.image, job.prior, job.problem, seed)
    image = prepare_image(job.image, job.prior)
    baseline = problem.operator.pinv(problem.measurement)
    if problem.truth is None:
        raise ValueError("a simulated problem knows its truth")
    return Prepared(
        job=job,
        seed=seed,
        problem=problem,
        image=image,
        truth=for_display(image.from_unit(problem.truth)),
        baseline=for_display(image.from_unit(baseline)),
        sinogram=for_display(problem.measurement.cpu().numpy()),
        robust_range=image.robust_range(),
        baseline_estimate=baseline,
        baseline_psnr=psnr(baseline, problem.truth),
    )


def frame_of(iterate: Iterate, prepared: Prepared) -> Frame:
    """Copy an iterate off the device, in the image's unit."""
    image = prepared.image
    estimate = for_display(image.from_unit(iterate.estimate))
    return Frame(
        step=iterate.step,
        total=iterate.total,
        sigma=iterate.sigma,
        estimate=estimate,
        denoised=for_display(image.from_unit(iterate.denoised)),
        state=for_display(image.from_unit(iterate.x)),
        difference=estimate - prepared.truth,
        partition=iterate.partition,
    )
