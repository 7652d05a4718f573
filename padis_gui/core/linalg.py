"""Data steps that solvers share: conjugate gradients on A^T A, without losing the interrupt."""

from collections.abc import Callable

import torch
from torch import Tensor

from padis_gui.core.operators.base import LinearOperator


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


def least_squares(A: LinearOperator, y: Tensor, x: Tensor, iterations: int) -> Tensor:
    """``iterations`` CG steps on A^T A x = A^T y from x: the data step of DDS (arXiv 2303.05754)."""
    return conjugate_gradients(lambda v: A.T(A(v)), A.T(y), x, iterations)


def prox(A: LinearOperator, y: Tensor, v: Tensor, rho: float, iterations: int) -> Tensor:
    """argmin ||A x - y||^2 + rho ||x - v||^2, by CG from v."""
    return conjugate_gradients(lambda u: A.T(A(u)) + rho * u, A.T(y) + rho * v, v, iterations)
