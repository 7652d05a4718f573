"""Conjugate gradients, the one linear solver that data steps share."""

from collections.abc import Callable

import torch
from torch import Tensor


@torch.no_grad()
def conjugate_gradients(
    apply: Callable[[Tensor], Tensor], b: Tensor, x: Tensor, iterations: int, tolerance: float = 1e-7
) -> Tensor:
    """Solve M x = b for a symmetric positive semi-definite M, from the start x; at most ``iterations`` steps.

    Stops early when the residual has fallen below ``tolerance`` times ||b||.
    """
    r = b - apply(x)
    p = r
    rr = torch.sum(r * r)
    stop = (tolerance * torch.linalg.vector_norm(b)) ** 2
    for _ in range(iterations):
        if rr <= stop:
            break
        Mp = apply(p)
        curvature = torch.sum(p * Mp)
        if curvature <= 0:  # the null space, or round-off: nothing more to gain
            break
        alpha = rr / curvature
        x = x + alpha * p
        r = r - alpha * Mp
        rr, previous = torch.sum(r * r), rr
        p = r + (rr / previous) * p
    return x
