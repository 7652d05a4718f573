"""What an adaptation made of a prior, kept as a prior of its own."""

from pathlib import Path
from typing import Any

from padis_gui.core.prior.checkpoint import PriorRecord, read_record, save_prior
from padis_gui.core.runs.engine import Result
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.settings.errors import CheckpointError, InputError
from padis_gui.core.settings.files import failures_said

SUFFIX = ".safetensors"


def check_is_prior(path: Path) -> None:
    """Raises :class:`CheckpointError` for a prior with another ending."""
    if path.suffix.lower() != SUFFIX:
        raise CheckpointError(
            f"A prior was to be written, but {path.name} does not end in {SUFFIX}; rename it."
        )


def keep_prior(path: Path, result: Result) -> PriorRecord:
    """Write the prior that was adapted for this result, its factors merged, and return its record. Atomic.

    In single precision, so that it is to the last bit the one that the run had. The record is that of the prior that it
    came from, and says of what data, with which settings and how well it was adapted. Raises :class:`InputError` where
    nothing was adapted, or where it cannot be written.
    """
    adapted, recipe = result.adapted, result.recipe
    if adapted is None or recipe.adaptation is None:
        raise InputError(
            "A prior that was adapted was wanted, but this result has none at hand; run it once more with the adaptation."
        )
    check_is_prior(path)
    origin = read_record(Path(recipe.prior.file), recipe.prior.image_size)
    record = origin.model_copy(
        update={
            "name": path.stem,
            "training": origin.training | {"adapted": _how(result, recipe, origin.name)},
        }
    )
    with failures_said("The prior", path):
        save_prior(path, record, adapted.prior.network.state_dict(), half=False)
    return record


def _how(result: Result, recipe: Recipe, name: str) -> dict[str, Any]:
    """What the record says of an adaptation."""
    adapted, settings, data = result.adapted, recipe.adaptation, recipe.data
    assert adapted is not None, "there is a prior to keep"
    assert settings is not None, "and it was adapted with some"
    return {
        "from": {"name": name, "file": Path(recipe.prior.file).name, "sha256": recipe.prior.sha256},
        "data": None
        if data is None
        else {"file": Path(data.file).name, "page": data.page, "sha256": data.sha256},
        "physics": recipe.physics,
        "seed": recipe.seed,
        "settings": settings.model_dump(mode="json"),
        "steps": adapted.best,
        "curve": [{"step": step, "training": used, "aside": aside} for step, used, aside in adapted.curve],
    }
