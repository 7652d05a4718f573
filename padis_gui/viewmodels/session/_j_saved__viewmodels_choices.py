"""What is chosen, as plain values: saved with the session, brought back from it or from a recipe."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from padis_gui.core.images._j_image__core_data_reading import ReadingSettings
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.physics.settings import PhysicsSettings
from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.runs.recipe import Recipe, check_seed
from padis_gui.core.settings._j_declarations__core_settings import Settings, make
from padis_gui.core.settings.errors import PadisError
from padis_gui.core.solvers.registry import find_solver


class SavedChoices(BaseModel):
    """What is open and chosen, as a session keeps it. Unknown names in a file of another version are passed over."""

    model_config = ConfigDict(frozen=True)

    data: str | None = None
    page: int = 0
    reading: dict[str, Any] = Field(default_factory=dict)
    prior: str | None = None
    training_image_size: int | None = None
    physics: str
    problems: dict[str, dict[str, Any]] = Field(default_factory=dict)
    tiling: dict[str, Any] = Field(default_factory=dict)
    solver: str
    solvers: dict[str, dict[str, Any]] = Field(default_factory=dict)
    seed: int | None = None
    preset: str | None = None


def changes(settings: Settings, default: Settings) -> dict[str, Any]:
    """The values that are not the defaults."""
    before = default.model_dump(mode="json")
    return {name: value for name, value in settings.model_dump(mode="json").items() if value != before[name]}


def choices_from(recipe: Recipe) -> SavedChoices:
    """What a recipe was made of, at its start: live changes came later."""
    is_snapshot = Path(recipe.prior.file).suffix == ".pkl"
    return SavedChoices(
        data=None if recipe.data is None else recipe.data.file,
        page=0 if recipe.data is None else recipe.data.page,
        reading={} if recipe.data is None else changes(recipe.data.reading, ReadingSettings()),
        prior=recipe.prior.file,
        training_image_size=recipe.prior.image_size if is_snapshot else None,
        physics=recipe.physics, problems={recipe.physics: recipe.problem},
        tiling=recipe.tiling.model_dump(mode="json"), solver=recipe.solver,
        solvers={recipe.solver: recipe.settings}, seed=recipe.seed,
    )  # fmt: skip


@dataclass
class Usable:
    """The settings of choices that this version knows and allows; ``complaints`` are about the rest, a sentence each."""

    reading: ReadingSettings = field(default_factory=ReadingSettings)
    problems: dict[str, PhysicsSettings] = field(default_factory=dict)
    tiling: TilingSettings = field(default_factory=TilingSettings)
    solvers: dict[str, Settings] = field(default_factory=dict)
    seed: int | None = None
    complaints: list[str] = field(default_factory=list)


def usable(choices: SavedChoices) -> Usable:
    """Check all settings; a bad one costs its own group only."""
    found = Usable()
    for name, values in choices.problems.items():
        with _complaining(found):
            found.problems[name] = make(find_physics(name).settings_type, values)
    for name, values in choices.solvers.items():
        with _complaining(found):
            found.solvers[name] = make(find_solver(name).settings_type, values)
    with _complaining(found):
        found.reading = make(ReadingSettings, choices.reading)
    with _complaining(found):
        found.tiling = make(TilingSettings, choices.tiling)
    with _complaining(found):
        found.seed = None if choices.seed is None else check_seed(choices.seed)
    return found


@contextmanager
def _complaining(found: Usable) -> Iterator[None]:
    try:
        yield
    except PadisError as error:
        found.complaints.append(str(error))
