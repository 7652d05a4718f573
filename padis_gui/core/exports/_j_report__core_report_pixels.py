"""Pictures as 8-bit images: for looking at, never for measuring."""

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

Bytes = NDArray[np.uint8]
_SMALL = 256  # px: smaller pictures are enlarged, each pixel a square


def as_seen(channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """(C, rows, columns) as (rows, columns) or (rows, columns, 3)."""
    return channels[0] if channels.shape[0] == 1 else np.moveaxis(channels[:3], 0, 2)


def as_bytes(pixels: NDArray[np.floating[Any]], low: float, high: float) -> Bytes:
    """(rows, columns) or (rows, columns, 3) with ``low`` as black and ``high`` as white; what is no number is black."""
    scaled = (pixels.astype(np.float64) - low) / (high - low) * 255
    made: Bytes = np.rint(np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0).clip(0, 255)).astype(
        np.uint8
    )
    return made


def signed_as_bytes(pixels: NDArray[np.floating[Any]], most: float) -> Bytes:
    """(rows, columns) about 0 as colours: blue below, white at 0, red above, full at ``most``."""
    share = np.nan_to_num(pixels.astype(np.float64) / most).clip(-1, 1)
    away = 1 - np.abs(share)
    ends = np.where(share[..., None] < 0, (33, 102, 172), (178, 24, 43))
    made: Bytes = np.rint(255 * away[..., None] + ends * (1 - away[..., None])).astype(np.uint8)
    return made


def enlarged(pixels: Bytes) -> Bytes:
    """Small pictures with every pixel as a square of pixels."""
    times = -(-_SMALL // max(pixels.shape[:2]))
    return pixels.repeat(times, axis=0).repeat(times, axis=1) if times > 1 else pixels


def picture(pixels: Bytes) -> "PilImage":
    """As an image of Pillow, "L" or "RGB"."""
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(pixels))


def png_uri(pixels: Bytes) -> str:
    """A PNG inside a ``data:`` address."""
    buffer = io.BytesIO()
    picture(pixels).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
