"""A study as it is wanted, fully described; it lies in its folder, beside its results and their pictures."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from padis_gui.core.files.formats.open import count_pages
from padis_gui.core.files.read import read_image
from padis_gui.core.prior.checkpoint import read_record
from padis_gui.core.prior.tiling import TilingSettings
from padis_gui.core.runs.presets import bundled_prior, find_preset
from padis_gui.core.runs.recipe import Seed
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import InputError, SettingError
from padis_gui.core.settings.files import failures_said, write_atomically
from padis_gui.core.settings.machine import pick_device
from padis_gui.core.settings.untrusted import fault_of, read_json
from padis_gui.core.studies.grid import Grid, ImagePage, check_size, varied
from padis_gui.core.training.plan import TrainingRequest

REQUEST_FILE, RESULTS_FILE, PICTURES = "study.json", "results.jsonl", "pictures"
TABLES = ("study.html", "study.md", "study.csv")
_MOST = 1000  # of anything that is named
Word = Annotated[str, Field(max_length=200)]
Words = Annotated[tuple[Word, ...], Field(max_length=_MOST)]


class StudyTraining(BaseModel):
    """A prior that the study trains before its runs: a name, and what its training is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,59}$")]
    training: TrainingRequest


class StudyRequest(BaseModel):
    """Images, and every combination of what is tried on them; round-trips through JSON.

    ``images`` are files, of which ``pages`` count, from 0 (all where there are none), and of those the first
    ``most_images`` (0: all). ``problems`` are presets; ``varied`` are settings with the values that they take, as
    :func:`~padis_gui.core.studies.grid.varied` reads them; ``patch`` without any has those that the priors were trained
    with. The priors of its ``trainings`` are compared beside ``priors``; without either it is the bundled one of the
    problems.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["padis-gui study"] = "padis-gui study"
    version: Literal[1] = 1
    title: Word = ""
    question: Annotated[str, Field(max_length=_MOST)] = ""
    images: Annotated[tuple[Path, ...], Field(max_length=100_000)] = ()
    pages: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**31)], ...], Field(max_length=100_000)] = ()
    most_images: int = Field(0, ge=0, le=1_000_000)
    problems: Words = ()
    solvers: Words = ()
    tilings: Words = ("random",)
    positions: Annotated[tuple[bool, ...], Field(max_length=2)] = (True,)
    seeds: Annotated[tuple[Seed, ...], Field(max_length=_MOST)] = (1,)
    varied: Annotated[dict[Word, Words], Field(max_length=20)] = Field(default_factory=dict)
    priors: Annotated[tuple[Path, ...], Field(max_length=_MOST)] = ()
    trainings: Annotated[tuple[StudyTraining, ...], Field(max_length=_MOST)] = ()
    device: Word = "auto"
    keeps_pictures: bool = True

    def grid(self, images: tuple[ImagePage, ...], trained: tuple[Path, ...] = ()) -> Grid:
        """The runs on these images, with the priors that were ``trained`` for it.

        Raises :class:`SettingError` for names or values that no method has, and for more runs than anybody can wait for.
        """
        presets = tuple(find_preset(name) for name in self.problems)
        priors = (*trained, *self.priors) or common_prior((preset.physics for preset in presets), self.device)
        grid = Grid(
            images=images[: self.most_images or None], problems=presets, priors=priors, solvers=self.solvers,
            tilings=tuple(make(TilingSettings, {"strategy": name}) for name in self.tilings),
            positions=self.positions, seeds=self.seeds,
            varied=tuple(
                varied(name, values or _trained(name, priors), presets, self.solvers)
                for name, values in self.varied.items()
            ),
        )  # fmt: skip
        check_size(grid)
        return grid


def common_prior(physics: Iterable[str], device: str) -> tuple[Path, ...]:
    """The one bundled prior of these physics; raises :class:`SettingError` where they have several."""
    kind = pick_device(device).type
    priors = tuple(dict.fromkeys(bundled_prior(name, kind) for name in physics))
    if len(priors) > 1:
        raise SettingError(
            "Problems of one bundled prior were wanted, but CT and pictures came together; run them apart, or "
            "choose the priors by hand."
        )
    return priors


def _trained(name: str, priors: tuple[Path, ...]) -> tuple[str, ...]:
    """The patch sizes that priors were trained with, ascending; of another setting nothing is known."""
    if name.rpartition(".")[2] != "patch":
        return ()
    sizes = {size for path in priors for size in read_record(path).conventions.patch_sizes}
    return tuple(str(size) for size in sorted(sizes))


def pages_of(files: tuple[Path, ...], pages: tuple[int, ...] = ()) -> tuple[ImagePage, ...]:
    """Every (file, page) of these files, or of these pages of them; raises :class:`InputError` for a bad file."""
    return tuple((path, page) for path in files for page in pages or range(count_pages(path)))


def images_in(files: tuple[Path, ...], pages: tuple[int, ...] = ()) -> tuple[ImagePage, ...]:
    """The same, of images that have all been read once, so that a bad one is found before the first run.

    Raises :class:`InputError` for that, and for a measurement, which has no truth to compare with.
    """
    found = pages_of(files, pages)
    for path, page in found:
        if read_image(path, page).measured is not None:
            raise InputError(
                f"Images were wanted, of which methods are compared to the truth, but {path.name} is a measurement; "
                "reconstruct it by itself."
            )
    return found


def holds_a_study(folder: Path) -> bool:
    """Whether a folder says which study it is of, or has results."""
    return any((Path(folder) / name).exists() for name in (REQUEST_FILE, RESULTS_FILE))


def load_study(folder: Path) -> StudyRequest:
    """The request in a study's folder; raises :class:`InputError` where there is none that can be read."""
    path = Path(folder) / REQUEST_FILE
    try:
        return StudyRequest.model_validate(read_json(path))
    except FileNotFoundError:
        what = f"{folder} holds no {REQUEST_FILE}"
    except OSError as error:
        what = f"{path} cannot be read ({error.strerror})"
    except ValidationError as error:
        what = f"{path} is damaged or of another version ({fault_of(error)})"
    except ValueError as error:
        what = f"{path} is damaged ({error})"
    raise InputError(f"A study to go on with was wanted, but {what}; choose the folder of one.")


def save_study(request: StudyRequest, folder: Path) -> Path:
    """Leave the request in the folder, which is made; returns its file. Raises :class:`InputError` where it cannot be."""
    path = Path(folder) / REQUEST_FILE
    with failures_said("The study", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, request.model_dump_json(indent=1).encode())
    return path


def studies_in(root: Path) -> list[Path]:
    """The folders of studies in a folder, those that changed last first; none where there is no such folder."""
    found: list[tuple[float, Path]] = []
    try:
        for folder in Path(root).iterdir():
            if (folder / REQUEST_FILE).is_file():
                results = folder / RESULTS_FILE
                found.append(
                    ((results if results.exists() else folder / REQUEST_FILE).stat().st_mtime, folder)
                )
    except OSError:
        pass
    return [folder for _, folder in sorted(found, reverse=True)]
