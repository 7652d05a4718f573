"""Conjugate gradients, the one linear solver that data steps share, for M x = b and for least squares."""

import math
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


@torch.no_grad()
def damped_least_squares(
    forward: Callable[[Tensor], Tensor],
    adjoint: Callable[[Tensor], Tensor],
    y: Tensor,
    x: Tensor,
    damping: float,
    iterations: int,
    tolerance: float = 1e-7,
) -> Tensor:
    """argmin ||A u - y||^2 + damping ||u - x||^2 by at most ``iterations`` conjugate-gradient steps from x.

    Without damping, the solution of the normal equations that is nearest to x. Stops early when the gradient has
    fallen below ``tolerance`` times its first length. ``x`` and ``y`` are left alone.

    The form is CGLS (after Hestenes and Stiefel 1952), whose residual y - A u is a measurement: in the same
    number of steps it loses fewer digits than conjugate gradients on A^T A, with fewer products and passes.
    """
    residual = y - forward(x)
    moved = torch.zeros_like(x)
    p, pp, descent, first = moved, 0.0, math.inf, 0.0
    for step in range(iterations):
        s = adjoint(residual)
        if damping:
            s = torch.sub(s, moved, alpha=damping)
        previous, descent = descent, _dot(s, s)
        first = first or descent
        if descent <= tolerance**2 * first:
            break
        share = descent / previous
        p = torch.add(s, p, alpha=share) if step else s
        pp = descent + share**2 * pp  # ||p||^2, as s is orthogonal to the direction before
        q = forward(p)
        curvature = _dot(q, q) + damping * pp
        if curvature <= 0:  # the null space, or round-off: nothing more to gain
            break
        moved.add_(p, alpha=descent / curvature)
        residual = torch.sub(residual, q, alpha=descent / curvature)
    return x + moved


def _dot(a: Tensor, b: Tensor) -> float:
    # not torch.dot: the BLAS behind it sums in an order that depends on threads and alignment, and a run would not
    # repeat bit for bit
    return float(torch.sum(a * b))
