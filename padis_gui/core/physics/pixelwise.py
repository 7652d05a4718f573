"""Operators that look at one pixel at a time.

Denoising measures the image itself, with noise. Inpainting: y = m x, where the mask m is 1 on known pixels and 0 on
missing ones. Nothing is no measurement at all: what is left of a reconstruction is a sample of the prior (generation).
"""

from __future__ import annotations

import math
from itertools import count
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from padis_gui.core import Tensor, torch
from padis_gui.core.images.image import Image
from padis_gui.core.physics.operator import LinearOperator, conjugate_gradients
from padis_gui.core.physics.settings import PhysicsSettings, PictureSettings
from padis_gui.core.settings.declarations import setting
from padis_gui.core.settings.errors import InputError, SettingError
from padis_gui.core.settings.watch import SILENT, Watch


class DenoisingSettings(PictureSettings):
    """The noise that is to be removed."""

    noise: float = setting(
        0.1, ge=0, le=1, label="Noise", symbol="σ_y",
        help="Standard deviation of the Gaussian noise on the picture, whose intensities are 0 to 1",
    )  # fmt: skip


class Denoising(LinearOperator):
    """x (C, rows, columns) -> x."""

    def _forward(self, x: Tensor) -> Tensor:
        return x

    def _adjoint(self, y: Tensor) -> Tensor:
        return y

    def _norm(self, watch: Watch) -> float:
        """1: the operator is the identity."""
        return 1.0

    def prox(self, y: Tensor, v: Tensor, rho: float, iterations: int) -> Tensor:
        """The weighted mean of both images."""
        return (y + rho * v) / (1 + rho)

    def least_squares(self, y: Tensor, x: Tensor, iterations: int) -> Tensor:
        return y

    def pinv(self, y: Tensor, watch: Watch = SILENT) -> Tensor:
        """The noisy picture itself: the exact inverse of the identity."""
        return y


class NothingSettings(PhysicsSettings):
    """The size of what is generated."""

    rows: int | None = setting(
        None, ge=16, le=2048, label="Rows", unit="px", help="Rows; automatic is the prior's training size"
    )
    columns: int | None = setting(
        None, ge=16, le=2048, label="Columns", unit="px", help="Columns; automatic is the prior's training size"
    )  # fmt: skip


class Nothing(LinearOperator):
    """x (C, rows, columns) -> an empty measurement; every data step leaves its image alone."""

    @property
    def measurement_shape(self) -> tuple[int, ...]:
        return (0,)

    def _forward(self, x: Tensor) -> Tensor:
        return x.new_zeros(0)

    def _adjoint(self, y: Tensor) -> Tensor:
        return y.new_zeros(self.image_shape)

    def pinv(self, y: Tensor, watch: Watch = SILENT) -> Tensor:
        """A blank image: nothing is known."""
        return y.new_zeros(self.image_shape)

    def prox(self, y: Tensor, v: Tensor, rho: float, iterations: int) -> Tensor:
        return v

    def least_squares(self, y: Tensor, x: Tensor, iterations: int) -> Tensor:
        return x


class InpaintingSettings(PictureSettings):
    """Which pixels are missing."""

    mask: Literal["boxes", "pixels", "strokes", "blobs", "file"] = setting(
        "boxes", label="Mask",
        help="What is missing: square boxes, single pixels, brush strokes, blobs, or what a file marks",
    )  # fmt: skip
    boxes: int = setting(
        12, ge=1, le=10_000, label="Boxes", help="Number of missing boxes; they may overlap",
        when={"mask": "boxes"},
    )  # fmt: skip
    box_side: int = setting(
        24,
        ge=1,
        le=2048,
        label="Box side",
        unit="px",
        help="Side of each missing box",
        when={"mask": "boxes"},
    )
    missing: float = setting(
        0.7, ge=0, le=0.99, label="Missing", help="Share of missing pixels", when={"mask": "pixels"}
    )
    covered: float = setting(
        0.25, gt=0, le=0.9, label="Covered", before=0.25,
        help="Share of the image that strokes or blobs cover: blobs exactly, strokes with the last one beyond it",
        when={"mask": ("strokes", "blobs")},
    )  # fmt: skip
    stroke_width: int = setting(
        12, ge=1, le=512, label="Stroke width", unit="px", before=12, help="Width of the brush",
        when={"mask": "strokes"},
    )  # fmt: skip
    blob_size: float = setting(
        10.0, ge=1, le=512, label="Blob size", unit="px", before=10.0,
        help="Standard deviation of the Gaussian that makes noise smooth, whose highest places are the blobs",
        when={"mask": "blobs"},
    )  # fmt: skip
    pattern: int = setting(
        0, ge=0, le=2**31 - 1, label="Pattern",
        help="Number of the drawn mask: the same number is the same mask, whatever the seed of the run",
        when={"mask": ("boxes", "pixels", "strokes", "blobs")},
    )  # fmt: skip
    mask_file: str = setting(
        "", label="Mask file", file=True, when={"mask": "file"},
        help="Picture as large as the image; what is bright (above the middle of its range) is missing",
    )  # fmt: skip

    @property
    def picture_file(self) -> str:
        return self.mask_file if self.mask == "file" else ""

    @property
    def seconds_a_pixel(self) -> float:
        """Up to a hundred steps of conjugate gradients."""
        return 1.2e-6

    def known(self, rows: int, columns: int, picture: Image | None = None) -> Tensor:
        """The mask (rows, columns): True where the image is known; ``picture`` is that of the mask's file.

        Raises :class:`SettingError` or :class:`InputError` where it does not fit the image or leaves nothing.
        """
        known = _marked(picture, rows, columns) if self.mask == "file" else self._drawn(rows, columns)
        if not bool(known.any()):
            raise SettingError(
                "A mask that leaves some pixels was wanted, but all of them are missing; make it smaller."
            )
        return known

    def _drawn(self, rows: int, columns: int) -> Tensor:
        # not the stream of a run with the same seed, whose noise would then depend on where the mask is
        rng = torch.Generator().manual_seed((self.pattern * 2_654_435_761 + 1_013_904_223) % 2**32)
        if self.mask == "pixels":
            return torch.rand((rows, columns), generator=rng) >= self.missing
        if self.mask == "strokes":
            return strokes(rows, columns, self.covered, self.stroke_width, rng)
        if self.mask == "blobs":
            return blobs(rows, columns, self.covered, self.blob_size, rng)
        if self.box_side > min(rows, columns):
            raise SettingError(
                f"Boxes no larger than the image of {rows} x {columns} pixels were wanted, but their side is "
                f"{self.box_side}; make them smaller."
            )
        known = torch.ones(rows, columns, dtype=torch.bool)
        corners = (
            torch.randint(n - self.box_side + 1, (self.boxes,), generator=rng) for n in (rows, columns)
        )
        for top, left in zip(*(c.tolist() for c in corners), strict=True):
            known[top : top + self.box_side, left : left + self.box_side] = False
        return known


# Pieces of a stroke, the longest as a share of the image's shorter side, and how far it turns at a corner in radians
_PIECES, _LONGEST, _TURN = 8, 1 / 8, 1.2


def strokes(rows: int, columns: int, covered: float, width: int, rng: torch.Generator) -> Tensor:
    """A mask (rows, columns), True where no brush stroke went, of as many strokes as cover that share of the image.

    A stroke is a line of several pieces that turns a little at each corner, after the free-form masks of arXiv 1806.03589.
    """
    from PIL import Image as Canvas
    from PIL import ImageDraw

    canvas = Canvas.new("L", (columns, rows))
    brush = ImageDraw.Draw(canvas)
    longest = max(1.0, 2.0 * width, _LONGEST * min(rows, columns))
    largest = _PIECES * (longest + width) * width  # what a stroke can cover, in px
    drawn = np.asarray(canvas)
    while (left := covered * rows * columns - np.count_nonzero(drawn)) > 0:
        for _ in range(math.ceil(left / largest)):
            brush.line(_stroke(rows, columns, longest, rng), fill=255, width=width, joint="curve")
        drawn = np.asarray(canvas)
    return torch.from_numpy(drawn == 0)


def _stroke(rows: int, columns: int, longest: float, rng: torch.Generator) -> list[tuple[float, float]]:
    """The corners (x, y) of a stroke of 3 to 8 pieces that begins somewhere in the image, in px."""
    left, top, angle, count, *draws = torch.rand(4 + 2 * _PIECES, generator=rng).tolist()
    x, y, angle = left * columns, top * rows, 2 * math.pi * angle
    corners = [(x, y)]
    pieces = round(3 + count * (_PIECES - 3))
    for turn, share in zip(draws[:pieces], draws[_PIECES:], strict=False):
        angle += _TURN * (2 * turn - 1)
        length = longest * (0.2 + 0.8 * share)
        x, y = x + length * math.cos(angle), y + length * math.sin(angle)
        corners.append((x, y))
    return corners


def blobs(rows: int, columns: int, covered: float, size: float, rng: torch.Generator) -> Tensor:
    """A mask (rows, columns), False on that share of the image: where noise, smoothed over ``size`` px, is highest."""
    from scipy.ndimage import gaussian_filter

    noise = torch.randn((rows, columns), generator=rng, dtype=torch.float64).numpy()
    order = np.argsort(gaussian_filter(noise, size, mode="wrap"), axis=None, kind="stable")
    known = np.zeros(rows * columns, dtype=bool)
    known[order[: round((1 - covered) * rows * columns)]] = True
    return torch.from_numpy(known.reshape(rows, columns))


def _marked(picture: Image | None, rows: int, columns: int) -> Tensor:
    """True where a picture is dark."""
    if picture is None:
        raise SettingError("A mask file was wanted, but none was given; choose one as Mask file.")
    image = picture.with_channels(1)
    if image.shape != (rows, columns):
        raise InputError(
            f"A mask as large as the image, {rows} x {columns} pixels, was wanted, but {image.name} has "
            f"{image.shape[0]} x {image.shape[1]}; resize the mask."
        )
    values = torch.from_numpy(image.pixels[0])
    low, high = float(values.min()), float(values.max())
    return values <= (low + high) / 2 if high > low else values <= 0


class Inpainting(LinearOperator):
    """x (C, rows, columns) -> m x of the same shape; all channels share the mask.

    ``known`` is (rows, columns), True where the image is known.
    """

    _FILL_STEPS = 100

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        known: Tensor,
        *,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(image_shape, device=device, dtype=dtype)
        self.known = known
        self._mask = known.to(self.device, self.dtype)
        self._nearest: Tensor | None = None

    @classmethod
    def of(
        cls,
        image_shape: tuple[int, int, int],
        settings: Any,
        device: torch.device,
        picture: Image | None = None,
        watch: Watch = SILENT,
    ) -> Self:
        return cls(image_shape, settings.known(*image_shape[1:], picture), device=device)

    def observed(self, y: Tensor) -> Tensor:
        return self._mask * y

    def _forward(self, x: Tensor) -> Tensor:
        return self._mask * x

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._mask * y

    def _norm(self, watch: Watch) -> float:
        """1: some pixel is known."""
        return 1.0

    def prox(self, y: Tensor, v: Tensor, rho: float, iterations: int) -> Tensor:
        """A weighted mean at each known pixel; v at the missing ones."""
        return (self._mask * y + rho * v) / (self._mask + rho)

    def least_squares(self, y: Tensor, x: Tensor, iterations: int) -> Tensor:
        """The measurement where it is known; x elsewhere."""
        return x + self._mask * (y - x)

    def pinv(self, y: Tensor, watch: Watch = SILENT) -> Tensor:
        """The harmonic fill: missing pixels are the mean of their neighbours (the Laplace equation).

        From the nearest known pixel, by at most 100 conjugate-gradient steps. Known pixels stay as measured.
        """
        hole = 1 - self._mask
        known = self._mask * y
        rows, columns = self._nearest_known(watch.part(0, 0.3))
        start = hole * y[:, rows, columns]
        steps = count()

        def apply(u: Tensor) -> Tensor:
            watch.tell(0.3 + 0.7 * min(next(steps) / self._FILL_STEPS, 1))
            return hole * _laplacian(u)

        fill = conjugate_gradients(apply, -hole * _laplacian(known), start, self._FILL_STEPS, tolerance=1e-4)
        return known + fill

    def _nearest_known(self, watch: Watch) -> tuple[Tensor, Tensor]:
        """Row and column of the known pixel that is nearest to each pixel; kept."""
        if self._nearest is None:
            self._nearest = nearest_known(self.known, watch).to(self.device)
        rows, columns = self._nearest
        return rows, columns


# Pixels whose nearest known ones are looked for at a time, in 0.15 s
_NEAREST_AT_ONCE = 2**20
_REACH = 16


def nearest_known(known: Tensor, watch: Watch = SILENT) -> Tensor:
    """Row and column, (2, rows, columns), of the True pixel of a mask (rows, columns) that is nearest to each pixel.

    Of a large mask some rows at a time, with as many around them as the pixels found are away: with what lies farther
    away nothing changes, not even which of two that are equally near is taken.
    """
    mask = ~known.numpy()
    rows, columns = mask.shape
    together = max(_REACH, _NEAREST_AT_ONCE // columns)
    found = torch.empty(2, rows, columns, dtype=torch.long)
    for first in range(0, rows, together):
        watch.tell(first / rows)
        end, reach = min(first + together, rows), _REACH
        while (nearest := _within(mask, first, end, reach)) is None:
            watch.check()
            reach *= 4
        found[:, first:end] = torch.from_numpy(nearest)
    return found


def _within(mask: NDArray[np.bool_], first: int, end: int, reach: int) -> NDArray[np.int32] | None:
    """The nearest False pixel of those from row ``first`` up to ``end``, None where some are farther than ``reach``."""
    from scipy.ndimage import distance_transform_edt

    top, bottom = max(0, first - reach), min(len(mask), end + reach)
    part = mask[top:bottom]
    whole = len(part) == len(mask)
    if not whole and part.all():
        return None
    nearest: NDArray[np.int32]
    nearest = distance_transform_edt(part, return_distances=False, return_indices=True)[
        :, first - top : end - top
    ]
    nearest[0] += top
    away = (nearest[0] - np.arange(first, end)[:, None]) ** 2 + (nearest[1] - np.arange(mask.shape[1])) ** 2
    return nearest if whole or away.max() <= reach**2 else None


def _laplacian(u: Tensor) -> Tensor:
    """D^T D u, with D the differences between neighbouring pixels of (C, rows, columns): minus the Laplacian."""
    down, right = u.diff(dim=1), u.diff(dim=2)
    result = torch.zeros_like(u)
    result[:, 1:] += down
    result[:, :-1] -= down
    result[:, :, 1:] += right
    result[:, :, :-1] -= right
    return result
