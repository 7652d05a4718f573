"""Grids of runs, and what they come to: the same images, problems, solvers, tilings and priors, compared.

A grid is finished case by case, and each result is appended to a file of JSON lines, so that a grid that was
stopped goes on where it was. A result carries the recipe that repeats it.
"""

import hashlib
import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

from padis_gui.core.atomic import failures_said
from padis_gui.core.data.folder import data_sha256
from padis_gui.core.data.read import read_image
from padis_gui.core.errors import InputError, PadisError, SettingError
from padis_gui.core.metrics import as_json
from padis_gui.core.operators import find_physics
from padis_gui.core.operators.settings import PhysicsSettings
from padis_gui.core.prior import PatchPrior
from padis_gui.core.problem import Problem
from padis_gui.core.recipe import Recipe, build_problem, check_seed, make_recipe, measure, solve
from padis_gui.core.resources import Preset
from padis_gui.core.seams import seam_ratio
from padis_gui.core.settings import Settings, make, specs
from padis_gui.core.solvers import find_solver
from padis_gui.core.solvers.iterate import drain
from padis_gui.core.tiling import TilingSettings

log = logging.getLogger(__name__)


def asks_prior(solver: str, settings: Settings) -> bool:
    """Whether a method calls the patch prior: diffusion does, and plug-and-play where its denoiser is the prior."""
    return find_solver(solver).diffusion or getattr(settings, "denoiser", None) == "prior"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One run: everything that decides its result but the machine. ``problem`` is a name for tables."""

    data: Path
    page: int
    problem: str
    physics: str
    problem_settings: PhysicsSettings
    solver: str
    settings: Settings
    tiling: TilingSettings
    prior: Path
    positions: bool
    seed: int

    @property
    def key(self) -> str:
        """The case's identity: files count by what they hold, not by their names."""
        named = (
            getattr(self.problem_settings, s.name)
            for s in specs(type(self.problem_settings))
            if s.kind == "file"
        )
        parts = {
            "files": [_sha256(self.data), _sha256(self.prior), *(_sha256(Path(file)) for file in named if file)],
            "page": self.page,
            "physics": [self.physics, self.problem_settings.model_dump(mode="json")],
            "solver": [self.solver, self.settings.model_dump(mode="json")],
            "tiling": self.tiling.model_dump(mode="json") if asks_prior(self.solver, self.settings) else None,
            "positions": self.positions,
            "seed": self.seed,
        }  # fmt: skip
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def group(self) -> tuple[str, str, str, str, str]:
        """Problem, solver, tiling, prior and positions: what one row of a table stands for."""
        tiling = self.tiling.strategy if asks_prior(self.solver, self.settings) else ""
        return self.problem, self.solver, tiling, str(self.prior), "on" if self.positions else "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """All combinations of its parts.

    ``images`` are (file, page); ``problems`` are presets, whose solver and solver settings count where
    ``solvers`` leaves them open; ``overrides`` are further settings by solver.
    """

    images: tuple[tuple[Path, int], ...]
    problems: tuple[Preset, ...]
    priors: tuple[Path, ...]
    solvers: tuple[str, ...] = ()
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tilings: tuple[TilingSettings, ...] = (TilingSettings(),)
    positions: tuple[bool, ...] = (True,)
    seeds: tuple[int, ...] = (0,)

    def cases(self) -> Iterator[Case]:
        """Image by image, so that a grid that is stopped has compared everything on some images.

        A method without the prior has no tiling and occurs once for all of them. Raises :class:`SettingError`.
        """
        for (data, page), preset, seed in product(self.images, self.problems, self.seeds):
            physics = find_physics(preset.physics)
            if physics.imageless:
                raise SettingError(
                    f"A problem with a truth to compare with was wanted, but {preset.name} measures nothing; "
                    "leave it out."
                )
            for name in self.solvers or (preset.solver,):
                solver = find_solver(name)
                values = dict(preset.settings_for(name))
                settings = make(solver.settings_type, values | dict(self.overrides.get(name, {})))
                solver.levels(settings)
                once = not asks_prior(name, settings)
                variants = product(self.tilings, self.priors, self.positions)
                for tiling, prior, positions in [next(variants)] if once else variants:
                    yield Case(
                        data=data, page=page, problem=preset.name, physics=physics.name,
                        problem_settings=make(physics.settings_type, dict(preset.problem)),
                        solver=name, settings=settings, tiling=tiling, prior=prior, positions=positions,
                        seed=check_seed(seed),
                    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a case came to: its metrics, or why there are none. ``recipe`` repeats it."""

    case: Case
    metrics: dict[str, float]
    error: str = ""
    recipe: Recipe | None = None

    def as_line(self) -> str:
        """One line of JSON."""
        recipe = None if self.recipe is None else self.recipe.model_dump(mode="json")
        found = {
            "key": self.case.key, "problem": self.case.problem, "metrics": as_json(self.metrics),
            "error": self.error, "recipe": recipe,
        }  # fmt: skip
        return json.dumps(found, ensure_ascii=False) + "\n"


def run(
    cases: Iterable[Case], open_prior: Callable[[Path], PatchPrior], record: Path | None = None
) -> Iterator[Result]:
    """One result a case, in order; a case that fails says so in its result, and the next one follows.

    ``record`` is a file of JSON lines: a case that succeeded there is not run again, and new results are
    appended. Raises :class:`InputError` where it cannot be read or written.
    """
    known = {} if record is None else _read_record(record)
    workshop = _Workshop(open_prior)
    for case in cases:
        if (metrics := known.get(case.key)) is not None:
            yield Result(case=case, metrics=metrics)
            continue
        result = workshop.finish(case)
        if record is not None:
            _append(record, result.as_line())
        yield result


class _Workshop:
    """Runs cases; keeps open what the next one is likely to need."""

    def __init__(self, open_prior: Callable[[Path], PatchPrior]) -> None:
        self._prior = lru_cache(open_prior)
        self._image = lru_cache(maxsize=1)(read_image)
        self._problem: tuple[tuple[object, ...], Problem] | None = None

    def finish(self, case: Case) -> Result:
        recipe = None
        try:
            image = self._image(case.data, case.page)
            prior = replace(self._prior(case.prior), positions=case.positions)
            recipe = make_recipe(
                image=image, data_path=case.data, prior=prior, prior_path=case.prior, physics=case.physics,
                problem=case.problem_settings, tiling=case.tiling, solver=case.solver, settings=case.settings,
                seed=case.seed,
            )  # fmt: skip
            return Result(case=case, metrics=self._metrics(case, recipe, prior), recipe=recipe)
        except PadisError as error:
            return Result(case=case, metrics={}, error=str(error), recipe=recipe)
        except Exception as error:  # one broken case must not cost the others
            log.exception("A case failed: %s", case)
            return Result(case=case, metrics={}, error=f"{type(error).__name__}: {error}", recipe=recipe)

    def _metrics(self, case: Case, recipe: Recipe, prior: PatchPrior) -> dict[str, float]:
        problem = self._measured(case, prior)
        baseline = measure(problem, problem.operator.pinv(problem.measurement))
        began = time.perf_counter()
        last = drain(solve(recipe, problem, prior))
        metrics = {"seconds": time.perf_counter() - began, "evaluations": float(last.evaluations)}
        if last.partition is not None:
            metrics["seam_ratio"] = seam_ratio(last.estimate, last.partition, problem.truth)
        metrics |= {f"{name}_baseline": value for name, value in baseline.items()}
        return metrics | measure(problem, last.estimate)

    def _measured(self, case: Case, prior: PatchPrior) -> Problem:
        """The problem of a case; its operator is built once for all methods that are compared on it."""
        of = (case.data, case.page, case.physics, case.problem_settings, case.seed, case.prior)
        if self._problem is None or self._problem[0] != of:
            image = self._image(case.data, case.page)
            built = build_problem(image, prior, case.physics, case.problem_settings, case.seed)
            self._problem = (of, built)
        return self._problem[1]


def _read_record(path: Path) -> dict[str, dict[str, float]]:
    """Metrics by key of the cases that succeeded; NaN where a metric was not finite."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    except (OSError, UnicodeDecodeError):
        raise InputError(
            f"A file of results was wanted, but {path.name} cannot be read as one; choose another name."
        ) from None
    known: dict[str, dict[str, float]] = {}
    damaged = 0
    for line in filter(None, lines):
        try:
            found = json.loads(line)
            metrics = {str(k): math.nan if v is None else float(v) for k, v in found["metrics"].items()}
            if not found["error"]:
                known[str(found["key"])] = metrics
        except (ValueError, KeyError, TypeError, AttributeError):
            damaged += 1
    if damaged:
        log.warning("%d lines of %s cannot be read; their cases are run again.", damaged, path.name)
    return known


def _append(path: Path, line: str) -> None:
    with failures_said("The results", path), path.open("a+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 1, 0))
        torn = size > 0 and file.read(1) != b"\n"  # the last write was cut short
        file.write(b"\n" * torn + line.encode())


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
