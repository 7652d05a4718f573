"""Grids of runs: the same images, problems, solvers, tilings and priors, compared; and the table that they come to.

A grid is finished case by case, and each result is appended to a file of JSON lines, so that a grid that was
stopped goes on where it was. A result carries the recipe that repeats it. The table has means over images and seeds,
as Markdown to read and as CSV to compute with.
"""

import csv
import hashlib
import io
import json
import logging
import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

from padis_gui.core.files.formats.folder import data_sha256
from padis_gui.core.files.read import read_image
from padis_gui.core.images.metrics import as_json
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.seams import seam_ratio
from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.runs.engine import Run, finish
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import Opened, Prepared
from padis_gui.core.runs.presets import Preset
from padis_gui.core.runs.recipe import Recipe, check_seed, make_recipe
from padis_gui.core.settings.declarations import since_before, specs
from padis_gui.core.settings.errors import InputError, PadisError, SettingError
from padis_gui.core.solvers.iterate import Iterate
from padis_gui.core.solvers.registry import find_solver
from padis_gui.core.studies.results import Results

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class GridPoint:
    """One run of a grid: everything that decides its result but the machine. ``problem`` is a name for tables."""

    data: Path
    page: int
    problem: str
    method: Method
    prior: Path
    seed: int

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
    def group(self) -> tuple[str, str, str, str, str]:
        """Problem, solver, tiling, prior and positions: what one row of a table stands for."""
        method = self.method
        tiling = method.tiling.strategy if method.asks_prior else ""
        return self.problem, method.solver, tiling, str(self.prior), "on" if method.positions else "off"


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

    def points(self) -> Iterator[GridPoint]:
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
                values = dict(preset.settings_for(name)) | dict(self.overrides.get(name, {}))
                method = Method.of(physics=physics.name, problem=preset.problem, solver=name, settings=values)
                find_solver(name).levels(method.settings)
                variants = product(self.tilings, self.priors, self.positions)
                for tiling, prior, positions in variants if method.asks_prior else [next(variants)]:
                    yield GridPoint(
                        data=data, page=page, problem=preset.name,
                        method=replace(method, tiling=tiling, positions=positions), prior=prior,
                        seed=check_seed(seed),
                    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class GridResult:
    """What a point came to: its metrics, or why there are none. ``recipe`` repeats it."""

    point: GridPoint
    metrics: dict[str, float]
    error: str = ""
    recipe: Recipe | None = None

    def as_line(self) -> str:
        recipe = None if self.recipe is None else self.recipe.model_dump(mode="json")
        found = {
            "key": self.point.key, "problem": self.point.problem, "metrics": as_json(self.metrics),
            "error": self.error, "recipe": recipe,
        }  # fmt: skip
        return json.dumps(found, ensure_ascii=False) + "\n"


def run_grid(
    points: Iterable[GridPoint], open_prior: Callable[[Path], PatchPrior], record: Path | None = None
) -> Iterator[GridResult]:
    """One result a point, in order but for those that another process is at, which come last; a point that fails says so
    in its result, and the next one follows.

    ``record`` is a file of JSON lines: a point that succeeded there, or that another process finishes meanwhile, is not
    run here, and new results are appended. Where it cannot be written the grid goes on, and it is tried again with the
    next result. Raises :class:`InputError` where it cannot be read or begun, and at the end where results had to be
    written to another file.
    """
    runner = _GridRunner(open_prior)
    if record is None:
        yield from map(runner.finish, points)
        return
    results = Results(record)
    try:
        others = []
        for point in points:
            result = _finish_once(point, runner, results, wait=False)
            if result is None:
                others.append(point)
            else:
                yield result
        for point in others:
            result = _finish_once(point, runner, results, wait=True)
            assert result is not None, "it was waited for"
            yield result
    except BaseException:  # interrupted: what is known is not lost
        if results.unwritten:
            log.warning("%s", results.write_elsewhere())
        raise
    if results.unwritten:
        raise InputError(results.write_elsewhere())


def _finish_once(
    point: GridPoint, runner: "_GridRunner", results: Results, *, wait: bool
) -> GridResult | None:
    """What a point came to, whoever finished it; None where another process is at it and is not waited for."""
    key = point.key
    if key in results.metrics:
        return GridResult(point=point, metrics=results.metrics[key])
    with results.claim(key, wait=wait) as mine:
        if not mine:
            return None
        results.read()
        if key in results.metrics or key in results.errors:
            return GridResult(
                point=point, metrics=results.metrics.get(key, {}), error=results.errors.get(key, "")
            )
        result = runner.finish(point)
        results.add(result.as_line())
        return result


class _GridRunner:
    """Runs points; keeps open what the next one is likely to need."""

    def __init__(self, open_prior: Callable[[Path], PatchPrior]) -> None:
        self._prior = lru_cache(open_prior)
        self._image = lru_cache(maxsize=1)(read_image)
        self._prepared: Prepared | None = None

    def finish(self, point: GridPoint) -> GridResult:
        recipe = None
        try:
            opened = Opened(
                image=self._image(point.data, point.page), data_path=point.data, prior=self._prior(point.prior),
                prior_path=point.prior,
            )  # fmt: skip
            recipe = make_recipe(opened, point.method, point.seed)
            metrics, recipe = self._metrics(recipe, opened)
            return GridResult(point=point, metrics=metrics, recipe=recipe)
        except PadisError as error:
            return GridResult(point=point, metrics={}, error=str(error), recipe=recipe)
        except Exception as error:  # one broken point must not cost the others
            log.exception("A run of the grid failed: %s", point)
            return GridResult(
                point=point, metrics={}, error=f"{type(error).__name__}: {error}", recipe=recipe
            )

    def _metrics(self, recipe: Recipe, opened: Opened) -> tuple[dict[str, float], Recipe]:
        """The operator is built once for all methods that are compared on a problem."""
        run, last = Run(recipe, opened, prepared=self._prepared), None

        def watch(iterate: Iterate) -> None:
            nonlocal last
            last = iterate

        result = finish(run, watch)
        assert run.prepared is not None
        self._prepared = run.prepared
        metrics = {"seconds": result.seconds, "evaluations": float(result.evaluations)}
        if last is not None and last.partition is not None:
            metrics["seam_ratio"] = seam_ratio(last.estimate, last.partition, run.prepared.problem.truth)
        return metrics | result.metrics, result.recipe


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


GROUP = ("problem", "solver", "tiling", "prior", "positions")
# metric, heading, format; PSNR in dB
METRICS = (
    ("psnr", "PSNR", "{:.2f}"), ("ssim", "SSIM", "{:.4f}"), ("psnr_baseline", "baseline PSNR", "{:.2f}"),
    ("ssim_baseline", "baseline SSIM", "{:.3f}"), ("residual", "residual", "{:.1e}"),
    ("seam_ratio", "seam ratio", "{:.3f}"), ("evaluations", "evaluations", "{:.0f}"), ("seconds", "seconds", "{:.1f}"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Means over one group's images and seeds; ``failed`` of its ``count`` cases have no metrics."""

    group: tuple[str, str, str, str, str]
    count: int
    failed: int
    means: dict[str, float]


def summarise(results: Iterable[GridResult]) -> list[Row]:
    """One row a group, in the order in which they first came. Values that are not finite are left out."""
    groups: dict[tuple[str, str, str, str, str], list[GridResult]] = {}
    for result in results:
        groups.setdefault(result.point.group, []).append(result)
    rows = []
    for group, members in groups.items():
        means = {}
        for name, _, _ in METRICS:
            values = [member.metrics.get(name, math.nan) for member in members]
            if finite := [value for value in values if math.isfinite(value)]:
                means[name] = statistics.fmean(finite)
        failed = sum(bool(member.error) for member in members)
        rows.append(Row(group=group, count=len(members), failed=failed, means=means))
    return rows


def as_markdown(rows: Sequence[Row]) -> str:
    """A table to read; what is the same in all rows, of prior and positions, is left out."""
    shown = [i for i, name in enumerate(GROUP) if i < 3 or len({row.group[i] for row in rows}) > 1]
    paths = {row.group[3] for row in rows}
    names = {path: Path(path).name for path in paths}
    if len(set(names.values())) < len(paths):
        names = {path: path for path in paths}
    failures = any(row.failed for row in rows)
    heads = [GROUP[i] for i in shown] + ["cases"] + ["failed"] * failures + [head for _, head, _ in METRICS]
    lines = [heads, ["---"] * len(shown) + ["---:"] * (len(heads) - len(shown))]
    for row in rows:
        counts = [str(row.count)] + [str(row.failed)] * failures
        cells = [form.format(row.means[name]) if name in row.means else "–" for name, _, form in METRICS]
        labels = [names[row.group[i]] if GROUP[i] == "prior" else row.group[i] or "–" for i in shown]
        lines.append(labels + counts + cells)
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def as_csv(rows: Sequence[Row]) -> str:
    """All columns with full precision; empty where there is no value."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*GROUP, "cases", "failed", *(name for name, _, _ in METRICS)])
    for row in rows:
        values = [repr(row.means[name]) if name in row.means else "" for name, _, _ in METRICS]
        table.writerow([*row.group, row.count, row.failed, *values])
    return text.getvalue()
