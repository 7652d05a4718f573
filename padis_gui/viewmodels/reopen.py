"""From a recipe back to what it was made of: the image, the prior and all choices, read again and checked."""

from dataclasses import replace
from pathlib import Path

import torch

from padis_gui.core.checkpoint import file_sha256, load_prior
from padis_gui.core.data.image import Image
from padis_gui.core.data.read import read_image
from padis_gui.core.errors import InputError
from padis_gui.core.prior import PatchPrior
from padis_gui.core.recipe import DataReference, Recipe
from padis_gui.viewmodels.frames import Job


def unchanged(file: str, sha256: str) -> Path:
    """The path of a file, if it holds what it held; raises :class:`InputError` where it is gone or another."""
    path = Path(file)
    try:
        found = file_sha256(path)
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


def job_of(recipe: Recipe, device: torch.device, opened: Job | None) -> Job:
    """The job that repeats a recipe. Reads files; call it in the compute thread.

    ``opened`` is what the session has open: its image and prior are used where they are the recipe's. Raises
    :class:`InputError` where a file is not what it was.
    """
    image = data_path = None
    if recipe.data is not None:
        data_path = unchanged(recipe.data.file, recipe.data.sha256)
        image = _image(recipe.data, data_path, opened)
    for file, sha256 in recipe.files.items():
        unchanged(file, sha256)
    prior_path = unchanged(recipe.prior.file, recipe.prior.sha256)
    return Job(
        image=image, data_path=data_path, prior=_prior(recipe, prior_path, device, opened), prior_path=prior_path,
        physics=recipe.physics, problem=recipe.problem_settings, tiling=recipe.tiling, solver=recipe.solver,
        settings=recipe.solver_settings, measurement_seed=recipe.measurement_seed, changes=recipe.changes,
        stop_after=recipe.stop_after, paired=recipe.paired, threads=recipe.threads,
    )  # fmt: skip


def _image(data: DataReference, path: Path, opened: Job | None) -> Image:
    """The recipe's image: the open one where it is the same, else read; with the window that it had."""
    image = None
    if opened is not None and opened.data_path is not None and opened.data_path.resolve() == path:
        image = opened.image
    if image is None or (image.page, image.reading) != (data.page, data.reading):
        image = read_image(path, data.page, data.reading)
    if (image.window, image.unit) == (data.window, data.unit):
        return image
    return replace(image, window=data.window, unit=data.unit)


def _prior(recipe: Recipe, path: Path, device: torch.device, opened: Job | None) -> PatchPrior:
    """The recipe's prior: the open one where it is the same, else loaded; of a snapshot, at its image size."""
    wanted = recipe.prior
    if (
        opened is not None
        and opened.prior_path.resolve() == path
        and opened.prior.precision == recipe.precision
    ):
        same_size = wanted.image_size in (None, opened.prior.conventions.image_size)
        if same_size and opened.prior.positions == wanted.positions:
            return opened.prior
        if same_size:
            return replace(opened.prior, positions=wanted.positions)
    size = wanted.image_size if path.suffix == ".pkl" else None
    return replace(load_prior(path, device, recipe.precision, size), positions=wanted.positions)
