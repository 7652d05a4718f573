"""Total variation, by the primal-dual method of Chambolle and Pock (doi 10.1007/s10851-010-0251-1, algorithm 1).

The operator and the image's gradient are both dualised, so that one iteration costs one A and one A^T. On the
scale where ||A|| = 1 and with K = (A, D / sqrt 8), ||K||^2 <= 2.

How much is smoothed follows from the data: without a weight the problem is

    min TV(x)  subject to  ||A x - y|| <= tau noise sqrt(m),

the discrepancy principle as a constraint, which for clean data is the smoothest image that explains them exactly
(Sidky, Jorgensen and Pan, arXiv 1111.5632, derive it for CT). With a weight w it is min ||A x - y||^2 / 2 + w TV(x). Both
differ in one proximal step only. Colour channels share their edges: the gradient's norm is taken over them all. Slices of
a volume do not: each has a problem of its own. Where they are measured together, as in a cone beam, the gradient has a
third component, along z, divided by the distance of the slices: total variation in three dimensions.

Measured (20 views, 11 validation slices without noise): 29.1 dB, 0.829, where the best of three fixed weights gave
26.0 dB, 0.737.
"""

import math

from padis_gui.core import Tensor, torch
from padis_gui.core.settings.declarations import NOT_GIVEN, setting
from padis_gui.core.solvers.iterate import ClassicalSetup, MethodSettings, Step, Steps


class TVSettings(MethodSettings):
    """Settings of :func:`tv`."""

    steps: int = setting(300, ge=1, le=100_000, label="Steps", symbol="n", help="Primal-dual iterations")
    weight: float | None = setting(
        None, gt=0, le=100, label="TV weight", symbol="w", live=True,
        help="Weight of total variation against ½‖Ax−y‖², on the scale where ‖A‖ = 1; automatic explains the "
        "data up to their noise",
    )  # fmt: skip
    discrepancy: float = setting(
        0.95, ge=0, le=10, label="Discrepancy", symbol="τ", live=True, advanced=True,
        help="Residual that is left to the data, in units of their noise, where the weight is automatic",
        when={"weight": NOT_GIVEN},
    )  # fmt: skip
    clip: bool = setting(
        True, label="Stay in range", advanced=True, help="Keep the image in its range, 0 to 1"
    )


# The primal step over the dual one: measured best of 0.03, 0.1 and 0.3 over CT, deblurring, super-resolution,
# inpainting and denoising of images in [0, 1].
_BALANCE = 0.03


def gradient_norm(slice_step: float | None) -> float:
    """||D||, bounded by the differences between neighbours (Chambolle 2004)."""
    return math.sqrt(8.0 if slice_step is None else 8.0 + 4.0 / slice_step**2)


def differences(x: Tensor, slice_step: float | None = None) -> Tensor:
    """D x / ||D||: differences down and to the right, (2, C, rows, columns), 0 at the far edges.

    Of slices that lie ``slice_step`` pixels apart those along z besides, (3, C, rows, columns).
    """
    found = x.new_zeros(2 if slice_step is None else 3, *x.shape)
    torch.sub(x[:, 1:], x[:, :-1], out=found[0, :, :-1])
    torch.sub(x[:, :, 1:], x[:, :, :-1], out=found[1, :, :, :-1])
    if slice_step is not None:
        torch.sub(x[1:], x[:-1], out=found[2, :-1])
        found[2] /= slice_step
    return found.div_(gradient_norm(slice_step))


def differences_transposed(p: Tensor, slice_step: float | None = None) -> Tensor:
    """D^T p / ||D||, the exact adjoint of :func:`differences`."""
    x = torch.zeros_like(p[0])
    x[:, 1:] += p[0, :, :-1]
    x[:, :-1] -= p[0, :, :-1]
    x[:, :, 1:] += p[1, :, :, :-1]
    x[:, :, :-1] -= p[1, :, :, :-1]
    if slice_step is not None:
        x[1:] += p[2, :-1] / slice_step
        x[:-1] -= p[2, :-1] / slice_step
    return x.div_(gradient_norm(slice_step))


def _into_ball(p: Tensor, radius: float, *, apart: bool) -> Tensor:
    """The dual of TV: the length of each pixel's vector is at most ``radius``, over directions and, unless they are slices
    ``apart``, channels."""
    # vector_norm is ninety times slower along these axes
    length = p.square().sum((0,) if apart else (0, 1), keepdim=True).sqrt_()
    return p * (radius / length.clamp(min=radius))


def _data_dual(setup: ClassicalSetup, q: Tensor, step: float, weight: float | None, bound: float) -> Tensor:
    """The dual's proximal step: of ||. - y||^2 / (2 weight), or of the ball ||. - y|| <= bound."""
    shifted = q - step * setup.y
    if weight is not None:
        return shifted / (1 + step * weight)
    if setup.A.apart:
        lengths = setup.lengths(shifted).clamp(min=1e-30)
        return shifted * (1 - step * bound / lengths).clamp(min=0)
    length = float(shifted.norm())
    return shifted * max(0.0, 1 - step * bound / length) if length > 0 else shifted


def tv(setup: ClassicalSetup, settings: TVSettings) -> Steps[TVSettings]:
    """One iterate for each primal-dual iteration, from the baseline picture."""
    A, y = setup.A, setup.y
    step, norm = A.slice_step, gradient_norm(A.slice_step)
    apart = A.apart or step is not None
    expected = setup.noise_norm() / (len(y) ** 0.5 if A.apart else 1)  # of one slice
    primal, dual = _BALANCE / math.sqrt(2), 1 / (_BALANCE * math.sqrt(2))
    x = A.pinv(y).clamp(0, 1)
    ahead, p, q = x, torch.zeros_like(differences(x, step)), torch.zeros_like(y)
    for _ in range(settings.steps):
        p = _into_ball(p + dual * differences(ahead, step), norm, apart=apart)
        bound = settings.discrepancy * expected
        q = _data_dual(setup, q + dual * A(ahead), dual, settings.weight, bound)
        following = x - primal * (A.T(q) + differences_transposed(p, step))
        if settings.clip:
            following = following.clamp(0, 1)
        ahead, x = 2 * following - x, following
        settings = yield Step(x)
