"""Many images on one sheet, as photographers look at a film."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_GAP = 4  # pixels between the images, in a grey that neither air nor bone has
_GREY = 96


def contact_sheet(images: Sequence[Tensor], columns: int, cell: int | None = None) -> NDArray[np.uint8]:
    """Images (C, N, N) on the [0, 1] scale side by side, ``columns`` in a row, as bytes to show or to save.

    Returns (rows, columns) for grey images and (rows, columns, 3) for colour; values outside [0, 1] are clipped, NaN
    is black. ``cell`` is the largest side that an image may have on the sheet, in pixels; larger ones are reduced.
    """
    small = [_reduced(image.detach().float().cpu(), cell) for image in images]
    channels, height, width = small[0].shape
    columns = min(columns, len(small))
    rows = -(-len(small) // columns)
    shape = (channels, rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP)
    sheet = torch.full(shape, _GREY, dtype=torch.uint8)
    for n, image in enumerate(small):
        top, left = n // columns * (height + _GAP), n % columns * (width + _GAP)
        sheet[:, top : top + height, left : left + width] = _as_bytes(image)
    pixels: NDArray[np.uint8] = (sheet[0] if channels == 1 else sheet.permute(1, 2, 0)).contiguous().numpy()
    return pixels


def _reduced(image: Tensor, cell: int | None) -> Tensor:
    larger = max(image.shape[1:])
    if cell is None or larger <= cell:
        return image
    size = [max(1, round(n * cell / larger)) for n in image.shape[1:]]
    return torch.nn.functional.interpolate(image[None], size, mode="bilinear", antialias=True)[0]


def _as_bytes(image: Tensor) -> Tensor:
    return torch.nan_to_num(image, nan=0.0).clamp(0, 1).mul(255).round().to(torch.uint8)
