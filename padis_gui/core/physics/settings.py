"""What every measurement's settings share: whether colours are kept, and how its noise is made."""

from __future__ import annotations

import math
from typing import Self

from padis_gui.core import Tensor, torch
from padis_gui.core.images.image import Image
from padis_gui.core.settings.declarations import GIVEN, Settings, setting
from padis_gui.core.settings.watch import SILENT, Watch

# Photons of so many bins are counted in 0.2 s
_COUNTED_AT_ONCE = 2**21


def _white(like: Tensor, rng: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=rng).to(like.device, like.dtype)


def _gaussian(clean: Tensor, deviation: float, rng: torch.Generator) -> Tensor:
    return clean + deviation * _white(clean, rng)


def _alike_along_detector(white: Tensor, length: float) -> Tensor:
    """Noise (C, views, bins) under a Gaussian of ``length`` bins along the detector, as strong as it was; as it is for 0.

    Bins d apart have the correlation exp(-d^2 / (4 length^2)) for lengths from 1 on, the first and the last one as if they
    were neighbours.
    """
    if length == 0:
        return white
    bins = white.shape[-1]
    response = torch.exp(-2 * (math.pi * length * torch.fft.fftfreq(bins, dtype=torch.float64)) ** 2)
    response = (response / response.square().mean().sqrt()).to(white.device)
    smoothed: Tensor = torch.fft.ifft(torch.fft.fft(white.double()) * response).real
    return smoothed.to(white.dtype)


def _counted(expected: Tensor, rng: torch.Generator, watch: Watch) -> Tensor:
    """Poisson counts, drawn one after the other: in parts they are the same."""
    parts = []
    flat = expected.flatten()
    for start in range(0, len(flat), _COUNTED_AT_ONCE):
        watch.check()
        parts.append(torch.poisson(flat[start : start + _COUNTED_AT_ONCE], generator=rng))
    return torch.cat(parts).reshape(expected.shape)


class PhysicsSettings(Settings):
    """Base of the settings of a measurement; without noise."""

    def noisy(self, clean: Tensor, rng: torch.Generator, watch: Watch = SILENT) -> tuple[Tensor, float]:
        """The measurement of a clean one, and the standard deviation of its noise in the measurement's unit.

        ``rng`` is a CPU generator, so every device sees the same noise.
        """
        return clean, 0.0

    def noise_in(self, measurement: Tensor) -> float:
        """The standard deviation that the noise of a real measurement is taken to have, in its unit."""
        return 0.0

    @property
    def picture_file(self) -> str:
        """The file with the picture that these settings need (a kernel, a mask); empty where they need none."""
        return ""

    def image_shape(self, measured: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the image that a degraded picture of that shape was made of."""
        return measured

    def entries(self, shape: tuple[int, int]) -> int:
        """About how many entries the matrix of images of ``shape`` (rows, columns) has at most; 0 where there is none.

        Raises :class:`~padis_gui.core.settings.errors.SettingError` for settings that do not fit such images.
        """
        return 0

    def stored_entries(self, shape: tuple[int, int]) -> int:
        """How many of them a run keeps in memory."""
        return self.entries(shape)

    def entries_in_product(self, image_shape: tuple[int, int, int]) -> int:
        """About how many entries of the matrix a product with an image (C, rows, columns) takes."""
        return self.entries(image_shape[1:])

    def for_image(self, image: Image) -> Self:
        """The settings with what is automatic and follows from the image itself."""
        return self

    @property
    def seconds_a_pixel(self) -> float:
        """About how long the baseline takes for each pixel of the image, on one core."""
        return 1.5e-7

    @property
    def is_noisy(self) -> bool:
        """Whether :meth:`noisy` draws anything."""
        return False

    @property
    def keeps_colours(self) -> bool:
        """Whether a colour image stays one under a grey prior, channel by channel."""
        return True


class ScanSettings(PhysicsSettings):
    """The noise of a tomographic scan of line integrals."""

    noise: float = setting(
        0.0, ge=0, le=1, label="Noise", symbol="σ_y",
        help="Gaussian noise on the sinogram, relative to its root mean square (0.01 = 1 %)",
    )  # fmt: skip
    photons: float | None = setting(
        None, ge=1, le=1e12, label="Photons", symbol="I₀", advanced=True,
        help="Photons that leave the source towards each detector bin, counted with Poisson noise; automatic "
        "is without",
    )  # fmt: skip
    absorption: float = setting(
        0.05, gt=0, le=10, label="Absorption", symbol="μ", unit="1/px", advanced=True,
        help="What one pixel of intensity 1 absorbs, for the photon count: 0.05 is a CT slice of 36 cm on 256 "
        "pixels, whose intensity 1 is +1000 HU at 70 keV",
        when={"photons": GIVEN},
    )  # fmt: skip
    gain: float = setting(
        0.0, ge=0, le=1, label="Detector gain", symbol="σ_g", advanced=True, before=0.0,
        help="Spread of a gain that each detector bin keeps in all views, which makes rings: an offset of its line "
        "integrals, relative to the root mean square of the sinogram (0.01 = 1 %)",
    )  # fmt: skip
    noise_correlation: float = setting(
        0.0, ge=0, le=100, label="Noise correlation", symbol="ℓ", unit="bins", advanced=True, before=0.0,
        help="How far the noise of neighbouring bins is alike, as behind a scintillator: the standard deviation of the "
        "Gaussian that it is smoothed by, at the same strength; 0 is independent noise",
    )  # fmt: skip

    def noisy(self, clean: Tensor, rng: torch.Generator, watch: Watch = SILENT) -> tuple[Tensor, float]:
        """Gaussian noise relative to the root mean square, a gain that each bin keeps, then photon counting.

        A gain g is an offset -ln g of a bin's line integrals. Counts are Poisson with mean I0 exp(-p); the measurement is
        -ln(max(count, 1) / I0), back in the sinogram's unit, and its deviation the root mean square of
        1 / sqrt(count) over all bins. Gaussian and counting noise are correlated along the detector where that is set.
        """
        scale_of = float(clean.square().mean().sqrt())
        white = _alike_along_detector(_white(clean, rng), self.noise_correlation)
        measured = clean + self.noise * scale_of * white
        if self.gain:
            measured = measured + self.gain * scale_of * _white(clean[..., :1, :], rng)
        deviation = self.noise_in(clean)
        if self.photons is None:
            return measured, deviation
        scale = self.absorption / self.length_of_a_pixel
        expected = self.photons * torch.exp(-scale * measured.double().cpu())
        counts = _counted(expected, rng, watch).clamp(min=1)
        counted = (-torch.log(counts / self.photons) / scale).to(clean.device, clean.dtype)
        if self.noise_correlation:
            counted = measured + _alike_along_detector(counted - measured, self.noise_correlation)
        photon_deviation = float((1 / counts).mean().sqrt()) / scale
        return counted, float((deviation**2 + photon_deviation**2) ** 0.5)

    def noise_in(self, measurement: Tensor) -> float:
        """The Gaussian part and that of the gain, relative to the root mean square."""
        return math.hypot(self.noise, self.gain) * float(measurement.square().mean().sqrt())

    @property
    def is_noisy(self) -> bool:
        """With Gaussian noise, a gain, or photons counted."""
        return self.noise > 0 or self.gain > 0 or self.photons is not None

    @property
    def length_of_a_pixel(self) -> float:
        """One pixel in the unit of the line integrals."""
        return 1.0

    @property
    def keeps_colours(self) -> bool:
        """A scan sees one intensity."""
        return False


class PictureSettings(PhysicsSettings):
    """The noise of a picture, on the scale of an image in [0, 1]."""

    noise: float = setting(
        0.0, ge=0, le=1, label="Noise", symbol="σ_y",
        help="Standard deviation of the Gaussian noise on the measured picture, whose intensities are 0 to 1",
    )  # fmt: skip
    colour: bool = setting(
        True, label="Keep colours", advanced=True,
        help="Reconstruct each channel of a colour picture with a grey prior; off makes it grey first",
    )  # fmt: skip

    def noisy(self, clean: Tensor, rng: torch.Generator, watch: Watch = SILENT) -> tuple[Tensor, float]:
        """Gaussian noise of the set deviation."""
        return _gaussian(clean, self.noise, rng), self.noise

    def noise_in(self, measurement: Tensor) -> float:
        """The set deviation."""
        return self.noise

    @property
    def is_noisy(self) -> bool:
        """With a positive deviation."""
        return self.noise > 0

    @property
    def keeps_colours(self) -> bool:
        return self.colour
