"""A prior whose posterior is known: independent Gaussian pixels; and an operator that is a plain matrix."""

from dataclasses import dataclass

import torch
from torch import Tensor

from padis_gui.core.physics.operator import LinearOperator
from padis_gui.core.prior.partition import Frame, Partition
from padis_gui.core.prior.tiling import Tiling, make_tiling
from padis_gui.core.settings.watch import SILENT, Watch


@dataclass(frozen=True)
class GaussianPrior:
    """Every pixel is N(mean, deviation^2): the denoiser is the exact posterior mean."""

    mean: float
    deviation: float

    def denoise(self, x: Tensor, sigma: float, partition: Partition, rng: torch.Generator) -> Tensor:
        """E[x0 | x0 + sigma eps = x]."""
        s = self.deviation**2
        return (s * x + sigma**2 * self.mean) / (s + sigma**2)

    def flow(self, x: Tensor, sigma: float) -> Tensor:
        """Where the probability flow takes x from level sigma to 0."""
        return self.mean + (x - self.mean) * self.deviation / (self.deviation**2 + sigma**2) ** 0.5


def any_tiling(rows: int, columns: int) -> Tiling:
    """A tiling for priors that do not look at it."""
    return make_tiling("random", (rows, columns), 8, Frame(max(rows, columns), 0))


class Matrix(LinearOperator):
    """x (1, rows, columns) -> M x, with M (entries, rows * columns)."""

    def __init__(self, matrix: Tensor, rows: int, columns: int) -> None:
        super().__init__((1, rows, columns), dtype=matrix.dtype)
        self.matrix = matrix

    @property
    def measurement_shape(self) -> tuple[int, ...]:
        return (len(self.matrix),)

    def _norm(self, watch: Watch) -> float:
        """The largest singular value."""
        return float(torch.linalg.matrix_norm(self.matrix, 2))

    def _forward(self, x: Tensor) -> Tensor:
        return self.matrix @ x.reshape(-1)

    def _adjoint(self, y: Tensor) -> Tensor:
        return (self.matrix.T @ y).reshape(self.image_shape)

    def pinv(self, y: Tensor, watch: Watch = SILENT) -> Tensor:
        """The least-squares image of smallest norm."""
        return (torch.linalg.pinv(self.matrix) @ y).reshape(self.image_shape)
