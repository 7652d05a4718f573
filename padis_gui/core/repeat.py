"""From a recipe to its result: the files that it names, read again and checked, and the run itself."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from padis_gui.core.checkpoint import load_prior
from padis_gui.core.data.folder import data_sha256
from padis_gui.core.data.image import Image
from padis_gui.core.data.read import read_image
from padis_gui.core.device import torch_threads
from padis_gui.core.errors import InputError
from padis_gui.core.prior import PatchPrior
from padis_gui.core.problem import Problem
from padis_gui.core.recipe import (
    DataReference,
    Recipe,
    build_problem,
    make_recipe,
    measure,
    prepare_image,
    solve,
)
from padis_gui.core.solvers.iterate import Iterate
from padis_gui.core.uncertainty import calibrate, summarise


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """What a recipe gave: pictures (C, rows, columns) in the image's unit, and the recipe as it was run here.

    ``image`` is the estimate with its unit, window and spacing, ``problem`` what was measured; ``interval`` are the ends
    of an interval of each pixel, where the result is a set of samples.
    """

    image: Image
    deviation: NDArray[np.float32] | None
    recipe: Recipe
    metrics: dict[str, float]
    seconds: float
    evaluations: int
    problem: Problem
    interval: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    @property
    def pixels(self) -> NDArray[np.float32]:
        """The estimate."""
        return self.image.pixels

    @property
    def spacing(self) -> tuple[float, float] | None:
        """The pixel pitch (rows, columns) in mm."""
        return self.image.spacing

    @property
    def pages(self) -> list[NDArray[np.float32]]:
        """The estimate, and what is known of its samples."""
        return [self.pixels, *(() if self.deviation is None else (self.deviation,)), *(self.interval or ())]


def unchanged(file: str, sha256: str) -> Path:
    """The path of a file or folder, if it holds what it held; raises :class:`InputError` where it is gone or another."""
    path = Path(file)
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise OSError(0, "it is neither a file nor a folder")
        found = data_sha256(path)
    except OSError as error:
        raise InputError(
            f"The file {path} was wanted as it was for this run, but it cannot be read ({error.strerror}); put it back."
        ) from None
    if sha256 and found != sha256:
        raise InputError(
            f"The file {path} was wanted as it was for this run, but it has changed since; put the old one back, or "
            "use the settings of this run on the new one."
        )
    return path


def image_of(data: DataReference, path: Path, opened: Image | None = None) -> Image:
    """The recipe's image, with the window that it had; ``opened`` where that is the same page, else read."""
    image = opened
    if image is None or (image.page, image.reading) != (data.page, data.reading):
        image = read_image(path, data.page, data.reading)
    if (image.window, image.unit) == (data.window, data.unit):
        return image
    return replace(image, window=data.window, unit=data.unit)


def prior_of(recipe: Recipe, path: Path, device: torch.device) -> PatchPrior:
    """The recipe's prior, loaded; of a snapshot, at its image size."""
    size = recipe.prior.image_size if path.suffix == ".pkl" else None
    return replace(load_prior(path, device, recipe.precision, size), positions=recipe.prior.positions)


class Repeater:
    """Runs recipes on one device; what the last one had open serves the next one."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._image: tuple[DataReference, Image] | None = None
        self._prior: tuple[tuple[object, ...], PatchPrior] | None = None

    def run(self, recipe: Recipe, watch: Callable[[Iterate], None] = lambda _: None) -> Repeated:
        """Run a recipe from its first step, or each of its samples; ``watch`` sees every iterate.

        Raises :class:`InputError` where a file is not what it was.
        """
        return self._samples(recipe, watch) if recipe.sample_seeds else self._single(recipe, watch)

    def _samples(self, recipe: Recipe, watch: Callable[[Iterate], None]) -> Repeated:
        """The mean, deviation and interval of samples, which differ in the solver's seed only."""
        runs = [
            self._single(recipe.model_copy(update={"seed": seed, "sample_seeds": ()}), watch)
            for seed in recipe.sample_seeds
        ]
        found = summarise(np.stack([run.pixels for run in runs]))
        first = runs[0]
        low, high = first.image.window
        mean = torch.from_numpy((found.mean - low) / (high - low)).to(first.problem.device)
        metrics = {"samples": float(found.count)} | measure(first.problem, mean)
        metrics |= {name: value for name, value in first.metrics.items() if name.endswith("_baseline")}
        if first.problem.truth is not None:
            calibration = calibrate(found, first.image.from_unit(first.problem.truth))
            if calibration is not None and math.isfinite(calibration.correlation):
                metrics |= {"correlation": calibration.correlation, "coverage": calibration.coverage}
        return Repeated(
            image=replace(first.image, pixels=found.mean), deviation=found.deviation,
            recipe=first.recipe.model_copy(update={"sample_seeds": recipe.sample_seeds}), metrics=metrics,
            seconds=sum(run.seconds for run in runs), evaluations=sum(run.evaluations for run in runs),
            problem=first.problem, interval=(found.low, found.high),
        )  # fmt: skip

    def _single(self, recipe: Recipe, watch: Callable[[Iterate], None]) -> Repeated:
        path = image = None
        if recipe.data is not None:
            path = unchanged(recipe.data.file, recipe.data.sha256)
            image = self._opened_image(recipe.data, path)
        for file, sha256 in recipe.files.items():
            unchanged(file, sha256)
        prior_path = unchanged(recipe.prior.file, recipe.prior.sha256)
        prior, settings = self._opened_prior(recipe, prior_path), recipe.problem_settings
        with torch_threads(recipe.threads):
            resolved = make_recipe(
                image=image, data_path=path, prior=prior, prior_path=prior_path, physics=recipe.physics,
                problem=settings, tiling=recipe.tiling, solver=recipe.solver, settings=recipe.solver_settings,
                seed=recipe.seed, paired=recipe.paired,
            ).model_copy(
                update={name: getattr(recipe, name) for name in ("measurement_seed", "changes", "stop_after")}
            )  # fmt: skip
            drawn = recipe.seed if recipe.measurement_seed is None else recipe.measurement_seed
            problem = build_problem(image, prior, recipe.physics, settings, drawn)
            baseline = measure(problem, problem.operator.pinv(problem.measurement))
            began, last = time.perf_counter(), None
            for last in solve(resolved, problem, prior):
                watch(last)
            seconds = time.perf_counter() - began
        assert last is not None, "every solver has a step"
        metrics = measure(problem, last.estimate) | {f"{name}_baseline": v for name, v in baseline.items()}
        prepared = prepare_image(image, prior, settings)
        spread = last.deviation
        return Repeated(
            image=replace(prepared, pixels=prepared.from_unit(last.estimate)),
            deviation=None if spread is None else prepared.spread_from_unit(spread), recipe=resolved, metrics=metrics,
            seconds=seconds, evaluations=last.evaluations, problem=problem,
        )  # fmt: skip

    def _opened_image(self, data: DataReference, path: Path) -> Image:
        if self._image is None or self._image[0] != data:
            self._image = data, image_of(data, path)
        return self._image[1]

    def _opened_prior(self, recipe: Recipe, path: Path) -> PatchPrior:
        of = (recipe.prior, recipe.precision)
        if self._prior is None or self._prior[0] != of:
            self._prior = of, prior_of(recipe, path, self._device)
        return self._prior[1]
