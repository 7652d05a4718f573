"""Denoising: the measurement is the image itself, with noise."""

from functools import cached_property

from torch import Tensor

from padis_gui.core.physics._j_operator__core_operators_base import LinearOperator
from padis_gui.core.physics.settings import PictureSettings
from padis_gui.core.settings._j_declarations__core_settings import setting


class DenoisingSettings(PictureSettings):
    """The noise that is to be removed."""

    noise: float = setting(
        0.1, ge=0, le=1, label="Noise", symbol="σ_y",
        help="Standard deviation of the Gaussian noise on the picture, whose intensities are 0 to 1",
    )  # fmt: skip


class Denoising(LinearOperator):
    """x (C, rows, columns) -> x."""

    def _forward(self, x: Tensor) -> Tensor:
        return x

    def _adjoint(self, y: Tensor) -> Tensor:
        return y

    @cached_property
    def norm(self) -> float:
        """1: the operator is the identity."""
        return 1.0

    def prox(self, y: Tensor, v: Tensor, rho: float, iterations: int) -> Tensor:
        """The weighted mean of both images."""
        return (y + rho * v) / (1 + rho)

    def least_squares(self, y: Tensor, x: Tensor, iterations: int) -> Tensor:
        """The measurement."""
        return y

    def pinv(self, y: Tensor) -> Tensor:
        """The noisy picture itself: the exact inverse of the identity."""
        return y
