"""Recipes of tests, from all that they are made of in one call."""

from pathlib import Path
from typing import Any

from padis_gui.core.images.image import Image
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import Opened
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.runs.recipe import make_recipe as recipe_of


def make_recipe(
    *, image: Image | None, data_path: Path | None, prior: PatchPrior, prior_path: Path, seed: int, **method: Any
) -> Recipe:  # fmt: skip
    """The sealed recipe; ``method`` are the fields of a :class:`Method`."""
    opened = Opened(image=image, data_path=data_path, prior=prior, prior_path=prior_path)
    return recipe_of(opened, Method(**method), seed)
