"""One run, fully described.

The window, the command line and the metadata of an exported TIFF all speak :class:`Recipe`. A recipe is
*resolved*: every default is written out, and the seed is the one that was used.
"""

import platform
import secrets
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from padis_gui import __version__
from padis_gui.core.data.folder import data_sha256
from padis_gui.core.data.image import Image
from padis_gui.core.data.read import read_named_picture
from padis_gui.core.data.reading import ReadingSettings
from padis_gui.core.errors import InputError, SettingError
from padis_gui.core.metrics import psnr, residual, ssim
from padis_gui.core.operators import find_physics
from padis_gui.core.operators.base import LinearOperator
from padis_gui.core.operators.settings import PhysicsSettings
from padis_gui.core.prior import PatchPrior
from padis_gui.core.problem import Problem, as_measured, simulate
from padis_gui.core.randomness import MAX_SEED, branch
from padis_gui.core.resources import PRESETS
from padis_gui.core.settings import Settings, make, specs
from padis_gui.core.solvers import find_solver
from padis_gui.core.solvers.iterate import Iterate, Iterates, watched
from padis_gui.core.tiling import (
    BranchingTiling,
    LiveTiling,
    Tiling,
    TilingSettings,
    make_tiling,
    strategy_and_patch,
)


class DataReference(BaseModel):
    """Which image or measurement a run used, and how its file was read."""

    model_config = ConfigDict(frozen=True)
    file: str
    page: int = 0
    sha256: str = ""
    window: tuple[float, float] = (0.0, 1.0)
    unit: str = ""
    reading: ReadingSettings = ReadingSettings()


class PriorReference(BaseModel):
    """Which prior a run used."""

    model_config = ConfigDict(frozen=True)
    file: str
    sha256: str = ""
    image_size: int | None = None
    positions: bool = True


class Change(BaseModel):
    """Live settings of the solver, or another tiling, that came after a step."""

    model_config = ConfigDict(frozen=True)
    step: int
    settings: dict[str, Any] | None = None
    tiling: TilingSettings | None = None


@dataclass(frozen=True, slots=True)
class Steering:
    """What may be sent into a running solver between two iterates."""

    settings: Settings | None = None
    tiling: TilingSettings | None = None


Run = Generator[Iterate, Steering | None, None]


class Recipe(BaseModel):
    """Everything that a run needs to be repeated; round-trips through JSON.

    ``changes`` are the live changes that were made on the way, ``stop_after`` the step at which the run was
    finished early; both are replayed. ``measurement_seed`` drew the measurement's noise where ``seed`` did not:
    several samples are of one measurement; a mean of samples has their seeds in ``sample_seeds``. ``files`` are
    the SHA-256 sums of the files that the problem names (a mask, a kernel). ``data`` is None where nothing was
    measured (generation). ``paired`` runs of one seed meet the same noise in solver and start, whatever their
    tilings: offsets and padding draw from streams of their own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["padis-gui recipe"] = "padis-gui recipe"
    version: int = 1
    data: DataReference | None
    physics: str = "ct-parallel"
    problem: dict[str, Any]
    files: dict[str, str] = {}
    prior: PriorReference
    tiling: TilingSettings
    solver: str
    settings: dict[str, Any]
    seed: int
    measurement_seed: int | None = None
    sample_seeds: tuple[int, ...] = ()
    changes: tuple[Change, ...] = ()
    stop_after: int | None = None
    paired: bool = False
    device: str
    precision: Literal["float32", "bfloat16"]
    threads: int
    versions: dict[str, str]

    @property
    def solver_settings(self) -> Settings:
        """The settings of this recipe's solver, checked again."""
        return make(find_solver(self.solver).settings_type, self.settings)

    @property
    def problem_settings(self) -> PhysicsSettings:
        """The settings of this recipe's measurement, checked again."""
        return make(find_physics(self.physics).settings_type, self.problem)


find_preset = PRESETS.find


def new_seed() -> int:
    """A seed drawn from the operating system, short enough to read and type."""
    return secrets.randbelow(10**9)


def check_seed(seed: int) -> int:
    """The seed itself, if it is one; raises :class:`SettingError` otherwise."""
    if not 0 <= seed <= MAX_SEED:
        raise SettingError(
            f"The seed must be 0 to {MAX_SEED}, but {seed} was given; use a number in that range."
        )
    return seed


def versions() -> dict[str, str]:
    """The programs and the machine that a result may depend on."""
    return {
        "padis_gui": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def make_recipe(
    *,
    image: Image | None,
    data_path: Path | None,
    prior: PatchPrior,
    prior_path: Path,
    physics: str,
    problem: PhysicsSettings,
    tiling: TilingSettings,
    solver: str,
    settings: Settings,
    seed: int,
    paired: bool = False,
) -> Recipe:
    """Resolve and describe a run on an open image and prior. Hashes all files that it depends on."""
    find_solver(solver).levels(settings)
    data = None
    if not find_physics(physics).imageless:
        if image is None or data_path is None:
            raise InputError("An image is wanted before a run, but none was given; open one.")
        data = DataReference(
            file=str(Path(data_path).resolve()), page=image.page, sha256=_hashed(data_path),
            window=prior_window(image, prior), unit=image.unit, reading=image.reading,
        )  # fmt: skip
    strategy, patch = strategy_and_patch(tiling, prepare_image(image, prior, problem).shape, prior)
    named = {
        spec.name: str(Path(file).resolve())
        for spec in specs(type(problem))
        if spec.kind == "file" and spec.applies(problem) and (file := getattr(problem, spec.name))
    }
    return Recipe(
        data=data,
        physics=find_physics(physics).name,
        problem=problem.model_dump(mode="json") | named,
        files={file: _hashed(Path(file)) for file in named.values()},
        prior=PriorReference(file=str(Path(prior_path).resolve()), sha256=_hashed(prior_path),
            image_size=prior.conventions.image_size, positions=prior.positions,
        ),
        tiling=tiling.model_copy(update={"strategy": strategy, "patch": patch}),
        solver=find_solver(solver).name,
        settings=settings.model_dump(mode="json"),
        seed=check_seed(seed),
        paired=paired,
        device=str(prior.device),
        precision=prior.precision,
        threads=torch.get_num_threads(),
        versions=versions(),
    )  # fmt: skip


def _hashed(path: Path) -> str:
    try:
        return data_sha256(path)
    except OSError as error:
        raise InputError(
            f"The file {path} was wanted for this run, but it cannot be read ({error.strerror}); choose another "
            "one or put it back."
        ) from None


def prior_window(image: Image, prior: PatchPrior) -> tuple[float, float]:
    """Images in the prior's unit use the prior's window, unless another scaling was chosen; others keep their own."""
    chosen = image.reading.scale_low is not None or image.reading.scale_high is not None
    if image.unit and image.unit == prior.conventions.unit and not chosen:
        return prior.conventions.window
    return image.window


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


def _generators(seed: int) -> tuple[torch.Generator, torch.Generator]:
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
    return simulate(operator, prepared.to_unit(), settings, _generators(seed)[0])


def solve(recipe: Recipe, problem: Problem, prior: PatchPrior) -> Run:
    """The iterates of this recipe's solver; ``send`` a :class:`Steering` to change live settings or the tiling."""
    solver, settings = find_solver(recipe.solver), recipe.solver_settings
    prior = replace(prior, positions=recipe.prior.positions, branching=recipe.paired)
    shape = problem.operator.image_shape

    def tiling_of(chosen: TilingSettings) -> Tiling:
        strategy, patch = strategy_and_patch(chosen, (shape[1], shape[2]), prior)
        made = make_tiling(strategy, (shape[1], shape[2]), patch, prior.conventions.frame, chosen)
        return BranchingTiling(made) if recipe.paired else made

    tiling = LiveTiling(tiling_of(recipe.tiling))
    rng = _generators(recipe.seed)[1]
    iterates = solver.solve(problem, prior, tiling, solver.levels(settings), settings, rng=rng)
    return _steered(watched(iterates, solver.lower), recipe, tiling, tiling_of)


def _steered(
    iterates: Iterates[Any],
    recipe: Recipe,
    tiling: LiveTiling,
    tiling_of: Callable[[TilingSettings], Tiling],
) -> Run:
    """Hand what is sent to the solver and the tiling; replay the recorded changes and the early stop."""
    settings_type = find_solver(recipe.solver).settings_type
    recorded = {change.step: change for change in recipe.changes}
    sent: Settings | None = None
    try:
        while True:
            try:
                iterate = iterates.send(sent)
            except StopIteration:
                return
            steering = yield iterate
            if steering is None and (change := recorded.get(iterate.step)) is not None:
                values = change.settings
                steering = Steering(None if values is None else make(settings_type, values), change.tiling)
            sent = None if steering is None else steering.settings
            if steering is not None and steering.tiling is not None:
                tiling.current = tiling_of(steering.tiling)
            if iterate.step == recipe.stop_after:
                return
    finally:
        iterates.close()


def measure(problem: Problem, estimate: Tensor) -> dict[str, float]:
    """Metrics of an estimate: the residual where something was measured, PSNR and SSIM where the truth is known."""
    found: dict[str, float] = {}
    if problem.measurement.numel():
        found["residual"] = residual(problem.operator, estimate, problem.measurement)
    if problem.truth is not None:
        found |= {"psnr": psnr(estimate, problem.truth), "ssim": ssim(estimate, problem.truth)}
    return found
