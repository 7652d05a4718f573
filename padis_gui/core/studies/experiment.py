"""The cases of a grid are run one by one, and each result is appended to a file of JSON lines, so that a grid that was
stopped goes on where it was. A result carries the recipe that repeats it.
"""

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self

from padis_gui.core.exports.about import About
from padis_gui.core.exports.tiff import save_result
from padis_gui.core.files.read import read_image
from padis_gui.core.images.metrics import as_json
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.runs.engine import Result, Run, finish
from padis_gui.core.runs.opened import Opened, Prepared, measure_further
from padis_gui.core.runs.recipe import Recipe, make_recipe
from padis_gui.core.settings.errors import InputError, Interrupted, PadisError
from padis_gui.core.settings.files import failures_said
from padis_gui.core.solvers.iterate import Iterate
from padis_gui.core.studies.grid import GridPoint
from padis_gui.core.studies.results import Results

log = logging.getLogger(__name__)

_LONGEST_NAME = 100  # letters of a picture's


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
    points: Iterable[GridPoint],
    open_prior: Callable[[Path], PatchPrior],
    record: Path | None = None,
    *,
    pictures: Path | None = None,
    check: Callable[[], None] = lambda: None,
) -> Iterator[GridResult]:
    """One result a point, in order but for those that another process is at, which come last; a point that fails says so
    in its result, and the next one follows.

    ``record`` is a file of JSON lines: a point that succeeded there, or that another process finishes meanwhile, is not
    run here, and new results are appended. Where it cannot be written the grid goes on, and it is tried again with the
    next result. Raises :class:`InputError` where it cannot be read or begun, and at the end where results had to be
    written to another file. In the folder ``pictures`` each run that succeeds leaves its result, as :func:`picture_of`
    names it. ``check`` is called after each step and may raise :class:`Interrupted`: what is in hand then is lost.
    """
    with PointRunner(open_prior, record, pictures=pictures, check=check) as runner:
        others = []
        for point in points:
            result = runner.finish(point, wait=False)
            if result is None:
                others.append(point)
            else:
                yield result
        for point in others:
            yield runner.required(point)


class PointRunner:
    """Runs points one by one, each once for all processes that write into the same ``record``; to be used in a ``with``.

    The arguments are those of :func:`run_grid`, and so is what it raises.
    """

    def __init__(
        self,
        open_prior: Callable[[Path], PatchPrior],
        record: Path | None = None,
        *,
        pictures: Path | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._runner = _GridRunner(open_prior, pictures, check)
        self._results = None if record is None else Results(record)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._results is None or not self._results.unwritten:
            return
        said = self._results.write_elsewhere()  # also where it was interrupted: what is known is not lost
        if error is None:
            raise InputError(said)
        log.warning("%s", said)

    def required(self, point: GridPoint) -> GridResult:
        """What a point came to, whoever finishes it."""
        result = self.finish(point, wait=True)
        assert result is not None, "it was waited for"
        return result

    def finish(self, point: GridPoint, *, wait: bool) -> GridResult | None:
        """The same; None where another process is at it and is not waited for."""
        results, key = self._results, point.key
        if results is None:
            return self._runner.finish(point)
        if key in results.metrics:
            return GridResult(point=point, metrics=results.metrics[key])
        with results.claim(key, wait=wait) as mine:
            if not mine:
                return None
            results.read()
            if key in results.metrics or key in results.errors:
                return GridResult(
                    point=point, metrics=results.metrics.get(key, {}), error=results.error_of(key)
                )
            result = self._runner.finish(point)
            results.add(result.as_line())
            return result


def picture_of(point: GridPoint, pictures: Path) -> Path:
    """The TIFF of a point's result in a folder of such; it restores its run. The name says which one it is."""
    words = f"{point.data.stem} {point.page + 1} {point.name} seed {point.seed}"
    plain = re.sub(r"[^A-Za-z0-9.=+-]+", "-", words).strip("-.")
    return pictures / f"{plain[:_LONGEST_NAME]}-{point.key[:8]}.tif"


class _GridRunner:
    """Runs points; keeps open what the next one is likely to need."""

    def __init__(
        self, open_prior: Callable[[Path], PatchPrior], pictures: Path | None, check: Callable[[], None]
    ) -> None:
        self._pictures, self._check = pictures, check
        self._prior = lru_cache(open_prior)
        self._image = lru_cache(maxsize=1)(read_image)
        self._prepared: Prepared | None = None

    def finish(self, point: GridPoint) -> GridResult:
        self._check()
        recipe = None
        try:
            opened = Opened(
                image=self._image(point.data, point.page), data_path=point.data, prior=self._prior(point.prior),
                prior_path=point.prior,
            )  # fmt: skip
            recipe = make_recipe(opened, point.method, point.seed)
            result, metrics = self._run(recipe, opened)
            recipe = result.recipe
            self._keep(result, point)
            return GridResult(point=point, metrics=metrics, recipe=recipe)
        except Interrupted:
            raise
        except PadisError as error:
            return GridResult(point=point, metrics={}, error=str(error), recipe=recipe)
        except Exception as error:  # one broken point must not cost the others
            log.exception("A run of the grid failed: %s", point)
            return GridResult(
                point=point, metrics={}, error=f"{type(error).__name__}: {error}", recipe=recipe
            )

    def _run(self, recipe: Recipe, opened: Opened) -> tuple[Result, dict[str, float]]:
        """The operator is built once for all methods that are compared on a problem."""
        run, last = Run(recipe, opened, prepared=self._prepared), None

        def watch(iterate: Iterate) -> None:
            nonlocal last
            last = iterate
            self._check()

        result = finish(run, watch)
        assert run.prepared is not None
        self._prepared = run.prepared
        metrics = {"seconds": result.seconds, "evaluations": float(result.evaluations)}
        if last is not None:
            metrics |= measure_further(run.prepared.problem, last.estimate, last.partition)
        return result, metrics | result.metrics

    def _keep(self, result: Result, point: GridPoint) -> None:
        """Leave the picture where pictures are kept; what it came to counts without it."""
        if self._pictures is None:
            return
        path = picture_of(point, self._pictures)
        try:
            with failures_said("A picture", path):
                path.parent.mkdir(parents=True, exist_ok=True)
                save_result(path, result, About.of(result, point.name))
        except InputError as error:
            log.warning("%s", error)
