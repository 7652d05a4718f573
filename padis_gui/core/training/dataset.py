"""Training images of any size as the squares that a prior learns from: read once, padded, cropped with their positions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from padis_gui.core import Tensor, torch
from padis_gui.core.files.formats.pages import SMALLEST, Page
from padis_gui.core.images.image import Image
from padis_gui.core.prior.partition import Frame
from padis_gui.core.settings.errors import InputError, SettingError
from padis_gui.core.settings.machine import total_memory_mb
from padis_gui.core.training.series import SliceGroup, SliceRun, find_runs, slice_groups
from padis_gui.core.training.settings import DataSettings
from padis_gui.core.training.sources import (
    Found,
    Proposal,
    Skipped,
    claim_of,
    find_sources,
    fits,
    group_by_subject,
    propose_window,
    read_pages,
)


def with_channels(image: Image, channels: int) -> Image:
    """Grey of colour, or colour of grey: three channels alike."""
    if channels == 3 and image.channels == 1:
        return replace(image, pixels=np.repeat(image.pixels, 3, axis=0))
    return image.with_channels(channels)


def fitted(x: Tensor, settings: DataSettings, rng: torch.Generator) -> list[Tensor]:
    """Squares (C, N, N) of the image ``x`` (C, rows, columns) in [0, 1], N being ``settings.image_size``.

    One square, or ``settings.crops`` random ones drawn from ``rng``. Scaling is bicubic and antialiased.
    """
    size = settings.image_size
    if settings.crops:
        return _random_squares(x, size, settings.crops, settings.shrink, rng)
    shorter, longer = min(x.shape[1:]), max(x.shape[1:])
    if settings.fit == "pad":
        return [_padded(_scaled_by(x, min(1.0, size / longer), at_most=size), size)]
    if settings.fit == "resize" or shorter < size:
        x = _scaled_by(x, size / shorter, at_least=size)
    return [_middle(x, size)]


def _scaled_by(x: Tensor, factor: float, at_least: int = 1, at_most: int | None = None) -> Tensor:
    sides = [max(at_least, round(n * factor)) for n in x.shape[1:]]
    return _scaled(x, tuple(n if at_most is None else min(n, at_most) for n in sides))


def _middle(x: Tensor, size: int) -> Tensor:
    top, left = (x.shape[1] - size) // 2, (x.shape[2] - size) // 2
    return x[:, top : top + size, left : left + size].contiguous()


def _padded(x: Tensor, size: int) -> Tensor:
    rows, columns = size - x.shape[1], size - x.shape[2]
    return torch.nn.functional.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))


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


log = logging.getLogger(__name__)


_LOGGED = 20  # skipped pages; all are in the list
_MEMORY_SHARE = 0.8  # of the machine, at most, for the images


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Images (n, C, N, N) in [0, 1] and the indices of each subject's images.

    Subjects are sampled evenly, so that one with sixty slices does not outweigh one with three. ``window``
    holds the intensities, in ``unit``, that became 0 and 1; ``names`` says where each image came from, and
    ``skipped`` what could not be read. ``runs`` are the images that are neighbouring slices; ``groups`` what a prior
    across slices learns from, of each subject (see :meth:`grouped`), and empty for one of single images.
    """

    images: Tensor
    subjects: tuple[tuple[int, ...], ...]
    window: tuple[float, float]
    unit: str
    names: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    runs: tuple[SliceRun, ...] = ()
    groups: tuple[tuple[SliceGroup, ...], ...] = ()

    def grouped(
        self, slices: int, steps: Sequence[int], reach: float, spacing: float | None = None
    ) -> TrainingData:
        """The data in groups of so many neighbouring slices, and only the subjects who have some; see :func:`slice_groups`.

        Raises :class:`InputError` where there are none. With 1 slice they are left as they are.
        """
        if slices == 1:
            return self
        found = slice_groups(self.runs, slices, steps, reach, spacing)
        owner = {image: n for n, members in enumerate(self.subjects) for image in members}
        groups: dict[int, list[SliceGroup]] = {}
        for group in found:
            groups.setdefault(owner[group.images[0]], []).append(group)
        if not groups:
            raise InputError(
                f"Series of {slices} neighbouring slices were wanted, but the data have none; give volumes, or a stack "
                "with a table that has the columns page, patient, series and spacing_mm."
            )
        kept = sorted(groups)
        data = self._only(tuple(self.subjects[n] for n in kept))
        if len(data.images) < len(self.images):
            return data.grouped(slices, steps, reach, spacing)
        return replace(self, groups=tuple(tuple(groups[n]) for n in kept))

    @property
    def slice_spacings(self) -> tuple[float, float] | None:
        """The least and the greatest distance of the groups, in mm; None where there are none."""
        distances = [group.spacing for groups in self.groups for group in groups]
        return (min(distances), max(distances)) if distances else None

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return int(self.images.shape[1])

    @property
    def image_size(self) -> int:
        """The side of the images in pixels."""
        return int(self.images.shape[-1])

    def split(self, share: float, seed: int = 0) -> tuple[TrainingData, TrainingData | None]:
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

    def share(self, share: float, seed: int = 0) -> TrainingData:
        """The data of a ``share`` of the subjects, drawn from ``seed``, one at least; smaller shares are part of larger
        ones. Of a single subject it is the first images."""
        if share >= 1:
            return self
        if len(self.subjects) == 1:
            members = self.subjects[0]
            return self._only((members[: max(1, round(share * len(members)))],))
        order = torch.randperm(len(self.subjects), generator=torch.Generator().manual_seed(seed)).tolist()
        drawn = order[: max(1, round(share * len(order)))]
        return self._only(tuple(self.subjects[n] for n in sorted(drawn)))

    def preview(self, count: int = 16) -> Tensor:
        """At most ``count`` of the images, evenly from the first to the last, as the network will see them."""
        picked = torch.linspace(0, len(self.images) - 1, min(count, len(self.images))).round().long()
        return self.images[picked]

    def _only(self, subjects: tuple[tuple[int, ...], ...]) -> TrainingData:
        wanted = sorted(index for members in subjects for index in members)
        place = {index: n for n, index in enumerate(wanted)}
        return replace(
            self,
            images=self.images[wanted],
            subjects=tuple(tuple(place[index] for index in members) for members in subjects),
            names=tuple(self.names[index] for index in wanted) if self.names else (),
            runs=tuple(
                SliceRun(kept, run.spacing)
                for run in self.runs
                if len(kept := tuple(place[index] for index in run.images if index in place)) > 1
            ),
            groups=(),
        )

    def crops(self, patch: int, count: int, frame: Frame, rng: torch.Generator) -> Crops:
        """``count`` uniform crops of the zero-padded images, of an image or of a group of slices each."""
        images, pad = self.images, frame.pad
        size = images.shape[-1]
        subject = torch.randint(len(self.subjects), (count,), generator=rng).tolist()
        draw = torch.rand(count, generator=rng).tolist()
        corner = torch.randint(frame.padded - patch + 1, (count, 2), generator=rng)
        axis = frame.position(torch.arange(frame.padded, dtype=torch.float64) - pad, size).float()
        groups: list[SliceGroup] = []
        if self.groups:
            groups = [
                of[int(d * len(of))] for of, d in zip((self.groups[n] for n in subject), draw, strict=True)
            ]
        channels = len(groups[0].images) if groups else images.shape[1]
        crops = images.new_zeros(count, channels, patch, patch)
        positions = torch.empty(count, 2, patch, patch)
        for n, (row, column) in enumerate(corner.tolist()):
            members = self.subjects[subject[n]]
            # the part of the crop that lies on the image; the rest is padding and stays zero
            top, left = max(row, pad), max(column, pad)
            bottom, right = min(row + patch, pad + size), min(column + patch, pad + size)
            if top < bottom and left < right:
                part = slice(top - pad, bottom - pad), slice(left - pad, right - pad)
                here = slice(top - row, bottom - row), slice(left - column, right - column)
                if groups:
                    source = images[list(groups[n].images), 0, *part]
                else:
                    source = images[members[int(draw[n] * len(members))], :, *part]
                crops[n, :, *here] = source
            positions[n, 0] = axis[column : column + patch]
            positions[n, 1] = axis[row : row + patch, None]
        return Crops(crops, positions, tuple(groups))


class Crops(NamedTuple):
    """Patches (n, C, P, P), their positions (n, 2, P, P), and which group of slices each is of, if it is."""

    clean: Tensor
    positions: Tensor
    groups: tuple[SliceGroup, ...]


def load_training_data(
    source: Path | Sequence[Path],
    settings: DataSettings,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> TrainingData:
    """Read a file of any image format, every image below a folder, or several of these.

    DICOM files are grouped into their series, whose slices stand in order. With ``settings.crops`` each image
    gives that many random squares, drawn from ``seed``, of sides even in the logarithm from
    ``settings.shrink`` times the image size to the whole shorter side, each scaled to the image size: for
    photographs much larger than what the prior will see. The squares of one image belong to one subject.

    What cannot be read, or is in another scale than most, is left out and listed in ``skipped``. ``progress``
    is called with the pages read and the pages in all. Raises :class:`InputError` where nothing can be used.
    """
    paths = [Path(source)] if isinstance(source, (str, Path)) else [Path(s) for s in source]
    sources, skipped = find_sources(paths, settings.dataset)
    total = sum(s.count for s in sources)
    each = settings.crops or 1
    images = _room_for(total * each, settings)
    proposal = propose_window(sources)
    window = (0.0, 1.0) if proposal is None else _window(settings, proposal)
    chosen = settings.window_low is not None and settings.window_high is not None
    rng = torch.Generator().manual_seed(seed)
    taken: list[Found] = []
    distances: list[float | None] = []
    for done, found in enumerate(read_pages(sources)):
        if progress is not None:
            progress(done, total)
        page, reason = found.page, found.reason
        if page is not None and proposal is not None:
            reason = _why_not(page, found.name, None if chosen else proposal)
        if page is None or reason:
            skipped.append(Skipped(found.name, reason))
            continue
        image = with_channels(Image(pixels=page.pixels, window=window, name=found.name), settings.channels)
        images[len(taken) : len(taken) + each] = torch.stack(fitted(image.to_unit(), settings, rng))
        taken += [replace(found, page=None)] * each  # the pixels may go
        distances += [page.slice_spacing] * each
    if progress is not None and taken:
        progress(total, total)
    if not taken or proposal is None:
        raise _nothing_usable(paths, skipped)
    for left_out in skipped[:_LOGGED]:
        log.warning("Skipped: %s", left_out.reason)
    if len(skipped) > _LOGGED:
        log.warning("Skipped %d more", len(skipped) - _LOGGED)
    subjects = group_by_subject(paths, settings.subjects, sources, taken)
    # random squares of two slices are of two places
    runs = () if settings.crops else find_runs(paths, settings.subjects, subjects, taken, distances)
    return TrainingData(
        images if len(taken) == len(images) else images[: len(taken)].clone(),
        subjects,
        window,
        proposal.unit,
        names=tuple(found.name for found in taken),
        skipped=tuple(skipped),
        runs=runs,
    )


def _why_not(page: Page, name: str, proposal: Proposal | None) -> str:
    """Why a page cannot be trained on, if it cannot; ``proposal`` is the window of the others, if it was proposed."""
    if min(page.pixels.shape[1:]) < SMALLEST:
        rows, columns = page.pixels.shape[1:]
        return f"An image of at least {SMALLEST} pixels a side was wanted, but {name} has {rows} x {columns}; leave it out."
    if proposal is not None and not fits(page, proposal):
        low, high = claim_of(page) or (float(page.pixels.min()), float(page.pixels.max()))
        return (
            f"Intensities from {proposal.window[0]:g} to {proposal.window[1]:g}, as in most of the images, were "
            f"wanted, but {name} has {low:g} to {high:g}; convert it, or give the window."
        )
    return ""


def _nothing_usable(paths: Sequence[Path], skipped: Sequence[Skipped]) -> InputError:
    if len(skipped) == 1:
        return InputError(skipped[0].reason)
    names = ", ".join(str(path) for path in paths[:3]) + ("…" if len(paths) > 3 else "")
    if skipped:
        return InputError(
            f"Training images were wanted, but none of the {len(skipped)} in {names} can be used, the first because: "
            f"{skipped[0].reason}"
        )
    return InputError(
        f"Training images were wanted, but {names} holds none that can be read; give a multi-page TIFF or a folder "
        "of images."
    )


def _room_for(count: int, settings: DataSettings) -> Tensor:
    """Memory for that many images, which the system gives as they are filled."""
    size = settings.image_size
    wanted = 4 * count * settings.channels * size**2
    try:
        if wanted <= _MEMORY_SHARE * 2**20 * total_memory_mb():
            return torch.empty(count, settings.channels, size, size)
    except RuntimeError:
        log.debug("No memory for %d images", count)
    raise InputError(
        f"{count} training images of {size} x {size} pixels would take {wanted / 2**30:.1f} GiB of memory, more "
        "than there is; choose a smaller image size, fewer crops or fewer files."
    )


def _window(settings: DataSettings, proposal: Proposal) -> tuple[float, float]:
    low = proposal.window[0] if settings.window_low is None else settings.window_low
    high = proposal.window[1] if settings.window_high is None else settings.window_high
    if not low < high:
        raise SettingError(
            f"A window from low to high was wanted, but {low:g} to {high:g} came of the settings and the data; "
            "give both of its ends."
        )
    return low, high
