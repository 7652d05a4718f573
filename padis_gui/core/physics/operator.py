"""Linear operators as values: ``A(x)``, ``A.T(y)``, shapes as properties, autograd wired once.

Conjugate gradients are the one linear solver that data steps share, for M x = b and for least squares.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache, cached_property
from typing import Any, Self, cast

from padis_gui.core import Tensor, torch
from padis_gui.core.images.image import Image
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.settings.watch import SILENT, Watch

# Steps of the power iteration that gives ||A||: with a matrix, and without, where each takes long
POWERS = 30
POWERS_MATRIX_FREE = 8


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


@cache
def _apply() -> Any:  # made for the first product, as its base is torch's
    class Apply(torch.autograd.Function):
        """y = A x; the gradient of a linear map is its adjoint."""

        @staticmethod
        def forward(ctx: Any, x: Tensor, operator: LinearOperator) -> Tensor:
            ctx.operator = operator
            return operator._forward(x.detach())

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
            return cast(Tensor, ctx.operator.T(gradient)), None

    return Apply


class LinearOperator(ABC):
    """A linear map from images (C, rows, columns) to measurements, computed on ``device`` in ``dtype``.

    Subclasses give ``_forward`` and its exact transpose ``_adjoint`` on plain tensors. ``scale`` is what the
    problem's own operator was multiplied by, see :class:`Scaled`.
    """

    scale: float = 1.0
    # Axes of a measurement whose entries say the same of an image: the bins of a view. They are kept aside together.
    together: tuple[int, ...] = ()
    # Whether the channels of an image are slices that it measures one by one: each is then a problem of its own
    apart: bool = False
    # From one channel to the next, in pixels, where they are slices of a volume that it measures as a whole
    slice_step: float | None = None

    def __init__(
        self,
        image_shape: tuple[int, ...],
        *,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.image_shape = image_shape
        self.device = device or torch.device("cpu")
        self.dtype = dtype or torch.float32

    @classmethod
    def of(
        cls,
        image_shape: tuple[int, int, int],
        settings: Any,
        device: torch.device,
        picture: Image | None = None,
        watch: Watch = SILENT,
    ) -> Self:
        """The operator that the settings of its physics describe.

        ``picture`` is what is in the file that they name, see :attr:`PhysicsSettings.picture_file`; ``watch`` follows
        the making. Raises
        :class:`~padis_gui.core.settings.errors.PadisError` for settings that do not fit the image.
        """
        return cls(image_shape, device=device)

    @property
    def measurement_shape(self) -> tuple[int, ...]:
        """Shape of what it returns: the image's, unless a subclass says otherwise."""
        return self.image_shape

    @abstractmethod
    def _forward(self, x: Tensor) -> Tensor: ...

    @abstractmethod
    def _adjoint(self, y: Tensor) -> Tensor: ...

    @abstractmethod
    def pinv(self, y: Tensor, watch: Watch = SILENT) -> Tensor:
        """The baseline picture of this physics (FBP, a fill, an upsampling), (C, rows, columns)."""

    def prox(self, y: Tensor, v: Tensor, rho: float, iterations: int) -> Tensor:
        """argmin ||A x - y||^2 + rho ||x - v||^2, the data step of most solvers; not differentiable.

        Here by at most ``iterations`` conjugate-gradient steps from v; operators with a closed form override it.
        """
        return damped_least_squares(self._forward, self._adjoint, y, v, rho, iterations)

    def least_squares(self, y: Tensor, x: Tensor, iterations: int) -> Tensor:
        """The solution of A^T A u = A^T y that is nearest to x; not differentiable.

        Here by at most ``iterations`` conjugate-gradient steps from x (which never leave x + range(A^T));
        operators with a closed form, x + A^+ (y - A x), override it.
        """
        return damped_least_squares(self._forward, self._adjoint, y, x, 0.0, iterations)

    @property
    def T(self) -> LinearOperator:
        """The exact adjoint; ``A.T.T is A``."""
        return Adjoint(self)

    def __call__(self, x: Tensor) -> Tensor:
        """Apply the operator; differentiable. Raises :class:`SettingError` for a wrong shape."""
        self._check_shape(x)
        if torch.is_grad_enabled() and x.requires_grad:
            return cast(Tensor, _apply().apply(x, self))
        return self._forward(x)

    def _check_shape(self, x: Tensor) -> None:
        if tuple(x.shape) != self.image_shape:
            raise SettingError(
                f"The operator takes the shape {self.image_shape}, but {tuple(x.shape)} came; use an image "
                "and a measurement that belong together."
            )

    def channel_seeing(self, channel: int) -> int:
        """Which channel of a measurement is shown beside one of the image: its own, unless a subclass says otherwise."""
        return channel

    def observed(self, y: Tensor) -> Tensor:
        """The entries of a measurement that are taken: all, unless a subclass leaves some out, which are then 0."""
        return y

    @cached_property
    def norm(self) -> float:
        """The spectral norm ||A||."""
        return self._norm(SILENT)

    @property
    def powers(self) -> int:
        """How many steps of the power iteration give the norm."""
        return POWERS

    def _norm(self, watch: Watch) -> float:
        """By power iteration on A^T A from a fixed start; operators that know it say so here."""
        x = torch.ones(self.image_shape) + torch.rand(
            self.image_shape, generator=torch.Generator().manual_seed(0)
        )
        x = x.to(self.device, self.dtype)
        if not math.prod(self.measurement_shape):
            return 1.0  # nothing is measured; any scale will do
        length = 1.0
        for step in range(self.powers):
            watch.tell(step / self.powers, "norm")
            x = self.transposed(self.measured(x / x.norm(), watch), watch)
            length = float(x.norm())
        return float(length**0.5)

    def interrupted_by(self, check: Callable[[], None]) -> Self:
        """The same operator, which calls ``check`` before every product: a data step of many large ones may be stopped.

        ``check`` raises :class:`~padis_gui.core.settings.errors.Interrupted`.
        """

        def asking(product: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
            def asked(vector: Tensor) -> Tensor:
                check()
                return product(vector)

            return asked

        same = copy.copy(self)
        vars(same).update(_forward=asking(self._forward), _adjoint=asking(self._adjoint))
        return same

    # Long work, which may be followed and stopped ------------------------------------------------

    def measured(self, x: Tensor, watch: Watch) -> Tensor:
        """A x as by calling it, without a gradient."""
        watch.check()
        with torch.no_grad():
            return self(x)

    def transposed(self, y: Tensor, watch: Watch) -> Tensor:
        """A^T y as by ``A.T(y)``, without a gradient."""
        watch.check()
        with torch.no_grad():
            return self.T(y)

    def get_ready(self, watch: Watch = SILENT, *, norm: bool = True) -> None:
        """Make now what is otherwise made at the first product, and the norm where it is wanted."""
        watch.check()
        if norm and "norm" not in self.__dict__:
            self.norm = self._norm(watch)


class Adjoint(LinearOperator):
    """The transpose of an operator."""

    def __init__(self, of: LinearOperator) -> None:
        super().__init__(of.measurement_shape, device=of.device, dtype=of.dtype)
        self._of = of

    @property
    def measurement_shape(self) -> tuple[int, ...]:
        return self._of.image_shape

    @property
    def T(self) -> LinearOperator:
        return self._of

    def _forward(self, x: Tensor) -> Tensor:
        return self._of._adjoint(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._of._forward(y)

    def pinv(self, y: Tensor, watch: Watch = SILENT) -> Tensor:
        """The forward operator: what the baseline picture of the adjoint problem is."""
        watch.check()
        return self._of(y)


class Wrapper(LinearOperator):
    """Another operator with the same shapes and place; what it does is up to the subclass."""

    def __init__(self, of: LinearOperator) -> None:
        super().__init__(of.image_shape, device=of.device, dtype=of.dtype)
        self._of, self.together, self.apart, self.slice_step = of, of.together, of.apart, of.slice_step

    @property
    def measurement_shape(self) -> tuple[int, ...]:
        return self._of.measurement_shape


class Scaled(Wrapper):
    """factor * A. Solvers work on A / ||A||, so that their step sizes mean the same for every physics."""

    def __init__(self, of: LinearOperator, factor: float) -> None:
        super().__init__(of)
        self.scale = factor

    def _forward(self, x: Tensor) -> Tensor:
        return self.scale * self._of._forward(x)

    def _adjoint(self, y: Tensor) -> Tensor:
        return self.scale * self._of._adjoint(y)

    def pinv(self, y: Tensor, watch: Watch = SILENT) -> Tensor:
        return self._of.pinv(y / self.scale, watch)

    def prox(self, y: Tensor, v: Tensor, rho: float, iterations: int) -> Tensor:
        return self._of.prox(y / self.scale, v, rho / self.scale**2, iterations)

    def least_squares(self, y: Tensor, x: Tensor, iterations: int) -> Tensor:
        return self._of.least_squares(y / self.scale, x, iterations)
