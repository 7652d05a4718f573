"""What the operators on pictures share: where they compute, and a measurement as large as the image."""

import torch

from padis_gui.core.operators.base import LinearOperator


class PictureOperator(LinearOperator):
    """Base of operators on images (C, rows, columns) whose channels share one map.

    The measurement has the image's shape unless a subclass says otherwise.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._image_shape = image_shape
        self._device = device or torch.device("cpu")
        self._dtype = dtype

    @property
    def image_shape(self) -> tuple[int, ...]:
        return self._image_shape

    @property
    def measurement_shape(self) -> tuple[int, ...]:
        return self._image_shape

    @property
    def device(self) -> torch.device:
        return self._device

    @property
    def dtype(self) -> torch.dtype:
        return self._dtype
