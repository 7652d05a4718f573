"""Conjugate gradients, the one linear solver that data steps share."""

from collections.abc import Callable

import torch
from torch import Tensor


@torch.no_grad()
def conjugate_gradients(
    apply: Callable[[Tensor], Tensor], b: Tensor, x: Tensor, iterations: int, tolerance: float = 1e-7
) -> Tensor:
    """Solve M x = b for a symmetric positive semi-definite M, from the start x; at most ``iterations`` steps.

    Stops early when the residual has fallen below ``tolerance`` times ||b||. ``b`` and ``x`` are left alone.
    Vectors are updated in place: beside a sparse product, the passes over them are what a step costs.
    """
    r = b - apply(x)
    x, p = x.clone(), r
    rr = _dot(r, r)
    stop = tolerance**2 * _dot(b, b)
    for _ in range(iterations):
        if rr <= stop:
            break
        Mp = apply(p)
        curvature = _dot(p, Mp)
        if curvature <= 0:  # the null space, or round-off: nothing more to gain
            break
        alpha = rr / curvature
        x.add_(p, alpha=alpha)
        r = torch.sub(r, Mp, alpha=alpha)
        rr, previous = _dot(r, r), rr
        p = torch.add(r, p, alpha=rr / previous)
    return x


def _dot(a: Tensor, b: Tensor) -> float:
    return float(torch.dot(a.reshape(-1), b.reshape(-1)))
