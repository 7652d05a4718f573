"""Images of any size as the squares that a prior is trained on."""

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name it goes by
from torch import Tensor

from padis_gui.core.images._j_image__core_data_image import Image
from padis_gui.core.training._j_settings__core_training_data_settings import DataSettings


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
    return F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))


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
    scaled = F.interpolate(x[None], shape, mode="bicubic", antialias=True, align_corners=False)
    return scaled[0].clamp(0, 1)
