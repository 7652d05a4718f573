"""Between this program and deepinv (Tachella et al., arXiv 2505.20160): a prior there as a denoiser, its physics here.

Nothing here imports deepinv: its denoisers are modules with ``forward(x, sigma)``, and its linear physics have ``A`` and
``A_adjoint``. Images there are (batch, C, rows, columns), here (C, rows, columns); both on [0, 1].
"""

import math
from collections.abc import Generator
from typing import Any, cast

import torch
from torch import Tensor, nn

from padis_gui.core.files.formats.pages import shown
from padis_gui.core.physics.operator import LinearOperator
from padis_gui.core.physics.problem import Problem
from padis_gui.core.physics.registry import find_physics
from padis_gui.core.prior.prior import PatchPrior
from padis_gui.core.prior.tiling import Tiling, TilingSettings, tiling_for
from padis_gui.core.runs.engine import iterates_of
from padis_gui.core.runs.method import Method
from padis_gui.core.runs.opened import streams
from padis_gui.core.settings.declarations import make
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.settings.watch import SILENT, Watch
from padis_gui.core.solvers.iterate import Iterate
from padis_gui.core.solvers.registry import find_solver

# <A x, y> and <x, A^T y> of an exact adjoint differ by rounding alone
_EXACT = 1e-4
_LINEAR = 1e-3
_MOST_STEPS = 300  # of conjugate gradients, where a physics has no pseudo-inverse of its own


class PatchDenoiser(nn.Module):
    """A patch prior as a denoiser of whole images: ``forward(x, sigma)`` of x (batch, C, rows, columns) on [0, 1].

    ``sigma`` is a number or a tensor of one for each image. Partitions and padding are drawn by a ``tiling``, from a
    generator of its own with the given seed: the same calls in the same order give the same bits. It is differentiable
    in x, and stays on the prior's device; x comes back to where it was.
    """

    def __init__(self, prior: PatchPrior, tiling: TilingSettings, seed: int) -> None:
        super().__init__()
        self._prior, self._settings, self._seed = prior, tiling, seed
        self._tilings: dict[tuple[int, int], Tiling] = {}
        self.reset()

    def reset(self) -> None:
        """Begin anew with the draws of the seed."""
        self._rng = streams(self._seed)[1]

    def forward(self, x: Tensor, sigma: Any, **_: Any) -> Tensor:
        """D(x, sigma), of the shape, the type and the device of x. Raises :class:`SettingError` for other shapes."""
        channels = self._prior.channels
        if x.ndim != 4 or channels not in (1, x.shape[1]):
            wanted = "C" if channels == 1 else str(channels)
            raise SettingError(
                f"Images (batch, {wanted}, rows, columns) were wanted, but {tuple(x.shape)} came; reshape them, or take "
                "another prior."
            )
        levels = torch.as_tensor(sigma, dtype=torch.float64).detach().cpu().reshape(-1)
        if len(levels) not in (1, len(x)) or not bool(((levels >= 0) & torch.isfinite(levels)).all()):
            raise SettingError(
                f"One noise level of at least 0, or one for each of {len(x)} images, was wanted, but "
                f"{shown(str(levels.tolist())[:60])} came; correct sigma."
            )
        found = [
            self._one(image, level) for image, level in zip(x, levels.expand(len(x)).tolist(), strict=True)
        ]
        return torch.stack(found).to(x)

    def _one(self, image: Tensor, sigma: float) -> Tensor:
        if sigma == 0:
            return image
        there = image.to(self._prior.device, torch.float32)
        rows, columns = image.shape[-2:]
        if (rows, columns) not in self._tilings:
            self._tilings[rows, columns] = tiling_for(self._settings, (rows, columns), self._prior, ())
        partition = self._tilings[rows, columns].draw(self._rng, sigma)
        return self._prior.denoise(there, sigma, partition, self._rng).to(image.device)


class ForeignOperator(LinearOperator):
    """A linear physics of deepinv, or whatever has its ``A``, for images (C, rows, columns).

    The adjoint is ``A_adjoint`` where that is one, else the transpose of A as torch differentiates it: both are exact.
    ‖A‖ is found by power iteration. Noise that the physics has is left out: ``A`` is called, not ``forward``.
    """

    def __init__(self, physics: Any, image_shape: tuple[int, int, int], device: torch.device) -> None:
        """Raises :class:`SettingError` for what is not linear, or measures no real numbers."""
        super().__init__(image_shape, device=device)
        self._physics = physics
        self._transposed = False
        self._shape = self._checked()

    @property
    def measurement_shape(self) -> tuple[int, ...]:
        return self._shape

    def _forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return cast(Tensor, self._physics.A(x[None])[0])

    def _adjoint(self, y: Tensor) -> Tensor:
        if not self._transposed:
            with torch.no_grad():
                return cast(Tensor, self._physics.A_adjoint(y[None])[0])
        with torch.enable_grad():
            x = torch.zeros(self.image_shape, device=self.device, dtype=self.dtype, requires_grad=True)
            return torch.autograd.grad(self._physics.A(x[None])[0], x, y)[0]

    def pinv(self, y: Tensor, watch: Watch = SILENT) -> Tensor:
        """The physics' own ``A_dagger``; where it has none, the least-squares image nearest to 0."""
        watch.check()
        dagger = getattr(self._physics, "A_dagger", None)
        if dagger is not None:
            with torch.no_grad():
                return cast(Tensor, dagger(y[None])[0])
        return self.least_squares(y, torch.zeros(self.image_shape, device=self.device), _MOST_STEPS)

    def _checked(self) -> tuple[int, ...]:
        """The shape of what it measures; asks by random images whether it is linear, and whether its adjoint is one."""
        rng = torch.Generator().manual_seed(0)
        name = type(self._physics).__name__
        one, other = (torch.rand(self.image_shape, generator=rng).to(self.device) for _ in range(2))
        try:
            a, b, both = (self._forward(x) for x in (one, other, 2 * one - 3 * other))
        except Exception as error:  # whatever a stranger's code raises
            raise SettingError(
                f"A linear physics for images {self.image_shape} was wanted, but {name} refuses one "
                f"({shown(str(error)[:100])}); give it the shape that it is made for."
            ) from None
        if not isinstance(a, Tensor) or not a.dtype.is_floating_point:
            raise SettingError(
                f"A physics that measures real numbers was wanted, but {name} gives "
                f"{getattr(a, 'dtype', type(a).__name__)}; take its real and imaginary parts as channels."
            )
        if not torch.allclose(both, 2 * a - 3 * b, rtol=0, atol=_LINEAR * float(both.abs().max() + 1e-12)):
            raise SettingError(
                f"A linear physics was wanted, but {name} is not: A(2x - 3z) is not 2 A(x) - 3 A(z); only linear ones can "
                "be reconstructed here."
            )
        y = torch.rand(a.shape, generator=rng).to(a)
        self._transposed = not self._is_adjoint(one, a, y)
        if self._transposed and not self._is_adjoint(one, a, y):
            raise SettingError(
                f"An exact adjoint was wanted, but that of {name} is none and torch cannot differentiate its A; correct "
                "its A_adjoint."
            )
        return tuple(a.shape)

    def _is_adjoint(self, x: Tensor, Ax: Tensor, y: Tensor) -> bool:
        try:
            ATy = self._adjoint(y)
        except Exception:  # it has none, or torch cannot differentiate it
            return False
        if ATy.shape != x.shape:
            return False
        left, right = float((Ax.double() * y.double()).sum()), float((x.double() * ATy.double()).sum())
        size = float(Ax.norm().double() * y.norm().double()) + 1e-12
        return math.isfinite(right) and abs(left - right) <= _EXACT * size

    def steps(
        self,
        measurement: Tensor,
        prior: Any,
        solver: str = "fast",
        *,
        noise: float = 0.0,
        seed: int = 0,
        tiling: str | TilingSettings = "auto",
        truth: Tensor | None = None,
        **settings: Any,
    ) -> Generator[Iterate, Any, None]:
        """The iterates of a solver on what this operator has measured, (1, …) as deepinv has it or without that axis.

        ``prior`` is what :func:`padis_gui.prior` gives, ``noise`` the deviation of the measurement's noise. Pictures are
        tensors on [0, 1]. There is no recipe: no file describes a stranger's physics.
        """
        chosen = find_solver(solver)
        values = measurement.detach().to(self.device, self.dtype)
        values = values[0] if values.ndim == len(self._shape) + 1 and len(values) == 1 else values
        if tuple(values.shape) != self._shape:
            raise SettingError(
                f"A measurement {self._shape} was wanted, but {tuple(measurement.shape)} came; give one image's."
            )
        nothing = find_physics("nothing")
        method = Method(
            physics=nothing.name, problem=make(nothing.settings_type, {}), solver=chosen.name,
            settings=make(chosen.settings_type, settings),
            tiling=tiling if isinstance(tiling, TilingSettings) else make(TilingSettings, {"strategy": tiling}),
        )  # fmt: skip
        problem = Problem(operator=self, measurement=values, noise=noise, truth=truth)
        return iterates_of(method, problem, prior.prior, streams(seed)[1])

    def reconstruct(self, measurement: Tensor, prior: Any, solver: str = "fast", **settings: Any) -> Tensor:
        """The last estimate (C, rows, columns) of :meth:`steps`, whose arguments it takes."""
        estimate = None
        for iterate in self.steps(measurement, prior, solver, **settings):
            estimate = iterate.estimate
        assert estimate is not None, "a solver has a step at least"
        return estimate


def physics_from(physics: Any, image_shape: tuple[int, int, int], device: Any = "cpu") -> ForeignOperator:
    """A linear physics of deepinv as an operator for images (C, rows, columns), to be solved by any solver here.

    ``device`` is where both live. Raises :class:`~padis_gui.core.settings.errors.SettingError` for what is not linear, or
    does not take such images.
    """
    sides = tuple(int(side) for side in image_shape)
    if len(sides) != 3 or min(sides) < 1:
        raise SettingError(
            f"The shape (C, rows, columns) of an image was wanted, but {shown(str(image_shape)[:60])} was given; give "
            "three whole numbers."
        )
    return ForeignOperator(physics, (sides[0], sides[1], sides[2]), torch.device(device))
