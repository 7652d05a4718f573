"""Image quality against a truth, and agreement with the measurement."""

import math
from collections.abc import Callable

from torch import Tensor


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
