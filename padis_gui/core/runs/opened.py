"""What a run works on, in memory: image and prior as they were opened, and the problem made of them."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from padis_gui.core.files.read import read_named_picture
from padis_gui.core.images.image import Image
from padis_gui.core.images.metrics import psnr, residual, ssim
from padis_gui.core.physics.operator import LinearOperator
from padis_gui.core.physics.problem import Problem, as_measured, simulate
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.physics.settings import PhysicsSettings
from padis_gui.core.prior.prior import Conventions, PatchPrior
from padis_gui.core.runs.method import Method
from padis_gui.core.settings.declarations import branch


@dataclass(frozen=True, kw_only=True)
class Opened:
    """The image or measurement and the prior, with the files that they came from.

    Image and path are None where nothing is measured (generation).
    """

    image: Image | None
    data_path: Path | None
    prior: PatchPrior
    prior_path: Path

    def same_as(self, other: "Opened") -> bool:
        """Whether both are the very same image and prior."""
        return self.image is other.image and self.prior is other.prior


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """What a method measures of what is opened.

    ``seed`` drew the measurement's noise; ``image`` (C, rows, columns) is scaled and shaped as the prior wants it,
    ``baseline`` (C, rows, columns) the operator's own pseudo-inverse of the measurement, on [0, 1].
    """

    opened: Opened
    method: Method
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
        same = self.opened.same_as(opened) and self.method.measures_as(method)
        return same and (self.seed == seed or not method.problem.is_noisy)


def prepare(opened: Opened, method: Method, seed: int, operator: LinearOperator | None = None) -> Prepared:
    """Measure, or take what was measured, on the prior's device.

    ``operator`` is that of an earlier problem of the same physics and settings; one for images of another shape is not
    used.
    """
    image = None if method.imageless else opened.image
    problem = build_problem(image, opened.prior, method.physics, method.problem, seed, operator)
    return Prepared(
        opened=opened, method=method, seed=seed, problem=problem,
        image=prepare_image(image, opened.prior, method.problem),
        baseline=problem.operator.pinv(problem.measurement),
    )  # fmt: skip


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
    if image.channels != channels and not (channels in (1, 3) and image.channels in (3, 4)):
        return f"makes images of {channels} channels, and this one has {image.channels}"
    known = f"images in {conventions.unit}" if conventions.unit else "pictures without a unit"
    if image.measured is not None and image.measured.physics:
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


def build_problem(
    image: Image | None,
    prior: PatchPrior,
    physics: str,
    settings: PhysicsSettings,
    seed: int,
    made: LinearOperator | None = None,
) -> Problem:
    """The measurement of ``image``, on the prior's device: the real one where it has one, else a simulated one.

    ``made`` is the operator of an earlier problem with the same physics and settings; one for images of another shape
    is not used.
    """
    prepared = prepare_image(image, prior, settings)
    record = find_physics(physics)
    shape = (prepared.channels, *prepared.shape)
    if made is None or made.image_shape != shape:
        made = record.make(shape, settings, prior.device, read_named_picture(settings))
    operator = made
    if record.imageless:
        return Problem(
            operator=operator, measurement=torch.zeros(operator.measurement_shape, device=prior.device)
        )
    if prepared.measured is not None:
        return as_measured(operator, prepared, settings)
    return simulate(operator, prepared.to_unit(), settings, streams(seed)[0])


def measure(problem: Problem, estimate: Tensor) -> dict[str, float]:
    """Metrics of an estimate: the residual where something was measured, PSNR and SSIM where the truth is known."""
    found: dict[str, float] = {}
    if problem.measurement.numel():
        found["residual"] = residual(problem.operator, estimate, problem.measurement)
    if problem.truth is not None:
        found |= {"psnr": psnr(estimate, problem.truth), "ssim": ssim(estimate, problem.truth)}
    return found
