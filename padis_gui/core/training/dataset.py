"""Training images: read once, zero-padded, cropped at random with their positions."""

import csv
import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from padis_gui.core.data.read import SUFFIXES, count_pages, read_image
from padis_gui.core.errors import InputError, PadisError
from padis_gui.core.partition import Frame

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingData:
    """Images (n, C, N, N) in [0, 1] and the indices of each subject's images.

    Subjects are sampled evenly, so that one with sixty slices does not outweigh one with three.
    """

    images: Tensor
    subjects: tuple[tuple[int, ...], ...]
    window: tuple[float, float]
    unit: str

    def crops(self, patch: int, count: int, frame: Frame, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """``count`` uniform crops of the zero-padded images, (n, C, P, P), and their positions (n, 2, P, "
        "P)."""
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
    source: Path,
    *,
    image_size: int,
    window: tuple[float, float] | None,
    channels: int,
    subjects_csv: Path | None,
    crops: int = 0,
    shrink: float = 1.0,
    seed: int = 0,
) -> TrainingData:
    """Read a multi-page TIFF, a stacked NPY or every image below a folder.

    Images of another size are scaled on their shorter side and centre-cropped to ``image_size``. With
    ``crops`` each file gives that many random squares instead, of sides drawn evenly in the logarithm from
    ``shrink`` times ``image_size`` to the whole shorter side, each scaled to ``image_size``: for photographs
    much larger than what the prior will see. The crops of one file count as one subject. Files that
    cannot be read are skipped, each with a warning. ``subjects_csv`` (columns ``page`` and ``patient`` or
    ``subject``; by default the file beside the data with the ending .csv) says which page is whose.
    """
    source = Path(source)
    if source.is_dir():
        files = sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES)
        wanted = [(f, page) for f in files for page in range(_pages(f))]
    else:
        pages = count_pages(source)
        wanted = [(source, page) for page in range(pages)]
    images: list[Tensor] = []
    pages_read: list[int] = []
    unit, used = "", window
    rng = torch.Generator().manual_seed(seed)
    for index, (path, page) in enumerate(wanted):
        try:
            image = read_image(path, page).with_channels(channels)
        except PadisError as error:
            if not source.is_dir() and len(wanted) == 1:
                raise
            log.warning("Skipped: %s", error)
            continue
        used = used or image.window
        unit = unit or image.unit
        x = image.with_window(used).to_unit()
        squares = _random_squares(x, image_size, crops, shrink, rng) if crops else [_fit(x, image_size)]
        images += squares
        pages_read += [index] * len(squares)
    if not images or used is None:
        raise InputError(
            f"Training images were wanted, but {source} holds none that can be read; give a multi-page TIFF "
            "or a folder of images."
        )
    return TrainingData(torch.stack(images), _subjects(source, subjects_csv, pages_read), used, unit)


def _pages(path: Path) -> int:
    try:
        return count_pages(path)
    except PadisError:  # reading the one page says why, and skips it
        return 1


def _fit(x: Tensor, size: int) -> Tensor:
    """``x`` scaled so that its shorter side is ``size``, and the middle of it."""
    shorter = min(x.shape[1:])
    shape = tuple(max(size, round(n * size / shorter)) for n in x.shape[1:])
    x = _scaled(x, shape)
    top, left = (x.shape[1] - size) // 2, (x.shape[2] - size) // 2
    return x[:, top : top + size, left : left + size].contiguous()


def _random_squares(x: Tensor, size: int, count: int, shrink: float, rng: torch.Generator) -> list[Tensor]:
    largest = min(x.shape[1:])
    smallest = min(largest, round(shrink * size))
    squares = []
    for _ in range(count):
        log_side, top, left = torch.rand(3, generator=rng, dtype=torch.float64).tolist()
        side = round(smallest * (largest / smallest) ** log_side)
        row, column = int(top * (x.shape[1] - side + 1)), int(left * (x.shape[2] - side + 1))
        squares.append(_scaled(x[:, row : row + side, column : column + side], (size, size)))
    return squares


def _scaled(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    if tuple(x.shape[1:]) == shape:
        return x.contiguous()
    scaled = torch.nn.functional.interpolate(
        x[None], shape, mode="bicubic", antialias=True, align_corners=False
    )
    return scaled[0].clamp(0, 1)


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
