"""Grids of runs: every combination of images, problems, solvers, tilings, priors, seeds, and of values of any setting."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple

from padis_gui.core.files.formats.folder import data_sha256
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.presets import Preset
from padis_gui.core.runs.recipe import check_seed
from padis_gui.core.settings.declarations import Settings, make, since_before, specs
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.solvers.registry import find_solver

Part = Literal["problem", "solver", "tiling"]
ImagePage = tuple[Path, int]  # a file, and one of its pages
_MOST_CASES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Varied:
    """A setting with the values that it takes in turn; of a ``solver`` alone, or of all that have it."""

    part: Part
    name: str
    values: tuple[Any, ...]
    solver: str = ""


class Group(NamedTuple):
    """What one row of a table stands for; ``varied`` are the settings that take several values, and theirs here."""

    problem: str
    solver: str
    tiling: str
    prior: str
    positions: str
    varied: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GridPoint:
    """One run of a grid: everything that decides its result but the machine. ``problem`` is a name for tables, as is what
    is ``varied`` here; ``measured`` are those of the varied settings that belong to the problem."""

    data: Path
    page: int
    problem: str
    method: Method
    prior: Path
    seed: int
    varied: tuple[tuple[str, str], ...] = ()
    measured: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The point's identity: files count by what they hold, not by their names."""
        method = self.method
        named = (getattr(method.problem, s.name) for s in specs(type(method.problem)) if s.kind == "file")
        parts = {
            "files": [_sha256(self.data), _sha256(self.prior), *(_sha256(Path(file)) for file in named if file)],
            "page": self.page,
            "physics": [method.physics, since_before(method.problem)],
            "solver": [method.solver, since_before(method.settings)],
            "tiling": since_before(method.tiling) if method.asks_prior else None,
            "positions": method.positions,
            "seed": self.seed,
        }  # fmt: skip
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def name(self) -> str:
        """What it is, in a line: the problem, the method, and what is varied."""
        words = [*self.group[:3], *(f"{key}={value}" for key, value in self.varied)]
        return " ".join(filter(None, words))

    @property
    def group(self) -> Group:
        """The row of the table that it belongs to."""
        method = self.method
        tiling = method.tiling.strategy if method.asks_prior else ""
        positions = "on" if method.positions else "off"
        return Group(self.problem, method.solver, tiling, str(self.prior), positions, self.varied)

    @property
    def task(self) -> tuple[str, ...]:
        """The problem with its varied settings: methods are compared on the same one."""
        return self.problem, *(f"{name}={value}" for name, value in self.varied if name in self.measured)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """All combinations of its parts.

    ``images`` are (file, page); ``problems`` are presets, whose solver and solver settings count where
    ``solvers`` leaves them open; ``overrides`` are further settings by solver. What is ``varied`` takes each of its
    values, in every solver and problem that has it.
    """

    images: tuple[ImagePage, ...]
    problems: tuple[Preset, ...]
    priors: tuple[Path, ...]
    solvers: tuple[str, ...] = ()
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tilings: tuple[TilingSettings, ...] = (TilingSettings(),)
    positions: tuple[bool, ...] = (True,)
    seeds: tuple[int, ...] = (0,)
    varied: tuple[Varied, ...] = ()

    def points(self) -> Iterator[GridPoint]:
        """Image by image, so that a grid that is stopped has compared everything on some images.

        A method without the prior has no tiling and occurs once for all of them, and one without a varied setting once for
        all of its values. Raises :class:`SettingError`.
        """
        for (data, page), preset, seed in product(self.images, self.problems, self.seeds):
            physics = find_physics(preset.physics)
            if physics.imageless:
                raise SettingError(
                    f"A problem with a truth to compare with was wanted, but {preset.name} measures nothing; "
                    "leave it out."
                )
            for problem, name in product(
                self._chosen("problem", physics.settings_type), self.solvers or (preset.solver,)
            ):
                measured = make(physics.settings_type, preset.problem | problem)
                tuned = preset.tuned_for(physics.name, measured) if problem else preset
                for settings in self._chosen("solver", find_solver(name).settings_type, name):
                    values = dict(tuned.settings_for(name)) | dict(self.overrides.get(name, {})) | settings
                    method = Method.of(
                        physics=physics.name, problem=measured.model_dump(), solver=name, settings=values
                    )
                    find_solver(name).levels(method.settings)
                    variants = product(
                        self.tilings, self._chosen("tiling", TilingSettings), self.priors, self.positions
                    )
                    for tiling, cut, prior, positions in variants if method.asks_prior else [next(variants)]:
                        laid = make(TilingSettings, tiling.model_dump() | cut) if cut else tiling
                        shown = problem | settings | (cut if method.asks_prior else {})
                        yield GridPoint(
                            data=data, page=page, problem=preset.name,
                            method=replace(method, tiling=laid, positions=positions), prior=prior,
                            seed=check_seed(seed), varied=tuple((key, str(value)) for key, value in shown.items()),
                            measured=tuple(problem),
                        )  # fmt: skip

    def _chosen(self, part: Part, settings: type[Settings], solver: str = "") -> list[dict[str, Any]]:
        """The combinations of what is varied in this part of a method, where that has it."""
        here = [
            v for v in self.varied
            if v.part == part and v.name in settings.model_fields and v.solver in ("", solver)
        ]  # fmt: skip
        return [
            dict(zip([v.name for v in here], values, strict=True))
            for values in product(*(v.values for v in here))
        ]

    @property
    def most(self) -> int:
        """How many points there are at most."""
        sizes = (
            self.images,
            self.problems,
            self.priors,
            self.solvers or (0,),
            self.tilings,
            self.positions,
            self.seeds,
        )
        found = 1
        for part in (*sizes, *(v.values for v in self.varied)):
            found *= len(part)
        return found


def check_size(grid: Grid) -> None:
    """Raise :class:`SettingError` for more cases than anybody can wait for."""
    if grid.most > _MOST_CASES:
        raise SettingError(
            f"At most {_MOST_CASES} cases were wanted, but these values make {grid.most}; vary fewer settings at once."
        )


def varied(
    name: str, values: tuple[str, ...], problems: tuple[Preset, ...], solvers: tuple[str, ...]
) -> Varied:
    """The setting that ``name`` stands for: one of the solvers, of the problems or of the tiling.

    Where several of these have one of that name, ``problem.NAME``, ``tiling.NAME`` or ``SOLVER.NAME`` tell which. Raises
    :class:`SettingError` for a name that nothing has, or several.
    """
    first, dot, last = name.replace("-", "_").rpartition(".")
    types: dict[str, list[type[Settings]]] = {
        "problem": [find_physics(problem.physics).settings_type for problem in problems],
        "tiling": [TilingSettings],
    }
    types |= {solver.replace("-", "_"): [find_solver(solver).settings_type] for solver in solvers}
    having = [
        owner for owner, found in types.items()
        if any(last in settings.model_fields for settings in found) and (not dot or owner == first)
    ]  # fmt: skip
    parts = {owner if owner in ("problem", "tiling") else "solver" for owner in having}
    if len(parts) != 1:
        known = ", ".join(types)
        what = (
            f"one of several that have it ({', '.join(having)}); name it as in {having[0]}.{last}"
            if having
            else (f"of {known}")
        )
        raise SettingError(
            f"A setting {what} was wanted, but {name[:60]!r} was given; see padis-gui study --help."
        )
    (part,) = parts
    solver = first.replace("_", "-") if dot and part == "solver" else ""
    if len(set(values)) < len(values) or not values:
        raise SettingError(
            f"Different values of {last} were wanted, but {','.join(values)[:80]!r} was given; name each of them once."
        )
    return Varied(part=part, name=last, values=values, solver=solver)  # type: ignore[arg-type]


@lru_cache
def _sha256_of_version(path: Path, _size: int, _modified: int) -> str:
    return data_sha256(path)


def _sha256(path: Path) -> str:
    """The file's hash, computed once while the file stays as it is; empty where it cannot be read."""
    try:
        status = path.stat()
        return _sha256_of_version(path, status.st_size, status.st_mtime_ns)
    except OSError:
        return ""
