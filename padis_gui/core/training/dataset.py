"""Training images: read once, zero-padded, cropped at random with their positions."""

import csv
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from padis_gui.core.data.image import Image
from padis_gui.core.data.read import SUFFIXES, count_pages, read_image
from padis_gui.core.errors import InputError, PadisError, SettingError
from padis_gui.core.partition import Frame
from padis_gui.core.training.data_settings import DataSettings
from padis_gui.core.training.squares import fitted

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Skipped:
    """What could not be used, and why, in one sentence."""

    name: str
    reason: str


@dataclass(frozen=True)
class TrainingData:
    """Images (n, C, N, N) in [0, 1] and the indices of each subject's images.

    Subjects are sampled evenly, so that one with sixty slices does not outweigh one with three. ``window``
    holds the intensities, in ``unit``, that became 0 and 1; ``names`` says where each image came from, and
    ``skipped`` what could not be read.
    """

    images: Tensor
    subjects: tuple[tuple[int, ...], ...]
    window: tuple[float, float]
    unit: str
    names: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return int(self.images.shape[1])

    @property
    def image_size(self) -> int:
        """The side of the images in pixels."""
        return int(self.images.shape[-1])

    def split(self, share: float, seed: int = 0) -> "tuple[TrainingData, TrainingData | None]":
        """The data without, and with only, ``share`` of the subjects, drawn from ``seed``.

        At least one subject stays on each side. Of a single subject the last images are kept aside, as they
        resemble the others least; None where there are no two images, or where the share is 0.
        """
        images = len(self.images)
        if share <= 0 or images < 2:
            return self, None
        if len(self.subjects) == 1:
            members = self.subjects[0]
            cut = len(members) - min(max(1, round(share * len(members))), len(members) - 1)
            return self._only((members[:cut],)), self._only((members[cut:],))
        count = min(max(1, round(share * len(self.subjects))), len(self.subjects) - 1)
        order = torch.randperm(len(self.subjects), generator=torch.Generator().manual_seed(seed)).tolist()
        aside = set(order[:count])
        kept = tuple(s for n, s in enumerate(self.subjects) if n not in aside)
        return self._only(kept), self._only(tuple(self.subjects[n] for n in sorted(aside)))

    def preview(self, count: int = 16) -> Tensor:
        """At most ``count`` of the images, evenly from the first to the last, as the network will see them."""
        picked = torch.linspace(0, len(self.images) - 1, min(count, len(self.images))).round().long()
        return self.images[picked]

    def _only(self, subjects: tuple[tuple[int, ...], ...]) -> "TrainingData":
        wanted = sorted(index for members in subjects for index in members)
        place = {index: n for n, index in enumerate(wanted)}
        return replace(
            self,
            images=self.images[wanted],
            subjects=tuple(tuple(place[index] for index in members) for members in subjects),
            names=tuple(self.names[index] for index in wanted) if self.names else (),
        )

    def crops(self, patch: int, count: int, frame: Frame, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """``count`` uniform crops of the zero-padded images, (n, C, P, P), and positions (n, 2, P, P)."""
        images, pad = self.images, frame.pad
        size = images.shape[-1]
        subject = torch.randint(len(self.subjects), (count,), generator=rng).tolist()
        draw = torch.rand(count, generator=rng).tolist()
        corner = torch.randint(frame.padded - patch + 1, (count, 2), generator=rng)
        axis = frame.position(torch.arange(frame.padded, dtype=torch.float64) - pad, size).float()
        crops = images.new_zeros(count, images.shape[1], patch, patch)
        positions = torch.empty(count, 2, patch, patch)
        for n, (row, column) in enumerate(corner.tolist()):
            members = self.subjects[subject[n]]
            source = images[members[int(draw[n] * len(members))]]
            # the part of the crop that lies on the image; the rest is padding and stays zero
            top, left = max(row, pad), max(column, pad)
            bottom, right = min(row + patch, pad + size), min(column + patch, pad + size)
            if top < bottom and left < right:
                crops[n, :, top - row : bottom - row, left - column : right - column] = source[
                    :, top - pad : bottom - pad, left - pad : right - pad
                ]
            positions[n, 0] = axis[column : column + patch]
            positions[n, 1] = axis[row : row + patch, None]
        return crops, positions


def load_training_data(
    source: Path | Sequence[Path],
    settings: DataSettings,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> TrainingData:
    """Read a multi-page TIFF, a stacked NPY, every image below a folder, or several of these.

    With ``settings.crops`` each image gives that many random squares, drawn from ``seed``, of sides even in
    the logarithm from ``settings.shrink`` times the image size to the whole shorter side, each scaled to the
    image size: for photographs much larger than what the prior will see. The crops of one image count as one
    subject. What cannot be read is left out and listed in ``skipped``. ``progress`` is called with the pages
    read and the pages in all. Raises :class:`InputError` where nothing can be read.
    """
    sources = [Path(source)] if isinstance(source, (str, Path)) else [Path(s) for s in source]
    wanted = [(file, page) for file in _files(sources) for page in range(_pages(file))]
    window: tuple[float, float] | None = None
    unit = ""
    images: list[Tensor] = []
    pages_read: list[int] = []
    names: list[str] = []
    skipped: list[Skipped] = []
    rng = torch.Generator().manual_seed(seed)
    for index, (path, page) in enumerate(wanted):
        if progress is not None:
            progress(index, len(wanted))
        try:
            image = read_image(path, page)
            image = _with_channels(image, settings.channels)
        except PadisError as error:
            if len(wanted) == 1 and not sources[0].is_dir():
                raise
            log.warning("Skipped: %s", error)
            skipped.append(Skipped(path.name, str(error)))
            continue
        window = window or _window(settings, image.window)
        unit = unit or image.unit
        x = image.with_window(window).to_unit()
        squares = fitted(x, settings, rng)
        images += squares
        pages_read += [index] * len(squares)
        names += [path.name if image.pages == 1 else f"{path.name} page {page}"] * len(squares)
    if progress is not None:
        progress(len(wanted), len(wanted))
    if not images or window is None:
        raise InputError(
            f"Training images were wanted, but {', '.join(map(str, sources))} holds none that can be read; give "
            "a multi-page TIFF or a folder of images."
        )
    table = Path(settings.subjects) if settings.subjects else None
    return TrainingData(
        torch.stack(images),
        _subjects(sources[0], table, pages_read),
        window,
        unit,
        names=tuple(names),
        skipped=tuple(skipped),
    )


def _files(sources: list[Path]) -> list[Path]:
    files: list[Path] = []
    for source in sources:
        if source.is_dir():
            files += sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES)
        else:
            files.append(source)
    return files


def _window(settings: DataSettings, proposed: tuple[float, float]) -> tuple[float, float]:
    low = proposed[0] if settings.window_low is None else settings.window_low
    high = proposed[1] if settings.window_high is None else settings.window_high
    if not low < high:
        raise SettingError(
            f"A window from low to high was wanted, but {low:g} to {high:g} came of the settings and the data; "
            "give both of its ends."
        )
    return low, high


def _with_channels(image: Image, channels: int) -> Image:
    if channels == 3 and image.channels == 1:
        return replace(image, pixels=np.repeat(image.pixels, 3, axis=0))
    return image.with_channels(channels)


def _pages(path: Path) -> int:
    try:
        return count_pages(path)
    except PadisError:  # reading the one page says why, and skips it
        return 1


def _subjects(source: Path, table: Path | None, pages: list[int]) -> tuple[tuple[int, ...], ...]:
    beside = source.with_suffix(".csv")
    if table is None and source.is_file() and beside.is_file():
        table = beside
    owner: dict[int, str] = {}
    if table is not None:
        try:
            with Path(table).open(newline="", encoding="utf-8") as file:
                rows = csv.DictReader(file)
                names = rows.fieldnames or ()
                column = "patient" if "patient" in names else "subject"
                if "page" not in names or column not in names:
                    raise KeyError(column)
                for row in rows:
                    if not row[column]:
                        raise ValueError("a page without a subject")
                    owner[int(row["page"])] = row[column]
        except (OSError, KeyError, ValueError, TypeError, csv.Error):
            raise InputError(
                f"A table with the columns page and patient was wanted, but {Path(table).name} is none; "
                "correct it or train without it."
            ) from None
    groups: dict[str, list[int]] = {}
    for index, page in enumerate(pages):
        groups.setdefault(owner.get(page, f"image {page}"), []).append(index)
    return tuple(tuple(g) for g in groups.values())
