"""No measurement at all: what is left of a reconstruction is a sample of the prior (generation)."""

from torch import Tensor

from padis_gui.core.physics._j_operator__core_operators_base import LinearOperator
from padis_gui.core.physics.settings import PhysicsSettings
from padis_gui.core.settings._j_declarations__core_settings import setting


class NothingSettings(PhysicsSettings):
    """The size of what is generated."""

    rows: int | None = setting(
        None, ge=16, le=2048, label="Rows", unit="px", help="Rows; automatic is the prior's training size"
    )
    columns: int | None = setting(
        None, ge=16, le=2048, label="Columns", unit="px", help="Columns; automatic is the prior's training size"
    )  # fmt: skip


class Nothing(LinearOperator):
    """x (C, rows, columns) -> an empty measurement; every data step leaves its image alone."""

    @property
    def measurement_shape(self) -> tuple[int, ...]:
        return (0,)

    def _forward(self, x: Tensor) -> Tensor:
        return x.new_zeros(0)

    def _adjoint(self, y: Tensor) -> Tensor:
        return y.new_zeros(self.image_shape)

    def pinv(self, y: Tensor) -> Tensor:
        """A blank image: nothing is known."""
        return y.new_zeros(self.image_shape)

    def prox(self, y: Tensor, v: Tensor, rho: float, iterations: int) -> Tensor:
        return v

    def least_squares(self, y: Tensor, x: Tensor, iterations: int) -> Tensor:
        return x
