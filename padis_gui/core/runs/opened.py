"""What a run works on, in memory: image and prior as they were opened, and the problem made of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from padis_gui.core import Tensor, torch
from padis_gui.core.files.read import read_named_picture
from padis_gui.core.images.image import Image
from padis_gui.core.images.metrics import psnr, relative_misfit, residual, ssim
from padis_gui.core.physics.operator import POWERS, POWERS_MATRIX_FREE, LinearOperator
from padis_gui.core.physics.problem import Problem, as_measured, simulate
from padis_gui.core.physics.projector import BYTES_AN_ENTRY
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.physics.settings import PhysicsSettings
from padis_gui.core.physics.slicewise import Slicewise, simulate_slices
from padis_gui.core.prior.partition import Partition
from padis_gui.core.prior.prior import Conventions, PatchPrior
from padis_gui.core.prior.seams import seam_ratio
from padis_gui.core.prior.slices import StackSettings
from padis_gui.core.prior.stack import stacked
from padis_gui.core.runs.method import Method
from padis_gui.core.settings.declarations import branch
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.settings.watch import SILENT, Watch
from padis_gui.core.solvers.prior_fit import PriorFit, prior_fit

# Of a preparation, on one core of a workstation: seconds for each entry of a system matrix and its transpose, for each
# entry in a product, with a stored matrix and without, and for what each pixel of a picture takes besides
_ENTRY_SECONDS, _PRODUCT_SECONDS, _FREE_SECONDS, _PIXEL_SECONDS = 3e-8, 3e-9, 5e-9, 1e-7
# Images of the size of the prepared one that are held on the way
_IMAGES_HELD = 8
# What takes no longer, and no more, is done again after every change without being asked for
_QUICK_SECONDS, _QUICK_BYTES = 3.0, 2**29


@dataclass(frozen=True, kw_only=True)
class Opened:
    """The image or measurement and the prior, with the files that they came from.

    Image and path are None where nothing is measured (generation). A volume may have a prior ``across`` slices besides,
    for high noise levels.
    """

    image: Image | None
    data_path: Path | None
    prior: PatchPrior
    prior_path: Path
    across: PatchPrior | None = None
    across_path: Path | None = None

    def same_as(self, other: Opened) -> bool:
        """Whether both are the very same image and prior."""
        return self.image is other.image and self.prior is other.prior

    @property
    def is_volume(self) -> bool:
        """Whether the image is the slices of a volume."""
        return self.image is not None and self.image.is_volume

    def prior_for(self, method: Method) -> PatchPrior:
        """The prior that a run calls: for a volume the one of its slices, with that across them.

        Raises :class:`SettingError` for a prior across slices and a single image, and for two that do not go together.
        """
        image = None if method.imageless else self.image
        if image is not None and image.is_volume:
            return stacked(self.prior, self.across, method.stack or StackSettings(), image.slice_spacing)
        if self.prior.slices > 1:
            raise SettingError(
                f"A prior of single slices was wanted for a single image, but {self.prior_path.name} is across "
                f"{self.prior.slices} slices; open a volume, or choose another prior."
            )
        return self.prior


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """What is to be measured of what is opened: the problem, before it is made."""

    opened: Opened
    method: Method

    def is_of(self, opened: Opened, method: Method) -> bool:
        """Whether that is the same measurement of the same image under the same prior."""
        return self.opened.same_as(opened) and self.method.measures_as(method)


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared(Measuring):
    """What a method measures of what is opened.

    ``seed`` drew the measurement's noise; ``image`` (C, rows, columns) is scaled and shaped as the prior wants it,
    ``baseline`` (C, rows, columns) the operator's own pseudo-inverse of the measurement, on [0, 1].
    """

    seed: int
    problem: Problem
    image: Image
    baseline: Tensor

    @cached_property
    def baseline_metrics(self) -> dict[str, float]:
        """What :func:`measure` says of the baseline, under names that end in "_baseline"."""
        return {f"{name}_baseline": value for name, value in measure(self.problem, self.baseline).items()}

    def serves(self, opened: Opened, method: Method, seed: int) -> bool:
        """Whether this is what preparing those would give; the seed counts only where there is simulated noise."""
        return self.is_of(opened, method) and (self.seed == seed or not method.problem.is_noisy)


def prepare(
    opened: Opened,
    method: Method,
    seed: int,
    operator: LinearOperator | None = None,
    *,
    watch: Watch = SILENT,
) -> Prepared:
    """Measure, or take what was measured, on the prior's device.

    ``operator`` is that of an earlier problem of the same physics and settings; one for images of another shape is not
    used. ``watch`` follows it: it is told the stages, from 0 to 1, and may stop it at any time.
    """
    image = None if method.imageless else opened.image
    physics = find_physics(method.physics)
    watch.tell(0.0, physics.measurement.lower())
    measured, baseline = _seconds(image, opened.prior, method.problem)
    share = measured / (measured + baseline)
    problem = build_problem(
        image, opened.prior, method.physics, method.problem, seed, operator,
        watch=watch.part(0, share, physics.measurement.lower()),
    )  # fmt: skip
    found = Prepared(
        opened=opened, method=method, seed=seed, problem=problem,
        image=prepare_image(image, opened.prior, method.problem),
        baseline=problem.operator.pinv(problem.measurement, watch.part(share, 1, physics.baseline)),
    )  # fmt: skip
    watch.tell(1.0, physics.baseline)
    return found


@dataclass(frozen=True, slots=True)
class PreparationCost:
    """What a preparation takes before it is made, roughly: memory in bytes, and seconds on one core."""

    memory: int
    seconds: float

    @property
    def quick(self) -> bool:
        """Whether it may be made after every change: it takes a few seconds at most, and half a GiB."""
        return self.seconds <= _QUICK_SECONDS and self.memory <= _QUICK_BYTES


def preparation_cost(opened: Opened, method: Method) -> PreparationCost:
    """The cost of :func:`prepare`, from shapes alone.

    A scan costs its system matrix, by the entries that it is expected to have, unless it was really measured and black
    is 0: then only its FBP is made, and the matrix at a run's first product. Settings that fit no image cost nothing:
    preparing them says at once what is wrong with them.
    """
    image = None if method.imageless else opened.image
    rows, columns = prepared_shape(image, opened.prior, method.problem)[1:]
    channels = opened.prior.channels if image is None or not image.is_volume else image.channels
    memory = 4 * _IMAGES_HELD * channels * rows * columns
    try:
        seconds = sum(_seconds(image, opened.prior, method.problem))
        if _measures(image, opened.prior):
            memory += BYTES_AN_ENTRY * method.problem.stored_entries((rows, columns))
    except SettingError:
        return PreparationCost(memory, 0.0)
    return PreparationCost(memory, seconds)


def preparing_share(opened: Opened, method: Method, *, norm: bool) -> float:
    """Which part of the time before a run's first step :func:`prepare` takes, in (0, 1]: the rest is the matrix of a real
    scan, and with ``norm`` that of the operator."""
    image = None if method.imageless else opened.image
    measured, baseline = _seconds(image, opened.prior, method.problem)
    problem, whole = method.problem, prepared_shape(image, opened.prior, method.problem)
    shape = whole[1:]
    rest = 0.0 if _measures(image, opened.prior) else problem.stored_entries(shape) * _ENTRY_SECONDS
    if norm:
        powers = POWERS if problem.stored_entries(shape) else POWERS_MATRIX_FREE
        rest += 2 * powers * _product_seconds(problem, whole)
    return (measured + baseline) / (measured + baseline + rest)


def _measures(image: Image | None, prior: PatchPrior) -> bool:
    """Whether preparing multiplies with A: it simulates a measurement, or black is not 0."""
    return image is not None and (image.measured is None or prior_window(image, prior)[0] != 0)


def expected_product_seconds(opened: Opened, method: Method) -> float:
    """About how long a product with the operator takes on one core, before it is made."""
    image = None if method.imageless else opened.image
    return _product_seconds(method.problem, prepared_shape(image, opened.prior, method.problem))


def _product_seconds(problem: PhysicsSettings, image_shape: tuple[int, int, int]) -> float:
    """About how long a product takes."""
    each = _PRODUCT_SECONDS if problem.stored_entries(image_shape[1:]) else _FREE_SECONDS
    return problem.entries_in_product(image_shape) * each


def _seconds(image: Image | None, prior: PatchPrior, problem: PhysicsSettings) -> tuple[float, float]:
    """About how long measuring and the baseline take."""
    shape = prepared_shape(image, prior, problem)
    pixels, measured = math.prod(shape), 0.0
    if _measures(image, prior):
        stored = problem.stored_entries(shape[1:])
        measured = stored * _ENTRY_SECONDS + _product_seconds(problem, shape)
    return measured + _PIXEL_SECONDS * pixels, problem.seconds_a_pixel * pixels


def prior_window(image: Image, prior: PatchPrior) -> tuple[float, float]:
    """Images in the prior's unit use the prior's window, unless another scaling was chosen; others keep their own."""
    chosen = image.reading.scale_low is not None or image.reading.scale_high is not None
    if image.unit and image.unit == prior.conventions.unit and not chosen:
        return prior.conventions.window
    return image.window


def misfit(image: Image, conventions: Conventions, channels: int) -> str:
    """Why a prior of such conventions does not know images like this one, as the end of a sentence; "" where it may.

    A scan is of a kind with images that have a unit, whatever its own is: its scaling is proposed from its FBP.
    """
    if (
        not image.is_volume
        and image.channels != channels
        and not (channels in (1, 3) and image.channels in (3, 4))
    ):
        return f"makes images of {channels} channels, and this one has {image.channels}"
    known = f"images in {conventions.unit}" if conventions.unit else "pictures without a unit"
    if image.is_scan:
        return "" if conventions.unit else f"knows {known}, and this is a scan"
    if conventions.unit == image.unit:
        return ""
    return f"knows {known}, and this image {f'is in {image.unit}' if image.unit else 'has no unit'}"


def prepared_shape(image: Image | None, prior: PatchPrior, problem: PhysicsSettings) -> tuple[int, int, int]:
    """(C, rows, columns) of what :func:`prepare_image` makes, without making it."""
    if image is None:
        size = prior.conventions.image_size
        rows, columns = (getattr(problem, name, None) or size for name in ("rows", "columns"))
        return prior.channels, rows, columns
    if image.is_volume:
        return image.channels, *(image.shape if image.measured is None else problem.image_shape(image.shape))
    coloured = prior.channels == 1 and problem.keeps_colours and image.is_coloured
    shape = image.shape if image.measured is None else problem.image_shape(image.shape)
    return 3 if coloured else prior.channels, *shape


def prepare_image(image: Image | None, prior: PatchPrior, problem: PhysicsSettings) -> Image:
    """The image with the prior's window, and the channels that the problem and the prior call for.

    Without an image (generation) a blank one of the wanted size. A colour picture under a grey prior keeps its
    colours where the problem says so: each channel is then an image of its own to the prior.
    """
    shape = prepared_shape(image, prior, problem)
    if image is None:
        return Image(
            pixels=np.zeros(shape, dtype=np.float32), unit=prior.conventions.unit,
            window=prior.conventions.window, name="generated",
        )  # fmt: skip
    prepared = image.with_channels(shape[0]).enlarged(shape[1:])
    return prepared.with_window(prior_window(image, prior))


def streams(seed: int) -> tuple[torch.Generator, torch.Generator]:
    """Independent streams for the measurement's noise and for the solver, both fixed by the seed."""
    measuring, solving = (torch.Generator().manual_seed(seed) for _ in range(2))
    return measuring, branch(solving)


def fit_of_prior(prepared: Prepared, watch: Watch = SILENT) -> PriorFit:
    """What the prior knows of what was prepared; see :func:`~padis_gui.core.solvers.prior_fit.prior_fit`."""
    rng = adapting_stream(prepared.seed)
    return prior_fit(prepared.problem, prepared.opened.prior, branch(rng), watch)


def adapting_stream(seed: int) -> torch.Generator:
    """The stream of an adaptation, independent of those that :func:`streams` gives."""
    rng = torch.Generator().manual_seed(seed)
    branch(rng)  # the solver's
    return branch(rng)


def build_problem(
    image: Image | None,
    prior: PatchPrior,
    physics: str,
    settings: PhysicsSettings,
    seed: int,
    made: LinearOperator | None = None,
    *,
    watch: Watch = SILENT,
) -> Problem:
    """The measurement of ``image``, on the prior's device: the real one where it has one, else a simulated one.

    ``made`` is the operator of an earlier problem with the same physics and settings; one for images of another shape
    is not used.
    """
    prepared = prepare_image(image, prior, settings)
    record = find_physics(physics)
    shape = (prepared.channels, *prepared.shape)
    watch.check()
    if made is None or made.image_shape != shape:
        one = (1, *prepared.shape) if prepared.is_volume else shape
        one = shape if record.of_volumes else one
        settings = settings.for_image(prepared)
        made = record.make(one, settings, prior.device, read_named_picture(settings), watch.part(0, 0.05))
        if prepared.is_volume and not record.of_volumes:
            made = Slicewise(made, prepared.channels)
    operator, rest = made, watch.part(0.05, 1)
    if record.imageless:
        return Problem(
            operator=operator, measurement=torch.zeros(operator.measurement_shape, device=prior.device)
        )
    if prepared.measured is not None:
        return as_measured(operator, prepared, settings, rest)
    truth = prepared.to_unit()
    if isinstance(operator, Slicewise):
        return simulate_slices(operator, truth, settings, seed, prepared.slices, rest)
    return simulate(operator, truth, settings, streams(seed)[0], rest)


def measure_further(
    problem: Problem, estimate: Tensor, partition: Partition | None = None
) -> dict[str, float]:
    """What else is said of an image: the seam ratio where it was tiled, and the NRMSE, ||estimate - x|| / ||x||, where the
    truth x is known."""
    found = {}
    if partition is not None:
        found["seam_ratio"] = seam_ratio(estimate, partition, problem.truth)
    if problem.truth is not None:
        found["nrmse"] = relative_misfit(estimate, problem.truth)
    return found


def measure(problem: Problem, estimate: Tensor) -> dict[str, float]:
    """Metrics of an estimate: the residual where something was measured, PSNR and SSIM where the truth is known."""
    found: dict[str, float] = {}
    if problem.measurement.numel():
        found["residual"] = residual(problem.operator, estimate, problem.measurement)
    if problem.truth is not None:
        found |= {"psnr": psnr(estimate, problem.truth), "ssim": ssim(estimate, problem.truth)}
    return found
