"""An image with what its numbers mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from padis_gui.core.images._j_image__core_data_reading import ReadingSettings
from padis_gui.core.settings.errors import InputError

HU_WINDOW = (-1000.0, 1000.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was really measured: a scan's line integrals (C, views, bins), or a degraded picture (C, rows, columns).

    float32, in the unit that makes a reconstruction be in its :class:`Image`'s unit. ``physics`` names how it was
    measured and ``problem`` its geometry, as far as the file says it: settings of that physics; a degraded picture
    says neither. ``notes`` are sentences on what was done in reading, for the user.
    """

    values: NDArray[np.float32]
    physics: str = ""
    problem: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """Pixels (C, rows, columns), float32, in the file's own unit, and how they map to [0, 1].

    ``window`` holds the intensities that become 0 and 1; the mapping is linear and invertible, except that
    :meth:`to_unit` clips what lies outside, as priors are trained on clipped images. ``spacing`` is the
    pixel pitch (rows, columns) in millimetres where the file says so. Where ``measured`` is given, there is no truth:
    the pixels are then a first picture of what was measured (a scan's FBP, or the degraded picture itself).
    ``reading`` is how the file was read. ``slice_spacing`` is the distance between the slices of a volume, in mm.
    ``notes`` are sentences for the user on what the numbers are: another modality than CT, a channel that was chosen.
    """

    pixels: NDArray[np.float32]
    unit: str = ""
    window: tuple[float, float] = (0.0, 1.0)
    spacing: tuple[float, float] | None = None
    name: str = ""
    page: int = 0
    pages: int = 1
    measured: Measured | None = None
    reading: ReadingSettings = field(default_factory=ReadingSettings)
    slice_spacing: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.pixels.shape[1], self.pixels.shape[2]

    @property
    def channels(self) -> int:
        """1 for grey or CT, 3 for colour."""
        return int(self.pixels.shape[0])

    @property
    def is_coloured(self) -> bool:
        """Whether its channels differ: a grey picture saved in colour is grey."""
        if self.channels not in (3, 4):
            return False
        first, *others = self.pixels[:3]
        return any(not np.array_equal(first, other) for other in others)

    def to_unit(self) -> Tensor:
        """The image scaled to [0, 1] and clipped there: float32 (C, rows, columns)."""
        low, high = self.window
        return torch.from_numpy((self.pixels - low) / (high - low)).clamp(0, 1)

    def from_unit(self, x: Tensor) -> NDArray[np.float32]:
        """Values on the [0, 1] scale, any shape, in the image's own unit as float32; nothing is clipped."""
        return self.spread_from_unit(x) + np.float32(self.window[0])

    def spread_from_unit(self, x: Tensor) -> NDArray[np.float32]:
        """Differences or deviations on the [0, 1] scale in the image's own unit: scaled, not shifted."""
        low, high = self.window
        spread: NDArray[np.float32] = x.detach().cpu().numpy().astype(np.float32) * np.float32(high - low)
        return spread

    def robust_range(self) -> tuple[float, float]:
        """The 1st and 99th percentile of the pixels, for display."""
        low, high = (float(v) for v in np.percentile(self.pixels, (1, 99)))
        return (low, high) if high > low else (low, low + 1.0)

    def with_window(self, window: tuple[float, float]) -> "Image":
        """The same pixels under another window, such as a prior's."""
        return replace(self, window=window)

    def enlarged(self, shape: tuple[int, int]) -> "Image":
        """The picture on a finer grid of ``shape`` (rows, columns), pixels repeated; what was measured stays."""
        if shape == self.shape:
            return self
        rows, columns = (-(-wanted // side) for wanted, side in zip(shape, self.shape, strict=True))
        pixels = self.pixels.repeat(rows, axis=1).repeat(columns, axis=2)[:, : shape[0], : shape[1]]
        spacing = None if self.spacing is None else (self.spacing[0] / rows, self.spacing[1] / columns)
        return replace(self, pixels=pixels, spacing=spacing)

    def with_channels(self, channels: int) -> "Image":
        """The image with 1 or 3 channels: colour becomes luminance (ITU-R BT.709), opacity is left out.

        Raises :class:`InputError` for anything else: grey is never coloured.
        """
        if channels == self.channels:
            return self
        if channels in (1, 3) and self.channels in (3, 4):
            measured = self.measured
            if measured is not None:  # a picture, then: a scan has one channel
                measured = replace(measured, values=_in_channels(measured.values, channels))
            return replace(self, pixels=_in_channels(self.pixels, channels), measured=measured)
        raise InputError(
            f"An image of {channels} channels was wanted, but {self.name or 'this one'} has {self.channels}; "
            "open another image or another prior."
        )


def _in_channels(pixels: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """Colours without opacity, or their luminance."""
    if channels == 3:
        return pixels[:3]
    weights = np.array([0.2125, 0.7154, 0.0721], dtype=np.float32)  # ITU-R BT.709
    return np.tensordot(weights, pixels[:3], axes=1)[None].astype(np.float32)


def propose_window(
    pixels: NDArray[np.float32], dtype: np.dtype[np.generic], lowest: float = 0.0
) -> tuple[tuple[float, float], str]:
    """A window and unit for pixels read as ``dtype``: HU where they look like it, else their own range.

    Hounsfield units show by their air, far below 0; ``lowest`` is the lowest value seen elsewhere in the file,
    so that a page without air is read like its neighbours.
    """
    low, high = float(pixels.min()), float(pixels.max())
    if dtype == np.uint8 or dtype == np.bool_:
        return (0.0, 255.0 if dtype == np.uint8 else 1.0), ""
    if -9000.0 <= min(low, lowest) <= -200.0 and high <= 32767.0:
        return HU_WINDOW, "HU"
    if dtype.kind == "f" and low >= 0.0 and high <= 1.0:
        return (0.0, 1.0), ""
    return (low, high if high > low else low + 1.0), ""
