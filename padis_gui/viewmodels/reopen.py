"""From a recipe back to what it was made of: the image, the prior and all choices, read again and checked."""

from dataclasses import replace
from pathlib import Path

import torch

from padis_gui.core.prior import PatchPrior
from padis_gui.core.recipe import Recipe, make_recipe
from padis_gui.core.repeat import image_of, prior_of, unchanged
from padis_gui.viewmodels.frames import Job


def recipe_of(job: Job, seed: int) -> Recipe:
    """The recipe of a job: what :func:`job_of` turns back. Hashes files; not for the UI thread."""
    recipe = make_recipe(
        image=job.image, data_path=job.data_path, prior=job.prior, prior_path=job.prior_path, physics=job.physics,
        problem=job.problem, tiling=job.tiling, solver=job.solver, settings=job.settings, seed=seed, paired=job.paired,
    )  # fmt: skip
    replayed = {
        "measurement_seed": job.measurement_seed,
        "changes": job.changes,
        "stop_after": job.stop_after,
    }
    return recipe.model_copy(update=replayed)


def job_of(recipe: Recipe, device: torch.device, opened: Job | None) -> Job:
    """The job that repeats a recipe. Reads files; call it in the compute thread.

    ``opened`` is what the session has open: its image and prior are used where they are the recipe's. Raises
    :class:`InputError` where a file is not what it was.
    """
    image = data_path = None
    if recipe.data is not None:
        data_path = unchanged(recipe.data.file, recipe.data.sha256)
        is_open = (
            opened is not None and opened.data_path is not None and opened.data_path.resolve() == data_path
        )
        image = image_of(recipe.data, data_path, opened.image if is_open and opened is not None else None)
    for file, sha256 in recipe.files.items():
        unchanged(file, sha256)
    prior_path = unchanged(recipe.prior.file, recipe.prior.sha256)
    return Job(
        image=image, data_path=data_path, prior=_prior(recipe, prior_path, device, opened), prior_path=prior_path,
        physics=recipe.physics, problem=recipe.problem_settings, tiling=recipe.tiling, solver=recipe.solver,
        settings=recipe.solver_settings, measurement_seed=recipe.measurement_seed, changes=recipe.changes,
        stop_after=recipe.stop_after, paired=recipe.paired, threads=recipe.threads,
    )  # fmt: skip


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
    return prior_of(recipe, path, device)
