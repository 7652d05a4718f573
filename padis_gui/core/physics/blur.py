"""Deblurring: y = k * x, by FFT, with a kernel that is drawn or read from a file.

A kernel of n pixels has its centre at pixel n // 2 (from 0) on each axis: the middle of an odd one, the pixel
after the middle of an even one, as ``scipy.ndimage.convolve`` has it. Every kernel is normalised to the sum 1.
The measurement is as large as the image; what the kernel reaches outside is the image continued periodically
("circular": the operator is diagonal in the Fourier basis) or zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from itertools import count
from typing import Any, Literal, Self

from padis_gui.core import Tensor, torch
from padis_gui.core.images.image import Image
from padis_gui.core.physics.operator import LinearOperator, conjugate_gradients
from padis_gui.core.physics.settings import PictureSettings
from padis_gui.core.settings.declarations import setting
from padis_gui.core.settings.errors import InputError, SettingError
from padis_gui.core.settings.watch import SILENT, Watch

Boundary = Literal["circular", "zero"]

_LARGE = 2**22  # pixels, whose transform takes half a second


class BlurSettings(PictureSettings):
    """The kernel, and what it sees beyond the image's edge."""

    kernel: Literal["uniform", "gaussian", "motion", "file"] = setting(
        "uniform", label="Kernel",
        help="What each pixel is smeared to: a square, a Gaussian, a straight line, or a picture in a file",
    )  # fmt: skip
    kernel_size: int = setting(
        9, ge=1, le=255, label="Kernel size", unit="px", help="Side of the uniform kernel's square",
        when={"kernel": "uniform"},
    )  # fmt: skip
    kernel_std: float = setting(
        2.0, gt=0, le=50, label="Kernel width", symbol="σ_k", unit="px",
        help="Standard deviation of the Gaussian kernel, which is cut off at four of them",
        when={"kernel": "gaussian"},
    )  # fmt: skip
    motion_length: float = setting(
        15.0, ge=1, le=255, label="Motion length", unit="px", help="Length of the motion kernel's line",
        when={"kernel": "motion"},
    )  # fmt: skip
    motion_angle: float = setting(
        30.0, ge=0, le=180, label="Motion angle", unit="°",
        help="Direction of the motion kernel's line: 0 is horizontal, 90 vertical, counter-clockwise",
        when={"kernel": "motion"},
    )  # fmt: skip
    kernel_file: str = setting(
        "", label="Kernel file", file=True, when={"kernel": "file"},
        help="Grey picture or array of the kernel; its weights are divided by their sum, its centre is the "
        "middle pixel (after the middle, where the side is even)",
    )  # fmt: skip
    boundary: Boundary = setting(
        "circular", label="Boundary", advanced=True,
        help="What lies beyond the image's edge: the image continued periodically, or zeros",
    )  # fmt: skip

    @property
    def seconds_a_pixel(self) -> float:
        """With zeros around the image, 30 steps of conjugate gradients."""
        return super().seconds_a_pixel if self.boundary == "circular" else 3e-6

    @property
    def picture_file(self) -> str:
        return self.kernel_file if self.kernel == "file" else ""


def uniform_kernel(size: int) -> Tensor:
    """A square of equal weights, (size, size)."""
    return torch.full((size, size), 1 / size**2, dtype=torch.float64)


def gaussian_kernel(std: float) -> Tensor:
    """A Gaussian of ``std`` pixels, cut off at 4 std; an odd side."""
    reach = math.ceil(4 * std)
    axis = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float64) / std).square())
    axis = axis / axis.sum()
    return axis[:, None] * axis


def motion_kernel(length: float, angle: float) -> Tensor:
    """A straight line of ``length`` pixels at ``angle`` degrees, counter-clockwise from the rows; an odd side.

    Points are spread evenly along the line, each shared bilinearly between its four pixels, so that the kernel
    changes continuously with both numbers.
    """
    count = 16 * math.ceil(length)
    along = ((torch.arange(count, dtype=torch.float64) + 0.5) / count - 0.5) * length
    reach = math.ceil(length / 2) + 1
    row = reach - along * math.sin(math.radians(angle))
    column = reach + along * math.cos(math.radians(angle))
    kernel = torch.zeros(2 * reach + 1, 2 * reach + 1, dtype=torch.float64)
    top, left = row.floor().long(), column.floor().long()
    down, right = row - top, column - left
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = (down if i else 1 - down) * (right if j else 1 - right)
        kernel.index_put_((top + i, left + j), weight / count, accumulate=True)
    return kernel


def kernel_of(picture: Image) -> Tensor:
    """A kernel from a picture or array, its sum 1; colours are averaged by luminance.

    Raises :class:`InputError` where it has negative weights, or is black.
    """
    kernel = torch.from_numpy(picture.with_channels(1).pixels[0]).double()
    if bool((kernel < 0).any()) or not bool((kernel > 0).any()):
        what = "negative weights" if bool((kernel < 0).any()) else "zeros only"
        raise InputError(
            f"A kernel of weights from 0 up was wanted, but {picture.name} has {what}; subtract its background and "
            "clip it at 0."
        )
    return kernel / kernel.sum()


def make_kernel(settings: BlurSettings, picture: Image | None = None) -> Tensor:
    """The kernel of these settings, (rows, columns) in float64, its sum 1; ``picture`` is that of their file."""
    match settings.kernel:
        case "uniform":
            return uniform_kernel(settings.kernel_size)
        case "gaussian":
            return gaussian_kernel(settings.kernel_std)
        case "motion":
            return motion_kernel(settings.motion_length, settings.motion_angle)
        case "file":
            if picture is None:
                raise SettingError("A kernel file was wanted, but none was given; choose one as Kernel file.")
            return kernel_of(picture)


class Blur(LinearOperator):
    """x (C, rows, columns) -> k * x of the same shape.

    ``kernel`` is (rows, columns), no larger than the image. ``noise`` is the measurement's standard deviation,
    which only the baseline uses.
    """

    # The root mean square of the difference between neighbouring pixels that the baseline expects of an image in
    # [0, 1], and the least noise it assumes.
    _CONTRAST = 0.1
    _NOISE_FLOOR = 1e-3
    _BASELINE_STEPS = 30

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        kernel: Tensor,
        *,
        boundary: Boundary = "circular",
        noise: float = 0.0,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
        watch: Watch = SILENT,
    ) -> None:
        size = image_shape[1:]
        if kernel.shape[0] > size[0] or kernel.shape[1] > size[1]:
            raise SettingError(
                f"A kernel no larger than the image of {size[0]} x {size[1]} pixels was wanted, but it has "
                f"{kernel.shape[0]} x {kernel.shape[1]}; make the kernel smaller."
            )
        super().__init__(image_shape, device=device, dtype=dtype)
        self._circular = boundary == "circular"
        self._noise = noise
        self._frame = self._frame_of(kernel)
        in_frame = torch.zeros(self._frame, dtype=torch.float64)
        in_frame[: kernel.shape[0], : kernel.shape[1]] = kernel
        centred = in_frame.roll((-(kernel.shape[0] // 2), -(kernel.shape[1] // 2)), dims=(0, 1))
        watch.tell(0.2)
        response: Tensor = torch.fft.rfft2(centred)
        watch.tell(0.6)
        complex_type = torch.complex128 if self.dtype == torch.float64 else torch.complex64
        self._response = response.to(self.device, complex_type)
        watch.tell(0.8)
        self._power = response.abs().square().to(self.device, self.dtype)

    @classmethod
    def of(
        cls,
        image_shape: tuple[int, int, int],
        settings: Any,
        device: torch.device,
        picture: Image | None = None,
        watch: Watch = SILENT,
    ) -> Self:
        kernel = make_kernel(settings, picture)
        return cls(
            image_shape, kernel, boundary=settings.boundary, noise=settings.noise, device=device, watch=watch
        )

    def _frame_of(self, kernel: Tensor) -> tuple[int, int]:
        """The period of the FFT: the image's own, or long enough that nothing wraps around."""
        _, rows, columns = self.image_shape
        if self._circular:
            return rows, columns
        from scipy.fft import next_fast_len

        height, width = kernel.shape
        return next_fast_len(rows + height - 1, real=True), next_fast_len(columns + width - 1, real=True)

    def _forward(self, x: Tensor) -> Tensor:
        return self._inverse(self._response * self._spectrum(x))

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._inverse(self._response.conj() * self._spectrum(y))

    def _spectrum(self, x: Tensor) -> Tensor:
        return self._channelwise(lambda part: torch.fft.rfft2(part, s=self._frame), x)

    def _inverse(self, spectrum: Tensor) -> Tensor:
        _, rows, columns = self.image_shape

        def whole(part: Tensor) -> Tensor:
            image: Tensor = torch.fft.irfft2(part, s=self._frame)
            return image[:, :rows, :columns].contiguous()

        return self._channelwise(whole, spectrum)

    def _channelwise(self, transform: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """The transform of all channels at once; of a large image one by one, as a run is stopped only between two."""
        _, rows, columns = self.image_shape
        if rows * columns < _LARGE:
            return transform(x)
        return torch.cat([transform(part) for part in torch.split(x, 1)])

    def _norm(self, watch: Watch) -> float:
        """1 with the circular boundary, as the kernel's sum is; by power iteration with zeros."""
        return float(self._power.max()) ** 0.5 if self._circular else super()._norm(watch)

    def measured(self, x: Tensor, watch: Watch) -> Tensor:
        self._check_shape(x)
        watch.check()
        spectrum = self._spectrum(x)
        watch.check()
        return self._inverse(self._response * spectrum)

    def prox(self, y: Tensor, v: Tensor, rho: float, iterations: int) -> Tensor:
        """One division in the Fourier basis for the circular boundary; conjugate gradients for the other."""
        if not self._circular:
            return super().prox(y, v, rho, iterations)
        wanted = self._response.conj() * self._spectrum(y) + rho * self._spectrum(v)
        return self._inverse(wanted / (self._power + rho))

    def pinv(self, y: Tensor, watch: Watch = SILENT) -> Tensor:
        """The Wiener filter: argmin ||k * x - y||^2 / noise^2 + ||grad x||^2 / 0.1^2.

        That is, for images whose neighbouring pixels differ by 0.1 (root mean square); the noise is at least
        0.001. Closed form for the circular boundary, 30 conjugate-gradient steps from y for the other.
        """
        weight = (max(self._noise, self._NOISE_FLOOR) / self._CONTRAST) ** 2 * self._squared_gradient
        watch.check()
        if self._circular:
            spectrum = self._spectrum(y)
            watch.check()
            quotient = self._response.conj() * spectrum / (self._power + weight)
            watch.check()
            return self._inverse(quotient)
        steps = count()

        def apply(u: Tensor) -> Tensor:
            watch.tell(min(next(steps) / self._BASELINE_STEPS, 1))
            spectrum = self._spectrum(u)
            watch.check()
            again = self._response.conj() * self._spectrum(self._inverse(self._response * spectrum))
            watch.check()
            return self._inverse(again + weight * spectrum)

        return conjugate_gradients(apply, self._adjoint(y), y, self._BASELINE_STEPS)

    @cached_property
    def _squared_gradient(self) -> Tensor:
        """|grad|^2 of finite differences, in the Fourier basis of the frame."""
        across, along = self._frame
        rows = 2 - 2 * torch.cos(2 * math.pi * torch.fft.fftfreq(across, dtype=torch.float64))
        columns = 2 - 2 * torch.cos(2 * math.pi * torch.fft.rfftfreq(along, dtype=torch.float64))
        return (rows[:, None] + columns).to(self.device, self.dtype)
