"""One run, fully described.

The window, the command line and the metadata of an exported TIFF all speak :class:`Recipe`. A recipe is
*resolved*: every default is written out, and the seed is the one that was used.
"""

import platform
import secrets
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from padis_gui import __version__
from padis_gui.core.checkpoint import file_sha256
from padis_gui.core.data.image import Image
from padis_gui.core.errors import SettingError
from padis_gui.core.metrics import psnr, residual, ssim
from padis_gui.core.operators.ct import ParallelBeamCT, ParallelBeamSettings
from padis_gui.core.prior import PatchPrior
from padis_gui.core.problem import Problem, simulate
from padis_gui.core.resources import PRESETS, Preset
from padis_gui.core.schedule import noise_levels
from padis_gui.core.settings import make, setting
from padis_gui.core.solvers import find_solver
from padis_gui.core.solvers.iterate import Iterates, SolverSettings, watched
from padis_gui.core.tiling import TilingSettings, make_tiling

MAX_SEED = 2**63 - 1


class ProblemSettings(ParallelBeamSettings):
    """The geometry and the noise of a simulated measurement."""

    noise: float = setting(
        0.0, ge=0, le=1, label="Noise", symbol="σ_y",
        help="Gaussian noise on the sinogram, relative to its root mean square (0.01 = 1 %)",
    )  # fmt: skip


class DataReference(BaseModel):
    """Which image a run used."""

    model_config = ConfigDict(frozen=True)
    file: str
    page: int = 0
    sha256: str = ""
    window: tuple[float, float] = (0.0, 1.0)
    unit: str = ""


class PriorReference(BaseModel):
    """Which prior a run used."""

    model_config = ConfigDict(frozen=True)
    file: str
    sha256: str = ""


class Change(BaseModel):
    """A live setting that was changed after a step."""

    model_config = ConfigDict(frozen=True)
    step: int
    settings: dict[str, Any]


class Recipe(BaseModel):
    """Everything that a run needs to be repeated; round-trips through JSON.

    ``changes`` are the live changes that were made on the way, ``stop_after`` the step at which the run was
    finished early; both are replayed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["padis-gui recipe"] = "padis-gui recipe"
    version: int = 1
    data: DataReference
    problem: ProblemSettings
    prior: PriorReference
    tiling: TilingSettings
    solver: str
    settings: dict[str, Any]
    seed: int
    changes: tuple[Change, ...] = ()
    stop_after: int | None = None
    device: str
    precision: Literal["float32", "bfloat16"]
    threads: int
    versions: dict[str, str]

    @property
    def solver_settings(self) -> SolverSettings:
        """The settings of this recipe's solver, checked again."""
        return make(find_solver(self.solver).settings_type, self.settings)


def find_preset(name: str) -> Preset:
    """The preset of that name; raises :class:`SettingError` for others."""
    for preset in PRESETS:
        if preset.name == name:
            return preset
    raise SettingError(
        f"The preset must be one of {', '.join(p.name for p in PRESETS)}, but {name!r} was given; pick one "
        "of them."
    )


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


def make_recipe(
    *,
    image: Image,
    data_path: Path,
    prior: PatchPrior,
    prior_path: Path,
    problem: ProblemSettings,
    tiling: TilingSettings,
    solver: str,
    settings: SolverSettings,
    seed: int,
) -> Recipe:
    """Resolve and describe a run on an open image and prior. Hashes both files."""
    patch = prior.resolve_patch(tiling.patch)
    noise_levels(settings.schedule, settings.steps, settings.sigma_max, settings.sigma_min)
    versions = {
        "padis_gui": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    return Recipe(
        data=DataReference(
            file=str(Path(data_path).resolve()), page=image.page, sha256=file_sha256(data_path),
            window=prior_window(image, prior), unit=image.unit,
        ),
        problem=problem,
        prior=PriorReference(file=str(Path(prior_path).resolve()), sha256=file_sha256(prior_path)),
        tiling=tiling.model_copy(update={"patch": patch}),
        solver=find_solver(solver).name,
        settings=settings.model_dump(mode="json"),
        seed=check_seed(seed),
        device=str(prior.device),
        precision=prior.precision,
        threads=torch.get_num_threads(),
        versions=versions,
    )  # fmt: skip


def prior_window(image: Image, prior: PatchPrior) -> tuple[float, float]:
    """Images in the prior's unit use the prior's window; others keep their own."""
    if image.unit and image.unit == prior.conventions.unit:
        return prior.conventions.window
    return image.window


def prepare_image(image: Image, prior: PatchPrior) -> Image:
    """The image with the prior's channels and window."""
    return image.with_channels(prior.channels).with_window(prior_window(image, prior))


def _generators(seed: int) -> tuple[torch.Generator, torch.Generator]:
    """Independent streams for the measurement's noise and for the solver, both fixed by the seed."""
    measuring, solving = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed)
    solving.manual_seed(int(torch.randint(0, MAX_SEED, (), generator=solving)))
    return measuring, solving


def build_problem(image: Image, prior: PatchPrior, settings: ProblemSettings, seed: int) -> Problem:
    """Simulate the measurement of ``image`` on the prior's device."""
    prepared = prepare_image(image, prior)
    operator = ParallelBeamCT.evenly((prepared.channels, *prepared.shape), settings, prior.device)
    return simulate(operator, prepared.to_unit(), settings.noise, _generators(seed)[0])


def solve(recipe: Recipe, problem: Problem, prior: PatchPrior) -> Iterates[Any]:
    """The iterates of this recipe's solver; ``send`` new settings to change live ones."""
    solver, settings = find_solver(recipe.solver), recipe.solver_settings
    patch = prior.resolve_patch(recipe.tiling.patch)
    shape = problem.operator.image_shape
    frame = prior.conventions.frame
    tiling = make_tiling(recipe.tiling.strategy, (shape[1], shape[2]), patch, frame, recipe.tiling)
    levels = noise_levels(settings.schedule, settings.steps, settings.sigma_max, settings.sigma_min)
    rng = _generators(recipe.seed)[1]
    return _replayed(
        watched(solver.solve(problem, prior, tiling, levels, settings, rng=rng), solver.lower), recipe
    )


def _replayed(iterates: Iterates[Any], recipe: Recipe) -> Iterates[Any]:
    """Make the recorded live changes at their steps and stop where the run was stopped."""
    settings_type = find_solver(recipe.solver).settings_type
    recorded = {change.step: make(settings_type, change.settings) for change in recipe.changes}
    sent: SolverSettings | None = None
    try:
        while True:
            try:
                iterate = iterates.send(sent)
            except StopIteration:
                return
            sent = (yield iterate) or recorded.get(iterate.step)
            if iterate.step == recipe.stop_after:
                return
    finally:
        iterates.close()


def measure(problem: Problem, estimate: Tensor) -> dict[str, float]:
    """Metrics of an estimate: the residual, and PSNR and SSIM where the truth is known."""
    found = {"residual": residual(problem.operator, estimate, problem.measurement)}
    if problem.truth is not None:
        found |= {"psnr": psnr(estimate, problem.truth), "ssim": ssim(estimate, problem.truth)}
    return found
