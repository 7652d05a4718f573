"""What two recipes do not share, in words, and whether two results are the same."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.physics.registry import find_physics
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.settings._j_declarations__core_settings import specs

_WORDS = {
    "data": "the image", "files": "the problem's files", "prior": "the prior", "changes": "the live changes",
    "stop_after": "the last step", "measurement_seed": "the seed of the measurement",
    "sample_seeds": "the seeds of the samples",
}  # fmt: skip
_MACHINE = {"device": "the device", "precision": "the precision", "threads": "the number of threads"}


def differences(one: Recipe, other: Recipe) -> tuple[str, ...]:
    """What the second recipe has otherwise than the first: a run repeated under these may give other bits.

    Files that only lie elsewhere are the same files.
    """
    first, second = _content(one), _content(other)
    found = []
    for name in Recipe.model_fields:
        if first[name] == second[name]:
            continue
        if name == "versions":
            found += _versions(one.versions, other.versions)
        elif name in _MACHINE:
            found.append(f"{_MACHINE[name]} (was {first[name]}, is {second[name]})")
        else:
            found.append(_WORDS.get(name, f"the {name}"))
    return tuple(found)


def _content(recipe: Recipe) -> dict[str, Any]:
    """A recipe's fields, with what its files hold in the place of where they lie."""
    found = {name: getattr(recipe, name) for name in Recipe.model_fields}
    if recipe.data is not None and recipe.data.sha256:
        found["data"] = recipe.data.model_copy(update={"file": ""})
    if recipe.prior.sha256:
        found["prior"] = recipe.prior.model_copy(update={"file": ""})
    named = {s.name for s in specs(find_physics(recipe.physics).settings_type) if s.kind == "file"}
    found["problem"] = {
        name: recipe.files.get(str(value), value) if name in named else value
        for name, value in recipe.problem.items()
    }
    found["files"] = sorted(recipe.files.values())
    return found


def _versions(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return [
        f"{name} (was {one.get(name, 'not there')}, is {other.get(name, 'not there')})"
        for name in dict.fromkeys([*one, *other])
        if one.get(name) != other.get(name)
    ]


def compared(
    name: str,
    first: Sequence[NDArray[Any]],
    again: Sequence[NDArray[Any]],
    *,
    unit: str = "",
    other: Sequence[str] = (),
) -> tuple[bool, str]:
    """Whether the pages of a repeated result are those of the first one, called ``name``, and words that say so.

    Where they are not the words tell by how much they differ, in ``unit``, and ``other``: what differed in the making.
    """
    reason = f"; different are {', '.join(other)}" if other else ""
    if [page.shape for page in first] != [page.shape for page in again]:
        return False, f"differs from {name} in size or number of pictures{reason}"
    if all(_same_bits(a, b) for a, b in zip(first, again, strict=True)):
        return True, f"identical to {name}, bit for bit"
    apart = [np.abs(a.astype(np.float64) - b) for a, b in zip(first, again, strict=True)]
    found = np.concatenate([page[np.isfinite(page)] for page in apart])
    largest = float(found.max()) if found.size else float("nan")
    return False, f"differs from {name} by at most {largest:.3g}{f' {unit}' if unit else ''}{reason}"


def _same_bits(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Also zeros of different sign are different bits; the order of bytes in a file is none of the values."""
    first, second = (np.ascontiguousarray(page, page.dtype.newbyteorder("=")) for page in (one, other))
    return first.dtype == second.dtype and first.tobytes() == second.tobytes()
