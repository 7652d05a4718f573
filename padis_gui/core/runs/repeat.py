"""From a recipe to its result: the files that it names, read again and checked, and the run itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from padis_gui.core import torch
from padis_gui.core.files.formats.folder import data_sha256
from padis_gui.core.files.read import read_cone_volume, read_image, read_volume
from padis_gui.core.images.image import Image
from padis_gui.core.images.metrics import Calibration, calibrate, summarise
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.prior.checkpoint import load_prior
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.runs.control import Control
from padis_gui.core.runs.engine import Result, Run, finish
from padis_gui.core.runs.opened import Opened, Prepared, measure, measure_further
from padis_gui.core.runs.recipe import DataReference, Recipe, array_sha256, draft_recipe
from padis_gui.core.settings.errors import InputError
from padis_gui.core.solvers.iterate import Iterate


def unchanged(file: str, sha256: str, *, linked: bool = False) -> Path:
    """The path of a file or folder, if it holds what it held; raises :class:`InputError` where it is gone or another.

    ``linked`` as for :func:`~padis_gui.core.files.formats.folder.data_sha256`.
    """
    if not file:
        raise InputError(
            "The image of this run was an array, which is in no file; save the array and use the settings of this run on "
            "its file."
        )
    path = Path(file)
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise OSError(0, "it is neither a file nor a folder")
        found = data_sha256(path, linked=linked)
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


def image_of(
    data: DataReference,
    path: Path,
    opened: Image | None = None,
    pages: tuple[int, ...] = (),
    *,
    together: bool = False,
) -> Image:
    """The recipe's image, with the window that it had; ``opened`` where that is the same page, or the same volume of
    ``pages``, else read. A scan may be one whose slices were measured ``together``."""
    image = opened
    if image is None or (image.page, image.reading, image.slices) != (data.page, data.reading, pages):
        if pages and together and read_image(path, 0, data.reading).is_scan:
            image = read_cone_volume(path, data.reading)
        else:
            image = (
                read_volume(path, pages, data.reading) if pages else read_image(path, data.page, data.reading)
            )
    if (image.window, image.unit) == (data.window, data.unit):
        return image
    return replace(image, window=data.window, unit=data.unit)


def _array_of(data: DataReference, near: Opened | None) -> Image:
    """The open array, if it is the recipe's; raises :class:`InputError`."""
    image = None if near is None or near.data_path is not None else near.image
    if image is None or array_sha256(image) != data.sha256:
        came = "none came" if image is None else "another one came"
        raise InputError(
            f"The array that this run was made of was wanted, as it is in no file, but {came}; give that array, or a file "
            "that holds it."
        )
    return replace(image, window=data.window, unit=data.unit)


def prior_of(recipe: Recipe, path: Path, device: torch.device) -> PatchPrior:
    """The recipe's prior, loaded; of a snapshot, at its image size."""
    size = recipe.prior.image_size if path.suffix == ".pkl" else None
    return replace(load_prior(path, device, recipe.precision, size), positions=recipe.prior.positions)


def open_recipe(recipe: Recipe, device: torch.device, near: Opened | None = None) -> Opened:
    """What a recipe was made of, read again and checked. Reads files; not for the UI thread.

    ``near`` is what is open already: its image and its prior are used where they are the recipe's. Raises
    :class:`InputError` where a file is not what it was.
    """
    image = data_path = None
    if recipe.data is not None and not recipe.data.file:
        image = _array_of(recipe.data, near)
    elif recipe.data is not None:
        data_path = unchanged(recipe.data.file, recipe.data.sha256, linked=recipe.data.reading.follows_links)
        is_open = near is not None and near.data_path is not None and near.data_path.resolve() == data_path
        pages = () if recipe.stack is None else recipe.stack.pages
        together = find_physics(recipe.physics).of_volumes
        image = image_of(
            recipe.data,
            data_path,
            near.image if is_open and near is not None else None,
            pages,
            together=together,
        )
    for file, sha256 in recipe.files.items():
        unchanged(file, sha256)
    prior_path = unchanged(recipe.prior.file, recipe.prior.sha256)
    prior = None if near is None else _open_prior(recipe, prior_path, near)
    across_path, across = None, None
    if recipe.stack is not None and recipe.stack.across is not None:
        across_path = unchanged(recipe.stack.across.file, recipe.stack.across.sha256)
        across = load_prior(across_path, device, recipe.precision)
    return Opened(
        image=image,
        data_path=data_path,
        prior=prior or prior_of(recipe, prior_path, device),
        prior_path=prior_path,
        across=across,
        across_path=across_path,
    )


def _open_prior(recipe: Recipe, path: Path, near: Opened) -> PatchPrior | None:
    """The open prior, where it is the recipe's."""
    wanted, prior = recipe.prior, near.prior
    same_size = wanted.image_size in (None, prior.conventions.image_size)
    if near.prior_path.resolve() != path.resolve() or prior.precision != recipe.precision or not same_size:
        return None
    return prior if prior.positions == wanted.positions else replace(prior, positions=wanted.positions)


def as_here(recipe: Recipe, opened: Opened) -> Recipe:
    """The recipe as it is run again with what :func:`open_recipe` gave: on this machine, with its own threads."""
    return draft_recipe(
        opened, recipe.method, recipe.seed, measurement_seed=recipe.measurement_seed, changes=recipe.changes,
        stop_after=recipe.stop_after, paired=recipe.paired, threads=recipe.threads,
    )  # fmt: skip


MOST_SAMPLES = 200


def sample_seeds(base: int, count: int) -> list[int]:
    """Different seeds for the samples of one measurement, always the same ones for the same base."""
    rng = torch.Generator().manual_seed(base)
    found: list[int] = []
    while len(found) < count:
        seed = int(torch.randint(0, 10**9, (), generator=rng))
        if seed not in found and seed != base:
            found.append(seed)
    return found


def of_samples(samples: Sequence[Result], prepared: Prepared | None) -> tuple[Result, Calibration | None]:
    """The mean, deviation and interval of samples that differ in the solver's seed only.

    ``prepared`` is what they were drawn for: with it the mean is measured, and where the truth is known, how well the
    deviation foretells the error. Raises :class:`~padis_gui.core.settings.errors.SettingError` for fewer than two.
    """
    nothing = np.empty((0, 1, 1, 1), dtype=np.float32)
    found = summarise(np.stack([sample.pixels for sample in samples]) if samples else nothing)
    first, calibration = samples[0], None
    metrics = {"samples": float(found.count)}
    if prepared is not None and prepared.problem.operator.image_shape == found.mean.shape:
        problem, (low, high) = prepared.problem, first.window
        mean = torch.from_numpy((found.mean - low) / (high - low)).to(problem.device)
        metrics |= measure(problem, mean) | measure_further(problem, mean)
        if problem.truth is not None:
            calibration = calibrate(found, prepared.image.from_unit(problem.truth))
    metrics |= {name: value for name, value in first.metrics.items() if name.endswith("_baseline")}
    if calibration is not None and math.isfinite(calibration.correlation):
        metrics |= {"correlation": calibration.correlation, "coverage": calibration.coverage}
    mean_of_all = Result(
        recipe=first.recipe.model_copy(update={"sample_seeds": tuple(s.recipe.seed for s in samples)}),
        image=replace(first.image, pixels=found.mean), deviation=found.deviation, metrics=metrics,
        interval=(found.low, found.high), seconds=sum(sample.seconds for sample in samples),
        evaluations=sum(sample.evaluations for sample in samples),
    )  # fmt: skip
    return mean_of_all, calibration


class Repeater:
    """Runs recipes on one device; what the last one had open serves the next one, and ``near`` the first.

    ``prepared`` is the problem of the last one.
    """

    def __init__(self, device: torch.device, near: Opened | None = None) -> None:
        self._device = device
        self._opened = near
        self.prepared: Prepared | None = None

    def run(
        self,
        recipe: Recipe,
        watch: Callable[[Iterate], None] = lambda iterate: None,
        control: Control | None = None,
    ) -> Result:
        """Run a recipe from its first step, or each of its samples; ``watch`` sees every iterate.

        Raises :class:`InputError` where a file is not what it was, and what went wrong on the way.
        """
        return self._samples(recipe, watch) if recipe.sample_seeds else self._single(recipe, watch, control)

    def _single(self, recipe: Recipe, watch: Callable[[Iterate], None], control: Control | None) -> Result:
        self._opened = opened = open_recipe(recipe, self._device, self._opened)
        run = Run(as_here(recipe, opened), opened, control, prepared=self.prepared)
        result = finish(run, watch)
        self.prepared = run.prepared
        return result

    def _samples(self, recipe: Recipe, watch: Callable[[Iterate], None]) -> Result:
        """The mean, deviation and interval of samples, which differ in the solver's seed only."""
        runs = [
            self._single(recipe.model_copy(update={"seed": seed, "sample_seeds": ()}), watch, None)
            for seed in recipe.sample_seeds
        ]
        return of_samples(runs, self.prepared)[0]
