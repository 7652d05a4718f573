"""How good an image is against a truth, how well it explains a measurement, and how sure samples are of it.

If the samples are exchangeable with the truth, as draws of the true posterior are, then the mean of N samples has
an error of sqrt(1 + 1/N) times the deviation, and the interval between two of N ordered samples holds the truth as
often as their ranks say. Both are what :class:`Calibration` compares with.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from padis_gui.core import Tensor
from padis_gui.core.settings.errors import SettingError


def as_json(metrics: dict[str, float]) -> dict[str, float | None]:
    """Metrics as JSON can hold them: null where one is not finite, such as the PSNR of a perfect image."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def psnr(x: Tensor, truth: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of an image scaled to [0, 1]; values outside are clipped first.

    Infinite for the same image, NaN for one that has a NaN.
    """
    error = float(((x.clamp(0, 1) - truth) ** 2).mean())
    return math.inf if error == 0 else -10 * math.log10(error)


def ssim(x: Tensor, truth: Tensor) -> float:
    """Structural similarity of (C, rows, columns) images scaled to [0, 1]; 7x7 windows, data range 1."""
    from skimage.metrics import structural_similarity

    clipped = x.clamp(0, 1).cpu().numpy()
    found = structural_similarity(  # type: ignore[no-untyped-call]
        clipped, truth.cpu().numpy(), data_range=1.0, channel_axis=0
    )
    return float(found)


def residual(A: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> float:
    """||A x - y|| / ||y||: 0 where the image explains the measurement exactly."""
    return relative_misfit(A(x), y)


def relative_misfit(measured: Tensor, y: Tensor) -> float:
    """||A x - y|| / ||y|| where ``measured`` = A x is known already."""
    return float((measured - y).norm() / y.norm().clamp(min=1e-12))


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """Power by spatial frequency: ``frequency`` in cycles a pixel, up to 1/2; ``power`` is the mean of |X|^2 / pixels over
    the ring of frequencies around it and over channels, so that white noise of variance v has v everywhere."""

    frequency: NDArray[np.float64]
    power: NDArray[np.float64]


def radial_spectrum(x: NDArray[np.float32], rings: int = 48) -> Spectrum:
    """The radially averaged power spectrum of an image (C, rows, columns): of an error it is the noise-power spectrum.

    The frequencies from 0 to 1/2, without 0 itself, which is the mean, are in ``rings`` equally wide rings, those that no
    frequency of the image falls into left out; what lies beyond 1/2, in the corners, is in none.
    """
    _, rows, columns = x.shape
    power = np.abs(np.fft.fft2(x.astype(np.float64))) ** 2 / (rows * columns)
    radius = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.fftfreq(columns)[None, :])
    ring = np.minimum((radius * 2 * rings).astype(int), rings - 1)[(radius > 0) & (radius <= 0.5)]
    inside = power.mean(axis=0)[(radius > 0) & (radius <= 0.5)]
    count = np.bincount(ring, minlength=rings)
    total = np.bincount(ring, weights=inside, minlength=rings)
    known = count > 0
    middles = (np.arange(rings) + 0.5) / (2 * rings)
    return Spectrum(frequency=middles[known], power=total[known] / count[known])


LEVEL = 0.9
BINS = 12

Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class SampleStatistics:
    """Of ``count`` samples, each (C, rows, columns): pixelwise mean, standard deviation and interval."""

    mean: Values
    deviation: Values
    low: Values
    high: Values
    count: int
    level: float = LEVEL


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well the deviation of samples foretells the error of their mean.

    ``correlation`` is Spearman's rank correlation of deviation and absolute error; ``coverage`` the share of pixels
    whose truth lies in the interval, ``expected_coverage`` that of ideal samples. The pixels are sorted by
    deviation into bins of equal size: ``predicted`` is the error that ideal samples of that deviation would have,
    ``observed`` the root mean square error that there is. Of few samples the deviation is itself uncertain, so that
    even ideal ones have too much error in the first bins, and too little in the last.
    """

    correlation: float
    coverage: float
    expected_coverage: float
    predicted: tuple[float, ...]
    observed: tuple[float, ...]


def summarise(samples: NDArray[np.float32], level: float = LEVEL) -> SampleStatistics:
    """Statistics of samples (N, C, rows, columns), at least two; the interval is central and holds ``level``.

    Its ends are at ranks p (N + 1) of the ordered samples, with which ideal samples cover what they say; where N is
    too small for that they are the smallest and the largest.
    """
    count = len(samples)
    if count < 2:
        raise SettingError(
            f"At least two samples are wanted for a deviation, but {count} came; draw more of them."
        )
    tail = (1 - level) / 2
    low, high = np.quantile(samples, [tail, 1 - tail], axis=0, method="weibull")
    return SampleStatistics(
        mean=samples.mean(axis=0, dtype=np.float64).astype(np.float32),
        deviation=samples.std(axis=0, ddof=1, dtype=np.float64).astype(np.float32),
        low=low.astype(np.float32),
        high=high.astype(np.float32),
        count=count,
        level=level,
    )


def calibrate(found: SampleStatistics, truth: Values) -> Calibration | None:
    """Compare the samples with the truth, (C, rows, columns); None where the samples do not differ anywhere."""
    from scipy.stats import spearmanr

    deviation = found.deviation.ravel().astype(np.float64)
    error = np.abs(found.mean.astype(np.float64) - truth).ravel()
    usable = np.isfinite(deviation) & np.isfinite(error)
    deviation, error = deviation[usable], error[usable]
    if not deviation.size or deviation.max() == deviation.min():
        return None
    correlation = float(spearmanr(deviation, error).statistic) if error.max() > error.min() else math.nan
    inside = (truth >= found.low) & (truth <= found.high)
    order = np.argsort(deviation, kind="stable")
    parts = [part for part in np.array_split(order, BINS) if part.size]
    widening = math.sqrt(1 + 1 / found.count)
    return Calibration(
        correlation=correlation,
        coverage=float(inside.ravel()[usable].mean()),
        expected_coverage=min(found.level, (found.count - 1) / (found.count + 1)),
        predicted=tuple(widening * _root_mean_square(deviation[part]) for part in parts),
        observed=tuple(_root_mean_square(error[part]) for part in parts),
    )


def _root_mean_square(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.square(values).mean()))
