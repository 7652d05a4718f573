"""What the program ships: priors with cards that say for whom each is and what it was trained on, example images, and
presets that name them; and the user's own priors."""

import logging
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from padis_gui.core.settings.declarations import Registry, Settings, make
from padis_gui.core.settings.errors import InputError, SettingError
from padis_gui.core.settings.files import failures_said, user_files, write_atomically
from padis_gui.core.settings.untrusted import plain, read_json

if TYPE_CHECKING:
    from padis_gui.core.physics.settings import PhysicsSettings


log = logging.getLogger(__name__)


@cache
def bundled_folder() -> Path:
    """The bundled files' folder: a wheel holds it inside the package, a checkout (also an editable install's) beside it.

    They are read by libraries that want real files, so the package is one on disk, not in an archive.
    """
    package = Path(str(files("padis_gui"))).resolve()
    inside = package / "_resources"
    return inside if inside.is_dir() else package.parent / "resources"


def is_bundled(path: Path | None) -> bool:
    """Whether a file is one of those that the program ships."""
    return path is not None and Path(path).resolve().is_relative_to(bundled_folder())


def bundled_files(suffix: str) -> tuple[Path, ...]:
    """All bundled files with that ending, such as ".safetensors"; none for an empty one."""
    return tuple(sorted(bundled_folder().rglob(f"*{suffix}"))) if suffix else ()


def resource(name: str) -> Path:
    """Path of a bundled file, such as ``priors/ct-small.safetensors``; raises :class:`InputError` where it is missing."""
    path = bundled_folder() / name
    if not path.exists():
        raise InputError(f"The bundled file {name} was wanted, but it is missing; install padis-gui again.")
    return path


DEFAULT_PRIOR = "priors/ct-small.safetensors"
_MEDIUM_PRIOR = "priors/ct-medium.safetensors"
LARGER_PRIORS = {DEFAULT_PRIOR: _MEDIUM_PRIOR}
PHOTO_PRIOR = "priors/photos-small.safetensors"
_COLOUR_PRIOR = "priors/photos-colour.safetensors"
GENERAL_PRIOR = "priors/general.safetensors"
VOLUME_PRIOR = "priors/ct-volume.safetensors"  # across slices, beside the default prior
DEMO_IMAGE = "images/ct_slices.tif"
DEMO_PHOTO = "images/photo.png"


@dataclass(frozen=True, slots=True)
class Preset:
    """A whole problem and solver under one name; what is not named keeps its default.

    What it sets in a solver is tuned to its own problem. Of another one, with fewer views perhaps, only the solver's name
    is taken, and what the preset nearest to that problem sets in it, see :meth:`tuned_for`.

    ``others`` are the settings that other solvers want for this problem; ``prior`` and ``demo`` are the bundled prior
    and image that belong to it. ``holds_on_scans`` where real scans were measured to gain from the settings, too. One of
    the user's ``own`` is what they saved, whatever the problem is then.
    """

    name: str
    label: str
    summary: str
    physics: str
    problem: dict[str, object]
    solver: str
    settings: dict[str, object]
    prior: str = DEFAULT_PRIOR
    demo: str = DEMO_IMAGE
    others: dict[str, dict[str, object]] = field(default_factory=dict)
    holds_on_scans: bool = False
    own: bool = False

    def settings_for(self, solver: str) -> dict[str, object]:
        """What this solver's settings are here, where they differ from its defaults."""
        return self.settings if solver == self.solver else self.others.get(solver, {})

    def tuned_for(self, physics: str, problem: "PhysicsSettings", *, scan: bool = False) -> "Preset":
        """The same, with what is set in solvers for a ``problem`` of a ``physics``: that of the preset nearest to it.

        Nothing is set where no preset is of that physics, nor for a ``scan`` where what is tuned on simulations was
        measured not to hold on scans.
        """
        if self.own:
            return self
        nearest = nearest_preset(physics, problem)
        if nearest is None or (scan and not nearest.holds_on_scans):
            return replace(self, settings={}, others={})
        others = {nearest.solver: nearest.settings} | nearest.others
        return replace(self, settings=others.pop(self.solver, {}), others=others)

    def problem_settings(
        self, physics: str = "", changes: Mapping[str, Any] | None = None
    ) -> "PhysicsSettings":
        """The settings of its own problem, or the defaults of another ``physics``, and what ``changes`` name.

        Raises :class:`~padis_gui.core.settings.errors.SettingError` for values that do not fit.
        """
        from padis_gui.core.physics.registry import find_physics

        record = find_physics(physics or self.physics)
        values = self.problem if record.name == self.physics else {}
        return make(record.settings_type, {**values, **(changes or {})})

    def solver_settings(self, solver: str = "", changes: Mapping[str, Any] | None = None) -> Settings:
        """The settings of its own solver or of another one for its problem, and what ``changes`` name.

        Raises :class:`~padis_gui.core.settings.errors.SettingError` for values that do not fit.
        """
        from padis_gui.core.solvers.registry import find_solver

        record = find_solver(solver or self.solver)
        return make(record.settings_type, {**self.settings_for(record.name), **(changes or {})})


PRESETS = Registry("preset", (
    Preset(
        "ct-60", "CT, 60 views", "Parallel beam, 60 views over half a turn",
        "ct-parallel", {"views": 60}, "fast", {"sigma_max": 0.3, "zeta": 1.2},
    ),
    Preset(
        "ct-20", "CT, 20 views", "Parallel beam, 20 views over half a turn",
        "ct-parallel", {"views": 20}, "fast",
        {"steps": 13, "sigma_max": 0.3, "sigma_min": 0.012, "zeta": 1.2, "relaxation": 1.9},
    ),
    Preset(
        "ct-8", "CT, 8 views", "Parallel beam, 8 views over half a turn",
        "ct-parallel", {"views": 8}, "fast", {"steps": 26, "sigma_max": 2.0, "sigma_min": 0.03, "zeta": 1.1},
        others={
            "quality": {"sigma_max": 2.0, "sigma_min": 0.03, "zeta": 1.05},
            "pigdm": {"sigma_max": 2.0},
            "diffpir": {"sigma_max": 10.0, "sigma_min": 0.005, "noise_floor": 1e-3},
        },
    ),
    Preset(
        "ct-limited", "CT, limited angle", "Parallel beam, 60 views over 120°",
        "ct-parallel", {"views": 60, "arc": 120.0}, "fast", {"steps": 28, "sigma_max": 2.0, "zeta": 1.15},
        others={"quality": {"sigma_max": 2.0, "zeta": 1.05}, "pigdm": {"sigma_max": 2.0}},
    ),
    Preset(
        "ct-fan", "CT, fan beam", "Fan beam, 20 views over a full turn",
        "ct-fan", {"views": 20}, "fast", {"steps": 28, "sigma_max": 2.0, "zeta": 1.15},
        others={"quality": {"sigma_max": 2.0}}, holds_on_scans=True,
    ),
    Preset(
        "ct-cone", "CT, cone beam", "Cone beam of a volume, 40 views over a full turn",
        "ct-cone", {"views": 40}, "fast", {},
    ),
    Preset(
        "deblur", "Deblurring", "A uniform blur of 9 × 9 pixels with noise of 0.01",
        "deblur", {"noise": 0.01}, "fast", {"sigma_max": 0.3, "relaxation": 1.0},
        PHOTO_PRIOR, DEMO_PHOTO,
    ),
    Preset(
        "sr2", "Super-resolution 2×", "Bicubic reduction by 2",
        "super-resolution", {"factor": 2}, "fast", {},
        PHOTO_PRIOR, DEMO_PHOTO,
    ),
    Preset(
        "sr4", "Super-resolution 4×", "Bicubic reduction by 4",
        "super-resolution", {"factor": 4}, "fast", {},
        PHOTO_PRIOR, DEMO_PHOTO,
    ),
    Preset(
        "inpaint", "Inpainting", "Twelve missing boxes of 24 × 24 pixels",
        "inpainting", {}, "fast", {"steps": 16, "relaxation": 1.0},
        PHOTO_PRIOR, DEMO_PHOTO,
    ),
    Preset(
        "denoise", "Denoising", "Gaussian noise of 0.1",
        "denoising", {}, "diffpir", {"steps": 20},
        PHOTO_PRIOR, DEMO_PHOTO,
    ),
    Preset(
        "generate", "Generate", "No data: a sample of the prior",
        "nothing", {}, "diffpir", {"steps": 100, "sigma_max": 20.0, "temperature": 1.0, "zeta": 0.2},
    ),
))  # fmt: skip
DEFAULT_PRESET = "ct-20"
_PRESETS_FOLDER = "presets"
_PRESET_NAME, _LONGEST_SUMMARY = "[a-z0-9][a-z0-9-]{0,59}", 300


class OwnPreset(BaseModel):
    """A preset of the user's as it lies in a file: JSON, which may be anybody's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["padis-gui preset"] = "padis-gui preset"
    version: Literal[1] = 1
    name: Annotated[str, Field(pattern=f"^{_PRESET_NAME}$")]
    summary: Annotated[str, Field(max_length=_LONGEST_SUMMARY)] = ""
    physics: Annotated[str, Field(max_length=100)]
    problem: Annotated[dict[str, Any], Field(max_length=100)] = Field(default_factory=dict)
    solver: Annotated[str, Field(max_length=100)]
    settings: Annotated[dict[str, Any], Field(max_length=100)] = Field(default_factory=dict)

    def preset(self) -> Preset:
        """The same to be used; raises :class:`SettingError` for names and values that this program does not have."""
        from padis_gui.core.physics.registry import find_physics

        pictorial = find_physics(self.physics).pictorial
        made = Preset(
            self.name, self.name, plain(self.summary), self.physics, dict(self.problem), self.solver,
            dict(self.settings), PHOTO_PRIOR if pictorial else DEFAULT_PRIOR, DEMO_PHOTO if pictorial else DEMO_IMAGE,
            own=True,
        )  # fmt: skip
        made.problem_settings()
        made.solver_settings()
        return made


def presets_folder() -> Path:
    """Where the user's own presets lie."""
    return user_files() / _PRESETS_FOLDER


def own_presets() -> tuple[Preset, ...]:
    """The user's own presets, by name; a file that cannot be read is passed over, with a warning."""
    found = []
    try:
        paths = sorted(path for path in presets_folder().iterdir() if path.suffix == ".json")
    except OSError:
        return ()
    for path in paths:
        try:
            preset = OwnPreset.model_validate(read_json(path)).preset()
        except (OSError, ValueError, SettingError) as error:
            log.warning("The preset %s cannot be read: %s", path.name, plain(str(error)))
            continue
        if preset.name not in PRESETS.names:
            found.append(preset)
    return tuple(found)


def check_preset_name(name: str) -> None:
    """Raise :class:`SettingError` for a name that no preset of the user's can have."""
    fault = "" if re.fullmatch(_PRESET_NAME, name) else f"{plain(name, 80)!r} was given"
    if name in PRESETS.names:
        fault = f"{name} is one that comes with the program"
    if fault:
        raise SettingError(
            f"A name of small letters, digits and hyphens was wanted, but {fault}; choose another, such as my-scanner."
        )


def save_preset(
    name: str, summary: str, physics: str, problem: Settings, solver: str, settings: Settings
) -> Path:
    """Keep these choices as a preset of the user's; one of that name is replaced.

    Raises :class:`SettingError` for a name that none can have, and :class:`InputError` where it cannot be written.
    """
    check_preset_name(name)
    kept = OwnPreset(
        name=name, summary=summary[:_LONGEST_SUMMARY], physics=physics, problem=problem.model_dump(mode="json"),
        solver=solver, settings=settings.model_dump(mode="json"),
    )  # fmt: skip
    path = presets_folder() / f"{name}.json"
    with failures_said("The preset", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, kept.model_dump_json(indent=1).encode())
    return path


def find_preset(name: str) -> Preset:
    """The preset of that name, of the program or the user's own; raises :class:`SettingError` for others."""
    own = () if name in PRESETS.names else own_presets()
    return Registry("preset", (*PRESETS, *own)).find(name)


# How much of the image is measured: what suits little suits more, and not the other way round
_MEASURES = ("arc", "views")


def nearest_preset(physics: str, problem: "PhysicsSettings") -> Preset | None:
    """The preset of that physics which measures most of those that measure no more than the problem; else the least."""
    left = [preset for preset in PRESETS if preset.physics == physics]
    for name in _MEASURES if left else ():
        amounts = [getattr(preset.problem_settings(), name, 0) for preset in left]
        enough = [amount for amount in amounts if amount <= getattr(problem, name, 0)]
        wanted = max(enough) if enough else min(amounts)
        left = [preset for preset, amount in zip(left, amounts, strict=True) if amount == wanted]
    return left[0] if left else None


def fitting_prior(prior: str, device: str) -> Path:
    """A bundled prior, or the larger one of its kind where a GPU makes that fast. ``device`` is torch's type or name."""
    return resource(LARGER_PRIORS.get(prior, prior) if device.startswith("cuda") else prior)


def priors_alike(prior: str) -> set[Path]:
    """A bundled prior, and the others of its kind: a larger one, one for colours."""
    others = {PHOTO_PRIOR: _COLOUR_PRIOR} | LARGER_PRIORS
    return {resource(name) for name in (prior, others.get(prior, prior))}


def bundled_prior(physics: str, device: str = "cpu", *, scanned: bool = False) -> Path:
    """The bundled prior that belongs to a physics on a device: that of the first preset with it, else of its kind.

    Of what was really ``scanned``, whose attenuations are in no unit that a prior knows, it is that for anything scanned.
    Raises :class:`~padis_gui.core.settings.errors.SettingError` for a physics that there is not.
    """
    from padis_gui.core.physics.registry import find_physics  # brings torch, which nothing else here needs

    if scanned:
        return resource(GENERAL_PRIOR)
    of_kind = PHOTO_PRIOR if find_physics(physics).pictorial else DEFAULT_PRIOR
    return fitting_prior(next((p.prior for p in PRESETS if p.physics == physics), of_kind), device)


class PriorCard(BaseModel):
    """A bundled prior in words: ``summary`` in a line, whom it ``suits`` and whom not, data, licence, what was measured.

    One across ``slices`` is for volumes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    summary: str
    suits: str
    unsuited: str
    trained_on: str
    licence: str
    slices: int = 1
    measured: tuple[str, ...] = ()

    @property
    def lines(self) -> list[tuple[str, str]]:
        """What it says, as pairs of a heading and a text."""
        return [
            ("For", self.suits), ("Not for", self.unsuited), ("Trained on", self.trained_on),
            *(("Measured", text) for text in self.measured), ("Data", self.licence),
        ]  # fmt: skip


@cache
def cards() -> dict[str, PriorCard]:
    """The cards by the name of the prior.

    Raises :class:`~padis_gui.core.settings.errors.InputError` where their file is gone.
    """
    text = resource("priors/cards.toml").read_text(encoding="utf-8")
    return {name: PriorCard.model_validate(card) for name, card in tomllib.loads(text).items()}


def bundled_priors() -> dict[Path, PriorCard]:
    """The bundled priors of single images that are there, and their cards."""
    return {path: card for path, card in _bundled() if card.slices == 1}


def bundled_across() -> dict[Path, PriorCard]:
    """The bundled priors across slices that are there, and their cards."""
    return {path: card for path, card in _bundled() if card.slices > 1}


def _bundled() -> Iterator[tuple[Path, PriorCard]]:
    for name, card in cards().items():
        with suppress(InputError):
            yield resource(f"priors/{name}.safetensors"), card


def card_of(path: Path) -> PriorCard | None:
    """The card of a bundled prior's file; None for every other file."""
    path = Path(path).resolve()
    return next((card for file, card in _bundled() if file.resolve() == path), None)


def priors_folder() -> Path:
    """Where the user's own priors lie; it need not exist."""
    return user_files() / "priors"


def own_priors() -> tuple[Path, ...]:
    """The user's own priors, by name; none where their folder cannot be read."""
    try:
        return tuple(sorted(_priors_in(priors_folder())))
    except OSError:
        return ()


def _priors_in(folder: Path) -> Iterator[Path]:
    yield from (path for path in folder.iterdir() if path.suffix == ".safetensors" and path.is_file())
