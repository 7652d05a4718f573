"""SIRT, the simultaneous iterative reconstruction technique (Gilbert 1972; van der Sluis and van der Vorst 1990):
x <- x + lambda C A^T R (y - A x), with R and C the inverse row and column sums of A.

The sums are A(1) and A^T(1), which weigh rows and columns where no entry is negative; with 0 < lambda < 2 the
iteration then converges to a weighted least-squares image. Operators with signed entries (bicubic reduction) have
no such sums within reach; for them R = 1 and C = 0.9 at ||A|| = 1, which is Landweber's iteration, convergent for
the same lambda with a margin for a norm that power iteration finds too small.
"""

from padis_gui.core import Tensor, torch
from padis_gui.core.physics.operator import LinearOperator
from padis_gui.core.settings.declarations import setting
from padis_gui.core.solvers import shared_settings as shared
from padis_gui.core.solvers.iterate import ClassicalSetup, MethodSettings, Step, Steps


class SIRTSettings(MethodSettings):
    """Settings of :func:`sirt`."""

    steps: int = shared.iterations(200)
    relaxation: float = setting(
        1.9, gt=0, le=1.99, label="Relaxation", symbol="λ", live=True,
        help="Length of each step; from 2 on it would diverge",
    )  # fmt: skip
    clip: bool = setting(True, label="Stay in range", help="Clip each iterate to the image's range, 0 to 1")


_PROBES = 4
_SPARSITY = 64
_ROUND_OFF = 1e-5
_MARGIN = 0.9


def has_signed_entries(A: LinearOperator) -> bool:
    """Whether A has negative entries, seen where it spreads a few scattered pixels."""
    rng = torch.Generator().manual_seed(0)
    for _ in range(_PROBES):
        pixels = torch.randint(_SPARSITY, A.image_shape, generator=rng) == 0
        spread = A(pixels.to(A.device, A.dtype))
        if bool((spread < -_ROUND_OFF * _largest(spread)).any()):
            return True
    return False


def _largest(values: Tensor) -> float:
    return float(values.abs().max()) if values.numel() else 0.0


def _inverse_sums(sums: Tensor) -> Tensor:
    """1 / sums; 0 for rows and columns that are empty but for round-off."""
    empty = sums <= _ROUND_OFF * _largest(sums)
    return torch.where(empty, 0.0, 1 / sums.where(~empty, torch.ones_like(sums)))


def sirt(setup: ClassicalSetup, settings: SIRTSettings) -> Steps[SIRTSettings]:
    """One iterate for each sweep over all rays, from a blank image."""
    A, y = setup.A, setup.y
    x = torch.zeros_like(A.T(y))
    rows, columns = torch.ones_like(y), torch.full_like(x, _MARGIN)
    if not has_signed_entries(A):
        rows, columns = _inverse_sums(A(torch.ones_like(x))), _inverse_sums(A.T(torch.ones_like(y)))
    for _ in range(settings.steps):
        x = x + settings.relaxation * columns * A.T(rows * (y - A(x)))
        if settings.clip:
            x = x.clamp(0, 1)
        settings = yield Step(x)
