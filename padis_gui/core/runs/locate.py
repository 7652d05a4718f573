"""Recipes of other places: their files are found again by path, by name, and by what they hold; and what differs here.

It is also said in words what two recipes do not share, and whether two results are the same.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from padis_gui.core.files.formats.folder import data_sha256
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.runs.presets import bundled_files
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.settings.declarations import specs

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


What = Literal["data", "prior", "file"]
_NAMES: dict[What, str] = {"data": "The image", "prior": "The prior", "file": "The file"}
_MOST_CANDIDATES = 200  # of one folder, and no more bytes than these, are looked into
_MOST_BYTES = 4 * 2**30


@dataclass(frozen=True, slots=True)
class Missing:
    """A file that is nowhere: what it is, where it was, its hash, and whether another one lies there now."""

    what: What
    file: str
    sha256: str
    changed: bool
    looked_in: tuple[Path, ...]

    @property
    def sentence(self) -> str:
        """In words, with what to do."""
        if self.what == "data" and not self.file:
            return "The image of this run was an array, which is in no file; save the array and give its file instead."
        places = ", ".join(str(folder) for folder in self.looked_in)
        also = f", nor is it in {places}" if places else ""
        state = "has changed since the run" if self.changed else "is not there"
        return (
            f"{_NAMES[self.what]} {self.file} was wanted as it was for this run (SHA-256 {self.sha256[:12]}…), but it "
            f"{state}{also}; put it there."
        )


@dataclass(frozen=True, slots=True)
class Located:
    """A recipe with the paths that its files have here; ``remarks`` say which are elsewhere, or others."""

    recipe: Recipe
    remarks: tuple[str, ...]
    missing: tuple[Missing, ...]


class _Search:
    """Looks for files in folders, and in what the program ships; hashes each candidate once."""

    def __init__(self, near: Iterable[Path]) -> None:
        self._near = tuple(dict.fromkeys(Path(folder) for folder in near))
        self._hashes: dict[Path, str] = {}
        self.remarks: list[str] = []
        self.missing: list[Missing] = []

    def find(self, what: What, file: str, sha256: str, given: Path | None = None) -> tuple[Path, str]:
        """The path and the hash to use; what is missing keeps those that it had."""
        path = Path(file)
        if given is not None:
            found = self._hash(given)
            if found is None:
                self.missing.append(Missing(what, str(given), sha256, False, ()))
                return path, sha256
            if sha256 and found != sha256:
                what_was = path.name or "which was an array: whether it holds the same is not known"
                self.remarks.append(f"{_NAMES[what]} {given} is not the one of the run, {what_was}.")
            return Path(given).resolve(), found
        if not file:
            self.missing.append(Missing(what, "", sha256, False, ()))
            return path, sha256
        there = self._hash(path)
        if there is not None and sha256 in ("", there):
            return path, there
        for candidate in self._candidates(path):
            if sha256 and self._hash(candidate) == sha256:
                self.remarks.append(f"{_NAMES[what]} {path.name} was found as {candidate}.")
                return candidate.resolve(), sha256
        self.missing.append(Missing(what, file, sha256, there is not None, self._near))
        return path, sha256

    def _candidates(self, path: Path) -> Iterator[Path]:
        suffix = path.suffix.lower()
        for folder in self._near:
            yield folder / path.name
        for folder in self._near if suffix else ():
            try:
                files = sorted(f for f in folder.iterdir() if f.suffix.lower() == suffix and f.is_file())
            except OSError:
                continue
            taken = 0
            for file in files[:_MOST_CANDIDATES]:
                taken += file.stat().st_size
                if taken > _MOST_BYTES:
                    break
                yield file
        yield from bundled_files(suffix)

    def _hash(self, path: Path) -> str | None:
        path = Path(path)
        if path not in self._hashes:
            try:
                # a recipe may come from anywhere: what has no end, such as a device, is never read
                self._hashes[path] = data_sha256(path) if path.is_file() or path.is_dir() else ""
            except (OSError, ValueError):
                self._hashes[path] = ""
        return self._hashes[path] or None


def locate(
    recipe: Recipe, near: Iterable[Path] = (), *, data: Path | None = None, prior: Path | None = None
) -> Located:
    """Find a recipe's files: where they were, in the folders ``near``, among the bundled ones; by hash, never by name.

    ``data`` and ``prior`` are taken instead, whatever they hold; a remark says so where it is something else.
    """
    search = _Search(near)
    changes: dict[str, object] = {}
    if recipe.data is not None:
        path, sha256 = search.find("data", recipe.data.file, recipe.data.sha256, data)
        file = str(path) if recipe.data.file or data is not None else ""
        changes["data"] = recipe.data.model_copy(update={"file": file, "sha256": sha256})
    path, sha256 = search.find("prior", recipe.prior.file, recipe.prior.sha256, prior)
    changes["prior"] = recipe.prior.model_copy(update={"file": str(path), "sha256": sha256})
    moved = {file: search.find("file", file, wanted) for file, wanted in recipe.files.items()}
    changes["files"] = {str(path): sha256 for path, sha256 in moved.values()}
    changes["problem"] = {
        name: str(moved[value][0]) if isinstance(value, str) and value in moved else value
        for name, value in recipe.problem.items()
    }
    return Located(recipe.model_copy(update=changes), tuple(search.remarks), tuple(search.missing))
