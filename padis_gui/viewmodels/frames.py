"""What leaves the compute thread: plain numbers and arrays that nobody writes again."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from padis_gui.core.data.image import Image
from padis_gui.core.metrics import psnr
from padis_gui.core.operators import Physics, find_physics
from padis_gui.core.operators.settings import PhysicsSettings
from padis_gui.core.partition import Partition
from padis_gui.core.prior import DenoiserCall, PatchPrior
from padis_gui.core.problem import Problem
from padis_gui.core.recipe import Change, Recipe, build_problem, prepare_image
from padis_gui.core.settings import Settings, make
from padis_gui.core.solvers.iterate import Iterate
from padis_gui.core.tiling import TilingSettings

Pixels = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Job:
    """All the choices of one run, as they stood when Run was clicked.

    ``measurement_seed`` draws the measurement's noise, where that is not the run's own seed; ``changes`` and
    ``stop_after`` are replayed, and ``threads`` used, where an earlier run is repeated; ``paired`` is the recipe's.
    """

    image: Image | None
    data_path: Path | None
    prior: PatchPrior
    prior_path: Path
    physics: str
    problem: PhysicsSettings
    tiling: TilingSettings
    solver: str
    settings: Settings
    measurement_seed: int | None = None
    changes: tuple[Change, ...] = ()
    stop_after: int | None = None
    paired: bool = False
    threads: int | None = None

    def same_problem(self, other: "Job") -> bool:
        """Whether both measure the same thing."""
        return (
            self.image is other.image
            and self.prior is other.prior
            and self.physics == other.physics
            and self.problem == other.problem
        )

    def same_as(self, other: "Job") -> bool:
        """Whether both would give the same result from the same seed."""
        return (
            self.same_problem(other)
            and self.tiling == other.tiling
            and self.solver == other.solver
            and self.settings == other.settings
        )

    def is_of_data(self, recipe: Recipe) -> bool:
        """Whether a recipe is of the image that this has."""
        if recipe.data is None or self.image is None or self.data_path is None:
            return False
        return (str(self.data_path.resolve()), self.image.page) == (recipe.data.file, recipe.data.page)

    def after(self, changes: tuple[Change, ...]) -> "Job":
        """The job as its live changes left it: what the forms show when the run has ended."""
        job = self
        for change in changes:
            if change.settings is not None:
                job = replace(job, settings=make(type(job.settings), dict(change.settings)))
            if change.tiling is not None:
                job = replace(job, tiling=change.tiling)
        return job

    @property
    def matrix_size(self) -> int:
        """Views times pixels."""
        rows, columns = (0, 0) if self.image is None else self.image.shape
        return int(getattr(self.problem, "views", 1)) * rows * columns

    @property
    def preparing_multiplies(self) -> bool:
        """Whether the problem's first pictures take a product with the operator; the FBP of a real scan takes none."""
        return self.image is None or self.image.measured is None or self.image.window[0] != 0


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A problem and its pictures, (rows, columns) or (rows, columns, 3), in the image's unit.

    ``truth`` is None, and the baseline's PSNR NaN, where there is none.
    """

    job: Job
    seed: int
    problem: Problem
    image: Image
    truth: Pixels | None
    baseline: Pixels
    measurement: Pixels | None
    robust_range: tuple[float, float]
    baseline_estimate: Tensor
    baseline_psnr: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One iterate for the panes, in the image's unit; ``difference`` is estimate - truth.

    ``deviation`` is the samples' standard deviation, where the method draws several; ``measured`` is A estimate
    as :class:`Prepared` shows the measurement; ``disagreement`` the difference that two offsets of the grid make,
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

    def against(self, truth: Pixels | None) -> "Frame":
        """The same with its difference to a truth of its size; without one as it is."""
        if truth is None or truth.shape != self.estimate.shape:
            return self
        return replace(self, difference=grey(self.estimate - truth))


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
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


@dataclass(frozen=True, kw_only=True)
class Result:
    """A run that ended with an estimate.

    ``image`` is the estimate with its unit, window and spacing; ``deviation`` (C, rows, columns) the standard
    deviation of its samples, where the method drew several, ``interval`` the ends of an interval of each pixel,
    where the result is a set of samples. ``job`` is None where the result came from a file; ``sha256`` is then the hash
    of the estimate as it was, which that file may hold as whole numbers only.
    """

    job: Job | None
    recipe: Recipe
    image: Image
    deviation: Pixels | None
    metrics: dict[str, float]
    seconds: float
    evaluations: int
    interval: tuple[Pixels, Pixels] | None = None
    sha256: str = ""

    @property
    def pixels(self) -> Pixels:
        """The estimate, (C, rows, columns) in the image's unit."""
        return self.image.pixels

    @property
    def pages(self) -> list[Pixels]:
        """The estimate, and what is known of its samples."""
        return [self.pixels, *(() if self.deviation is None else (self.deviation,)), *(self.interval or ())]

    @property
    def nbytes(self) -> int:
        """Memory that its pictures take."""
        return sum(page.nbytes for page in self.pages)

    @property
    def proposed_name(self) -> str:
        """A file name that says what this is."""
        return f"{stem_of(self.recipe)}.tif"


def stem_of(recipe: Recipe) -> str:
    """What a run is, as the beginning of a file's name."""
    data = f"{Path(recipe.data.file).stem}_p{recipe.data.page}" if recipe.data else "generated"
    views = f"_{recipe.problem['views']}views" if "views" in recipe.problem else ""
    return f"{data}_{recipe.physics}{views}_{recipe.solver}"


def for_display(channels: Pixels) -> Pixels:
    """(C, rows, columns) as a private copy that a viewer takes: (rows, columns) or (rows, columns, 3)."""
    plane = channels[0] if channels.shape[0] == 1 else np.moveaxis(channels[:3], 0, 2)
    return np.array(plane, dtype=np.float32, order="C", copy=True)


def channels_first(pixels: Pixels) -> Pixels:
    """What :func:`for_display` made, as (C, rows, columns) again."""
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)


def prepare(job: Job, seed: int) -> Prepared:
    """Simulate the job's problem and its baseline; call it in the compute thread."""
    physics = find_physics(job.physics)
    problem = build_problem(job.image, job.prior, job.physics, job.problem, seed)
    image = prepare_image(job.image, job.prior, job.problem)
    baseline = problem.operator.pinv(problem.measurement)
    truth = problem.truth
    return Prepared(
        job=job,
        seed=seed,
        problem=problem,
        image=image,
        truth=None if truth is None else for_display(image.from_unit(truth)),
        baseline=for_display(image.from_unit(baseline)),
        measurement=_measurement_picture(physics, problem.measurement, image),
        robust_range=image.robust_range(),
        baseline_estimate=baseline,
        baseline_psnr=math.nan if truth is None else psnr(baseline, truth),
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
    prepared: Prepared,
    call: DenoiserCall | None = None,
    disagreement: Tensor | None = None,
) -> Frame:
    """Copy an iterate off the device, in the image's unit.

    ``call`` is its last denoiser call, ``disagreement`` the map (C, rows, columns) of two offsets on [0, 1].
    """
    image = prepared.image
    estimate = for_display(image.from_unit(iterate.estimate))
    spread, measured = iterate.deviation, iterate.measured
    physics = find_physics(prepared.job.physics)
    return Frame(
        step=iterate.step,
        total=iterate.total,
        sigma=iterate.sigma,
        estimate=estimate,
        denoised=for_display(image.from_unit(iterate.denoised)),
        state=for_display(image.from_unit(iterate.x)),
        difference=None if prepared.truth is None else grey(estimate - prepared.truth),
        deviation=None if spread is None else spread_of(spread, image),
        measured=None if measured is None else _measurement_picture(physics, measured, image),
        disagreement=None if disagreement is None else spread_of(disagreement, image),
        partition=iterate.partition,
        call=None if call is None else call.cpu(),
    )


def spread_of(x: Tensor, image: Image) -> Pixels:
    """A difference (C, rows, columns) on [0, 1] for a pane, in the image's unit: (rows, columns)."""
    return grey(for_display(image.spread_from_unit(x)))
