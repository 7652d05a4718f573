"""Least squares by conjugate gradients, with early stopping as the only regularisation.

CGLS (Hestenes and Stiefel, "Methods of conjugate gradients for solving linear systems", J. Res. NBS 49, 1952,
section 10) from a blank image: the iterates approach the least-squares image of smallest norm, noise last. The
discrepancy principle ends a run whose residual has come down to the noise (Hansen, "Discrete Inverse Problems",
SIAM 2010, section 6.3).

With non-negativity the method is another one, accelerated projected gradients with restart (FISTA: Beck and
Teboulle, doi 10.1137/080716542; O'Donoghue and Candes, arXiv 1204.3982): conjugacy does not survive a projection.
"""

from collections.abc import Iterator
from itertools import islice

from padis_gui.core import Tensor, torch
from padis_gui.core.settings.declarations import setting
from padis_gui.core.solvers import shared_settings as shared
from padis_gui.core.solvers.iterate import ClassicalSetup, MethodSettings, Step, Steps


class LeastSquaresSettings(MethodSettings):
    steps: int = shared.iterations(100)
    non_negative: bool = setting(
        False, label="Non-negative", help="No value below 0, by projected gradients instead of CG"
    )
    stop_at_noise: bool = setting(
        True, label="Stop at the noise",
        help="End early once the residual is as small as the known noise; without noise this does nothing",
    )  # fmt: skip


def _cgls(setup: ClassicalSetup) -> Iterator[Tensor]:
    """CGLS from 0, for each slice of a volume by itself; ends where nothing is left to gain."""
    A, y = setup.A, setup.y
    x = torch.zeros_like(A.T(y))
    r = y
    s = A.T(r)
    p, squared = s, setup.squares(s)
    while True:
        q = A(p)
        curvature = setup.squares(q)
        if bool((curvature <= 0).all()):
            yield x
            return
        step = squared / curvature
        if A.apart:  # a slice that has come to its end stays
            step = torch.where(curvature > 0, step, 0.0)
        x, r = x + step * p, r - step * q
        yield x
        s = A.T(r)
        previous, squared = squared, setup.squares(s)
        share = squared / previous
        p = s + (torch.where(previous > 0, share, 0.0) if A.apart else share) * p


def _projected(setup: ClassicalSetup) -> Iterator[Tensor]:
    """Accelerated projected gradients from 0 for ||A|| = 1; the momentum restarts where it points uphill.

    Steps are a tenth shorter than they could be, as power iteration may find too small a norm.
    """
    A, y = setup.A, setup.y
    x = ahead = torch.zeros_like(A.T(y))
    t = 1.0
    while True:
        following = (ahead + 0.9 * A.T(y - A(ahead))).clamp(min=0)
        uphill = float(((ahead - following) * (following - x)).sum()) > 0
        t, previous = (1.0, 1.0) if uphill else ((1 + (1 + 4 * t**2) ** 0.5) / 2, t)
        ahead = following + (previous - 1) / t * (following - x)
        x = following
        yield x


def least_squares(setup: ClassicalSetup, settings: LeastSquaresSettings) -> Steps[LeastSquaresSettings]:
    """One iterate for each step; the run may end before the last one, see :class:`LeastSquaresSettings`."""
    A, y = setup.A, setup.y
    enough = setup.noise_norm() if settings.stop_at_noise else 0.0
    method = _projected if settings.non_negative else _cgls
    for x in islice(method(setup), settings.steps):
        measured = A(x)
        settings = yield Step(x, measured=measured)
        if enough and float((measured - y).norm()) < enough:
            return
