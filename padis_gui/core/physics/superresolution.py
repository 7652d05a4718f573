"""Super-resolution: y = R x C^T, the image reduced by an integer factor with one matrix for each axis.

"average" is the mean over blocks of factor x factor pixels; "bicubic" the anti-aliased cubic reduction (Keys'
kernel with a = -1/2, stretched by the factor), as published benchmarks have it. Where a side is no multiple of
the factor, the measurement has one more row or column: the average of what is left of the block, or the bicubic
reduction of the image continued by its last pixels.

With the eigenvectors of R R^T and C C^T the data step is a division in a small basis, exact for both kinds
(for "average" A A^T is diagonal, I / factor^2 where all blocks are whole).
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, Literal, NamedTuple, Self

from padis_gui.core import Tensor, torch
from padis_gui.core.images.image import Image
from padis_gui.core.physics.operator import LinearOperator
from padis_gui.core.physics.settings import PictureSettings
from padis_gui.core.settings.declarations import setting
from padis_gui.core.settings.errors import SettingError
from padis_gui.core.settings.watch import SILENT, Watch

Reduction = Literal["average", "bicubic"]
_SMALLEST = 4


class SuperResolutionSettings(PictureSettings):
    """How the picture was made smaller."""

    factor: int = setting(
        4, ge=2, le=64, label="Factor", symbol="s", help="How many times smaller the measured picture is"
    )
    reduction: Reduction = setting(
        "bicubic", label="Reduction",
        help="How pixels become one: the mean of each block, or the bicubic reduction of published benchmarks",
    )  # fmt: skip

    def image_shape(self, measured: tuple[int, int]) -> tuple[int, int]:
        """The factor times as many rows and columns."""
        return measured[0] * self.factor, measured[1] * self.factor


def reduction_matrix(length: int, factor: int, reduction: Reduction) -> Tensor:
    """The reduction of one axis, (ceil(length / factor), length) in float64; each row sums to 1."""
    reduced = math.ceil(length / factor)
    pixels = torch.arange(reduced * factor)
    if reduction == "average":
        matrix = torch.zeros(reduced, length, dtype=torch.float64)
        inside = pixels[:length]
        matrix[inside // factor, inside] = 1.0
        return matrix / matrix.sum(1, keepdim=True)
    whole = _resized(torch.eye(reduced * factor, dtype=torch.float64), reduced)
    matrix = torch.zeros(reduced, length, dtype=torch.float64)
    # columns beyond the edge act on the last pixel
    return matrix.index_add_(1, pixels.clamp(max=length - 1), whole)


def _resized(basis: Tensor, length: int) -> Tensor:
    """Bicubic resizing of the columns of an identity to ``length`` rows, as a matrix."""
    columns = basis.shape[1]
    resized = torch.nn.functional.interpolate(
        basis[None, None], size=(length, columns), mode="bicubic", antialias=True
    )
    return resized[0, 0]


class _Basis(NamedTuple):
    """Eigenvectors of R R^T and C C^T, in columns, and the eigenvalues (rows, columns) of A A^T with its largest."""

    rows: Tensor
    columns: Tensor
    gains: Tensor
    largest: float


class SuperResolution(LinearOperator):
    """x (C, rows, columns) -> y (C, ceil(rows / factor), ceil(columns / factor))."""

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        factor: int,
        reduction: Reduction = "bicubic",
        *,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
        watch: Watch = SILENT,
    ) -> None:
        super().__init__(image_shape, device=device, dtype=dtype)
        self.factor = factor
        self._measurement_shape = (image_shape[0], *(math.ceil(n / factor) for n in image_shape[1:]))
        if min(self._measurement_shape[1:]) < _SMALLEST:
            rows, columns = self._measurement_shape[1:]
            raise SettingError(
                f"A measurement of at least {_SMALLEST} x {_SMALLEST} pixels was wanted, but the factor {factor} "
                f"leaves {rows} x {columns} of the image; lower the factor."
            )
        watch.check()
        matrices: list[Tensor] = []
        for number, length in enumerate(image_shape[1:]):
            watch.tell(number / 2)
            same = number and length == image_shape[1]
            matrices.append(matrices[0] if same else reduction_matrix(length, factor, reduction))
        self._exact = tuple(matrices)
        self._rows: Tensor = matrices[0].to(self.device, self.dtype)
        self._columns: Tensor = matrices[1].to(self.device, self.dtype)

    @classmethod
    def of(
        cls,
        image_shape: tuple[int, int, int],
        settings: Any,
        device: torch.device,
        picture: Image | None = None,
        watch: Watch = SILENT,
    ) -> Self:
        return cls(image_shape, settings.factor, settings.reduction, device=device, watch=watch)

    @cached_property
    def _basis(self) -> _Basis:
        """Made for the first data step: a measurement and its baseline do not need it."""
        return self._make_basis(SILENT)

    def _make_basis(self, watch: Watch) -> _Basis:
        found: list[tuple[Tensor, Tensor]] = []
        for number, matrix in enumerate(self._exact):
            watch.tell(number / 2)
            again = found and matrix is self._exact[0]
            found.append(found[0] if again else tuple(torch.linalg.eigh(matrix @ matrix.T)))
        (row_gains, rows), (column_gains, columns) = found
        gains = row_gains[:, None] * column_gains
        return _Basis(
            rows=rows.to(self.device, self.dtype), columns=columns.to(self.device, self.dtype),
            gains=gains.to(self.device, self.dtype), largest=float(gains.max()),
        )  # fmt: skip

    def get_ready(self, watch: Watch = SILENT, *, norm: bool = True) -> None:
        watch.check()
        if "_basis" not in self.__dict__:
            self._basis = self._make_basis(watch)
        super().get_ready(watch.part(1, 1), norm=norm)

    @property
    def measurement_shape(self) -> tuple[int, ...]:
        return self._measurement_shape

    def _forward(self, x: Tensor) -> Tensor:
        return self._rows @ x @ self._columns.T

    def _adjoint(self, y: Tensor) -> Tensor:
        return self._rows.T @ y @ self._columns

    def _norm(self, watch: Watch) -> float:
        """The root of the largest eigenvalue of A A^T."""
        return math.sqrt(self._basis.largest)

    def prox(self, y: Tensor, v: Tensor, rho: float, iterations: int) -> Tensor:
        """v + A^T (A A^T + rho)^-1 (y - A v), exact."""
        return v + self._adjoint(self._divided(y - self._forward(v), rho))

    def least_squares(self, y: Tensor, x: Tensor, iterations: int) -> Tensor:
        """x + A^T (A A^T)^-1 (y - A x), exact: the rows of A are independent."""
        return x + self._adjoint(self._divided(y - self._forward(x), 0.0))

    def _divided(self, y: Tensor, rho: float) -> Tensor:
        """(A A^T + rho)^-1 y."""
        rows, columns, gains, _ = self._basis
        return rows @ (rows.T @ y @ columns / (gains + rho)) @ columns.T

    def pinv(self, y: Tensor, watch: Watch = SILENT) -> Tensor:
        """Bicubic upsampling, the picture that super-resolution is compared with."""
        size = [n * self.factor for n in y.shape[1:]]
        larger = torch.nn.functional.interpolate(y[None], size=size, mode="bicubic", antialias=True)[0]
        _, rows, columns = self.image_shape
        return larger[:, :rows, :columns].contiguous()
