"""Finding again what a recipe was made of: by its path, by its name, and by what it holds."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from padis_gui.core.files.formats.folder import data_sha256
from padis_gui.core.runs.differences import said_newer
from padis_gui.core.runs.presets import bundled_files
from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.settings.untrusted import plain

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
            f"{_NAMES[self.what]} {plain(self.file)} was wanted as it was for this run (SHA-256 "
            f"{plain(self.sha256[:12])}…), but it {state}{also}; put it there."
        )


@dataclass(frozen=True, slots=True)
class Located:
    """A recipe with the paths that its files have here; ``remarks`` say which are elsewhere, or others, and that a
    newer version of the program made it."""

    recipe: Recipe
    remarks: tuple[str, ...]
    missing: tuple[Missing, ...]


class _Search:
    """Looks for files in folders, and in what the program ships; hashes each candidate once."""

    def __init__(self, near: Iterable[Path], *, linked: bool = False) -> None:
        self._near = tuple(dict.fromkeys(Path(folder) for folder in near))
        self._linked = linked  # whether the links of data are followed
        self._hashes: dict[tuple[Path, bool], str] = {}
        self.remarks: list[str] = []
        self.missing: list[Missing] = []

    def find(self, what: What, file: str, sha256: str, given: Path | None = None) -> tuple[Path, str]:
        """The path and the hash to use; what is missing keeps those that it had."""
        path, linked = Path(file), self._linked and what == "data"
        if given is not None:
            found = self._hash(given, linked)
            if found is None:
                self.missing.append(Missing(what, str(given), sha256, False, ()))
                return path, sha256
            if sha256 and found != sha256:
                what_was = plain(path.name) or "which was an array: whether it holds the same is not known"
                self.remarks.append(f"{_NAMES[what]} {given} is not the one of the run, {what_was}.")
            return Path(given).resolve(), found
        if not file:
            self.missing.append(Missing(what, "", sha256, False, ()))
            return path, sha256
        there = self._hash(path, linked)
        if there is not None and sha256 in ("", there):
            return path, there
        for candidate in self._candidates(path):
            if sha256 and self._hash(candidate, linked) == sha256:
                self.remarks.append(f"{_NAMES[what]} {plain(path.name)} was found as {candidate}.")
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

    def _hash(self, path: Path, linked: bool) -> str | None:
        key = Path(path), linked
        if key not in self._hashes:
            try:
                # a recipe may come from anywhere: what has no end, such as a device, is never read
                is_there = key[0].is_file() or key[0].is_dir()
                self._hashes[key] = data_sha256(key[0], linked=linked) if is_there else ""
            except (OSError, ValueError):
                self._hashes[key] = ""
        return self._hashes[key] or None


def locate(
    recipe: Recipe, near: Iterable[Path] = (), *, data: Path | None = None, prior: Path | None = None
) -> Located:
    """Find a recipe's files: where they were, in the folders ``near``, among the bundled ones; by hash, never by name.

    ``data`` and ``prior`` are taken instead, whatever they hold; a remark says so where it is something else.
    """
    newer = said_newer("The recipe", recipe.versions.get("padis_gui"))
    search = _Search(near, linked=recipe.data is not None and recipe.data.reading.follows_links)
    changes: dict[str, object] = {}
    if recipe.data is not None:
        path, sha256 = search.find("data", recipe.data.file, recipe.data.sha256, data)
        file = str(path) if recipe.data.file or data is not None else ""
        changes["data"] = recipe.data.model_copy(update={"file": file, "sha256": sha256})
    path, sha256 = search.find("prior", recipe.prior.file, recipe.prior.sha256, prior)
    changes["prior"] = recipe.prior.model_copy(update={"file": str(path), "sha256": sha256})
    if (stack := recipe.stack) is not None and stack.across is not None:
        path, sha256 = search.find("prior", stack.across.file, stack.across.sha256)
        across = stack.across.model_copy(update={"file": str(path), "sha256": sha256})
        changes["stack"] = stack.model_copy(update={"across": across})
    moved = {file: search.find("file", file, wanted) for file, wanted in recipe.files.items()}
    changes["files"] = {str(path): sha256 for path, sha256 in moved.values()}
    changes["problem"] = {
        name: str(moved[value][0]) if isinstance(value, str) and value in moved else value
        for name, value in recipe.problem.items()
    }
    remarks = (*search.remarks, *([newer] if newer else ()))
    return Located(recipe.model_copy(update=changes), remarks, tuple(search.missing))
