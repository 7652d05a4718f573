"""An image with what its numbers mean: unit, window, spacing; and masks of missing pixels as pictures, white is missing.

How a file is read, where it leaves a choice, are settings of their own, which a recipe keeps.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator
from pydantic_core import PydanticCustomError

from padis_gui.core import Tensor, torch
from padis_gui.core.images.corrections import OF_SCANS, CorrectionSettings, Proposal
from padis_gui.core.settings.declarations import WANTED, Settings, setting
from padis_gui.core.settings.errors import InputError, SettingError
from padis_gui.core.settings.files import failures_said, write_atomically

Role = Literal["automatic", "image", "measurement"]
NotFinite = Literal["refuse", "replace"]
Doubled = Literal["keep", "merge"]
LinkedFiles = Literal["refuse", "own-folder"]


_LARGEST = 1e15  # of a number that single precision can compute with


class _Taken(Settings):
    """What is taken of a file, but for the corrections of a scan."""

    role: Role = setting(
        "automatic", label="Use as",
        help="image: a truth, of which a measurement is simulated; measurement: a degraded picture or a scan as it is, "
        "without a truth; automatic takes scans for measurements and everything else for images",
    )  # fmt: skip
    dataset: str = setting(
        "", label="Data set", advanced=True,
        help="The array to read of a file that holds several (HDF5, NPZ, MATLAB); empty takes the obvious one",
    )  # fmt: skip
    linked_files: LinkedFiles = setting(
        "refuse", label="Linked files", advanced=True,
        help="An HDF5 file may link to data in other files: refuse it then, or follow links that lead to files in its own "
        "folder, and below it",
    )  # fmt: skip
    crop: tuple[int, ...] = setting(
        (), label="Crop", unit="px", advanced=True,
        help="Left, top, width and height of the region that is taken of a picture, in pixels of the file; empty takes "
        "all of it. Pixels are binned and resampled after that",
    )  # fmt: skip
    pixel_binning: int = setting(
        1, ge=1, le=64, label="Pixel binning", unit="px", advanced=True,
        help="So many by so many neighbouring pixels of a picture become one: their mean. A rest of fewer is left out, "
        "at both ends alike",
    )  # fmt: skip
    longest_side: int | None = setting(
        None, ge=16, le=8192, label="Longest side", unit="px", advanced=True,
        help="A picture is resampled to this width or height, whichever is longer, after crop and binning: by the mean "
        "over each new pixel's area where it becomes smaller, linearly where it becomes larger",
    )  # fmt: skip
    pixel_pitch: float | None = setting(
        None, ge=1e-6, le=1000, label="Pixel size", unit="mm", advanced=True,
        help="Side of a pixel as it lies in the file, in the place of what the file says; of a scan: of a pixel of the "
        "image that is made of it. Automatic is what the file says; where that is nothing, lengths are in px",
    )  # fmt: skip
    not_finite: NotFinite = setting(
        "refuse", label="NaN, infinity", advanced=True,
        help="Pixels and readings that are no finite numbers: refuse the file, or replace each by the median of the "
        "finite ones around it, and say how many there were",
    )  # fmt: skip
    take_views: int | None = setting(
        None, ge=1, le=100_000, label="Take views", symbol="n",
        help="So many of a scan's views, evenly spread over its angles; automatic takes all",
        when=OF_SCANS,
    )  # fmt: skip
    angle_from: float | None = setting(
        None, ge=-3600, le=3600, label="From angle", unit="°", advanced=True,
        help="Views of a scan before this angle are left out", when=OF_SCANS,
    )  # fmt: skip
    angle_to: float | None = setting(
        None, ge=-3600, le=3600, label="To angle", unit="°", advanced=True,
        help="Views of a scan from this angle on are left out", when=OF_SCANS,
    )  # fmt: skip
    binning: int = setting(
        1, ge=1, le=64, label="Binning", unit="bins", advanced=True,
        help="So many neighbouring detector bins become one: their mean", when=OF_SCANS,
    )  # fmt: skip
    image_size: int | None = setting(
        None, ge=16, le=8192, label="Image size", unit="px", advanced=True,
        help="Side of the image reconstructed from a scan; automatic is 256 px, which the bundled priors know best. The "
        "pixels get the size with which the image holds the field of view, unless their size is given",
        when=OF_SCANS,
    )  # fmt: skip
    field_of_view: float | None = setting(
        None, ge=1e-3, le=1e5, label="Field of view", unit="mm", advanced=True,
        help="Width of the image reconstructed from a scan; automatic holds whatever the scan sees. A smaller one cuts off "
        "what is measured all the same, which leaves artifacts at its border",
        when=OF_SCANS,
    )  # fmt: skip
    doubled_views: Doubled = setting(
        "keep", label="Doubled views", advanced=True,
        help="Views of a scan that have the same angle, and frames that repeat the one before: keep all of them, or merge "
        "them, the first to their mean, of the others one",
        when=OF_SCANS,
    )  # fmt: skip
    scale_low: float | None = setting(
        None, ge=-_LARGEST, le=_LARGEST, label="Black", advanced=True,
        help="The intensity that the prior sees as 0, in the file's own unit; automatic is what the file's kind says, "
        "and for a scan what is proposed from its FBP",
    )  # fmt: skip
    scale_high: float | None = setting(
        None, ge=-_LARGEST, le=_LARGEST, label="White", advanced=True,
        help="The intensity that the prior sees as 1, in the file's own unit; automatic as for black",
    )  # fmt: skip


class ReadingSettings(CorrectionSettings, _Taken):  # in this order, what is taken is declared first
    """What to take of a file, and what it is.

    A measurement is used as it is and has no truth; of an image a measurement is simulated. The scaling says which
    intensities of the file (of a scan: of its reconstruction) the prior sees as 0 and 1; it is linear, and undone in
    the result.
    """

    @field_validator("crop")
    @classmethod
    def _is_a_region(cls, given: tuple[int, ...]) -> tuple[int, ...]:
        if given and (len(given) != 4 or min(given[:2]) < 0 or min(given[2:]) < 1):
            raise PydanticCustomError(WANTED, "left, top, width and height, separated by commas, in")
        return given

    @property
    def follows_links(self) -> bool:
        """Whether links into other files are followed."""
        return self.linked_files != "refuse"

    @property
    def reduces(self) -> bool:
        """Whether a picture is taken otherwise than at the size that it has in its file."""
        return bool(self.crop) or self.pixel_binning > 1 or self.longest_side is not None

    def scaling(self, proposed: tuple[float, float]) -> tuple[float, float]:
        """The intensities of black and white: the proposed ones where the settings leave them open.

        Raises :class:`SettingError` where white is not above black in single precision.
        """
        low = proposed[0] if self.scale_low is None else self.scale_low
        high = proposed[1] if self.scale_high is None else self.scale_high
        if not np.float32(low) < np.float32(high):
            raise SettingError(
                f"White above black was wanted, but black is {low:g} and white {high:g}; raise white or lower black."
            )
        return low, high


Pixels = NDArray[np.float32]  # of any shape that the docstring says

HU_WINDOW = (-1000.0, 1000.0)
_FEW = 16  # one in so many rows and columns


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """What was really measured: a scan's line integrals (C, views, bins), or a degraded picture (C, rows, columns).

    float32, in the unit that makes a reconstruction be in its :class:`Image`'s unit. ``physics`` names how it was
    measured and ``problem`` its geometry, as far as the file says it: settings of that physics; a degraded picture
    says neither. ``notes`` are sentences on what was done in reading, for the user; ``proposals`` are corrections that
    the data ask for and that are off.
    """

    values: NDArray[np.float32]
    physics: str = ""
    problem: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    proposals: tuple[Proposal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Image:
    """Pixels (C, rows, columns), float32, in the file's own unit, and how they map to [0, 1].

    ``window`` holds the intensities that become 0 and 1; the mapping is linear and invertible, except that
    :meth:`to_unit` clips what lies outside, as priors are trained on clipped images. ``spacing`` is the
    pixel pitch (rows, columns) in millimetres where the file says so. Where ``measured`` is given, there is no truth:
    the pixels are then a first picture of what was measured (a scan's FBP, or the degraded picture itself).
    ``reading`` is how the file was read. ``slice_spacing`` is the distance between the slices of a volume, in mm.
    ``notes`` are sentences for the user on what the numbers are: another modality than CT, a channel that was chosen.
    ``stored_shape`` are the rows and columns of the picture in its file, of which this may be a part, or smaller; None
    for a scan. Of a volume, (Z, rows, columns), ``slices`` are the pages of its file that the channels are, in the order of
    z, and ``page`` is the first of them.
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
    stored_shape: tuple[int, int] | None = None
    slices: tuple[int, ...] = ()

    @property
    def is_volume(self) -> bool:
        """Whether its channels are the slices of a volume."""
        return bool(self.slices)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.pixels.shape[1], self.pixels.shape[2]

    @property
    def channels(self) -> int:
        """1 for grey or CT, 3 for colour, the number of its slices for a volume."""
        return int(self.pixels.shape[0])

    @property
    def is_scan(self) -> bool:
        """Whether it was made of what a scanner measured: its pixels are then no file's."""
        return self.measured is not None and bool(self.measured.physics)

    @property
    def is_coloured(self) -> bool:
        """Whether its channels differ: a grey picture saved in colour is grey."""
        if self.is_volume or self.channels not in (3, 4):
            return False
        few = self.pixels[:3, ::_FEW, ::_FEW]  # most of them say so at once
        return any(not np.array_equal(of[0], other) for of in (few, self.pixels[:3]) for other in of[1:])

    def to_unit(self) -> Tensor:
        """The image scaled to [0, 1] and clipped there: float32 (C, rows, columns)."""
        low, high = self.window
        return torch.from_numpy(self.pixels - low).div_(high - low).clamp_(0, 1)

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
        if not self.is_volume and channels in (1, 3) and self.channels in (3, 4):
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


# Numbers up to 1 are shares of white, unless all of it would look black
_FIRST_GREY = 1 / 255
# of single precision, relative and absolute
_LEAST_EXTENT, _SMALLEST_VALUE = 2.0**-20, 1e-30


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
    if dtype.kind == "f" and low >= 0.0 and _FIRST_GREY < high <= 1.0:
        return (0.0, 1.0), ""
    if high - low > _LEAST_EXTENT * max(abs(low), abs(high), _SMALLEST_VALUE):
        return (low, high), ""
    return (low, low + max(1.0, abs(low) / 1024)), ""  # all of it is one value


Mask = NDArray[np.bool_]


def write_mask(path: Path, missing: Mask) -> None:
    """Write a mask (rows, columns) as an 8-bit PNG, 255 where a pixel is missing.

    Raises :class:`InputError` where the disk refuses.
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(missing.astype(np.uint8) * 255).save(buffer, "PNG")
    with failures_said("The mask", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, buffer.getvalue())


def stamp(
    missing: Mask, start: tuple[float, float], end: tuple[float, float], radius: float, *, value: bool
) -> None:
    """Set the pixels whose middle lies within ``radius`` of the line from start to end, each (row, column), in place.

    Coordinates are those of pixel edges: the first pixel's middle is (0.5, 0.5). At least the pixels that both ends
    lie in are set.
    """
    rows, columns = missing.shape
    (top, left), (bottom, right) = (np.minimum(start, end) - radius), (np.maximum(start, end) + radius)
    r0, r1 = max(int(np.floor(top)), 0), min(int(np.ceil(bottom)) + 1, rows)
    c0, c1 = max(int(np.floor(left)), 0), min(int(np.ceil(right)) + 1, columns)
    if r0 < r1 and c0 < c1:
        row, column = np.mgrid[r0:r1, c0:c1] + 0.5
        way = np.subtract(end, start)
        square = float(way @ way)
        along = 0.0 if square == 0 else ((row - start[0]) * way[0] + (column - start[1]) * way[1]) / square
        along = np.clip(along, 0.0, 1.0)
        distance = np.hypot(row - start[0] - along * way[0], column - start[1] - along * way[1])
        missing[r0:r1, c0:c1][distance <= radius] = value
    for point in (start, end):
        r, c = (int(np.floor(v)) for v in point)
        if 0 <= r < rows and 0 <= c < columns:
            missing[r, c] = value


def fill_box(
    missing: Mask, corner: tuple[float, float], opposite: tuple[float, float], *, value: bool
) -> None:
    """Set the pixels that a box between two corners (row, column) touches, in place."""
    (top, left), (bottom, right) = np.minimum(corner, opposite), np.maximum(corner, opposite)
    rows = slice(max(int(np.floor(top)), 0), max(int(np.floor(bottom)) + 1, 0))
    columns = slice(max(int(np.floor(left)), 0), max(int(np.floor(right)) + 1, 0))
    missing[rows, columns] = value


class OfImage:
    """What has an ``image``, and says as its own what that says."""

    image: Image

    @property
    def pixels(self) -> Pixels:
        """(C, rows, columns), float32, in the image's unit; of a scan that was opened, its FBP."""
        return self.image.pixels

    @property
    def unit(self) -> str:
        """The unit of the pixels, such as "HU"; empty where they have none."""
        return self.image.unit

    @property
    def window(self) -> tuple[float, float]:
        """(low, high) in the image's unit, which are 0 and 1 to the prior."""
        return self.image.window

    @property
    def spacing(self) -> tuple[float, float] | None:
        """Pixel pitch (rows, columns) in mm; None where it is not known."""
        return self.image.spacing
