"""One run, fully described.

The window, the command line and the metadata of an exported TIFF all speak :class:`Recipe`. A recipe is
*resolved*: every default is written out, and the seed is the one that was used.
"""

import math
import platform
import secrets
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from padis_gui import __version__
from padis_gui.core import torch
from padis_gui.core.files.formats.folder import data_sha256
from padis_gui.core.images.image import Image, ReadingSettings
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.physics.settings import PhysicsSettings
from padis_gui.core.prior.slices import StackSettings
from padis_gui.core.prior.stack import StackPrior
from padis_gui.core.prior.tiling import TilingSettings, strategy_and_patch
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import Opened, Prepared, prepared_shape, prior_window
from padis_gui.core.settings.declarations import MAX_SEED, Settings, as_before, make, specs
from padis_gui.core.settings.errors import InputError, SettingError
from padis_gui.core.settings.files import pixels_sha256
from padis_gui.core.settings.machine import threads_of_runs
from padis_gui.core.settings.outputs import check_names
from padis_gui.core.settings.untrusted import MOST_THREADS
from padis_gui.core.solvers.adaptation import AdaptationSettings
from padis_gui.core.solvers.iterate import MethodSettings
from padis_gui.core.solvers.registry import SOLVERS, find_solver

# Slices of a volume
MOST_SLICES_IN_ALL = 100_000

# What torch's generators take; earlier versions drew larger ones than MAX_SEED
Seed = Annotated[int, Field(ge=0, lt=2**63)]


def _has_extent(window: tuple[float, float]) -> tuple[float, float]:
    low, high = window
    if not (math.isfinite(high - low) and low < high):
        raise ValueError("a lower and a higher finite number are wanted")
    return window


# Intensities that the prior sees as 0 and 1
Window = Annotated[tuple[float, float], AfterValidator(_has_extent)]


class DataReference(BaseModel):
    """Which image or measurement a run used, and how its file was read.

    ``file`` is empty where it was an array in memory; ``sha256`` is then that of its values.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)
    file: str
    page: Annotated[int, Field(ge=0)] = 0
    sha256: str = ""
    window: Window = (0.0, 1.0)
    unit: str = ""
    reading: ReadingSettings = Field(default_factory=ReadingSettings)


class PriorReference(BaseModel):
    """Which prior a run used."""

    model_config = ConfigDict(frozen=True, defer_build=True)
    file: str
    sha256: str = ""
    image_size: int | None = None
    positions: bool = True


class StackReference(BaseModel):
    """Which pages of a file were a volume, how they were denoised together, and the prior across slices, if there was."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    pages: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1, max_length=MOST_SLICES_IN_ALL)
    ]
    settings: StackSettings = Field(default_factory=StackSettings)
    across: PriorReference | None = None


class Change(BaseModel):
    """Live settings of the solver, or another tiling, that came after a step."""

    model_config = ConfigDict(frozen=True, defer_build=True)
    step: Annotated[int, Field(ge=0)]
    settings: dict[str, Any] | None = None
    tiling: TilingSettings | None = None

    def settings_of(self, solver: str) -> Settings | None:
        """The changed settings, checked again; None where only the tiling was changed."""
        return None if self.settings is None else make(find_solver(solver).settings_type, dict(self.settings))


class Recipe(BaseModel):
    """Everything that a run needs to be repeated; round-trips through JSON.

    ``changes`` are the live changes that were made on the way, ``stop_after`` the step at which the run was
    finished early; both are replayed. ``measurement_seed`` drew the measurement's noise where ``seed`` did not:
    several samples are of one measurement; a mean of samples has their seeds in ``sample_seeds``. ``files`` are
    the SHA-256 sums of the files that the problem names (a mask, a kernel). ``data`` is None where nothing was
    measured (generation). ``paired`` runs of one seed meet the same noise in solver and start, whatever their
    tilings: offsets and padding draw from streams of their own. With ``adaptation`` the prior was adapted to the
    measurement before; what that draws comes from a stream of its own, too. ``stack`` is there where the run was of a
    volume in one; the noise of its slices then follows from the seed and each slice's page.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

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
    seed: Seed
    measurement_seed: Seed | None = None
    sample_seeds: tuple[Seed, ...] = ()
    changes: tuple[Change, ...] = ()
    stop_after: Annotated[int, Field(ge=1)] | None = None
    paired: bool = False
    adaptation: AdaptationSettings | None = None
    stack: StackReference | None = None
    device: str
    precision: Literal["float32", "bfloat16"]
    threads: Annotated[int, Field(ge=1, le=MOST_THREADS)]
    versions: dict[str, str]

    @model_validator(mode="before")
    @classmethod
    def _of_before(cls, values: Any) -> Any:
        """What was written before some of its settings were declared, with what they would have been then."""
        if not isinstance(values, dict) or not isinstance(values.get("settings"), dict):
            return values
        solver = next((s for s in SOLVERS if s.name == values.get("solver")), None)
        if solver is None:
            return values
        return values | {"settings": as_before(solver.settings_type, values["settings"])}

    @model_serializer(mode="wrap")
    def _without_what_it_has_not(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A run of a single image is written, and known by its hash, as before there were volumes."""
        found: dict[str, Any] = plain(self)
        return found if self.stack is not None else {k: v for k, v in found.items() if k != "stack"}

    @property
    def solver_settings(self) -> Settings:
        """The settings of this recipe's solver, checked again."""
        return make(find_solver(self.solver).settings_type, self.settings)

    @property
    def problem_settings(self) -> PhysicsSettings:
        """The settings of this recipe's measurement, checked again."""
        return make(find_physics(self.physics).settings_type, self.problem)

    @property
    def method(self) -> Method:
        """What was chosen when the run began, checked again; raises :class:`SettingError`."""
        return Method(
            physics=self.physics, problem=self.problem_settings, tiling=self.tiling, solver=self.solver,
            settings=self.solver_settings, positions=self.prior.positions, adaptation=self.adaptation,
            stack=None if self.stack is None else self.stack.settings,
        )  # fmt: skip

    @property
    def last_step(self) -> tuple[int, int]:
        """The step whose estimate is the result, and how many there are in all; both 0 for a mean of samples."""
        settings = self.solver_settings
        if self.sample_seeds or not isinstance(settings, MethodSettings):
            return 0, 0
        return self.stop_after or settings.iterates, settings.iterates

    @property
    def measured_with(self) -> int:
        """The seed that drew the measurement's noise."""
        return self.seed if self.measurement_seed is None else self.measurement_seed

    def is_of_data(self, image: Image | None, path: Path | None) -> bool:
        """Whether it is of this image, read in this way from that file."""
        if self.data is None or image is None or path is None:
            return False
        here = str(path.resolve()), image.page, image.reading, image.slices
        pages = () if self.stack is None else self.stack.pages
        return here == (self.data.file, self.data.page, self.data.reading, pages)

    def is_of_prepared(self, prepared: Prepared) -> bool:
        """Whether it solves this very problem: same image, same measurement, same noise."""
        opened, method = prepared.opened, prepared.method
        if self.data is not None and not self.is_of_data(opened.image, opened.data_path):
            return False
        same = (self.physics, self.problem_settings) == (method.physics, method.problem)
        drawn = method.problem.is_noisy and prepared.image.measured is None
        return same and (not drawn or prepared.seed == self.measured_with)


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


def array_sha256(image: Image) -> str:
    """What an image without a file is known by: the hash of its pixels, or of what was measured."""
    return pixels_sha256(image.pixels if image.measured is None else image.measured.values)


def draft_recipe(
    opened: Opened,
    method: Method,
    seed: int,
    *,
    measurement_seed: int | None = None,
    changes: tuple[Change, ...] = (),
    stop_after: int | None = None,
    paired: bool = False,
    threads: int | None = None,
) -> Recipe:
    """Resolve and describe a run, but for the hashes of its files: quick enough for the UI thread.

    ``threads`` of torch are those that runs have here, where none are given. Raises :class:`SettingError` for choices
    that contradict each other, :class:`InputError` where an image is wanted and none is open, or where a file's name is
    no text.
    """
    solver, physics, prior = find_solver(method.solver), find_physics(method.physics), opened.prior
    solver.levels(method.settings)
    image = None if physics.imageless else opened.image
    data = None
    check_names(opened.data_path, opened.prior_path)
    if not physics.imageless:
        if image is None:
            raise InputError("An image is wanted before a run, but none was given; open one.")
        path = opened.data_path
        data = DataReference(
            file="" if path is None else str(Path(path).resolve()), page=image.page,
            sha256=array_sha256(image) if path is None else "", window=prior_window(image, prior),
            unit=image.unit, reading=image.reading,
        )  # fmt: skip
    if image is not None and image.is_volume and method.adapts:
        raise SettingError(
            "A volume in one run was wanted with an adapted prior, but a prior is adapted to one slice; leave one of them "
            "out."
        )
    opened.prior_for(method)  # says what does not go together
    _, rows, columns = prepared_shape(image, prior, method.problem)
    strategy, patch = strategy_and_patch(method.tiling, (rows, columns), prior)
    named = {
        spec.name: str(Path(file).resolve())
        for spec in specs(type(method.problem))
        if spec.kind == "file"
        and spec.applies(method.problem)
        and (file := getattr(method.problem, spec.name))
    }
    check_names(*map(Path, named.values()))
    return Recipe(
        data=data,
        physics=physics.name,
        problem=method.problem.model_dump(mode="json") | named,
        files=dict.fromkeys(named.values(), ""),
        prior=PriorReference(
            file=str(Path(opened.prior_path).resolve()), image_size=prior.conventions.image_size,
            positions=method.positions and prior.positions,
        ),
        tiling=method.tiling.model_copy(update={"strategy": strategy, "patch": patch}),
        solver=solver.name,
        settings=method.settings.model_dump(mode="json"),
        seed=check_seed(seed),
        measurement_seed=measurement_seed,
        changes=changes,
        stop_after=stop_after,
        paired=paired,
        adaptation=method.adaptation if method.adapts else None,
        stack=_stack_of(opened, method) if image is not None and image.is_volume else None,
        device=str(prior.device),
        precision=prior.precision,
        threads=threads or threads_of_runs(),
        versions=versions(),
    )  # fmt: skip


def _stack_of(opened: Opened, method: Method) -> StackReference:
    """What a recipe says of a volume, with the distance of its slices and sigma_v written out."""
    assert opened.image is not None, "a volume is opened"
    settings, across = method.stack or StackSettings(), opened.across
    prior = opened.prior_for(method)
    assert isinstance(prior, StackPrior), "as of every volume"
    values = {"slice_spacing": prior.spacing} | ({} if across is None else {"across_above": prior.above})
    check_names(opened.across_path)
    return StackReference(
        pages=opened.image.slices, settings=settings.model_copy(update=values),
        across=None if across is None or opened.across_path is None else PriorReference(
            file=str(Path(opened.across_path).resolve()), image_size=across.conventions.image_size,
            positions=method.positions and across.positions,
        ),
    )  # fmt: skip


def sealed(recipe: Recipe) -> Recipe:
    """The recipe with the hashes that it still lacks of all files that it depends on.

    Reads them: not for the UI thread. Raises :class:`InputError` where one cannot be read.
    """
    data = recipe.data
    if data is not None and not data.sha256:
        data = data.model_copy(update={"sha256": _hashed(Path(data.file), linked=data.reading.follows_links)})
    prior = recipe.prior
    if not prior.sha256:
        prior = prior.model_copy(update={"sha256": _hashed(Path(prior.file))})
    files = {file: sha256 or _hashed(Path(file)) for file, sha256 in recipe.files.items()}
    stack = recipe.stack
    if stack is not None and stack.across is not None and not stack.across.sha256:
        across = stack.across.model_copy(update={"sha256": _hashed(Path(stack.across.file))})
        stack = stack.model_copy(update={"across": across})
    return recipe.model_copy(update={"data": data, "prior": prior, "files": files, "stack": stack})


def make_recipe(opened: Opened, method: Method, seed: int, **more: Any) -> Recipe:
    """A draft, sealed: the recipe of a run that is about to begin. ``more`` as for :func:`draft_recipe`."""
    return sealed(draft_recipe(opened, method, seed, **more))


def _hashed(path: Path, *, linked: bool = False) -> str:
    try:
        return data_sha256(path, linked=linked)
    except OSError as error:
        raise InputError(
            f"The file {path} was wanted for this run, but it cannot be read ({error.strerror}); choose another "
            "one or put it back."
        ) from None
