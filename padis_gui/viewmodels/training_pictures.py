"""What a training has to show, as grey or colour bytes: its data before it starts, and its looks on the way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from padis_gui.core.errors import Interrupted
from padis_gui.core.training.data_settings import DataSettings
from padis_gui.core.training.dataset import load_training_data
from padis_gui.core.training.sheet import contact_sheet
from padis_gui.core.training.sight import load_look
from padis_gui.core.training.sources import Skipped, find_sources, read_pages

TrainingPicture = NDArray[np.uint8]  # (rows, columns) or (rows, columns, 3)

PREVIEWS = 60
_PREVIEW_SIDE = 160
_SMALLEST, _MULTIPLE = 32, 8  # sides that the settings allow and that networks like


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What the network will see: some of the images, and what the rest amounts to."""

    pictures: tuple[TrainingPicture, ...]
    names: tuple[str, ...]
    images: int
    subjects: int
    aside: int  # images kept for validation
    skipped: tuple[Skipped, ...]
    window: tuple[float, float]
    unit: str
    channels: int
    image_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LookPictures:
    """One look at a prior in training; what it does not have is None."""

    step: int
    levels: tuple[float, ...]
    noisy: tuple[TrainingPicture, ...]
    denoised: tuple[TrainingPicture, ...]
    clean: TrainingPicture
    sample: TrainingPicture | None
    baseline: TrainingPicture | None
    reconstruction: TrainingPicture | None
    problem: str
    trouble: str  # what had to be left out, and why
    baseline_name: str
    psnr: float
    baseline_psnr: float


def native_size(sources: Sequence[Path], dataset: str) -> int | None:
    """The side of the square in the first image, a multiple of 8; None where no image can be read."""
    found, _ = find_sources(list(sources), dataset)
    for page in read_pages(found):
        if page.page is not None:
            side = int(min(page.page.pixels.shape[1:]))
            return max(_SMALLEST, side // _MULTIPLE * _MULTIPLE)
    return None


def load_preview(
    sources: Sequence[Path],
    settings: DataSettings,
    progress: Callable[[int, int], None],
) -> Preview | None:
    """Read all the data as a training would, and keep some of it to show; None when ``progress`` interrupts.

    Raises :class:`InputError` where nothing can be used.
    """
    try:
        data = load_training_data(list(sources), settings, progress=progress)
    except Interrupted:
        return None
    kept = data.split(settings.validation)[1]
    picked = torch.linspace(0, len(data.images) - 1, min(PREVIEWS, len(data.images))).round().long()
    return Preview(
        pictures=tuple(_picture(data.images[index], _PREVIEW_SIDE) for index in picked),
        names=tuple(data.names[index] for index in picked) if data.names else ("",) * len(picked),
        images=len(data.images),
        subjects=len(data.subjects),
        aside=0 if kept is None else len(kept.images),
        skipped=data.skipped,
        window=data.window,
        unit=data.unit,
        channels=data.channels,
        image_size=data.image_size,
    )


def load_look_pictures(path: Path) -> LookPictures:
    """A look that a training has left on the disk. Raises :class:`InputError` for a file that is none."""
    look = load_look(path)

    def optional(image: Tensor | None) -> TrainingPicture | None:
        return None if image is None else _picture(image)

    return LookPictures(
        step=look.step,
        levels=tuple(look.levels),
        noisy=tuple(_picture(image) for image in look.noisy),
        denoised=tuple(_picture(image) for image in look.denoised),
        clean=_picture(look.clean[0]),
        sample=optional(look.sample),
        baseline=optional(look.baseline),
        reconstruction=optional(look.reconstruction),
        problem=look.problem,
        trouble=look.trouble,
        baseline_name=look.baseline_name,
        psnr=look.psnr,
        baseline_psnr=look.baseline_psnr,
    )


def _picture(image: Tensor, side: int | None = None) -> TrainingPicture:
    """An image (C, rows, columns) on the [0, 1] scale as bytes, reduced to ``side`` where it is larger."""
    return contact_sheet([image], 1, side)
