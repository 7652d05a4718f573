"""What is wanted of a volume: one recipe for all slices, which pages, and how they are tied together along z."""

import hashlib
import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from padis_gui.core.files.read import read_image
from padis_gui.core.images.image import Image, ReadingSettings
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.physics.slicewise import slice_seed
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.slices import z_smoothing_setting
from padis_gui.core.runs.opened import prior_window
from padis_gui.core.runs.recipe import MOST_SLICES_IN_ALL, Recipe
from padis_gui.core.settings.declarations import Settings, setting
from padis_gui.core.settings.errors import SettingError

PARTS_SUFFIX = ".parts"
_SAMPLED_PAGES = 9
_MACHINE = ("device", "threads", "versions")


class VolumeSettings(Settings):
    """What a volume has beside the settings of its slices."""

    pages: str = setting(
        "", label="Pages", help="Pages from 0, such as 0-99 or 3, 7, 10-20; empty takes all of them"
    )
    z_smoothing: float = z_smoothing_setting()
    slice_spacing: float | None = setting(
        None, gt=0, le=1000, label="Slice spacing", unit="mm", advanced=True,
        help="Distance between slices, written into the result; automatic is what the file says",
    )  # fmt: skip


class VolumeRequest(BaseModel):
    """A volume, fully described; round-trips through JSON.

    ``template`` is the recipe of every slice but for its page and the seed of its simulated noise: the same seed, so
    that start noise and tilings are those of the next slice, and one intensity window. ``pages`` are in the order of z.
    """

    model_config = ConfigDict(frozen=True)

    template: Recipe
    pages: tuple[int, ...]
    z_smoothing: float = 0.0
    slice_spacing: float | None = None
    out: Path

    @property
    def folder(self) -> Path:
        """Where finished slices are kept until the volume is written."""
        return self.out.with_name(self.out.name + PARTS_SUFFIX)

    def neighbours(self, page: int) -> tuple[int, ...]:
        """The pages directly below and above that belong to the volume."""
        at = bisect_left(self.pages, page)
        return tuple(p for p in self.pages[max(at - 1, 0) : at + 2] if abs(p - page) == 1)


def make_request(
    recipe: Recipe, prior: PatchPrior, settings: VolumeSettings, out: Path, image: Image
) -> VolumeRequest:
    """The volume of which ``recipe`` describes one slice; ``image`` is that slice.

    Raises :class:`SettingError` for pages that there are not, or where none has a neighbour to be smoothed with.
    """
    if recipe.data is None:
        raise SettingError(
            "The slices of a volume were wanted, but a generated sample has none; choose another physics."
        )
    physics = find_physics(recipe.physics)
    if physics.of_volumes:
        raise SettingError(
            f"Slices one after the other were wanted, but {physics.label} measures all of them at once; reconstruct the "
            "volume in one run."
        )
    pages = parse_pages(settings.pages, image.pages)
    window = common_window(Path(recipe.data.file), image, prior)
    data = recipe.data.model_copy(update={"page": 0, "window": window})
    request = VolumeRequest(
        template=recipe.model_copy(update={"data": data, "measurement_seed": None, "paired": False}),
        pages=pages, z_smoothing=settings.z_smoothing, out=Path(out).absolute(),
        slice_spacing=image.slice_spacing if settings.slice_spacing is None else settings.slice_spacing,
    )  # fmt: skip
    if request.z_smoothing and not any(request.neighbours(page) for page in pages):
        raise SettingError(
            "Neighbouring slices were wanted for smoothing along z, but no two of these pages are next to each other; "
            "choose a range of pages, or no smoothing."
        )
    return request


def parse_pages(text: str, count: int, first: int = 0) -> tuple[int, ...]:
    """Pages, from 0, of a text such as "0-9, 12 15": each once, in order; empty is all ``count`` of them. ``first`` is
    what the text calls the first page: 0, or 1 where people read and write it.

    Raises :class:`SettingError`.
    """
    wanted: set[int] = set()
    for part in re.split(r"[\s,;]+", text.strip()):
        if not part:
            continue
        ends = re.fullmatch(r"(\d{1,7})(?:[-–](\d{1,7}))?", part)
        low, high = (0, -1) if ends is None else (int(ends[1]) - first, int(ends[2] or ends[1]) - first)
        if low > high:
            raise SettingError(
                f"Pages such as {first}-99 or 3, 7, 9 were wanted, but {part[:40]!r} was given; write numbers and "
                "ranges."
            )
        if low < 0 or high >= count:
            raise SettingError(
                f"Pages {first} to {count - 1 + first} are in this file, but {part} was asked for; choose among those."
            )
        wanted |= set(range(low, high + 1))
    pages = tuple(sorted(wanted)) or tuple(range(count))
    if len(pages) > MOST_SLICES_IN_ALL:
        raise SettingError(
            f"At most {MOST_SLICES_IN_ALL} slices were wanted in one volume, but {len(pages)} were asked for; choose a "
            "range."
        )
    return pages


def pages_text(pages: Sequence[int]) -> str:
    """The shortest text that :func:`parse_pages` reads as these pages."""
    runs: list[list[int]] = []
    for page in pages:
        if runs and page == runs[-1][1] + 1:
            runs[-1][1] = page
        else:
            runs.append([page, page])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)


def common_window(path: Path, image: Image, prior: PatchPrior) -> tuple[float, float]:
    """One window for all slices of a file, so that a grey value means the same in each.

    The prior's where that is used anyway; else what covers the windows of up to nine pages spread over the whole file,
    so that it does not depend on which pages are wanted.
    """
    reading: ReadingSettings = image.reading
    stated = image.unit and image.unit == prior.conventions.unit
    if stated or (reading.scale_low is not None and reading.scale_high is not None):
        return prior_window(image, prior)
    sampled = np.unique(np.linspace(0, image.pages - 1, min(_SAMPLED_PAGES, image.pages)).round().astype(int))
    windows = [read_image(path, int(page), reading).window for page in sampled]
    return min(low for low, _ in windows), max(high for _, high in windows)


def slice_recipe(template: Recipe, page: int, *, simulated: bool) -> Recipe:
    """The recipe of one slice, which repeats it alone.

    Simulated noise is another one in each slice, as in a scanner; what the solver draws is the same in all.
    """
    assert template.data is not None, "checked by make_request"
    drawn = slice_seed(template.seed, page)
    return template.model_copy(
        update={
            "data": template.data.model_copy(update={"page": page}),
            "measurement_seed": drawn if simulated else None,
        }
    )


def fingerprint(template: Recipe) -> str:
    """A hash of all that decides what a slice looks like, but for the machine that computes it."""
    unsaid = () if template.adaptation else ("adaptation",)  # earlier versions had none to speak of
    values = template.model_dump(mode="json", exclude={*_MACHINE, *unsaid})
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def changed_fields(one: Recipe, other: Recipe) -> Iterable[str]:
    """What two templates do not share, in words."""
    words = {
        "data": "the data",
        "files": "the problem's files",
        "prior": "the prior",
        "precision": "the precision",
    }
    for name in Recipe.model_fields:
        if name not in _MACHINE and getattr(one, name) != getattr(other, name):
            yield words.get(name, f"the {name}")
