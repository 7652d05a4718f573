"""A queue of runs as a JSON file: saved by the window, run by `padis-gui queue` or opened in another window."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from padis_gui.core.runs.recipe import Recipe
from padis_gui.core.settings.errors import InputError
from padis_gui.core.settings.untrusted import check_text, fault_of, plain, read_json

_MACHINE = ("device", "precision", "threads", "versions")


class QueuedRun(BaseModel):
    """One run that waits: its name, and all that decides its result."""

    model_config = ConfigDict(frozen=True)
    name: Annotated[str, Field(max_length=300), AfterValidator(plain)]
    recipe: Recipe


class QueueFile(BaseModel):
    """What the file holds; runs in the order in which they are wanted."""

    model_config = ConfigDict(frozen=True)
    format: Literal["padis-gui queue"]
    version: Literal[1]
    runs: tuple[QueuedRun, ...]


def queue_as_json(runs: Iterable[QueuedRun]) -> bytes:
    """The file of these runs."""
    queue = QueueFile(format="padis-gui queue", version=1, runs=tuple(runs))
    return (queue.model_dump_json(indent=1) + "\n").encode()


def read_queue(path: Path) -> tuple[QueuedRun, ...]:
    """The runs in a file; raises :class:`InputError` where it holds none."""
    wanted = "A queue saved by padis-gui was wanted"
    try:
        found = read_json(path)
        check_text(found)
        runs = QueueFile.model_validate(found).runs
    except OSError as error:
        raise InputError(
            f"{wanted}, but {path} cannot be read ({error.strerror}); choose another file."
        ) from None
    except ValidationError as error:
        raise InputError(
            f"{wanted}, but in {path.name} {fault_of(error)}; save it again in the window's Queue panel."
        ) from None
    except ValueError:
        raise InputError(
            f"{wanted}, but {path.name} is none; save one in the window's Queue panel."
        ) from None
    if not runs:
        raise InputError(f"{wanted}, but no run waits in {path.name}; add some and save it again.")
    return runs


def file_names(names: Iterable[str]) -> list[str]:
    """A name for a TIFF for each run, none twice, of letters and figures that every disk takes."""
    taken: set[str] = set()
    found = []
    for name in names:
        stem = "".join(c if c.isalnum() or c in "-_. " else "_" for c in name).strip(". ")[:100] or "run"
        chosen, number = stem, 2
        while chosen.casefold() in taken:
            chosen, number = f"{stem} {number}", number + 1
        taken.add(chosen.casefold())
        found.append(f"{chosen}.tif")
    return found


def same_run(one: Recipe, other: Recipe) -> bool:
    """Whether two recipes are of the same run, on whatever machine."""
    fields = set(Recipe.model_fields) - set(_MACHINE)
    return all(getattr(one, name) == getattr(other, name) for name in fields)
